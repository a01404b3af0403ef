"""EnCodec's configuration."""

from __future__ import annotations

from math import ceil, log2, prod

from enfold.transformers.config import ConfigError, PretrainedConfig

__all__ = ["EncodecConfig"]


class EncodecConfig(PretrainedConfig):
    """The numbers of an EnCodec model; the defaults are those of the one for 24,000 samples a second.

    Example:
        >>> config = EncodecConfig()
        >>> config.hop_length, config.frame_rate, config.num_quantizers
        (320, 75, 32)
    """

    model_type = "encodec"

    target_bandwidths: list[float] = [1.5, 3.0, 6.0, 12.0, 24.0]
    sampling_rate: int = 24000
    audio_channels: int = 1
    normalize: bool = False
    chunk_length_s: float | None = None
    overlap: float | None = None
    hidden_size: int = 128
    num_filters: int = 32
    num_residual_layers: int = 1
    upsampling_ratios: list[int] = [8, 5, 4, 2]
    norm_type: str = "weight_norm"
    kernel_size: int = 7
    last_kernel_size: int = 7
    residual_kernel_size: int = 3
    dilation_growth_rate: int = 2
    use_causal_conv: bool = True
    pad_mode: str = "reflect"
    compress: int = 2
    num_lstm_layers: int = 2
    trim_right_ratio: float = 1.0
    codebook_size: int = 1024
    codebook_dim: int = None  # type: ignore[assignment]  # hidden_size
    use_conv_shortcut: bool = True

    def complete(self) -> None:
        """Take code words to be as wide as the encoder's output.

        Raises:
            ConfigError: for an unknown norm, or a number of code words that is no power of two.
        """
        if self.codebook_dim is None:
            self.codebook_dim = self.hidden_size
        if self.norm_type not in ("weight_norm", "time_group_norm"):
            raise ConfigError(f"norm_type is 'weight_norm' or 'time_group_norm', not {self.norm_type!r}")
        if self.codebook_size & (self.codebook_size - 1):
            raise ConfigError(f"codebook_size is a power of two, not {self.codebook_size}")

    @property
    def chunk_length(self) -> int | None:
        """Samples that are encoded at once, or None for all."""
        return None if self.chunk_length_s is None else int(self.chunk_length_s * self.sampling_rate)

    @property
    def chunk_stride(self) -> int | None:
        """Samples between the beginnings of two chunks, or None."""
        length = self.chunk_length
        return None if length is None or self.overlap is None else max(1, int((1.0 - self.overlap) * length))

    @property
    def hop_length(self) -> int:
        """Samples a frame."""
        return prod(self.upsampling_ratios)

    @property
    def codebook_nbits(self) -> int:
        """Bits a code."""
        return ceil(log2(self.codebook_size))

    @property
    def frame_rate(self) -> int:
        """Frames a second."""
        return ceil(self.sampling_rate / self.hop_length)

    @property
    def num_quantizers(self) -> int:
        """Codes a frame at the highest bandwidth."""
        return int(1000 * self.target_bandwidths[-1] // (self.frame_rate * self.codebook_nbits))
