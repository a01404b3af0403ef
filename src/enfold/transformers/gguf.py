"""Models out of GGUF files: what the files call things, and how they lay out weights, as data.

Names are those that llama.cpp's converter writes (``gguf-py/gguf/constants.py``, ``convert_hf_to_gguf.py``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from enfold.checkpoints.gguf import GGUF
from enfold.errors import EnfoldError, nearest
from enfold.transformers.config import ConfigError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["config_of", "open_gguf", "weights_of"]

# key of the metadata, after the architecture → field of the configuration
FIELDS = {
    "block_count": "num_hidden_layers",
    "context_length": "max_position_embeddings",
    "embedding_length": "hidden_size",
    "feed_forward_length": "intermediate_size",
    "attention.head_count": "num_attention_heads",
    "attention.head_count_kv": "num_key_value_heads",
    "attention.layer_norm_rms_epsilon": "rms_norm_eps",
    "attention.layer_norm_epsilon": "layer_norm_epsilon",
    "attention.sliding_window": "sliding_window",
    "rope.freq_base": "rope_theta",
    "vocab_size": "vocab_size",
}
HEAD = {"attention.key_length": "head_dim"}
# tensor in the file → tensor in the model, without ``blk.N.`` and ``layers.N.``; outside layers, and in them
ENDS = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
LAYERS = "model.layers"
LLAMA = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
MIXTRAL = {**LLAMA, "ffn_gate_inp": "block_sparse_moe.gate"}
# Experts lie stacked in the file: its tensor → the projection of each expert.
EXPERTS = {"ffn_gate_exps": "w1", "ffn_down_exps": "w2", "ffn_up_exps": "w3"}
GEMMA2 = {
    **LLAMA,
    "ffn_norm": "pre_feedforward_layernorm",
    "post_attention_norm": "post_attention_layernorm",
    "post_ffw_norm": "post_feedforward_layernorm",
}
PHI3 = {**LLAMA, "attn_qkv": "self_attn.qkv_proj", "ffn_up": "mlp.gate_up_proj"}
GPT2 = {
    "attn_norm": "ln_1",
    "attn_qkv": "attn.c_attn",
    "attn_output": "attn.c_proj",
    "ffn_norm": "ln_2",
    "ffn_up": "mlp.c_fc",
    "ffn_down": "mlp.c_proj",
}
FALCON = {
    "attn_norm": "input_layernorm",
    "attn_qkv": "self_attention.query_key_value",
    "attn_output": "self_attention.dense",
    "ffn_up": "mlp.dense_h_to_4h",
    "ffn_down": "mlp.dense_4h_to_h",
}
FALCON_NEW = {**FALCON, "attn_norm": "ln_mlp", "attn_norm_2": "ln_attn"}


class Family(NamedTuple):
    """How the files of an architecture become a model's.

    Attributes:
        model_type: the model.
        layer: names within layers.
        layers, ends: the name of the list of layers, and names outside.
        fields: further keys of the metadata.
        turn: (name in the file, tensor, configuration) → the tensor as the model has it.
    """

    model_type: str
    layer: dict[str, str]
    layers: str = LAYERS
    ends: dict[str, str] = ENDS
    fields: dict[str, str] = {}
    turn: Callable[[str, Tensor, Any], Tensor] | None = None


def _paired(name: str, tensor: Tensor, config: Any) -> Tensor:
    """Undo the converter's order of queries and keys, in which the two numbers that turn together lie side by side."""
    heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}.get(name)
    if heads is None:
        return tensor
    return tensor.view(heads, -1, 2, *tensor.shape[1:]).transpose(1, 2).reshape(tensor.shape)


def _centered(name: str, tensor: Tensor, config: Any) -> Tensor:
    """Undo the converter's adding of one to the weights of norms."""
    return tensor - 1 if name.endswith("_norm") else tensor


def _input_first(name: str, tensor: Tensor, config: Any) -> Tensor:
    """Turn the weights of GPT-2's layers round: its own files hold inputs first."""
    return tensor.t().contiguous() if tensor.dim() == 2 and name in GPT2 else tensor


def _grouped(name: str, tensor: Tensor, config: Any) -> Tensor:
    """Put the keys and values of a group behind its queries again."""
    if name != "attn_qkv" or not config.new_decoder_architecture:
        return tensor
    shared, dim = config.num_kv_heads, config.head_dim
    parts = tensor.split([config.num_attention_heads * dim, shared * dim, shared * dim])
    rest = tensor.shape[1:]
    from torch import cat

    return cat([part.reshape(shared, -1, *rest) for part in parts], 1).reshape(tensor.shape)


CAPS = {"attn_logit_softcapping": "attn_logit_softcapping", "final_logit_softcapping": "final_logit_softcapping"}
FAMILIES: dict[str, Family] = {
    "llama": Family("llama", LLAMA, fields={"rope.dimension_count": "head_dim", **HEAD}, turn=_paired),
    "mistral": Family("mistral", LLAMA, fields={"rope.dimension_count": "head_dim", **HEAD}, turn=_paired),
    "mixtral": Family(
        "mixtral",
        MIXTRAL,
        fields={"expert_count": "num_local_experts", "expert_used_count": "num_experts_per_tok"},
        turn=_paired,
    ),
    "smollm3": Family("smollm3", LLAMA, turn=_paired),
    "qwen2": Family("qwen2", LLAMA),
    "qwen3": Family("qwen3", LLAMA, fields=HEAD),
    "phi3": Family("phi3", PHI3, fields={"rope.scaling.original_context_length": "original_max_position_embeddings"}),
    "gemma": Family("gemma", LLAMA, fields=HEAD, turn=_centered),
    "gemma2": Family("gemma2", GEMMA2, fields={**HEAD, **CAPS}, turn=_centered),
    "gemma3": Family("gemma3_text", GEMMA2, fields={**HEAD, **CAPS}, turn=_centered),
    "gpt2": Family(
        "gpt2",
        GPT2,
        "transformer.h",
        {
            "token_embd": "transformer.wte",
            "position_embd": "transformer.wpe",
            "output_norm": "transformer.ln_f",
            "output": "lm_head",
        },
        turn=_input_first,
    ),
    "falcon": Family(
        "falcon",
        FALCON,
        "transformer.h",
        {"token_embd": "transformer.word_embeddings", "output_norm": "transformer.ln_f", "output": "lm_head"},
        fields={"attention.head_count_kv": "num_kv_heads"},
        turn=_grouped,
    ),
}


