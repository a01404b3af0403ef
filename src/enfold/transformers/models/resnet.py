"""ResNet (He et al., 2015, "Deep Residual Learning for Image Recognition"), as microsoft/resnet-50 names its parts.

Shapes: B images, C channels or classes.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from enfold.nn.activations import activation
from enfold.transformers.configs.resnet import ResNetConfig
from enfold.transformers.heads import ImageClassificationHead, as_asked
from enfold.transformers.modeling import PreTrainedModel
from enfold.transformers.models.backbone import BackboneHead
from enfold.transformers.outputs import BaseModelOutputWithPoolingAndNoAttention, ImageClassifierOutputWithNoAttention

__all__ = ["ResNetBackbone", "ResNetConfig", "ResNetForImageClassification", "ResNetModel", "ResNetPreTrainedModel"]


class ConvLayer(nn.Module):
    """Convolution, batch normalisation, activation."""

    def __init__(self, source: int, target: int, kernel: int = 3, stride: int = 1, act: str = "relu") -> None:
        super().__init__()
        self.convolution = nn.Conv2d(source, target, kernel, stride, padding=kernel // 2, bias=False)
        self.normalization = nn.BatchNorm2d(target)
        self.activation = activation(act)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, target, height / stride, width / stride)."""
        return self.activation(self.normalization(self.convolution(x)))


class Embedder(nn.Module):
    """The stem: a wide convolution and a pooling, four times smaller."""

    def __init__(self, config: ResNetConfig) -> None:
        super().__init__()
        self.num_channels = config.num_channels
        self.embedder = ConvLayer(config.num_channels, config.embedding_size, 7, 2, config.hidden_act)
        self.pooler = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return (B, embedding size, height / 4, width / 4)."""
        if pixels.shape[1] != self.num_channels:
            raise ValueError(f"images with {self.num_channels} channels were expected, not with {pixels.shape[1]}")
        return self.pooler(self.embedder(pixels))


class ResidualLayer(nn.Module):
    """Convolutions beside a shortcut: two of 3 × 3, or a bottleneck of 1 × 1, 3 × 3 and 1 × 1, four times narrower."""

    def __init__(self, config: ResNetConfig, source: int, target: int, stride: int) -> None:
        super().__init__()
        changes = source != target or stride != 1
        self.shortcut = ConvLayer(source, target, 1, stride, "linear") if changes else nn.Identity()
        if config.layer_type == "bottleneck":
            narrow = target // 4
            first, second = (stride, 1) if config.downsample_in_bottleneck else (1, stride)
            self.layer = nn.Sequential(
                ConvLayer(source, narrow, 1, first),
                ConvLayer(narrow, narrow, 3, second),
                ConvLayer(narrow, target, 1, 1, "linear"),
            )
        else:
            self.layer = nn.Sequential(ConvLayer(source, target, 3, stride), ConvLayer(target, target, act="linear"))
        self.activation = activation(config.hidden_act)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, target, height / stride, width / stride)."""
        return self.activation(self.layer(x) + self.shortcut(x))


class Stage(nn.Module):
    """Layers of one width; the first may halve the image."""

    def __init__(self, config: ResNetConfig, source: int, target: int, stride: int, depth: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            ResidualLayer(config, source, target, stride),
            *(ResidualLayer(config, target, target, 1) for _ in range(depth - 1)),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, target, height / stride, width / stride)."""
        return self.layers(x)


class Encoder(nn.Module):
    """The stages."""

    def __init__(self, config: ResNetConfig) -> None:
        super().__init__()
        widths = [config.embedding_size, *config.hidden_sizes]
        self.stages = nn.ModuleList(
            Stage(
                config, widths[place], widths[place + 1], 2 if place or config.downsample_in_first_stage else 1, depth
            )
            for place, depth in enumerate(config.depths)
        )


class ResNetPreTrainedModel(PreTrainedModel):
    """What all ResNets share."""

    config_class: ClassVar[Any] = ResNetConfig
    base_model_prefix = "resnet"
    main_input_name = "pixel_values"
    embedder_class: ClassVar[Any] = Embedder
    encoder_class: ClassVar[Any] = Encoder
    _no_split_modules = ["ConvLayer"]

    @staticmethod
    def last_norm(config: Any) -> nn.Module:
        """Return what the last stage's map goes through; a ResNet leaves it."""
        return nn.Identity()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, nn.Linear):
            bound = 1 / math.sqrt(module.in_features)
            module.weight.uniform_(-bound, bound)
            module.bias.uniform_(-bound, bound)
        elif isinstance(module, nn.BatchNorm2d):
            module.reset_parameters()

    def stages(self, pixels: Tensor) -> list[Tensor]:
        """Return the maps of the stem and of every stage."""
        base: Any = self
        maps = [base.embedder(pixels)]
        for stage in base.encoder.stages:
            maps.append(self.through(stage, maps[-1]))
        return maps


class ResNetModel(ResNetPreTrainedModel):
    """ResNet without a head."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.embedder = self.embedder_class(config)
        self.encoder = self.encoder_class(config)
        self.norm = self.last_norm(config)
        self.pooler = nn.AdaptiveAvgPool2d((1, 1))
        self.post_init()

    def forward(
        self, pixel_values: Tensor, output_hidden_states: bool | None = None, return_dict: bool | None = None, **_: Any
    ) -> Any:
        """Return the last stage's map, normalised where the family does so, and its mean.

        Args:
            pixel_values: (B, channels, height, width).
            output_hidden_states: return the maps of the stem and of every stage.
            return_dict: False returns a tuple.
        """
        maps = self.stages(pixel_values)
        x = self.norm(maps[-1])
        wanted = self.config.output_hidden_states if output_hidden_states is None else output_hidden_states
        output = BaseModelOutputWithPoolingAndNoAttention(x, self.pooler(x), tuple(maps) if wanted else None)
        return as_asked(output, return_dict, self.config.return_dict)


class ResNetForImageClassification(ImageClassificationHead, ResNetPreTrainedModel):
    """ResNet with one prediction an image."""

    output_class = ImageClassifierOutputWithNoAttention
    model_class: ClassVar[Any] = ResNetModel

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        setattr(self, self.base_model_prefix, self.model_class(config))
        head = nn.Linear(config.hidden_sizes[-1], config.num_labels) if config.num_labels else nn.Identity()
        self.classifier = nn.Sequential(nn.Flatten(), head)
        self.post_init()

    def read(self, output: Any) -> Tensor:
        """Return logits (B, C)."""
        return self.classifier(output.pooler_output)


class ResNetBackbone(BackboneHead, ResNetPreTrainedModel):
    """ResNet's stages as feature maps."""

    def __init__(self, config: ResNetConfig) -> None:
        super().__init__(config)
        self.num_features = [config.embedding_size, *config.hidden_sizes]
        self.embedder = Embedder(config)
        self.encoder = Encoder(config)
        self.post_init()

    def forward(
        self, pixel_values: Tensor, output_hidden_states: bool | None = None, return_dict: bool | None = None, **_: Any
    ) -> Any:
        """Return the map of every stage asked for; arguments as the model without a head."""
        return self.maps(self.stages(pixel_values), None, output_hidden_states, return_dict)
