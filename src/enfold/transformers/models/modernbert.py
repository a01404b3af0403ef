"""ModernBERT (Warner et al., 2024, "Smarter, Better, Faster, Longer"): rotary positions, gated feed-forwards, norms
before the layers, and local attention in most of them.

Shapes: B rows, T tokens, H heads, D width, d of a head, V words.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from enfold.errors import EnfoldError, nearest
from enfold.nn.activations import activation
from enfold.nn.attention import Manner, attend, merge_heads, split_heads
from enfold.nn.losses import token_loss
from enfold.nn.mask import encoder_mask
from enfold.nn.rotary import Rotary, rotate
from enfold.transformers.configs.modernbert import ModernBertConfig
from enfold.transformers.encoders import EncoderHead
from enfold.transformers.heads import (
    MaskedLMHead,
    MultipleChoiceHead,
    QuestionAnsweringHead,
    SequenceClassificationHead,
    TokenClassificationHead,
    as_asked,
)
from enfold.transformers.modeling import PreTrainedModel
from enfold.transformers.outputs import BaseModelOutput, BaseModelOutputWithPooling, MaskedLMOutput

__all__ = [
    "ModernBertConfig",
    "ModernBertForMaskedLM",
    "ModernBertForMultipleChoice",
    "ModernBertForQuestionAnswering",
    "ModernBertForSequenceClassification",
    "ModernBertForTokenClassification",
    "ModernBertModel",
    "ModernBertPreTrainedModel",
]


def norm(config: ModernBertConfig) -> nn.LayerNorm:
    """Return a norm of the model's kind."""
    return nn.LayerNorm(config.hidden_size, eps=config.norm_eps, bias=config.norm_bias)


class ModernBertEmbeddings(nn.Module):
    """Words, normalised."""

    def __init__(self, config: ModernBertConfig) -> None:
        super().__init__()
        self.tok_embeddings = nn.Embedding(config.vocab_size, config.hidden_size, padding_idx=config.pad_token_id)
        self.norm = norm(config)
        self.drop = nn.Dropout(config.embedding_dropout)

    def forward(self, words: Tensor) -> Tensor:
        """Return (B, T, D) for embedded words (B, T, D)."""
        return self.drop(self.norm(words))


