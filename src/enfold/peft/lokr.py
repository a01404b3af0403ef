"""LoKr: the change is a Kronecker product of two small matrices, the larger of which may have a low rank.

Source: Edalati et al., 2022, "KronA: Parameter Efficient Tuning with Kronecker Adapter", https://arxiv.org/abs/2212.10650,
as LyCORIS lays it out (Yeh et al., 2024, https://arxiv.org/abs/2309.14859).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from enfold.peft.config import spelled
from enfold.peft.loha import LycorisConfig, LycorisLayer, uniform

__all__ = ["LoKrConfig", "LoKrLayer", "split"]


@spelled({})
@dataclass
class LoKrConfig(LycorisConfig):
    """How Kronecker products are put into a model.

    Args:
        decompose_both: give the smaller factor a low rank too.
        decompose_factor: size of the smaller factor where it divides the layer's; -1 for factors of like sizes.
        rank_dropout_scale: make up for dropped rows.
        init_weights: also ``"lycoris"``, which begins with the other factor at zero.

    The other fields are those of :class:`~enfold.peft.loha.LycorisConfig`.
    """

    kind: ClassVar[str | None] = "LOKR"

    decompose_both: bool = False
    decompose_factor: int = -1
    rank_dropout_scale: bool = False


def split(size: int, factor: int = -1) -> tuple[int, int]:
    """Return two factors of ``size``, the smaller first: as alike as they can be, and the first at most ``factor``.

    Example:
        >>> split(12), split(12, 2), split(7)
        ((3, 4), (2, 6), (1, 7))
    """
    if factor > 0 and size % factor == 0:
        return factor, size // factor
    limit = size if factor == -1 else factor
    best = (1, size)
    for small in range(2, min(limit, int(size**0.5)) + 1):
        if size % small == 0:
            best = (small, size // small)
    return best


class LoKrLayer(LycorisLayer):
    """A layer whose change is w1 ⊗ w2."""

    kind: ClassVar[str] = "LOKR"
    holders = ("lokr_w1", "lokr_w1_a", "lokr_w1_b", "lokr_w2", "lokr_w2_a", "lokr_w2_b", "lokr_t2")

    def make_factors(self, name: str, config: Any, inputs: int, window: tuple[int, ...]) -> None:
        rank, start = self.r[name], config.init_weights
        small_out, large_out = split(self.out_features, config.decompose_factor)
        small_in, large_in = split(inputs, config.decompose_factor)

        def first(*shape: int) -> Tensor:
            return torch.zeros(shape) if start is True else uniform(*shape)

        def second(*shape: int) -> Tensor:
            return torch.zeros(shape) if start == "lycoris" else uniform(*shape)

        if config.decompose_both and rank < max(small_out, small_in) / 2:
            self.hold(name, lokr_w1_a=first(small_out, rank), lokr_w1_b=uniform(rank, small_in))
        else:
            self.hold(name, lokr_w1=first(small_out, small_in))
        if rank >= max(large_out, large_in) / 2:
            self.hold(name, lokr_w2=second(large_out, large_in, *window))
        elif config.use_effective_conv2d and any(size > 1 for size in window):
            core = (rank, rank, *window, *[1] * (2 - len(window)))
            self.hold(
                name, lokr_w2_a=uniform(rank, large_out), lokr_w2_b=second(rank, large_in), lokr_t2=uniform(*core)
            )
        else:
            columns = large_in * math.prod(window)
            self.hold(name, lokr_w2_a=uniform(large_out, rank), lokr_w2_b=second(rank, columns))

    def delta(self, name: str) -> Tensor:
        if name in self.lokr_w1:
            w1 = self.lokr_w1[name]
        else:
            w1 = self.lokr_w1_a[name] @ self.lokr_w1_b[name]
        if name in self.lokr_w2:
            w2 = self.lokr_w2[name]
        elif name in self.lokr_t2:
            w2 = torch.einsum("ijkl,ip,jr->prkl", self.lokr_t2[name], self.lokr_w2_a[name], self.lokr_w2_b[name])
        else:
            w2 = self.lokr_w2_a[name] @ self.lokr_w2_b[name]
        change = torch.einsum("ab,cd...->acbd...", w1, w2) * self.scaling[name]
        window = tuple(getattr(self.get_base_layer(), "kernel_size", ()))
        return change.reshape(self.out_features, -1, *window)
