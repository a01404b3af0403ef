"""AutoencoderTiny: Stable Diffusion's latents to pictures in a hundredth of the work, for previews (TAESD)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from enfold.diffusers.configuration import register_to_config
from enfold.diffusers.models.autoencoder_kl import DecoderOutput
from enfold.diffusers.models.modeling import ModelMixin
from enfold.diffusers.models.tiles import Tiled
from enfold.nn.outputs import ModelOutput

__all__ = ["AutoencoderTiny", "AutoencoderTinyOutput"]

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {"relu": nn.ReLU, "silu": nn.SiLU, "gelu": nn.GELU, "mish": nn.Mish}


@dataclass
class AutoencoderTinyOutput(ModelOutput):
    """Latents of pictures, (B, latent_channels, h, w)."""

    latents: Tensor | None = None


class AutoencoderTinyBlock(nn.Module):
    """Three convolutions with a shortcut."""

    def __init__(self, channels: int, act_fn: str) -> None:
        super().__init__()
        first, second = ACTIVATIONS[act_fn](), ACTIVATIONS[act_fn]()
        convs = [nn.Conv2d(channels, channels, 3, padding=1) for _ in range(3)]
        self.conv = nn.Sequential(convs[0], first, convs[1], second, convs[2])
        self.fuse = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.fuse(self.conv(x) + x)


class EncoderTiny(nn.Module):
    """Pictures from -1 to 1 to latents."""

    def __init__(self, channels: int, out: int, blocks: tuple[int, ...], sizes: tuple[int, ...], act_fn: str) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for i, (count, size) in enumerate(zip(blocks, sizes, strict=True)):
            half = nn.Conv2d(size, size, 3, padding=1, stride=2, bias=False)
            layers.append(half if i else nn.Conv2d(channels, size, 3, padding=1))
            layers += [AutoencoderTinyBlock(size, act_fn) for _ in range(count)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(sizes[-1], out, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers((x + 1) / 2)


class DecoderTiny(nn.Module):
    """Latents to pictures from -1 to 1."""

    def __init__(
        self,
        channels: int,
        out: int,
        blocks: tuple[int, ...],
        sizes: tuple[int, ...],
        factor: int,
        act_fn: str,
        upsample_fn: str,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(channels, sizes[0], 3, padding=1), ACTIVATIONS[act_fn]()]
        for i, (count, size) in enumerate(zip(blocks, sizes, strict=True)):
            layers += [AutoencoderTinyBlock(size, act_fn) for _ in range(count)]
            if i == len(blocks) - 1:
                layers.append(nn.Conv2d(size, out, 3, padding=1))
            else:
                layers.append(nn.Upsample(scale_factor=factor, mode=upsample_fn))
                layers.append(nn.Conv2d(size, size, 3, padding=1, bias=False))
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(torch.tanh(x / 3) * 3) * 2 - 1


class AutoencoderTiny(Tiled, ModelMixin):
    """A small autoencoder with the latents of a large one.

    Args:
        in_channels: channels of the pictures.
        out_channels: channels of decoded pictures.
        encoder_block_out_channels: channels of each level of the encoder.
        decoder_block_out_channels: channels of each level of the decoder.
        act_fn: "relu", "silu", "gelu" or "mish".
        upsample_fn: how the decoder doubles sizes.
        latent_channels: channels of latents.
        upsampling_scaling_factor: how much each level of the decoder enlarges.
        num_encoder_blocks, num_decoder_blocks: blocks of each level.
        latent_magnitude: latents are from minus this to this.
        latent_shift: where 0 is when latents are written as numbers from 0 to 1.
        force_upcast: never: it computes in half precision.
        scaling_factor: by it a diffusion model's latents are multiplied.
        shift_factor: subtracted from latents before that.
    """

    @register_to_config
    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 3,
        encoder_block_out_channels: tuple[int, ...] = (64, 64, 64, 64),
        decoder_block_out_channels: tuple[int, ...] = (64, 64, 64, 64),
        act_fn: str = "relu",
        upsample_fn: str = "nearest",
        latent_channels: int = 4,
        upsampling_scaling_factor: int = 2,
        num_encoder_blocks: tuple[int, ...] = (1, 3, 3, 3),
        num_decoder_blocks: tuple[int, ...] = (3, 3, 3, 1),
        latent_magnitude: int = 3,
        latent_shift: float = 0.5,
        force_upcast: bool = False,
        scaling_factor: float = 1.0,
        shift_factor: float = 0.0,
    ) -> None:
        super().__init__()
        self.encoder = EncoderTiny(in_channels, latent_channels, num_encoder_blocks, encoder_block_out_channels, act_fn)
        self.decoder = DecoderTiny(
            latent_channels,
            out_channels,
            num_decoder_blocks,
            decoder_block_out_channels,
            upsampling_scaling_factor,
            act_fn,
            upsample_fn,
        )
        self.spatial_scale_factor = 2**out_channels
        self.tile_overlap_factor = 0.125
        self.tile_sample_min_size = 512
        self.tile_latent_min_size = self.tile_sample_min_size // self.spatial_scale_factor
        # Pipelines compute the size of latents from these.
        self.register_to_config(block_out_channels=decoder_block_out_channels, force_upcast=False)

    def scale_latents(self, x: Tensor) -> Tensor:
        """Return latents as numbers from 0 to 1, to be kept as a picture."""
        return (x / (2 * self.config["latent_magnitude"]) + self.config["latent_shift"]).clamp(0, 1)

    def unscale_latents(self, x: Tensor) -> Tensor:
        """Return latents from such numbers."""
        return (x - self.config["latent_shift"]) * (2 * self.config["latent_magnitude"])

    def encode(self, x: Tensor, return_dict: bool = True) -> Any:
        """Return the latents of pictures, (B, in_channels, H, W) from -1 to 1."""
        latents = self._in_parts(
            x, self.encoder, self.tile_sample_min_size, lambda part: self._tiled(part, self.encoder)
        )
        return AutoencoderTinyOutput(latents) if return_dict else (latents,)

    def decode(self, x: Tensor, generator: torch.Generator | None = None, return_dict: bool = True) -> Any:
        """Return the pictures of latents, (B, latent_channels, h, w)."""
        pictures = self._in_parts(
            x, self.decoder, self.tile_latent_min_size, lambda part: self._tiled(part, self.decoder)
        )
        return DecoderOutput(pictures) if return_dict else (pictures,)

    def _tiled(self, x: Tensor, compute: nn.Module) -> Tensor:
        """Compute tiles, and lay each over those before it with an edge that fades in."""
        shrinks = compute is self.encoder
        side = self.tile_sample_min_size if shrinks else self.tile_latent_min_size
        factor = self.spatial_scale_factor

        def place(at: int) -> int:
            return at // factor if shrinks else at * factor

        fade = int(side * self.tile_overlap_factor)
        edge = (torch.arange(place(side), device=x.device) / (place(fade) - 1)).clamp(0, 1)
        flat = torch.ones_like(edge)
        laid: Tensor | None = None
        for top in range(0, x.shape[-2], side - fade):
            for left in range(0, x.shape[-1], side - fade):
                tile = compute(x[..., top : top + side, left : left + side])
                if laid is None:
                    laid = tile.new_zeros(*tile.shape[:2], place(x.shape[-2]), place(x.shape[-1]))
                height, width = tile.shape[-2:]
                mask = ((edge if top else flat)[:, None] * (edge if left else flat))[:height, :width]
                under = laid[..., place(top) : place(top) + height, place(left) : place(left) + width]
                under.copy_(mask * tile + (1 - mask) * under)
        assert laid is not None
        return laid

    def forward(self, sample: Tensor, return_dict: bool = True) -> Any:
        """Encode pictures to bytes and decode them."""
        kept = (self.scale_latents(self.encode(sample).latents) * 255).round().byte()
        return self.decode(self.unscale_latents(kept / 255.0), return_dict=return_dict)
