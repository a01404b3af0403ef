"""Convolutions by Winograd's method: as exact as promised, and torch's own wherever they are not for it."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from enfold.nn import winograd as module
from enfold.nn.winograd import Filters, best_tile, convolve, filter_bytes, is_three_by_three

native = pytest.importorskip("enfold._native")
needs_vectors = pytest.mark.skipif(not native.has_winograd(), reason="the processor lacks AVX2")


def layer_of(channels: int, out: int, **options: Any) -> nn.Conv2d:
    torch.manual_seed(0)
    return nn.Conv2d(channels, out, 3, **{"padding": 1, **options}).requires_grad_(False)


def worst(made: Tensor, layer: nn.Conv2d, x: Tensor) -> float:
    """Return the largest error, beside sums in double precision."""
    bias = None if layer.bias is None else layer.bias.double()
    return float((made - F.conv2d(x.double(), layer.weight.double(), bias, padding=1)).abs().max())


@needs_vectors
@pytest.mark.parametrize("tile", [2, 4])
@pytest.mark.parametrize(
    "shape",
    [(1, 16, 32, 8, 8), (2, 20, 40, 7, 9), (3, 3, 5, 1, 1), (2, 33, 31, 33, 30), (1, 17, 1, 70, 65), (5, 48, 64, 4, 5)],
)
def test_every_shape_is_taken(shape: tuple[int, ...], tile: int) -> None:
    count, channels, out, height, width = shape
    for bias in (True, False):
        layer, x = layer_of(channels, out, bias=bias), torch.randn(count, channels, height, width)
        made = Filters(layer, tile)(x)
        assert made.shape == (count, out, height, width)
        assert worst(made, layer, x) < 1e-5


@needs_vectors
@pytest.mark.parametrize("shape", [(192, 192, 32), (768, 64, 16), (64, 64, 40)])
@pytest.mark.parametrize("act", [torch.clone, F.silu])
def test_errors_stay_near_those_of_direct_sums(shape: tuple[int, ...], act: Any) -> None:
    channels, out, size = shape
    layer = layer_of(channels, out)
    x = act(torch.randn(2, channels, size, size))
    direct = worst(layer(x), layer, x)
    assert worst(Filters(layer, 2)(x), layer, x) < 2 * direct
    assert worst(Filters(layer, 4)(x), layer, x) < 8 * direct


@needs_vectors
def test_values_of_any_size_keep_their_precision() -> None:
    layer = layer_of(32, 32)
    x = torch.randn(1, 32, 16, 16) * 10 ** torch.linspace(-3, 3, 32)[:, None, None]
    assert worst(Filters(layer, 4)(x), layer, x) < 1e-5 * float(layer(x).abs().max())
    x[0, 3, 5, 5] = torch.nan  # what is not a number spoils its tiles, and no others
    assert Filters(layer, 4)(x)[0, :, 4:8, 4:8].isnan().all()
    assert not Filters(layer, 4)(x)[0, :, 9:].isnan().any()


@needs_vectors
def test_threads_change_nothing() -> None:
    layer, x = layer_of(40, 72), torch.randn(2, 40, 50, 34)
    filters, made = Filters(layer, 4), [torch.empty(2, 72, 50, 34) for _ in range(3)]
    for threads, out in zip((1, 2, 5), made, strict=True):
        native.Winograd(layer.weight, 4, threads).apply(x, layer.bias, out, threads)
    assert all(torch.equal(out, filters(x)) for out in made)


@needs_vectors
def test_memory_of_weights_that_are_gone_is_used_again_without_a_trace() -> None:
    layer, x = layer_of(161, 163), torch.randn(1, 161, 16, 16)
    for value in (torch.nan, 1.0, torch.inf):
        other = layer_of(161, 163)
        other.weight.fill_(value)
        filters = Filters(other, 4)
        del filters
        assert worst(Filters(layer, 4)(x), layer, x) < 1e-5


@needs_vectors
@pytest.mark.parametrize("instructions", ["avx2", "avx512"])
def test_instruction_sets_agree(instructions: str) -> None:
    code = """
import torch
from enfold._native import Winograd
torch.manual_seed(0)
x, weight = torch.randn(2, 24, 19, 22), torch.randn(40, 24, 3, 3) / 15
expected = torch.nn.functional.conv2d(x.double(), weight.double(), padding=1)
for tile in (2, 4):
    made = torch.empty(2, 40, 19, 22)
    Winograd(weight, tile).apply(x, None, made)
    assert (made - expected).abs().max() < 1e-5
