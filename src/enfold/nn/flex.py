"""Attention by torch's FlexAttention: the score is a function, which the compiler fuses with the products around it."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import flex_attention

from enfold.log import get_logger
from enfold.nn.attention import attend

__all__ = ["flex_attend"]

logger = get_logger(__name__)
# Shapes for which the plain form is traced before it gives up: heads, widths and kinds of masks, of all models at once.
_SHAPES = 256


def flex_attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None = None,
    *,
    causal: bool = False,
    scale: float | None = None,
    dropout: float = 0.0,
    softcap: float | None = None,
) -> tuple[Tensor, None]:
    """Attend to ``key`` and ``value`` with ``query``; arguments and shapes as ``attend``.

    Fused by the compiler on accelerators, and wherever the model itself is compiled; else in torch's plain form. What
    FlexAttention cannot do (drop weights; gradients on a processor) is left to ``attend``, and said once.

    Returns:
        The attended values (B, H, T, D), and None: no weights are made.

    Source: Dong et al., 2024, "Flex Attention: A Programming Model for Generating Optimized Attention Kernels".

    Example:
        >>> q = torch.randn(1, 4, 3, 8)
        >>> torch.allclose(flex_attend(q, q, q)[0], attend(q, q, q)[0], atol=1e-5)
        True
    """
    options: dict[str, Any]
    reason = _unfit(query, key, value, dropout)
    if reason:
        _say(reason)
        options = {"causal": causal, "scale": scale, "dropout": dropout, "softcap": softcap}
        return attend(query, key, value, mask, **options)[0], None
    batch, heads, length, _ = query.shape
    seen = None if mask is None else mask.expand(batch, heads, length, key.shape[2])
    low = torch.finfo(query.dtype).min
    causal = causal and length > 1

    def score(value: Tensor, b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
        if softcap is not None:
            value = softcap * torch.tanh(value / softcap)
        if seen is not None:
            value = torch.where(seen[b, h, q, k], value, low) if seen.dtype == torch.bool else value + seen[b, h, q, k]
        return torch.where(k <= q, value, low) if causal else value

    options = {"score_mod": score, "scale": scale, "enable_gqa": heads != key.shape[1]}
    if query.device.type != "cpu" and not torch.compiler.is_compiling():
        return _compiled()(query, key, value, **options), None
    if torch.compiler.is_compiling():
        out: Any = flex_attention(query, key, value, **options)
    else:
        with torch._dynamo.config.patch(recompile_limit=_SHAPES):
            out = flex_attention(query, key, value, **options)
    return out, None


def _unfit(query: Tensor, key: Tensor, value: Tensor, dropout: float) -> str | None:
    if dropout:
        return "flex_attention drops no attention weights"
    learns = torch.is_grad_enabled() and (query.requires_grad or key.requires_grad or value.requires_grad)
    if learns and query.device.type == "cpu":
        return "flex_attention has no backward pass on processors"
    return None


@cache
def _say(reason: str) -> None:
    logger.warning("%s: torch's scaled_dot_product_attention does it instead, with equal results", reason)


@cache
def _compiled() -> Any:
    return torch.compile(flex_attention, dynamic=True)
