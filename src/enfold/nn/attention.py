"""Scaled dot-product attention, once for every model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["Manner", "attend", "merge_heads", "split_heads"]

# How to attend: with the weights (True), without them (False), or by another function that takes and returns what
# ``attend`` does.
Manner = bool | Callable[..., Any]


def split_heads(x: Tensor, head_dim: int) -> Tensor:
    """Return ``x`` of shape (B, T, H·D) as (B, H, T, D)."""
    return x.view(x.shape[0], x.shape[1], -1, head_dim).transpose(1, 2)


def merge_heads(x: Tensor) -> Tensor:
    """Return ``x`` of shape (B, H, T, D) as (B, T, H·D)."""
    return x.transpose(1, 2).flatten(2)


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None = None,
    *,
    causal: bool = False,
    scale: float | None = None,
    dropout: float = 0.0,
    softcap: float | None = None,
    weights: Manner = False,
) -> tuple[Tensor, Tensor | None]:
    """Attend to ``key`` and ``value`` with ``query``.

    Args:
        query: (B, H, T, D).
        key, value: (B, K, S, D), where K divides H: each of the K heads serves H / K queries (grouped queries). Or,
            as the key, something with ``attended_by(query, mask, scale=…, softcap=…)`` that knows where its keys lie.
        mask: broadcastable to (B, H, T, S); a boolean mask is True where a query may look, another is added to the
            scores. None looks everywhere.
        causal: query i may look at keys up to i; only with ``mask=None`` and T = S.
        scale: factor of the scores; 1 / √D by default.
        dropout: probability with which an attention weight is dropped.
        softcap: scores s become c · tanh(s / c), which keeps them within ±c; computed by the explicit softmax.
        weights: return the attention weights too, by the explicit softmax, which needs (B, H, T, S) of memory; or a
            function that attends in the place of this one.

    Returns:
        The attended values (B, H, T, D) and, when asked for, the weights (B, H, T, S), else None.

    Source: Vaswani et al., 2017, "Attention Is All You Need"; grouped queries: Ainslie et al., 2023; soft capping:
    Gemma Team, 2024, "Gemma 2".

    Example:
        >>> q = torch.randn(1, 4, 3, 8)
        >>> attend(q, q, q, causal=True)[0].shape
        torch.Size([1, 4, 3, 8])
    """
    if not isinstance(key, Tensor):  # keys that lie in pages are attended to there
        paged: tuple[Tensor, Tensor | None] = key.attended_by(query, mask, scale=scale, softcap=softcap)
        return paged
    if callable(weights):
        return weights(query, key, value, mask, causal=causal, scale=scale, dropout=dropout, softcap=softcap)
    batch, heads, length, dim = query.shape
    shared = heads // key.shape[1]
    explicit = weights or softcap is not None
    if shared > 1:
        if length == 1 and not explicit and (mask is None or mask.shape[1] == 1):
            # One new token: the queries of a group become rows of one head, so that no key is copied.
            grouped = query.reshape(batch, key.shape[1], shared, dim)
            out = F.scaled_dot_product_attention(grouped, key, value, attn_mask=mask, dropout_p=dropout, scale=scale)
            return out.reshape(batch, heads, 1, dim), None
        key, value = _repeat(key, shared), _repeat(value, shared)
    if not explicit:
        out = F.scaled_dot_product_attention(
            query, key, value, attn_mask=mask, dropout_p=dropout, is_causal=bool(causal and length > 1), scale=scale
        )
        return out, None
    scores = (query @ key.transpose(2, 3)) * (dim**-0.5 if scale is None else scale)  # (B, H, T, S)
    if softcap is not None:
        scores = softcap * torch.tanh(scores / softcap)
    if causal and length > 1:
        mask = torch.ones(length, key.shape[2], dtype=torch.bool, device=query.device).tril()
    if mask is not None:
        low = torch.finfo(scores.dtype).min
        scores = scores.masked_fill(~mask, low) if mask.dtype == torch.bool else scores + mask
    # Softmax in single precision: half precision loses the tail of a long row.
    shares = torch.softmax(scores, dim=-1, dtype=torch.float32).to(query.dtype)
    kept = F.dropout(shares, dropout) if dropout else shares
    return kept @ value, kept if weights else None


def _repeat(x: Tensor, times: int) -> Tensor:
    """Return (B, K, S, D) as (B, K·times, S, D), each head repeated in place."""
    batch, heads, length, dim = x.shape
    return x[:, :, None].expand(batch, heads, times, length, dim).reshape(batch, heads * times, length, dim)
