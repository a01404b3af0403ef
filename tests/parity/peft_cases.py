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
            "max_position_embeddings": 32,
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
            "n_positions": 32,
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
            "max_position_embeddings": 32,
        },
    ),
    "t5": (
        "T5ForConditionalGeneration",
        "T5Config",
        {
            "vocab_size": 50,
            "d_model": 16,
            "d_kv": 8,
            "d_ff": 32,
            "num_layers": 2,
            "num_heads": 2,
            "decoder_start_token_id": 0,
            "pad_token_id": 0,
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

_QV = {"task_type": "CAUSAL_LM", "target_modules": ["q_proj", "v_proj"]}
_CLS = {"task_type": "SEQ_CLS", "target_modules": ["query", "value"]}
_LM = {"task_type": "CAUSAL_LM"}
# name → (base, configuration class, configuration): every kind of adapter, and what its forward depends on
METHODS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "lora-dora": ("llama", "LoraConfig", {**_QV, "use_dora": True, "r": 4}),
    "lora-dora-conv1d": ("gpt2", "LoraConfig", {**_LM, "use_dora": True, "r": 4, "target_modules": ["c_attn", "wte"]}),
    "lora-bias": ("bert", "LoraConfig", {**_CLS, "lora_bias": True, "r": 4}),
    "lora-tokens": ("llama", "LoraConfig", {**_QV, "trainable_token_indices": [3, 7, 12]}),
    "lora-tokens-tied": ("gpt2", "LoraConfig", {**_LM, "trainable_token_indices": {"wte": [3, 7]}}),
    "lora-pissa": ("llama", "LoraConfig", {**_QV, "init_lora_weights": "pissa", "r": 4}),
    "lora-olora": ("llama", "LoraConfig", {**_QV, "init_lora_weights": "olora", "r": 4}),
    "lora-mica": ("llama", "LoraConfig", {**_QV, "init_lora_weights": "mica", "r": 4}),
    "lora-orthogonal": ("llama", "LoraConfig", {**_QV, "init_lora_weights": "orthogonal", "r": 4}),
    "adalora": ("llama", "AdaLoraConfig", {**_QV, "total_step": 10, "init_r": 6, "target_r": 3}),
    "adalora-conv1d": ("gpt2", "AdaLoraConfig", {**_LM, "total_step": 10}),
    "ia3": ("llama", "IA3Config", _LM),
    "ia3-classifier": ("bert", "IA3Config", {"task_type": "SEQ_CLS"}),
    "ia3-conv1d": ("gpt2", "IA3Config", _LM),
    "loha": ("llama", "LoHaConfig", {**_QV, "r": 4, "alpha_pattern": {"q_proj": 16}}),
    "lokr": ("llama", "LoKrConfig", {**_QV, "r": 1}),
    "lokr-both": ("bert", "LoKrConfig", {**_CLS, "r": 1, "decompose_both": True, "decompose_factor": 4}),
    "lokr-lycoris": ("llama", "LoKrConfig", {**_QV, "r": 2, "init_weights": "lycoris"}),
    "oft": ("llama", "OFTConfig", {**_QV, "oft_block_size": 4}),
    "oft-exact": ("bert", "OFTConfig", {**_CLS, "oft_block_size": 8, "use_cayley_neumann": False}),
    "oft-shared": ("llama", "OFTConfig", {**_QV, "oft_block_size": 4, "block_share": True, "coft": True, "eps": 0.1}),
    "boft": ("llama", "BOFTConfig", {**_QV, "boft_block_size": 4}),
    "boft-blocks": ("bert", "BOFTConfig", {**_CLS, "boft_block_size": 0, "boft_block_num": 2}),
    "hira": ("llama", "HiraConfig", {**_QV, "r": 4}),
    "hira-embedding": (
        "gpt2",
        "HiraConfig",
        {**_LM, "r": 4, "init_weights": "gaussian", "fan_in_fan_out": True, "target_modules": ["c_attn", "wte"]},
    ),
    "delora": ("llama", "DeloraConfig", {**_QV, "r": 4, "lambda_pattern": {"q_proj": 7}}),
    "road": ("llama", "RoadConfig", {**_QV, "group_size": 4}),
    "road-2": ("bert", "RoadConfig", {**_CLS, "group_size": 8, "variant": "road_2"}),
    "road-4": ("llama", "RoadConfig", {**_QV, "group_size": 8, "variant": "road_4"}),
    "hra": ("llama", "HRAConfig", {**_QV, "r": 4}),
    "hra-gs": ("bert", "HRAConfig", {**_CLS, "r": 3, "apply_GS": True}),
    "vera": ("llama", "VeraConfig", {**_QV, "r": 8}),
    "vera-unsaved": ("bert", "VeraConfig", {**_CLS, "r": 8, "save_projection": False}),
    "fourierft": ("llama", "FourierFTConfig", {**_QV, "n_frequency": 20}),
    "fourierft-conv1d": ("gpt2", "FourierFTConfig", {**_LM, "n_frequency": 30, "init_weights": True}),
    "ln-tuning": ("llama", "LNTuningConfig", _LM),
    "ln-tuning-gpt2": ("gpt2", "LNTuningConfig", _LM),
    "randlora": ("llama", "RandLoraConfig", {**_QV, "r": 6}),
    "randlora-shapes": (
        "llama",
        "RandLoraConfig",
        {**_LM, "r": 4, "sparse": True, "target_modules": ["up_proj", "down_proj"], "randlora_alpha": 8},
    ),
    "randlora-unsaved": ("bert", "RandLoraConfig", {**_CLS, "r": 4, "save_projection": False, "very_sparse": True}),
    "shira": ("llama", "ShiraConfig", {**_QV, "r": 2}),
    "shira-seed": ("bert", "ShiraConfig", {**_CLS, "r": 3, "random_seed": 4}),
    "waveft": ("llama", "WaveFTConfig", {**_QV, "n_frequency": 30}),
    "waveft-db3": (
        "gpt2",
        "WaveFTConfig",
        {**_LM, "n_frequency": 30, "wavelet_family": "db3", "fan_in_fan_out": True, "target_modules": ["c_attn"]},
    ),
    "waveft-shares": (
        "llama",
        "WaveFTConfig",
        {**_LM, "n_frequency": 30, "proportional_parameters": True, "target_modules": ["q_proj", "up_proj"]},
    ),
    "waveft-plain": ("bert", "WaveFTConfig", {**_CLS, "n_frequency": 20, "use_idwt": False}),
    "gralora": ("llama", "GraloraConfig", {**_QV, "r": 4}),
    "gralora-hybrid": (
        "llama",
        "GraloraConfig",
        {**_LM, "r": 8, "gralora_k": 4, "hybrid_r": 2, "target_modules": ["up_proj", "down_proj"]},
    ),
    "psoft": ("llama", "PsoftConfig", {**_QV, "r": 6}),
    "psoft-free": ("bert", "PsoftConfig", {**_CLS, "r": 4, "psoft_orth": False, "ab_svd_init": "pissa_init"}),
    "psoft-series": (
        "llama",
        "PsoftConfig",
        {**_QV, "r": 4, "use_cayley_neumann": True, "cayley_neumann_eps": 0.5, "psoft_mag_a": False},
    ),
    "psoft-lowrank": ("llama", "PsoftConfig", {**_QV, "r": 4, "psoft_svd": "lowrank"}),
    "osf": ("llama", "OSFConfig", {**_LM, "effective_rank": 5, "target_modules": ["q_proj", "up_proj", "down_proj"]}),
    "osf-shares": (
        "bert",
        "OSFConfig",
        {**_CLS, "effective_rank": 0.25, "rank_pattern": {"layer.1.*value": 3}},
    ),
    "vblora": ("llama", "VBLoRAConfig", {**_QV, "num_vectors": 12, "vector_length": 4}),
    "c3a": ("llama", "C3AConfig", {**_QV, "block_size": 4}),
    "miss": ("llama", "MissConfig", {**_QV, "r": 6}),
    "miss-bat": ("llama", "MissConfig", {**_QV, "r": 4, "init_weights": "bat"}),
    "miss-mini": ("bert", "MissConfig", {**_CLS, "r": 4, "mini_r": 8, "init_weights": "mini"}),
    "tokens": ("gpt2", "TrainableTokensConfig", {**_LM, "token_indices": [4, 9]}),
    "cpt": (
        "llama",
        "CPTConfig",
        {**_LM, "cpt_token_ids": [5, 9, 4, 7, 8], "cpt_tokens_type_mask": [1, 2, 3, 4, 5]},
    ),
    "adaption-prompt": ("llama", "AdaptionPromptConfig", {**_LM, "adapter_len": 3, "adapter_layers": 1}),
    "adaption-prompt-gpt2": ("gpt2", "AdaptionPromptConfig", {**_LM, "adapter_len": 3, "adapter_layers": 2}),
    "prefix": ("llama", "PrefixTuningConfig", {**_LM, "num_virtual_tokens": 4}),
    "prefix-projected": ("gpt2", "PrefixTuningConfig", {**_LM, "num_virtual_tokens": 4, "prefix_projection": True}),
    "prompt": ("llama", "PromptTuningConfig", {**_LM, "num_virtual_tokens": 4}),
    "prompt-vocabulary": (
        "gpt2",
        "PromptTuningConfig",
        {**_LM, "num_virtual_tokens": 3, "prompt_tuning_init": "SAMPLE_VOCAB"},
    ),
    "prompt-classifier": ("bert", "PromptTuningConfig", {"task_type": "SEQ_CLS", "num_virtual_tokens": 4}),
    "p-tuning": ("llama", "PromptEncoderConfig", {**_LM, "num_virtual_tokens": 4, "encoder_hidden_size": 8}),
    "p-tuning-lstm": (
        "gpt2",
        "PromptEncoderConfig",
        {**_LM, "num_virtual_tokens": 4, "encoder_reparameterization_type": "LSTM"},
    ),
    "prompt-seq2seq": ("t5", "PromptTuningConfig", {"task_type": "SEQ_2_SEQ_LM", "num_virtual_tokens": 4}),
    "prefix-seq2seq": ("t5", "PrefixTuningConfig", {"task_type": "SEQ_2_SEQ_LM", "num_virtual_tokens": 4}),
}
WITHOUT_MERGE = ("adaption", "cpt", "prefix", "prompt", "p-tuning")


def write_bases(transformers: Any, folder: Any) -> None:
    """Write the base models that both sides read."""
    torch.set_num_threads(1)
    for base, (kind, config, options) in BASES.items():
        torch.manual_seed(0)
        getattr(transformers, kind)(getattr(transformers, config)(**options)).save_pretrained(f"{folder}/{base}")


def load_base(transformers: Any, folder: Any, base: str) -> Any:
    """Read one of the base models."""
    return getattr(transformers, BASES[base][0]).from_pretrained(f"{folder}/{base}")


def gradients(model: Any) -> dict[str, torch.Tensor]:
    """Return name → gradient of all that trains, after one step back from fixed ids."""
    model.eval()
    model.zero_grad()
    _output(model).logits.square().mean().backward()
    found = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            parts = (
                name.replace("token_adapter.", "")
                .replace("magnitude_vector.default.weight", "magnitude_vector")
                .split(".")
            )
            parts = parts[-2:] if "vblora_vector_bank" in parts else parts  # one tensor, which has several names
            tail = [part for part in parts if part not in ("default", "model", "base_model", "transformer")]
            found[".".join(tail)] = parameter.grad
    return found


def _output(model: Any) -> Any:
    ids = torch.randint(3, 50, (3, 9), generator=torch.Generator().manual_seed(1))
    more = {"decoder_input_ids": ids[:, :5]} if model.config.is_encoder_decoder else {}
    return model(input_ids=ids, attention_mask=torch.ones_like(ids), **more)


def fill(model: Any, seed: int) -> None:
    """Give everything that trains values of its own, so that nothing is left at zero."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for _, parameter in sorted(model.named_parameters(), key=lambda item: item[0]):
            if parameter.requires_grad:
                parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.2)


def logits(model: Any) -> torch.Tensor:
    """Run a model on fixed ids."""
    model.eval()
    with torch.no_grad():
        return _output(model).logits


def settings(folder: str) -> dict[str, Any]:
    """Read an adapter's configuration without what depends on the side."""
    import json
    import os

    with open(os.path.join(folder, "adapter_config.json"), encoding="utf-8") as file:
        values = json.load(file)
    for name in ("target_modules", "feedforward_modules", "modules_to_save"):
        if isinstance(values.get(name), list):
            values[name] = sorted(set(values[name]))
    for name in ("auto_mapping", "base_model_name_or_path", "exclude_modules"):
        values.pop(name, None)
    return values
