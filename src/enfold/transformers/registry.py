"""Which model type lives where, what it can do, and which tokenizer it uses: data, no code.

A new family adds one row here and its classes to the package's table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

__all__ = ["FEATURE_EXTRACTORS", "IMAGE_PROCESSORS", "MODELS", "PROCESSORS", "TASKS", "TOKENIZERS", "Row"]


class Row(NamedTuple):
    """A model type: its module under ``models`` and ``configs``, the prefix of its classes, what follows the prefix.

    ``heads`` lists the endings of its public classes. A task belongs to the class with the task's usual ending; where
    it belongs to another, or to none, ``other`` says so (task → ending, or None; or several endings, of which the first
    counts where ``config.architectures`` names none). An ending that begins with ``=`` is
    a whole name: the class of another prefix (``=new=old`` is a class under a second name).
    """

    module: str
    prefix: str
    heads: tuple[str, ...]
    other: Mapping[str, str | tuple[str, ...] | None] = {}

    def name(self, ending: str) -> str:
        """Return the name of the class with an ending."""
        return ending[1:] if ending.startswith("=") else self.prefix + ending


_ENCODER = ("ForMaskedLM", "ForSequenceClassification", "ForTokenClassification", "ForQuestionAnswering")
_ENCODER_MODEL = ("PreTrainedModel", "Model")
_ENCODES = {"TextEncoding": "Model"}
_FILLS = {**_ENCODES, "PreTraining": "ForMaskedLM"}
_DECODER = ("PreTrainedModel", "Model", "ForCausalLM", *_ENCODER[1:])
_VISION = ("PreTrainedModel", "Model", "ForImageClassification")
_SEQ2SEQ = ("PreTrainedModel", "Model", "ForConditionalGeneration")
_WRITES = {"Seq2SeqLM": "ForConditionalGeneration", "PreTraining": "ForConditionalGeneration"}
_DESCRIBES = ("Vision2Seq", "ImageTextToText", "MultimodalLM")
_T5 = ("EncoderModel", "ForSequenceClassification", "ForTokenClassification", "ForQuestionAnswering")
_BART = ("ForCausalLM", "ForSequenceClassification", "ForQuestionAnswering")
_BART_OLD = ("=BartPretrainedModel=BartPreTrainedModel", "=PretrainedBartModel=BartPreTrainedModel")

MODELS: dict[str, Row] = {
    "bert": Row(
        "bert",
        "Bert",
        (
            "PreTrainedModel",
            "Model",
            "ForPreTraining",
            "LMHeadModel",
            "ForNextSentencePrediction",
            *_ENCODER,
            "ForMultipleChoice",
            "Layer",
        ),
        {**_ENCODES, "CausalLM": "LMHeadModel"},
    ),
    "distilbert": Row(
        "distilbert",
        "DistilBert",
        (*_ENCODER_MODEL, *_ENCODER, "ForMultipleChoice"),
        _FILLS,
    ),
    "albert": Row("albert", "Albert", (*_ENCODER_MODEL, *_ENCODER, "ForMultipleChoice", "ForPreTraining"), _ENCODES),
    "deberta-v2": Row("deberta_v2", "DebertaV2", (*_ENCODER_MODEL, *_ENCODER, "ForMultipleChoice"), _FILLS),
    "electra": Row(
        "electra",
        "Electra",
        (*_ENCODER_MODEL, *_ENCODER, "ForMultipleChoice", "ForPreTraining", "ForCausalLM"),
        _ENCODES,
    ),
    "modernbert": Row("modernbert", "ModernBert", (*_ENCODER_MODEL, *_ENCODER, "ForMultipleChoice")),
    "mpnet": Row(
        "mpnet",
        "MPNet",
        (*_ENCODER_MODEL, *_ENCODER, "ForMultipleChoice", "Layer"),
        {"PreTraining": "ForMaskedLM"},
    ),
    "roberta": Row("roberta", "Roberta", (*_ENCODER_MODEL, *_ENCODER, "ForMultipleChoice", "ForCausalLM"), _FILLS),
    "xlm-roberta": Row(
        "xlm_roberta", "XLMRoberta", (*_ENCODER_MODEL, *_ENCODER, "ForMultipleChoice", "ForCausalLM"), _FILLS
    ),
    "gpt2": Row(
        "gpt2",
        "GPT2",
        ("PreTrainedModel", "Model", "LMHeadModel", "DoubleHeadsModel", *_ENCODER[1:]),
        {"CausalLM": "LMHeadModel", "PreTraining": "LMHeadModel"},
    ),
    "llama": Row("llama", "Llama", _DECODER, {"PreTraining": "ForCausalLM"}),
    "falcon": Row("falcon", "Falcon", _DECODER),
    "gemma": Row("gemma", "Gemma", _DECODER[:-1]),
    "gemma2": Row("gemma2", "Gemma2", _DECODER[:-1]),
    "gemma3": Row(
        "gemma3_vision",
        "Gemma3",
        ("Model", "ForConditionalGeneration", "ForSequenceClassification"),
        dict.fromkeys(("CausalLM", "PreTraining", *_DESCRIBES), "ForConditionalGeneration"),
    ),
    "gemma3_text": Row(
        "gemma3",
        "Gemma3Text",
        ("=Gemma3PreTrainedModel", "Model", "=Gemma3ForCausalLM", "ForSequenceClassification"),
        {"CausalLM": "=Gemma3ForCausalLM"},
    ),
    "mistral": Row("mistral", "Mistral", _DECODER),
    "mixtral": Row("mixtral", "Mixtral", _DECODER),
    "phi3": Row("phi3", "Phi3", _DECODER[:-1]),
    "qwen2": Row("qwen2", "Qwen2", (*_DECODER, "RMSNorm")),
    "qwen3": Row("qwen3", "Qwen3", _DECODER),
    "smollm3": Row("smollm3", "SmolLM3", _DECODER),
    "t5": Row("t5", "T5", (*_SEQ2SEQ, *_T5), {**_WRITES, "TextEncoding": "EncoderModel"}),
    "mt5": Row("mt5", "MT5", (*_SEQ2SEQ, *_T5), {**_WRITES, "TextEncoding": "EncoderModel"}),
    "bart": Row("bart", "Bart", (*_SEQ2SEQ, *_BART, *_BART_OLD), {**_WRITES, "MaskedLM": "ForConditionalGeneration"}),
    "mbart": Row("mbart", "MBart", (*_SEQ2SEQ, *_BART), {**_WRITES, "MaskedLM": "ForConditionalGeneration"}),
    "m2m_100": Row("m2m_100", "M2M100", _SEQ2SEQ, {**_WRITES, "PreTraining": None}),
    "marian": Row("marian", "Marian", ("PreTrainedModel", "Model", "MTModel", "ForCausalLM"), {"Seq2SeqLM": "MTModel"}),
    "encoder-decoder": Row("encoder_decoder", "EncoderDecoder", ("Model",), {"Model": None, "Seq2SeqLM": "Model"}),
    "vision-encoder-decoder": Row(
        "vision_encoder_decoder",
        "VisionEncoderDecoder",
        ("Model",),
        {"Model": None, **dict.fromkeys(_DESCRIBES, "Model")},
    ),
    "whisper": Row(
        "whisper",
        "Whisper",
        (*_SEQ2SEQ, "ForCausalLM", "ForAudioClassification"),
        {"SpeechSeq2Seq": "ForConditionalGeneration", "PreTraining": "ForConditionalGeneration"},
    ),
    "pegasus": Row("pegasus", "Pegasus", (*_SEQ2SEQ, "ForCausalLM"), {**_WRITES, "PreTraining": None}),
    "bit": Row("bit", "Bit", (*_VISION, "Backbone")),
    "deit": Row(
        "deit",
        "DeiT",
        (*_VISION, "ForMaskedImageModeling", "ForImageClassificationWithTeacher"),
        {"ImageClassification": ("ForImageClassification", "ForImageClassificationWithTeacher")},
    ),
    "detr": Row(
        "detr",
        "Detr",
        ("PreTrainedModel", "Model", "ForObjectDetection", "ForSegmentation"),
        {"UniversalSegmentation": "ForSegmentation"},
    ),
    "dinov2": Row("dinov2", "Dinov2", (*_VISION, "Backbone")),
    "dpt": Row("dpt", "DPT", ("PreTrainedModel", "Model", "ForDepthEstimation", "ForSemanticSegmentation")),
    "sam": Row("sam", "Sam", ("PreTrainedModel", "Model"), {"MaskGeneration": "Model"}),
    "sam_mask_decoder": Row("sam", "SamMaskDecoder", ()),
    "sam_prompt_encoder": Row("sam", "SamPromptEncoder", ()),
    "sam_vision_model": Row("sam", "SamVision", ("Model",)),
    "segformer": Row("segformer", "Segformer", (*_VISION, "ForSemanticSegmentation", "DecodeHead", "Layer")),
    "resnet": Row("resnet", "ResNet", (*_VISION, "Backbone")),
    "timm_backbone": Row("timm_backbone", "TimmBackbone", ()),
    "vit": Row("vit", "ViT", (*_VISION, "ForMaskedImageModeling")),
    "blip": Row(
        "blip",
        "Blip",
        ("PreTrainedModel", "Model", "ForConditionalGeneration", "ForQuestionAnswering", "ForImageTextRetrieval"),
        {
            "QuestionAnswering": None,
            **dict.fromkeys(_DESCRIBES, "ForConditionalGeneration"),
            "VisualQuestionAnswering": "ForQuestionAnswering",
            "ZeroShotImageClassification": "Model",
        },
    ),
    "blip_text_model": Row("blip", "BlipText", ("Model",), {"Model": None}),
    "blip_vision_model": Row("blip", "BlipVision", ("Model",), {"Model": None}),
    "clip": Row(
        "clip",
        "CLIP",
        ("PreTrainedModel", "Model", "ForImageClassification"),
        {"ZeroShotImageClassification": "Model"},
    ),
    "clip_text_model": Row("clip", "CLIPText", ("Model", "ModelWithProjection"), _ENCODES),
    "clip_vision_model": Row("clip", "CLIPVision", ("Model", "ModelWithProjection")),
    "clap": Row("clap", "Clap", ("PreTrainedModel", "Model"), {"ZeroShotAudioClassification": "Model"}),
    "clap_audio_model": Row("clap", "ClapAudio", ("Model", "ModelWithProjection")),
    "clap_text_model": Row("clap", "ClapText", ("Model", "ModelWithProjection")),
    "owlvit": Row(
        "owlvit",
        "OwlViT",
        ("PreTrainedModel", "Model", "ForObjectDetection"),
        {"ObjectDetection": None, "ZeroShotObjectDetection": "ForObjectDetection"},
    ),
    "owlvit_text_model": Row("owlvit", "OwlViTText", ("Model",), {"Model": None}),
    "owlvit_vision_model": Row("owlvit", "OwlViTVision", ("Model",), {"Model": None}),
    "siglip": Row(
        "siglip",
        "Siglip",
        ("PreTrainedModel", "Model", "ForImageClassification"),
        {"ZeroShotImageClassification": "Model"},
    ),
    "siglip_text_model": Row("siglip", "SiglipText", ("Model",)),
    "siglip_vision_model": Row("siglip", "SiglipVision", ("Model",)),
    "vilt": Row(
        "vilt",
        "Vilt",
        (
            "PreTrainedModel",
            "Model",
            "ForImageAndTextRetrieval",
            "ForImagesAndTextClassification",
            "ForMaskedLM",
            "ForQuestionAnswering",
            "ForTokenClassification",
            "Layer",
        ),
        {"MaskedLM": None, "QuestionAnswering": None, "VisualQuestionAnswering": "ForQuestionAnswering"},
    ),
    "encodec": Row("encodec", "Encodec", ("PreTrainedModel", "Model")),
    "musicgen": Row(
        "musicgen",
        "Musicgen",
        ("PreTrainedModel", "ForConditionalGeneration"),
        {"TextToWaveform": "ForConditionalGeneration"},
    ),
    "musicgen_decoder": Row(
        "musicgen",
        "MusicgenDecoder",
        ("=MusicgenForCausalLM", "=MusicgenModel"),
        {"CausalLM": "=MusicgenForCausalLM", "Model": "=MusicgenModel"},
    ),
    "wav2vec2": Row(
        "wav2vec2",
        "Wav2Vec2",
        (
            "PreTrainedModel",
            "Model",
            "ForPreTraining",
            "ForCTC",
            "ForMaskedLM",
            "ForSequenceClassification",
            "ForAudioFrameClassification",
            "ForXVector",
        ),
        {"SequenceClassification": None, "AudioClassification": "ForSequenceClassification"},
    ),
    "hubert": Row(
        "hubert",
        "Hubert",
        ("PreTrainedModel", "Model", "ForCTC", "ForSequenceClassification"),
        {
            "SequenceClassification": None,
            "AudioClassification": "ForSequenceClassification",
            "PreTraining": "Model",
        },
    ),
}

# task → the usual ending of its classes; None where a row must name the class in ``other``
TASKS: dict[str, str | None] = {
    "Model": "Model",
    "PreTraining": "ForPreTraining",
    "CausalLM": "ForCausalLM",
    "MaskedLM": "ForMaskedLM",
    "Seq2SeqLM": None,
    "SequenceClassification": "ForSequenceClassification",
    "TokenClassification": "ForTokenClassification",
    "QuestionAnswering": "ForQuestionAnswering",
    "MultipleChoice": "ForMultipleChoice",
    "NextSentencePrediction": "ForNextSentencePrediction",
    "TextEncoding": None,
    "ImageClassification": "ForImageClassification",
    "ObjectDetection": "ForObjectDetection",
    "ImageSegmentation": "ForSegmentation",
    "SemanticSegmentation": "ForSemanticSegmentation",
    "InstanceSegmentation": "ForInstanceSegmentation",
    "UniversalSegmentation": "ForUniversalSegmentation",
    "DepthEstimation": "ForDepthEstimation",
    "MaskedImageModeling": "ForMaskedImageModeling",
    "MaskGeneration": None,
    "VideoClassification": "ForVideoClassification",
    "ZeroShotImageClassification": None,
    "ZeroShotObjectDetection": None,
    "Vision2Seq": None,
    "ImageTextToText": None,
    "MultimodalLM": None,
    "VisualQuestionAnswering": None,
    "DocumentQuestionAnswering": None,
    "TableQuestionAnswering": None,
    "AudioClassification": "ForAudioClassification",
    "AudioFrameClassification": "ForAudioFrameClassification",
    "AudioXVector": "ForXVector",
    "CTC": "ForCTC",
    "SpeechSeq2Seq": None,
    "TextToSpectrogram": None,
    "TextToWaveform": None,
    "Backbone": "Backbone",
}

# tokenizer class → the model types whose checkpoints it reads when their files do not name a class themselves
_TOKENIZERS: dict[str, str] = {
    "AlbertTokenizer": "albert nystromformer yoso",
    "BarthezTokenizer": "barthez",
    "BartTokenizer": "bart florence2",
    "BertTokenizer": "align bark bert blip bros chinese_clip ernie flava git grounding-dino layoutlmv2 megatron-bert "
    "mm-grounding-dino nezha nomic_bert qdqbert tvp vilt visual_bert",
    "BigBirdTokenizer": "big_bird",
    "BlenderbotTokenizer": "blenderbot",
    "BloomTokenizer": "bloom",
    "CamembertTokenizer": "camembert",
    "CanineTokenizer": "canine",
    "CLIPTokenizer": "aimv2 clip clip_text_model clipseg groupvit omdet-turbo oneformer owlv2 owlvit sam3 xclip",
    "CodeGenTokenizer": "codegen phi",
    "CodeLlamaTokenizer": "code_llama",
    "CohereTokenizer": "aya_vision cohere cohere2",
    "ConvBertTokenizer": "convbert",
    "DebertaTokenizer": "deberta",
    "DebertaV2Tokenizer": "deberta-v2",
    "DistilBertTokenizer": "distilbert",
    "DPRQuestionEncoderTokenizer": "dpr",
    "ElectraTokenizer": "electra",
    "FNetTokenizer": "fnet",
    "FunnelTokenizer": "funnel",
    "GemmaTokenizer": "gemma gemma2 gemma3 gemma3_text gemma3n gemma3n_text recurrent_gemma shieldgemma2 siglip2 "
    "t5gemma",
    "GPT2Tokenizer": "blip-2 dbrx emu3 exaone4 flex_olmo gpt2 gpt_bigcode gpt_neo gptj granite granitemoe "
    "granitemoehybrid granitemoeshared instructblip instructblipvideo jais2 minimax olmo3 opt starcoder2",
    "GPTNeoXTokenizer": "falcon_mamba gpt_neox mamba mamba2 mpt olmo olmo2 olmoe rwkv stablelm xlstm",
    "HerbertTokenizer": "herbert",
    "LayoutLMTokenizer": "layoutlm",
    "LEDTokenizer": "led",
    "LlamaTokenizer": "arcee aria chameleon colpali deepseek_v2 deepseek_v3 deepseek_vl diffllama ernie4_5 idefics "
    "idefics2 idefics3 jamba janus jetmoe llama llama4 llama4_text llava llava_next llava_next_video llava_onevision "
    "ministral mistral mistral3 mixtral mllama paligemma persimmon phi3 phimoe video_llava vipllava zamba zamba2",
    "LongformerTokenizer": "longformer",
    "LxmertTokenizer": "lxmert",
    "M2M100Tokenizer": "m2m_100",
    "MarianTokenizer": "marian",
    "MBartTokenizer": "mbart",
    "MBart50Tokenizer": "mbart50",
    "MobileBertTokenizer": "mobilebert",
    "MPNetTokenizer": "mpnet",
    "MT5Tokenizer": "mt5",
    "MvpTokenizer": "mvp",
    "NllbTokenizer": "nllb nllb-moe",
    "OpenAIGPTTokenizer": "openai-gpt",
    "PegasusTokenizer": "bigbird_pegasus pegasus pegasus_x",
    "PLBartTokenizer": "plbart",
    "PreTrainedTokenizerFast": "bitnet blt csm falcon glm glm4 glm4_moe glm4v gpt_oss helium kosmos-2.5 modernbert "
    "moonshine moshi nemotron pixtral smollm3 voxtral",
    "Qwen2Tokenizer": "colqwen2 internvl qwen2 qwen2_5_omni qwen2_5_vl qwen2_audio qwen2_moe qwen2_vl qwen3 qwen3_moe "
    "qwen3_next qwen3_omni_moe qwen3_vl qwen3_vl_moe",
    "RealmTokenizer": "realm",
    "ReformerTokenizer": "reformer",
    "RemBertTokenizer": "rembert",
    "RetriBertTokenizer": "retribert",
    "RobertaTokenizer": "bridgetower clap data2vec-text ibert lilt mega mra roberta roberta-prelayernorm",
    "SiglipTokenizer": "siglip",
    "SplinterTokenizer": "splinter",
    "SqueezeBertTokenizer": "squeezebert",
    "T5Tokenizer": "longt5 musicgen musicgen_melody pix2struct switch_transformers t5 umt5",
    "SpeechT5Tokenizer": "speecht5",
    "Wav2Vec2CTCTokenizer": "data2vec-audio hubert unispeech unispeech-sat wav2vec2 wav2vec2-bert wav2vec2-conformer",
    "WhisperTokenizer": "whisper",
    "XGLMTokenizer": "xglm",
    "XLMRobertaTokenizer": "gte jina_embeddings_v3 kosmos-2 metaclip_2 trocr xlm-roberta xlm-roberta-xl xmod",
    "XLNetTokenizer": "xlnet",
}


def _by_type(rows: dict[str, str]) -> dict[str, str]:
    return {model_type: name for name, model_types in rows.items() for model_type in model_types.split()}


# model type → its tokenizer class
TOKENIZERS: dict[str, str] = _by_type(_TOKENIZERS)

# model type → the class of its recordings' feature extractor
FEATURE_EXTRACTORS: dict[str, str] = _by_type(
    {
        "ClapFeatureExtractor": "clap",
        "EncodecFeatureExtractor": "encodec musicgen",
        "Wav2Vec2FeatureExtractor": "hubert wav2vec2",
        "WhisperFeatureExtractor": "whisper",
    }
)

# model type → the class of its image processor
IMAGE_PROCESSORS: dict[str, str] = _by_type(
    {
        "BitImageProcessor": "bit dinov2",
        "BlipImageProcessor": "blip",
        "CLIPImageProcessor": "clip clip_vision_model",
        "ConvNextImageProcessor": "resnet",
        "DPTImageProcessor": "dpt",
        "DeiTImageProcessor": "deit",
        "DetrImageProcessor": "detr",
        "Gemma3ImageProcessor": "gemma3",
        "OwlViTImageProcessor": "owlvit",
        "SamImageProcessor": "sam",
        "SegformerImageProcessor": "segformer",
        "SiglipImageProcessor": "siglip siglip_vision_model",
        "ViTImageProcessor": "vit",
        "ViltImageProcessor": "vilt",
    }
)

# model type → the class that holds its tokenizer and its other preprocessors together
PROCESSORS: dict[str, str] = _by_type(
    {
        "BlipProcessor": "blip",
        "CLIPProcessor": "clip",
        "ClapProcessor": "clap",
        "Gemma3Processor": "gemma3",
        "MusicgenProcessor": "musicgen",
        "OwlViTProcessor": "owlvit",
        "SamProcessor": "sam",
        "SiglipProcessor": "siglip",
        "TrOCRProcessor": "trocr vision-encoder-decoder",
        "ViltProcessor": "vilt",
        "Wav2Vec2Processor": "hubert wav2vec2",
        "WhisperProcessor": "whisper",
    }
)


def class_name(model_type: str, task: str, architectures: Sequence[str] = ()) -> str | None:
    """Return the name of the class that does ``task`` for a model type, or None.

    Args:
        model_type: a key of ``MODELS``.
        task: a key of ``TASKS``.
        architectures: of a configuration, which choose where several classes do the task.

    Example:
        >>> class_name("gpt2", "CausalLM"), class_name("gpt2", "MaskedLM")
        ('GPT2LMHeadModel', None)
    """
    row = MODELS[model_type]
    endings = row.other.get(task, TASKS[task])
    several = endings if isinstance(endings, tuple) else (endings,)
    ending = next((ending for ending in several if ending and row.name(ending) in architectures), several[0])
    return row.name(ending) if ending and (ending in row.heads or ending.startswith("=")) else None


def names() -> dict[str, list[str]]:
    """Return module → the public classes of every family in it, configurations included: what the package exports."""
    found: dict[str, list[str]] = {}
    for row in MODELS.values():
        found.setdefault(f".configs.{row.module}", []).append(f"{row.prefix}Config")
        found.setdefault(f".models.{row.module}", []).extend(row.name(ending) for ending in row.heads)
    return found
