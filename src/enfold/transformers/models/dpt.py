"""DPT (Ranftl et al., 2021, "Vision Transformers for Dense Prediction"): the layers of a ViT put together to a map.

Shapes: B images, T tokens (a class token and the patches), D width, F width of the fused maps, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from enfold.errors import EnfoldError
from enfold.nn.activations import activation
from enfold.nn.losses import pixel_loss
from enfold.nn.patches import Patches, pair, resize_positions
from enfold.transformers.configs.dpt import DPTConfig
from enfold.transformers.heads import as_asked
from enfold.transformers.modeling import PreTrainedModel
from enfold.transformers.models.backbone import load_backbone
from enfold.transformers.models.vit import Encoder, Pooler
from enfold.transformers.outputs import DepthEstimatorOutput, Layers, ModelOutput, SemanticSegmenterOutput

__all__ = ["DPTConfig", "DPTForDepthEstimation", "DPTForSemanticSegmentation", "DPTModel", "DPTPreTrainedModel"]


@dataclass
class BaseModelOutputWithPoolingAndIntermediateActivations(ModelOutput):
    """States (B, T, D), and the first two maps of a hybrid model's backbone."""

    last_hidden_state: Tensor | None = None
    pooler_output: Tensor | None = None
    hidden_states: Layers | None = None
    attentions: Layers | None = None
    intermediate_activations: Layers | None = None


def bilinear(x: Tensor, size: Any = None, factor: float | None = None, corners: bool = False) -> Tensor:
    """Return maps (B, C, height, width) stretched to a size or by a factor."""
    return F.interpolate(x, size=size, scale_factor=factor, mode="bilinear", align_corners=corners)


