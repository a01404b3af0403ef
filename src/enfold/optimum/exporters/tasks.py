"""What each task's graphs take and give: their names, example tensors, and the dimensions that may vary.

``parts(model, task)`` is all that an exporter needs: it traces ``part.module`` with ``part.example``, names what goes
in and comes out, and frees the dimensions in ``part.axes``. Names are those of the ecosystem's exported repositories.
"""

from __future__ import annotations

import inspect
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from enfold.errors import EnfoldError, nearest
from enfold.optimum.exporters.tracing import Call, Plain, causal, decoder, encoder, flat, whole
from enfold.transformers.registry import MODELS, class_name

__all__ = [
    "SYNONYMS",
    "TASKS",
    "Part",
    "Task",
    "TaskError",
    "TasksManager",
    "auto_class",
    "model_tasks",
    "parts",
    "task_of",
]


class TaskError(EnfoldError, ValueError):
    """No such task, or none that this kind of model does."""


class Task(NamedTuple):
    """A task: the auto classes that do it (keys of ``registry.TASKS``, the first that a model has counts), and what
    its graph gives; outputs that a model does not have are left out."""

    classes: tuple[str, ...]
    outputs: tuple[str, ...] = ("logits",)


TASKS: dict[str, Task] = {
    "feature-extraction": Task(
        ("Model",),
        ("logits_per_image", "logits_per_text", "text_embeds", "image_embeds", "image_embeddings", "audio_embeds",
         "last_hidden_state", "encoder_last_hidden_state", "pooler_output"),
    ),
    "text2text-generation": Task(("Seq2SeqLM",)),
    "fill-mask": Task(("MaskedLM",)),
    "text-classification": Task(("SequenceClassification",)),
    "token-classification": Task(("TokenClassification",)),
    "question-answering": Task(("QuestionAnswering",), ("start_logits", "end_logits")),
    "multiple-choice": Task(("MultipleChoice",)),
    "text-generation": Task(("CausalLM",)),
    "automatic-speech-recognition": Task(("SpeechSeq2Seq", "CTC")),
    "audio-classification": Task(("AudioClassification",)),
    "audio-frame-classification": Task(("AudioFrameClassification",)),
    "audio-xvector": Task(("AudioXVector",), ("logits", "embeddings")),
    "image-classification": Task(("ImageClassification",)),
    "image-segmentation": Task(("ImageSegmentation",), ("logits", "pred_boxes", "pred_masks")),
    "semantic-segmentation": Task(("SemanticSegmentation",)),
    "object-detection": Task(("ObjectDetection",), ("logits", "pred_boxes")),
    "depth-estimation": Task(("DepthEstimation",), ("predicted_depth",)),
    "masked-im": Task(("MaskedImageModeling",), ("reconstruction", "logits")),
    "image-to-text": Task(("Vision2Seq",)),
    "zero-shot-image-classification": Task(
        ("ZeroShotImageClassification",), ("logits_per_image", "logits_per_text", "text_embeds", "image_embeds")
    ),
    "zero-shot-object-detection": Task(
        ("ZeroShotObjectDetection",), ("logits", "pred_boxes", "text_embeds", "image_embeds")
    ),
    "visual-question-answering": Task(("VisualQuestionAnswering",)),
}  # fmt: skip

# Further spellings, older ones and those of the ecosystem's command line.
SYNONYMS: dict[str, str] = {
    "default": "feature-extraction",
    "masked-lm": "fill-mask",
    "sequence-classification": "text-classification",
    "sentiment-analysis": "text-classification",
    "zero-shot-classification": "text-classification",
    "ner": "token-classification",
    "causal-lm": "text-generation",
    "seq2seq-lm": "text2text-generation",
    "summarization": "text2text-generation",
    "translation": "text2text-generation",
    "speech2seq-lm": "automatic-speech-recognition",
    "ctc": "automatic-speech-recognition",
    "audio-ctc": "automatic-speech-recognition",
    "image-feature-extraction": "feature-extraction",
    "sentence-similarity": "feature-extraction",
    "vision2seq-lm": "image-to-text",
    "image-text-to-text": "image-to-text",
}

