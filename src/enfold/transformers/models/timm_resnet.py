"""ResNets under timm's names, with frozen batch normalisation: what DETR's checkpoints hold as their backbone.

Shapes: B images, C channels.
"""

from __future__ import annotations

from torch import Tensor, nn

from enfold.errors import EnfoldError, nearest
from enfold.nn.norm import FrozenBatchNorm2d

__all__ = ["RESNETS", "TimmResNet"]

# name → layers a stage, and whether they are bottlenecks
RESNETS: dict[str, tuple[tuple[int, ...], bool]] = {
    "resnet18": ((2, 2, 2, 2), False),
    "resnet34": ((3, 4, 6, 3), False),
    "resnet26": ((2, 2, 2, 2), True),
    "resnet50": ((3, 4, 6, 3), True),
    "resnet101": ((3, 4, 23, 3), True),
    "resnet152": ((3, 8, 36, 3), True),
}


class Block(nn.Module):
    """Convolutions beside a shortcut: two of 3 × 3, or a bottleneck of 1 × 1, 3 × 3 and 1 × 1."""

    def __init__(
        self, source: int, width: int, stride: int, bottleneck: bool, dilations: tuple[int, int], shortcut: bool
    ) -> None:
        super().__init__()
        target = width * 4 if bottleneck else width
        # kernel, stride and dilation of each convolution
        shapes = [(3, stride, dilations[0]), (3, 1, dilations[1])]
        if bottleneck:
            shapes = [(1, 1, 1), (3, stride, dilations[0]), (1, 1, 1)]
        widths = [source, *[width] * (len(shapes) - 1), target]
        self.depth = len(shapes)
        for place, (kernel, step, dilation) in enumerate(shapes):
            convolve = nn.Conv2d(
                widths[place], widths[place + 1], kernel, step, (kernel // 2) * dilation, dilation, bias=False
            )
            self.add_module(f"conv{place + 1}", convolve)
            self.add_module(f"bn{place + 1}", FrozenBatchNorm2d(widths[place + 1]))
        self.downsample = (
            nn.Sequential(nn.Conv2d(source, target, 1, stride, bias=False), FrozenBatchNorm2d(target))
            if shortcut
            else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, target, height / stride, width / stride)."""
        inner = x
        for place in range(1, self.depth + 1):
            inner = self.get_submodule(f"bn{place}")(self.get_submodule(f"conv{place}")(inner))
            inner = inner.relu() if place < self.depth else inner
        return (inner + self.downsample(x)).relu()


class TimmResNet(nn.Module):
    """A ResNet whose four stages are feature maps.

    Args:
        name: one of ``RESNETS``.
        num_channels: of the image.
        dilated: keep the third stage's size in the fourth, whose convolutions look further instead.

    Raises:
        EnfoldError: another model of timm.
    """

    def __init__(self, name: str = "resnet50", num_channels: int = 3, dilated: bool = False) -> None:
        super().__init__()
        known = name.split(".")[0]  # "resnet50.a1_in1k" is resnet50 with certain weights
        if known not in RESNETS:
            raise EnfoldError(f"the backbone {name!r} is not known{nearest(known, RESNETS)}; known are "
                              f"{', '.join(RESNETS)}")  # fmt: skip
        depths, bottleneck = RESNETS[known]
        grown = 4 if bottleneck else 1
        self.conv1 = nn.Conv2d(num_channels, 64, 7, 2, 3, bias=False)
        self.bn1 = FrozenBatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        source, self.channels = 64, [64 * 2**stage * grown for stage in range(4)]
        for stage, depth in enumerate(depths):
            wide = dilated and stage == 3
            stride = 1 if stage == 0 or wide else 2
            blocks = []
            for place in range(depth):
                first = place == 0
                dilations = (1 if first or not wide else 2, 2 if wide else 1)
                changes = first and (stride != 1 or source != self.channels[stage])
                step = stride if first else 1
                blocks.append(Block(source, 64 * 2**stage, step, bottleneck, dilations, changes))
                source = self.channels[stage]
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """Return four maps, 4, 8, 16 and 32 times smaller than the image."""
        maps = [self.maxpool(self.bn1(self.conv1(pixels)).relu())]
        for stage in range(1, 5):
            maps.append(self.get_submodule(f"layer{stage}")(maps[-1]))
        return maps[1:]
