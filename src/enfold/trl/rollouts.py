"""Completions for prompts, written by the engine that serves: paged keys and values, prompts read once for a group."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from enfold.transformers.generation.config import GenerationConfig
from enfold.transformers.trainer.losses import bare_model
from enfold.trl.collators import padded

__all__ = ["joined", "write", "write_mixed", "writing"]

PAGE = 16


@contextlib.contextmanager
def writing(model: nn.Module) -> Iterator[Any]:
    """Give the model to write with inside the block: without dropout and recomputation, the adapters in it."""
    inner: Any = bare_model(model)
    training, learns = model.training, getattr(inner, "is_gradient_checkpointing", False)
    model.eval()
    if learns:
        inner.gradient_checkpointing_disable()
    try:
        with torch.no_grad():
            yield inner
    finally:
        if learns:
            inner.gradient_checkpointing_enable()
        model.train(training)


def write(
    model: nn.Module, prompts: Sequence[Sequence[int]], settings: GenerationConfig, most_at_once: int = 64
) -> list[list[int]]:
    """Return a completion for every prompt, as ids, the token that ended it included.

    Equal prompts are read once, whatever their number.

    Args:
        model: a decoder, with adapters or without.
        prompts: ids of each.
        settings: how: ``max_new_tokens``, temperature and the others.
        most_at_once: completions that are written side by side.
    """
    from enfold.transformers.generation.engine import Engine

    longest = max(len(prompt) for prompt in prompts) + int(settings.max_new_tokens or 0)
    side_by_side = min(len(prompts), most_at_once)
    with writing(model) as inner:
        engine = Engine(
            inner,
            block_size=PAGE,
            blocks=(-(-longest // PAGE) + 1) * side_by_side,
            max_running=side_by_side,
            max_step_tokens=max(512, side_by_side),
        )
        return [list(request.new_tokens) for request in engine.generate(prompts, settings)]


def joined(
    prompts: Sequence[Sequence[int]],
    completions: Sequence[Sequence[int]],
    pad: int,
    multiple: int | None = None,
    counts: Sequence[Sequence[int]] | None = None,
) -> dict[str, Tensor]:
    """Return prompts with their completions as one batch, gaps on the right.

    Args:
        prompts, completions: ids of each.
        pad: token in the gaps.
        multiple: width of the batch.
        counts: 1 for the completions' tokens that count; all by default.

    Returns:
        ``input_ids``, ``attention_mask`` and ``completion_mask`` (B, T), and ``counted`` (B, T - 1), 1 where a next
        token counts.
    """
    rows = [[*prompt, *completion] for prompt, completion in zip(prompts, completions, strict=True)]
    given = counts if counts is not None else [[1] * len(completion) for completion in completions]
    marks = [[0] * len(prompt) + list(row) for prompt, row in zip(prompts, given, strict=True)]
    mask = padded(marks, 0, multiple)
    return {
        "input_ids": padded(rows, pad, multiple),
        "attention_mask": padded([[1] * len(row) for row in rows], 0, multiple),
        "completion_mask": mask,
    }


class _Mixed:
    """Mixes another model's opinion into the logits of one request; it reads what is new since it was last asked."""

    def __init__(self, other: Any, share: float) -> None:
        self.other, self.share = other, share
        self._cache: Any = None
        self._read = 0

    def __call__(self, ids: Tensor, scores: Tensor) -> Tensor:
        out = self.other(input_ids=ids[:, self._read :], past_key_values=self._cache, use_cache=True)
        self._cache, self._read = out.past_key_values, ids.shape[1]
        return self.share * out.logits[:, -1].to(scores) + (1 - self.share) * scores


def write_mixed(
    model: nn.Module, other: nn.Module, share: float, prompts: Sequence[Sequence[int]], settings: GenerationConfig
) -> list[list[int]]:
    """Return completions by the geometric mixture of two models, normalized at every token.

    Args:
        model, other: decoders with one vocabulary.
        share: of the other's logits, 0 to 1.
        prompts: ids of each.
        settings: how.
    """
    from enfold.transformers.generation.engine import Engine

    with writing(model) as inner, writing(other) as beside:
        engine = Engine(inner)
        asked = [engine.submit(ids, settings, logits_processor=[_Mixed(beside, share)]) for ids in prompts]
        return [list(request.result().new_tokens) for request in asked]
