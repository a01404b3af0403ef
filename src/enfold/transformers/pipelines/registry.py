"""Which tasks there are, what they are also called, and which model does one when none is named."""

from __future__ import annotations

import importlib
from typing import Any

from enfold.errors import EnfoldError, nearest

__all__ = ["PIPELINE_REGISTRY", "PipelineRegistry", "UnknownTask", "get_supported_tasks", "get_task"]

_HERE = "enfold.transformers.pipelines"

# task → its pipeline, its auto classes, the model that does it when none is named
TASKS: dict[str, dict[str, Any]] = {
    "text-classification": {
        "impl": f"{_HERE}.text_classification:TextClassificationPipeline",
        "pt": ("enfold.transformers.auto:AutoModelForSequenceClassification",),
        "default": {"model": "distilbert/distilbert-base-uncased-finetuned-sst-2-english"},
        "type": "text",
    },
    "token-classification": {
        "impl": f"{_HERE}.token_classification:TokenClassificationPipeline",
        "pt": ("enfold.transformers.auto:AutoModelForTokenClassification",),
        "default": {"model": "dbmdz/bert-large-cased-finetuned-conll03-english"},
        "type": "text",
    },
    "question-answering": {
        "impl": f"{_HERE}.question_answering:QuestionAnsweringPipeline",
        "pt": ("enfold.transformers.auto:AutoModelForQuestionAnswering",),
        "default": {"model": "distilbert/distilbert-base-cased-distilled-squad"},
        "type": "text",
    },
    "fill-mask": {
        "impl": f"{_HERE}.fill_mask:FillMaskPipeline",
        "pt": ("enfold.transformers.auto:AutoModelForMaskedLM",),
        "default": {"model": "distilbert/distilroberta-base"},
        "type": "text",
    },
    "zero-shot-classification": {
        "impl": f"{_HERE}.zero_shot_classification:ZeroShotClassificationPipeline",
        "pt": ("enfold.transformers.auto:AutoModelForSequenceClassification",),
        "default": {"model": "facebook/bart-large-mnli"},
        "type": "text",
    },
    "feature-extraction": {
        "impl": f"{_HERE}.feature_extraction:FeatureExtractionPipeline",
        "pt": ("enfold.transformers.auto:AutoModel",),
        "default": {"model": "distilbert/distilbert-base-cased"},
        "type": "multimodal",
    },
    "conversational": {
        "impl": f"{_HERE}.conversational:ConversationalPipeline",
        "pt": ("enfold.transformers.auto:AutoModelForSeq2SeqLM", "enfold.transformers.auto:AutoModelForCausalLM"),
        "default": {"model": "microsoft/DialoGPT-medium"},
        "type": "text",
    },
    "audio-classification": {
        "impl": f"{_HERE}.audio_classification:AudioClassificationPipeline",
        "pt": ("enfold.transformers.auto:AutoModelForAudioClassification",),
        "default": {"model": "superb/wav2vec2-base-superb-ks"},
        "type": "audio",
    },
    "automatic-speech-recognition": {
        "impl": f"{_HERE}.speech_recognition:AutomaticSpeechRecognitionPipeline",
        "pt": (
            "enfold.transformers.auto:AutoModelForCTC",
            "enfold.transformers.auto:AutoModelForSpeechSeq2Seq",
        ),
        "default": {"model": "facebook/wav2vec2-base-960h"},
        "type": "multimodal",
    },
    "image-classification": {
        "impl": f"{_HERE}.image_classification:ImageClassificationPipeline",
        "pt": ("enfold.transformers.auto:AutoModelForImageClassification",),
        "default": {"model": "google/vit-base-patch16-224"},
        "type": "image",
    },
    "object-detection": {
        "impl": f"{_HERE}.object_detection:ObjectDetectionPipeline",
        "pt": ("enfold.transformers.auto:AutoModelForObjectDetection",),
        "default": {"model": "facebook/detr-resnet-50"},
        "type": "multimodal",
    },
    "image-segmentation": {
        "impl": f"{_HERE}.image_segmentation:ImageSegmentationPipeline",
        "pt": (
            "enfold.transformers.auto:AutoModelForImageSegmentation",
            "enfold.transformers.auto:AutoModelForSemanticSegmentation",
            "enfold.transformers.auto:AutoModelForInstanceSegmentation",
            "enfold.transformers.auto:AutoModelForUniversalSegmentation",
        ),
        "default": {"model": "facebook/detr-resnet-50-panoptic"},
        "type": "multimodal",
    },
    "image-feature-extraction": {
        "impl": f"{_HERE}.image_feature_extraction:ImageFeatureExtractionPipeline",
        "pt": ("enfold.transformers.auto:AutoModel",),
        "default": {"model": "google/vit-base-patch16-224"},
        "type": "image",
    },
    "depth-estimation": {
        "impl": f"{_HERE}.depth_estimation:DepthEstimationPipeline",
        "pt": ("enfold.transformers.auto:AutoModelForDepthEstimation",),
        "default": {"model": "Intel/dpt-large"},
        "type": "image",
    },
    "mask-generation": {
        "impl": f"{_HERE}.mask_generation:MaskGenerationPipeline",
        "pt": ("enfold.transformers.auto:AutoModelForMaskGeneration",),
        "default": {"model": "facebook/sam-vit-huge"},
        "type": "multimodal",
    },
    "zero-shot-audio-classification": {
        "impl": f"{_HERE}.zero_shot_audio_classification:ZeroShotAudioClassificationPipeline",
        "pt": ("enfold.transformers.auto:AutoModel",),
        "default": {"model": "laion/clap-htsat-fused"},
        "type": "multimodal",
    },
    "text-to-audio": {
        "impl": f"{_HERE}.text_to_audio:TextToAudioPipeline",
        "pt": ("enfold.transformers.auto:AutoModelForTextToWaveform",),
        "default": {"model": "facebook/musicgen-small"},
        "type": "text",
    },
    "zero-shot-image-classification": {
        "impl": f"{_HERE}.zero_shot_image_classification:ZeroShotImageClassificationPipeline",
        "pt": ("enfold.transformers.auto:AutoModelForZeroShotImageClassification",),
        "default": {"model": "openai/clip-vit-base-patch32"},
        "type": "multimodal",
    },
    "zero-shot-object-detection": {
        "impl": f"{_HERE}.zero_shot_object_detection:ZeroShotObjectDetectionPipeline",
        "pt": ("enfold.transformers.auto:AutoModelForZeroShotObjectDetection",),
        "default": {"model": "google/owlvit-base-patch32"},
        "type": "multimodal",
    },
    "image-to-text": {
        "impl": f"{_HERE}.image_to_text:ImageToTextPipeline",
        "pt": ("enfold.transformers.auto:AutoModelForVision2Seq",),
        "default": {"model": "ydshieh/vit-gpt2-coco-en"},
        "type": "multimodal",
    },
    "visual-question-answering": {
        "impl": f"{_HERE}.visual_question_answering:VisualQuestionAnsweringPipeline",
        "pt": ("enfold.transformers.auto:AutoModelForVisualQuestionAnswering",),
        "default": {"model": "dandelin/vilt-b32-finetuned-vqa"},
        "type": "multimodal",
    },
    "text-generation": {
        "impl": f"{_HERE}.text_generation:TextGenerationPipeline",
        "pt": ("enfold.transformers.auto:AutoModelForCausalLM",),
        "default": {"model": "openai-community/gpt2"},
        "type": "text",
    },
    "summarization": {
        "impl": f"{_HERE}.text2text_generation:SummarizationPipeline",
        "pt": ("enfold.transformers.auto:AutoModelForSeq2SeqLM",),
        "default": {"model": "sshleifer/distilbart-cnn-12-6"},
        "type": "text",
    },
    "translation": {
        "impl": f"{_HERE}.text2text_generation:TranslationPipeline",
        "pt": ("enfold.transformers.auto:AutoModelForSeq2SeqLM",),
        # from, to → model
        "default": {pair: {"model": "google-t5/t5-base"} for pair in (("en", "fr"), ("en", "de"), ("en", "ro"))},
        "type": "text",
    },
    "text2text-generation": {
        "impl": f"{_HERE}.text2text_generation:Text2TextGenerationPipeline",
        "pt": ("enfold.transformers.auto:AutoModelForSeq2SeqLM",),
        "default": {"model": "google-t5/t5-base"},
        "type": "text",
    },
}
# other name → task
ALIASES = {
    "sentiment-analysis": "text-classification",
    "ner": "token-classification",
    "text-to-speech": "text-to-audio",
    "vqa": "visual-question-answering",
}
# ending of an architecture's name → task; the first that fits
ENDINGS = {
    "ViltForQuestionAnswering": "visual-question-answering",
    "BlipForQuestionAnswering": "visual-question-answering",
    "BlipForConditionalGeneration": "image-to-text",
    "VisionEncoderDecoderModel": "image-to-text",
    "MusicgenForConditionalGeneration": "text-to-audio",
    "OwlViTForObjectDetection": "zero-shot-object-detection",
    "CLIPModel": "zero-shot-image-classification",
    "SiglipModel": "zero-shot-image-classification",
    "ClapModel": "zero-shot-audio-classification",
    "ForSequenceClassification": "text-classification",
    "ForTokenClassification": "token-classification",
    "ForQuestionAnswering": "question-answering",
    "ForMaskedLM": "fill-mask",
    "ForCausalLM": "text-generation",
    "ForImageClassification": "image-classification",
    "ForObjectDetection": "object-detection",
    "ForSegmentation": "image-segmentation",
    "ForSemanticSegmentation": "image-segmentation",
    "ForDepthEstimation": "depth-estimation",
    "ForCTC": "automatic-speech-recognition",
    "ForAudioClassification": "audio-classification",
    "LMHeadModel": "text-generation",
    "WhisperForConditionalGeneration": "automatic-speech-recognition",
    "ForConditionalGeneration": "text2text-generation",
    "MTModel": "translation",
}


