"""Training on real tokens alone: padding is left out of the layers, and words are predicted only where one counts.

A batch's rows are put one after another before the first layer, (1, N, D), and back into their places after the last;
each row attends to itself. Padding then costs nothing but its embedding. The output layer of a language model is called
on the states whose labels count. Losses and gradients stay those of the padded batch, up to rounding; dropout draws for
fewer tokens.

It is done on processors, where it pays, for heads whose loss reads nothing at padded places.

Shapes: B rows, T tokens, N real tokens, D width, H heads, V words.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from enfold.nn.attention import attend
from enfold.nn.losses import token_loss
from enfold.transformers.trainer.losses import bare_model, predicts_next_token

__all__ = ["Packing"]

_ROWS = ("ForSequenceClassification",)
_TOKENS = ("ForTokenClassification", "ForMaskedLM", "ForCausalLM", "LMHeadModel")
# Fewer padded tokens than this are not worth the slicing.
_LEAST = 64


class _Unpackable(Exception):
    """Layers are given something whose rows cannot be put one after another."""


class Packing:
    """Leaves padding out of a model's layers while a block runs.

    Args:
        model: to train.
        on: False leaves everything as it is.
    """

    def __init__(self, model: nn.Module, on: bool = True) -> None:
        inner = bare_model(model)
        name = type(inner).__name__
        # Of a model of somebody else's nobody knows what it reads at padded places.
        fits = type(inner).__module__.startswith("enfold.") and name.endswith(_ROWS + _TOKENS)
        self.runners = [part for part in inner.modules() if _runs_layers(part)] if fits else []
        self.on = on and bool(self.runners)
        self._by_token = name.endswith(_TOKENS)
        self._words = (
            _output_layer(inner)
            if on and fits and name.endswith(("ForMaskedLM", "ForCausalLM", "LMHeadModel"))
            else None
        )
        self._shifted = predicts_next_token(inner)
        self._mask: Tensor | None = None  # (B, T), True for a token of the batch that runs
        self._lengths: list[int] = []
        self._stepping = False

    @contextlib.contextmanager
    def active(self) -> Iterator[None]:
        """Let the model's layers run on packed rows, in the batches that :meth:`look_at` finds fit."""
        patched = self.runners if self.on else []
        for part in patched:
            for name in ("encode", "decode"):
                setattr(part, name, functools.partial(self._run, getattr(part, name)))
        try:
            yield
        finally:
            for part in patched:
                for name in ("encode", "decode"):
                    delattr(part, name)

    def look_at(self, inputs: Any) -> None:
        """Decide whether the next batch is packed: rows of tokens and then padding, which no label counts."""
        self._mask, self._stepping = None, True
        mask, labels = inputs.get("attention_mask"), inputs.get("labels")
        if not (self.on and isinstance(mask, Tensor) and mask.ndim == 2 and isinstance(labels, Tensor)):
            return
        lengths, width = mask.sum(1), mask.shape[1]
        real = torch.arange(width, device=mask.device) < lengths[:, None]
        if int(lengths.min()) == 0 or mask.numel() - int(lengths.sum()) < _LEAST or not torch.equal(real, mask.bool()):
            return
        if self._by_token and (labels.shape != mask.shape or bool((labels[~real] != -100).any())):
            return
        self._mask, self._lengths = real, lengths.tolist()

    def forget(self) -> None:
        """Pack no more until :meth:`look_at` is called."""
        self._mask, self._stepping = None, False

    def _run(
        self, run: Callable[..., Tensor], layers: Any, x: Tensor, record: Any, *inputs: Any, **named: Any
    ) -> Tensor:
        """Run layers as ``encode`` and ``decode`` do, on packed rows where that is possible."""
        mask, cache = self._mask, named.get("cache")
        if self._stepping and cache is not None and not cache.get_seq_length():
            named["cache"] = cache = None  # a step of training writes no cache that anybody reads
        watched = record.wants_attentions or record.wants_states or record.wants_routers or record.explicit is not False
        if mask is None or x.shape[:2] != mask.shape or cache is not None or watched:
            return run(layers, x, record, *inputs, **named)
        seen: set[str] = set()
        try:
            packed = [self._packed(value, mask, seen) for value in inputs]
            if named.get("each") is not None:
                kept = {id(value): self._packed(value, mask, seen) for view in named["each"] for value in view}
                named["each"] = [tuple(kept[id(value)] for value in view) for view in named["each"]]
        except _Unpackable:
            return run(layers, x, record, *inputs, **named)
        if len(seen) != 1:  # no mask, or several: layers that look at different things
            return run(layers, x, record, *inputs, **named)
        record.explicit = functools.partial(self._attend, seen == {"causal"})
        try:
            out = run(layers, x[mask][None], record, *packed, **named)
        finally:
            record.explicit = False
        places = out.new_zeros(x.shape)
        places[mask] = out[0]
        return places

    def _packed(self, value: Any, mask: Tensor, seen: set[str]) -> Any:
        """Return what layers take for packed rows in the place of ``value``; note which mask it was."""
        rows, width = mask.shape
        if isinstance(value, tuple):
            return tuple(self._packed(item, mask, seen) for item in value)
        if not isinstance(value, Tensor):
            return value
        if value.dtype == torch.bool and value.shape == (rows, 1, 1, width) and torch.equal(value[:, 0, 0], mask):
            seen.add("all")
            return None
        if value.dtype == torch.bool and value.shape == (rows, 1, width, width):
            before = torch.ones(width, width, dtype=torch.bool, device=mask.device).tril()
            if torch.equal(value[:, 0], before & mask[:, None]):
                seen.add("causal")
                return None
        if value.is_floating_point() and value.ndim == 4 and value.shape[1:3] == (1, width):
            return value[:, 0].expand(rows, -1, -1)[mask][None, None]  # angles of positions, (1, 1, N, d)
        raise _Unpackable

    def _attend(
        self, past_only: bool, query: Tensor, key: Tensor, value: Tensor, mask: Any, **options: Any
    ) -> tuple[Tensor, None]:
        """Attend within each row; (1, H, N, d) → (1, H, N, d)."""
        options["causal"] = past_only
        rows = zip(*(part.split(self._lengths, dim=2) for part in (query, key, value)), strict=True)
        return torch.cat([attend(q, k, v, None, **options)[0] for q, k, v in rows], dim=2), None

    def loss(self, model: nn.Module, inputs: Any, items: Any = None) -> Tensor | None:
        """Return a language model's loss from the words that count alone, or None where that saves nothing.

        Args:
            model: to call; without labels, it returns logits.
            inputs: the batch, with ``labels`` (B, T).
            items: what to divide by instead of the labels that count.
        """
        labels = inputs.get("labels")
        if self._words is None or not isinstance(labels, Tensor) or labels.ndim != 2 or labels.is_floating_point():
            return None
        wanted = F.pad(labels, (0, 1), value=-100)[:, 1:] if self._shifted else labels
        counted = wanted != -100
        number = int(counted.sum())
        if number == 0 or number > 0.9 * counted.numel():
            return None

        def select(module: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
            return (given[0][counted][None], *given[1:]) if given[0].shape[:2] == counted.shape else given

        hook = self._words.register_forward_pre_hook(select)
        try:
            out = model(**{name: value for name, value in inputs.items() if name != "labels"})
        finally:
            hook.remove()
        logits = out["logits"] if isinstance(out, dict) else out[0]
        if logits.shape[:2] != (1, number):
            return None
        return token_loss(logits[0], wanted[counted], items)


def _runs_layers(part: nn.Module) -> bool:
    kind: Any = type(part)
    return (
        callable(getattr(kind, "encode", None)) and callable(getattr(kind, "decode", None)) and hasattr(kind, "through")
    )


def _output_layer(model: nn.Module) -> nn.Module | None:
    """The layer that makes words of states, if it is a plain one that nothing but the loss follows."""
    find = getattr(model, "get_output_embeddings", None)
    layer = find() if find is not None else None
    routed = getattr(getattr(model, "config", None), "output_router_logits", False)
    return layer if isinstance(layer, nn.Linear) and not routed else None
