"""Tiny models of Gemma, Mixtral and Falcon, and of GPT-2 beside an encoder."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from parity.architectures.decoders import ALL, SMALL, causal, every
from parity.architectures.first import GPT2
from parity.architectures.harness import Case, texts

GEMMA = {**SMALL, "head_dim": 10}
GEMMA2 = {**GEMMA, "num_hidden_layers": 3, "sliding_window": 4, "query_pre_attn_scalar": 7}
GEMMA3 = {**GEMMA2, "num_hidden_layers": 4, "layer_types": ["sliding_attention", "full_attention"] * 2}
MIXTRAL = {**SMALL, "intermediate_size": 36, "num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": None}
FALCON: dict[str, Any] = {
    "vocab_size": 99,
    "hidden_size": 36,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "max_position_embeddings": 24,
    "pad_token_id": 0,
    "bos_token_id": 97,
    "eos_token_id": 98,
    "initializer_range": 0.3,
}
NEW = {"new_decoder_architecture": True, "num_attention_heads": 6, "num_kv_heads": 2, "bias": True}
OLD = {"alibi": True, "multi_query": False, "parallel_attn": False, "bias": True}
# transformers' Falcon adds a mask of booleans to scores where attention weights are asked of a model with fused
# attention, so that tokens see the future, and alibi twice; "falcon-explicit" compares the weights.
TWICE = "-explicit/"
NESTED = {
    "full_attention": {"rope_type": "linear", "factor": 2.0, "rope_theta": 1000.0},
    "sliding_attention": {"rope_type": "default", "rope_theta": 100.0},
}


def beside(states: str) -> Callable[[str], dict[str, Any]]:
    """Return a text and the states of an encoder, with padding there too where ``states`` is ``"padded"``."""

    def inputs(padding: str) -> dict[str, Any]:
        import torch

        given = texts("words")(padding)
        draw = torch.Generator().manual_seed(3)
        given["encoder_hidden_states"] = torch.randn(3, 5, 36, generator=draw)
        if states == "padded":
            given["encoder_attention_mask"] = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [0, 1, 1, 1, 1]])
        return given

    return inputs


CASES: dict[str, Case] = {
    **every("Gemma", GEMMA, question=False),
    "gemma-untied": causal("Gemma", GEMMA, tie_word_embeddings=False, attention_bias=True, num_key_value_heads=1),
    **every("Gemma2", GEMMA2, question=False),
    "gemma2-unbound": causal("Gemma2", GEMMA2, final_logit_softcapping=None, attn_logit_softcapping=None)
    ._replace(paddings=("",)),
    "gemma3": Case("Gemma3TextModel", GEMMA3, texts(), ALL),
    "gemma3-causal": causal("Gemma3", GEMMA3),
    "gemma3-pattern": causal("Gemma3", {**GEMMA2, "sliding_window_pattern": 2}, rope_local_base_freq=50.0),
    "gemma3-angles": causal("Gemma3", GEMMA3, rope_parameters=NESTED, final_logit_softcapping=5.0),
    "gemma3-sequence": Case(
        "Gemma3TextForSequenceClassification", {**GEMMA3, "num_labels": 3}, texts("class"), ALL
    ),
    "gemma3-both-sides": Case(
        "Gemma3TextModel", {**GEMMA3, "use_bidirectional_attention": True, "use_cache": False}, texts(), ALL
    ),
    **every("Mixtral", MIXTRAL),
    "mixtral-routers": causal("Mixtral", MIXTRAL, output_router_logits=True, router_aux_loss_coef=0.5),
    "mixtral-window": causal("Mixtral", MIXTRAL, sliding_window=3, num_experts_per_tok=1, num_local_experts=2),
    **{name: case._replace(apart=TWICE) for name, case in {
        **every("Falcon", FALCON),
        "falcon-new": causal("Falcon", FALCON, **NEW),
        "falcon-new-one-norm": causal("Falcon", FALCON, **NEW, num_ln_in_parallel_attn=1),
        "falcon-old": causal("Falcon", FALCON, **OLD),
        "falcon-old-four-heads": causal("Falcon", FALCON, **{**OLD, "num_attention_heads": 4, "hidden_size": 40}),
        "falcon-own-keys": causal("Falcon", FALCON, multi_query=False, ffn_hidden_size=50, tie_word_embeddings=False),
    }.items()},
    "falcon-explicit": Case(
        "FalconModel", lambda library: library.FalconConfig(**FALCON, attn_implementation="eager"), texts(), ALL
    ),
    "gpt2-beside": Case("GPT2LMHeadModel", {**GPT2, "add_cross_attention": True}, beside("whole"), ALL),
    "gpt2-beside-padded": Case("GPT2Model", {**GPT2, "add_cross_attention": True}, beside("padded"), ALL),
}  # fmt: skip
