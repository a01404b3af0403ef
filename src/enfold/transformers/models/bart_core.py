"""The two sides of BART and of the families built like it: mBART, Pegasus, Marian, M2M-100, Whisper.

They differ in the options of ``BartPreTrainedModel``. Shapes: B rows, S tokens read, T tokens written, K keys, H heads,
d their width, D width, V words.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from enfold.errors import EnfoldError
from enfold.nn.activations import activation
from enfold.nn.attention import Manner, attend, merge_heads, split_heads
from enfold.nn.cache import CacheLayer, EncoderDecoderLayer
from enfold.nn.embedding import Positions
from enfold.nn.mask import causal_mask, encoder_mask
from enfold.transformers.configs.bart import BartConfig, BartLikeConfig
from enfold.transformers.configs.whisper import WhisperConfig
from enfold.transformers.heads import as_asked
from enfold.transformers.modeling import PreTrainedModel
from enfold.transformers.outputs import BaseModelOutput, BaseModelOutputWithPastAndCrossAttentions
from enfold.transformers.seq2seq import surviving

__all__ = [
    "BartAttention",
    "BartDecoder",
    "BartDecoderLayer",
    "BartEncoder",
    "BartEncoderLayer",
    "BartPreTrainedModel",
    "LearnedPositions",
    "ScaledEmbedding",
]


BartLike = BartLikeConfig | WhisperConfig


class ScaledEmbedding(nn.Embedding):
    """An embedding that multiplies what it returns by ``scale``."""

    def __init__(self, words: int, width: int, pad: int | None, scale: float) -> None:
        super().__init__(words, width, pad)
        self.scale = scale

    def forward(self, ids: Tensor) -> Tensor:
        """Return (…, D) for ids (…)."""
        return super().forward(ids) * self.scale


class LearnedPositions(Positions):
    """Learned positions; the first two rows are unused, an inheritance of fairseq, where they meant padding."""

    def __init__(self, length: int, width: int) -> None:
        super().__init__(length + self.first, width)

    @property
    def first(self) -> int:
        """The row of a text's first place."""
        return 2

    def forward(self, places: Tensor) -> Tensor:
        """Return (…, D) for places (…)."""
        return super().forward(places + self.first)


