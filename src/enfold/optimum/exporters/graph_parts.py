"""A model as the graphs of a task: what they take and give, example tensors, and the dimensions that may vary.

``parts(model, task)`` is all that an exporter needs: it traces ``part.module`` with ``part.example``, names what goes
in and comes out, and frees the dimensions in ``part.axes``. Names are those of the ecosystem's exported repositories.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from enfold.optimum.exporters.examples import (
    BEFORE,
    CHOICES,
    LENGTH,
    READ,
    ROWS,
    arguments_of,
    images,
    recordings,
    spectrograms,
    takes,
    words,
)
from enfold.optimum.exporters.tasks import PAST, TASKS, WRITES, TaskError, spelled, task_of
from enfold.optimum.exporters.tracing import Call, Plain, causal, decoder, encoder, flat, whole
from enfold.transformers.registry import class_name

__all__ = ["Part", "parts"]

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
    asked = spelled(task_of(model) if task == "auto" else task)
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
    known = arguments_of(model)
    given: dict[str, Tensor] = {}
    axes: dict[str, dict[int, str]] = {}

    def add(name: str, tensor: Tensor, free: dict[int, str]) -> None:
        given[name], axes[name] = tensor, free

    if "input_ids" in known:
        shape, free = ((ROWS, CHOICES, LENGTH), CHOICE) if task == "multiple-choice" else ((ROWS, LENGTH), TEXT)
        if "pixel_values" in known and "pixel_mask" not in known:  # any number of texts beside any number of images
            shape = (ROWS * CHOICES, LENGTH)
            free = {0: "text_batch_size", 1: "sequence_length"}
        ids = words(model, shape)
        add("input_ids", ids, free)
        if "attention_mask" in known:
            add("attention_mask", torch.ones_like(ids), free)
        if getattr(config, "type_vocab_size", 0) > 1 and takes(model, "token_type_ids"):
            add("token_type_ids", torch.zeros_like(ids), free)
        if task == "feature-extraction" and config.is_encoder_decoder and "decoder_input_ids" in known:
            add("decoder_input_ids", words(model, (ROWS, LENGTH + 1)), WRITTEN)
            add("decoder_attention_mask", torch.ones(ROWS, LENGTH + 1, dtype=torch.long), WRITTEN)
        elif task == "feature-extraction" and "position_ids" in known and _continues(config):
            add("position_ids", torch.arange(LENGTH).expand(ROWS, LENGTH).contiguous(), TEXT)
    if "pixel_values" in known:
        pixels, free = images(model)
        add("pixel_values", pixels, free)
        if "pixel_mask" in known:
            mask = torch.ones(ROWS, *pixels.shape[2:], dtype=torch.long)
            add("pixel_mask", mask, {axis - (axis > 0): name for axis, name in free.items() if axis != 1})
    if "input_values" in known:
        add("input_values", recordings(config), SOUND)
        # Models whose first layers normalise each recording by itself were trained without a mask.
        if "attention_mask" in known and getattr(config, "feat_extract_norm", "group") == "layer":
            add("attention_mask", torch.ones(given["input_values"].shape, dtype=torch.long), SOUND)
    if "input_features" in known:
        add("input_features", spectrograms(config), BATCH)
        if "is_longer" in known:
            add("is_longer", torch.zeros(ROWS, 1, dtype=torch.bool), BATCH)
        if config.is_encoder_decoder and task == "feature-extraction":
            add("decoder_input_ids", words(model, (ROWS, LENGTH)), WRITTEN)
    if not given:
        raise TaskError(f"{type(model).__name__} takes {', '.join(known)}, none of which has examples here")
    return given, axes


def _continued(model: Any, wanted: tuple[str, ...], past: bool) -> Part:
    """Return the graph of a decoder."""
    given = {"input_ids": words(model, (ROWS, LENGTH))}
    axes: dict[str, dict[int, str]] = {"input_ids": TEXT}
    before = BEFORE if past else 0
    given["attention_mask"], axes["attention_mask"] = torch.ones(ROWS, LENGTH + before).long(), TOTAL if past else TEXT
    if takes(model, "position_ids"):
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
    given: dict[str, Tensor] = {"input_ids": words(model, (ROWS, LENGTH))}
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
        pixels, free = images(model)
        return {name: pixels}, {name: free}
    if name in ("input_features", "input_values"):
        return {name: spectrograms(model.config)}, {name: BATCH}
    ids = words(model, (ROWS, READ), encoder=True)
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


def _continues(config: Any) -> bool:
    """Return whether this is a family of decoders."""
    return class_name(config.model_type, "CausalLM") is not None and not hasattr(config, "type_vocab_size")
