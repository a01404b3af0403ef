"""Caches in few bits and caches that wait elsewhere: near or equal to the one that grows, whatever is done."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from enfold.errors import EnfoldError
from enfold.nn import cache as kinds
from enfold.nn.caches.offloaded import _Waiting
from enfold.nn.caches.quantized import pack, unpack

CHUNKS = st.lists(st.integers(1, 40), min_size=1, max_size=6)


def settings_of(layers: int) -> Any:
    config = SimpleNamespace(num_hidden_layers=layers)
    config.get_text_config = lambda **_: config
    return config


@given(bits=st.sampled_from([2, 4, 8]), group=st.sampled_from([2, 4, 8]), seed=st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_packed_numbers_are_half_a_step_away_at_most(bits: int, group: int, seed: int) -> None:
    x = torch.randn(2, 3, 5, 8, generator=torch.Generator().manual_seed(seed))
    packed = pack(x, bits, group)
    assert packed.levels.dtype == torch.uint8 and packed.levels.shape[-1] == 8 * bits // 8
    step = packed.step.repeat_interleave(group, -1)
    assert bool(((unpack(packed, bits, x.dtype) - x).abs() <= 0.5 * step + 1e-5).all())


@given(chunks=CHUNKS, residual=st.integers(1, 50), bits=st.sampled_from([4, 8]))
@settings(max_examples=40, deadline=None)
def test_old_positions_are_rounded_once_and_new_ones_are_exact(chunks: list[int], residual: int, bits: int) -> None:
    layer = kinds.QuantizedLayer(bits, residual_length=residual)
    keys = torch.randn(1, 2, sum(chunks), 8)
    end, before = 0, keys[:, :, :0]
    for chunk in chunks:
        rounded = layer.rounded
        found, _ = layer.update_and_fetch(keys[:, :, end : end + chunk], keys[:, :, end : end + chunk])
        end += chunk
        assert found.shape[2] == end == layer.offset
        assert torch.equal(found[:, :, rounded:], keys[:, :, rounded:end])
        assert torch.equal(found[:, :, : before.shape[2]][:, :, :rounded], before[:, :, :rounded])
        before = layer.keys if layer.keys is not None else before
    error = {4: 0.5 * 8 / 15, 8: 0.5 * 8 / 255}[bits]
    assert float((before - keys).abs().max()) <= error


@given(
    chunks=CHUNKS,
    moves=st.lists(st.tuples(st.sampled_from(["crop", "select", "repeat", "add"]), st.integers(0, 60)), max_size=6),
    kind=st.sampled_from(["quantized", "offloaded", "offloaded-moving"]),
)
@settings(max_examples=60, deadline=None)
def test_every_cache_goes_through_the_same_moves(chunks: list[int], moves: list[tuple[str, int]], kind: str) -> None:
    # Half steps between -1 and 1 are levels of eight bits, nearly: what is rounded can be told from what is wrong.
    draw = torch.Generator().manual_seed(len(chunks))

    def some(rows: int, length: int) -> torch.Tensor:
        return torch.randint(-8, 9, (rows, 2, length, 4), generator=draw) / 8

    home = _Waiting.home
    if kind == "offloaded-moving":
        _Waiting.home = torch.device("cpu", 0)  # another name of the same memory: everything is moved
    try:
        plain = kinds.DynamicCache()
        other = kinds.QuantizedCache(nbits=8, residual_length=7) if kind == "quantized" else kinds.OffloadedCache()
        for move, number in [*(("add", chunk) for chunk in chunks), *moves]:
            rows = 2 if not plain.is_initialized else plain[0][0].shape[0]
            kept = min(number, plain.offset)
            for cache in (plain, other):
                if move == "crop" and kept:
                    cache.crop(kept if number % 2 else -kept)
                elif move == "select":
                    cache.batch_select_indices(torch.arange(rows).roll(number)[: max(rows - number % 2, 1)])
                elif move == "repeat" and rows < 9:
                    cache.batch_repeat_interleave(2)
            if move == "add" and number:
                for layer in range(3):
                    new = some(rows, number)
                    mine, theirs = (cache.layer(layer).update_and_fetch(new, -new) for cache in (plain, other))
                    for a, b in zip(mine, theirs, strict=True):
                        torch.testing.assert_close(a, b, rtol=0, atol=0.01 if kind == "quantized" else 0)
            assert other.get_seq_length() == plain.get_seq_length()
            assert other.get_mask_sizes(3) == plain.get_mask_sizes(3)
    finally:
        _Waiting.home = home


def test_few_bits_take_little_memory() -> None:
    numbers = torch.randn(1, 4, 1024, 64, dtype=torch.bfloat16)
    layer = kinds.QuantizedLayer(4, q_group_size=64, residual_length=64)
    layer.update_and_fetch(numbers, numbers)
    layer.update_and_fetch(numbers[:, :, :1], numbers[:, :, :1])
    assert layer.rounded == 1024 and layer.nbytes() < 0.29 * 2 * numbers.nbytes


def test_an_offloaded_cache_of_one_size_is_one_of_one_size() -> None:
    for moving in (False, True):
        home = _Waiting.home
        _Waiting.home = torch.device("cpu", 0) if moving else home
        try:
            plain = kinds.StaticCache(settings_of(2), max_cache_len=9)
            other = kinds.OffloadedStaticCache(settings_of(2), max_cache_len=9)
            for length in (4, 1, 3):
                for layer in range(2):
                    new = torch.randn(2, 2, length, 4)
                    for a, b in zip(plain.update(new, -new, layer), other.update(new, -new, layer), strict=True):
                        assert torch.equal(a, b)
            plain.crop(5)
            other.crop(5)
            assert int(plain.get_seq_length()) == other.get_seq_length() == 5
            assert other.get_max_cache_shape() == 9
        finally:
            _Waiting.home = home


def test_bits_that_no_cache_keeps_are_refused() -> None:
    with pytest.raises(EnfoldError, match="2, 4 or 8 bits"):
        kinds.QuantizedCache(nbits=3)
    with pytest.raises(EnfoldError, match="OffloadedCache"):
        kinds.DynamicCache(offloading=True)


def test_old_names_are_the_same_caches() -> None:
    assert kinds.QuantoQuantizedCache is kinds.HQQQuantizedCache is kinds.QuantizedCache
    assert kinds.OffloadedHybridCache is kinds.OffloadedStaticCache
    assert kinds.DynamicLayer is kinds.CacheLayer
