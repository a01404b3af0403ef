"""BiT (Kolesnikov et al., 2019, "Big Transfer"): ResNets with standardised weights and normalised groups.

Shapes: B images, C channels or classes.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from enfold.nn.activations import activation
from enfold.nn.patches import DropPath
from enfold.transformers.configs.bit import BitConfig
from enfold.transformers.models.backbone import BackboneHead
from enfold.transformers.models.resnet import ResNetForImageClassification, ResNetModel, ResNetPreTrainedModel

__all__ = ["BitBackbone", "BitConfig", "BitForImageClassification", "BitModel", "BitPreTrainedModel"]


def pad_same(x: Tensor, kernel: int, stride: int, dilation: int = 1) -> Tensor:
    """Return maps with zeros around them, so that a window gives one output a stride, as TensorFlow's "same" does."""
    around = []
    for side in (x.shape[-1], x.shape[-2]):
        missing = max((math.ceil(side / stride) - 1) * stride + (kernel - 1) * dilation + 1 - side, 0)
        around += [missing // 2, missing - missing // 2]
    return F.pad(x, around) if any(around) else x


class StandardConv(nn.Conv2d):
    """A convolution whose weights have, for each output, mean 0 and deviation 1 (Qiao et al., 2019)."""

    def __init__(
        self, config: BitConfig, source: int, target: int, kernel: int, stride: int = 1, dilation: int = 1
    ) -> None:
        reach = dilation * (kernel - 1)
        self.dynamic = config.global_padding == "SAME" and (stride != 1 or reach % 2 != 0)
        padding = 0 if self.dynamic or config.global_padding == "VALID" else (stride - 1 + reach) // 2
        super().__init__(source, target, kernel, stride, padding, dilation, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, target, height / stride, width / stride)."""
        if self.dynamic:
            x = pad_same(x, self.kernel_size[0], self.stride[0], self.dilation[0])
        rows = self.weight.reshape(1, self.out_channels, -1)
        weight = F.batch_norm(rows, None, None, training=True, eps=1e-8).reshape_as(self.weight)
        return F.conv2d(x, weight, None, self.stride, self.padding, self.dilation)


class GroupNormActivation(nn.GroupNorm):
    """Normalisation of groups of channels, and an activation."""

    def __init__(self, config: BitConfig, width: int, act: str | None = None) -> None:
        super().__init__(config.num_groups, width)
        self.activation = activation(config.hidden_act if act is None else act)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, C, height, width)."""
        return self.activation(super().forward(x))


class Embeddings(nn.Module):
    """The stem: a wide convolution and a pooling, four times smaller."""

    def __init__(self, config: BitConfig) -> None:
        super().__init__()
        self.num_channels, self.dynamic = config.num_channels, config.embedding_dynamic_padding
        self.around = 0 if config.global_padding == "SAME" else 1
        self.convolution = StandardConv(config, config.num_channels, config.embedding_size, 7, 2)
        early = config.layer_type == "preactivation"
        self.norm = nn.Identity() if early else GroupNormActivation(config, config.embedding_size)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return (B, embedding size, height / 4, width / 4)."""
        if pixels.shape[1] != self.num_channels:
            raise ValueError(f"images with {self.num_channels} channels were expected, not with {pixels.shape[1]}")
        x = self.norm(F.pad(self.convolution(pixels), (self.around,) * 4))
        return F.max_pool2d(pad_same(x, 3, 2) if self.dynamic else x, 3, 2)


class Downsample(nn.Module):
    """The shortcut of a stage's first layer."""

    def __init__(self, config: BitConfig, source: int, target: int, stride: int) -> None:
        super().__init__()
        self.conv = StandardConv(config, source, target, 1, stride)
        early = config.layer_type == "preactivation"
        self.norm = nn.Identity() if early else GroupNormActivation(config, target, "linear")

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, target, height / stride, width / stride)."""
        return self.norm(self.conv(x))


class BottleneckLayer(nn.Module):
    """Convolutions of 1 × 1, 3 × 3 and 1 × 1 beside a shortcut, each normalised before (v2) or after (v1)."""

    def __init__(
        self, config: BitConfig, source: int, target: int, stride: int, dilation: int, first: bool, drop: float
    ) -> None:
        super().__init__()
        narrow = rounded(target / 4)
        self.early = config.layer_type == "preactivation"
        self.downsample = Downsample(config, source, target, stride) if first else None
        self.conv1 = StandardConv(config, source, narrow, 1)
        self.conv2 = StandardConv(config, narrow, narrow, 3, stride, 1 if self.early else dilation)
        self.conv3 = StandardConv(config, narrow, target, 1)
        self.norm1 = GroupNormActivation(config, source if self.early else narrow)
        self.norm2 = GroupNormActivation(config, narrow)
        self.norm3 = (
            GroupNormActivation(config, narrow) if self.early else GroupNormActivation(config, target, "linear")
        )
        self.drop_path = DropPath(drop)
        self.activation = activation(config.hidden_act)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, target, height / stride, width / stride)."""
        if self.early:
            at = self.norm1(x)
            shortcut = x if self.downsample is None else self.downsample(at)
            return self.drop_path(self.conv3(self.norm3(self.conv2(self.norm2(self.conv1(at)))))) + shortcut
        shortcut = x if self.downsample is None else self.downsample(x)
        inner = self.norm3(self.conv3(self.norm2(self.conv2(self.norm1(self.conv1(x))))))
        return self.activation(self.drop_path(inner) + shortcut)