PAST = "-with-past"
# What encoder-decoders do in several graphs.
WRITES = ("text2text-generation", "image-to-text", "automatic-speech-recognition")
# The dimensions of an example: all different, and neither 0 nor 1, so that none is taken for another or for fixed.
ROWS, LENGTH, BEFORE, READ, CHOICES = 2, 5, 7, 11, 3

# Names of dimensions, as the ecosystem writes them.
TEXT = {0: "batch_size", 1: "sequence_length"}
CHOICE = {0: "batch_size", 1: "num_choices", 2: "sequence_length"}
TOTAL = {0: "batch_size", 1: "past_sequence_length + sequence_length"}
BATCH = {0: "batch_size"}
SOUND = {0: "batch_size", 1: "audio_sequence_length"}
WRITTEN = {0: "batch_size", 1: "decoder_sequence_length"}
SEEN = {0: "batch_size", 1: "encoder_sequence_length"}


@dataclass(frozen=True)
class Part:
    """One graph of a model.

    Attributes:
        name: of its file, without the ending: ``model``, or ``encoder_model``, ``decoder_model``,
            ``decoder_with_past_model``.
        module: what to trace: ``module(*inputs.values())`` returns the tuple of ``outputs``.
        inputs: name → example, in the order of the arguments.
        outputs: names, in order.
        axes: name of an input → its dimensions that may vary: index → name.
    """

    name: str
    module: Plain
    inputs: dict[str, Tensor]
    outputs: tuple[str, ...]
    axes: dict[str, dict[int, str]]

    @property
    def example(self) -> tuple[Tensor, ...]:
        """The example's tensors, in the order of the arguments."""
        return tuple(self.inputs.values())


def parts(model: Any, task: str = "auto") -> list[Part]:
    """Return the graphs that export a model for a task.

    Args:
        model: with weights; it is put into evaluation mode.
        task: a name or synonym of ``TASKS``, or ``"auto"``, what the model's class does. Ending in ``-with-past``
            it takes and gives keys and values, which is what fast generation needs.

    Returns:
        One graph named ``model``; of an encoder-decoder that writes ``encoder_model``, ``decoder_model`` and with a
        past ``decoder_with_past_model`` too.

    Raises:
        TaskError: for a task that there is not, or that the model does not do.

    Example:
        >>> from enfold.transformers import BertConfig, BertModel
        >>> config = BertConfig(vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=2,
        ...                     intermediate_size=8)
        >>> part, = parts(BertModel(config), "feature-extraction")
        >>> list(part.inputs), part.outputs
        (['input_ids', 'attention_mask', 'token_type_ids'], ('last_hidden_state',))
    """
    asked = _spelled(task_of(model) if task == "auto" else task)
    plain = asked.removesuffix(PAST)
    model.eval()
    wanted = TASKS[plain].outputs
    if plain in WRITES and model.config.is_encoder_decoder:
        return _written(model, wanted, asked.endswith(PAST))
    if plain == "text-generation":
        return [_continued(model, wanted, asked.endswith(PAST))]
    given, axes = _inputs(model, plain)
    if "pixel_values" not in given and hasattr(model.config, "type_vocab_size"):
        wanted = tuple(name for name in wanted if name != "pooler_output")  # of BERT and its kind; nobody exports it
    return [_part("model", model, whole, given, axes, wanted)]


def task_of(model: Any) -> str:
    """Return the task that a model's class does.

    Args:
        model: a model, or a configuration with ``architectures``.

    Raises:
        TaskError: when its class does none of ``TASKS``.
    """
    config = getattr(model, "config", model)
    names = list(config.architectures or ()) if config is model else [type(model).__name__]
    for task, row in TASKS.items():
        for kind in row.classes:
            if config.model_type in MODELS and class_name(config.model_type, kind, names) in names:
                return (
                    task + PAST if task == "text-generation" or (task in WRITES and config.is_encoder_decoder) else task
                )
    if any(name.endswith(("Model", "ModelWithProjection")) for name in names):
        return "feature-extraction"
    raise TaskError(
        f"cannot tell the task of {', '.join(names) or 'a configuration without architectures'}; pass task=, one of "
        f"{', '.join(model_tasks(config.model_type))}"
    )


def model_tasks(model_type: str) -> list[str]:
    """Return the tasks that a model type can be exported for.

    Example:
        >>> model_tasks("resnet")
        ['feature-extraction', 'image-classification']
    """
    if model_type not in MODELS:
        return []
    return [task for task, row in TASKS.items() if any(class_name(model_type, kind) for kind in row.classes)]


