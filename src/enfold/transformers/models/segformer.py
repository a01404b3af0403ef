"""SegFormer (Xie et al., 2021): a pyramid of transformers without positions, and a light decoder of pixels.

Shapes: B images, T = h · w patches of a stage, H heads, D width of a stage, C classes.
"""

from __future__ import annotations

from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from enfold.nn.activations import activation
from enfold.nn.attention import Manner, attend, merge_heads, split_heads
from enfold.nn.losses import pixel_loss
from enfold.nn.patches import DropPath
from enfold.transformers.configs.segformer import SegformerConfig
from enfold.transformers.heads import ImageClassificationHead, as_asked
from enfold.transformers.modeling import PreTrainedModel
from enfold.transformers.models.vit import Projection
from enfold.transformers.outputs import BaseModelOutput, SemanticSegmenterOutput

__all__ = [
    "SegformerConfig",
    "SegformerDecodeHead",
    "SegformerForImageClassification",
    "SegformerForSemanticSegmentation",
    "SegformerLayer",
    "SegformerModel",
    "SegformerPreTrainedModel",
]


def to_map(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Return (B, T, D) as (B, D, height, width)."""
    return x.transpose(1, 2).unflatten(2, size)


def to_rows(x: Tensor) -> Tensor:
    """Return (B, D, height, width) as (B, T, D)."""
    return x.flatten(2).transpose(1, 2)


class OverlapPatchEmbeddings(nn.Module):
    """Overlapping patches."""

    def __init__(self, source: int, width: int, patch: int, stride: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(source, width, kernel_size=patch, stride=stride, padding=patch // 2)
        self.layer_norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Return (B, T, D) and (height, width) in patches."""
        x = self.proj(x)
        return self.layer_norm(to_rows(x)), (x.shape[2], x.shape[3])


class EfficientSelfAttention(nn.Module):
    """Attention to a smaller map: keys and values are made of blocks of patches."""

    def __init__(self, config: SegformerConfig, stage: int) -> None:
        super().__init__()
        width, ratio = config.hidden_sizes[stage], config.sr_ratios[stage]
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.head_dim = width // config.num_attention_heads[stage]
        self.dropout = nn.Dropout(config.attention_probs_dropout_prob)
        self.sr_ratio = ratio
        if ratio > 1:
            self.sr = nn.Conv2d(width, width, kernel_size=ratio, stride=ratio)
            self.layer_norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, size: tuple[int, int], weights: Manner) -> tuple[Tensor, Tensor | None]:
        """Return (B, T, D) and, with ``weights``, (B, H, T, T / ratio²)."""
        source = self.layer_norm(to_rows(self.sr(to_map(x, size)))) if self.sr_ratio > 1 else x
        q = split_heads(self.query(x), self.head_dim)
        k, v = (split_heads(layer(source), self.head_dim) for layer in (self.key, self.value))
        out, shares = attend(q, k, v, dropout=self.dropout.p if self.training else 0.0, weights=weights)
        return merge_heads(out), shares


class Attention(nn.Module):
    """Attention with its output projection."""

    def __init__(self, config: SegformerConfig, stage: int) -> None:
        super().__init__()
        width = config.hidden_sizes[stage]
        self.self = EfficientSelfAttention(config, stage)
        self.output = Projection(width, width, config.hidden_dropout_prob)

    def forward(self, x: Tensor, size: tuple[int, int], weights: Manner) -> tuple[Tensor, Tensor | None]:
        """Return (B, T, D) and, with ``weights``, the attention weights."""
        out, shares = self.self(x, size, weights)
        return self.output(out), shares


