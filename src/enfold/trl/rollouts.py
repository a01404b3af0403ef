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

__all__ = ["joined", "write", "writing"]

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