def auto_class(task: str, config: Any) -> Any:
    """Return the auto class that loads a model for a task.

    Raises:
        TaskError: when the kind of model does not do it.
    """
    from enfold.transformers import auto

    plain = _spelled(task).removesuffix(PAST)
    for kind in TASKS[plain].classes:
        if config.model_type not in MODELS or class_name(config.model_type, kind, config.architectures or ()):
            return getattr(auto, "AutoModel" if kind == "Model" else f"AutoModelFor{kind}")
    known = ", ".join(model_tasks(config.model_type))
    raise TaskError(f"{config.model_type} does not do {task!r}; it does {known}")


class TasksManager:
    """The same under the names of ``optimum.exporters.tasks.TasksManager``."""

    @staticmethod
    def get_all_tasks() -> list[str]:
        """Return all tasks."""
        return list(TASKS)

    @staticmethod
    def get_supported_tasks_for_model_type(model_type: str, exporter: str = "onnx", **_: Any) -> list[str]:
        """Return the tasks of a model type; the same for every exporter."""
        return model_tasks(model_type)

    @staticmethod
    def map_from_synonym(task: str) -> str:
        """Return a task's usual spelling."""
        return _spelled(task)

    @staticmethod
    def synonyms_for_task(task: str) -> set[str]:
        """Return a task's other spellings."""
        plain = _spelled(task)
        return {name for name, usual in SYNONYMS.items() if usual == plain}

    @staticmethod
    def infer_task_from_model(model: Any, **where: Any) -> str:
        """Return the task that a model, or the configuration of a folder or repository, is for."""
        if isinstance(model, str | os.PathLike):
            from enfold.transformers.config import AutoConfig

            model = AutoConfig.from_pretrained(model, **where)
        return task_of(model).removesuffix(PAST)


def _spelled(task: str) -> str:
    plain = task.removesuffix(PAST)
    found = SYNONYMS.get(plain, plain)
    if found not in TASKS:
        known = [*TASKS, *SYNONYMS]
        raise TaskError(f"no task is called {task!r}{nearest(plain, known)}; there are {', '.join(TASKS)}")
    return found + PAST if task != plain else found


def _part(
    name: str, model: Any, call: Call, given: dict[str, Tensor], axes: Mapping[str, dict[int, str]], wanted: Any
) -> Part:
    """Run the model once: what it returns says which outputs there are."""
    with torch.no_grad():
        outputs = flat(call(model, given), wanted)
    if not outputs:
        raise TaskError(f"{type(model).__name__} returns none of {', '.join(wanted)}")
    module = Plain(model, call, list(given), outputs)
    return Part(name, module, given, tuple(outputs), {key: dict(value) for key, value in axes.items()})


def _inputs(model: Any, task: str) -> tuple[dict[str, Tensor], dict[str, dict[int, str]]]:
    """Return example inputs and their free dimensions for a task without a past."""
    config = model.config
    known = _arguments(model)
    given: dict[str, Tensor] = {}
    axes: dict[str, dict[int, str]] = {}

    def add(name: str, tensor: Tensor, free: dict[int, str]) -> None:
        given[name], axes[name] = tensor, free

    if "input_ids" in known:
        shape, free = ((ROWS, CHOICES, LENGTH), CHOICE) if task == "multiple-choice" else ((ROWS, LENGTH), TEXT)
        if "pixel_values" in known and "pixel_mask" not in known:  # any number of texts beside any number of images
            shape = (ROWS * CHOICES, LENGTH)
            free = {0: "text_batch_size", 1: "sequence_length"}
        ids = _ids(model, shape)
        add("input_ids", ids, free)
        if "attention_mask" in known:
            add("attention_mask", torch.ones_like(ids), free)
        if getattr(config, "type_vocab_size", 0) > 1 and _takes(model, "token_type_ids"):
            add("token_type_ids", torch.zeros_like(ids), free)
        if task == "feature-extraction" and config.is_encoder_decoder and "decoder_input_ids" in known:
            add("decoder_input_ids", _ids(model, (ROWS, LENGTH + 1)), WRITTEN)
            add("decoder_attention_mask", torch.ones(ROWS, LENGTH + 1, dtype=torch.long), WRITTEN)
        elif task == "feature-extraction" and "position_ids" in known and _continues(config):
            add("position_ids", torch.arange(LENGTH).expand(ROWS, LENGTH).contiguous(), TEXT)
    if "pixel_values" in known:
        pixels, free = _pixels(model)
        add("pixel_values", pixels, free)
        if "pixel_mask" in known:
            mask = torch.ones(ROWS, *pixels.shape[2:], dtype=torch.long)
            add("pixel_mask", mask, {axis - (axis > 0): name for axis, name in free.items() if axis != 1})
    if "input_values" in known:
        add("input_values", _samples(config), SOUND)
        # Models whose first layers normalise each recording by itself were trained without a mask.
        if "attention_mask" in known and getattr(config, "feat_extract_norm", "group") == "layer":
            add("attention_mask", torch.ones(given["input_values"].shape, dtype=torch.long), SOUND)
    if "input_features" in known:
        add("input_features", _features(config), BATCH)
        if "is_longer" in known:
            add("is_longer", torch.zeros(ROWS, 1, dtype=torch.bool), BATCH)
        if config.is_encoder_decoder and task == "feature-extraction":
            add("decoder_input_ids", _ids(model, (ROWS, LENGTH)), WRITTEN)
    if not given:
        raise TaskError(f"{type(model).__name__} takes {', '.join(known)}, none of which has examples here")
    return given, axes


