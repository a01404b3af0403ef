"""The adapters that both sides make. Uses only names that both have."""

from __future__ import annotations

from typing import Any

import torch

BASES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "bert": (
        "BertForSequenceClassification",
        "BertConfig",
        {
            "vocab_size": 50,
            "hidden_size": 16,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "intermediate_size": 32,
            "max_position_embeddings": 16,
            "num_labels": 3,
        },
    ),
    "gpt2": (
        "GPT2LMHeadModel",
        "GPT2Config",
        {
            "vocab_size": 50,
            "n_embd": 16,
            "n_layer": 2,
            "n_head": 2,
            "n_positions": 16,
            "bos_token_id": 1,
            "eos_token_id": 2,
        },
    ),
    "llama": (
        "LlamaForCausalLM",
        "LlamaConfig",
        {
            "vocab_size": 50,
            "hidden_size": 16,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "intermediate_size": 32,
            "max_position_embeddings": 16,
        },
    ),
}
# name → (base, configuration)
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "classifier": ("bert", {"task_type": "SEQ_CLS", "r": 4, "lora_alpha": 8, "lora_dropout": 0.1}),
    "everywhere": ("bert", {"task_type": "SEQ_CLS", "target_modules": "all-linear", "use_rslora": True}),
    "biases": ("bert", {"bias": "all", "target_modules": ["key"], "modules_to_save": ["pooler.dense"]}),
    "conv": ("gpt2", {"task_type": "CAUSAL_LM", "r": 4, "target_modules": ["c_attn", "c_proj", "wte"]}),
    "defaults": ("gpt2", {"task_type": "CAUSAL_LM"}),
    "regex": ("llama", {"task_type": "CAUSAL_LM", "target_modules": r".*layers\.1\..*(q_proj|up_proj)"}),
    "linear": ("llama", {"task_type": "CAUSAL_LM", "target_modules": "all-linear", "exclude_modules": ["down_proj"]}),
    "patterns": (
        "llama",
        {
            "task_type": "CAUSAL_LM",
            "target_modules": ["q_proj", "v_proj", "embed_tokens"],
            "rank_pattern": {"q_proj": 3},
            "alpha_pattern": {"layers.0.self_attn.v_proj": 32},
            "layers_to_transform": [1],
        },
    ),
}


def fill(model: Any, seed: int) -> None:
    """Give everything that trains values of its own, so that nothing is left at zero."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for _, parameter in sorted(model.named_parameters(), key=lambda item: item[0]):
            if parameter.requires_grad:
                parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.2)


def logits(model: Any) -> torch.Tensor:
    """Run a model on fixed ids."""
    ids = torch.randint(3, 50, (3, 9), generator=torch.Generator().manual_seed(1))
    model.eval()
    with torch.no_grad():
        return model(input_ids=ids).logits


def settings(folder: str) -> dict[str, Any]:
    """Read an adapter's configuration without what depends on the side."""
    import json
    import os

    with open(os.path.join(folder, "adapter_config.json"), encoding="utf-8") as file:
        values = json.load(file)
    if isinstance(values["target_modules"], list):
        values["target_modules"] = sorted(values["target_modules"])
    for name in ("auto_mapping", "base_model_name_or_path", "exclude_modules"):
        values.pop(name)
    return values
