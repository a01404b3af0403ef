"""Blocks of diffusion transformers in which a picture and a text attend to each other, under their published names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from enfold.diffusers.models.attention import Attention, FeedForward
from enfold.errors import nearest
from enfold.nn.attention import attend, merge_heads, split_heads
from enfold.nn.norm import RMSNorm

__all__ = [
    "AdaLayerNorm",
    "JointAttention",
    "JointAttnProcessor",
    "JointTransformerBlock",
    "SingleTransformerBlock",
    "rotary_positions",
]

# ``qk_norm`` in configurations → what normalises the queries and keys of each head.
NORMS: dict[str | None, Callable[..., nn.Module]] = {
    None: nn.Identity,
    "layer_norm": lambda size: nn.LayerNorm(size, eps=1e-6),
    "rms_norm": RMSNorm,
}
Rotary = tuple[Tensor, Tensor]


def rotary_positions(ids: Tensor, axes: tuple[int, ...], theta: float = 10000.0) -> Rotary:
    """Return cosines and sines that turn each pair of channels by its place on one of several axes.

    Args:
        ids: places, (T, number of axes).
        axes: channels of each axis, all even; together the width D of a head.
        theta: base of the wavelengths.

    Returns:
        Two float32 tensors, (T, D / 2).

    Source: Su et al., 2021, RoFormer, one axis after the other.

    Example:
        >>> cos, sin = rotary_positions(torch.zeros(5, 3), (4, 6, 6))
        >>> cos.shape, sin.abs().max().item()
        (torch.Size([5, 8]), 0.0)
    """
    wide = torch.float32 if ids.device.type == "mps" else torch.float64
    angles = []
    for place, width in zip(ids.to(wide).unbind(-1), axes, strict=True):
        steps = torch.arange(0, width, 2, dtype=wide, device=ids.device) / width
        angles.append(place[:, None] * theta**-steps)
    turned = torch.cat(angles, dim=-1)
    return turned.cos().float(), turned.sin().float()


def _turn(x: Tensor, rotary: Rotary) -> Tensor:
    """Turn neighbouring channels of ``x`` (B, H, T, D)."""
    cos, sin = rotary
    one, other = x.float().unflatten(-1, (-1, 2)).unbind(-1)
    return torch.stack([one * cos - other * sin, other * cos + one * sin], dim=-1).flatten(-2).to(x.dtype)


class JointAttnProcessor:
    """How a ``JointAttention`` computes; adapters replace it through ``set_processor``."""

    def __call__(
        self,
        attn: JointAttention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        image_rotary_emb: Rotary | None = None,
    ) -> Any:
        """Return the attended states, (B, T, dim), and with a text those of the text, too.

        Args:
            attn: whose layers to use.
            hidden_states: states of the picture, (B, T, dim).
            encoder_hidden_states: states of the text, (B, S, dim), seen by the picture and seeing it.
            attention_mask: added to the scores, broadcastable to (B, heads, S + T, S + T).
            image_rotary_emb: see ``rotary_positions``; first for the text's places, then for the picture's.
        """
        query, key, value = attn.project(hidden_states)
        query, key = attn.norm_q(query), attn.norm_k(key)
        words = 0
        if encoder_hidden_states is not None:
            words = encoder_hidden_states.shape[1]
            added = attn.project_added(encoder_hidden_states)
            query, key, value = (torch.cat(pair, dim=2) for pair in zip(added, (query, key, value), strict=True))
        if image_rotary_emb is not None:
            query, key = _turn(query, image_rotary_emb), _turn(key, image_rotary_emb)
        attended = merge_heads(attend(query, key, value, attention_mask)[0])
        if encoder_hidden_states is None:
            return attn.out(attended)
        return attn.out(attended[:, words:]), attn.out_added(attended[:, :words])


class JointAttention(Attention):
    """Attention among a picture's states and a text's, each with projections of its own.

    Args:
        dim: width of the states.
        heads: how many heads.
        dim_head: width of each.
        qk_norm: what normalises queries and keys: a key of ``NORMS``.
        added: whether there are projections for a text.
        added_out: whether the text's states are returned through a layer of their own.
        out: whether there is a last layer.
    """

    def __init__(
        self,
        dim: int,
        heads: int,
        dim_head: int,
        *,
        qk_norm: str | None = None,
        added: bool = False,
        added_out: bool = True,
        out: bool = True,
    ) -> None:
        super().__init__(dim, heads=heads, dim_head=dim_head, bias=True)
        if qk_norm not in NORMS:
            known = [name for name in NORMS if name]
            raise ValueError(f"qk_norm is {qk_norm!r}{nearest(str(qk_norm), known)}; expected None or one of {known}")
        self.norm_q, self.norm_k = NORMS[qk_norm](dim_head), NORMS[qk_norm](dim_head)
        self.to_add_out: nn.Linear | None = None
        if added:
            inner = heads * dim_head
            self.add_q_proj, self.add_k_proj, self.add_v_proj = (nn.Linear(dim, inner) for _ in range(3))
            self.norm_added_q, self.norm_added_k = NORMS[qk_norm](dim_head), NORMS[qk_norm](dim_head)
            if added_out:
                self.to_add_out = nn.Linear(inner, dim)
        if not out:
            del self.to_out
        self.ends = out
        self.processor = JointAttnProcessor()

    def project_added(self, states: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries, keys and values of a text, each (B, heads, S, dim_head), normalised."""
        query, key, value = (
            split_heads(layer(states), self.dim_head) for layer in (self.add_q_proj, self.add_k_proj, self.add_v_proj)
        )
        return self.norm_added_q(query), self.norm_added_k(key), value

    def out(self, hidden_states: Tensor) -> Tensor:
        """Return the last layer's output, where there is one."""
        return super().out(hidden_states) if self.ends else hidden_states

    def out_added(self, states: Tensor) -> Tensor:
        """Return the same for a text's states."""
        return states if self.to_add_out is None else self.to_add_out(states)