def _continued(model: Any, wanted: tuple[str, ...], past: bool) -> Part:
    """Return the graph of a decoder."""
    given = {"input_ids": _ids(model, (ROWS, LENGTH))}
    axes: dict[str, dict[int, str]] = {"input_ids": TEXT}
    before = BEFORE if past else 0
    given["attention_mask"], axes["attention_mask"] = torch.ones(ROWS, LENGTH + before).long(), TOTAL if past else TEXT
    if _takes(model, "position_ids"):
        places = torch.arange(before, before + LENGTH)
        given["position_ids"], axes["position_ids"] = places.expand(ROWS, LENGTH).contiguous(), TEXT
    if not past:
        return _part("model", model, whole, given, axes, wanted)
    with torch.no_grad():
        made = causal(model, {"input_ids": given["input_ids"], "attention_mask": torch.ones(ROWS, LENGTH).long()})
    _remember(given, axes, made, BEFORE)
    return _part("model", model, causal, given, axes, wanted)


def _written(model: Any, wanted: tuple[str, ...], past: bool) -> list[Part]:
    """Return the graphs of an encoder-decoder that writes."""
    read, axes = _read(model)
    found = [_part("encoder_model", model, encoder, read, axes, ("last_hidden_state",))]
    with torch.no_grad():
        states = encoder(model, read)["last_hidden_state"]
    given: dict[str, Tensor] = {"input_ids": _ids(model, (ROWS, LENGTH))}
    free: dict[str, dict[int, str]] = {"input_ids": WRITTEN}
    fixed = "attention_mask" not in read
    if not fixed:
        given["encoder_attention_mask"], free["encoder_attention_mask"] = read["attention_mask"], SEEN
    with_past, free_with_past = dict(given), dict(free)
    given["encoder_hidden_states"], free["encoder_hidden_states"] = states, BATCH if fixed else SEEN
    call = decoder if past else _decoded
    found.append(_part("decoder_model", model, call, given, free, wanted))
    if past:
        with torch.no_grad():
            made = decoder(model, given)
        _remember(with_past, free_with_past, made, BEFORE, fixed)
        call = partial(decoder, width=states.shape[-1])
        part = _part("decoder_with_past_model", model, call, with_past, free_with_past, wanted)
        outputs = tuple(name for name in part.outputs if ".encoder." not in name)  # they do not change
        module = Plain(model, call, list(part.inputs), outputs)
        found.append(Part(part.name, module, part.inputs, outputs, part.axes))
    return found


def _decoded(model: Any, given: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in decoder(model, given).items() if not name.startswith("present.")}


def _read(model: Any) -> tuple[dict[str, Tensor], dict[str, dict[int, str]]]:
    """Return what an encoder is given."""
    name = model.main_input_name
    if name == "pixel_values":
        pixels, free = _pixels(model)
        return {name: pixels}, {name: free}
    if name in ("input_features", "input_values"):
        return {name: _features(model.config)}, {name: BATCH}
    ids = _ids(model, (ROWS, READ), encoder=True)
    return {name: ids, "attention_mask": torch.ones_like(ids)}, {name: SEEN, "attention_mask": SEEN}


