"""GPT-2 (Radford et al., 2019, "Language Models are Unsupervised Multitask Learners").

Shapes: B rows, T tokens, S tokens with the past, H heads, D width, V words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from enfold.errors import EnfoldError
from enfold.nn.activations import activation
from enfold.nn.attention import Manner, attend, merge_heads, split_heads
from enfold.nn.cache import Cache, CacheLayer, EncoderDecoderLayer
from enfold.nn.conv import Conv1D
from enfold.nn.embedding import Positions
from enfold.nn.linear import project
from enfold.nn.losses import causal_lm_loss, token_loss
from enfold.nn.mask import causal_mask, encoder_mask
from enfold.nn.outputs import ModelOutput
from enfold.nn.step import Parts
from enfold.transformers.configs.gpt2 import GPT2Config
from enfold.transformers.decoders import CausalLMHead
from enfold.transformers.heads import (
    LastTokenClassificationHead,
    QuestionAnsweringHead,
    TokenClassificationHead,
    as_asked,
)
from enfold.transformers.modeling import PreTrainedModel
from enfold.transformers.outputs import BaseModelOutputWithPastAndCrossAttentions, CausalLMOutputWithCrossAttentions

__all__ = [
    "GPT2Config",
    "GPT2DoubleHeadsModel",
    "GPT2ForQuestionAnswering",
    "GPT2ForSequenceClassification",
    "GPT2ForTokenClassification",
    "GPT2LMHeadModel",
    "GPT2Model",
    "GPT2PreTrainedModel",
]


class GPT2Attention(nn.Module):
    """Causal attention; one projection makes queries, keys and values."""

    def __init__(self, config: GPT2Config, index: int) -> None:
        super().__init__()
        width, heads = config.n_embd, config.n_head
        if width % heads:
            raise EnfoldError(f"n_embd {width} is no multiple of n_head {heads}")
        self.c_attn = Conv1D(3 * width, width)
        self.c_proj = Conv1D(width, width)
        self.resid_dropout = nn.Dropout(config.resid_pdrop)
        self.head_dim = width // heads
        self.attn_dropout = nn.Dropout(config.attn_pdrop)
        self.scale = self.head_dim**-0.5 if config.scale_attn_weights else 1.0
        if config.scale_attn_by_inverse_layer_idx:
            self.scale /= index + 1

    def forward(
        self, x: Tensor, mask: Tensor | None, causal: bool, cache: CacheLayer | None, weights: Manner
    ) -> tuple[Tensor, Tensor | None]:
        """Return (B, T, D) and, with ``weights``, (B, H, T, S)."""
        batch, length, _ = x.shape
        qkv = project(self.c_attn, x).view(batch, length, 3, -1, self.head_dim)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # (B, H, T, d) each
        if cache is not None:
            k, v = cache.update_and_fetch(k, v)  # (B, H, S, d)
        dropout = self.attn_dropout.p if self.training else 0.0
        out, shares = attend(q, k, v, mask, causal=causal, scale=self.scale, dropout=dropout, weights=weights)
        x = project(self.c_proj, merge_heads(out))
        return (self.resid_dropout(x) if self.training else x), shares


class GPT2CrossAttention(nn.Module):
    """Attention to the states of an encoder, in models with ``config.add_cross_attention``."""

    def __init__(self, config: GPT2Config, scale: float) -> None:
        super().__init__()
        width = config.n_embd
        self.c_attn = Conv1D(2 * width, width)
        self.q_attn = Conv1D(width, width)
        self.c_proj = Conv1D(width, width)
        self.resid_dropout = nn.Dropout(config.resid_pdrop)
        self.head_dim, self.scale = width // config.n_head, scale
        self.attn_dropout = nn.Dropout(config.attn_pdrop)

    def forward(
        self, x: Tensor, memory: Tensor, mask: Tensor | None, kept: EncoderDecoderLayer | None, weights: Manner
    ) -> tuple[Tensor, Tensor | None]:
        """Return (B, T, D) and, with ``weights``, (B, H, T, S) for the encoder's states (B, S, D)."""

        def read() -> tuple[Tensor, Tensor]:
            k, v = (split_heads(part, self.head_dim) for part in project(self.c_attn, memory).chunk(2, dim=-1))
            return k, v

        q = split_heads(project(self.q_attn, x), self.head_dim)  # (B, H, T, d)
        k, v = read() if kept is None else kept.crossed(read)  # (B, H, S, d)
        dropout = self.attn_dropout.p if self.training else 0.0
        out, shares = attend(q, k, v, mask, scale=self.scale, dropout=dropout, weights=weights)
        return self.resid_dropout(project(self.c_proj, merge_heads(out))), shares


