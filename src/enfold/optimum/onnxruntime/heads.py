"""The models with one graph: a class a task, which says what the graph answers."""

from __future__ import annotations

from typing import Any, ClassVar

from enfold.nn.outputs import ModelOutput
from enfold.optimum.onnxruntime.model import ORTModel
from enfold.transformers import outputs

__all__ = [
    "ORTModelForAudioClassification",
    "ORTModelForAudioFrameClassification",
    "ORTModelForAudioXVector",
    "ORTModelForCTC",
    "ORTModelForCustomTasks",
    "ORTModelForDepthEstimation",
    "ORTModelForFeatureExtraction",
    "ORTModelForImageClassification",
    "ORTModelForMaskedLM",
    "ORTModelForMultipleChoice",
    "ORTModelForObjectDetection",
    "ORTModelForQuestionAnswering",
    "ORTModelForSemanticSegmentation",
    "ORTModelForSequenceClassification",
    "ORTModelForTokenClassification",
    "ORTModelForZeroShotImageClassification",
]


class ORTModelForFeatureExtraction(ORTModel):
    """The states of every token, patch or frame."""

    task = "feature-extraction"

    def fields(self, made: dict[str, Any]) -> dict[str, Any]:
        """Return what the graph made, under the name that states have."""
        return {"last_hidden_state" if name == "token_embeddings" else name: value for name, value in made.items()}


class ORTModelForMaskedLM(ORTModel):
    """The words that were masked."""

    task = "fill-mask"
    output_class: ClassVar[Any] = outputs.MaskedLMOutput


class ORTModelForSequenceClassification(ORTModel):
    """One prediction a row.

    Example:
        >>> model = ORTModelForSequenceClassification.from_pretrained(
        ...     "distilbert/distilbert-base-uncased-finetuned-sst-2-english", export=True)  # doctest: +SKIP
        >>> model(**tokenizer("I love this movie!", return_tensors="pt")).logits.shape  # doctest: +SKIP
        torch.Size([1, 2])
    """

    task = "text-classification"
    output_class: ClassVar[Any] = outputs.SequenceClassifierOutput


class ORTModelForTokenClassification(ORTModel):
    """One prediction a token."""

    task = "token-classification"
    output_class: ClassVar[Any] = outputs.TokenClassifierOutput


class ORTModelForQuestionAnswering(ORTModel):
    """Where in a text an answer starts and ends."""

    task = "question-answering"
    output_class: ClassVar[Any] = outputs.QuestionAnsweringModelOutput


class ORTModelForMultipleChoice(ORTModel):
    """Which of several texts fits."""

    task = "multiple-choice"
    output_class: ClassVar[Any] = outputs.MultipleChoiceModelOutput


class ORTModelForImageClassification(ORTModel):
    """One prediction an image."""

    task, main_input_name = "image-classification", "pixel_values"
    output_class: ClassVar[Any] = outputs.ImageClassifierOutput


class ORTModelForSemanticSegmentation(ORTModel):
    """One prediction a pixel."""

    task, main_input_name = "semantic-segmentation", "pixel_values"
    output_class: ClassVar[Any] = outputs.SemanticSegmenterOutput


class ORTModelForObjectDetection(ORTModel):
    """Objects and their boxes."""

    task, main_input_name = "object-detection", "pixel_values"


class ORTModelForDepthEstimation(ORTModel):
    """How far each pixel is."""

    task, main_input_name = "depth-estimation", "pixel_values"


class ORTModelForZeroShotImageClassification(ORTModel):
    """How well images fit labels in words."""

    task, main_input_name = "zero-shot-image-classification", "pixel_values"


class ORTModelForAudioClassification(ORTModel):
    """One prediction a recording."""

    task, main_input_name = "audio-classification", "input_values"
    output_class: ClassVar[Any] = outputs.SequenceClassifierOutput


class ORTModelForAudioFrameClassification(ORTModel):
    """One prediction a frame of a recording."""

    task, main_input_name = "audio-frame-classification", "input_values"
    output_class: ClassVar[Any] = outputs.TokenClassifierOutput


class ORTModelForAudioXVector(ORTModel):
    """A voice as a vector."""

    task, main_input_name = "audio-xvector", "input_values"


class ORTModelForCTC(ORTModel):
    """The letters of every frame of a recording."""

    task, main_input_name = "automatic-speech-recognition", "input_values"
    output_class: ClassVar[Any] = outputs.CausalLMOutput


class ORTModelForCustomTasks(ORTModel):
    """Any graph: its outputs come under the names that they have in it."""

    output_class: ClassVar[Any] = ModelOutput