def open_gguf(source: Any, name: str, **where: Any) -> GGUF:
    """Return the GGUF file ``name`` of a folder or repository; ``where`` as for every file of theirs."""
    from enfold.hub.fetch import find_file

    return GGUF(str(find_file(str(source), name, **where)))


def _family(file: GGUF) -> Family:
    name = file.metadata.get("general.architecture")
    if name == "llama" and file.metadata.get("llama.expert_count"):
        name = "mixtral"
    if name not in FAMILIES:
        hint = nearest(str(name), FAMILIES) or f"; these are: {', '.join(FAMILIES)}"
        raise ConfigError(f"{file.path} holds a model of the architecture {name!r}, which is not read here{hint}")
    return FAMILIES[name]


def config_of(file: GGUF) -> dict[str, Any]:
    """Return what a GGUF file says, as a ``config.json`` would.

    Raises:
        ConfigError: for an architecture that is not read here.
    """
    family, data = _family(file), file.metadata
    prefix = data["general.architecture"]
    state: dict[str, Any] = {"model_type": family.model_type}
    for key, field in {**FIELDS, **family.fields}.items():
        value = data.get(f"{prefix}.{key}")
        if value is not None:
            state[field] = _short(max(value) if isinstance(value, list) else value)
    state.setdefault(
        "vocab_size", len(data.get("tokenizer.ggml.tokens", ())) or file.tensors["token_embd.weight"].shape[0]
    )
    state["tie_word_embeddings"] = "output.weight" not in file.tensors
    for key, field in (("bos", "bos_token_id"), ("eos", "eos_token_id"), ("padding", "pad_token_id")):
        state[field] = data.get(f"tokenizer.ggml.{key}_token_id")
    if family.model_type == "falcon":
        state["new_decoder_architecture"] = "blk.0.attn_norm_2.weight" in file.tensors
    rope = _rope(file, prefix)
    if rope:
        state["rope_scaling"] = rope
    return state


def _short(value: Any) -> Any:
    """Return a number that was stored in single precision as it was meant: 1e-05, not 9.999999747378752e-06."""
    return float(f"{value:.7g}") if isinstance(value, float) else value


def _rope(file: GGUF, prefix: str) -> dict[str, Any]:
    """Return how positions beyond the trained length are reached, or nothing."""
    data = {key.removeprefix(f"{prefix}.rope.scaling."): value for key, value in file.metadata.items()}
    factors = [f"rope_factors_{kind}.weight" for kind in ("short", "long")]
    if factors[0] in file.tensors:  # Phi-3's two lists
        short, long = (file.tensor(name).tolist() for name in factors)
        return {"type": "longrope", "short_factor": short, "long_factor": long}
    if "rope_freqs.weight" in file.tensors:  # Llama 3's stretching, written out pair by pair
        stretch = file.tensor("rope_freqs.weight").tolist()
        return {"type": "longrope", "short_factor": stretch, "long_factor": stretch, "attention_factor": 1.0}
    kind = data.get("type")
    if kind not in ("linear", "yarn") or not data.get("factor"):
        return {}
    rope = {"type": kind, "factor": _short(data["factor"])}
    if data.get("original_context_length"):
        rope["original_max_position_embeddings"] = data["original_context_length"]
    return rope


def weights_of(file: GGUF, config: Any) -> dict[str, Tensor]:
    """Return a GGUF file's tensors under the model's names, as numbers, laid out as the model has them.

    Args:
        file: the file.
        config: the model's configuration.

    Raises:
        EnfoldError: for a tensor that the model has no place for.
    """
    family, found = _family(file), {}
    layer = FALCON_NEW if getattr(config, "new_decoder_architecture", False) else family.layer
    for name in file.tensors:
        match = re.fullmatch(r"(?:blk\.(\d+)\.)?([a-z_0-9]+)(\.\d+)?\.(weight|bias)", name)
        if match is None or match[2].startswith("rope_"):
            continue
        number, part, _, kind = match.groups()
        tensor = file.tensor(name)
        if number is not None and part in EXPERTS:
            for expert, weight in enumerate(tensor):
                found[f"{LAYERS}.{number}.block_sparse_moe.experts.{expert}.{EXPERTS[part]}.{kind}"] = weight
            continue
        place = _place(family.ends if number is None else layer, part, file, name)
        full = place if number is None else f"{family.layers}.{number}.{place}"
        found[f"{full}.{kind}"] = tensor if family.turn is None else family.turn(part, tensor, config)
    return found


def _place(table: Mapping[str, str], part: str, file: GGUF, name: str) -> str:
    if part not in table:
        raise EnfoldError(f"{file.path}: there is no place for {name}{nearest(part, table)}")
    return table[part]
