"""MusicGen's configurations."""

from __future__ import annotations

from typing import Any, ClassVar

from enfold.transformers.config import AutoConfig, PretrainedConfig
from enfold.transformers.configs.composite import CompositeConfig

__all__ = ["MusicgenConfig", "MusicgenDecoderConfig"]


class MusicgenDecoderConfig(PretrainedConfig):
    """The numbers of MusicGen's decoder; the defaults are those of the small one."""

    model_type = "musicgen_decoder"
    base_config_key = "decoder"
    keys_to_ignore_at_inference = ["past_key_values"]

    vocab_size: int = 2048
    max_position_embeddings: int = 2048
    num_hidden_layers: int = 24
    ffn_dim: int = 4096
    num_attention_heads: int = 16
    layerdrop: float = 0.0
    use_cache: bool = True
    activation_function: str = "gelu"
    hidden_size: int = 1024
    dropout: float = 0.1
    attention_dropout: float = 0.0
    activation_dropout: float = 0.0
    initializer_factor: float = 0.02
    scale_embedding: bool = False
    num_codebooks: int = 4
    audio_channels: int = 1
    pad_token_id: int | None = 2048
    bos_token_id: int | None = 2048
    eos_token_id: int | list[int] | None = None
    tie_word_embeddings: bool = False
    cross_attention_hidden_size: int | None = None


def _any(default: str) -> Any:
    """Return what makes a configuration of the type that its values name."""

    def made(**values: Any) -> PretrainedConfig:
        return AutoConfig.for_model(values.pop("model_type", default), **values)

    return made


class MusicgenConfig(CompositeConfig):
    """The numbers of a MusicGen model: a text encoder's, an audio codec's, and the decoder's between them.

    Example:
        >>> MusicgenConfig(decoder={"hidden_size": 64, "num_attention_heads": 4}).sampling_rate
        24000
    """

    model_type = "musicgen"
    sub_configs: ClassVar[dict[str, Any]] = {
        "text_encoder": _any("t5"),
        "audio_encoder": _any("encodec"),
        "decoder": MusicgenDecoderConfig,
    }

    text_encoder: Any = None
    audio_encoder: Any = None
    decoder: Any = None
    initializer_factor: float = 0.02
    is_encoder_decoder: bool = True

    @property
    def sampling_rate(self) -> int:
        """Samples a second of what the model makes."""
        return self.audio_encoder.sampling_rate

    @classmethod
    def from_sub_models_config(
        cls, text_encoder_config: Any, audio_encoder_config: Any, decoder_config: Any, **kwargs: Any
    ) -> Any:
        """Put three configurations together."""
        parts = {"text_encoder": text_encoder_config, "audio_encoder": audio_encoder_config, "decoder": decoder_config}
        return cls(**{name: part.to_dict() for name, part in parts.items()}, **kwargs)