class Embeddings(nn.Module):
    """Patches after a class token, with positions stretched to the image; a hybrid model's patches are the pixels of
    its backbone's last map."""

    def __init__(self, config: DPTConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.patch_size = pair(config.patch_size)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        if config.is_hybrid:
            self.backbone = load_backbone(config)
            if len(self.backbone.channels) != 3:
                raise EnfoldError(f"a hybrid DPT needs three feature maps, not {len(self.backbone.channels)}")
            shape = config.backbone_featmap_shape or [1, self.backbone.channels[-1]]
            self.projection = nn.Conv2d(shape[1], width, kernel_size=1)
            high, wide = pair(config.image_size)
            patches = (high // self.patch_size[0]) * (wide // self.patch_size[1])
        else:
            self.patch_embeddings = Patches(config.num_channels, width, config.image_size, config.patch_size)
            patches = self.patch_embeddings.num_patches
        self.position_embeddings = nn.Parameter(torch.zeros(1, patches + 1, width))
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.hybrid = config.is_hybrid

    def forward(self, pixels: Tensor) -> tuple[Tensor, tuple[Tensor, ...] | None]:
        """Return (B, T, D) and a hybrid model's first two maps."""
        grid = tuple(side // length for side, length in zip(pixels.shape[-2:], self.patch_size, strict=True))
        if self.hybrid:
            *maps, last = self.backbone(pixels, return_dict=True).feature_maps
            x, kept = self.projection(last).flatten(2).transpose(1, 2), tuple(maps)
        else:
            x, kept = self.patch_embeddings(pixels), None
        x = torch.cat((self.cls_token.expand(x.shape[0], -1, -1), x), dim=1)
        return self.dropout(x + resize_positions(self.position_embeddings, (grid[0], grid[1]), mode="bilinear")), kept


class DPTPreTrainedModel(PreTrainedModel):
    """What all DPTs share."""

    config_class = DPTConfig
    base_model_prefix = "dpt"
    _supports_sdpa = True
    main_input_name = "pixel_values"
    _no_split_modules = ["ViTLayer"]

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            module.weight.normal_(0.0, self.config.initializer_range)
            if module.bias is not None:
                module.bias.zero_()

    def get_input_embeddings(self) -> nn.Module:
        """Return the embedding of patches."""
        base: Any = self.base_model
        return base.embeddings if self.config.is_hybrid else base.embeddings.patch_embeddings


class DPTModel(DPTPreTrainedModel):
    """DPT's ViT without neck and head.

    Args:
        config: what to build.
        add_pooling_layer: give the model a layer on its class token.
    """

    def __init__(self, config: DPTConfig, add_pooling_layer: bool = True) -> None:
        super().__init__(config)
        self.embeddings = Embeddings(config)
        self.encoder = Encoder(config)
        self.layernorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.pooler = Pooler(config) if add_pooling_layer else None
        self.post_init()

    def forward(
        self,
        pixel_values: Tensor,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        **_: Any,
    ) -> Any:
        """Return the states of the class token and of every patch.

        Args:
            pixel_values: (B, channels, height, width), of any size.
            output_attentions: return the attention weights.
            output_hidden_states: return the states between the layers.
            return_dict: False returns a tuple.
        """
        record = self.recording(output_attentions, output_hidden_states)
        x, maps = self.embeddings(pixel_values)
        x = self.encode(self.encoder.layer, x, record)
        record.finish(x)
        x = self.layernorm(x)
        pooled = None if self.pooler is None else self.pooler(x)
        output = BaseModelOutputWithPoolingAndIntermediateActivations(
            x, pooled, record.hidden_states, record.attentions, maps
        )
        return as_asked(output, return_dict, self.config.return_dict)


class ReassembleLayer(nn.Module):
    """Projects a map and makes it larger or smaller."""

    def __init__(self, source: int, width: int, factor: float) -> None:
        super().__init__()
        self.projection = nn.Conv2d(source, width, kernel_size=1)
        self.resize: nn.Module = nn.Identity()
        if factor > 1:
            self.resize = nn.ConvTranspose2d(width, width, kernel_size=int(factor), stride=int(factor))
        elif factor < 1:
            self.resize = nn.Conv2d(width, width, kernel_size=3, stride=int(1 / factor), padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, width, height · factor, width · factor)."""
        return self.resize(self.projection(x))


class ReassembleStage(nn.Module):
    """Turns the states of some layers into maps of several sizes."""

    def __init__(self, config: DPTConfig) -> None:
        super().__init__()
        width = getattr(config.backbone_config, "hidden_size", config.hidden_size)
        kept = (0, 1) if config.is_hybrid else ()  # these maps come from the backbone as they are
        self.readout, self.ignored = config.readout_type, tuple(config.neck_ignore_stages)
        self.layers = nn.ModuleList(
            nn.Identity() if place in kept else ReassembleLayer(width, size, factor)
            for place, (size, factor) in enumerate(
                zip(config.neck_hidden_sizes, config.reassemble_factors, strict=True)
            )
        )
        if self.readout == "project":
            self.readout_projects = nn.ModuleList(
                nn.Sequential(nn.Identity())
                if place in kept
                else nn.Sequential(nn.Linear(2 * width, width), Activation(config.hidden_act))
                for place in range(len(config.neck_hidden_sizes))
            )

    def forward(self, states: Sequence[Tensor], grid: tuple[int, int] | None) -> list[Tensor]:
        """Return a map for each of the states (B, T, D); ``grid`` is their (height, width), square by default."""
        maps = []
        for place, x in enumerate(states):
            if place not in self.ignored:
                first, rows = x[:, :1], x[:, 1:]
                if self.readout == "project":
                    rows = self.readout_projects[place](torch.cat((rows, first.expand_as(rows)), dim=-1))
                elif self.readout == "add":
                    rows = rows + first
                side = round(rows.shape[1] ** 0.5)
                x = self.layers[place](rows.transpose(1, 2).unflatten(2, grid or (side, side)))
            maps.append(x)
        return maps


class Activation(nn.Module):
    """An activation function as a layer."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.act = activation(name)

    def forward(self, x: Tensor) -> Tensor:
        """Return the function of ``x``."""
        return self.act(x)


class PreActResidualLayer(nn.Module):
    """Two convolutions beside the map itself."""

    def __init__(self, config: DPTConfig) -> None:
        super().__init__()
        width, norm = config.fusion_hidden_size, config.use_batch_norm_in_fusion_residual
        bias = not norm if config.use_bias_in_fusion_residual is None else config.use_bias_in_fusion_residual
        self.convolution1 = nn.Conv2d(width, width, kernel_size=3, padding=1, bias=bias)
        self.convolution2 = nn.Conv2d(width, width, kernel_size=3, padding=1, bias=bias)
        self.batch_norm1 = nn.BatchNorm2d(width) if norm else nn.Identity()
        self.batch_norm2 = nn.BatchNorm2d(width) if norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, F, height, width)."""
        inner = self.batch_norm1(self.convolution1(torch.relu(x)))
        return self.batch_norm2(self.convolution2(torch.relu(inner))) + x


class FusionLayer(nn.Module):
    """Adds a map to what was fused before, and doubles its size."""

    def __init__(self, config: DPTConfig) -> None:
        super().__init__()
        self.projection = nn.Conv2d(config.fusion_hidden_size, config.fusion_hidden_size, kernel_size=1)
        self.residual_layer1 = PreActResidualLayer(config)
        self.residual_layer2 = PreActResidualLayer(config)

    def forward(self, x: Tensor, added: Tensor | None = None) -> Tensor:
        """Return (B, F, 2 · height, 2 · width)."""
        if added is not None:
            same = added if added.shape == x.shape else bilinear(added, x.shape[2:])
            x = x + self.residual_layer1(same)
        return self.projection(bilinear(self.residual_layer2(x), factor=2, corners=True))


class FusionStage(nn.Module):
    """Fuses maps, the smallest first."""

    def __init__(self, config: DPTConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(FusionLayer(config) for _ in config.neck_hidden_sizes)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Return what was fused after each map."""
        fused: list[Tensor] = []
        for x, layer in zip(reversed(maps), self.layers, strict=True):
            fused.append(layer(fused[-1], x) if fused else layer(x))
        return fused


class Neck(nn.Module):
    """From the states of some layers to fused maps."""

    def __init__(self, config: DPTConfig) -> None:
        super().__init__()
        width = config.fusion_hidden_size
        self.reassemble_stage = ReassembleStage(config)
        self.convs = nn.ModuleList(
            nn.Conv2d(source, width, kernel_size=3, padding=1, bias=False) for source in config.neck_hidden_sizes
        )
        self.fusion_stage = FusionStage(config)

    def forward(self, states: Sequence[Tensor], grid: tuple[int, int] | None = None) -> list[Tensor]:
        """Return fused maps (B, F, height, width), the last one the largest."""
        maps = self.reassemble_stage(states, grid)
        return self.fusion_stage([convolve(x) for convolve, x in zip(self.convs, maps, strict=True)])


class DepthEstimationHead(nn.Module):
    """Convolutions to one number a pixel."""

    def __init__(self, config: DPTConfig) -> None:
        super().__init__()
        width, self.index = config.fusion_hidden_size, config.head_in_index
        self.projection = nn.Conv2d(256, 256, kernel_size=3, padding=1) if config.add_projection else None
        self.head = nn.Sequential(
            nn.Conv2d(width, width // 2, kernel_size=3, padding=1),
            nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True),
            nn.Conv2d(width // 2, 32, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, 1, kernel_size=1),
            nn.ReLU(),
        )

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Return (B, height, width)."""
        x = maps[self.index]
        if self.projection is not None:
            x = torch.relu(self.projection(x))
        return self.head(x).squeeze(1)


class PixelHead(nn.Module):
    """Convolutions to one class a pixel."""

    def __init__(self, config: DPTConfig, dropout: float, double: bool) -> None:
        super().__init__()
        width = config.fusion_hidden_size
        self.head = nn.Sequential(
            nn.Conv2d(width, width, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Conv2d(width, config.num_labels, kernel_size=1),
        )
        if double:
            self.head.append(nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True))

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (B, C, height, width)."""
        return self.head(x)


class _Dense(DPTPreTrainedModel):
    """What both heads share: the layers of the ViT, or of the backbone, that the neck takes."""

    dpt: DPTModel

    def __init__(self, config: DPTConfig) -> None:
        super().__init__(config)
        self.backbone: Any = None

    def taken(
        self, pixels: Tensor, attentions: bool | None, hidden: bool | None
    ) -> tuple[list[Tensor], tuple[int, int] | None, dict[str, Any]]:
        """Return the states for the neck, their grid, and what the output says of states and attentions."""
        config = self.config
        if self.backbone is not None:
            patch = pair(config.backbone_config.patch_size)
            states = self.backbone(pixels, output_attentions=attentions, output_hidden_states=hidden, return_dict=True)
            grid = (pixels.shape[-2] // patch[0], pixels.shape[-1] // patch[1])
            said = {"hidden_states": states.hidden_states, "attentions": states.attentions}
            return list(states.feature_maps), grid, said
        states = self.dpt(pixels, output_attentions=attentions, output_hidden_states=True, return_dict=True)
        first = list(states.intermediate_activations or ())
        places = config.backbone_out_indices[len(first) :]
        wanted = config.output_hidden_states if hidden is None else hidden
        said = {"hidden_states": states.hidden_states if wanted else None, "attentions": states.attentions}
        return first + [states.hidden_states[place + 1] for place in places], None, said


class DPTForDepthEstimation(_Dense):
    """DPT that tells how far each pixel is."""

    def __init__(self, config: DPTConfig) -> None:
        super().__init__(config)
        if config.backbone_config is not None and not config.is_hybrid:
            self.backbone = load_backbone(config)
        else:
            self.dpt = DPTModel(config, add_pooling_layer=False)
        self.neck = Neck(config)
        self.head = DepthEstimationHead(config)
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
        """Return the inverse depth of every pixel (B, height, width), up to scale and shift.

        Args:
            pixel_values: (B, channels, height, width).
            labels: no loss was published for this head: refused.
            output_attentions: return the attention weights.
            output_hidden_states: return the states between the layers.
            return_dict: False returns a tuple.
        """
        if labels is not None:
            raise EnfoldError("DPTForDepthEstimation computes no loss: compare predicted_depth with your labels")
        states, grid, said = self.taken(pixel_values, output_attentions, output_hidden_states)
        output = DepthEstimatorOutput(None, self.head(self.neck(states, grid)), **said)
        return as_asked(output, return_dict, self.config.return_dict)


class DPTForSemanticSegmentation(_Dense):
    """DPT with one prediction a pixel."""

    def __init__(self, config: DPTConfig) -> None:
        super().__init__(config)
        self.dpt = DPTModel(config, add_pooling_layer=False)
        self.neck = Neck(config)
        self.head = PixelHead(config, config.semantic_classifier_dropout, double=True)
        self.auxiliary_head = PixelHead(config, 0.1, double=False) if config.use_auxiliary_head else None
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
        """Return logits (B, C, height, width).

        Args:
            pixel_values: (B, channels, height, width).
            labels: (B, height, width), classes, or ``config.semantic_loss_ignore_index``.
            output_attentions: return the attention weights.
            output_hidden_states: return the states between the layers.
            return_dict: False returns a tuple.
        """
        config = self.config
        if labels is not None and config.num_labels == 1:
            raise ValueError("a loss needs more than one class: config.num_labels is 1")
        states, grid, said = self.taken(pixel_values, output_attentions, output_hidden_states)
        maps = self.neck(states, grid)
        logits, loss = self.head(maps[config.head_in_index]), None
        if labels is not None:
            loss = pixel_loss(logits, labels, config.semantic_loss_ignore_index)
            if self.auxiliary_head is not None:
                extra = pixel_loss(self.auxiliary_head(maps[-1]), labels, config.semantic_loss_ignore_index)
                loss = loss + config.auxiliary_loss_weight * extra
        output = SemanticSegmenterOutput(loss, logits, **said)
        return as_asked(output, return_dict, config.return_dict)
