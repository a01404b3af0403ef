"""T5 (Raffel et al., 2020, "Exploring the Limits of Transfer Learning with a Unified Text-to-Text Transformer").

Shapes: B rows, S tokens read, T tokens written, K keys, H heads, d their width, D width, V words.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from enfold.nn.activations import activation
from enfold.nn.attention import Manner, attend, merge_heads, split_heads
from enfold.nn.cache import CacheLayer, EncoderDecoderLayer
from enfold.nn.linear import project
from enfold.nn.mask import causal_mask, encoder_mask
from enfold.nn.norm import RMSNorm
from enfold.nn.relative import bucketed_distances, scores_of
from enfold.transformers.configs.t5 import T5Config
from enfold.transformers.heads import TokenClassificationHead, as_asked
from enfold.transformers.modeling import PreTrainedModel
from enfold.transformers.outputs import BaseModelOutputWithPastAndCrossAttentions
from enfold.transformers.seq2seq import (
    ClassificationLayers,
    ConditionalGenerationHead,
    EncoderDecoder,
    Seq2SeqClassificationHead,
    Seq2SeqQuestionAnsweringHead,
)

__all__ = [
    "T5Config",
    "T5EncoderModel",
    "T5ForConditionalGeneration",
    "T5ForQuestionAnswering",
    "T5ForSequenceClassification",
    "T5ForTokenClassification",
    "T5Model",
    "T5PreTrainedModel",
]


class T5Attention(nn.Module):
    """Attention without a scale: the initialisation makes up for it. The first layer's distances serve all layers."""

    def __init__(self, config: T5Config, decodes: bool, measures: bool) -> None:
        super().__init__()
        inner = config.num_heads * config.d_kv
        self.q = nn.Linear(config.d_model, inner, bias=False)
        self.k = nn.Linear(config.d_model, inner, bias=False)
        self.v = nn.Linear(config.d_model, inner, bias=False)
        self.o = nn.Linear(inner, config.d_model, bias=False)
        self.head_dim, self.drop, self.decodes = config.d_kv, config.dropout_rate, decodes
        if measures:
            self.farthest = config.relative_attention_max_distance
            self.relative_attention_bias = nn.Embedding(config.relative_attention_num_buckets, config.num_heads)

    def distances(self, length: int, past: int | Tensor, keys: int) -> Tensor:
        """Return what is added to the scores of ``length`` queries, (1, H, T, K)."""
        table = self.relative_attention_bias
        places = torch.arange(keys, device=table.weight.device)
        buckets = bucketed_distances(
            places[None] - (places[:length] + past)[:, None],
            table.num_embeddings,
            self.farthest,
            both_ways=not self.decodes,
        )
        return table(buckets).permute(2, 0, 1)[None]

    def keys_and_values(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return both, (B, H, K, d)."""
        return split_heads(self.k(x), self.head_dim), split_heads(self.v(x), self.head_dim)

    def forward(
        self, x: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None, weights: Manner
    ) -> tuple[Tensor, Tensor | None]:
        """Return (B, T, D) and, with ``weights``, (B, H, T, K)."""
        dropout = self.drop if self.training else 0.0
        query = split_heads(self.q(x), self.head_dim)
        out, shares = attend(query, keys, values, mask, scale=1.0, dropout=dropout, weights=weights)
        return self.o(merge_heads(out)), shares


class T5LayerSelfAttention(nn.Module):
    """Attention to the text itself, normalised before, with its residual."""

    def __init__(self, config: T5Config, decodes: bool, measures: bool) -> None:
        super().__init__()
        self.SelfAttention = T5Attention(config, decodes, measures)
        self.layer_norm = RMSNorm(config.d_model, eps=config.layer_norm_epsilon)
        self.dropout = nn.Dropout(config.dropout_rate)

    def forward(
        self, x: Tensor, mask: Tensor | None, cache: CacheLayer | None, weights: Manner
    ) -> tuple[Tensor, Tensor | None]:
        """Return (B, T, D) and, with ``weights``, the attention weights."""
        normed = self.layer_norm(x)
        keys, values = self.SelfAttention.keys_and_values(normed)
        if cache is not None:
            keys, values = cache.update_and_fetch(keys, values)
        out, shares = self.SelfAttention(normed, keys, values, mask, weights)
        return x + self.dropout(out), shares


class T5LayerCrossAttention(nn.Module):
    """Attention to the encoder, normalised before, with its residual."""

    def __init__(self, config: T5Config) -> None:
        super().__init__()
        self.EncDecAttention = T5Attention(config, decodes=True, measures=False)
        self.layer_norm = RMSNorm(config.d_model, eps=config.layer_norm_epsilon)
        self.dropout = nn.Dropout(config.dropout_rate)

    def forward(
        self, x: Tensor, memory: Tensor, mask: Tensor | None, cache: EncoderDecoderLayer | None, weights: Manner
    ) -> tuple[Tensor, Tensor | None]:
        """Return (B, T, D) and, with ``weights``, the attention weights."""
        attention = self.EncDecAttention
        if cache is None:
            keys, values = attention.keys_and_values(memory)
        else:
            keys, values = cache.crossed(lambda: attention.keys_and_values(memory))
        out, shares = attention(self.layer_norm(x), keys, values, mask, weights)
        return x + self.dropout(out), shares


class T5Dense(nn.Module):
    """The feed-forward; a gated one has two ways in."""

    wi: nn.Linear
    wi_0: nn.Linear
    wi_1: nn.Linear

    def __init__(self, config: T5Config) -> None:
        super().__init__()
        for name in ("wi_0", "wi_1") if config.is_gated_act else ("wi",):
            self.add_module(name, nn.Linear(config.d_model, config.d_ff, bias=False))
        self.wo = nn.Linear(config.d_ff, config.d_model, bias=False)
        self.gated = config.is_gated_act
        self.dropout = nn.Dropout(config.dropout_rate)
        self.act = activation(config.dense_act_fn)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, T, D) for (B, T, D)."""
        x = self.act(self.wi_0(x)) * self.wi_1(x) if self.gated else self.act(self.wi(x))
        return self.wo(self.dropout(x))


class T5LayerFF(nn.Module):
    """The feed-forward, normalised before, with its residual."""

    def __init__(self, config: T5Config) -> None:
        super().__init__()
        self.DenseReluDense = T5Dense(config)
        self.layer_norm = RMSNorm(config.d_model, eps=config.layer_norm_epsilon)
        self.dropout = nn.Dropout(config.dropout_rate)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, T, D) for (B, T, D)."""
        return x + self.dropout(self.DenseReluDense(self.layer_norm(x)))


class T5Block(nn.Module):
    """One layer: attention to the text, in the decoder to the encoder as well, and the feed-forward."""

    def __init__(self, config: T5Config, decodes: bool, measures: bool) -> None:
        super().__init__()
        crossed = [T5LayerCrossAttention(config)] if decodes else []
        self.layer = nn.ModuleList([T5LayerSelfAttention(config, decodes, measures), *crossed, T5LayerFF(config)])

    def forward(
        self,
        x: Tensor,
        mask: Tensor | None,
        memory: Tensor | None,
        memory_mask: Tensor | None,
        cache: Any,
        weights: Manner,
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Return (B, T, D) and, with ``weights``, the attention weights to the text and to the encoder."""
        own = cache.own if isinstance(cache, EncoderDecoderLayer) else cache
        x, shares = self.layer[0](x, mask, own, weights)
        x, crossed = _finite(x), None
        if memory is not None:
            x, crossed = self.layer[1](x, memory, memory_mask, cache, weights)
            x = _finite(x)
        return _finite(self.layer[-1](x)), shares, crossed


