"""What DETR reads images with: a backbone, and the positions of its last map's pixels.

Shapes: B images, h · w pixels of a map, D width.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from enfold.nn.norm import freeze_batch_norms
from enfold.transformers.configs.detr import DetrConfig
from enfold.transformers.models.backbone import load_backbone
from enfold.transformers.models.timm_resnet import TimmResNet

__all__ = ["Backbone", "LearnedPositions"]


class ConvEncoder(nn.Module):
    """The backbone, with frozen batch normalisation; its stem and first stage are not trained."""

    def __init__(self, config: DetrConfig) -> None:
        super().__init__()
        if config.use_timm_backbone:
            self.model: Any = TimmResNet(config.backbone or "resnet50", config.num_channels, config.dilation)
            trained = ("layer2", "layer3", "layer4")
        else:
            self.model = load_backbone(config)
            freeze_batch_norms(self.model)
            trained = ("stages.1", "stages.2", "stages.3")
        if "resnet" in (config.backbone or config.backbone_config.model_type):
            for name, parameter in self.model.named_parameters():
                parameter.requires_grad_(any(stage in name for stage in trained))

    def forward(self, pixels: Tensor, mask: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return each map (B, channels, h, w) with the mask (B, h, w) of its real pixels."""
        maps = self.model(pixels)
        maps = maps.feature_maps if hasattr(maps, "feature_maps") else maps
        return [(x, F.interpolate(mask[None].float(), size=x.shape[-2:]).to(torch.bool)[0]) for x in maps]


class SinePositions(nn.Module):
    """Rows and columns as waves, counted over the real pixels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width  # of a row's, and of a column's

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return (B, 2 · width, h, w) for a mask (B, h, w)."""
        steps = torch.arange(self.width, device=mask.device, dtype=torch.float32)
        rates = 10000 ** (2 * torch.div(steps, 2, rounding_mode="floor") / self.width)
        parts = []
        for side in (1, 2):
            place = mask.float().cumsum(side)
            place = place / (place.narrow(side, -1, 1) + 1e-6) * (2 * math.pi)
            waves = place[..., None] / rates  # (B, h, w, width)
            parts.append(torch.stack((waves[..., 0::2].sin(), waves[..., 1::2].cos()), dim=4).flatten(3))
        return torch.cat(parts, dim=3).permute(0, 3, 1, 2).to(x.dtype)


class LearnedPositions(nn.Module):
    """A vector for each of 50 rows and columns."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.row_embeddings = nn.Embedding(50, width)
        self.column_embeddings = nn.Embedding(50, width)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return (B, 2 · width, h, w) for a mask (B, h, w)."""
        batch, height, width = mask.shape
        rows = self.row_embeddings.weight[:height, None].expand(-1, width, -1)
        columns = self.column_embeddings.weight[None, :width].expand(height, -1, -1)
        return torch.cat((columns, rows), dim=-1).permute(2, 0, 1).expand(batch, -1, -1, -1)


class Backbone(nn.Module):
    """The backbone's maps and the positions of the last one's pixels."""

    def __init__(self, config: DetrConfig) -> None:
        super().__init__()
        kinds = {"sine": SinePositions, "learned": LearnedPositions}
        self.conv_encoder = ConvEncoder(config)
        self.position_embedding = kinds[config.position_embedding_type](config.d_model // 2)

    def forward(self, pixels: Tensor, mask: Tensor) -> tuple[list[tuple[Tensor, Tensor]], Tensor]:
        """Return maps with their masks, and positions (B, D, h, w)."""
        maps = self.conv_encoder(pixels, mask)
        return maps, self.position_embedding(*maps[-1])
