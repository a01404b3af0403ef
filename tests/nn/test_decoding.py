"""What decoders share: masks with windows, angles that reach further, experts, alibi, bounded scores."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from enfold.errors import EnfoldError
from enfold.nn import Rotary, alibi_slopes, attend, balance_loss, causal_mask, choose, masks_by_kind, mix, rotate
from enfold.nn.alibi import alibi


@settings(max_examples=150, deadline=None)
@given(
    past=st.integers(0, 6),
    length=st.integers(1, 5),
    window=st.none() | st.integers(1, 9),
    padding=st.integers(0, 4),
    room=st.integers(0, 3),
    slides=st.booleans(),
    counted=st.booleans(),
)
def test_a_mask_shows_real_tokens_up_to_the_query_within_the_window(
    past: int, length: int, window: int | None, padding: int, room: int, slides: bool, counted: bool
) -> None:
    total = past + length
    real = torch.ones(2, total, dtype=torch.long)
    real[1, : min(padding, total - 1)] = 0
    first = max(past - window + 1, 0) if slides and window is not None and not room else 0
    keys = total - first + room
    filled = torch.tensor(past) if counted else past
    mask, causal = causal_mask(real, length, filled, window=window, keys=keys, first=first)
    expected = torch.tensor(
        [
            [
                [
                    key < total and bool(real[row, key]) and key <= past + query
                    and (window is None or key > past + query - window)
                    for key in range(first, first + keys)
                ]
                for query in range(length)
            ]
            for row in range(2)
        ]
    )  # fmt: skip
    if mask is None:
        square = torch.ones(length, keys, dtype=torch.bool)
        mask = square.tril(keys - length) if causal else square
    found = mask.expand(2, 1, length, keys)[:, 0]
    assert torch.equal(found, expected)
    assert not causal or keys == length


def test_masks_are_made_once_a_kind() -> None:
    masks = masks_by_kind(None, 4, None, ["sliding_attention", "full_attention", "sliding_attention"], window=2)
    assert list(masks) == ["sliding_attention", "full_attention"]
    assert masks["full_attention"] == (None, True) and masks["sliding_attention"][0] is not None
    given = {"full_attention": torch.ones(1, 1, 4, 4, dtype=torch.bool)}
    assert masks_by_kind(given, 4, None, ["full_attention"])["full_attention"][0] is given["full_attention"]


def test_scores_stay_within_bounds() -> None:
    q, k, v = (10 * torch.randn(1, 2, 5, 4) for _ in range(3))
    scores = 3.0 * torch.tanh(q @ k.transpose(2, 3) / 2 / 3.0)
    found, weights = attend(q, k, v, softcap=3.0)
    torch.testing.assert_close(found, scores.softmax(-1) @ v)
    assert weights is None


def test_only_a_share_of_a_head_is_rotated() -> None:
    rotary = Rotary(8, scaling={"partial_rotary_factor": 0.5})
    x = torch.randn(1, 2, 3, 8)
    found = rotate(x, *rotary.tables(torch.arange(3)[None], torch.float32))
    assert torch.equal(found[..., 4:], x[..., 4:])
    torch.testing.assert_close(found[..., :4].norm(dim=-1), x[..., :4].norm(dim=-1))


def test_long_texts_get_other_angles() -> None:
    scaling = {"rope_type": "longrope", "short_factor": [1.0, 1.0], "long_factor": [2.0, 4.0]}
    rotary = Rotary(4, scaling={**scaling, "original_max_position_embeddings": 8}, max_positions=32)
    short, long = (rotary.frequencies(torch.arange(length)) for length in (8, 9))
    torch.testing.assert_close(short, long * torch.tensor([2.0, 4.0]))
    assert rotary.strength == pytest.approx(math.sqrt(1 + math.log(4) / math.log(8)))


@pytest.mark.parametrize(
    ("scaling", "message"),
    [({"rope_type": "yarm"}, "did you mean 'yarn'"), ({"rope_type": "llama3", "factor": 2.0}, "low_freq_factor")],
)
def test_angles_that_lack_a_number_say_so(scaling: dict[str, Any], message: str) -> None:
    with pytest.raises(EnfoldError, match=message):
        Rotary(8, scaling=scaling)


def test_slopes_of_alibi_follow_the_paper() -> None:
    assert alibi_slopes(8).tolist() == [2.0**-power for power in range(1, 9)]
    extra = alibi_slopes(6).tolist()
    assert extra[:4] == [2.0 ** -(2 * power) for power in range(1, 5)]
    assert extra[4:] == pytest.approx([2.0**-1, 2.0**-3])


def test_padding_is_no_position_to_alibi() -> None:
    bias = alibi(torch.tensor([[0, 0, 1, 1], [1, 1, 1, 1]]), 2, 6)
    assert (bias[0, 0, 0] / bias[0, 0, 0, 3]).tolist() == [0, 0, 0, 1, 0, 0]
    assert (bias[1, 1, 0] / bias[1, 1, 0, 1]).tolist() == [0, 1, 2, 3, 0, 0]


def test_a_mixture_is_the_weighed_sum_of_the_chosen_experts() -> None:
    x, logits = torch.randn(7, 4), torch.randn(7, 3)
    experts = [torch.nn.Linear(4, 4) for _ in range(3)]
    shares, chosen = choose(logits, 2)
    expected = torch.stack(
        [sum(shares[row, place] * experts[chosen[row, place]](x[row]) for place in range(2)) for row in range(7)]
    )
    torch.testing.assert_close(mix(x, shares, chosen, experts), expected)

    class Mixture(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.experts = torch.nn.ModuleList(experts)

        def forward(self, x: torch.Tensor, shares: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
            return mix(x, shares, chosen, list(self.experts))

    graph = torch.export.export(Mixture(), (x, shares, chosen))
    torch.testing.assert_close(graph.module()(x, shares, chosen), expected)
    other = chosen.flip(0)  # a graph that followed the choice it was traced with would answer the same
    torch.testing.assert_close(graph.module()(x, shares, other), mix(x, shares, other, experts))


def test_the_balance_loss_leaves_padding_out() -> None:
    logits = torch.randn(6, 4)
    mask = torch.tensor([[1, 1, 0], [1, 0, 0]])
    torch.testing.assert_close(
        balance_loss([logits, logits], 4, 2, mask), balance_loss([logits[mask.flatten().bool()]], 4, 2)
    )
