"""BOFT: inputs are rotated by a product of block-diagonal matrices between permutations, like a fast Fourier transform.

Source: Liu et al., 2024, "Parameter-Efficient Orthogonal Finetuning via Butterfly Factorization",
https://arxiv.org/abs/2311.06243
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from enfold.peft.config import LayeredConfig, UnsupportedPeftFeature, spelled
from enfold.peft.layer import AdapterLayer, is_linear
from enfold.peft.oft import cayley

__all__ = ["BOFTConfig", "BOFTLayer"]


@spelled({})
@dataclass
class BOFTConfig(LayeredConfig):
    """How rotations made of butterflies are put into a model.

    Args:
        target_modules, exclude_modules, modules_to_save, layers_to_transform, layers_pattern: which modules.
        boft_block_size: size of a block, or 0 where their number is given.
        boft_block_num: number of blocks, or 0 where their size is given.
        boft_n_butterfly_factor: number of matrices in the product.
        boft_dropout: share of the blocks of one matrix that turn nothing in a training step.
        init_weights: begin without rotation; random otherwise.
        fan_in_fan_out: weights are stored as (in, out); set by itself.
        bias: which biases train.
    """

    kind: ClassVar[str | None] = "BOFT"

    boft_block_size: int = 4
    boft_block_num: int = 0
    boft_n_butterfly_factor: int = 1
    boft_dropout: float = 0.0
    fan_in_fan_out: bool = False
    bias: str = "none"
    init_weights: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if bool(self.boft_block_size) == bool(self.boft_block_num):
            sizes = f"{self.boft_block_size} and {self.boft_block_num}"
            raise ValueError(f"give boft_block_size or boft_block_num and set the other to 0, not {sizes}")
        if self.boft_n_butterfly_factor < 1:
            raise ValueError(f"boft_n_butterfly_factor must be at least 1, not {self.boft_n_butterfly_factor}")


class BOFTLayer(AdapterLayer):
    """A linear layer or convolution whose inputs are rotated and whose outputs are scaled."""

    kind: ClassVar[str] = "BOFT"
    holders = ("boft_R", "boft_s")
    additive = False

    def check(self, plain: nn.Module) -> None:
        if not is_linear(plain) and not isinstance(plain, nn.Conv2d):
            raise UnsupportedPeftFeature(f"BOFT goes on linear layers and Conv2d, not on a {type(plain).__name__}")

    def make(self, name: str, config: Any, key: str) -> None:
        width = self._width()
        given = config.boft_block_size or config.boft_block_num
        factors = config.boft_n_butterfly_factor
        if width % given:
            raise ValueError(f"{key} has {width} inputs, which {given} does not divide")
        size = config.boft_block_size or width // config.boft_block_num
        blocks = width // size
        if factors > 1 and (blocks % 2 ** (factors - 1) or size % 2):
            raise ValueError(
                f"{key}: {factors} butterflies need {2 ** (factors - 1)} to divide {blocks} blocks of even size"
            )
        turns, scales = torch.zeros(factors, blocks, size, size), torch.ones(self.out_features, 1)
        if not config.init_weights:
            nn.init.normal_(turns, std=0.1)
            nn.init.normal_(scales, mean=1.0, std=0.1)
        self.hold(name, boft_R=turns, boft_s=scales)
        self.settings[name] = config

    def _width(self) -> int:
        """Return how many numbers make one output: inputs, times the window of a convolution."""
        plain: Any = self.get_base_layer()
        return self.in_features * math.prod(getattr(plain, "kernel_size", ()))

    def matrix(self, name: str) -> Tensor:
        """Return the rotation (I, I)."""
        turns = self.boft_R[name]
        factors, blocks, size, _ = turns.shape
        skew = (turns - turns.mT).flatten(0, 1) / 2
        rotations = cayley(skew).view(factors, blocks, size, size)
        dropout = self.settings[name].boft_dropout
        if self.training and dropout:
            still = torch.zeros(factors, blocks, 1, 1, device=turns.device)
            still[torch.randint(factors, ()), torch.randperm(blocks)[: int(dropout * blocks)]] = 1
            rotations = (1 - still) * rotations + still * torch.eye(size, device=turns.device)
        total = None
        for index, rotation in enumerate(rotations):
            order = _order(self._width(), blocks >> index, size // 2, factors).to(turns.device)
            back = torch.empty_like(order)
            back[order] = torch.arange(len(order), device=order.device)
            # P D Pᵀ, where P puts number order[i] into place i
            factor = torch.block_diag(*rotation)[order][:, order]
            total = factor if total is None else factor @ total
        assert total is not None
        return total

    def before(self, name: str, x: Tensor) -> Tensor:
        return self.cast(x, name) @ self.matrix(name) if is_linear(self.get_base_layer()) else x

    def after(self, name: str, x: Tensor, y: Tensor) -> Tensor:
        if is_linear(self.get_base_layer()):
            scales = self.boft_s[name].squeeze(-1)
            return y * scales if self.bias is None else (y - self.bias) * scales + self.bias
        y = self.through(self.cast(x, name), self.changed(name, self.get_weight()))
        return y if self.bias is None else y + self.bias.view(-1, 1, 1)

    def changed(self, name: str, weight: Tensor) -> Tensor:
        turned = weight.flatten(1) @ self.matrix(name).T.to(weight.dtype)
        return (turned * self.boft_s[name].to(weight.dtype)).view_as(weight)

    def restored(self, name: str, weight: Tensor) -> Tensor:
        still = (weight.flatten(1) / self.boft_s[name].to(weight.dtype)) @ self.matrix(name).to(weight.dtype)
        return still.view_as(weight)


def _order(width: int, blocks: int, half: int, factors: int) -> Tensor:
    """Return the permutation around one matrix: within each of ``blocks``, even groups of ``half`` before odd ones."""
    places = torch.arange(width)
    if factors == 1:
        return places
    groups = places.view(blocks, -1, half)
    return torch.cat((groups[:, 0::2], groups[:, 1::2]), 1).flatten()