class GPT2MLP(nn.Module):
    """The feed-forward."""

    def __init__(self, config: GPT2Config) -> None:
        super().__init__()
        inner = config.n_inner or 4 * config.n_embd
        self.c_fc = Conv1D(inner, config.n_embd)
        self.c_proj = Conv1D(config.n_embd, inner)
        self.act = activation(config.activation_function)
        self.dropout = nn.Dropout(config.resid_pdrop)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, T, D) for (B, T, D)."""
        x = project(self.c_proj, project(self.c_fc, x, self.act))
        return self.dropout(x) if self.training else x


class GPT2Block(nn.Module):
    """One layer: attention, to an encoder too where there is one, then feed-forward, each normalised before."""

    def __init__(self, config: GPT2Config, index: int) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)
        self.attn = GPT2Attention(config, index)
        self.ln_2 = nn.LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)
        if config.add_cross_attention:
            self.crossattention = GPT2CrossAttention(config, self.attn.scale)
            self.ln_cross_attn = nn.LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)
        self.mlp = GPT2MLP(config)

    def parts(self) -> Parts | None:
        """Return what the layer is made of, or None where a relative computes otherwise."""
        attn, mlp = self.attn, self.mlp
        if type(self) is not GPT2Block or type(attn) is not GPT2Attention or type(mlp) is not GPT2MLP:
            return None
        inputs = (attn.c_attn,)
        return Parts(
            self.ln_1, self.ln_2, inputs, attn.c_proj, None, mlp.c_fc, mlp.c_proj, mlp.act, attn.head_dim, attn.scale
        )

    def sight(
        self, mask: Tensor | None, causal: bool, memory: Tensor | None, memory_mask: Tensor | None
    ) -> tuple[Tensor | None, None] | None:
        """Return the mask among what the layer is given beside the states, and no angles; None beside an encoder."""
        return (mask, None) if memory is None else None

    def forward(
        self,
        x: Tensor,
        mask: Tensor | None,
        causal: bool,
        memory: Tensor | None,
        memory_mask: Tensor | None,
        kept: Any,
        weights: Manner,
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Return (B, T, D) and, with ``weights``, the attention weights to the text and to ``memory`` (B, S, D)."""
        own, crossed = (kept.own if isinstance(kept, EncoderDecoderLayer) else kept), None
        attended, shares = self.attn(self.ln_1(x), mask, causal, own, weights)
        x = x + attended
        if memory is not None:
            found, crossed = self.crossattention(self.ln_cross_attn(x), memory, memory_mask, kept, weights)
            x = x + found
        return x + self.mlp(self.ln_2(x)), shares, crossed


class GPT2PreTrainedModel(PreTrainedModel):
    """What all GPT-2 models share."""

    config_class = GPT2Config
    base_model_prefix = "transformer"
    _supports_sdpa = True
    _no_split_modules = ["GPT2Block"]
    # causal triangles that old checkpoints stored as buffers
    _keys_to_ignore_on_load_unexpected = [r"attn\.bias$", r"attn\.masked_bias$"]

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, GPT2Attention | GPT2CrossAttention | GPT2MLP):
            # Projections into the residual stream are drawn smaller, by the root of their number (paper, section 2.3).
            module.c_proj.weight.normal_(0.0, self.config.initializer_range / (2 * self.config.n_layer) ** 0.5)


class GPT2Model(GPT2PreTrainedModel):
    """GPT-2 without a head."""

    _input_embed_layer = "wte"

    def __init__(self, config: GPT2Config) -> None:
        super().__init__(config)
        self.wte = nn.Embedding(config.vocab_size, config.n_embd)
        self.wpe = Positions(config.n_positions, config.n_embd)
        self.drop = nn.Dropout(config.embd_pdrop)
        self.h = nn.ModuleList(GPT2Block(config, index) for index in range(config.n_layer))
        self.ln_f = nn.LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor | None = None,
        past_key_values: Cache | Any | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        encoder_hidden_states: Tensor | None = None,
        encoder_attention_mask: Tensor | None = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        **_: Any,
    ) -> Any:
        """Return the states of every token.

        Args:
            input_ids: (B, T).
            past_key_values: keys and values of the tokens before.
            attention_mask: (B, S), 1 for a token, 0 for padding; the past included.
            token_type_ids: (B, T), tokens whose embeddings are added.
            position_ids: (B | 1, T); counted on from the past by default.
            inputs_embeds: (B, T, D), instead of ``input_ids``.
            encoder_hidden_states: (B, S, D), what a model with ``config.add_cross_attention`` looks at too.
            encoder_attention_mask: (B, S), 1 for a state, 0 for padding.
            use_cache: return the cache; ``config.use_cache`` by default.
            output_attentions: return the attention weights.
            output_hidden_states: return the states between the layers.
            return_dict: False returns a tuple.
        """
        config = self.config
        x = self.wte(input_ids) if inputs_embeds is None else inputs_embeds
        length = x.shape[1]
        if encoder_hidden_states is not None and not config.add_cross_attention:
            raise EnfoldError("encoder_hidden_states need a model with config.add_cross_attention=True")
        cache = self.cache_for(past_key_values, use_cache, crossed=config.add_cross_attention)
        past = 0 if cache is None else cache.get_seq_length()
        keys = length if cache is None else cache.get_mask_sizes(length)[0]
        if position_ids is None:
            position_ids = (torch.arange(length, device=x.device) + past)[None]
        mask, causal = causal_mask(attention_mask, length, past, keys=keys, device=x.device)
        memory = (encoder_hidden_states, encoder_mask(encoder_attention_mask))
        record = self.recording(output_attentions, output_hidden_states)

        x = x + self.wpe(position_ids)
        if token_type_ids is not None:
            x = x + self.wte(token_type_ids)
        x = self.drop(x)
        x = self.ln_f(self.decode(self.h, x, record, mask, causal, *memory, cache=cache))
        record.finish(x)
        output = BaseModelOutputWithPastAndCrossAttentions(
            last_hidden_state=x,
            past_key_values=cache,
            hidden_states=record.hidden_states,
            attentions=record.attentions,
            cross_attentions=record.cross_attentions,
        )
        return as_asked(output, return_dict, config.return_dict)