def _finite(x: Tensor) -> Tensor:
    """Keep half precision, which T5's residuals overflow, below infinity."""
    return x.clamp(-64504.0, 64504.0) if x.dtype == torch.float16 else x


class T5PreTrainedModel(PreTrainedModel):
    """What all T5 models share."""

    config_class: ClassVar[Any] = T5Config
    base_model_prefix = "transformer"
    _supports_sdpa = True
    _no_split_modules = ["T5Block"]
    _keys_to_ignore_on_load_unexpected = [r"EncDecAttention\.relative_attention_bias"]

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        config, factor = self.config, self.config.initializer_factor
        narrow = factor * config.d_model**-0.5
        if isinstance(module, RMSNorm):
            module.weight.fill_(factor)
        elif isinstance(module, T5Attention):
            module.q.weight.normal_(0.0, factor * (config.d_model * config.d_kv) ** -0.5)
            module.k.weight.normal_(0.0, narrow)
            module.v.weight.normal_(0.0, narrow)
            module.o.weight.normal_(0.0, factor * (config.num_heads * config.d_kv) ** -0.5)
            if hasattr(module, "relative_attention_bias"):
                module.relative_attention_bias.weight.normal_(0.0, narrow)
        elif isinstance(module, T5Dense):
            for name, layer in module.named_children():
                if isinstance(layer, nn.Linear):
                    layer.weight.normal_(0.0, factor * config.d_ff**-0.5 if name == "wo" else narrow)
        elif isinstance(module, ClassificationLayers):
            module.dense.weight.normal_(0.0, narrow)
            module.out_proj.weight.normal_(0.0, narrow)
        elif isinstance(module, T5Stack):
            module.embed_tokens.weight.normal_(0.0, factor)
        elif isinstance(module, _WithEmbeddings):
            module.shared.weight.normal_(0.0, factor)
            if isinstance(module, T5ForConditionalGeneration):
                module.lm_head.weight.normal_(0.0, factor)
            if isinstance(module, T5ForQuestionAnswering):
                module.qa_outputs.weight.normal_(0.0, narrow)


