"""Training on real tokens alone: padding is left out of the layers, and words are predicted only where one counts.

A batch's rows are put one after another before the first layer, (1, N, D), and back into their places after the last;
each row attends to itself. Padding then costs nothing but its embedding. Where rows begin alike (completions of one
prompt) and layers look at the past alone, their common beginning is read once. The output layer of a language model is
called on the states whose labels count. Losses and gradients stay those of the padded batch, up to rounding; dropout
draws for fewer tokens.

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
# Beginnings that fewer tokens have in common are read for each row.
_ALIKE = 16
# Where configurations say that weights of attention are dropped, for which there is no module.
_ATTENTION_DROPOUT = ("attention_dropout", "attn_pdrop", "attn_dropout", "attention_probs_dropout_prob")


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
        self._shares: list[tuple[int, int]] = []  # of each row: another that begins alike, and for how many tokens
        self._index: Tensor | None = None  # (N,), where each real token's states are, if some are read once for several
        self._own: Tensor | None = None  # (B, T), True for the tokens that are read then
        self._draws = any(isinstance(part, nn.Dropout) and part.p > 0 for part in inner.modules()) or any(
            getattr(getattr(inner, "config", None), name, 0) for name in _ATTENTION_DROPOUT
        )
        self._inner = inner
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
        """Decide whether the next batch is packed: rows of tokens and then padding, which no label counts.

        With ``input_ids`` among the inputs, beginnings that rows have in common are looked for.
        """
        self._mask, self._index, self._own, self._stepping = None, None, None, True
        mask, labels = inputs.get("attention_mask"), inputs.get("labels")
        if not (self.on and isinstance(mask, Tensor) and mask.ndim == 2 and isinstance(labels, Tensor)):
            return
        lengths, width = mask.sum(1), mask.shape[1]
        real = torch.arange(width, device=mask.device) < lengths[:, None]
        if int(lengths.min()) == 0 or not torch.equal(real, mask.bool()):
            return
        ids = inputs.get("input_ids")
        alike = isinstance(ids, Tensor) and ids.shape == mask.shape and not (self._draws and self._inner.training)
        self._shares = _alike(ids, lengths.tolist()) if alike else []
        spared = sum(count for _, count in self._shares)
        if mask.numel() - int(lengths.sum()) + spared < _LEAST:
            return
        if self._by_token and (labels.shape != mask.shape or bool((labels[~real] != -100).any())):
            return
        self._mask, self._lengths = real, lengths.tolist()
        if spared:
            self._look_once(real)

    def _look_once(self, real: Tensor) -> None:
        """Let tokens at the beginnings that rows have in common be read in the first of these rows alone."""
        own = real.clone()
        for row, (_, count) in enumerate(self._shares):
            own[row, :count] = False
        index = torch.zeros(real.shape, dtype=torch.long, device=real.device)
        index[own] = torch.arange(int(own.sum()), device=real.device)
        for row, (other, count) in enumerate(self._shares):
            index[row, :count] = index[other, :count]
        self._own, self._index = own, index[real]

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
        views = named.get("each")
        try:
            packed = [self._packed(value, mask, seen) for value in inputs]
            if views is not None:
                kept = {id(value): self._packed(value, mask, seen) for view in views for value in view}
                named["each"] = [tuple(kept[id(value)] for value in view) for view in views]
        except _Unpackable:
            return run(layers, x, record, *inputs, **{**named, **({} if views is None else {"each": views})})
        told = [inputs] if views is None else views
        if not seen and bool(mask.all()) and all(any(value is True for value in view) for view in told):
            seen.add("causal")  # no padding, and layers that are told to look back without a mask
        if len(seen) != 1 or (self._own is not None and seen != {"causal"}):
            # No mask, or several: layers that look at different things; or layers that look ahead.
            return run(layers, x, record, *inputs, **{**named, **({} if views is None else {"each": views})})
        record.explicit = functools.partial(self._attend, seen == {"causal"})
        try:
            out = run(layers, x[mask if self._own is None else self._own][None], record, *packed, **named)
        finally:
            record.explicit = False
        places = out.new_zeros(x.shape)
        places[mask] = out[0] if self._index is None else out[0][self._index]
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
            read = mask if self._own is None else self._own
            return value[:, 0].expand(rows, -1, -1)[read][None, None]  # angles of positions, (1, 1, N, d)
        raise _Unpackable

    def _attend(
        self, past_only: bool, query: Tensor, key: Tensor, value: Tensor, mask: Any, **options: Any
    ) -> tuple[Tensor, None]:
        """Attend within each row; (1, H, N, d) → (1, H, N, d)."""
        options["causal"] = past_only
        if self._own is not None:
            return self._attend_alike(query, key, value, **options)
        rows = zip(*(part.split(self._lengths, dim=2) for part in (query, key, value)), strict=True)
        return torch.cat([attend(q, k, v, None, **options)[0] for q, k, v in rows], dim=2), None

    def _attend_alike(self, query: Tensor, key: Tensor, value: Tensor, **options: Any) -> tuple[Tensor, None]:
        """Attend within each row, whose first tokens may stand in another."""
        lengths = [length - count for length, (_, count) in zip(self._lengths, self._shares, strict=True)]
        rows = list(zip(*(part.split(lengths, dim=2) for part in (query, key, value)), strict=True))
        masks: dict[tuple[int, int], Tensor] = {}
        made = []
        for (q, k, v), (other, count) in zip(rows, self._shares, strict=True):
            if not count:
                made.append(attend(q, k, v, None, **options)[0])
                continue
            _, first, second = rows[other]
            k, v = (torch.cat((a[:, :, :count], b), 2) for a, b in ((first, k), (second, v)))
            shape = (q.shape[2], k.shape[2])
            if shape not in masks:
                masks[shape] = torch.ones(shape, dtype=torch.bool, device=q.device).tril(count)[None, None]
            made.append(attend(q, k, v, masks[shape], **{**options, "causal": False})[0])
        return torch.cat(made, dim=2), None

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


def _alike(ids: Tensor, lengths: list[int]) -> list[tuple[int, int]]:
    """Return for each row an earlier one that begins alike, and for how many tokens; (row, 0) where there is none.

    Args:
        ids: (B, T).
        lengths: B numbers of real tokens; each row keeps at least its last one.
    """
    found: list[tuple[int, int]] = []
    first: list[int] = []  # rows that stand for themselves
    for row, length in enumerate(lengths):
        best, most = row, 0
        if first:
            others = ids[first]
            counts = (others == ids[row]).long().cumprod(1).sum(1).tolist()
            for other, count in zip(first, counts, strict=True):
                count = min(count, length - 1, lengths[other])
                if count > most:
                    best, most = other, count
        if most < _ALIKE:
            best, most = row, 0
            first.append(row)
        found.append((best, most))
    return found


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