def _remember(
    given: dict[str, Tensor],
    axes: dict[str, dict[int, str]],
    made: dict[str, Tensor],
    before: int,
    fixed: bool = False,
) -> None:
    """Add keys and values (B, H, S, D) of ``before`` positions, in the shapes that a first run has ``made``."""
    for name, tensor in made.items():
        if not name.startswith("present."):
            continue
        crossed = ".encoder." in name
        length, free = before, {0: "batch_size", 2: "past_sequence_length"}
        if crossed:
            length, free = tensor.shape[2], {0: "batch_size", 2: "encoder_sequence_length"}
        elif ".decoder." in name:
            free = {0: "batch_size", 2: "past_decoder_sequence_length"}
        if crossed and fixed:
            free = BATCH
        name = name.replace("present", "past_key_values")
        given[name] = torch.zeros(tensor.shape[0], tensor.shape[1], length, tensor.shape[3], dtype=tensor.dtype)
        axes[name] = free


# --- examples


def _continues(config: Any) -> bool:
    """Return whether this is a family of decoders."""
    return class_name(config.model_type, "CausalLM") is not None and not hasattr(config, "type_vocab_size")


def _arguments(model: Any) -> list[str]:
    """Return the names of what a model takes; a head that passes on whatever it is given takes what its model does."""
    arguments = inspect.signature(model.forward).parameters
    names = [name for name, one in arguments.items() if one.kind not in (one.VAR_KEYWORD, one.VAR_POSITIONAL)]
    if any(one.kind is one.VAR_POSITIONAL for one in arguments.values()) and model.base_model is not model:
        names += [name for name in _arguments(model.base_model) if name not in names]
    return names


def _takes(model: Any, name: str) -> bool:
    """Return whether the model, or what it passes its arguments on to, takes one of this name."""
    return name in _arguments(model) and name in _arguments(model.base_model)


def _ids(model: Any, shape: tuple[int, ...], encoder: bool = False) -> Tensor:
    """Return ids that are words of the model: counted on, ending with its end token where it has one."""
    config = model.config
    text: Any = getattr(config, "encoder", None) if encoder else getattr(config, "decoder", None)
    text = text if hasattr(text, "vocab_size") else config.get_text_config()
    ids = (torch.arange(math.prod(shape)) % max(text.vocab_size - 4, 1) + 3).clamp(max=text.vocab_size - 1).view(shape)
    end = getattr(text, "eos_token_id", None)
    end = end[0] if isinstance(end, list) else end
    if end is not None and end < text.vocab_size:
        ids[..., -1] = end
    return ids


def _pixels(model: Any) -> tuple[Tensor, dict[int, str]]:
    """Return images (B, channels, height, width) and their free dimensions."""
    config = model.config
    for name in ("vision_config", "encoder"):
        config = getattr(config, name, None) or config
    size = getattr(config, "image_size", None)
    free = {0: "batch_size"}
    if size is None:
        size, free = 64, {0: "batch_size", 2: "height", 3: "width"}
    height, width = size if isinstance(size, list | tuple) else (size, size)
    if 2 in free:
        width += 32
    channels = getattr(config, "num_channels", 3)
    return torch.linspace(-1, 1, ROWS * channels * height * width).view(ROWS, channels, height, width), free


def _samples(config: Any) -> Tensor:
    """Return recordings (B, samples), long enough for a few frames."""
    hop = math.prod(getattr(config, "conv_stride", (320,)))
    return torch.linspace(-1, 1, ROWS * hop * 33).sin().view(ROWS, -1)


def _features(config: Any) -> Tensor:
    """Return spectrograms of the size that a model takes."""
    if hasattr(config, "max_source_positions"):
        return torch.linspace(-1, 1, ROWS * config.num_mel_bins * 2 * config.max_source_positions).view(
            ROWS, config.num_mel_bins, -1
        )
    sound = getattr(config, "audio_config", config)
    frames = sound.spec_size * (sound.spec_size // sound.num_mel_bins)
    return torch.linspace(-1, 1, ROWS * frames * sound.num_mel_bins).view(ROWS, 1, frames, -1)
