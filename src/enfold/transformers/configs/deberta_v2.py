"""DeBERTa-v2's and v3's configuration."""

from __future__ import annotations

from typing import Any

from enfold.transformers.config import PretrainedConfig

__all__ = ["DebertaV2Config"]


class DebertaV2Config(PretrainedConfig):
    """The numbers of a DeBERTa-v2 model; the defaults are those of deberta-v2-xlarge's reader.

    Fields that only checkpoints have: ``position_buckets`` (distances share buckets, closer ones finer),
    ``share_att_key`` (positions are projected as contents are), ``norm_rel_ebd`` ("layer_norm" normalises the
    distances' embeddings), ``conv_kernel_size``, ``conv_groups`` and ``conv_act`` (a convolution beside the first
    layer), ``embedding_size``, ``attention_head_size`` and ``cls_dropout``.

    Example:
        >>> DebertaV2Config(pos_att_type="c2p|p2c").pos_att_type
        ['c2p', 'p2c']
    """

    model_type = "deberta-v2"

    vocab_size: int = 128100
    hidden_size: int = 1536
    num_hidden_layers: int = 24
    num_attention_heads: int = 24
    intermediate_size: int = 6144
    hidden_act: str = "gelu"
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    max_position_embeddings: int = 512
    type_vocab_size: int = 0
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-7
    relative_attention: bool = False
    max_relative_positions: int = -1
    pad_token_id: int | None = 0
    bos_token_id: int | None = None
    eos_token_id: int | list[int] | None = None
    position_biased_input: bool = True
    pos_att_type: list[str] | None = None
    pooler_dropout: float = 0.0
    pooler_hidden_act: str = "gelu"
    pooler_hidden_size: int | None = None  # hidden_size
    legacy: bool = True
    tie_word_embeddings: bool = True

    def option(self, name: str, default: Any) -> Any:
        """Return a field that only some checkpoints have, or its default."""
        value = vars(self).get(name)
        return default if value is None else value

    def complete(self) -> None:
        """Split a joined ``pos_att_type`` and give the pooler the model's width."""
        if isinstance(self.pos_att_type, str):
            self.pos_att_type = [kind.strip() for kind in self.pos_att_type.lower().split("|")]
        if self.pooler_hidden_size is None:
            self.pooler_hidden_size = self.hidden_size
