"""Attention between places of a picture, and from them to a text, under the names that checkpoints have."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from enfold.nn.attention import attend, merge_heads, split_heads
from enfold.nn.outputs import ModelOutput

__all__ = [
    "Attention",
    "AttnProcessor",
    "AttnProcessor2_0",
    "BasicTransformerBlock",
    "FeedForward",
    "Transformer2DModel",
]


class AttnProcessor:
    """How an ``Attention`` computes: replaced through ``set_processor`` by adapters that add to it."""

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        **kwargs: Any,
    ) -> Tensor:
        """Return the attended states, (B, T, query_dim).

        Args:
            attn: whose layers to use.
            hidden_states: (B, T, query_dim).
            encoder_hidden_states: what is looked at, (B, S, cross_attention_dim); the states themselves by default.
            attention_mask: added to the scores, broadcastable to (B, heads, T, S).
        """
        query, key, value = attn.project(hidden_states, encoder_hidden_states)
        return attn.out(merge_heads(attend(query, key, value, attention_mask)[0]))


# The same: which kernel computes it is not said by a class here.
AttnProcessor2_0 = AttnProcessor


class Attention(nn.Module):
    """Multi-head attention.

    Args:
        query_dim: width of the states.
        cross_attention_dim: width of what is looked at; None: of the states themselves.
        heads: how many heads.
        dim_head: width of each.
        dropout: probability after the last layer.
        bias: whether queries, keys and values have biases.
        out_bias: whether the last layer has one.
        norm_num_groups: groups of a normalisation before; None: there is none.
        eps: of it.
        rescale_output_factor: by it the result is divided.
        residual_connection: add the input to the result; it may be a picture, (B, query_dim, H, W).
    """

    def __init__(
        self,
        query_dim: int,
        cross_attention_dim: int | None = None,
        heads: int = 8,
        dim_head: int = 64,
        dropout: float = 0.0,
        bias: bool = False,
        out_bias: bool = True,
        norm_num_groups: int | None = None,
        eps: float = 1e-5,
        rescale_output_factor: float = 1.0,
        residual_connection: bool = False,
    ) -> None:
        super().__init__()
        inner, seen = heads * dim_head, cross_attention_dim or query_dim
        self.heads, self.dim_head, self.query_dim, self.cross_attention_dim = heads, dim_head, query_dim, seen
        self.is_cross_attention = cross_attention_dim is not None
        self.rescale_output_factor, self.residual_connection = rescale_output_factor, residual_connection
        self.group_norm = nn.GroupNorm(norm_num_groups, query_dim, eps=eps) if norm_num_groups is not None else None
        self.to_q = nn.Linear(query_dim, inner, bias=bias)
        self.to_k = nn.Linear(seen, inner, bias=bias)
        self.to_v = nn.Linear(seen, inner, bias=bias)
        self.to_out = nn.ModuleList([nn.Linear(inner, query_dim, bias=out_bias), nn.Dropout(dropout)])
        # Set by ``fuse_projections``; never in a file, since no checkpoint has them.
        self.to_qkv: nn.Linear | None = None
        self.to_kv: nn.Linear | None = None
        self.processor: Any = AttnProcessor()

    def set_processor(self, processor: Any) -> None:
        """Compute by ``processor`` from now on; see ``AttnProcessor``."""
        if isinstance(self.processor, nn.Module) and not isinstance(processor, nn.Module):
            del self.processor
        self.processor = processor

    def get_processor(self, return_deprecated_lora: bool = False) -> Any:
        """Return what computes."""
        return self.processor

    def project(self, hidden_states: Tensor, encoder_hidden_states: Tensor | None = None) -> tuple[Tensor, ...]:
        """Return queries, keys and values, each (B, heads, T, dim_head)."""
        if encoder_hidden_states is None and self.to_qkv is not None:
            parts = self.to_qkv(hidden_states).chunk(3, dim=-1)
        elif self.to_kv is not None and encoder_hidden_states is not None:
            parts = (self.to_q(hidden_states), *self.to_kv(encoder_hidden_states).chunk(2, dim=-1))
        else:
            seen = hidden_states if encoder_hidden_states is None else encoder_hidden_states
            parts = (self.to_q(hidden_states), self.to_k(seen), self.to_v(seen))
        return tuple(split_heads(part, self.dim_head) for part in parts)

    def fuse_projections(self, fuse: bool = True) -> None:
        """Hold the weights of queries, keys and values in one tensor, too, and use it."""
        with torch.no_grad():
            if self.is_cross_attention:
                self.to_kv = _joined(self.to_k, self.to_v)
            else:
                self.to_qkv = _joined(self.to_q, self.to_k, self.to_v)

    def unfuse_projections(self) -> None:
        """Use the three tensors again."""
        self.to_qkv = self.to_kv = None

    def out(self, hidden_states: Tensor) -> Tensor:
        """Return the last layer's output."""
        return self.to_out[1](self.to_out[0](hidden_states))

    def forward(
        self,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        **kwargs: Any,
    ) -> Tensor:
        residual = hidden_states
        if hidden_states.dim() == 4:
            hidden_states = hidden_states if self.group_norm is None else self.group_norm(hidden_states)
            hidden_states = hidden_states.flatten(2).transpose(1, 2)
        elif self.group_norm is not None:
            hidden_states = self.group_norm(hidden_states.transpose(1, 2)).transpose(1, 2)
        given = {}
        if kwargs:  # only what the processor asks for
            asked = inspect.signature(self.processor.__call__).parameters
            given = {name: value for name, value in kwargs.items() if name in asked}
        hidden_states = self.processor(self, hidden_states, encoder_hidden_states, attention_mask, **given)
        if residual.dim() == 4:
            hidden_states = hidden_states.transpose(-1, -2).reshape(residual.shape)
        if self.residual_connection:
            hidden_states = hidden_states + residual
        return hidden_states if self.rescale_output_factor == 1 else hidden_states / self.rescale_output_factor