class BartAttention(nn.Module):
    """Attention to the text itself, or to an encoder's states.

    Args:
        width: D.
        heads: H.
        dropout: probability with which an attention weight is dropped.
        key_bias: whether keys have a bias, which no softmax sees.
    """

    def __init__(self, width: int, heads: int, dropout: float = 0.0, key_bias: bool = True) -> None:
        super().__init__()
        if width % heads:
            raise EnfoldError(f"d_model {width} is no multiple of the number of attention heads {heads}")
        self.k_proj = nn.Linear(width, width, bias=key_bias)
        self.v_proj = nn.Linear(width, width)
        self.q_proj = nn.Linear(width, width)
        self.out_proj = nn.Linear(width, width)
        self.head_dim, self.drop = width // heads, dropout

    def keys_and_values(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return both, (B, H, K, d)."""
        return split_heads(self.k_proj(x), self.head_dim), split_heads(self.v_proj(x), self.head_dim)

    def forward(
        self,
        x: Tensor,
        mask: Tensor | None = None,
        causal: bool = False,
        cache: CacheLayer | EncoderDecoderLayer | None = None,
        weights: Manner = False,
        memory: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Return (B, T, D) and, with ``weights``, (B, H, T, K); ``memory`` (B, S, D) is looked at instead of ``x``."""
        if memory is None:
            keys, values = self.keys_and_values(x)
            own = cache.own if isinstance(cache, EncoderDecoderLayer) else cache
            if own is not None:
                keys, values = own.update_and_fetch(keys, values)
        elif isinstance(cache, EncoderDecoderLayer):
            keys, values = cache.crossed(lambda: self.keys_and_values(memory))
        else:
            keys, values = self.keys_and_values(memory)
        query = split_heads(self.q_proj(x), self.head_dim)
        dropout = self.drop if self.training else 0.0
        out, shares = attend(query, keys, values, mask, causal=causal, dropout=dropout, weights=weights)
        return self.out_proj(merge_heads(out)), shares


class _Layer(nn.Module):
    """What encoder and decoder layers share: each part has a residual, and a norm before or after it."""

    def __init__(self, config: BartLike, inner: int, norm_first: bool) -> None:
        super().__init__()
        self.norm_first = norm_first
        self.fc1 = nn.Linear(config.d_model, inner)
        self.fc2 = nn.Linear(inner, config.d_model)
        self.final_layer_norm = nn.LayerNorm(config.d_model)
        self.self_attn_layer_norm = nn.LayerNorm(config.d_model)
        self.act = activation(config.activation_function)
        self.dropout = nn.Dropout(config.dropout)
        self.activation_dropout = nn.Dropout(config.activation_dropout)

    def part(self, run: Callable[..., Any], norm: nn.Module, x: Tensor, *inputs: Any) -> tuple[Tensor, Tensor | None]:
        """Return ``x`` (B, T, D) after one part, and the attention weights that it returns."""
        out, weights = run(norm(x) if self.norm_first else x, *inputs)
        x = x + self.dropout(out)
        return (x if self.norm_first else norm(x)), weights

    def feed_forward(self, x: Tensor) -> tuple[Tensor, None]:
        """Return (B, T, D)."""
        return self.fc2(self.activation_dropout(self.act(self.fc1(x)))), None


class BartEncoderLayer(_Layer):
    """Attention to the text, then feed-forward."""

    def __init__(self, config: BartLike, norm_first: bool = False, key_bias: bool = True) -> None:
        super().__init__(config, config.encoder_ffn_dim, norm_first)
        self.self_attn = BartAttention(
            config.d_model, config.encoder_attention_heads, config.attention_dropout, key_bias
        )

    def forward(self, x: Tensor, mask: Tensor | None, weights: Manner) -> tuple[Tensor, Tensor | None]:
        """Return (B, S, D) and, with ``weights``, the attention weights."""
        x, shares = self.part(self.self_attn, self.self_attn_layer_norm, x, mask, False, None, weights)
        x, _ = self.part(self.feed_forward, self.final_layer_norm, x)
        # Half precision overflows here in published models.
        return (x.clamp(-64504.0, 64504.0) if x.dtype == torch.float16 else x), shares


class BartDecoderLayer(_Layer):
    """Attention to the text so far, to the encoder, then feed-forward."""

    def __init__(self, config: BartLike, norm_first: bool = False, key_bias: bool = True) -> None:
        super().__init__(config, config.decoder_ffn_dim, norm_first)
        shape = (config.d_model, config.decoder_attention_heads, config.attention_dropout, key_bias)
        self.self_attn = BartAttention(*shape)
        self.encoder_attn = BartAttention(*shape)
        self.encoder_attn_layer_norm = nn.LayerNorm(config.d_model)

    def forward(
        self,
        x: Tensor,
        mask: Tensor | None,
        causal: bool,
        memory: Tensor | None,
        memory_mask: Tensor | None,
        cache: Any,
        weights: Manner,
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Return (B, T, D) and, with ``weights``, the attention weights to the text and to the encoder."""
        x, shares = self.part(self.self_attn, self.self_attn_layer_norm, x, mask, causal, cache, weights)
        crossed = None
        if memory is not None:
            inputs = (memory_mask, False, cache, weights, memory)
            x, crossed = self.part(self.encoder_attn, self.encoder_attn_layer_norm, x, *inputs)
        x, _ = self.part(self.feed_forward, self.final_layer_norm, x)
        return x, shares, crossed


class BartPreTrainedModel(PreTrainedModel):
    """What all BART models share, and where the families built on BART differ.

    Attributes:
        norm_first: each part of a layer is normalised before it instead of after its residual.
        norm_embeddings: the embedded text is normalised.
        norm_last: the last layer's states are normalised.
        scales_given: the decoder scales embeddings that it is given, too.
        key_bias: keys have a bias.
        logits_bias: the words' logits have a bias of their own, which is not trained.
    """

    config_class: ClassVar[Any] = BartConfig
    base_model_prefix = "model"
    _supports_sdpa = True
    _no_split_modules = ["BartEncoderLayer", "BartDecoderLayer"]
    _keys_to_ignore_on_load_unexpected = [r"coder\.version$"]
    _keys_to_ignore_on_load_missing = [r"final_logits_bias$"]

    norm_first: ClassVar[bool] = False
    norm_embeddings: ClassVar[bool] = True
    norm_last: ClassVar[bool] = False
    scales_given: ClassVar[bool] = False
    key_bias: ClassVar[bool] = True
    logits_bias: ClassVar[bool] = True

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, nn.Linear | nn.Embedding):
            module.weight.normal_(0.0, self.config.init_std)
            if isinstance(module, nn.Embedding) and module.padding_idx is not None:
                module.weight[module.padding_idx].zero_()

    def words(self, count: int) -> nn.Embedding:
        """Return an embedding of ``count`` words."""
        scale = self.config.d_model**0.5 if self.config.scale_embedding else 1.0
        return ScaledEmbedding(count, self.config.d_model, self.config.pad_token_id, scale)

    def positions(self) -> nn.Module:
        """Return what turns places (B | 1, T) into (B | 1, T, D)."""
        return LearnedPositions(self.config.max_position_embeddings, self.config.d_model)

    def places(self, input_ids: Tensor | None, x: Tensor, past: int) -> Tensor:
        """Return where the tokens are, (B | 1, T): counted on from the past, whether padding or not."""
        return (torch.arange(x.shape[1], device=x.device) + past)[None]


class _Side(BartPreTrainedModel):
    """What encoder and decoder share: words and positions, layers, norms."""

    _input_embed_layer = "embed_tokens"

    def __init__(self, config: BartLike, words: int, layers: Sequence[nn.Module]) -> None:
        super().__init__(config)
        self.embed_tokens = self.words(words)
        self.embed_positions = self.positions()
        self.layers = nn.ModuleList(layers)
        if self.norm_embeddings:
            self.layernorm_embedding = nn.LayerNorm(config.d_model)
        if self.norm_last:
            self.layer_norm = nn.LayerNorm(config.d_model)
        self.dropout = nn.Dropout(config.dropout)
        self.post_init()

    def placed(self, x: Tensor, places: Tensor) -> Tensor:
        """Return words ``x`` (B, T, D) with their positions."""
        x = x + self.embed_positions(places)
        return self.dropout(self.layernorm_embedding(x) if self.norm_embeddings else x)


class BartEncoder(_Side):
    """The part that reads."""

    def __init__(self, config: BartLike) -> None:
        kind = [BartEncoderLayer(config, self.norm_first, self.key_bias) for _ in range(config.encoder_layers)]
        super().__init__(config, config.vocab_size, kind)

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        **_: Any,
    ) -> Any:
        """Return the states (B, S, D) of a text (B, S); see ``BartModel.forward``."""
        x = self.embed_tokens(input_ids) if inputs_embeds is None else inputs_embeds
        mask = encoder_mask(attention_mask)
        record = self.recording(output_attentions, output_hidden_states)
        x = self.placed(x, self.places(input_ids, x, 0))
        x = self.encode(surviving(self.layers, self.config.encoder_layerdrop, self.training), x, record, mask)
        x = self.layer_norm(x) if self.norm_last else x
        record.finish(x)
        output = BaseModelOutput(x, record.hidden_states, record.attentions)
        return as_asked(output, return_dict, self.config.return_dict)


class BartDecoder(_Side):
    """The part that writes."""

    def __init__(self, config: BartLike) -> None:
        kind = [BartDecoderLayer(config, self.norm_first, self.key_bias) for _ in range(config.decoder_layers)]
        super().__init__(config, getattr(config, "decoder_vocab_size", config.vocab_size), kind)

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        encoder_hidden_states: Tensor | None = None,
        encoder_attention_mask: Tensor | None = None,
        past_key_values: Any = None,
        inputs_embeds: Tensor | None = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        position_ids: Tensor | None = None,
        **_: Any,
    ) -> Any:
        """Return the states (B, T, D) of what is written (B, T).

        Args:
            input_ids: (B, T).
            attention_mask: (B, T with the past), 0 for padding.
            encoder_hidden_states: (B, S, D), what the encoder read; None looks at the text alone.
            encoder_attention_mask: (B, S), 0 for padding of it.
            past_key_values: keys and values of the tokens before.
            inputs_embeds: (B, T, D), instead of ``input_ids``.
            use_cache: return the cache.
            output_attentions, output_hidden_states: record them.
            return_dict: False returns a tuple.
            position_ids: (B | 1, T); counted on from the past by default.
        """
        x = self.embed_tokens(input_ids) if inputs_embeds is None else inputs_embeds
        if inputs_embeds is not None and self.scales_given and self.config.scale_embedding:
            x = x * self.config.d_model**0.5
        crossed = encoder_hidden_states is not None or self.config.is_encoder_decoder
        cache = self.cache_for(past_key_values, use_cache, crossed=crossed)
        past = 0 if cache is None else cache.get_seq_length()
        keys = x.shape[1] if cache is None else cache.get_mask_sizes(x.shape[1])[0]
        mask, causal = causal_mask(attention_mask, x.shape[1], past, keys=keys, device=x.device)
        memory_mask = None if encoder_hidden_states is None else encoder_mask(encoder_attention_mask)
        record = self.recording(output_attentions, output_hidden_states)
        x = self.placed(x, self.places(input_ids, x, past) if position_ids is None else position_ids)
        layers = surviving(self.layers, self.config.decoder_layerdrop, self.training)
        x = self.decode(layers, x, record, mask, causal, encoder_hidden_states, memory_mask, cache=cache)
        x = self.layer_norm(x) if self.norm_last else x
        record.finish(x)
        output = BaseModelOutputWithPastAndCrossAttentions(
            last_hidden_state=x,
            past_key_values=cache,
            hidden_states=record.hidden_states,
            attentions=record.attentions,
            cross_attentions=record.cross_attentions,
        )
        return as_asked(output, return_dict, self.config.return_dict)
