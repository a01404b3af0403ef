"""EnCodec (Défossez et al., 2022, "High Fidelity Neural Audio Compression"): sound to codes and back.

Shapes: B rows, C channels, S samples, T frames, Q codes a frame, D width, N chunks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from enfold.nn.outputs import ModelOutput
from enfold.transformers.configs.encodec import EncodecConfig
from enfold.transformers.heads import as_asked
from enfold.transformers.modeling import PreTrainedModel

__all__ = ["EncodecConfig", "EncodecModel", "EncodecPreTrainedModel"]


@dataclass
class EncodecOutput(ModelOutput):
    """Codes (N, B, Q, T) and the sound made of them (B, C, S)."""

    audio_codes: Tensor | None = None
    audio_values: Tensor | None = None


@dataclass
class EncodecEncoderOutput(ModelOutput):
    """Codes (N, B, Q, T), how loud each chunk was, and by how many frames the last one was filled up."""

    audio_codes: Tensor | None = None
    audio_scales: list[Tensor | None] | None = None
    last_frame_pad_length: int | None = None


@dataclass
class EncodecDecoderOutput(ModelOutput):
    """Sound (B, C, S)."""

    audio_values: Tensor | None = None


def _normed(conv: Any, config: EncodecConfig) -> tuple[Any, nn.Module | None]:
    """Return a convolution with its weight normalised, or with a norm of what comes out."""
    if config.norm_type == "weight_norm":
        return nn.utils.parametrizations.weight_norm(conv), None
    return conv, nn.GroupNorm(1, conv.out_channels)


class Conv(nn.Module):
    """A convolution that sees only what was before, or both sides, and gives a frame for every started stride."""

    def __init__(
        self, config: EncodecConfig, before: int, width: int, kernel: int, stride: int = 1, dilation: int = 1
    ) -> None:
        super().__init__()
        self.conv, norm = _normed(nn.Conv1d(before, width, kernel, stride, dilation=dilation), config)
        if norm is not None:
            self.norm = norm
        self.span, self.stride = (kernel - 1) * dilation + 1, stride
        self.causal, self.mode, self.grouped = config.use_causal_conv, config.pad_mode, norm is not None

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, width, ceil(T / stride)) for (B, before, T)."""
        around = self.span - self.stride
        extra = -x.shape[-1] % self.stride
        left = around if self.causal else around - around // 2
        x = self.conv(self._padded(x, left, around - left + extra))
        return self.norm(x) if self.grouped else x

    def _padded(self, x: Tensor, left: int, right: int) -> Tensor:
        if self.mode != "reflect":
            return F.pad(x, (left, right), self.mode)
        # a short row has nothing to reflect: silence is added first, and taken off again
        lacking = max(max(left, right) - x.shape[-1] + 1, 0)
        return F.pad(F.pad(x, (0, lacking)), (left, right), "reflect")[..., : left + x.shape[-1] + right]


class ConvTranspose(nn.Module):
    """The way back: more frames, without those that lie over the edges."""

    def __init__(self, config: EncodecConfig, before: int, width: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.conv, norm = _normed(nn.ConvTranspose1d(before, width, kernel, stride), config)
        if norm is not None:
            self.norm = norm
        over = kernel - stride
        self.right = math.ceil(over * config.trim_right_ratio) if config.use_causal_conv else over // 2
        self.left, self.grouped = over - self.right, norm is not None

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, width, T · stride) for (B, before, T)."""
        x = self.conv(x)
        x = self.norm(x) if self.grouped else x
        return x[..., self.left : x.shape[-1] - self.right]


class LSTM(nn.Module):
    """A recurrent residual."""

    def __init__(self, config: EncodecConfig, width: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(width, width, config.num_lstm_layers)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, D, T) for (B, D, T)."""
        x = x.permute(2, 0, 1)
        return (self.lstm(x)[0] + x).permute(1, 2, 0)


