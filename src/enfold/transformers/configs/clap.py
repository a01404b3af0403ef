"""CLAP's configurations."""

from __future__ import annotations

from typing import Any

from enfold.transformers.config import PretrainedConfig
from enfold.transformers.configs.composite import CompositeConfig

__all__ = ["ClapAudioConfig", "ClapConfig", "ClapTextConfig"]


class ClapTextConfig(PretrainedConfig):
    """The numbers of CLAP's text encoder, a RoBERTa, and of its projection."""

    model_type = "clap_text_model"
    base_config_key = "text_config"

    vocab_size: int = 50265
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu"
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    max_position_embeddings: int = 514
    type_vocab_size: int = 1
    initializer_factor: float = 1.0
    layer_norm_eps: float = 1e-12
    projection_dim: int = 512
    projection_hidden_act: str = "relu"
    pad_token_id: int | None = 1
    bos_token_id: int | None = 0
    eos_token_id: int | list[int] | None = 2


class ClapAudioConfig(PretrainedConfig):
    """The numbers of CLAP's audio encoder, a Swin transformer of spectrograms, and of its projection."""

    model_type = "clap_audio_model"
    base_config_key = "audio_config"

    window_size: int = 8
    num_mel_bins: int = 64
    spec_size: int = 256
    hidden_act: str = "gelu"
    patch_size: int | list[int] = 4
    patch_stride: int | list[int] = [4, 4]
    num_classes: int = 527
    hidden_size: int = 768
    projection_dim: int = 512
    projection_hidden_act: str = "relu"
    depths: list[int] = [2, 2, 6, 2]
    num_attention_heads: list[int] = [4, 8, 16, 32]
    enable_fusion: bool = False
    fusion_type: str | None = None
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.0
    patch_embed_input_channels: int = 1
    flatten_patch_embeds: bool = True
    patch_embeds_hidden_size: int = 96
    enable_patch_layer_norm: bool = True
    drop_path_rate: float = 0.0
    qkv_bias: bool = True
    mlp_ratio: float = 4.0
    aff_block_r: int = 4
    num_hidden_layers: int = 4
    layer_norm_eps: float = 1e-5
    initializer_factor: float = 1.0


class ClapConfig(CompositeConfig):
    """The numbers of a CLAP model: its text encoder's, its audio encoder's, and of where they meet.

    Example:
        >>> ClapConfig(projection_dim=64).audio_config.projection_dim
        64
    """

    model_type = "clap"
    sub_configs = {"text_config": ClapTextConfig, "audio_config": ClapAudioConfig}

    text_config: Any = None
    audio_config: Any = None
    logit_scale_init_value: float = 1 / 0.07
    projection_dim: int = 512
    projection_hidden_act: str = "relu"
    initializer_factor: float = 1.0

    def complete(self) -> None:
        """Let both parts be projected alike."""
        super().complete()
        for part in (self.text_config, self.audio_config):
            part.projection_dim, part.projection_hidden_act = self.projection_dim, self.projection_hidden_act
        self.hidden_size = self.text_config.hidden_size
        self.num_hidden_layers = self.text_config.num_hidden_layers + len(self.audio_config.depths)

    @classmethod
    def from_text_audio_configs(cls, text_config: Any, audio_config: Any, **kwargs: Any) -> Any:
        """Put two configurations together (v4 spelling)."""
        return cls(text_config=text_config.to_dict(), audio_config=audio_config.to_dict(), **kwargs)