class AdaLayerNorm(nn.Module):
    """A normalisation whose shifts, scales and gates come from the embedding of time.

    Args:
        dim: width D of the states and of the embedding.
        parts: how many such vectors.

    Source: Peebles & Xie, 2022, "Scalable Diffusion Models with Transformers".
    """

    def __init__(self, dim: int, parts: int) -> None:
        super().__init__()
        self.parts = parts
        self.linear = nn.Linear(dim, parts * dim)
        self.norm = nn.LayerNorm(dim, eps=1e-6, elementwise_affine=False)

    def forward(self, x: Tensor, emb: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return ``x`` (B, T, D) normalised, and the vectors, each (B, 1, D)."""
        return self.norm(x), self.linear(F.silu(emb)).unsqueeze(1).chunk(self.parts, dim=-1)


def modulate(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """Return ``x`` scaled by one plus ``scale``, and shifted."""
    return x * (1 + scale) + shift


def _within_half(x: Tensor) -> Tensor:
    """Keep half-precision states finite."""
    return x.clamp(-65504, 65504) if x.dtype == torch.float16 else x


class JointTransformerBlock(nn.Module):
    """Joint attention, then a feed-forward layer for the picture and one for the text.

    Args:
        dim: width of the states.
        num_attention_heads: how many heads.
        attention_head_dim: width of each.
        qk_norm: see ``JointAttention``.
        context_pre_only: the text is seen but not computed any further: the last block of SD3.
        use_dual_attention: the picture has a second attention, to itself.
    """

    def __init__(
        self,
        dim: int,
        num_attention_heads: int,
        attention_head_dim: int,
        qk_norm: str | None = None,
        context_pre_only: bool = False,
        use_dual_attention: bool = False,
    ) -> None:
        super().__init__()
        self.context_pre_only = context_pre_only
        shape = (dim, num_attention_heads, attention_head_dim)
        self.norm1 = AdaLayerNorm(dim, 9 if use_dual_attention else 6)
        self.norm1_context = AdaLayerNorm(dim, 2 if context_pre_only else 6)
        self.attn = JointAttention(*shape, qk_norm=qk_norm, added=True, added_out=not context_pre_only)
        self.attn2 = JointAttention(*shape, qk_norm=qk_norm) if use_dual_attention else None
        self.norm2 = nn.LayerNorm(dim, eps=1e-6, elementwise_affine=False)
        self.ff = FeedForward(dim, activation_fn="gelu-approximate")
        if not context_pre_only:
            self.norm2_context = nn.LayerNorm(dim, eps=1e-6, elementwise_affine=False)
            self.ff_context = FeedForward(dim, activation_fn="gelu-approximate")

    def forward(
        self,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        temb: Tensor,
        image_rotary_emb: Rotary | None = None,
        joint_attention_kwargs: dict[str, Any] | None = None,
    ) -> tuple[Tensor | None, Tensor]:
        """Return the states of the text (None after the last block of SD3), and those of the picture.

        Args:
            hidden_states: of the picture, (B, T, dim).
            encoder_hidden_states: of the text, (B, S, dim).
            temb: embedding of time, (B, dim).
            image_rotary_emb: see ``rotary_positions``.
            joint_attention_kwargs: for the attention's processor.
        """
        more = {"image_rotary_emb": image_rotary_emb, **(joint_attention_kwargs or {})}
        normed, (shift, scale, gate, shift_ff, scale_ff, gate_ff, *dual) = self.norm1(hidden_states, temb)
        context, parts = self.norm1_context(encoder_hidden_states, temb)
        # alone, the scale comes first
        context = modulate(context, *(parts[::-1] if self.context_pre_only else parts[:2]))
        attended, attended_context = self.attn(modulate(normed, shift, scale), context, **more)
        hidden_states = hidden_states + gate * attended
        if self.attn2 is not None:
            shift, scale, gate = dual
            hidden_states = hidden_states + gate * self.attn2(modulate(normed, shift, scale), **more)
        hidden_states = hidden_states + gate_ff * self.ff(modulate(self.norm2(hidden_states), shift_ff, scale_ff))
        if self.context_pre_only:
            return None, hidden_states
        _, _, gate, shift_ff, scale_ff, gate_ff = parts
        text = encoder_hidden_states + gate * attended_context
        text = text + gate_ff * self.ff_context(modulate(self.norm2_context(text), shift_ff, scale_ff))
        return _within_half(text), hidden_states


class SingleTransformerBlock(nn.Module):
    """Attention and a feed-forward layer side by side, over text and picture as one sequence.

    Source: Dehghani et al., 2023, "Scaling Vision Transformers to 22 Billion Parameters", section 2, for the shape.
    """

    def __init__(self, dim: int, num_attention_heads: int, attention_head_dim: int, mlp_ratio: float = 4.0) -> None:
        super().__init__()
        inner = int(dim * mlp_ratio)
        self.norm = AdaLayerNorm(dim, 3)
        self.proj_mlp = nn.Linear(dim, inner)
        self.attn = JointAttention(dim, num_attention_heads, attention_head_dim, qk_norm="rms_norm", out=False)
        self.proj_out = nn.Linear(dim + inner, dim)

    def forward(
        self,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        temb: Tensor,
        image_rotary_emb: Rotary | None = None,
        joint_attention_kwargs: dict[str, Any] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return the states of the text and of the picture; see ``JointTransformerBlock.forward``."""
        words = encoder_hidden_states.shape[1]
        states = torch.cat([encoder_hidden_states, hidden_states], dim=1)
        normed, (shift, scale, gate) = self.norm(states, temb)
        normed = modulate(normed, shift, scale)
        attended = self.attn(normed, image_rotary_emb=image_rotary_emb, **(joint_attention_kwargs or {}))
        fed = F.gelu(self.proj_mlp(normed), approximate="tanh")
        states = _within_half(states + gate * self.proj_out(torch.cat([attended, fed], dim=-1)))
        return states[:, :words], states[:, words:]
