"""BLIP's texts: BERT without segments, which reads with or without an image, and writes.

Shapes: B rows, T tokens, S states of an image or a question, D width, V words.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from enfold.nn.cache import EncoderDecoderCache
from enfold.nn.embedding import Positions
from enfold.nn.mask import causal_mask, encoder_mask
from enfold.transformers.configs.blip import BlipTextConfig
from enfold.transformers.generation.mixin import GenerationMixin
from enfold.transformers.heads import as_asked
from enfold.transformers.modeling import PreTrainedModel
from enfold.transformers.models.bert import BertHeads, BertPredictions
from enfold.transformers.models.bert_encoder import BertAttention, BertLayer, BertPooler
from enfold.transformers.outputs import (
    BaseModelOutputWithPoolingAndCrossAttentions,
    CausalLMOutputWithCrossAttentions,
)

__all__ = ["BlipTextLMHeadModel", "BlipTextModel", "BlipTextPreTrainedModel"]


class BlipTextEmbeddings(nn.Module):
    """Words and positions, added and normalised."""

    def __init__(self, config: BlipTextConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.word_embeddings = nn.Embedding(config.vocab_size, width, padding_idx=config.pad_token_id)
        self.position_embeddings = Positions(config.max_position_embeddings, width)
        self.LayerNorm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, words: Tensor, positions: Tensor) -> Tensor:
        """Return (B, T, D) for embedded words (B, T, D) and positions (B | 1, T)."""
        return self.dropout(self.LayerNorm(words + self.position_embeddings(positions)))


class BlipTextLayer(BertLayer):
    """BERT's layer, which may look at states of another width."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        if config.is_decoder:
            self.crossattention = BertAttention(config)
            self.crossattention.self.key = nn.Linear(config.encoder_hidden_size, config.hidden_size)
            self.crossattention.self.value = nn.Linear(config.encoder_hidden_size, config.hidden_size)


class BlipTextEncoder(nn.Module):
    """The layers."""

    def __init__(self, config: BlipTextConfig) -> None:
        super().__init__()
        self.layer = nn.ModuleList(BlipTextLayer(config) for _ in range(config.num_hidden_layers))


class BlipTextPreTrainedModel(PreTrainedModel):
    """What BLIP's models of texts share."""

    config_class: ClassVar[Any] = BlipTextConfig
    base_model_prefix = "bert"
    _supports_sdpa = True
    _no_split_modules = ["BlipTextLayer"]
    _keys_to_ignore_on_load_unexpected = [r"position_ids$"]

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, BertPredictions):
            module.bias.zero_()


class BlipTextModel(BlipTextPreTrainedModel):
    """BLIP's texts without a head.

    Args:
        config: its numbers.
        add_pooling_layer: make ``pooler_output`` too.
    """

    _input_embed_layer = "embeddings.word_embeddings"

    def __init__(self, config: BlipTextConfig, add_pooling_layer: bool = True) -> None:
        super().__init__(config)
        self.embeddings = BlipTextEmbeddings(config)
        self.encoder = BlipTextEncoder(config)
        self.pooler = BertPooler(config) if add_pooling_layer else None  # type: ignore[arg-type]
        self.post_init()

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        encoder_hidden_states: Tensor | None = None,
        encoder_attention_mask: Tensor | None = None,
        past_key_values: Any = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        is_decoder: bool = False,
        return_dict: bool | None = None,
        **_: Any,
    ) -> Any:
        """Return the states of every token.

        Args:
            input_ids: (B, T).
            attention_mask: (B, T), 1 for a token, 0 for padding.
            position_ids: (B | 1, T); 0, 1, … by default.
            inputs_embeds: (B, T, D), instead of ``input_ids``.
            encoder_hidden_states: (B, S, encoder width), what every layer looks at, if anything.
            encoder_attention_mask: (B, S), 1 for a state, 0 for padding.
            past_key_values, use_cache: as everywhere; only with ``is_decoder``.
            output_attentions, output_hidden_states: return what lies between.
            is_decoder: tokens look back only.
            return_dict: False returns a tuple.
        """
        words = self.embeddings.word_embeddings(input_ids) if inputs_embeds is None else inputs_embeds
        memory, length = encoder_hidden_states, words.shape[1]
        cache = self.cache_for(past_key_values, use_cache if is_decoder else False)
        if cache is not None and memory is not None and not isinstance(cache, EncoderDecoderCache):
            cache = EncoderDecoderCache(cache)
        past = 0 if cache is None else cache.get_seq_length()
        if position_ids is None:
            position_ids = torch.arange(past, past + length, device=words.device)[None]
        causal = False
        if is_decoder:
            mask, causal = causal_mask(attention_mask, length, past, device=words.device)
        else:
            mask = encoder_mask(attention_mask)
        record = self.recording(output_attentions, output_hidden_states)
        x = self.embeddings(words, position_ids)
        seen = encoder_mask(encoder_attention_mask)
        x = self.decode(self.encoder.layer, x, record, mask, causal, memory, seen, cache=cache)
        record.finish(x)
        output = BaseModelOutputWithPoolingAndCrossAttentions(
            last_hidden_state=x,
            pooler_output=None if self.pooler is None else self.pooler(x),
            hidden_states=record.hidden_states,
            past_key_values=cache,
            attentions=record.attentions,
            cross_attentions=record.cross_attentions,
        )
        return as_asked(output, return_dict, self.config.return_dict)


class BlipTextLMHeadModel(BlipTextPreTrainedModel, GenerationMixin):
    """BLIP that writes about what it sees."""

    _tied_weights_keys = {
        "cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight",
        "cls.predictions.decoder.bias": "cls.predictions.bias",
    }

    def __init__(self, config: BlipTextConfig) -> None:
        super().__init__(config)
        self.bert = BlipTextModel(config, add_pooling_layer=False)
        self.cls = BertHeads(config)  # type: ignore[arg-type]
        self.post_init()

    def get_output_embeddings(self) -> nn.Module:
        """Return the layer that predicts words."""
        return self.cls.predictions.decoder

    def set_output_embeddings(self, value: Any) -> None:
        """Replace the layer that predicts words."""
        self.cls.predictions.decoder = value

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        encoder_hidden_states: Tensor | None = None,
        encoder_attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        past_key_values: Any = None,
        use_cache: bool | None = None,
        is_decoder: bool = True,
        reduction: str = "mean",
        logits_to_keep: int | Tensor = 0,
        return_dict: bool | None = None,
        **extra: Any,
    ) -> Any:
        """Return next-word logits (B, T, V); ``labels`` (B, T) are words, or -100; the rest as ``BlipTextModel``'s."""
        states = self.bert(
            input_ids,
            attention_mask,
            position_ids,
            inputs_embeds,
            encoder_hidden_states,
            encoder_attention_mask,
            past_key_values,
            use_cache if labels is None else False,
            is_decoder=is_decoder,
            return_dict=True,
            **extra,
        )
        kept = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        logits = self.cls.predictions(states.last_hidden_state[:, kept])
        loss = None
        if labels is not None:
            wanted, predicted = labels[:, 1:], logits[:, :-1].float()
            loss = F.cross_entropy(
                predicted.flatten(0, 1),
                wanted.flatten(),
                reduction=reduction,
                label_smoothing=self.config.label_smoothing,
            )
            loss = loss.view(len(labels), -1).sum(1) if reduction == "none" else loss
        output = CausalLMOutputWithCrossAttentions(
            loss,
            logits,
            states.past_key_values,
            states.hidden_states,
            states.attentions,
            states.cross_attentions,
        )
        return as_asked(output, return_dict, self.config.return_dict)
