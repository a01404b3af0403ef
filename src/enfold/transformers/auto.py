"""Auto classes: the model class that fits a checkpoint and a task. Torch is loaded with the first model, not before."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from enfold.errors import EnfoldError, MissingExtra
from enfold.transformers.config import CONFIG_MAPPING, AutoConfig, PretrainedConfig
from enfold.transformers.registry import MODELS, class_name
from enfold.transformers.sharing import split_fetch_arguments

__all__ = [
    "MODEL_FOR_AUDIO_CLASSIFICATION_MAPPING",
    "MODEL_FOR_AUDIO_FRAME_CLASSIFICATION_MAPPING",
    "MODEL_FOR_AUDIO_XVECTOR_MAPPING",
    "MODEL_FOR_BACKBONE_MAPPING",
    "MODEL_FOR_CAUSAL_LM_MAPPING",
    "MODEL_FOR_CTC_MAPPING",
    "MODEL_FOR_DEPTH_ESTIMATION_MAPPING",
    "MODEL_FOR_DOCUMENT_QUESTION_ANSWERING_MAPPING",
    "MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING",
    "MODEL_FOR_IMAGE_SEGMENTATION_MAPPING",
    "MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING",
    "MODEL_FOR_INSTANCE_SEGMENTATION_MAPPING",
    "MODEL_FOR_MASKED_IMAGE_MODELING_MAPPING",
    "MODEL_FOR_MASKED_LM_MAPPING",
    "MODEL_FOR_MASK_GENERATION_MAPPING",
    "MODEL_FOR_MULTIMODAL_LM_MAPPING",
    "MODEL_FOR_MULTIPLE_CHOICE_MAPPING",
    "MODEL_FOR_NEXT_SENTENCE_PREDICTION_MAPPING",
    "MODEL_FOR_OBJECT_DETECTION_MAPPING",
    "MODEL_FOR_PRETRAINING_MAPPING",
    "MODEL_FOR_QUESTION_ANSWERING_MAPPING",
    "MODEL_FOR_SEMANTIC_SEGMENTATION_MAPPING",
    "MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING",
    "MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING",
    "MODEL_FOR_SPEECH_SEQ_2_SEQ_MAPPING",
    "MODEL_FOR_TABLE_QUESTION_ANSWERING_MAPPING",
    "MODEL_FOR_TEXT_ENCODING_MAPPING",
    "MODEL_FOR_TEXT_TO_SPECTROGRAM_MAPPING",
    "MODEL_FOR_TEXT_TO_WAVEFORM_MAPPING",
    "MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING",
    "MODEL_FOR_UNIVERSAL_SEGMENTATION_MAPPING",
    "MODEL_FOR_VIDEO_CLASSIFICATION_MAPPING",
    "MODEL_FOR_VISION_2_SEQ_MAPPING",
    "MODEL_FOR_VISUAL_QUESTION_ANSWERING_MAPPING",
    "MODEL_FOR_ZERO_SHOT_IMAGE_CLASSIFICATION_MAPPING",
    "MODEL_FOR_ZERO_SHOT_OBJECT_DETECTION_MAPPING",
    "MODEL_MAPPING",
    "AutoBackbone",
    "AutoModel",
    "AutoModelForAudioClassification",
    "AutoModelForAudioFrameClassification",
    "AutoModelForAudioXVector",
    "AutoModelForCTC",
    "AutoModelForCausalLM",
    "AutoModelForDepthEstimation",
    "AutoModelForDocumentQuestionAnswering",
    "AutoModelForImageClassification",
    "AutoModelForImageSegmentation",
    "AutoModelForImageTextToText",
    "AutoModelForInstanceSegmentation",
    "AutoModelForMaskGeneration",
    "AutoModelForMaskedImageModeling",
    "AutoModelForMaskedLM",
    "AutoModelForMultimodalLM",
    "AutoModelForMultipleChoice",
    "AutoModelForNextSentencePrediction",
    "AutoModelForObjectDetection",
    "AutoModelForPreTraining",
    "AutoModelForQuestionAnswering",
    "AutoModelForSemanticSegmentation",
    "AutoModelForSeq2SeqLM",
    "AutoModelForSequenceClassification",
    "AutoModelForSpeechSeq2Seq",
    "AutoModelForTableQuestionAnswering",
    "AutoModelForTextEncoding",
    "AutoModelForTextToSpectrogram",
    "AutoModelForTextToWaveform",
    "AutoModelForTokenClassification",
    "AutoModelForUniversalSegmentation",
    "AutoModelForVideoClassification",
    "AutoModelForVision2Seq",
    "AutoModelForVisualQuestionAnswering",
    "AutoModelForZeroShotImageClassification",
    "AutoModelForZeroShotObjectDetection",
]


class AutoModelError(EnfoldError, ValueError):
    """No class does this task for this kind of model."""


class ModelMapping(Mapping[type[PretrainedConfig], Any]):
    """Configuration class → model class for one task; a model's file is imported when its class is asked for.

    Args:
        task: a key of ``registry.TASKS``.
    """

    def __init__(self, task: str) -> None:
        self.task = task
        self.extra: dict[type[PretrainedConfig], Any] = {}

    def names(self) -> dict[str, str]:
        """Return model type → class name, importing nothing."""
        rows = {model_type: class_name(model_type, self.task) for model_type in MODELS}
        return {model_type: name for model_type, name in rows.items() if name is not None}

    def __getitem__(self, config: type[PretrainedConfig]) -> Any:
        return self.of(config)

    def of(self, config: type[PretrainedConfig], architectures: Sequence[str] = ()) -> Any:
        """Return the class for a configuration; ``architectures`` choose where several do the task."""
        if config in self.extra:
            return self.extra[config]
        model_type = config.model_type
        name = class_name(model_type, self.task, architectures) if model_type in MODELS else None
        if name is None or CONFIG_MAPPING[model_type] is not config:
            raise KeyError(config)
        return getattr(import_module(f"enfold.transformers.models.{MODELS[model_type].module}"), name)

    def __iter__(self) -> Iterator[type[PretrainedConfig]]:
        yield from (CONFIG_MAPPING[model_type] for model_type in self.names())
        yield from self.extra

    def __len__(self) -> int:
        return len(self.names()) + len(self.extra)

    def __contains__(self, config: object) -> bool:
        return any(config is known for known in self)

    def register(self, config: type[PretrainedConfig], model: Any, exist_ok: bool = False) -> None:
        """Add a model class for a configuration class."""
        if config in self and not exist_ok:
            raise ValueError(f"{config.__name__} has a class for {self.task} already; exist_ok=True replaces it")
        self.extra[config] = model


class _AutoModel:
    """Base of auto classes; ``_model_mapping`` says which class does the task."""

    _model_mapping: ModelMapping

    def __init__(self, *_: Any, **__: Any) -> None:
        name = type(self).__name__
        raise OSError(f"{name} makes other classes: use {name}.from_pretrained(…) or {name}.from_config(…)")

    @classmethod
    def from_config(cls, config: PretrainedConfig, **kwargs: Any) -> Any:
        """Return a blank model.

        Args:
            config: what to build.
            kwargs: ``dtype``, ``attn_implementation``, and arguments of the class.

        Raises:
            AutoModelError: when no class does the task for this configuration.

        Example:
            >>> config = AutoConfig.for_model("bert", vocab_size=9, hidden_size=8, num_hidden_layers=1,
            ...                               num_attention_heads=2, intermediate_size=8)
            >>> type(AutoModelForMaskedLM.from_config(config)).__name__
            'BertForMaskedLM'
        """
        asked = {name: kwargs.pop(name, None) for name in ("trust_remote_code", "code_revision")}
        return cls._class(config, config.name_or_path, asked, {})._from_config(config, **kwargs)

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: Any, *model_args: Any, **kwargs: Any) -> Any:
        """Return a model with the weights of a folder or repository.

        Args:
            pretrained_model_name_or_path: a folder or a repository's id. An adapter's gives the model it is for, with
                the adapter in it.
            model_args: passed to the class after the configuration.
            kwargs: as ``PreTrainedModel.from_pretrained``; ``trust_remote_code=True`` runs the class that the
                repository brings along (``auto_map``), at ``code_revision`` where it is in another repository.

        Raises:
            AutoModelError: when no class does the task for this model.
            RemoteCodeError: when only code of the repository does, and nobody said that it may run.
            MissingExtra: when torch is not installed.
        """
        if find_spec("torch") is None:  # said before anything is fetched
            raise MissingExtra("loading a model", "torch")
        from enfold.transformers.adapting import load_with_adapter

        if kwargs.get("config") is not None:
            return cls._load(pretrained_model_name_or_path, *model_args, **kwargs)
        return load_with_adapter(
            lambda source, **rest: cls._load(source, *model_args, **rest),
            pretrained_model_name_or_path,
            kwargs,
            beside=False,
        )

    @classmethod
    def _load(cls, source: Any, *model_args: Any, **kwargs: Any) -> Any:
        asked = {name: kwargs.pop(name, None) for name in ("trust_remote_code", "code_revision")}
        config = kwargs.pop("config", None)
        where, rest = split_fetch_arguments(kwargs)
        if not isinstance(config, PretrainedConfig):
            # Fields of the configuration go there; what is left are arguments of loading.
            passed: dict[str, Any] = {name: rest.pop(name) for name in ("dtype", "torch_dtype") if name in rest}
            passed.update({name: rest[name] for name in ("gguf_file",) if name in rest})
            config, rest = AutoConfig.from_pretrained(
                source if config is None else config, return_unused_kwargs=True, **asked, **where, **rest
            )
            rest.update(passed)
        else:
            config = copy.deepcopy(config)
        kind = cls._class(config, source, asked, where)
        return kind.from_pretrained(source, *model_args, config=config, **where, **rest)

    @classmethod
    def register(cls, config_class: type[PretrainedConfig], model_class: Any, exist_ok: bool = False) -> None:
        """Make a class of your own known.

        Args:
            config_class: its configuration.
            model_class: the class, whose ``config_class`` must be that one.
            exist_ok: replace what is there.
        """
        own = getattr(model_class, "config_class", None)
        if own is not None and own is not config_class:
            raise ValueError(f"{model_class.__name__}.config_class is {own.__name__}, not {config_class.__name__}")
        cls._model_mapping.register(config_class, model_class, exist_ok)

    @classmethod
    def _class(cls, config: PretrainedConfig, source: Any, asked: dict[str, Any], where: dict[str, Any]) -> Any:
        mapping = cls._model_mapping
        kind = type(config)
        brought = (vars(config).get("auto_map") or {}).get(cls.__name__)
        if brought and (asked["trust_remote_code"] or kind not in mapping):
            from enfold.transformers.remote import remote_class

            trust, code = asked["trust_remote_code"], asked["code_revision"]
            return remote_class(brought, cls.__name__, source, trust, code, **where)
        if kind not in mapping:
            names = ", ".join(sorted({*mapping.names(), *(known.model_type for known in mapping.extra)}))
            raise AutoModelError(f"{cls.__name__} has no class for {kind.__name__}; it has one for: {names}")
        return mapping.of(kind, config.architectures or ())


def _auto(task: str, doc: str, name: str | None = None) -> type[_AutoModel]:
    return type(
        name or f"AutoModelFor{task}",
        (_AutoModel,),
        {"__doc__": doc, "__module__": __name__, "_model_mapping": ModelMapping(task)},
    )


AutoModel = _auto("Model", "The model without a head.", "AutoModel")
AutoModelForPreTraining = _auto("PreTraining", "The model with the heads it was trained with.")
AutoModelForCausalLM = _auto("CausalLM", "The model that continues a text.")
AutoModelForMaskedLM = _auto("MaskedLM", "The model that fills masked words.")
AutoModelForSeq2SeqLM = _auto("Seq2SeqLM", "The model that turns a text into another.")
AutoModelForSequenceClassification = _auto("SequenceClassification", "The model with one prediction a row.")
AutoModelForTokenClassification = _auto("TokenClassification", "The model with one prediction a token.")
AutoModelForQuestionAnswering = _auto("QuestionAnswering", "The model that marks an answer in a text.")
AutoModelForMultipleChoice = _auto("MultipleChoice", "The model that chooses among texts.")
AutoModelForNextSentencePrediction = _auto(
    "NextSentencePrediction",
    "The model that says whether a text follows another.",
)
AutoModelForTextEncoding = _auto("TextEncoding", "The encoder of a model of texts.")
AutoModelForImageClassification = _auto("ImageClassification", "The model with one prediction an image.")
AutoModelForObjectDetection = _auto("ObjectDetection", "The model that finds objects and their boxes.")
AutoModelForImageSegmentation = _auto("ImageSegmentation", "The model that finds objects and their masks.")
AutoModelForSemanticSegmentation = _auto("SemanticSegmentation", "The model with one prediction a pixel.")
AutoModelForInstanceSegmentation = _auto("InstanceSegmentation", "The model that tells instances of a class apart.")
AutoModelForUniversalSegmentation = _auto("UniversalSegmentation", "The model for every kind of segmentation.")
AutoModelForDepthEstimation = _auto("DepthEstimation", "The model that tells how far each pixel is.")
AutoModelForMaskedImageModeling = _auto("MaskedImageModeling", "The model that fills masked patches.")
AutoModelForMaskGeneration = _auto("MaskGeneration", "The model that cuts out what is pointed at.")
AutoModelForVideoClassification = _auto("VideoClassification", "The model with one prediction a video.")
AutoModelForZeroShotImageClassification = _auto(
    "ZeroShotImageClassification",
    "The model that compares images with labels in words.",
)
AutoModelForZeroShotObjectDetection = _auto("ZeroShotObjectDetection", "The model that finds objects named in words.")
AutoModelForVision2Seq = _auto("Vision2Seq", "The model that describes an image (v4 spelling).")
AutoModelForImageTextToText = _auto("ImageTextToText", "The model that answers texts with images in them.")
AutoModelForMultimodalLM = _auto("MultimodalLM", "The model that answers texts with other things in them.")
AutoModelForVisualQuestionAnswering = _auto(
    "VisualQuestionAnswering", "The model that answers questions about an image."
)
AutoModelForDocumentQuestionAnswering = _auto(
    "DocumentQuestionAnswering",
    "The model that answers questions about a page.",
)
AutoModelForTableQuestionAnswering = _auto("TableQuestionAnswering", "The model that answers questions about a table.")
AutoModelForAudioClassification = _auto("AudioClassification", "The model with one prediction a recording.")
AutoModelForAudioFrameClassification = _auto("AudioFrameClassification", "The model with one prediction a frame.")
AutoModelForAudioXVector = _auto("AudioXVector", "The model that embeds voices.")
AutoModelForCTC = _auto("CTC", "The model that spells a recording frame by frame.")
AutoModelForSpeechSeq2Seq = _auto("SpeechSeq2Seq", "The model that writes down a recording.")
AutoModelForTextToSpectrogram = _auto("TextToSpectrogram", "The model that turns a text into a spectrogram.")
AutoModelForTextToWaveform = _auto("TextToWaveform", "The model that turns a text into sound.")
AutoBackbone = _auto("Backbone", "The feature maps of a model of images.", "AutoBackbone")

MODEL_MAPPING = AutoModel._model_mapping
MODEL_FOR_PRETRAINING_MAPPING = AutoModelForPreTraining._model_mapping
MODEL_FOR_CAUSAL_LM_MAPPING = AutoModelForCausalLM._model_mapping
MODEL_FOR_MASKED_LM_MAPPING = AutoModelForMaskedLM._model_mapping
MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING = AutoModelForSeq2SeqLM._model_mapping
MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING = AutoModelForSequenceClassification._model_mapping
MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING = AutoModelForTokenClassification._model_mapping
MODEL_FOR_QUESTION_ANSWERING_MAPPING = AutoModelForQuestionAnswering._model_mapping
MODEL_FOR_MULTIPLE_CHOICE_MAPPING = AutoModelForMultipleChoice._model_mapping
MODEL_FOR_NEXT_SENTENCE_PREDICTION_MAPPING = AutoModelForNextSentencePrediction._model_mapping
MODEL_FOR_TEXT_ENCODING_MAPPING = AutoModelForTextEncoding._model_mapping
MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING = AutoModelForImageClassification._model_mapping
MODEL_FOR_OBJECT_DETECTION_MAPPING = AutoModelForObjectDetection._model_mapping
MODEL_FOR_IMAGE_SEGMENTATION_MAPPING = AutoModelForImageSegmentation._model_mapping
MODEL_FOR_SEMANTIC_SEGMENTATION_MAPPING = AutoModelForSemanticSegmentation._model_mapping
MODEL_FOR_INSTANCE_SEGMENTATION_MAPPING = AutoModelForInstanceSegmentation._model_mapping
MODEL_FOR_UNIVERSAL_SEGMENTATION_MAPPING = AutoModelForUniversalSegmentation._model_mapping
MODEL_FOR_DEPTH_ESTIMATION_MAPPING = AutoModelForDepthEstimation._model_mapping
MODEL_FOR_MASKED_IMAGE_MODELING_MAPPING = AutoModelForMaskedImageModeling._model_mapping
MODEL_FOR_MASK_GENERATION_MAPPING = AutoModelForMaskGeneration._model_mapping
MODEL_FOR_VIDEO_CLASSIFICATION_MAPPING = AutoModelForVideoClassification._model_mapping
MODEL_FOR_ZERO_SHOT_IMAGE_CLASSIFICATION_MAPPING = AutoModelForZeroShotImageClassification._model_mapping
MODEL_FOR_ZERO_SHOT_OBJECT_DETECTION_MAPPING = AutoModelForZeroShotObjectDetection._model_mapping
MODEL_FOR_VISION_2_SEQ_MAPPING = AutoModelForVision2Seq._model_mapping
MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING = AutoModelForImageTextToText._model_mapping
MODEL_FOR_MULTIMODAL_LM_MAPPING = AutoModelForMultimodalLM._model_mapping
MODEL_FOR_VISUAL_QUESTION_ANSWERING_MAPPING = AutoModelForVisualQuestionAnswering._model_mapping
MODEL_FOR_DOCUMENT_QUESTION_ANSWERING_MAPPING = AutoModelForDocumentQuestionAnswering._model_mapping
MODEL_FOR_TABLE_QUESTION_ANSWERING_MAPPING = AutoModelForTableQuestionAnswering._model_mapping
MODEL_FOR_AUDIO_CLASSIFICATION_MAPPING = AutoModelForAudioClassification._model_mapping
MODEL_FOR_AUDIO_FRAME_CLASSIFICATION_MAPPING = AutoModelForAudioFrameClassification._model_mapping
MODEL_FOR_AUDIO_XVECTOR_MAPPING = AutoModelForAudioXVector._model_mapping
MODEL_FOR_CTC_MAPPING = AutoModelForCTC._model_mapping
MODEL_FOR_SPEECH_SEQ_2_SEQ_MAPPING = AutoModelForSpeechSeq2Seq._model_mapping
MODEL_FOR_TEXT_TO_SPECTROGRAM_MAPPING = AutoModelForTextToSpectrogram._model_mapping
MODEL_FOR_TEXT_TO_WAVEFORM_MAPPING = AutoModelForTextToWaveform._model_mapping
MODEL_FOR_BACKBONE_MAPPING = AutoBackbone._model_mapping
