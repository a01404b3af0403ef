"""The levels of a UNet: residual blocks, with attention after each where the level has it, and the change of size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from enfold.diffusers.models.attention import Attention, Transformer2DModel
from enfold.diffusers.models.blocks import Downsample2D, ResnetBlock2D, Upsample2D
from enfold.errors import nearest

__all__ = ["Conditions", "DownBlock", "Level", "MidBlock", "UpBlock"]

# Name of a level in configurations → its attention, and whether sizes are changed by residual blocks.
KINDS: dict[str, tuple[str | None, bool]] = {
    "DownBlock2D": (None, False),
    "UpBlock2D": (None, False),
    "DownEncoderBlock2D": (None, False),
    "UpDecoderBlock2D": (None, False),
    "ResnetDownsampleBlock2D": (None, True),
    "ResnetUpsampleBlock2D": (None, True),
    "AttnDownBlock2D": ("self", False),
    "AttnUpBlock2D": ("self", False),
    "AttnDownEncoderBlock2D": ("self", False),
    "AttnUpDecoderBlock2D": ("self", False),
    "CrossAttnDownBlock2D": ("cross", False),
    "CrossAttnUpBlock2D": ("cross", False),
    "UNetMidBlock2D": ("self", False),
    "UNetMidBlock2DCrossAttn": ("cross", False),
}


@dataclass(frozen=True)
class Level:
    """What the blocks of a level are built with.

    Attributes:
        kind: its name in configurations, a key of ``KINDS``.
        layers: how many residual blocks.
        temb_channels: width of the embedding of time.
        eps, groups, act_fn, dropout, scale_shift, skip_time_act, scale: see ``ResnetBlock2D``.
        head_dim: width of each head of a "self" attention.
        heads: how many heads a "cross" attention has.
        depth: how many transformer blocks each of them has, one number or one for each layer.
        cross: width of the text's states.
        linear: see ``Transformer2DModel.use_linear_projection``.
        only_cross: see ``Transformer2DModel.only_cross_attention``.
        padding: of the convolution that halves the size.
        resample: how levels with "self" attention change sizes: "conv" or "resnet".
        attention_groups: groups of the normalisation before a "self" attention; None: there is none.
    """

    kind: str
    layers: int
    temb_channels: int | None
    eps: float = 1e-6
    groups: int = 32
    act_fn: str = "silu"
    dropout: float = 0.0
    scale_shift: str = "default"
    skip_time_act: bool = False
    scale: float = 1.0
    head_dim: int | None = None
    heads: int = 1
    depth: Any = 1
    cross: int | None = None
    linear: bool = False
    only_cross: bool = False
    padding: int = 1
    resample: str = "conv"
    attention_groups: int | None = 32

    @property
    def attention(self) -> str | None:
        """Which attention follows each residual block: "self", "cross" or None."""
        if self.kind not in KINDS:
            raise ValueError(f"no block {self.kind!r}{nearest(self.kind, KINDS)}; there are {', '.join(KINDS)}")
        return KINDS[self.kind][0]

    def resnet(self, before: int, after: int, **change: Any) -> ResnetBlock2D:
        """Return a residual block from ``before`` channels to ``after``."""
        return ResnetBlock2D(
            in_channels=before,
            out_channels=after,
            temb_channels=self.temb_channels,
            groups=self.groups,
            eps=self.eps,
            non_linearity=self.act_fn,
            dropout=self.dropout,
            time_embedding_norm=self.scale_shift,
            skip_time_act=self.skip_time_act,
            output_scale_factor=self.scale,
            **change,
        )

    def attend(self, channels: int, layer: int) -> nn.Module:
        """Return the attention that follows a residual block."""
        if self.attention == "self":
            width = self.head_dim or channels
            return Attention(
                channels,
                heads=channels // width,
                dim_head=width,
                bias=True,
                norm_num_groups=self.attention_groups,
                eps=self.eps,
                rescale_output_factor=self.scale,
                residual_connection=True,
            )
        depth = self.depth if isinstance(self.depth, int) else self.depth[layer]
        return Transformer2DModel(
            self.heads,
            channels // self.heads,
            in_channels=channels,
            num_layers=depth,
            norm_num_groups=self.groups,
            cross_attention_dim=self.cross,
            use_linear_projection=self.linear,
            only_cross_attention=self.only_cross,
        )

    @property
    def by_resnet(self) -> bool:
        """Whether sizes are changed by residual blocks."""
        return KINDS[self.kind][1] or (self.resample == "resnet" and self.attention == "self")


@dataclass(frozen=True)
class Conditions:
    """What a picture is made after: given to every level.

    Attributes:
        temb: embedding of time, (B, temb_channels).
        text: states of the text, (B, S, cross).
        mask: added to the scores between places.
        text_mask: added to the scores to the text.
        more: for the attention's processors.
    """

    temb: Tensor | None = None
    text: Any = None
    mask: Tensor | None = None
    text_mask: Tensor | None = None
    more: dict[str, Any] | None = None


class _Block(nn.Module):
    """What all levels do: a residual block and its attention."""

    attentions: Any
    resnets: Any
    gradient_checkpointing = False

    def _layer(self, index: int, hidden: Tensor, given: Conditions) -> Tensor:
        if self.gradient_checkpointing and torch.is_grad_enabled():
            hidden = checkpoint(self.resnets[index], hidden, given.temb, use_reentrant=False)
        else:
            hidden = self.resnets[index](hidden, given.temb)
        return self._attended(index, hidden, given)

    def _attended(self, index: int, hidden: Tensor, given: Conditions) -> Tensor:
        if not hasattr(self, "attentions"):
            return hidden
        attention = self.attentions[index]
        if isinstance(attention, Attention):
            return attention(hidden)
        return attention(hidden, given.text, given.mask, given.text_mask, given.more)

    @property
    def has_cross_attention(self) -> bool:
        """Whether this level looks at the text."""
        return hasattr(self, "attentions") and isinstance(self.attentions[0], Transformer2DModel)


class DownBlock(_Block):
    """A level on the way down; it returns the states after each of its layers, too."""

    def __init__(self, level: Level, before: int, after: int, *, shrink: bool) -> None:
        super().__init__()
        self.resnets = nn.ModuleList(level.resnet(after if i else before, after) for i in range(level.layers))
        if level.attention:
            self.attentions = nn.ModuleList(level.attend(after, i) for i in range(level.layers))
        self.downsamplers: nn.ModuleList | None = None
        if shrink:
            smaller: nn.Module = Downsample2D(after, use_conv=True, padding=level.padding)
            self.downsamplers = nn.ModuleList([level.resnet(after, after, down=True) if level.by_resnet else smaller])

    def forward(self, hidden: Tensor, given: Conditions, added: Tensor | None = None) -> tuple[Tensor, list[Tensor]]:
        """Return the states after the level, and after each of its layers.

        Args:
            hidden: (B, C, H, W).
            given: what the picture is made after.
            added: to the states after the last layer, from an adapter.
        """
        passed = []
        for index in range(len(self.resnets)):
            hidden = self._layer(index, hidden, given)
            if added is not None and index == len(self.resnets) - 1:
                hidden = hidden + added
            passed.append(hidden)
        if self.downsamplers is not None:
            down = self.downsamplers[0]
            hidden = down(hidden, given.temb) if isinstance(down, ResnetBlock2D) else down(hidden)
            passed.append(hidden)
        return hidden, passed


class MidBlock(_Block):
    """The lowest level: a residual block, and ``layers`` pairs of an attention and another."""

    def __init__(self, level: Level, channels: int, *, attended: bool = True) -> None:
        super().__init__()
        self.resnets = nn.ModuleList(level.resnet(channels, channels) for _ in range(level.layers + 1))
        if attended and level.layers:
            self.attentions = nn.ModuleList(level.attend(channels, i) for i in range(level.layers))

    def forward(self, hidden: Tensor, given: Conditions) -> Tensor:
        hidden = self.resnets[0](hidden, given.temb)
        for index in range(len(self.resnets) - 1):
            hidden = self.resnets[index + 1](self._attended(index, hidden, given), given.temb)
        return hidden


class UpBlock(_Block):
    """A level on the way up; before each layer come the states of the way down.

    Args:
        level: what its blocks are built with.
        before: channels that come from below.
        after: channels of the level.
        skips: channels that come from the way down, for each layer; 0 where nothing does.
        grow: whether the size is doubled at the end.
    """

    def __init__(self, level: Level, before: int, after: int, skips: list[int], *, grow: bool) -> None:
        super().__init__()
        self.resnets = nn.ModuleList(
            level.resnet((after if i else before) + skip, after) for i, skip in enumerate(skips)
        )
        if level.attention:
            self.attentions = nn.ModuleList(level.attend(after, i) for i in range(level.layers))
        self.upsamplers: nn.ModuleList | None = None
        if grow:
            larger: nn.Module = Upsample2D(after, use_conv=True)
            self.upsamplers = nn.ModuleList([level.resnet(after, after, up=True) if level.by_resnet else larger])
        # Set by ``enable_freeu``: changes the states from below and those of the way down.
        self.freeu: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] | None = None

    def forward(self, hidden: Tensor, given: Conditions, passed: list[Tensor], size: Any = None) -> Tensor:
        """Return the states after the level.

        Args:
            hidden: (B, C, H, W).
            given: what the picture is made after.
            passed: states of the way down; this level takes its own from the end.
            size: height and width at the end, where halving had rounded up.
        """
        for index in range(len(self.resnets)):
            if passed:
                skip = passed.pop()
                if self.freeu is not None:
                    hidden, skip = self.freeu(hidden, skip)
                hidden = torch.cat([hidden, skip], dim=1)
            hidden = self._layer(index, hidden, given)
        if self.upsamplers is not None:
            up = self.upsamplers[0]
            hidden = up(hidden, given.temb) if isinstance(up, ResnetBlock2D) else up(hidden, size)
        return hidden