"""
    subprocess.run([sys.executable, "-c", code], env={**os.environ, "ENFOLD_SIMD": instructions}, check=True)


@needs_vectors
def test_the_border_to_python_checks_sizes() -> None:
    weight, x = torch.randn(8, 16, 3, 3), torch.randn(1, 16, 4, 4)
    made = native.Winograd(weight, 4)
    assert made.nbytes <= filter_bytes(layer_of(16, 8))
    for bad in (torch.empty(1, 8, 4, 5), torch.empty(2, 8, 4, 4), torch.empty(1, 16, 4, 4)):
        with pytest.raises(ValueError, match="shape of x"):
            made.apply(x, None, bad)
    with pytest.raises(ValueError, match="x has another number"):
        made.apply(x[:, :8].contiguous(), None, torch.empty(1, 8, 4, 4))
    with pytest.raises(ValueError, match="bias has another number"):
        made.apply(x, torch.zeros(9), torch.empty(1, 8, 4, 4))
    with pytest.raises(TypeError):
        made.apply(x.double(), None, torch.empty(1, 8, 4, 4))
    with pytest.raises(TypeError):
        made.apply(x, None, torch.empty(1, 4, 4, 8).permute(0, 3, 1, 2))
    with pytest.raises(ValueError, match="2 or 4"):
        native.Winograd(weight, 3)
    with pytest.raises(ValueError, match="empty"):
        native.Winograd(weight[:0], 2)


@pytest.fixture
def used(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the tiles of the weights that are transformed from now on."""
    tiles: list[int] = []
    plain = Filters.__init__

    def noted(self: Filters, layer: nn.Conv2d, tile: int) -> None:
        tiles.append(tile)
        plain(self, layer, tile)

    monkeypatch.setattr(Filters, "__init__", noted)
    return tiles


@needs_vectors
@torch.no_grad()
def test_large_images_are_computed_on_tiles(used: list[int]) -> None:
    layer, x = layer_of(70, 8), torch.randn(1, 70, 64, 64)
    torch.testing.assert_close(convolve(layer, x), layer(x), rtol=1e-5, atol=1e-5)
    layer.weight.mul_(2)
    torch.testing.assert_close(convolve(layer, x), layer(x), rtol=1e-5, atol=1e-5)
    turned = x.to(memory_format=torch.channels_last)
    torch.testing.assert_close(convolve(layer, turned), layer(x), rtol=1e-5, atol=1e-5)
    assert used == [4, 4, 4]


@torch.no_grad()
@pytest.mark.parametrize(
    "options", [{"stride": 2}, {"padding": 0}, {"dilation": 2}, {"groups": 2}, {"padding_mode": "circular"}]
)
def test_other_convolutions_are_torchs(options: dict[str, Any], used: list[int]) -> None:
    layer, x = layer_of(32, 32, **options), torch.randn(1, 32, 64, 64)
    assert not is_three_by_three(layer)
    assert torch.equal(convolve(layer, x), layer(x))
    assert not used


def test_gradients_hooks_and_other_types_are_torchs(used: list[int]) -> None:
    layer, x = layer_of(32, 32), torch.randn(1, 32, 64, 64)
    assert convolve(layer.requires_grad_(), x).requires_grad
    with torch.no_grad():
        assert torch.equal(convolve(layer.double(), x.double()), layer(x.double()))
        layer.float()
        with torch.backends.mkldnn.flags(enabled=False):
            assert torch.equal(convolve(layer, x), layer(x))
        with pytest.raises(RuntimeError):
            convolve(layer, x[:, :20])
        seen: list[Any] = []
        layer.register_forward_hook(lambda *call: seen.append(call))
        convolve(layer, x)
        assert seen
    assert not used


@needs_vectors
@torch.no_grad()
def test_tiles_follow_the_size_of_the_image(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, narrow = layer_of(64, 16), layer_of(32, 16)
    assert [best_tile(layer, torch.zeros(1, 64, side, side)) for side in (2, 8, 16, 64)] == [2, 2, 4, 4]
    assert best_tile(narrow, torch.zeros(1, 32, 64, 64)) == 2
    assert not is_three_by_three(layer_of(16, 64))
    monkeypatch.setattr(module, "_has_winograd", lambda: False)
    assert not best_tile(layer, torch.zeros(1, 64, 64, 64))