class GPT2LMHeadModel(CausalLMHead, GPT2PreTrainedModel):
    """GPT-2 that continues a text.

    Example:
        >>> model = GPT2LMHeadModel(GPT2Config(vocab_size=9, n_embd=8, n_layer=1, n_head=2)).eval()
        >>> model.generate(torch.tensor([[1, 2]]), max_new_tokens=3, do_sample=False).shape
        torch.Size([1, 5])
    """

    output_class = CausalLMOutputWithCrossAttentions
    _tied_weights_keys = {"lm_head.weight": "transformer.wte.weight"}

    def __init__(self, config: GPT2Config) -> None:
        super().__init__(config)
        self.transformer = GPT2Model(config)
        self.lm_head = nn.Linear(config.n_embd, config.vocab_size, bias=False)
        self.post_init()

    def forward(  # type: ignore[override]
        self,
        input_ids: Tensor | None = None,
        past_key_values: Any = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        encoder_hidden_states: Tensor | None = None,
        encoder_attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | Tensor = 0,
        num_items_in_batch: Tensor | int | None = None,
        return_dict: bool | None = None,
        **extra: Any,
    ) -> Any:
        """Return next-token logits (B, T, V); ``labels`` (B, T) are the input ids, or -100."""
        states = self.transformer(
            input_ids,
            past_key_values=past_key_values,
            attention_mask=attention_mask,
            token_type_ids=token_type_ids,
            position_ids=position_ids,
            inputs_embeds=inputs_embeds,
            encoder_hidden_states=encoder_hidden_states,
            encoder_attention_mask=encoder_attention_mask,
            use_cache=use_cache,
            return_dict=True,
            **extra,
        )
        crossed = states.get("cross_attentions")
        return self.continued(states, labels, logits_to_keep, num_items_in_batch, return_dict, cross_attentions=crossed)


@dataclass
class GPT2DoubleHeadsModelOutput(ModelOutput):
    """Next-token logits (…, T, V), and for each text how well it fits: mc_logits (…)."""

    loss: Tensor | None = None
    mc_loss: Tensor | None = None
    logits: Tensor | None = None
    mc_logits: Tensor | None = None
    past_key_values: Cache | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None


class GPT2SequenceSummary(nn.Module):
    """One number, or one vector, for a text.

    Args:
        config: ``summary_type`` is ``"cls_index"`` (the state of a given token), ``"last"``, ``"first"`` or ``"mean"``.
    """

    def __init__(self, config: GPT2Config) -> None:
        super().__init__()
        if config.summary_type not in ("cls_index", "last", "first", "mean"):
            raise EnfoldError(f"summary_type is cls_index, last, first or mean, not {config.summary_type!r}")
        self.kind = config.summary_type
        width = config.num_labels if config.summary_proj_to_labels and config.num_labels else config.n_embd
        self.summary = nn.Linear(config.n_embd, width) if config.summary_use_proj else nn.Identity()
        self.activation = activation(config.summary_activation) if config.summary_activation else nn.Identity()
        self.first_dropout = nn.Dropout(config.summary_first_dropout)

    def forward(self, x: Tensor, place: Tensor) -> Tensor:
        """Return (N, C) for states (N, T, D); ``place`` (N,) is the token that counts, for ``"cls_index"``."""
        if self.kind == "mean":
            one = x.mean(1)
        elif self.kind == "cls_index":
            one = x[torch.arange(x.shape[0], device=x.device), place]
        else:
            one = x[:, 0 if self.kind == "first" else -1]
        return self.activation(self.summary(self.first_dropout(one)))


