"""The models with one graph: what each task's graph takes and answers. A new head is one row here.

``classes("ORT", ORTModel, __name__)`` makes ``ORTModelForMaskedLM`` and its like from the table.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

__all__ = ["HEADS", "Head", "classes", "names"]


class Head(NamedTuple):
    """A task.

    Args:
        what: it answers, in words.
        task: its name on the Hub, by which weights are exported.
        output: name of the output class in ``enfold.transformers.outputs``; fields come as the graph names them
            without one.
        main: name of the first input.
        renamed: what some graphs call an output → its field.
    """

    what: str
    task: str = "feature-extraction"
    output: str | None = None
    main: str = "input_ids"
    renamed: Mapping[str, str] = MappingProxyType({})


HEADS = {
    "FeatureExtraction": Head(
        "The states of every token, patch or frame.", renamed={"token_embeddings": "last_hidden_state"}
    ),
    "MaskedLM": Head("The words that were masked.", "fill-mask", "MaskedLMOutput"),
    "SequenceClassification": Head("One prediction a row.", "text-classification", "SequenceClassifierOutput"),
    "TokenClassification": Head("One prediction a token.", "token-classification", "TokenClassifierOutput"),
    "QuestionAnswering": Head(
        "Where in a text an answer starts and ends.", "question-answering", "QuestionAnsweringModelOutput"
    ),
    "MultipleChoice": Head("Which of several texts fits.", "multiple-choice", "MultipleChoiceModelOutput"),
    "ImageClassification": Head(
        "One prediction an image.", "image-classification", "ImageClassifierOutput", "pixel_values"
    ),
    "SemanticSegmentation": Head(
        "One prediction a pixel.", "semantic-segmentation", "SemanticSegmenterOutput", "pixel_values"
    ),
    "ObjectDetection": Head("Objects and their boxes.", "object-detection", main="pixel_values"),
    "DepthEstimation": Head("How far each pixel is.", "depth-estimation", main="pixel_values"),
    "ZeroShotImageClassification": Head(
        "How well images fit labels in words.", "zero-shot-image-classification", main="pixel_values"
    ),
    "AudioClassification": Head(
        "One prediction a recording.", "audio-classification", "SequenceClassifierOutput", "input_values"
    ),
    "AudioFrameClassification": Head(
        "One prediction a frame of a recording.", "audio-frame-classification", "TokenClassifierOutput", "input_values"
    ),
    "AudioXVector": Head("A voice as a vector.", "audio-xvector", main="input_values"),
    "CTC": Head(
        "The letters of every frame of a recording.", "automatic-speech-recognition", "CausalLMOutput", "input_values"
    ),
    "CustomTasks": Head("Any graph: its outputs come under the names that they have in it."),
}


def names(prefix: str, without: Collection[str] = ()) -> list[str]:
    """Return the names of a runtime's classes.

    Example:
        >>> names("ORT")[:2]
        ['ORTModelForFeatureExtraction', 'ORTModelForMaskedLM']
    """
    return [f"{prefix}ModelFor{ending}" for ending in HEADS if ending not in without]


def classes(prefix: str, base: Any, module: str, without: Collection[str] = ()) -> dict[str, Any]:
    """Return name → class of every head on a runtime.

    Args:
        prefix: of the names: ``"ORT"``.
        base: what they inherit, a ``RuntimeModel``.
        module: that they are attributes of.
        without: endings of those that the runtime does not have.
    """
    from enfold.nn.outputs import ModelOutput
    from enfold.transformers import outputs

    made = {}
    for ending, head in HEADS.items():
        if ending not in without:
            name = f"{prefix}ModelFor{ending}"
            fields = {
                "__doc__": f"{head.what} See ``{base.__name__}.from_pretrained`` and ``{base.__name__}.forward``.",
                "__module__": module,
                "task": head.task,
                "main_input_name": head.main,
                "output_class": getattr(outputs, head.output) if head.output else ModelOutput,
                "renamed": head.renamed,
            }
            made[name] = type(name, (base,), fields)
    return made
