"""How the factors of a low-rank adapter begin.

Most starts leave the layer's result as it is: with B = 0, or by taking what A and B hold out of the weight.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from enfold.peft.lora import LoraLayer

__all__ = ["start"]


@torch.no_grad()
def start(layer: LoraLayer, name: str, config: Any) -> None:
    """Give the factors of adapter ``name`` their first values, as ``config.init_lora_weights`` says.

    Args:
        layer: a layer whose factors have just been made, random.
        name: the adapter.
        config: its configuration.

    Raises:
        ValueError: the start needs another rank, or another sort of layer.
    """
    kind = config.init_lora_weights
    if kind is False:
        return
    first, second = layer.factors(name)
    embedding = name in layer.lora_embedding_A
    if kind is True or kind == "eva" or (isinstance(kind, str) and kind.lower() == "gaussian"):
        if embedding:
            nn.init.zeros_(first)
            nn.init.normal_(second)
            return
        if kind is True:
            nn.init.kaiming_uniform_(first, a=math.sqrt(5))
        elif kind != "eva":
            nn.init.normal_(first, std=1 / layer.r[name])
        nn.init.zeros_(second)
        bias: Any = getattr(layer.lora_B[name], "bias", None)
        if bias is not None:
            nn.init.zeros_(bias)
        return
    family = kind.lower().partition("_")[0]
    if embedding or first.dim() != 2:
        raise ValueError(f"init_lora_weights={kind!r} is for linear layers")
    weight = layer.get_weight().float()
    residue, a, b = _STARTS[family](weight, layer.r[name], layer.scaling[name], config)
    first.copy_(a)
    second.copy_(b)
    second.requires_grad_(family != "mica")
    if residue is not None:
        layer.set_weight(residue)


def _pissa(weight: Tensor, rank: int, scale: float, config: Any) -> Any:
    """The principal part of the weight trains, the rest stays (https://arxiv.org/abs/2404.02948)."""
    kind = config.init_lora_weights
    if kind == "pissa":
        left, size, right = torch.linalg.svd(weight, full_matrices=False)
        left, size, right = left[:, :rank], size[:rank], right[:rank]
    else:
        left, size, right = torch.svd_lowrank(weight, rank, niter=int(kind.rpartition("_")[2]))
        right = right.T
    root = (size / scale).sqrt()
    a, b = root[:, None] * right, left * root
    return weight - scale * (b @ a), a, b


def _olora(weight: Tensor, rank: int, scale: float, config: Any) -> Any:
    """Orthonormal B from a QR decomposition (https://arxiv.org/abs/2406.01775)."""
    q, r = torch.linalg.qr(weight)
    a, b = r[:rank], q[:, :rank]
    return weight - scale * (b @ a), a, b


def _mica(weight: Tensor, rank: int, scale: float, config: Any) -> Any:
    """B spans the directions that the weight reaches least."""
    if rank > min(weight.shape):
        raise ValueError(f"mica needs a rank of at most {min(weight.shape)} for a layer of shape {tuple(weight.shape)}")
    left, _, _ = torch.linalg.svd(weight, full_matrices=False)
    return None, weight.new_zeros(rank, weight.shape[1]), left[:, -rank:]


def _orthogonal(weight: Tensor, rank: int, scale: float, config: Any) -> Any:
    """A and B in subspaces of the rank that are orthogonal, so that B A = 0 and neither is."""
    if rank % 2:
        raise ValueError(f"init_lora_weights='orthogonal' needs an even rank, not {rank}")
    q, _ = torch.linalg.qr(torch.randn(rank, rank))
    odd, even = q[0::2], q[1::2]
    a = (torch.randn(weight.shape[1], rank // 2) @ odd).T / 10
    b = torch.randn(rank // 2, weight.shape[0]).T @ even / 10
    return None, a, b


def _loftq(weight: Tensor, rank: int, scale: float, config: Any) -> Any:
    """The weight is quantised, and the factors make up for what that loses, in turns."""
    from enfold.nn.quantized import quantize_4bit, rounded_8bit

    asked = dict(config.loftq_config)
    bits, rounds = asked.get("loftq_bits", 4), asked.get("loftq_iter", 1)
    if bits not in (4, 8) or rounds < 1:
        raise ValueError(f"loftq takes 4 or 8 bits and at least one round, not {bits} and {rounds}")
    rest = weight
    for _ in range(rounds):
        low = quantize_4bit(rest).dequantize() if bits == 4 else rounded_8bit(rest)
        left, size, right = torch.linalg.svd(weight - low, full_matrices=False)
        root = size[:rank].sqrt()
        a, b = root[:, None] * right[:rank], left[:, :rank] * root
        rest = weight - b @ a
    return low, a, b


_STARTS: dict[str, Callable[[Tensor, int, float, Any], Any]] = {
    "pissa": _pissa,
    "olora": _olora,
    "mica": _mica,
    "orthogonal": _orthogonal,
    "loftq": _loftq,
}