class DWConv(nn.Module):
    """A convolution of every column by itself, from which patches learn where they are."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(width, width, 3, padding=1, groups=width)

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """Return (B, T, D) for (B, T, D)."""
        return to_rows(self.dwconv(to_map(x, size)))


class MixFFN(nn.Module):
    """The feed-forward, with a convolution inside."""

    def __init__(self, config: SegformerConfig, stage: int) -> None:
        super().__init__()
        width = config.hidden_sizes[stage]
        wide = int(width * config.mlp_ratios[stage])
        self.dense1 = nn.Linear(width, wide)
        self.dwconv = DWConv(wide)
        self.act = activation(config.hidden_act)
        self.dense2 = nn.Linear(wide, width)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """Return (B, T, D) for (B, T, D)."""
        return self.dropout(self.dense2(self.dropout(self.act(self.dwconv(self.dense1(x), size)))))


class SegformerLayer(nn.Module):
    """One layer: attention and feed-forward, each normalised before."""

    def __init__(self, config: SegformerConfig, stage: int, drop: float) -> None:
        super().__init__()
        width = config.hidden_sizes[stage]
        self.layer_norm_1 = nn.LayerNorm(width)
        self.attention = Attention(config, stage)
        self.drop_path = DropPath(drop)
        self.layer_norm_2 = nn.LayerNorm(width)
        self.mlp = MixFFN(config, stage)

    def forward(self, x: Tensor, size: tuple[int, int], weights: Manner) -> tuple[Tensor, Tensor | None]:
        """Return (B, T, D) and, with ``weights``, the attention weights."""
        attended, shares = self.attention(self.layer_norm_1(x), size, weights)
        x = x + self.drop_path(attended)
        return x + self.drop_path(self.mlp(self.layer_norm_2(x), size)), shares


class Encoder(nn.Module):
    """The stages, their parts side by side: patches, layers, normalisation."""

    def __init__(self, config: SegformerConfig) -> None:
        super().__init__()
        sources = [config.num_channels, *config.hidden_sizes]
        stages, layers = range(config.num_encoder_blocks), sum(config.depths)
        drops = iter(config.drop_path_rate * place / max(layers - 1, 1) for place in range(layers))
        self.patch_embeddings = nn.ModuleList(
            OverlapPatchEmbeddings(sources[i], config.hidden_sizes[i], config.patch_sizes[i], config.strides[i])
            for i in stages
        )
        self.block = nn.ModuleList(
            nn.ModuleList(SegformerLayer(config, i, next(drops)) for _ in range(config.depths[i])) for i in stages
        )
        self.layer_norm = nn.ModuleList(nn.LayerNorm(config.hidden_sizes[i]) for i in stages)


class SegformerPreTrainedModel(PreTrainedModel):
    """What all SegFormers share."""

    config_class = SegformerConfig
    base_model_prefix = "segformer"
    _supports_sdpa = True
    main_input_name = "pixel_values"
    _no_split_modules = ["SegformerLayer"]

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, nn.Conv2d):
            module.weight.normal_(0.0, self.config.initializer_range)
            if module.bias is not None:
                module.bias.zero_()

    def get_input_embeddings(self) -> nn.Module:
        """Return the embedding of patches of the first stage."""
        base: Any = self.base_model
        return base.encoder.patch_embeddings[0]


class SegformerModel(SegformerPreTrainedModel):
    """SegFormer without a head."""

    def __init__(self, config: SegformerConfig) -> None:
        super().__init__(config)
        self.encoder = Encoder(config)
        self.post_init()

    def forward(
        self,
        pixel_values: Tensor,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        **_: Any,
    ) -> Any:
        """Return the last stage's map (B, D, h, w), or its rows without ``config.reshape_last_stage``.

        Args:
            pixel_values: (B, channels, height, width).
            output_attentions: return the attention weights.
            output_hidden_states: return the map of every stage.
            return_dict: False returns a tuple.
        """
        config, encoder, x = self.config, self.encoder, pixel_values
        maps: list[Tensor] = []
        record = self.recording(output_attentions, False)
        last = config.num_encoder_blocks - 1
        for stage, (cut, layers, norm) in enumerate(
            zip(encoder.patch_embeddings, encoder.block, encoder.layer_norm, strict=True)
        ):
            x, size = cut(x)
            x = norm(self.encode(cast(nn.ModuleList, layers), x, record, size))
            if stage < last or config.reshape_last_stage:
                x = to_map(x, size).contiguous()
            maps.append(x)
        wanted = config.output_hidden_states if output_hidden_states is None else output_hidden_states
        output = BaseModelOutput(x, tuple(maps) if wanted else None, record.attentions)
        return as_asked(output, return_dict, config.return_dict)


class SegformerForImageClassification(ImageClassificationHead, SegformerPreTrainedModel):
    """SegFormer with one prediction an image, read at the mean of the patches."""

    def __init__(self, config: SegformerConfig) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        self.segformer = SegformerModel(config)
        self.classifier = nn.Linear(config.hidden_sizes[-1], config.num_labels)
        self.post_init()

    def read(self, output: Any) -> Tensor:
        """Return logits (B, C)."""
        x = output.last_hidden_state
        return self.classifier(x.mean((2, 3)) if x.dim() == 4 else x.mean(1))


class StageProjection(nn.Module):
    """Brings a stage to the decoder's width."""

    def __init__(self, source: int, width: int) -> None:
        super().__init__()
        self.proj = nn.Linear(source, width)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, width, h, w) for (B, D, h, w)."""
        return to_map(self.proj(to_rows(x)), (x.shape[2], x.shape[3]))


class SegformerDecodeHead(nn.Module):
    """Joins the stages at the first one's size and reads a class for every pixel of it."""

    def __init__(self, config: SegformerConfig) -> None:
        super().__init__()
        width = config.decoder_hidden_size
        self.linear_c = nn.ModuleList(StageProjection(source, width) for source in config.hidden_sizes)
        self.linear_fuse = nn.Conv2d(width * config.num_encoder_blocks, width, kernel_size=1, bias=False)
        self.batch_norm = nn.BatchNorm2d(width)
        self.dropout = nn.Dropout(config.classifier_dropout_prob)
        self.classifier = nn.Conv2d(width, config.num_labels, kernel_size=1)

    def forward(self, maps: tuple[Tensor, ...]) -> Tensor:
        """Return logits (B, C, height / 4, width / 4) for the map of every stage."""
        joined = []
        for x, project in zip(maps, self.linear_c, strict=True):
            if x.dim() == 3:  # the last stage without config.reshape_last_stage: a square image
                side = round(x.shape[1] ** 0.5)
                x = to_map(x, (side, side))
            joined.append(F.interpolate(project(x), size=maps[0].shape[2:], mode="bilinear", align_corners=False))
        x = self.linear_fuse(torch.cat(joined[::-1], dim=1))
        return self.classifier(self.dropout(torch.relu(self.batch_norm(x))))


