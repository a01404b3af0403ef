"""Attention: the fused path, the explicit one, shared key heads and masks agree."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from enfold.nn import attend, causal_mask, encoder_mask, merge_heads, split_heads


def naive(query: Tensor, key: Tensor, value: Tensor, allowed: Tensor, scale: float) -> Tensor:
    """Attention by the formula, one query at a time, with keys repeated for the queries that share them."""
    out = torch.zeros_like(query)
    shared = query.shape[1] // key.shape[1]
    for b in range(query.shape[0]):
        for h in range(query.shape[1]):
            for t in range(query.shape[2]):
                places = allowed[b, t].nonzero().squeeze(1)
                scores = (key[b, h // shared, places] @ query[b, h, t]) * scale
                out[b, h, t] = scores.softmax(0) @ value[b, h // shared, places]
    return out


@settings(max_examples=25, deadline=None)
@given(
    heads=st.sampled_from([(1, 1), (4, 4), (4, 2), (6, 1)]),
    length=st.integers(1, 5),
    past=st.integers(0, 4),
    padding=st.integers(0, 2),
)
def test_both_paths_follow_the_formula(heads: tuple[int, int], length: int, past: int, padding: int) -> None:
    torch.manual_seed(length * 100 + past)
    total = past + length
    padding = min(padding, total - 1) if past else 0
    query, key = torch.randn(2, heads[0], length, 8), torch.randn(2, heads[1], total, 8)
    value = torch.randn(2, heads[1], total, 8)
    real = torch.ones(2, total, dtype=torch.long)
    real[1, : min(padding, past)] = 0
    mask, causal = causal_mask(real, length, past)
    allowed = (real[:, None, :] == 1) & (torch.arange(total) <= torch.arange(past, total)[:, None])
    expected = naive(query, key, value, allowed, 8**-0.5)
    fused, nothing = attend(query, key, value, mask, causal=causal)
    explicit, weights = attend(query, key, value, mask, causal=causal, weights=True)
    assert nothing is None and weights is not None
    torch.testing.assert_close(fused, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(explicit, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, heads[0], length))


def test_a_batch_without_padding_gets_no_mask() -> None:
    assert encoder_mask(None) is None
    assert encoder_mask(torch.ones(2, 3)) is None
    assert causal_mask(torch.ones(2, 3), 3) == (None, True)
    assert causal_mask(torch.ones(2, 5), 1, past=4) == (None, False)


def test_a_chunk_after_a_past_sees_the_past_and_itself_up_to_each_token() -> None:
    mask, causal = causal_mask(None, 2, past=1)
    assert mask is not None and not causal
    assert mask[0, 0].tolist() == [[True, True, False], [True, True, True]]


def test_a_mask_of_four_dimensions_passes_through() -> None:
    given = torch.zeros(1, 1, 2, 2)
    assert encoder_mask(given) is given
    assert causal_mask(given, 2) == (given, False)


def test_a_mask_is_kept_where_a_graph_is_traced() -> None:
    class Masked(torch.nn.Module):
        def forward(self, mask: Tensor) -> Tensor:
            found = encoder_mask(mask)
            return torch.zeros(1) if found is None else found.float()

    program = torch.export.export(Masked(), (torch.ones(1, 3),))
    assert program.module()(torch.tensor([[1.0, 1.0, 0.0]])).tolist() == [[[[1.0, 1.0, 0.0]]]]


def test_heads_split_and_merge() -> None:
    x = torch.randn(2, 3, 8)
    assert split_heads(x, 4).shape == (2, 2, 3, 4)
    assert torch.equal(merge_heads(split_heads(x, 4)), x)


@pytest.mark.parametrize("weights", [False, True])
def test_dropout_changes_the_result_only_when_asked(weights: bool) -> None:
    x = torch.randn(1, 2, 4, 8)
    same = [attend(x, x, x, weights=weights)[0] for _ in range(2)]
    torch.testing.assert_close(*same)
    dropped = attend(x, x, x, dropout=0.5, weights=weights)[0]
    assert not torch.allclose(dropped, same[0])