def _joined(*layers: nn.Linear) -> nn.Linear:
    """Return one layer that gives what several give, side by side."""
    first = layers[0]
    made = nn.Linear(first.in_features, sum(layer.out_features for layer in layers), bias=first.bias is not None)
    made.weight = nn.Parameter(torch.cat([layer.weight for layer in layers]), requires_grad=False)
    if first.bias is not None:
        made.bias = nn.Parameter(torch.cat([layer.bias for layer in layers]), requires_grad=False)
    return made


class GEGLU(nn.Module):
    """A linear layer gated by the GELU of another (Shazeer, 2020)."""

    def __init__(self, dim_in: int, dim_out: int, bias: bool = True) -> None:
        super().__init__()
        self.proj = nn.Linear(dim_in, dim_out * 2, bias=bias)

    def forward(self, hidden_states: Tensor) -> Tensor:
        hidden_states, gate = self.proj(hidden_states).chunk(2, dim=-1)
        return hidden_states * F.gelu(gate)


class GELU(nn.Module):
    """A linear layer and its GELU."""

    def __init__(self, dim_in: int, dim_out: int, approximate: str = "none", bias: bool = True) -> None:
        super().__init__()
        self.proj = nn.Linear(dim_in, dim_out, bias=bias)
        self.approximate = approximate

    def forward(self, hidden_states: Tensor) -> Tensor:
        return F.gelu(self.proj(hidden_states), approximate=self.approximate)


class FeedForward(nn.Module):
    """Two layers; ``activation_fn`` is "geglu", "gelu" or "gelu-approximate"."""

    def __init__(
        self,
        dim: int,
        dim_out: int | None = None,
        mult: int = 4,
        dropout: float = 0.0,
        activation_fn: str = "geglu",
        inner_dim: int | None = None,
        bias: bool = True,
    ) -> None:
        super().__init__()
        inner = inner_dim or int(dim * mult)
        first: nn.Module
        if activation_fn == "geglu":
            first = GEGLU(dim, inner, bias)
        elif activation_fn in ("gelu", "gelu-approximate"):
            first = GELU(dim, inner, "tanh" if activation_fn.endswith("approximate") else "none", bias)
        else:
            raise ValueError(f"activation_fn is {activation_fn!r}; expected 'geglu', 'gelu' or 'gelu-approximate'")
        self.net = nn.ModuleList([first, nn.Dropout(dropout), nn.Linear(inner, dim_out or dim, bias=bias)])

    def forward(self, hidden_states: Tensor) -> Tensor:
        for layer in self.net:
            hidden_states = layer(hidden_states)
        return hidden_states


