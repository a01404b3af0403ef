"""What model servers answer: one class for each task's answer, and for the parts of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from enfold.hub.inference.shape import BaseInferenceType

__all__ = [
    "AudioClassificationOutputElement",
    "AudioToAudioOutputElement",
    "AutomaticSpeechRecognitionOutput",
    "AutomaticSpeechRecognitionOutputChunk",
    "DepthEstimationOutput",
    "DocumentQuestionAnsweringOutputElement",
    "FillMaskOutputElement",
    "ImageClassificationOutputElement",
    "ImageSegmentationOutputElement",
    "ImageTextToImageOutput",
    "ImageTextToVideoOutput",
    "ImageToImageOutput",
    "ImageToTextOutput",
    "ImageToVideoOutput",
    "ObjectDetectionBoundingBox",
    "ObjectDetectionOutputElement",
    "QuestionAnsweringOutputElement",
    "SummarizationOutput",
    "TableQuestionAnsweringOutputElement",
    "Text2TextGenerationOutput",
    "TextClassificationOutputElement",
    "TextToAudioOutput",
    "TextToImageOutput",
    "TextToSpeechOutput",
    "TextToVideoOutput",
    "TokenClassificationOutputElement",
    "TranslationOutput",
    "VideoClassificationOutputElement",
    "VisualQuestionAnsweringOutputElement",
    "ZeroShotClassificationOutputElement",
    "ZeroShotImageClassificationOutputElement",
    "ZeroShotObjectDetectionBoundingBox",
    "ZeroShotObjectDetectionOutputElement",
]


@dataclass(eq=False)
class _Scored(BaseInferenceType):
    label: str
    score: float


@dataclass(eq=False)
class _Box(BaseInferenceType):
    xmax: int
    xmin: int
    ymax: int
    ymin: int


@dataclass(eq=False)
class AudioClassificationOutputElement(_Scored):
    """What may be heard, and how likely it is."""


@dataclass(eq=False)
class AudioToAudioOutputElement(BaseInferenceType):
    """A sound made from a sound, such as one of its voices."""

    blob: Any
    content_type: str
    label: str


@dataclass(eq=False)
class AutomaticSpeechRecognitionOutput(BaseInferenceType):
    """What was said."""

    text: str
    chunks: list[AutomaticSpeechRecognitionOutputChunk] | None = None


@dataclass(eq=False)
class AutomaticSpeechRecognitionOutputChunk(BaseInferenceType):
    """A part of what was said, and its seconds."""

    text: str
    timestamp: list[float]


@dataclass(eq=False)
class DepthEstimationOutput(BaseInferenceType):
    """How far away things are, as numbers and as an image."""

    depth: Any
    predicted_depth: Any


@dataclass(eq=False)
class DocumentQuestionAnsweringOutputElement(BaseInferenceType):
    """An answer, and the words of the document that it stands in."""

    answer: str
    end: int
    score: float
    start: int


@dataclass(eq=False)
class FillMaskOutputElement(BaseInferenceType):
    """A token for the gap, and the text with it."""

    score: float
    sequence: str
    token: int
    token_str: Any
    fill_mask_output_token_str: str | None = None


@dataclass(eq=False)
class ImageClassificationOutputElement(_Scored):
    """What may be seen, and how likely it is."""


@dataclass(eq=False)
class ImageSegmentationOutputElement(BaseInferenceType):
    """A thing in an image, and the mask of its pixels."""

    label: str
    mask: Any
    score: float | None = None


@dataclass(eq=False)
class ImageTextToImageOutput(BaseInferenceType):
    """An image made from an image and words."""

    image: Any


@dataclass(eq=False)
class ImageTextToVideoOutput(BaseInferenceType):
    """A video made from an image and words."""

    video: Any


@dataclass(eq=False)
class ImageToImageOutput(BaseInferenceType):
    """An image made from an image."""

    image: Any


@dataclass(eq=False)
class ImageToTextOutput(BaseInferenceType):
    """What an image shows, in words."""

    generated_text: Any
    image_to_text_output_generated_text: str | None = None


@dataclass(eq=False)
class ImageToVideoOutput(BaseInferenceType):
    """A video made from an image."""

    video: Any


@dataclass(eq=False)
class ObjectDetectionBoundingBox(_Box):
    """Where something is in an image, in pixels."""


@dataclass(eq=False)
class ObjectDetectionOutputElement(BaseInferenceType):
    """Something in an image, and where it is."""

    box: ObjectDetectionBoundingBox
    label: str
    score: float


@dataclass(eq=False)
class QuestionAnsweringOutputElement(BaseInferenceType):
    """An answer, and the characters of the text that it stands in."""

    answer: str
    end: int
    score: float
    start: int


@dataclass(eq=False)
class SummarizationOutput(BaseInferenceType):
    """A text made short."""

    summary_text: str


@dataclass(eq=False)
class TableQuestionAnsweringOutputElement(BaseInferenceType):
    """An answer, and the cells that it comes from."""

    answer: str
    cells: list[str]
    coordinates: list[list[int]]
    aggregator: str | None = None


@dataclass(eq=False)
class Text2TextGenerationOutput(BaseInferenceType):
    """A text made from a text."""

    generated_text: Any
    text2_text_generation_output_generated_text: str | None = None


@dataclass(eq=False)
class TextClassificationOutputElement(_Scored):
    """What a text may be, and how likely it is."""


@dataclass(eq=False)
class TextToAudioOutput(BaseInferenceType):
    """A sound made from words."""

    audio: Any
    sampling_rate: float


@dataclass(eq=False)
class TextToImageOutput(BaseInferenceType):
    """An image made from words."""

    image: Any


@dataclass(eq=False)
class TextToSpeechOutput(BaseInferenceType):
    """Words as speech."""

    audio: Any
    sampling_rate: float | None = None


@dataclass(eq=False)
class TextToVideoOutput(BaseInferenceType):
    """A video made from words."""

    video: Any


@dataclass(eq=False)
class TokenClassificationOutputElement(BaseInferenceType):
    """A word or name in a text, its kind, and its characters."""

    end: int
    score: float
    start: int
    word: str
    entity: str | None = None
    entity_group: str | None = None


@dataclass(eq=False)
class TranslationOutput(BaseInferenceType):
    """A text in another language."""

    translation_text: str


@dataclass(eq=False)
class VideoClassificationOutputElement(_Scored):
    """What a video may show, and how likely it is."""


@dataclass(eq=False)
class VisualQuestionAnsweringOutputElement(BaseInferenceType):
    """An answer, and how likely it is."""

    score: float
    answer: str | None = None


@dataclass(eq=False)
class ZeroShotClassificationOutputElement(_Scored):
    """One of the labels asked for, and how well it fits."""


@dataclass(eq=False)
class ZeroShotImageClassificationOutputElement(_Scored):
    """One of the labels asked for, and how well it fits."""


@dataclass(eq=False)
class ZeroShotObjectDetectionBoundingBox(_Box):
    """Where something is in an image, in pixels."""


@dataclass(eq=False)
class ZeroShotObjectDetectionOutputElement(BaseInferenceType):
    """One of the things asked for, and where it is."""

    box: ZeroShotObjectDetectionBoundingBox
    label: str
    score: float
