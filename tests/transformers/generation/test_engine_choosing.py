"""What the engine draws: each word as often as its probability says, and never one that has none."""

from __future__ import annotations

import pytest
import torch

from enfold.transformers.generation.engine.choosing import _draw


def test_words_are_drawn_as_often_as_they_are_likely() -> None:
    torch.manual_seed(0)
    chances = torch.tensor([0.0, 0.5, 0.0, 0.3, 0.15, 0.05, 0.0])
    counts = torch.bincount(torch.tensor([_draw(chances, None) for _ in range(20_000)]), minlength=7)
    assert counts[chances == 0].sum() == 0
    spread = (20_000 * chances * (1 - chances)).sqrt()
    assert ((counts - 20_000 * chances).abs() <= 4 * spread).all()


def test_a_seed_draws_what_torch_draws() -> None:
    chances = torch.rand(50, generator=torch.Generator().manual_seed(1)).softmax(0)
    ours, theirs = (torch.Generator().manual_seed(2) for _ in range(2))
    drawn = [_draw(chances, ours) for _ in range(9)]
    assert drawn == [int(torch.multinomial(chances[None], 1, generator=theirs)) for _ in range(9)]


def test_what_is_no_probability_is_refused() -> None:
    with pytest.raises(RuntimeError, match="nan"):
        _draw(torch.tensor([0.5, float("nan")]), None)