class ModernBertMLP(nn.Module):
    """The gated feed-forward."""

    def __init__(self, config: ModernBertConfig) -> None:
        super().__init__()
        self.Wi = nn.Linear(config.hidden_size, 2 * config.intermediate_size, bias=config.mlp_bias)
        self.act = activation(config.hidden_activation)
        self.drop = nn.Dropout(config.mlp_dropout)
        self.Wo = nn.Linear(config.intermediate_size, config.hidden_size, bias=config.mlp_bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, T, D) for (B, T, D)."""
        x, gate = self.Wi(x).chunk(2, dim=-1)
        return self.Wo(self.drop(self.act(x) * gate))


class ModernBertAttention(nn.Module):
    """Attention with its output projection."""

    def __init__(self, config: ModernBertConfig) -> None:
        super().__init__()
        width, heads = config.hidden_size, config.num_attention_heads
        if width % heads:
            raise EnfoldError(f"hidden_size {width} is no multiple of num_attention_heads {heads}")
        self.Wqkv = nn.Linear(width, 3 * width, bias=config.attention_bias)
        self.Wo = nn.Linear(width, width, bias=config.attention_bias)
        self.out_drop = nn.Dropout(config.attention_dropout)
        self.head_dim = width // heads

    def forward(
        self, x: Tensor, angles: tuple[Tensor, Tensor], mask: Tensor | None, weights: Manner
    ) -> tuple[Tensor, Tensor | None]:
        """Return (B, T, D) and, with ``weights``, (B, H, T, T)."""
        q, k, v = (split_heads(part, self.head_dim) for part in self.Wqkv(x).chunk(3, dim=-1))  # (B, H, T, d)
        q, k = rotate(q, *angles), rotate(k, *angles)
        dropout = self.out_drop.p if self.training else 0.0
        out, shares = attend(q, k, v, mask, dropout=dropout, weights=weights)
        return self.out_drop(self.Wo(merge_heads(out))), shares


class ModernBertEncoderLayer(nn.Module):
    """One layer: attention, then feed-forward, each after its norm and added to what it was given."""

    def __init__(self, config: ModernBertConfig, index: int) -> None:
        super().__init__()
        self.attn_norm = norm(config) if index else nn.Identity()  # the embeddings are normalised already
        self.attn = ModernBertAttention(config)
        self.mlp_norm = norm(config)
        self.mlp = ModernBertMLP(config)
        self.kind = config.layer_types[index]

    def forward(self, x: Tensor, views: dict[str, tuple[Any, Any]], weights: Manner) -> tuple[Tensor, Tensor | None]:
        """Return (B, T, D) and, with ``weights``, the attention weights; ``views`` has angles and mask of each kind."""
        attended, shares = self.attn(self.attn_norm(x), *views[self.kind], weights)
        x = x + attended
        return x + self.mlp(self.mlp_norm(x)), shares


class ModernBertPredictionHead(nn.Module):
    """The step between the last layer and what is predicted."""

    def __init__(self, config: ModernBertConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size, bias=config.classifier_bias)
        self.act = activation(config.classifier_activation)
        self.norm = norm(config)

    def forward(self, x: Tensor) -> Tensor:
        """Return (…, D) for (…, D)."""
        return self.norm(self.act(self.dense(x)))


class ModernBertPreTrainedModel(PreTrainedModel):
    """What all ModernBERT models share."""

    config_class = ModernBertConfig
    base_model_prefix = "model"
    _supports_sdpa = True
    _no_split_modules = ["ModernBertEmbeddings", "ModernBertEncoderLayer"]

    def make_encoder(self, config: ModernBertConfig, pooled: bool) -> nn.Module:
        """Return the base model."""
        return ModernBertModel(config)

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        config = self.config
        inner = config.initializer_range
        outer = inner / (2.0 * config.num_hidden_layers) ** 0.5
        final = config.hidden_size**-0.5
        stds: dict[type, dict[str, float]] = {
            ModernBertEmbeddings: {"tok_embeddings": inner},
            ModernBertMLP: {"Wi": inner, "Wo": outer},
            ModernBertAttention: {"Wqkv": inner, "Wo": outer},
            ModernBertPredictionHead: {"dense": outer},
            ModernBertForMaskedLM: {"decoder": outer},
        }
        drawn = {"classifier": final} if isinstance(module, _Classifier) else stds.get(type(module), {})
        for name, std in drawn.items():
            cut = (config.initializer_cutoff_factor or 3) * std
            nn.init.trunc_normal_(module.get_submodule(name).weight, std=std, a=-cut, b=cut)  # type: ignore[arg-type]


class ModernBertModel(ModernBertPreTrainedModel):
    """ModernBERT without a head."""

    _input_embed_layer = "embeddings.tok_embeddings"

    def __init__(self, config: ModernBertConfig) -> None:
        super().__init__(config)
        self.embeddings = ModernBertEmbeddings(config)
        self.layers = nn.ModuleList(ModernBertEncoderLayer(config, index) for index in range(config.num_hidden_layers))
        self.final_norm = norm(config)
        self.rotary = {
            kind: Rotary(
                config.hidden_size // config.num_attention_heads,
                config.rope_parameters[kind]["rope_theta"],
                config.rope_parameters[kind],
                config.max_position_embeddings,
            )
            for kind in sorted(set(config.layer_types))
        }
        self.post_init()

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        **_: Any,
    ) -> Any:
        """Return the states of every token.

        Args:
            input_ids: (B, T).
            attention_mask: (B, T), 1 for a token, 0 for padding.
            position_ids: (B | 1, T); 0, 1, … by default.
            inputs_embeds: (B, T, D), instead of ``input_ids``.
            output_attentions: return the attention weights.
            output_hidden_states: return the states between the layers.
            return_dict: False returns a tuple.
        """
        words = self.embeddings.tok_embeddings(input_ids) if inputs_embeds is None else inputs_embeds
        length = words.shape[1]
        if position_ids is None:
            position_ids = torch.arange(length, device=words.device)[None]
        everywhere = encoder_mask(attention_mask)
        masks = {"full_attention": everywhere, "sliding_attention": self._near(everywhere, length, words.device)}
        views = {kind: (rotary.tables(position_ids, words.dtype), masks[kind]) for kind, rotary in self.rotary.items()}
        record = self.recording(output_attentions, output_hidden_states)

        x = self.final_norm(self.encode(self.layers, self.embeddings(words), record, views))
        record.finish(x)
        return as_asked(
            BaseModelOutput(x, record.hidden_states, record.attentions), return_dict, self.config.return_dict
        )

    def _near(self, mask: Tensor | None, length: int, device: torch.device) -> Tensor | None:
        """Return the mask (B, 1, 1 | T, T) without what is out of a local layer's reach."""
        reach = self.config.sliding_window
        if length <= reach + 1:
            return mask
        place = torch.arange(length, device=device)
        near = (place[:, None] - place[None]).abs() <= reach  # (T, T)
        if mask is None:
            return near[None, None]
        return mask & near if mask.dtype == torch.bool else mask.masked_fill(~near, torch.finfo(mask.dtype).min)


