"""What a model would compute anew at each step of a loop, kept for the length of the loop.

oneDNN lays a weight out for the processor before it multiplies with it, at each call; in bfloat16 this costs as much as
the product. In single precision convolutions of 3 × 3 need a quarter of the products once their weights are transformed
(`enfold.nn.winograd`). Keys and values of a text are the same at each step. All this is kept while a loop runs, and
forgotten at its end, so that a model outside a loop is what it always was: its weights can be changed, moved and saved.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor, nn

from enfold.nn.linear import has_bfloat16, is_plain_inference
from enfold.nn.winograd import Filters, best_tile, filter_bytes, is_three_by_three

__all__ = ["steady"]


@contextmanager
def steady(*models: nn.Module | None) -> Iterator[None]:
    """Keep what does not change from one call of these models to the next, for the length of a ``with`` block.

    It changes nothing but the time, on processors and without gradients; weights that change within the block count
    from the next call on. Copies take a quarter of the free memory at most: where that is too little for all, the small
    weights come first, which gain the most, for they meet the largest images.

    Args:
        models: UNets, ControlNets, transformers; None is passed over.

    Example:
        >>> layer, x = nn.Conv2d(4, 6, 3), torch.randn(2, 4, 8, 8)
        >>> with torch.no_grad(), steady(layer):
        ...     kept = layer(x)
        >>> bool(torch.allclose(kept, layer(x), atol=1e-6))
        True
    """
    changed = []
    for layer, call in _affordable(models):
        layer.forward = call  # type: ignore[method-assign]
        changed.append(layer)
    try:
        yield
    finally:
        for layer in changed:
            layer.__dict__.pop("forward", None)


def _affordable(models: Iterable[nn.Module | None]) -> list[tuple[nn.Module, Any]]:
    """Return layers and what takes the place of their ``forward``, as many as the memory is enough for."""
    found: dict[nn.Module, Any] = {}
    for model in models:
        for name, layer in () if model is None else model.named_modules():
            call = _call(name, layer)
            if call is not None and layer.weight.is_cpu and "forward" not in layer.__dict__:
                found[layer] = call
    if not found:
        return []
    from enfold.accelerate.maps import free_memory

    order = sorted(found.items(), key=lambda item: item[1].nbytes)
    sums = accumulate(call.nbytes for _, call in order)
    free = free_memory() // 4
    return [item for item, total in zip(order, sums, strict=True) if total <= free]


def _call(name: str, layer: Any) -> Any:
    """Return what takes the place of a layer's ``forward``, or None."""
    kind = type(layer)
    if kind is nn.Linear and (".attn2.to_k" in name or ".attn2.to_v" in name):
        return _OfText(layer)
    if kind is nn.Conv2d and is_three_by_three(layer):
        return _Winograd(layer)
    if kind not in (nn.Linear, nn.Conv2d) or layer.weight.dtype is not torch.bfloat16:
        return None
    if kind is nn.Linear:
        return _Linear(layer)
    if layer.padding_mode == "zeros" and not isinstance(layer.padding, str):
        return _Convolution(layer)
    return None


class _Kept:
    """A layer's ``forward`` that keeps something for inputs of one kind."""

    def __init__(self, layer: Any) -> None:
        self.layer: Any = layer
        self.nbytes = layer.weight.nbytes  # of what is kept
        self.known: Any = None
        self.kept: Any = None

    def _get(self, kind: Any, make: Callable[[], Any]) -> Any:
        """Return what was made for this kind of input with these weights, or make it."""
        weight = self.layer.weight
        kind = (kind, weight.data_ptr(), 0 if weight.is_inference() else weight._version)
        if kind != self.known:
            self.known = self.kept = None  # the memory of the last one is free for this one
            self.kept = make()
            self.known = kind
        return self.kept


class _OfText(_Kept):
    def __call__(self, x: Tensor) -> Tensor:
        """Return the product, the last one where the very same input comes again."""
        if not is_plain_inference(self.layer, x) or x.is_inference():
            return nn.Linear.forward(self.layer, x)
        x_and_product = self._get((id(x), x._version), lambda: (x, nn.Linear.forward(self.layer, x)))
        return x_and_product[1]  # type: ignore[no-any-return]  # x is held, so that its id stays its own


class _Linear(_Kept):
    def __call__(self, x: Tensor) -> Tensor:
        """Return the product, with the weight in the processor's layout."""
        layer = self.layer
        if x.shape[-1] != layer.in_features or not _is_for_onednn(layer, x):
            return nn.Linear.forward(layer, x)
        rows = x.numel() // x.shape[-1]
        weight = self._get(rows, lambda: torch.ops.mkldnn._reorder_linear_weight(layer.weight.detach(), rows))
        return torch.ops.mkldnn._linear_pointwise(x, weight, layer.bias, "none", [], "")  # type: ignore[no-any-return]


class _Convolution(_Kept):
    def __call__(self, x: Tensor) -> Tensor:
        """Return the convolution, with the weight in the processor's layout."""
        layer, ops = self.layer, torch.ops.mkldnn
        if not _is_for_onednn(layer, x) or not _takes(layer, x):
            return nn.Conv2d.forward(layer, x)
        how = (layer.padding, layer.stride, layer.dilation, layer.groups)
        weight = self._get(x.shape, lambda: ops._reorder_convolution_weight(layer.weight.detach(), *how, x.shape))
        return ops._convolution_pointwise(x, weight, layer.bias, *how, "none", [], "")  # type: ignore[no-any-return]


class _Winograd(_Kept):
    def __init__(self, layer: Any) -> None:
        super().__init__(layer)
        self.nbytes = filter_bytes(layer)

    def __call__(self, x: Tensor) -> Tensor:
        """Return the convolution, with the weight transformed."""
        layer = self.layer
        tile = best_tile(layer, x)
        if not tile:
            return nn.Conv2d.forward(layer, x)
        return self._get(tile, lambda: Filters(layer, tile))(x)  # type: ignore[no-any-return]


def _takes(layer: nn.Conv2d, x: Tensor) -> bool:
    """Return whether the input is one that the layer is for; the error about others is torch's."""
    if x.ndim != 4 or x.shape[1] != layer.in_channels:
        return False
    pads: Any = layer.padding
    sizes = zip(x.shape[2:], pads, layer.dilation, layer.kernel_size, strict=True)
    return all(size + 2 * pad > step * (kernel - 1) for size, pad, step, kernel in sizes)


def _is_for_onednn(layer: Any, x: Tensor) -> bool:
    return x.dtype is layer.weight.dtype is torch.bfloat16 and has_bfloat16() and is_plain_inference(layer, x)
