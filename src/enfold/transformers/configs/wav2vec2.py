"""wav2vec 2.0's configuration."""

from __future__ import annotations

from functools import reduce
from operator import mul

from enfold.transformers.config import ConfigError, PretrainedConfig

__all__ = ["SpeechConfig", "Wav2Vec2Config"]


class SpeechConfig(PretrainedConfig):
    """What wav2vec 2.0 and HuBERT share: convolutions over samples, then an encoder."""

    vocab_size: int = 32
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu"
    hidden_dropout: float = 0.1
    activation_dropout: float = 0.1
    attention_dropout: float = 0.1
    feat_proj_dropout: float = 0.0
    final_dropout: float = 0.1
    layerdrop: float = 0.1
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-5
    feat_extract_norm: str = "group"
    feat_extract_activation: str = "gelu"
    conv_dim: list[int] = [512, 512, 512, 512, 512, 512, 512]
    conv_stride: list[int] = [5, 2, 2, 2, 2, 2, 2]
    conv_kernel: list[int] = [10, 3, 3, 3, 3, 2, 2]
    conv_bias: bool = False
    num_conv_pos_embeddings: int = 128
    num_conv_pos_embedding_groups: int = 16
    do_stable_layer_norm: bool = False
    apply_spec_augment: bool = True
    mask_time_prob: float = 0.05
    mask_time_length: int = 10
    mask_time_min_masks: int = 2
    mask_feature_prob: float = 0.0
    mask_feature_length: int = 10
    mask_feature_min_masks: int = 0
    ctc_loss_reduction: str = "sum"
    ctc_zero_infinity: bool = False
    use_weighted_layer_sum: bool = False
    classifier_proj_size: int = 256
    pad_token_id: int | None = 0
    bos_token_id: int | None = 1
    eos_token_id: int | list[int] | None = 2

    def complete(self) -> None:
        """Count the convolutions.

        Raises:
            ConfigError: when their widths, strides and kernels differ in number.
        """
        self.num_feat_extract_layers = len(self.conv_dim)
        if not len(self.conv_dim) == len(self.conv_stride) == len(self.conv_kernel):
            raise ConfigError(
                f"conv_dim, conv_stride and conv_kernel list {len(self.conv_dim)}, {len(self.conv_stride)} and "
                f"{len(self.conv_kernel)} convolutions; they must be equally many"
            )
        if self.feat_extract_norm not in ("group", "layer"):
            raise ConfigError(f"feat_extract_norm is 'group' or 'layer', not {self.feat_extract_norm!r}")

    @property
    def inputs_to_logits_ratio(self) -> int:
        """Samples a frame."""
        return reduce(mul, self.conv_stride, 1)


class Wav2Vec2Config(SpeechConfig):
    """The numbers of a wav2vec 2.0 model; the defaults are those of the base one.

    Example:
        >>> Wav2Vec2Config().inputs_to_logits_ratio
        320
    """

    model_type = "wav2vec2"

    feat_quantizer_dropout: float = 0.0
    num_codevectors_per_group: int = 320
    num_codevector_groups: int = 2
    contrastive_logits_temperature: float = 0.1
    num_negatives: int = 100
    codevector_dim: int = 256
    proj_codevector_dim: int = 256
    diversity_loss_weight: float = 0.1
    tdnn_dim: list[int] = [512, 512, 512, 512, 1500]
    tdnn_kernel: list[int] = [5, 3, 3, 1, 1]
    tdnn_dilation: list[int] = [1, 2, 3, 1, 1]
    xvector_output_dim: int = 512
    add_adapter: bool = False
    adapter_kernel_size: int = 3
    adapter_stride: int = 2
    num_adapter_layers: int = 3
    output_hidden_size: int = None  # type: ignore[assignment]  # hidden_size
    adapter_attn_dim: int | None = None

    def complete(self) -> None:
        """Count the convolutions, and take the adapter to be as wide as the encoder."""
        super().complete()
        if self.output_hidden_size is None:
            self.output_hidden_size = self.hidden_size