class T5Stack(T5PreTrainedModel):
    """The encoder, or the decoder."""

    _input_embed_layer = "embed_tokens"

    def __init__(self, config: T5Config, decodes: bool = False) -> None:
        super().__init__(config)
        self.is_decoder = decodes
        self.embed_tokens = nn.Embedding(config.vocab_size, config.d_model)
        layers = config.num_decoder_layers if decodes else config.num_layers
        self.block = nn.ModuleList(T5Block(config, decodes, measures=index == 0) for index in range(layers))
        self.final_layer_norm = RMSNorm(config.d_model, eps=config.layer_norm_epsilon)
        self.dropout = nn.Dropout(config.dropout_rate)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        encoder_hidden_states: Tensor | None = None,
        encoder_attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        past_key_values: Any = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        **_: Any,
    ) -> Any:
        """Return the states of every token.

        Args:
            input_ids: (B, T).
            attention_mask: (B, T with the past), 1 for a token, 0 for padding.
            encoder_hidden_states: (B, S, D), what the encoder read; only in the decoder.
            encoder_attention_mask: (B, S), 0 for padding of it.
            inputs_embeds: (B, T, D), instead of ``input_ids``.
            past_key_values: keys and values of the tokens before; only in the decoder.
            use_cache: return the cache.
            output_attentions: return the attention weights.
            output_hidden_states: return the states between the layers.
            return_dict: False returns a tuple.
        """
        x = self.dropout(self.embed_tokens(input_ids) if inputs_embeds is None else inputs_embeds)
        length, cache, past = x.shape[1], None, 0
        keys = length
        if self.is_decoder:
            cache = self.cache_for(past_key_values, use_cache, crossed=True)
            if cache is not None:
                past, keys = cache.get_seq_length(), cache.get_mask_sizes(length)[0]
            mask, causal = causal_mask(attention_mask, length, past, keys=keys, device=x.device)
        else:
            mask, causal = encoder_mask(attention_mask), False
        # Distances and mask make one table, added to the scores of every layer.
        first: Any = self.block[0]
        bias = scores_of(mask, causal, first.layer[0].SelfAttention.distances(length, past, keys))
        memory_mask = None if encoder_hidden_states is None else encoder_mask(encoder_attention_mask)
        record = self.recording(output_attentions, output_hidden_states)

        x = self.decode(self.block, x, record, bias, encoder_hidden_states, memory_mask, cache=cache)
        x = self.dropout(self.final_layer_norm(x))
        record.finish(x)
        output = BaseModelOutputWithPastAndCrossAttentions(
            last_hidden_state=x,
            past_key_values=cache,
            hidden_states=record.hidden_states,
            attentions=record.attentions,
            cross_attentions=record.cross_attentions,
        )
        return as_asked(output, return_dict, self.config.return_dict)