class SegformerForSemanticSegmentation(SegformerPreTrainedModel):
    """SegFormer with one prediction a pixel."""

    def __init__(self, config: SegformerConfig) -> None:
        super().__init__(config)
        self.segformer = SegformerModel(config)
        self.decode_head = SegformerDecodeHead(config)
        self.post_init()

    def forward(
        self,
        pixel_values: Tensor,
        labels: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        **_: Any,
    ) -> Any:
        """Return logits (B, C, height / 4, width / 4).

        Args:
            pixel_values: (B, channels, height, width).
            labels: (B, height, width), classes, or ``config.semantic_loss_ignore_index``.
            output_attentions: return the attention weights.
            output_hidden_states: return the map of every stage.
            return_dict: False returns a tuple.
        """
        config = self.config
        states = self.segformer(
            pixel_values, output_attentions=output_attentions, output_hidden_states=True, return_dict=True
        )
        logits = self.decode_head(states.hidden_states)
        loss = None if labels is None else pixel_loss(logits, labels, config.semantic_loss_ignore_index)
        wanted = config.output_hidden_states if output_hidden_states is None else output_hidden_states
        output = SemanticSegmenterOutput(loss, logits, states.hidden_states if wanted else None, states.attentions)
        return as_asked(output, return_dict, config.return_dict)
