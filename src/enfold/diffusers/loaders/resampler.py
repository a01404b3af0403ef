"""A picture's places as a few learned tokens (Perceiver resampler; Jaegle et al., https://arxiv.org/abs/2103.03206).

Names of weights are those of the published adapters.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from enfold.nn.attention import attend, merge_heads, split_heads

__all__ = ["Resampler"]

HEAD = 64  # width of a head, in all published adapters


class Looking(nn.Module):
    """Attention of the tokens to a picture's places and to themselves."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.to_q = nn.Linear(width, inner, bias=False)
        self.to_kv = nn.Linear(width, 2 * inner, bias=False)
        self.to_out = nn.Linear(inner, width, bias=False)

    def forward(self, places: Tensor, tokens: Tensor) -> Tensor:
        tokens = self.norm2(tokens)
        seen = torch.cat([self.norm1(places), tokens], dim=-2)
        query, key, value = (split_heads(one, HEAD) for one in (self.to_q(tokens), *self.to_kv(seen).chunk(2, -1)))
        return self.to_out(merge_heads(attend(query, key, value)[0]))  # type: ignore[no-any-return]


class Resampler(nn.Module):
    """Learned tokens that look at a picture's places, layer after layer.

    Args:
        given: width of the places' states.
        width: of the tokens inside.
        wanted: width of the tokens in the end.
        tokens: how many.
        layers: how many.
        inner: width of all heads.
        hidden: width inside the feed-forward layers.
    """

    def __init__(self, given: int, width: int, wanted: int, tokens: int, layers: int, inner: int, hidden: int) -> None:
        super().__init__()
        self.latents = nn.Parameter(torch.randn(1, tokens, width) / width**0.5)
        self.proj_in = nn.Linear(given, width)
        self.layers: Any = nn.ModuleList(
            nn.ModuleList(
                [
                    Looking(width, inner),
                    nn.Sequential(
                        nn.LayerNorm(width),
                        nn.Linear(width, hidden, bias=False),
                        nn.GELU(),
                        nn.Linear(hidden, width, bias=False),
                    ),
                ]
            )
            for _ in range(layers)
        )
        self.proj_out = nn.Linear(width, wanted)
        self.norm_out = nn.LayerNorm(wanted)

    @classmethod
    def of(cls, state: Mapping[str, Tensor]) -> Resampler:
        """Return one of the size that a file's tensors have."""
        layers = 1 + max(int(key.split(".")[1]) for key in state if key.startswith("layers."))
        width, given = state["proj_in.weight"].shape
        return cls(
            given,
            width,
            state["proj_out.weight"].shape[0],
            state["latents"].shape[1],
            layers,
            state["layers.0.0.to_q.weight"].shape[0],
            state["layers.0.1.1.weight"].shape[0],
        )

    def forward(self, image_embeds: Tensor) -> Tensor:
        """Return (B, tokens, wanted) for (B, places, given)."""
        places = self.proj_in(image_embeds)
        tokens = self.latents.expand(places.shape[0], -1, -1)
        for look, widen in self.layers:
            tokens = tokens + look(places, tokens)
            tokens = tokens + widen(tokens)
        return self.norm_out(self.proj_out(tokens))  # type: ignore[no-any-return]