def rounded(value: float, unit: int = 8) -> int:
    """Return the multiple of a unit nearest to a width, not less than nine tenths of it."""
    near = max(unit, int(value + unit / 2) // unit * unit)
    return near + unit if near < 0.9 * value else near


class Stage(nn.Module):
    """Layers of one width."""

    def __init__(self, layers: list[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, target, height / stride, width / stride)."""
        return self.layers(x)


class Encoder(nn.Module):
    """The stages; beyond ``output_stride`` their convolutions look further instead of stepping further."""

    def __init__(self, config: BitConfig) -> None:
        super().__init__()
        source, reached, dilation = config.embedding_size, 4, 1
        drops = iter(torch.linspace(0, config.drop_path_rate, sum(config.depths), device="cpu").tolist())
        stages = []
        for stage, (depth, size) in enumerate(zip(config.depths, config.hidden_sizes, strict=True)):
            target, stride = rounded(size * config.width_factor), 2 if stage else 1
            if reached >= config.output_stride:
                dilation, stride = dilation * stride, 1
            reached *= stride
            layers: list[nn.Module] = []
            for place in range(depth):
                first = place == 0
                own = (1 if dilation in (1, 2) else 2) if first else dilation
                layers.append(BottleneckLayer(config, source, target, stride if first else 1, own, first, next(drops)))
                source = target
            stages.append(Stage(layers))
        self.stages = nn.ModuleList(stages)


class BitPreTrainedModel(ResNetPreTrainedModel):
    """What all BiTs share."""

    config_class = BitConfig
    base_model_prefix = "bit"
    embedder_class = Embeddings
    encoder_class = Encoder
    _no_split_modules = ["Embeddings"]

    @staticmethod
    def last_norm(config: Any) -> nn.Module:
        """Return what the last stage's map goes through, where layers normalise before."""
        early = config.layer_type == "preactivation"
        return GroupNormActivation(config, config.hidden_sizes[-1]) if early else nn.Identity()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, nn.GroupNorm):
            module.reset_parameters()


class BitModel(BitPreTrainedModel, ResNetModel):
    """BiT without a head."""


class BitForImageClassification(BitPreTrainedModel, ResNetForImageClassification):
    """BiT with one prediction an image."""

    model_class = BitModel


class BitBackbone(BackboneHead, BitPreTrainedModel):
    """BiT's stages as feature maps."""

    def __init__(self, config: BitConfig) -> None:
        super().__init__(config)
        self.bit = BitModel(config)
        self.num_features = [config.embedding_size, *config.hidden_sizes]
        self.post_init()

    def forward(
        self, pixel_values: Tensor, output_hidden_states: bool | None = None, return_dict: bool | None = None, **_: Any
    ) -> Any:
        """Return the map of every stage asked for; arguments as the model without a head."""
        return self.maps(self.bit.stages(pixel_values), None, output_hidden_states, return_dict)
