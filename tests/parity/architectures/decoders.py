"""Tiny models of the decoders that are built on Llama: windows, shared keys, every kind of angles."""

from __future__ import annotations

from typing import Any

from parity.architectures.harness import Case, texts

ALL = ("", "right", "left")

SMALL: dict[str, Any] = {
    "vocab_size": 99,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 37,
    "max_position_embeddings": 24,
    "pad_token_id": 0,
    "bos_token_id": 97,
    "eos_token_id": 98,
    "initializer_range": 0.3,
}
MISTRAL = {**SMALL, "sliding_window": 4}
QWEN2 = {**SMALL, "use_sliding_window": True, "sliding_window": 3, "max_window_layers": 1}
QWEN3 = {**SMALL, "head_dim": 10}
SMOLLM3 = {**SMALL, "num_hidden_layers": 3, "no_rope_layer_interval": 2}
PHI3 = {**SMALL, "original_max_position_embeddings": 24}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 6, "rope_theta": 100.0}
LONG = {
    "rope_type": "longrope",
    "short_factor": [1.0, 1.1, 1.2, 1.3],
    "long_factor": [1.0, 2.0, 3.0, 4.0],
    "rope_theta": 10000.0,
}


def every(name: str, config: dict[str, Any], *, question: bool = True) -> dict[str, Case]:
    """Return a case for each head of a family."""
    kind = name.lower()
    cases = {
        kind: Case(f"{name}Model", config, texts(), ALL),
        f"{kind}-causal": Case(f"{name}ForCausalLM", config, texts("words"), ALL),
        f"{kind}-sequence": Case(f"{name}ForSequenceClassification", {**config, "num_labels": 3}, texts("class"), ALL),
        f"{kind}-token": Case(f"{name}ForTokenClassification", {**config, "num_labels": 3}, texts("tokens"), ALL),
    }
    if question:
        # A window full of padding is seen by padding alone, and this loss looks at padding too: nobody's numbers.
        paddings = ("",) if config.get("sliding_window") else ALL
        cases[f"{kind}-question"] = Case(f"{name}ForQuestionAnswering", config, texts("span"), paddings)
    return cases


def causal(name: str, config: dict[str, Any], **changed: Any) -> Case:
    """Return the case of a model that writes on, with some numbers changed."""
    return Case(f"{name}ForCausalLM", {**config, **changed}, texts("words"), ALL)


CASES: dict[str, Case] = {
    **every("Mistral", MISTRAL),
    "mistral-open": causal("Mistral", MISTRAL, sliding_window=None, head_dim=12, tie_word_embeddings=True),
    "mistral-yarn": causal("Mistral", MISTRAL, rope_parameters=YARN),
    "mistral-yarn-loose": causal("Mistral", MISTRAL, rope_parameters={**YARN, "truncate": False, "beta_fast": 8.0}),
    "mistral-yarn-scaled": causal("Mistral", MISTRAL, rope_scaling={**YARN, "mscale": 0.7, "mscale_all_dim": 1.3}),
    **every("Qwen2", QWEN2),
    "qwen2-open": causal("Qwen2", SMALL, use_sliding_window=False, tie_word_embeddings=True, num_key_value_heads=1),
    **every("Qwen3", QWEN3),
    "qwen3-window": causal("Qwen3", QWEN2, head_dim=8, attention_bias=True, max_window_layers=0),
    **every("SmolLM3", SMOLLM3),
    "smollm3-window": causal(
        "SmolLM3", SMOLLM3, use_sliding_window=True, sliding_window=3, attention_bias=True, mlp_bias=True,
        tie_word_embeddings=False,
    ),
    **every("Phi3", PHI3, question=False),
    "phi3-window": causal("Phi3", PHI3, sliding_window=4, tie_word_embeddings=True),
    "phi3-partial": causal("Phi3", PHI3, partial_rotary_factor=0.5),
    "phi3-long": causal("Phi3", PHI3, original_max_position_embeddings=6, rope_parameters=LONG),
    "phi3-short": causal("Phi3", PHI3, original_max_position_embeddings=12, rope_scaling=LONG),
}  # fmt: skip
