"""The cache: equal to concatenation, whatever the chunks; gradients pass; rows can be taken and dropped."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from enfold.errors import EnfoldError
from enfold.nn import CacheLayer, DynamicCache, EncoderDecoderCache, SlidingLayer, StaticCache


@settings(max_examples=40, deadline=None)
@given(chunks=st.lists(st.integers(1, 70), min_size=1, max_size=6), reserve=st.sampled_from([0, 16, 500]))
def test_a_layer_gives_back_everything_that_was_put_in(chunks: list[int], reserve: int) -> None:
    layer = CacheLayer(reserve)
    keys = [torch.randn(2, 3, chunk, 4) for chunk in chunks]
    values = [torch.randn(2, 3, chunk, 4) for chunk in chunks]
    for index in range(len(chunks)):
        fetched = layer.update_and_fetch(keys[index], values[index])
        assert torch.equal(fetched[0], torch.cat(keys[: index + 1], 2))
        assert torch.equal(fetched[1], torch.cat(values[: index + 1], 2))
    assert layer.offset == sum(chunks)


def test_what_was_put_in_first_is_not_written_to() -> None:
    first = torch.zeros(1, 1, 2, 4)
    layer = CacheLayer()
    layer.update_and_fetch(first, first)
    for _ in range(3):
        layer.update_and_fetch(torch.ones(1, 1, 1, 4), torch.ones(1, 1, 1, 4))
    assert torch.equal(first, torch.zeros(1, 1, 2, 4))


def test_gradients_flow_through_a_prefix_and_through_later_tokens() -> None:
    prefix = torch.randn(1, 1, 2, 4, requires_grad=True)
    cache = DynamicCache([(prefix, prefix)])
    later = torch.randn(1, 1, 1, 4, requires_grad=True)
    cache.update(later, later, 0)
    keys, values = cache.update(later * 2, later, 0)
    (keys.sum() + values.square().sum()).backward()
    assert prefix.grad is not None and later.grad is not None and bool((prefix.grad != 0).all())


def test_tuples_of_old_code_go_in_and_come_out() -> None:
    pairs = tuple((torch.randn(1, 2, 3, 4), torch.randn(1, 2, 3, 4)) for _ in range(2))
    cache = DynamicCache.from_legacy_cache(pairs)
    assert len(cache) == 2 and cache.get_seq_length() == 3 and cache.get_mask_sizes(2) == (5, 0)
    for old, new in zip(pairs, cache.to_legacy_cache(), strict=True):
        assert torch.equal(old[0], new[0]) and torch.equal(old[1], new[1])
    assert torch.equal(cache[1][0], pairs[1][0])


def test_rows_are_reordered_repeated_and_cropped() -> None:
    keys = torch.arange(2.0)[:, None, None, None].expand(2, 1, 3, 1).contiguous()
    cache = DynamicCache([(keys, keys)])
    cache.reorder_cache(torch.tensor([1, 1, 0]))
    assert cache.key_cache[0][:, 0, 0, 0].tolist() == [1, 1, 0]
    cache.batch_repeat_interleave(2)
    assert cache.value_cache[0].shape[0] == 6
    cache.crop(2)
    assert cache.offset == 2
    cache.crop(-1)
    assert cache.offset == 1
    cache.reset()
    assert cache.offset == 0 and not cache.is_initialized and bool(cache)


def test_a_decoders_cache_keeps_the_encoders_keys_from_the_first_step() -> None:
    cache = EncoderDecoderCache(DynamicCache(), DynamicCache())
    seen = torch.randn(2, 1, 4, 3)
    for step in range(3):
        layer = cache.layer(0)
        assert layer.is_updated == cache.is_updated.get(0, False) == (step > 0)
        layer.own.update_and_fetch(torch.full((2, 1, 1, 3), float(step)), torch.zeros(2, 1, 1, 3))
        keys, values = layer.crossed(lambda: (seen, -seen))
        assert torch.equal(keys, seen) and torch.equal(values, -seen)
    assert cache.get_seq_length() == 3 and cache.get_mask_sizes(1) == (4, 0) and len(cache) == 1
    cache.reorder_cache(torch.tensor([1, 1]))
    assert torch.equal(cache[0][2], seen[[1, 1]]) and cache[0][0][0, 0, :, 0].tolist() == [0, 1, 2]
    cache.crop(-1)
    assert cache.offset == 2 and cache.cross_attention_cache.offset == 4
    cache.batch_repeat_interleave(2)
    assert cache[0][0].shape[0] == cache[0][3].shape[0] == 4
    cache.reset()
    assert cache.is_updated == {0: False} and bool(cache)


def test_fourfold_tuples_of_old_code_go_in_and_come_out() -> None:
    old = tuple(tuple(torch.randn(1, 2, size, 4) for size in (3, 3, 5, 5)) for _ in range(2))
    cache = EncoderDecoderCache.from_legacy_cache(old)
    assert cache.is_updated == {0: True, 1: True} and cache.get_seq_length() == 3
    for given_layer, kept in zip(old, cache.to_legacy_cache(), strict=True):
        assert all(torch.equal(a, b) for a, b in zip(given_layer, kept, strict=True))
    with pytest.raises(EnfoldError, match="four tensors"):
        EncoderDecoderCache([old[0][:2]])
    with pytest.raises(EnfoldError, match="self-attention"):
        EncoderDecoderCache(DynamicCache(), 3)


@settings(max_examples=60, deadline=None)
@given(
    chunks=st.lists(st.integers(1, 9), min_size=1, max_size=40), window=st.integers(2, 12), reserve=st.integers(0, 20)
)
def test_a_sliding_layer_gives_what_its_window_sees(chunks: list[int], window: int, reserve: int) -> None:
    layer, told = SlidingLayer(window, reserve), torch.empty(1, 1, 0, 2)
    for chunk in chunks:
        new = torch.randn(1, 1, chunk, 2)
        keys, first = layer.mask_sizes(chunk)
        told = torch.cat((told, new), 2)
        found, values = layer.update_and_fetch(new, -new)
        assert found.shape[2] == keys and first == told.shape[2] - keys
        assert torch.equal(found, told[:, :, first:]) and torch.equal(values, -found)
        assert keys >= min(window - 1 + chunk, told.shape[2])
        assert layer.offset == told.shape[2] and layer.keys is not None and layer.keys.shape[2] <= window - 1


def test_a_window_does_not_go_back_past_what_it_dropped() -> None:
    layer = SlidingLayer(4)
    layer.update_and_fetch(torch.randn(1, 1, 3, 2), torch.randn(1, 1, 3, 2))
    layer.crop(2)
    assert layer.offset == 2 and layer.mask_sizes(1) == (3, 0)
    layer.update_and_fetch(torch.randn(1, 1, 6, 2), torch.randn(1, 1, 6, 2))
    with pytest.raises(EnfoldError, match="window of 4 tokens"):
        layer.crop(-1)
    layer.reset()
    assert layer.offset == 0 and layer.keys is None


def test_a_cache_of_one_size_is_filled_in_place() -> None:
    config = SimpleNamespace(num_hidden_layers=2, hidden_size=8, num_attention_heads=2)
    config.get_text_config = lambda **_: config
    cache = StaticCache(config, 6, max_batch_size=2, device="cpu")
    room = cache.layers[0].keys
    assert room is not None and room.shape == (2, 2, 6, 4) and int(cache.get_seq_length()) == 0
    for index in range(2):
        cache.update(torch.ones(2, 2, 4, 4), torch.ones(2, 2, 4, 4), index)
    keys, _ = cache.update(torch.full((2, 2, 1, 4), 2.0), torch.ones(2, 2, 1, 4), 0)
    assert keys is room and keys[0, 0, :, 0].tolist() == [1, 1, 1, 1, 2, 0]
    assert int(cache.get_seq_length()) == 5 and int(cache.get_seq_length(1)) == 4
    assert cache.get_mask_sizes(1) == (6, 0) and cache.get_max_cache_shape() == cache.max_cache_len == 6
    cache.crop(3)
    assert int(cache.get_seq_length()) == 3 and cache.is_compileable
    with pytest.raises(EnfoldError, match="7 tokens do not fit into a cache of 6"):
        cache.update(torch.ones(2, 2, 7, 4), torch.ones(2, 2, 7, 4), 0)
    cache.reset()
    assert int(cache.get_seq_length()) == 0 and cache.layers[0].keys is room


def test_a_configuration_says_which_layers_slide() -> None:
    config = SimpleNamespace(layer_types=["full_attention", "sliding_attention"], sliding_window=3)
    config.get_text_config = lambda **_: config
    cache = DynamicCache(config=config)
    for index in range(2):
        cache.update(torch.zeros(1, 1, 5, 2), torch.zeros(1, 1, 5, 2), index)
    assert cache.is_sliding == [False, True]
    assert cache.get_mask_sizes(1, 0) == (6, 0) and cache.get_mask_sizes(1, 1) == (3, 3)
