"""The models with one graph: a class a task, which says what the graph answers."""

from __future__ import annotations

from typing import Any, ClassVar

from enfold.optimum.intel.openvino.modeling_base import OVBaseModel
from enfold.transformers import outputs

__all__ = [
    "OVModelForAudioClassification",
    "OVModelForAudioFrameClassification",
    "OVModelForAudioXVector",
    "OVModelForCTC",
    "OVModelForCustomTasks",
    "OVModelForFeatureExtraction",
    "OVModelForImageClassification",
    "OVModelForMaskedLM",
    "OVModelForQuestionAnswering",
    "OVModelForSequenceClassification",
    "OVModelForTokenClassification",
    "OVModelForZeroShotImageClassification",
]


class OVModelForFeatureExtraction(OVBaseModel):
    """The states of every token, patch or frame."""


class OVModelForMaskedLM(OVBaseModel):
    """The words that were masked."""

    export_feature = "fill-mask"
    output_class: ClassVar[Any] = outputs.MaskedLMOutput


class OVModelForSequenceClassification(OVBaseModel):
    """One prediction a row.

    Example:
        >>> model = OVModelForSequenceClassification.from_pretrained(
        ...     "distilbert/distilbert-base-uncased-finetuned-sst-2-english", export=True)  # doctest: +SKIP
        >>> model(**tokenizer("I love this movie!", return_tensors="pt")).logits.shape  # doctest: +SKIP
        torch.Size([1, 2])
    """

    export_feature = "text-classification"
    output_class: ClassVar[Any] = outputs.SequenceClassifierOutput


class OVModelForTokenClassification(OVBaseModel):
    """One prediction a token."""

    export_feature = "token-classification"
    output_class: ClassVar[Any] = outputs.TokenClassifierOutput


class OVModelForQuestionAnswering(OVBaseModel):
    """Where in a text an answer starts and ends."""

    export_feature = "question-answering"
    output_class: ClassVar[Any] = outputs.QuestionAnsweringModelOutput


class OVModelForImageClassification(OVBaseModel):
    """One prediction an image."""

    export_feature, main_input_name = "image-classification", "pixel_values"
    output_class: ClassVar[Any] = outputs.ImageClassifierOutput


class OVModelForZeroShotImageClassification(OVBaseModel):
    """How well images fit labels in words."""

    export_feature, main_input_name = "zero-shot-image-classification", "pixel_values"


class OVModelForAudioClassification(OVBaseModel):
    """One prediction a recording."""

    export_feature, main_input_name = "audio-classification", "input_values"
    output_class: ClassVar[Any] = outputs.SequenceClassifierOutput


class OVModelForAudioFrameClassification(OVBaseModel):
    """One prediction a frame of a recording."""

    export_feature, main_input_name = "audio-frame-classification", "input_values"
    output_class: ClassVar[Any] = outputs.TokenClassifierOutput


class OVModelForAudioXVector(OVBaseModel):
    """A voice as a vector."""

    export_feature, main_input_name = "audio-xvector", "input_values"


class OVModelForCTC(OVBaseModel):
    """The letters of every frame of a recording."""

    export_feature, main_input_name = "automatic-speech-recognition", "input_values"
    output_class: ClassVar[Any] = outputs.CausalLMOutput


class OVModelForCustomTasks(OVBaseModel):
    """Any graph: its outputs come under the names that they have in it."""