class BasicTransformerBlock(nn.Module):
    """Attention among the states, to a text, and a feed-forward layer, each after a normalisation and added."""

    def __init__(
        self,
        dim: int,
        num_attention_heads: int,
        attention_head_dim: int,
        dropout: float = 0.0,
        cross_attention_dim: int | None = None,
        activation_fn: str = "geglu",
        attention_bias: bool = False,
        only_cross_attention: bool = False,
        double_self_attention: bool = False,
        norm_elementwise_affine: bool = True,
        norm_eps: float = 1e-5,
    ) -> None:
        super().__init__()
        self.only_cross_attention = only_cross_attention
        shape = {
            "heads": num_attention_heads,
            "dim_head": attention_head_dim,
            "dropout": dropout,
            "bias": attention_bias,
        }

        def norm() -> nn.LayerNorm:
            return nn.LayerNorm(dim, eps=norm_eps, elementwise_affine=norm_elementwise_affine)

        self.norm1 = norm()
        self.attn1 = Attention(dim, cross_attention_dim if only_cross_attention else None, **shape)  # type: ignore[arg-type]
        self.norm2, self.attn2 = None, None
        if cross_attention_dim is not None or double_self_attention:
            self.norm2 = norm()
            self.attn2 = Attention(dim, None if double_self_attention else cross_attention_dim, **shape)  # type: ignore[arg-type]
        self.norm3 = norm()
        self.ff = FeedForward(dim, dropout=dropout, activation_fn=activation_fn)

    def forward(
        self,
        hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        encoder_hidden_states: Tensor | None = None,
        encoder_attention_mask: Tensor | None = None,
        cross_attention_kwargs: dict[str, Any] | None = None,
    ) -> Tensor:
        more = cross_attention_kwargs or {}
        seen = encoder_hidden_states if self.only_cross_attention else None
        hidden_states = hidden_states + self.attn1(self.norm1(hidden_states), seen, attention_mask, **more)
        if self.attn2 is not None and self.norm2 is not None:
            attended = self.attn2(self.norm2(hidden_states), encoder_hidden_states, encoder_attention_mask, **more)
            hidden_states = hidden_states + attended
        return hidden_states + self.ff(self.norm3(hidden_states))


@dataclass
class Transformer2DModelOutput(ModelOutput):
    """A picture's states, (B, C, H, W)."""

    sample: Tensor | None = None


class Transformer2DModel(nn.Module):
    """Transformer blocks over the places of a picture, between two projections.

    Args:
        num_attention_heads: heads of each attention.
        attention_head_dim: width of each head.
        in_channels: channels of the picture.
        num_layers: how many blocks.
        dropout: probability in them.
        norm_num_groups: groups of the normalisation before.
        cross_attention_dim: width of the text's states; None: there is no text.
        use_linear_projection: the projections are linear layers instead of 1×1 convolutions.
        only_cross_attention: the first attention of each block is to the text, too.
    """

    def __init__(
        self,
        num_attention_heads: int = 16,
        attention_head_dim: int = 88,
        in_channels: int = 320,
        num_layers: int = 1,
        dropout: float = 0.0,
        norm_num_groups: int = 32,
        cross_attention_dim: int | None = None,
        attention_bias: bool = False,
        activation_fn: str = "geglu",
        use_linear_projection: bool = False,
        only_cross_attention: bool = False,
        double_self_attention: bool = False,
    ) -> None:
        super().__init__()
        inner = num_attention_heads * attention_head_dim
        self.linear = use_linear_projection
        self.norm = nn.GroupNorm(norm_num_groups, in_channels, eps=1e-6)
        self.proj_in = nn.Linear(in_channels, inner) if self.linear else nn.Conv2d(in_channels, inner, 1)
        self.transformer_blocks = nn.ModuleList(
            BasicTransformerBlock(
                inner,
                num_attention_heads,
                attention_head_dim,
                dropout=dropout,
                cross_attention_dim=cross_attention_dim,
                activation_fn=activation_fn,
                attention_bias=attention_bias,
                only_cross_attention=only_cross_attention,
                double_self_attention=double_self_attention,
            )
            for _ in range(num_layers)
        )
        self.proj_out = nn.Linear(inner, in_channels) if self.linear else nn.Conv2d(inner, in_channels, 1)

    def forward(
        self,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        encoder_attention_mask: Tensor | None = None,
        cross_attention_kwargs: dict[str, Any] | None = None,
    ) -> Tensor:
        """Return the picture's states.

        Args:
            hidden_states: (B, C, H, W).
            encoder_hidden_states: the text's states, (B, S, cross_attention_dim).
            attention_mask: added to the scores between places.
            encoder_attention_mask: added to the scores to the text.
            cross_attention_kwargs: for the attention's processor.
        """
        residual = hidden_states
        _, _, height, width = hidden_states.shape
        hidden_states = self.norm(hidden_states)
        if not self.linear:
            hidden_states = self.proj_in(hidden_states)
        hidden_states = hidden_states.permute(0, 2, 3, 1).flatten(1, 2)  # (B, H·W, C)
        if self.linear:
            hidden_states = self.proj_in(hidden_states)
        for block in self.transformer_blocks:
            hidden_states = block(
                hidden_states, attention_mask, encoder_hidden_states, encoder_attention_mask, cross_attention_kwargs
            )
        if self.linear:
            hidden_states = self.proj_out(hidden_states)
        hidden_states = hidden_states.unflatten(1, (height, width)).permute(0, 3, 1, 2)
        return (hidden_states if self.linear else self.proj_out(hidden_states)) + residual