class ModernBertForMaskedLM(MaskedLMHead, EncoderHead, ModernBertPreTrainedModel):
    """ModernBERT that fills masked words."""

    _tied_weights_keys = {"decoder.weight": "model.embeddings.tok_embeddings.weight"}

    def __init__(self, config: ModernBertConfig) -> None:
        super().__init__(config)
        self.head = ModernBertPredictionHead(config)
        self.decoder = nn.Linear(config.hidden_size, config.vocab_size, bias=config.decoder_bias)
        self.post_init()

    def get_output_embeddings(self) -> nn.Module:
        """Return the decoder of words."""
        return self.decoder

    def set_output_embeddings(self, value: Any) -> None:
        """Replace the decoder of words."""
        self.decoder = value

    def read(self, output: Any) -> Tensor:
        """Return the words' logits (B, T, V)."""
        return self.decoder(self.head(output.last_hidden_state))

    def forward(  # type: ignore[override]
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        *,
        labels: Tensor | None = None,
        **extra: Any,
    ) -> Any:
        """Return logits (B, T, V); with ``labels`` (B, T) and ``config.sparse_prediction`` those of the masked, (N, V).

        Args:
            input_ids: (B, T).
            attention_mask: (B, T), 1 for a token, 0 for padding.
            extra: as ``ModernBertModel.forward`` takes it.
            labels: words, or -100 where nothing was masked.
        """
        if labels is None or not self.config.sparse_prediction:
            return super().forward(input_ids, attention_mask, labels=labels, **extra)
        items, return_dict = extra.pop("num_items_in_batch", None), extra.pop("return_dict", None)
        states = self.states(input_ids, attention_mask=attention_mask, **extra)
        masked = labels != self.config.sparse_pred_ignore_index
        logits = self.decoder(self.head(states.last_hidden_state[masked]))  # (N, V)
        loss = token_loss(logits, labels[masked], items)
        output = MaskedLMOutput(loss, logits, states.hidden_states, states.attentions)
        return as_asked(output, return_dict, self.config.return_dict)


class _Classifier(EncoderHead, ModernBertPreTrainedModel):
    """A linear layer on the prediction head."""

    classes: int | None = None  # None reads the configuration

    def __init__(self, config: ModernBertConfig) -> None:
        super().__init__(config)
        self.head = ModernBertPredictionHead(config)
        self.drop = nn.Dropout(config.classifier_dropout)
        self.classifier = nn.Linear(config.hidden_size, self.classes or config.num_labels)
        self.post_init()

    def read(self, output: Any) -> Tensor:
        """Return logits (B, T, C)."""
        return self.classifier(self.drop(self.head(output.last_hidden_state)))


def first_place(x: Tensor, mask: Tensor | None) -> Tensor:
    """Return the first place of each row, (B, D)."""
    return x[:, 0]


def first_token(x: Tensor, mask: Tensor | None) -> Tensor:
    """Return the first real token of each row, (B, D), wherever the padding is."""
    return x[:, 0] if mask is None else x[torch.arange(x.shape[0], device=x.device), mask.argmax(-1)]


def mean_token(x: Tensor, mask: Tensor | None) -> Tensor:
    """Return the mean of each row's real tokens, (B, D)."""
    return x.mean(1) if mask is None else (x * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)


class _Pooled(_Classifier):
    """A classifier of rows, each summed up as ``config.classifier_pooling`` says."""

    poolings = {"cls": first_place, "mean": mean_token}

    def __init__(self, config: ModernBertConfig) -> None:
        if config.classifier_pooling not in self.poolings:
            hint = nearest(config.classifier_pooling, self.poolings)
            raise EnfoldError(f"unknown classifier_pooling {config.classifier_pooling!r}{hint}; expected cls or mean")
        super().__init__(config)

    def states(self, input_ids: Tensor | None, **inputs: Any) -> Any:
        """Return the base model's output with the summary of each row."""
        states = super().states(input_ids, **inputs)
        pool = self.poolings[self.config.classifier_pooling]
        pooled = pool(states.last_hidden_state, inputs.get("attention_mask"))
        return BaseModelOutputWithPooling(states.last_hidden_state, pooled, states.hidden_states, states.attentions)

    def read(self, output: Any) -> Tensor:
        """Return logits (B, C)."""
        return self.classifier(self.drop(self.head(output.pooler_output)))


class ModernBertForSequenceClassification(SequenceClassificationHead, _Pooled):
    """ModernBERT with one prediction a row."""


class ModernBertForMultipleChoice(MultipleChoiceHead, _Pooled):
    """ModernBERT that chooses among texts."""

    classes = 1
    poolings = {"cls": first_token, "mean": mean_token}


class ModernBertForTokenClassification(TokenClassificationHead, _Classifier):
    """ModernBERT with one prediction a token."""


class ModernBertForQuestionAnswering(QuestionAnsweringHead, _Classifier):
    """ModernBERT that marks an answer in a text."""
