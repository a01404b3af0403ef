"""Mixtral (Jiang et al., 2024, "Mixtral of Experts"): Mistral whose feed-forwards are mixtures of experts."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from enfold.nn.activations import activation
from enfold.nn.attention import Manner
from enfold.nn.cache import Cache, CacheLayer
from enfold.nn.moe import balance_loss, choose, mix
from enfold.nn.norm import RMSNorm
from enfold.nn.outputs import ModelOutput
from enfold.nn.record import Record
from enfold.transformers.configs.mixtral import MixtralConfig
from enfold.transformers.heads import as_asked
from enfold.transformers.models.llama import Angles, LlamaAttention
from enfold.transformers.models.mistral import (
    MistralForCausalLM,
    MistralForQuestionAnswering,
    MistralForSequenceClassification,
    MistralForTokenClassification,
    MistralModel,
    MistralPreTrainedModel,
)
from enfold.transformers.outputs import MoeCausalLMOutputWithPast, MoeModelOutputWithPast

__all__ = [
    "MixtralConfig",
    "MixtralForCausalLM",
    "MixtralForQuestionAnswering",
    "MixtralForSequenceClassification",
    "MixtralForTokenClassification",
    "MixtralModel",
    "MixtralPreTrainedModel",
]


class MixtralExpert(nn.Module):
    """One expert: the gated feed-forward, its projections named as the files name them."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.w1 = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)  # gate
        self.w2 = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)  # down
        self.w3 = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)  # up
        self.act = activation(config.hidden_act)

    def forward(self, x: Tensor) -> Tensor:
        """Return (n, D) for (n, D)."""
        return self.w2(self.act(self.w1(x)) * self.w3(x))


class MixtralSparseMoeBlock(nn.Module):
    """A router and its experts."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.gate = nn.Linear(config.hidden_size, config.num_local_experts, bias=False)
        self.experts = nn.ModuleList(MixtralExpert(config) for _ in range(config.num_local_experts))
        self.top_k = config.num_experts_per_tok
        self.jitter = config.router_jitter_noise

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return (B, T, D) and the router's logits (B·T, E)."""
        if self.training and self.jitter > 0:
            x = x * torch.empty_like(x).uniform_(1.0 - self.jitter, 1.0 + self.jitter)
        tokens = x.flatten(0, 1)  # (B·T, D)
        logits = self.gate(tokens)
        shares, chosen = choose(logits, self.top_k)
        return mix(tokens, shares, chosen, list(self.experts)).view_as(x), logits


class MixtralDecoderLayer(nn.Module):
    """One layer: attention, then a mixture of experts, each normalised before."""

    def __init__(self, config: Any, index: int) -> None:
        super().__init__()
        self.self_attn = LlamaAttention(config, index)
        self.block_sparse_moe = MixtralSparseMoeBlock(config)
        self.input_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.post_attention_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)

    def forward(
        self, x: Tensor, angles: Angles, mask: Tensor | None, causal: bool, cache: CacheLayer | None, weights: Manner
    ) -> tuple[Tensor, Tensor | None, None, Tensor]:
        """Return (B, T, D), with ``weights`` the attention weights, None, and the router's logits."""
        attended, shares = self.self_attn(self.input_layernorm(x), angles, mask, causal, cache, weights)
        x = x + attended
        mixed, logits = self.block_sparse_moe(self.post_attention_layernorm(x))
        return x + mixed, shares, None, logits


class MixtralPreTrainedModel(MistralPreTrainedModel):
    """What all Mixtral models share."""

    config_class = MixtralConfig
    layer_class = MixtralDecoderLayer
    _no_split_modules = ["MixtralDecoderLayer"]


class MixtralModel(MistralModel, MixtralPreTrainedModel):
    """Mixtral without a head; ``output_router_logits`` returns what chose the experts."""

    def output(self, x: Tensor, cache: Cache | None, record: Record) -> ModelOutput:
        """Return the output for the last states (B, T, D)."""
        return MoeModelOutputWithPast(x, cache, record.hidden_states, record.attentions, record.router_logits)


MixtralPreTrainedModel.model_class = MixtralModel


class MixtralForCausalLM(MistralForCausalLM, MixtralPreTrainedModel):
    """Mixtral that continues a text; with ``output_router_logits`` the loss also asks for evenly used experts."""

    output_class = MoeCausalLMOutputWithPast

    def forward(  # type: ignore[override]
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Any = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        output_router_logits: bool | None = None,
        logits_to_keep: int | Tensor = 0,
        num_items_in_batch: Tensor | int | None = None,
        return_dict: bool | None = None,
        **extra: Any,
    ) -> Any:
        """Return next-token logits (B, T, V); arguments as Llama's, and ``output_router_logits``."""
        states = self.model(
            input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            inputs_embeds=inputs_embeds,
            use_cache=use_cache,
            output_router_logits=output_router_logits,
            return_dict=True,
            **extra,
        )
        config, routers, balance = self.config, states.get("router_logits"), None
        if routers:
            if attention_mask is not None:
                attention_mask = attention_mask[:, -states.last_hidden_state.shape[1] :]  # what a cache holds is past
            balance = balance_loss(routers, config.num_local_experts, config.num_experts_per_tok, attention_mask)
        output = self.continued(
            states, labels, logits_to_keep, num_items_in_batch, True, aux_loss=balance, router_logits=routers
        )
        if balance is not None and labels is not None:
            output.loss = output.loss + config.router_aux_loss_coef * balance
        return as_asked(output, return_dict, self.config.return_dict)


class MixtralForSequenceClassification(MistralForSequenceClassification, MixtralPreTrainedModel):
    """Mixtral with one prediction a row, at its last token."""


class MixtralForTokenClassification(MistralForTokenClassification, MixtralPreTrainedModel):
    """Mixtral with one prediction a token."""


class MixtralForQuestionAnswering(MistralForQuestionAnswering, MixtralPreTrainedModel):
    """Mixtral that marks an answer in a text."""