class ResnetBlock(nn.Module):
    """Two convolutions, the first of them dilated, beside a shortcut."""

    def __init__(self, config: EncodecConfig, width: int, dilation: int) -> None:
        super().__init__()
        inner = width // config.compress
        self.block = nn.ModuleList(
            [
                nn.ELU(),
                Conv(config, width, inner, config.residual_kernel_size, dilation=dilation),
                nn.ELU(),
                Conv(config, inner, width, 1),
            ]
        )
        self.shortcut = Conv(config, width, width, 1) if config.use_conv_shortcut else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, D, T) for (B, D, T)."""
        out = x
        for layer in self.block:
            out = layer(out)
        return self.shortcut(x) + out


class Stack(nn.Module):
    """Layers one after another, under the name ``layers``."""

    def __init__(self, layers: list[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor) -> Tensor:
        """Return what the last layer makes of (B, D, T)."""
        for layer in self.layers:
            x = layer(x)
        return x


def residuals(config: EncodecConfig, width: int) -> list[nn.Module]:
    """Return the residual blocks of one rate, each more dilated than the one before."""
    return [ResnetBlock(config, width, config.dilation_growth_rate**j) for j in range(config.num_residual_layers)]


def encoder(config: EncodecConfig) -> Stack:
    """Return the layers from samples (B, C, S) to frames (B, D, T)."""
    width = config.num_filters
    layers: list[nn.Module] = [Conv(config, config.audio_channels, width, config.kernel_size)]
    for ratio in reversed(config.upsampling_ratios):
        layers += [
            ResnetBlock(config, width, config.dilation_growth_rate**j) for j in range(config.num_residual_layers)
        ]
        layers += [nn.ELU(), Conv(config, width, 2 * width, 2 * ratio, stride=ratio)]
        width *= 2
    return Stack(
        [*layers, LSTM(config, width), nn.ELU(), Conv(config, width, config.hidden_size, config.last_kernel_size)]
    )


def decoder(config: EncodecConfig) -> Stack:
    """Return the layers from frames (B, D, T) to samples (B, C, S)."""
    width = config.num_filters * 2 ** len(config.upsampling_ratios)
    layers: list[nn.Module] = [Conv(config, config.hidden_size, width, config.kernel_size), LSTM(config, width)]
    for ratio in config.upsampling_ratios:
        layers += [nn.ELU(), ConvTranspose(config, width, width // 2, 2 * ratio, ratio)]
        width //= 2
        layers += [
            ResnetBlock(config, width, config.dilation_growth_rate**j) for j in range(config.num_residual_layers)
        ]
    return Stack([*layers, nn.ELU(), Conv(config, width, config.audio_channels, config.last_kernel_size)])


class Codebook(nn.Module):
    """Code words, each standing for what is nearest to it."""

    embed: Tensor

    def __init__(self, config: EncodecConfig) -> None:
        super().__init__()
        words, width = config.codebook_size, config.codebook_dim
        self.register_buffer("inited", torch.ones(1))
        self.register_buffer("cluster_size", torch.zeros(words))
        self.register_buffer("embed", torch.zeros(words, width))
        self.register_buffer("embed_avg", torch.zeros(words, width))


class Quantizer(nn.Module):
    """Codebooks, each for what the ones before left over."""

    def __init__(self, config: EncodecConfig) -> None:
        super().__init__()
        layers = (nn.ModuleDict({"codebook": Codebook(config)}) for _ in range(config.num_quantizers))
        self.layers = nn.ModuleList(layers)

    def words(self, index: int) -> Tensor:
        """Return the code words (words, D) of a book."""
        book: Any = self.layers[index]
        return book["codebook"].embed

    def encode(self, x: Tensor, count: int) -> Tensor:
        """Return codes (B, count, T) of frames (B, D, T)."""
        rest, codes = x.transpose(1, 2), []  # (B, T, D)
        for index in range(count):
            words = self.words(index)
            apart = rest.pow(2).sum(-1, keepdim=True) - 2 * rest @ words.t() + words.pow(2).sum(-1)
            codes.append(apart.argmin(-1))
            rest = rest - words[codes[-1]]
        return torch.stack(codes, dim=1)

    def decode(self, codes: Tensor) -> Tensor:
        """Return frames (B, D, T) of codes (B, Q, T)."""
        x = sum(self.words(index)[codes[:, index]] for index in range(codes.shape[1]))
        assert isinstance(x, Tensor)
        return x.transpose(1, 2)


class EncodecPreTrainedModel(PreTrainedModel):
    """What all EnCodec models share."""

    config_class: ClassVar[Any] = EncodecConfig
    base_model_prefix = "encodec"
    main_input_name = "input_values"

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, nn.Conv1d | nn.ConvTranspose1d):
            bound = math.sqrt(module.groups / (module.in_channels * module.kernel_size[0]))
            drawn = nn.init.kaiming_normal_(torch.empty_like(module.weight))
            module.weight = drawn if hasattr(module, "parametrizations") else nn.Parameter(drawn)
            if module.bias is not None:
                module.bias.uniform_(-bound, bound)
        elif isinstance(module, nn.LSTM | nn.GroupNorm):
            module.reset_parameters()


class EncodecModel(EncodecPreTrainedModel):
    """EnCodec."""

    def __init__(self, config: EncodecConfig) -> None:
        super().__init__(config)
        self.encoder = encoder(config)
        self.decoder = decoder(config)
        self.quantizer = Quantizer(config)
        self.bits_per_codebook = config.codebook_nbits
        self.post_init()

    def _codes(self, bandwidth: float) -> int:
        """Return how many codes a frame a bandwidth allows."""
        return max(1, math.floor(bandwidth * 1000 / (math.log2(self.config.codebook_size) * self.config.frame_rate)))

    def encode(  # type: ignore[override]
        self,
        input_values: Tensor,
        padding_mask: Tensor | None = None,
        bandwidth: float | None = None,
        return_dict: bool | None = None,
    ) -> Any:
        """Turn sound into codes.

        Args:
            input_values: (B, C, S).
            padding_mask: (B, S) or (B, C, S), 1 for sound, 0 for padding.
            bandwidth: thousands of bits a second, one of ``config.target_bandwidths``; the lowest by default.
            return_dict: False returns a tuple.

        Raises:
            ValueError: for another bandwidth, or more than two channels.
        """
        config = self.config
        bandwidth = config.target_bandwidths[0] if bandwidth is None else bandwidth
        if bandwidth not in config.target_bandwidths:
            raise ValueError(f"bandwidth={bandwidth}: the model was trained for {list(config.target_bandwidths)}")
        _, channels, samples = input_values.shape
        if not 1 <= channels <= 2:
            raise ValueError(f"sound has one or two channels, not {channels}")
        if padding_mask is not None:
            input_values = input_values * padding_mask.view(len(padding_mask), -1, samples)
        length = config.chunk_length or samples
        codes, scales = [], []
        for start in range(0, samples, config.chunk_stride or samples):
            x, scale = input_values[..., start : start + length], None
            if config.normalize:
                scale = x.mean(1, keepdim=True).pow(2).mean(-1, keepdim=True).sqrt() + 1e-8  # (B, 1, 1)
                x, scale = x / scale, scale.view(-1, 1)
            codes.append(self.quantizer.encode(self.encoder(x), self._codes(bandwidth)))
            scales.append(scale)
        lacking = codes[0].shape[-1] - codes[-1].shape[-1]
        codes[-1] = F.pad(codes[-1], (0, lacking))
        output = EncodecEncoderOutput(torch.stack(codes), scales, lacking)
        asked = config.return_dict if return_dict is None else return_dict
        return output if asked else (output.audio_codes, scales, lacking)

    def decode(  # type: ignore[override]
        self,
        audio_codes: Tensor,
        audio_scales: Any,
        padding_mask: Tensor | None = None,
        return_dict: bool | None = None,
        last_frame_pad_length: int | None = 0,
    ) -> Any:
        """Turn codes into sound.

        Args:
            audio_codes: (N, B, Q, T).
            audio_scales: one (B, 1) or None a chunk.
            padding_mask: (B, S); sound beyond its length is cut off.
            return_dict: False returns a tuple.
            last_frame_pad_length: frames that the last chunk was filled up with.
        """
        if self.config.chunk_length is None and len(audio_codes) != 1:
            raise ValueError(f"this model works on whole recordings: one chunk was expected, not {len(audio_codes)}")
        chunks = []
        for index, (codes, scale) in enumerate(zip(audio_codes, audio_scales, strict=True)):
            if index == len(audio_codes) - 1 and last_frame_pad_length:
                codes = codes[..., :-last_frame_pad_length]
            x = self.decoder(self.quantizer.decode(codes))
            chunks.append(x if scale is None else x * scale.view(-1, 1, 1))
        sound = chunks[0] if self.config.chunk_length is None else _faded(chunks, self.config.chunk_stride or 1)
        if padding_mask is not None:
            sound = sound[..., : padding_mask.shape[-1]]
        return as_asked(EncodecDecoderOutput(sound), return_dict, self.config.return_dict)

    def forward(
        self,
        input_values: Tensor,
        padding_mask: Tensor | None = None,
        bandwidth: float | None = None,
        audio_codes: Tensor | None = None,
        audio_scales: Any = None,
        return_dict: bool | None = None,
        last_frame_pad_length: int | None = 0,
    ) -> Any:
        """Return codes and the sound made of them; arguments as ``encode``'s and ``decode``'s."""
        if (audio_codes is None) != (audio_scales is None):
            raise ValueError("audio_codes and audio_scales belong together: pass both or neither")
        if audio_codes is None:
            audio_codes, audio_scales, last_frame_pad_length = self.encode(input_values, padding_mask, bandwidth, False)
        shown = input_values if padding_mask is None else padding_mask
        sound = self.decode(audio_codes, audio_scales, shown, False, last_frame_pad_length)[0]
        return as_asked(EncodecOutput(audio_codes, sound), return_dict, self.config.return_dict)


def _faded(chunks: list[Tensor], stride: int) -> Tensor:
    """Return overlapping chunks (B, C, S) as one, each fading in and out by a triangle."""
    length = chunks[0].shape[-1]
    rising = torch.linspace(0, 1, length + 2, device=chunks[0].device, dtype=chunks[0].dtype)[1:-1]
    weight = 0.5 - (rising - 0.5).abs()
    total = stride * (len(chunks) - 1) + chunks[-1].shape[-1]
    out = chunks[0].new_zeros(*chunks[0].shape[:-1], total)
    shares = chunks[0].new_zeros(total)
    for index, chunk in enumerate(chunks):
        place = slice(index * stride, index * stride + chunk.shape[-1])
        out[..., place] += weight[: chunk.shape[-1]] * chunk
        shares[place] += weight[: chunk.shape[-1]]
    return out / shares
