"""AutoencoderKL: pictures to latents an eighth of their size, and back (Rombach et al., 2022, section 3.1)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from enfold.diffusers.configuration import register_to_config
from enfold.diffusers.loaders.single_file import SingleFileMixin
from enfold.diffusers.models.modeling import ModelMixin
from enfold.diffusers.models.tiles import Tiled, blended
from enfold.diffusers.models.unet_2d import UNet2DModel
from enfold.diffusers.models.unet_blocks import Conditions, DownBlock, Level, MidBlock, UpBlock
from enfold.diffusers.utils.torch_utils import randn_tensor
from enfold.nn.outputs import ModelOutput
from enfold.nn.winograd import convolve

__all__ = ["AutoencoderKL", "AutoencoderKLOutput", "DecoderOutput", "DiagonalGaussianDistribution"]

NOTHING = Conditions()


@dataclass
class DecoderOutput(ModelOutput):
    """Decoded pictures, (B, channels, H, W)."""

    sample: Tensor | None = None


@dataclass
class AutoencoderKLOutput(ModelOutput):
    """The distribution of latents that pictures are encoded to."""

    latent_dist: Any = None


class DiagonalGaussianDistribution:
    """A normal distribution of latents, each independent of the others.

    Args:
        parameters: means and logarithms of the variances, (B, 2·C, H, W).
        deterministic: a distribution without spread.
    """

    def __init__(self, parameters: Tensor, deterministic: bool = False) -> None:
        self.parameters, self.deterministic = parameters, deterministic
        self.mean, logvar = parameters.chunk(2, dim=1)
        self.logvar = logvar.clamp(-30.0, 20.0)
        self.std, self.var = torch.exp(0.5 * self.logvar), torch.exp(self.logvar)
        if deterministic:
            self.var = self.std = torch.zeros_like(self.mean)

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """Draw latents, (B, C, H, W)."""
        noise = randn_tensor(
            self.mean.shape, generator=generator, device=self.parameters.device, dtype=self.parameters.dtype
        )
        return self.mean + self.std * noise

    def mode(self) -> Tensor:
        """Return the likeliest latents."""
        return self.mean

    def kl(self, other: DiagonalGaussianDistribution | None = None) -> Tensor:
        """Return the divergence from another distribution, by default the standard one, (B,)."""
        if self.deterministic:
            return torch.zeros(1)
        if other is None:
            return 0.5 * (self.mean**2 + self.var - 1.0 - self.logvar).sum(dim=[1, 2, 3])
        apart = (self.mean - other.mean) ** 2 / other.var
        return 0.5 * (apart + self.var / other.var - 1.0 - self.logvar + other.logvar).sum(dim=[1, 2, 3])

    def nll(self, sample: Tensor, dims: tuple[int, ...] = (1, 2, 3)) -> Tensor:
        """Return how unlikely latents are, the negative of their log likelihood."""
        if self.deterministic:
            return torch.zeros(1)
        constant = torch.log(torch.tensor(2 * torch.pi))
        return 0.5 * (constant + self.logvar + (sample - self.mean) ** 2 / self.var).sum(dim=dims)


class Encoder(nn.Module):
    """Pictures to means and logarithms of variances."""

    def __init__(self, level: Callable[..., Level], kinds: Any, sizes: Any, channels: int, out: int, mid: bool) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(channels, sizes[0], 3, padding=1)
        self.down_blocks = nn.ModuleList()
        before = sizes[0]
        for i, (kind, after) in enumerate(zip(kinds, sizes, strict=True)):
            self.down_blocks.append(DownBlock(level(kind, 0), before, after, shrink=i != len(sizes) - 1))
            before = after
        self.mid_block = MidBlock(level("UNetMidBlock2D", None), before, attended=mid)
        self.conv_norm_out = nn.GroupNorm(level(kinds[0], 0).groups, before, eps=1e-6)
        self.conv_act = nn.SiLU()
        self.conv_out = nn.Conv2d(before, 2 * out, 3, padding=1)

    def forward(self, sample: Tensor) -> Tensor:
        sample = self.conv_in(sample)
        for block in self.down_blocks:
            sample, _ = block(sample, NOTHING)
        sample = self.mid_block(sample, NOTHING)
        return convolve(self.conv_out, self.conv_act(self.conv_norm_out(sample)))


class Decoder(nn.Module):
    """Latents to pictures."""

    def __init__(self, level: Callable[..., Level], kinds: Any, sizes: Any, channels: int, out: int, mid: bool) -> None:
        super().__init__()
        before = sizes[-1]
        self.conv_in = nn.Conv2d(channels, before, 3, padding=1)
        self.mid_block = MidBlock(level("UNetMidBlock2D", None), before, attended=mid)
        self.up_blocks = nn.ModuleList()
        for i, (kind, after) in enumerate(zip(kinds, reversed(sizes), strict=True)):
            built = level(kind, 1)
            self.up_blocks.append(UpBlock(built, before, after, [0] * built.layers, grow=i != len(sizes) - 1))
            before = after
        self.conv_norm_out = nn.GroupNorm(level(kinds[0], 0).groups, before, eps=1e-6)
        self.conv_act = nn.SiLU()
        self.conv_out = nn.Conv2d(before, out, 3, padding=1)

    def forward(self, sample: Tensor) -> Tensor:
        sample = self.mid_block(self.conv_in(sample), NOTHING)
        for block in self.up_blocks:
            sample = block(sample, NOTHING, [])
        return convolve(self.conv_out, self.conv_act(self.conv_norm_out(sample)))


class AutoencoderKL(SingleFileMixin, Tiled, ModelMixin):
    """An autoencoder whose latents are close to normal.

    Args:
        in_channels: channels of the pictures.
        out_channels: channels of decoded pictures.
        down_block_types: levels of the encoder, "DownEncoderBlock2D".
        up_block_types: levels of the decoder, "UpDecoderBlock2D".
        block_out_channels: channels of each level.
        layers_per_block: residual blocks of each level (one more in the decoder).
        act_fn: name of the activation.
        latent_channels: channels of latents.
        norm_num_groups: groups of the normalisations.
        sample_size: side of the pictures it was trained on, and of tiles.
        scaling_factor: by it a diffusion model's latents are multiplied: 0.18215, 0.13025 for SDXL.
        shift_factor: subtracted from latents before that, for SD3 and Flux.
        latents_mean, latents_std: the same, for each channel, where a model has them.
        force_upcast: in half precision pictures would overflow; pipelines decode in float32.
        use_quant_conv, use_post_quant_conv: whether there is a 1×1 convolution at the latents.
        mid_block_add_attention: whether the lowest level has attention.

    Example:
        >>> model = AutoencoderKL(block_out_channels=(8,), norm_num_groups=4)
        >>> latents = model.encode(torch.zeros(1, 3, 16, 16)).latent_dist.mode()
        >>> latents.shape, model.decode(latents).sample.shape
        (torch.Size([1, 4, 16, 16]), torch.Size([1, 3, 16, 16]))
    """

    _old_keys = UNet2DModel._old_keys
    _no_split_modules = ["ResnetBlock2D"]

    @register_to_config
    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 3,
        down_block_types: tuple[str, ...] = ("DownEncoderBlock2D",),
        up_block_types: tuple[str, ...] = ("UpDecoderBlock2D",),
        block_out_channels: tuple[int, ...] = (64,),
        layers_per_block: int = 1,
        act_fn: str = "silu",
        latent_channels: int = 4,
        norm_num_groups: int = 32,
        sample_size: int = 32,
        scaling_factor: float = 0.18215,
        shift_factor: float | None = None,
        latents_mean: tuple[float, ...] | None = None,
        latents_std: tuple[float, ...] | None = None,
        force_upcast: bool = True,
        use_quant_conv: bool = True,
        use_post_quant_conv: bool = True,
        mid_block_add_attention: bool = True,
    ) -> None:
        super().__init__()

        def level(kind: str, more: int | None) -> Level:
            layers = 1 if more is None else layers_per_block + more
            return Level(
                kind, layers, None, groups=norm_num_groups, attention_groups=norm_num_groups, act_fn=act_fn, padding=0
            )

        sizes = block_out_channels
        self.encoder = Encoder(level, down_block_types, sizes, in_channels, latent_channels, mid_block_add_attention)
        self.decoder = Decoder(level, up_block_types, sizes, latent_channels, out_channels, mid_block_add_attention)
        self.quant_conv = nn.Conv2d(2 * latent_channels, 2 * latent_channels, 1) if use_quant_conv else None
        self.post_quant_conv = nn.Conv2d(latent_channels, latent_channels, 1) if use_post_quant_conv else None
        side = sample_size[0] if isinstance(sample_size, list | tuple) else sample_size
        self.tile_sample_min_size = side
        self.tile_latent_min_size = int(side / 2 ** (len(block_out_channels) - 1))
        self.tile_overlap_factor = 0.25

    def _moments(self, x: Tensor) -> Tensor:
        x = self.encoder(x)
        return x if self.quant_conv is None else self.quant_conv(x)

    def _picture(self, z: Tensor) -> Tensor:
        return self.decoder(z if self.post_quant_conv is None else self.post_quant_conv(z))

    def encode(self, x: Tensor, return_dict: bool = True) -> Any:
        """Return the distribution of latents of pictures.

        Args:
            x: (B, in_channels, H, W), from -1 to 1.
            return_dict: return an ``AutoencoderKLOutput`` instead of a tuple.
        """
        moments = self._in_parts(x, self._moments, self.tile_sample_min_size, self._tiled_encode)
        posterior = DiagonalGaussianDistribution(moments)
        return AutoencoderKLOutput(posterior) if return_dict else (posterior,)

    def decode(self, z: Tensor, return_dict: bool = True, generator: torch.Generator | None = None) -> Any:
        """Return the pictures of latents.

        Args:
            z: (B, latent_channels, h, w).
            return_dict: return a ``DecoderOutput`` instead of a tuple.
            generator: without effect.
        """
        pictures = self._in_parts(z, self._picture, self.tile_latent_min_size, self._tiled_decode)
        return DecoderOutput(pictures) if return_dict else (pictures,)

    def _tiled_encode(self, x: Tensor) -> Tensor:
        return blended(x, self._moments, self.tile_sample_min_size, self.tile_latent_min_size, self.tile_overlap_factor)

    def _tiled_decode(self, z: Tensor) -> Tensor:
        return blended(z, self._picture, self.tile_latent_min_size, self.tile_sample_min_size, self.tile_overlap_factor)

    def tiled_decode(self, z: Tensor, return_dict: bool = True) -> Any:
        """Return the pictures of latents, decoded tile by tile whatever their size."""
        pictures = self._tiled_decode(z)
        return DecoderOutput(pictures) if return_dict else (pictures,)

    def tiled_encode(self, x: Tensor, return_dict: bool = True) -> Any:
        """Return the distribution of latents, encoded tile by tile whatever the size."""
        posterior = DiagonalGaussianDistribution(self._tiled_encode(x))
        return AutoencoderKLOutput(posterior) if return_dict else (posterior,)

    def forward(
        self,
        sample: Tensor,
        sample_posterior: bool = False,
        return_dict: bool = True,
        generator: torch.Generator | None = None,
    ) -> Any:
        """Encode pictures and decode them: the likeliest latents, or (``sample_posterior``) drawn ones."""
        posterior = self.encode(sample).latent_dist
        latents = posterior.sample(generator) if sample_posterior else posterior.mode()
        return self.decode(latents, return_dict=return_dict)
