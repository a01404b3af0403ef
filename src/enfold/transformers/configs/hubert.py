"""HuBERT's configuration."""

from __future__ import annotations

from enfold.transformers.configs.wav2vec2 import SpeechConfig

__all__ = ["HubertConfig"]


class HubertConfig(SpeechConfig):
    """The numbers of a HuBERT model; the defaults are those of the base one.

    Example:
        >>> HubertConfig(conv_pos_batch_norm=True).num_feat_extract_layers
        7
    """

    model_type = "hubert"

    feat_proj_layer_norm: bool = True
    conv_pos_batch_norm: bool = False
