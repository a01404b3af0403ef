"""Models as plain functions of tensors, which is what exporters trace: no output classes, no caches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from enfold.nn.cache import Cache, CacheLayer, EncoderDecoderCache

__all__ = ["Plain", "TracedCache", "causal", "decoder", "encoder", "flat", "whole"]

Call = Callable[[Any, dict[str, Tensor]], dict[str, Tensor]]


class TracedLayer(CacheLayer):
    """Keys and values that a graph is given and gives back: each step makes new ones, nothing is written in place."""

    @property
    def keys(self) -> Tensor | None:
        """The keys (B, H, S, D), all filled: runtimes know a past by what is appended being what comes out, uncut."""
        return self._keys

    @property
    def values(self) -> Tensor | None:
        """The values (B, H, S, D)."""
        return self._values

    def update_and_fetch(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Append ``keys`` and ``values`` (B, H, T, D) and return all of them."""
        if self._keys is not None and self._values is not None:
            keys, values = torch.cat((self._keys, keys), 2), torch.cat((self._values, values), 2)
        self._keys, self._values, self.offset = keys, values, keys.shape[2]
        return keys, values


class TracedCache(Cache):
    """A cache of ``TracedLayer``; layers with a window keep everything too, and the mask hides what they do not see."""

    def _new(self, index: int) -> CacheLayer:
        return TracedLayer()

    def get_mask_sizes(self, query_length: Any, layer_idx: int = 0) -> tuple[int, int]:
        """Return the number of keys that ``query_length`` new tokens will see, and 0."""
        return self.layer(layer_idx).mask_sizes(query_length)


class Plain(nn.Module):
    """A model whose ``forward`` takes tensors in a fixed order and returns a tuple of tensors.

    Args:
        model: what runs.
        call: runs it: ``call(model, {name: tensor}) → {name: tensor}``.
        inputs: names, in the order of the arguments.
        outputs: names, in the order of what is returned.

    Example:
        >>> doubled = Plain(nn.Identity(), lambda model, given: {"y": 2 * model(given["x"])}, ["x"], ["y"])
        >>> doubled(torch.tensor([1, 2]))[0].tolist()
        [2, 4]
    """

    def __init__(self, model: nn.Module, call: Call, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        super().__init__()
        self.model, self.call, self.inputs, self.outputs = model, call, tuple(inputs), tuple(outputs)
        self.train(model.training)

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Return the outputs for the inputs, both in their fixed order."""
        made = self.call(self.model, dict(zip(self.inputs, tensors, strict=True)))
        return tuple(made[name] for name in self.outputs)


def whole(model: Any, given: dict[str, Tensor]) -> dict[str, Tensor]:
    """Run a model that has no cache."""
    options = {"use_cache": False} if "use_cache" in vars(model.config) else {}
    return tensors_of(model(**given, **options, return_dict=True))


def encoder(model: Any, given: dict[str, Tensor]) -> dict[str, Tensor]:
    """Run the part of an encoder-decoder that reads."""
    named = dict(given)
    first = named.pop(next(iter(named)))  # families call what they read by different names
    return tensors_of(model.get_encoder()(first, **named, return_dict=True))


def causal(model: Any, given: dict[str, Tensor]) -> dict[str, Tensor]:
    """Run a decoder, with the keys and values of the past where they are given."""
    named, past = _split(given)
    cache = TracedCache(_pairs(past, ("key", "value")))
    if past and "attention_mask" in named:
        total = named["input_ids"].shape[1] + next(iter(past.values())).shape[2]
        torch._check(named["attention_mask"].shape[1] == total)
    output = model(**named, past_key_values=cache, use_cache=True, return_dict=True)
    made = tensors_of(output)
    for index, (keys, values) in enumerate(cache):
        made[f"present.{index}.key"], made[f"present.{index}.value"] = keys, values
    return made


def decoder(model: Any, given: dict[str, Tensor], width: int = 1) -> dict[str, Tensor]:
    """Run the part of an encoder-decoder that writes; with a past, what was read is in its keys and values.

    Args:
        model: the encoder-decoder.
        given: ``input_ids``, ``encoder_hidden_states`` or a past, and ``encoder_attention_mask``.
        width: of the encoder's states.
    """
    named, past = _split(given)
    own, crossed = (_pairs(past, (f"{side}.key", f"{side}.value")) for side in ("decoder", "encoder"))
    cache = EncoderDecoderCache(TracedCache(own), TracedCache(crossed))
    read = named.pop("encoder_hidden_states", None)
    if read is None:  # only whether there is something is looked at, once its keys and values are there
        keys = crossed[0][0]
        read = keys.new_zeros(keys.shape[0], keys.shape[2], width)
    mask = named.pop("encoder_attention_mask", None)
    options = {} if mask is None else {"attention_mask": mask}
    ids = named.pop("input_ids")
    output = model(
        decoder_input_ids=ids, encoder_outputs=(read,), past_key_values=cache, use_cache=True, **options,
        return_dict=True,
    )  # fmt: skip
    made = tensors_of(output)
    for index, (keys, values, read_keys, read_values) in enumerate(cache):
        place = f"present.{index}"
        made[f"{place}.decoder.key"], made[f"{place}.decoder.value"] = keys, values
        made[f"{place}.encoder.key"], made[f"{place}.encoder.value"] = read_keys, read_values
    return made


def tensors_of(output: Any) -> dict[str, Tensor]:
    """Return the fields of an output that are tensors."""
    return {name: value for name, value in output.items() if isinstance(value, Tensor)}


def flat(output: dict[str, Tensor], wanted: Sequence[str]) -> list[str]:
    """Return which of the ``wanted`` outputs there are, with the keys and values after them."""
    return [*(name for name in wanted if name in output), *(name for name in output if name.startswith("present."))]


def _split(given: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    past = {name: tensor for name, tensor in given.items() if name.startswith("past_key_values.")}
    return {name: tensor for name, tensor in given.items() if name not in past}, past


def _pairs(past: dict[str, Tensor], ends: tuple[str, str]) -> list[tuple[Tensor, Tensor]]:
    pairs: list[tuple[Tensor, Tensor]] = []
    while f"past_key_values.{len(pairs)}.{ends[0]}" in past:
        keys, values = (past[f"past_key_values.{len(pairs)}.{end}"] for end in ends)
        pairs.append((keys, values))
    return pairs