class UnknownTask(EnfoldError, KeyError):
    """No pipeline does this task."""

    def __str__(self) -> str:
        return str(self.args[0])


def _resolve(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    module, _, name = value.partition(":")
    return getattr(importlib.import_module(module), name)


class PipelineRegistry:
    """The tasks that ``pipeline`` knows.

    Args:
        supported_tasks: task → {"impl", "pt", "default", "type"}.
        task_aliases: other name → task.
    """

    def __init__(self, supported_tasks: dict[str, dict[str, Any]], task_aliases: dict[str, str]) -> None:
        self.supported_tasks = supported_tasks
        self.task_aliases = task_aliases

    def get_supported_tasks(self) -> list[str]:
        """Return every name of every task, sorted."""
        return sorted([*self.supported_tasks, *self.task_aliases])

    def check_task(self, task: str) -> tuple[str, dict[str, Any], Any]:
        """Return the task's own name, its description with classes resolved, and what else its name said: the
        languages of ``translation_en_to_fr``, else None.

        Raises:
            UnknownTask: a KeyError that names the closest task.

        Example:
            >>> PIPELINE_REGISTRY.check_task("sentiment-analysis")[0]
            'text-classification'
        """
        name, options = self._read(task)
        if name not in self.supported_tasks:
            known = self.get_supported_tasks()
            raise UnknownTask(f"unknown task {task!r}{nearest(task, known)}; the tasks are {', '.join(known)}")
        row = dict(self.supported_tasks[name])
        row["impl"] = _resolve(row["impl"])
        row["pt"] = tuple(_resolve(model) for model in row.get("pt") or ())
        if options is not None:
            row["default"] = row["default"].get(options)
        return name, row, options

    def knows(self, task: str | None) -> bool:
        """Return whether there is such a task."""
        return task is not None and self._read(task)[0] in self.supported_tasks

    def _read(self, task: str) -> tuple[str, Any]:
        """Return a task's own name, and the languages in what it was called, or None."""
        parts = task.split("_")
        if len(parts) == 4 and parts[0] == "translation" and parts[2] == "to":
            return "translation", (parts[1], parts[3])
        return self.task_aliases.get(task, task), None

    def register_pipeline(
        self,
        task: str,
        pipeline_class: Any,
        pt_model: Any = None,
        tf_model: Any = None,
        default: dict[str, Any] | None = None,
        type: str | None = None,
    ) -> None:
        """Make a task of your own known, or replace one.

        Args:
            task: its name.
            pipeline_class: a subclass of Pipeline.
            pt_model: the auto class, or several, that load its model.
            tf_model: accepted, unused.
            default: {"model": (id, revision) or id}, also under "pt".
            type: "text", "image", "audio" or "multimodal".
        """
        models = () if pt_model is None else tuple(pt_model) if isinstance(pt_model, list | tuple) else (pt_model,)
        row: dict[str, Any] = {"impl": pipeline_class, "pt": models, "type": type or "text"}
        if default is not None:
            row["default"] = default
        self.supported_tasks[task] = row
        pipeline_class._registered_impl = {task: row}

    def to_dict(self) -> dict[str, Any]:
        """Return task → description."""
        return self.supported_tasks


PIPELINE_REGISTRY = PipelineRegistry(TASKS, ALIASES)


def get_supported_tasks() -> list[str]:
    """Return every name of every task, sorted."""
    return PIPELINE_REGISTRY.get_supported_tasks()


def get_task(model: str, token: str | None = None, **_: Any) -> str:
    """Return the task that a repository's model is made for, as its card says.

    Raises:
        UnknownTask: the Hub does not say, or there is no such task here.
    """
    from enfold.hub import HfApi

    tag = getattr(HfApi(token=token).model_info(model), "pipeline_tag", None)
    if not tag:
        raise UnknownTask(
            f"nothing says which task {model!r} is for: pass task=…, one of {', '.join(get_supported_tasks())}"
        )
    return PIPELINE_REGISTRY.check_task(tag)[0]