class GPT2DoubleHeadsModel(GPT2LMHeadModel):
    """GPT-2 that continues texts and says which of several fits."""

    def __init__(self, config: GPT2Config) -> None:
        config.num_labels = 1
        super().__init__(config)
        self.multiple_choice_head = GPT2SequenceSummary(config)
        self.post_init()

    def forward(  # type: ignore[override]
        self,
        input_ids: Tensor | None = None,
        past_key_values: Any = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        mc_token_ids: Tensor | None = None,
        labels: Tensor | None = None,
        mc_labels: Tensor | None = None,
        return_dict: bool | None = None,
        **extra: Any,
    ) -> Any:
        """Return next-token logits (B, choices, T, V) and how well each choice fits (B, choices).

        Args:
            input_ids: (B, choices, T), or (B, T): one text a row; masks, types and labels are shaped alike.
            past_key_values: keys and values of the tokens before.
            attention_mask: 1 for a token, 0 for padding; the past included.
            token_type_ids: embedded like words.
            position_ids: counted on from the past by default.
            inputs_embeds: (B, choices, T, D), instead of ``input_ids``.
            mc_token_ids: (B, choices), the token that speaks for its text; the last one by default.
            labels: the input ids, or -100.
            mc_labels: (B,), the choices that fit.
            return_dict: False returns a tuple.
            extra: further arguments of ``GPT2Model``.
        """
        embedded = inputs_embeds is not None
        given = inputs_embeds if inputs_embeds is not None else input_ids
        if given is None:
            raise EnfoldError("one of input_ids and inputs_embeds is needed")
        texts = given.shape[: -2 if embedded else -1]  # (B, choices)

        def rows(x: Tensor | None, axes: int = 1) -> Tensor | None:
            return None if x is None else x.reshape(-1, *x.shape[-axes:])

        states = self.transformer(
            rows(input_ids),
            past_key_values=past_key_values,
            attention_mask=rows(attention_mask),
            token_type_ids=rows(token_type_ids),
            position_ids=rows(position_ids),
            inputs_embeds=rows(inputs_embeds, 2),
            return_dict=True,
            **extra,
        )
        x = states.last_hidden_state  # (N, T, D), a row for each text
        logits = self.lm_head(x)
        last = torch.full(texts, x.shape[1] - 1, device=x.device) if mc_token_ids is None else mc_token_ids
        fits = self.multiple_choice_head(x, last.reshape(-1)).view(*texts, -1).squeeze(-1)
        between = states.hidden_states  # (N, T, D) each, but the last one as the texts are
        between = None if between is None else (*between[:-1], x.view(*texts, *x.shape[1:]))
        output = GPT2DoubleHeadsModelOutput(
            loss=None if labels is None else causal_lm_loss(logits, labels.reshape(logits.shape[:2])),
            mc_loss=None if mc_labels is None else token_loss(fits, mc_labels),
            logits=logits.view(*texts, *logits.shape[1:]),
            mc_logits=fits,
            past_key_values=states.past_key_values,
            hidden_states=between,
            attentions=states.attentions,
        )
        return as_asked(output, return_dict, self.config.return_dict)


class GPT2ForSequenceClassification(LastTokenClassificationHead, GPT2PreTrainedModel):
    """GPT-2 with one prediction a row, at its last token."""

    def __init__(self, config: GPT2Config) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        self.transformer = GPT2Model(config)
        self.score = nn.Linear(config.n_embd, config.num_labels, bias=False)
        self.post_init()

    def read(self, output: Any) -> Tensor:
        """Return logits (B, T, C)."""
        return self.score(output.last_hidden_state)


class GPT2ForTokenClassification(TokenClassificationHead, GPT2PreTrainedModel):
    """GPT-2 with one prediction a token."""

    def __init__(self, config: GPT2Config) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        drop = getattr(config, "classifier_dropout", None)
        drop = getattr(config, "hidden_dropout", None) if drop is None else drop
        self.transformer = GPT2Model(config)
        self.dropout = nn.Dropout(0.1 if drop is None else drop)
        self.classifier = nn.Linear(config.n_embd, config.num_labels)
        self.post_init()

    def read(self, output: Any) -> Tensor:
        """Return logits (B, T, C)."""
        return self.classifier(self.dropout(output.last_hidden_state))


class GPT2ForQuestionAnswering(QuestionAnsweringHead, GPT2PreTrainedModel):
    """GPT-2 that marks an answer in a text."""

    def __init__(self, config: GPT2Config) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        self.transformer = GPT2Model(config)
        self.qa_outputs = nn.Linear(config.n_embd, 2)
        self.post_init()

    def read(self, output: Any) -> Tensor:
        """Return logits (B, T, 2)."""
        return self.qa_outputs(output.last_hidden_state)
