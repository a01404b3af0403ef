"""The parts of models that hear samples: convolutions over time, positions by convolution, layers of attention.

Shapes: B rows, T frames, H heads, D width.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from enfold.nn.activations import activation
from enfold.nn.attention import Manner, attend, merge_heads, split_heads
from enfold.transformers.configs.wav2vec2 import SpeechConfig

__all__ = ["FeatureEncoder", "FeatureProjection", "PositionalConv", "SpeechEncoder"]


class ConvLayer(nn.Module):
    """One convolution over time, normalised by group, by layer, or not at all."""

    def __init__(self, config: SpeechConfig, index: int) -> None:
        super().__init__()
        width = config.conv_dim[index]
        before = config.conv_dim[index - 1] if index else 1
        self.conv = nn.Conv1d(
            before, width, config.conv_kernel[index], stride=config.conv_stride[index], bias=config.conv_bias
        )
        self.by_layer = config.feat_extract_norm == "layer"
        self.layer_norm: nn.Module | None = None
        if self.by_layer:
            self.layer_norm = nn.LayerNorm(width)
        elif index == 0:
            self.layer_norm = nn.GroupNorm(width, width)
        self.act = activation(config.feat_extract_activation)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, width, T') for (B, channels, T)."""
        x = self.conv(x)
        if self.layer_norm is not None:
            x = self.layer_norm(x.transpose(1, 2)).transpose(1, 2) if self.by_layer else self.layer_norm(x)
        return self.act(x)


class FeatureEncoder(nn.Module):
    """The convolutions over samples."""

    def __init__(self, config: SpeechConfig) -> None:
        super().__init__()
        self.conv_layers = nn.ModuleList(ConvLayer(config, index) for index in range(len(config.conv_dim)))

    def _freeze_parameters(self) -> None:
        self.requires_grad_(False)


class FeatureProjection(nn.Module):
    """From the convolutions' width to the encoder's."""

    def __init__(self, config: SpeechConfig) -> None:
        super().__init__()
        self.layer_norm = None
        if getattr(config, "feat_proj_layer_norm", True):
            self.layer_norm = nn.LayerNorm(config.conv_dim[-1], eps=config.layer_norm_eps)
        self.projection = nn.Linear(config.conv_dim[-1], config.hidden_size)
        self.dropout = nn.Dropout(config.feat_proj_dropout)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return (B, T, D) and the normalised (B, T, channels) for (B, T, channels)."""
        x = x if self.layer_norm is None else self.layer_norm(x)
        return self.dropout(self.projection(x)), x


class PositionalConv(nn.Module):
    """Positions by one wide convolution, whose weight is a length and a direction, or which is normalised by batch."""

    def __init__(self, config: SpeechConfig) -> None:
        super().__init__()
        width, kernel = config.hidden_size, config.num_conv_pos_embeddings
        conv = nn.Conv1d(width, width, kernel, padding=kernel // 2, groups=config.num_conv_pos_embedding_groups)
        self.batch_norm = nn.BatchNorm1d(width) if getattr(config, "conv_pos_batch_norm", False) else None
        self.conv = conv
        if self.batch_norm is None:
            self.conv = nn.utils.parametrizations.weight_norm(conv, dim=2)
        self.even = kernel % 2 == 0
        self.act = activation(config.feat_extract_activation)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, T, D) for (B, T, D)."""
        x = x.transpose(1, 2)
        x = self.conv(x if self.batch_norm is None else self.batch_norm(x))
        return self.act(x[:, :, :-1] if self.even else x).transpose(1, 2)


class SpeechAttention(nn.Module):
    """Attention of every frame to every other."""

    def __init__(self, config: SpeechConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.k_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.q_proj = nn.Linear(width, width)
        self.out_proj = nn.Linear(width, width)
        self.head_dim, self.drop = width // config.num_attention_heads, config.attention_dropout

    def forward(self, x: Tensor, mask: Tensor | None, weights: Manner) -> tuple[Tensor, Tensor | None]:
        """Return (B, T, D) and, with ``weights``, (B, H, T, T)."""
        q, k, v = (split_heads(layer(x), self.head_dim) for layer in (self.q_proj, self.k_proj, self.v_proj))
        out, shares = attend(q, k, v, mask, dropout=self.drop if self.training else 0.0, weights=weights)
        return self.out_proj(merge_heads(out)), shares


class SpeechFeedForward(nn.Module):
    """The wide layer between attentions."""

    def __init__(self, config: SpeechConfig) -> None:
        super().__init__()
        self.intermediate_dropout = nn.Dropout(config.activation_dropout)
        self.intermediate_dense = nn.Linear(config.hidden_size, config.intermediate_size)
        self.output_dense = nn.Linear(config.intermediate_size, config.hidden_size)
        self.output_dropout = nn.Dropout(config.hidden_dropout)
        self.act = activation(config.hidden_act)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, T, D) for (B, T, D)."""
        x = self.output_dense(self.intermediate_dropout(self.act(self.intermediate_dense(x))))
        return self.output_dropout(x)


class AttentionAdapter(nn.Module):
    """A small layer for one language, at the end of an encoder layer (Pratap et al., 2023, MMS)."""

    def __init__(self, config: SpeechConfig, inner: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(config.hidden_size)
        self.linear_1 = nn.Linear(config.hidden_size, inner)
        self.linear_2 = nn.Linear(inner, config.hidden_size)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, T, D) for (B, T, D)."""
        return self.linear_2(F.relu(self.linear_1(self.norm(x))))


class SpeechLayer(nn.Module):
    """One layer: attention, then feed-forward; normalised after each, or before each where that trains stabler."""

    def __init__(self, config: SpeechConfig) -> None:
        super().__init__()
        self.attention = SpeechAttention(config)
        self.dropout = nn.Dropout(config.hidden_dropout)
        self.layer_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.feed_forward = SpeechFeedForward(config)
        self.final_layer_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, x: Tensor, mask: Tensor | None, weights: Manner) -> tuple[Tensor, Tensor | None]:
        """Return (B, T, D) and, with ``weights``, the attention weights."""
        attended, shares = self.attention(x, mask, weights)
        x = self.layer_norm(x + self.dropout(attended))
        return self.final_layer_norm(x + self.feed_forward(x)), shares


class StableSpeechLayer(SpeechLayer):
    """The same, normalised before, with an adapter where the configuration has one."""

    def __init__(self, config: SpeechConfig) -> None:
        super().__init__(config)
        inner = getattr(config, "adapter_attn_dim", None)
        self.adapter_layer = None if inner is None else AttentionAdapter(config, inner)

    def forward(self, x: Tensor, mask: Tensor | None, weights: Manner) -> tuple[Tensor, Tensor | None]:
        """Return (B, T, D) and, with ``weights``, the attention weights."""
        attended, shares = self.attention(self.layer_norm(x), mask, weights)
        x = x + self.dropout(attended)
        x = x + self.feed_forward(self.final_layer_norm(x))
        return (x if self.adapter_layer is None else x + self.adapter_layer(x)), shares


class SpeechEncoder(nn.Module):
    """Positions and layers."""

    def __init__(self, config: SpeechConfig) -> None:
        super().__init__()
        kind = StableSpeechLayer if config.do_stable_layer_norm else SpeechLayer
        self.pos_conv_embed = PositionalConv(config)
        self.layer_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout)
        self.layers = nn.ModuleList(kind(config) for _ in range(config.num_hidden_layers))