class _WithEmbeddings(T5PreTrainedModel):
    """Embeddings that encoder and decoder share; whether the head shares them too, the configuration says."""

    def __init__(self, config: T5Config, decodes: bool = True) -> None:
        super().__init__(config)
        self.shared = nn.Embedding(config.vocab_size, config.d_model)
        self.encoder = T5Stack(config)
        if decodes:
            self.decoder = T5Stack(config, decodes=True)

    def own_tied_names(self) -> dict[str, str]:
        """Return name → the name whose parameter it shares."""
        parts = [name for name in ("encoder", "decoder") if hasattr(self, name)]
        return {f"{name}.embed_tokens.weight": "shared.weight" for name in parts} | super().own_tied_names()

    def get_input_embeddings(self) -> nn.Module:
        """Return the embedding of tokens."""
        return self.shared

    def set_input_embeddings(self, value: Any) -> None:
        """Replace the embedding of tokens."""
        self.shared = value
        for name in ("encoder", "decoder"):
            if hasattr(self, name):
                getattr(self, name).embed_tokens = value


class T5Model(EncoderDecoder, _WithEmbeddings):
    """T5 without a head."""

    def __init__(self, config: T5Config) -> None:
        super().__init__(config)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        *inputs: Any,
        return_dict: bool | None = None,
        **named: Any,
    ) -> Any:
        """Return the decoder's states (B, T, D); arguments as ``EncoderDecoder.run``."""
        output = self.run(input_ids, attention_mask, decoder_input_ids, *inputs, **named)
        return as_asked(output, return_dict, self.config.return_dict)


class T5ForConditionalGeneration(ConditionalGenerationHead, EncoderDecoder, _WithEmbeddings):
    """T5 that answers a text with a text.

    Example:
        >>> config = T5Config(vocab_size=9, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2,
        ...                   decoder_start_token_id=0)
        >>> model = T5ForConditionalGeneration(config).eval()
        >>> model.generate(torch.tensor([[5, 1]]), max_new_tokens=3, min_new_tokens=3, do_sample=False).shape
        torch.Size([1, 4])
    """

    _tied_weights_keys = {"lm_head.weight": "shared.weight"}

    def __init__(self, config: T5Config) -> None:
        super().__init__(config)
        self.lm_head = nn.Linear(config.d_model, config.vocab_size, bias=False)
        self.scale = config.d_model**-0.5 if config.scale_decoder_outputs else 1.0
        self.post_init()

    def decoder_start(self, input_ids: Tensor | None, ids: Tensor | None, embeds: Tensor | None) -> Tensor | None:
        """Return the decoder's inputs as they are: T5 does not repeat what it reads."""
        return ids

    def read(self, states: Tensor) -> Tensor:
        """Return words' logits (B, T, V)."""
        return project(self.lm_head, states * self.scale)


class T5EncoderModel(_WithEmbeddings):
    """T5's encoder."""

    _keys_to_ignore_on_load_unexpected = [r"^decoder\.", r"^lm_head\."]

    def __init__(self, config: T5Config) -> None:
        super().__init__(config, decodes=False)
        self.post_init()

    def get_encoder(self) -> nn.Module:
        """Return the part that reads."""
        return self.encoder

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
        """Return the states (B, S, D) of a text (B, S); arguments as ``T5Stack.forward``."""
        return self.encoder(
            input_ids,
            attention_mask=attention_mask,
            inputs_embeds=inputs_embeds,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
            return_dict=return_dict,
        )


class T5ForSequenceClassification(Seq2SeqClassificationHead, T5PreTrainedModel):
    """T5 with one prediction a row."""

    def __init__(self, config: T5Config) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        self.transformer = T5Model(config)
        self.classification_head = ClassificationLayers(config.d_model, config.num_labels, config.classifier_dropout)
        self.post_init()


class T5ForTokenClassification(TokenClassificationHead, T5PreTrainedModel):
    """T5's encoder with one prediction a token."""

    _keys_to_ignore_on_load_unexpected = [r"^(transformer\.)?decoder\.", r"^lm_head\."]

    def __init__(self, config: T5Config) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        self.transformer = T5EncoderModel(config)
        self.dropout = nn.Dropout(config.classifier_dropout)
        self.classifier = nn.Linear(config.d_model, config.num_labels)
        self.post_init()

    def read(self, output: Any) -> Tensor:
        """Return logits (B, S, C)."""
        return self.classifier(self.dropout(output.last_hidden_state))


class T5ForQuestionAnswering(Seq2SeqQuestionAnsweringHead, EncoderDecoder, _WithEmbeddings):
    """T5 that marks an answer in a text."""

    def __init__(self, config: T5Config) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        self.qa_outputs = nn.Linear(config.d_model, config.num_labels)
        self.post_init()
