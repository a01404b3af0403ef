"""Which modules of a model an adapter goes into."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from enfold.errors import nearest
from enfold.peft.config import TaskType

if TYPE_CHECKING:
    from torch import nn

__all__ = ["DEFAULT_TARGETS", "matches", "pattern_value", "resolve_targets"]

_QV = ["q_proj", "v_proj"]
_BERT = ["query", "value"]
_FUSED = ["query_key_value"]
_T5 = ["q", "v"]
_GPT2 = ["c_attn"]

# The attention projections that are adapted when the configuration does not say, by the model's `model_type`.
DEFAULT_TARGETS: dict[str, Any] = {
    **dict.fromkeys(["t5", "mt5"], _T5),
    **dict.fromkeys(["bart", "opt", "gptj", "gpt_neo", "llama", "llama4", "mistral", "mixtral", "stablelm"], _QV),
    **dict.fromkeys(["gemma", "gemma2", "gemma3_text", "qwen2", "qwen3", "smollm3", "phi3"], _QV),
    **dict.fromkeys(["bert", "roberta", "xlm-roberta", "electra", "layoutlm", "vit"], _BERT),
    **dict.fromkeys(["bloom", "gpt_neox", "chatglm", "falcon", "RefinedWebModel", "RefinedWeb"], _FUSED),
    **dict.fromkeys(["gpt2", "gpt_bigcode"], _GPT2),
    "distilbert": ["q_lin", "v_lin"],
    "blip-2": ["q", "v", "q_proj", "v_proj"],
    "deberta": ["in_proj"],
    "deberta-v2": ["query_proj", "value_proj"],
    "btlm": ["c_proj", "c_attn"],
    "codegen": ["qkv_proj"],
    "mpt": ["Wqkv"],
    "phi": ["q_proj", "v_proj", "fc1", "fc2"],
    "nemotron_h": ["q_proj", "k_proj", "v_proj", "o_proj"],
    "rwkv": ["key", "value", "receptance", "output"],
    "rwkv7": ["r_proj", "k_proj", "v_proj", "o_proj", "key", "value"],
}
DEFAULT_TARGETS["gemma4"] = r".*language_model\..*\.(q_proj|v_proj)"  # its other towers have such names too

_NORMS = ["input_layernorm", "post_attention_layernorm", "norm"]
_FOUR_NORMS = [*_NORMS[:2], "pre_feedforward_layernorm", "post_feedforward_layernorm", "norm"]
_PROJECTIONS = ["q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"]
_BLOCK = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
_T5_ALL = ["q", "k", "v", "o", "wi", "wo"]
_RANKED: dict[str, Any] = {
    **{kind: DEFAULT_TARGETS[kind] for kind in ["gpt2", "bloom", "gptj", "gpt_neox", "gpt_neo", "llama", "llama4"]},
    **{kind: DEFAULT_TARGETS[kind] for kind in ["bert", "gpt_bigcode", "deberta", "gemma", "gemma2", "gemma3_text"]},
    **{kind: DEFAULT_TARGETS[kind] for kind in ["gemma4", "qwen2", "qwen3", "nemotron_h"]},
    **dict.fromkeys(["bart", "opt"], _PROJECTIONS),
    "t5": _T5_ALL,
    "mt5": ["q", "k", "v", "o", "wi_0", "wi_1", "wo"],
    "roberta": ["query", "key", "value", "dense"],
    "deberta-v2": ["query_proj", "key_proj", "value_proj", "dense"],
}
_DOWN = ["k_proj", "v_proj", "down_proj"]
_QV_DOWN = ["q_proj", "v_proj", "down_proj"]
_FUSED_FOUR = ["query_key_value", "dense_4h_to_h"]
_MLP_OF_GPT2 = {kind: ["mlp.c_proj"] for kind in ["gpt2", "gpt_bigcode"]}
# Where a kind of adapter goes when its configuration does not say; kinds that are not here go where LoRA does.
TARGETS_BY_KIND: dict[str, dict[str, Any]] = {
    "ADALORA": _RANKED,
    "VBLORA": {**_RANKED, "roberta": _BERT},
    "IA3": {
        "t5": ["k", "v", "wo"],
        "mt5": ["k", "v", "wi_1"],
        "gpt2": ["c_attn", "mlp.c_proj"],
        "bloom": ["query_key_value", "mlp.dense_4h_to_h"],
        "roberta": ["key", "value", "output.dense"],
        "opt": ["q_proj", "k_proj", "fc2"],
        "gptj": ["q_proj", "v_proj", "fc_out"],
        "gpt_neo": ["q_proj", "v_proj", "c_proj"],
        "bart": ["q_proj", "v_proj", "fc2"],
        "gpt_bigcode": ["c_attn", "mlp.c_proj"],
        "llama": _DOWN,
        "mistral": _DOWN,
        "mixtral": ["k_proj", "v_proj", "w2"],
        "bert": ["key", "value", "output.dense"],
        "deberta-v2": ["key_proj", "value_proj", "output.dense"],
        "deberta": ["in_proj", "output.dense"],
        "phi": ["q_proj", "v_proj", "fc2"],
        **dict.fromkeys(["llama4", "gemma", "gemma2", "gemma3_text", "qwen2", "qwen3"], _QV_DOWN),
        **dict.fromkeys(["gpt_neox", "RefinedWebModel", "RefinedWeb", "falcon"], _FUSED_FOUR),
    },
    "LN_TUNING": {
        **dict.fromkeys(["llama", "mistral", "gemma"], _NORMS),
        **dict.fromkeys(["gemma2", "gemma3_text"], _FOUR_NORMS),
        **{kind: ["post_attention_layernorm"] for kind in ["qwen2", "qwen3"]},
        **{kind: ["input_layernorm", "post_attention_layernorm", "ln_f"] for kind in ["bloom", "falcon"]},
        **{kind: ["layer_norm", "final_layer_norm"] for kind in ["t5", "mt5"]},
        "llava": ["multi_modal_projector", *_NORMS, "embed_tokens", "lm_head"],
        "bart": ["self_attn_layer_norm", "encoder_attn_layer_norm", "final_layer_norm"],
        "gpt2": ["ln_1", "ln_2", "ln_f"],
        "gptj": ["ln_1", "ln_f"],
        "blip-2": ["layernorm", "LayerNorm", "final_layer_norm", "self_attn_layer_norm"],
        "phi": ["input_layernorm", "final_layernorm"],
    },
    "VERA": {**DEFAULT_TARGETS, "phi": _QV},
    "SHIRA": {**DEFAULT_TARGETS, "phi": _QV},
    "FOURIERFT": {**DEFAULT_TARGETS, **_MLP_OF_GPT2},
    "C3A": {**DEFAULT_TARGETS, **_MLP_OF_GPT2},
    "WAVEFT": {**DEFAULT_TARGETS, **_MLP_OF_GPT2},
    # every layer of a block
    "OSF": {
        **dict.fromkeys(["llama", "llama4", "mistral", "mixtral", "gemma", "gemma2", "gemma3_text"], _BLOCK),
        **dict.fromkeys(["qwen2", "qwen3", "smollm3", "phi"], _BLOCK),
        **dict.fromkeys(["bloom", "gpt_neox", "falcon"], _FUSED_FOUR),
        **{kind: ["c_attn", "c_proj"] for kind in ["gpt2", "gpt_bigcode"]},
        "opt": _PROJECTIONS,
        "gptj": [*_PROJECTIONS[:4], "fc_in", "fc_out"],
    },
    # the layers that end attention and feed-forward
    "BOTTLENECK": {
        **{kind: ["o_proj", "down_proj"] for kind in ["llama", "mistral", "gemma", "gemma2", "qwen2", "qwen3", "phi3"]},
        **{kind: ["output.dense"] for kind in ["bert", "roberta", "electra", "deberta-v2"]},
        **{kind: ["out_proj", "fc2"] for kind in ["bart", "opt"]},
        **{kind: ["dense", "dense_4h_to_h"] for kind in ["bloom", "gpt_neox", "falcon"]},
        "gpt2": ["c_proj"],
        "t5": ["o", "wo"],
        "distilbert": ["out_lin", "lin2"],
    },
}
# Which of the IA3 targets are feed-forwards, whose inputs are scaled.
FEED_FORWARDS: dict[str, list[str]] = {
    kind: [name for name in names if name not in {"k", "v", "wi_1", "k_proj", "v_proj", "q_proj", "key", "value"}]
    for kind, names in TARGETS_BY_KIND["IA3"].items()
}
for _kind, _names in FEED_FORWARDS.items():
    FEED_FORWARDS[_kind] = [name for name in _names if name not in {"c_attn", "query_key_value", "in_proj"}]
    FEED_FORWARDS[_kind] = [
        name for name in FEED_FORWARDS[_kind] if not name.endswith("y_proj") and name != "value_proj"
    ]
# What attention is called in models that adaption prompts go into.
ATTENTIONS = {"llama": "self_attn", "mistral": "self_attn", "gpt2": "attn"}
ALL_LINEAR = "all-linear"


def resolve_targets(config: Any, model: nn.Module) -> None:
    """Fill ``config.target_modules`` in place: the table's row for None, the layers' names for ``"all-linear"``.

    Raises:
        ValueError: nothing was given and the model's type has no row.
    """
    if config.target_modules is None:
        kind = model_type(model)
        if config.kind == "TRAINABLE_TOKENS":
            config.target_modules = _embedding(model)
            return
        table = TARGETS_BY_KIND.get(config.kind, DEFAULT_TARGETS)
        if kind not in table:
            known = nearest(kind, table) if kind else ""
            raise ValueError(f"say which target_modules to adapt: there is no default for model type {kind!r}{known}")
        row = table[kind]
        config.target_modules = row if isinstance(row, str) else set(row)
        if getattr(config, "use_adapterp", False):
            config.target_modules = {row[-1]}
    elif isinstance(config.target_modules, str) and config.target_modules.lower() == ALL_LINEAR:
        config.target_modules = set(_linear_names(config, model))
    if hasattr(config, "feedforward_modules") and config.feedforward_modules is None:
        kind = model_type(model)
        if kind not in FEED_FORWARDS:
            raise ValueError(f"say which feedforward_modules there are: there is no default for model type {kind!r}")
        config.feedforward_modules = set(FEED_FORWARDS[kind])


def _embedding(model: nn.Module) -> str:
    getter: Any = getattr(model, "get_input_embeddings", None)
    embedding = getter() if getter is not None else None
    return next((key for key, module in model.named_modules() if module is embedding), "embed_tokens")


def model_type(model: nn.Module) -> str | None:
    """Return the ``model_type`` of a model's configuration, or None."""
    settings = getattr(model, "config", None)
    if isinstance(settings, dict):
        return settings.get("model_type")
    return getattr(settings, "model_type", None)


def _linear_names(config: Any, model: nn.Module) -> Iterable[str]:
    from enfold.peft.layer import Adapted, AdapterLayer, is_linear

    head = _output_head(config, model)
    inside = {id(part) for module in model.modules() if isinstance(module, Adapted) for part in module.modules()}
    for name, module in model.named_modules():
        adapted = isinstance(module, AdapterLayer)
        base = module.get_base_layer() if isinstance(module, AdapterLayer) else module
        if is_linear(base) and module is not head and (adapted or id(module) not in inside):
            yield name


def _output_head(config: Any, model: nn.Module) -> Any:
    """The layer that all-linear leaves out: the language model's output, or the head of a classifier."""
    getter = getattr(model, "get_output_embeddings", None)
    head = getter() if getter is not None else None
    if head is None and config.task_type == TaskType.SEQ_CLS:
        head = next((getattr(model, name) for name in ("score", "classifier") if hasattr(model, name)), None)
    return head


def matches(config: Any, key: str) -> bool:
    """Say whether the module named ``key`` gets an adapter under ``config`` (whose targets are resolved)."""
    if _named(config.exclude_modules, key):
        return False
    for name in config.modules_to_save or ():
        if re.match(rf"(^|.*\.){re.escape(name)}($|\..*)", key):
            return False
    if not _named(config.target_modules, key):
        return False
    wanted = getattr(config, "layers_to_transform", None)
    if wanted is None or wanted == [] or key in (config.target_modules or ()):
        return True
    patterns = [config.layers_pattern] if isinstance(config.layers_pattern, str) else config.layers_pattern
    found = None
    for pattern in patterns or [r"[^.]*"]:
        # The first number in the name is the layer's index: later ones count experts and the like.
        found = re.match(rf"(?:^|.*?\.){pattern}\.(\d+)\.", key)
        if found:
            break
    return found is not None and int(found.group(1)) in ([wanted] if isinstance(wanted, int) else wanted)


def _named(names: Any, key: str) -> bool:
    if not names:
        return False
    if isinstance(names, str):
        return re.fullmatch(names, key) is not None
    return key in names or any(key.endswith(f".{name}") for name in names)


def pattern_value(patterns: dict[str, int], key: str, default: int) -> int:
    """Return the value of the first pattern that names the end of ``key``, or ``default``."""
    for pattern, value in patterns.items():
        if re.match(rf"(.*\.)?({pattern})$", key):
            return value
    return default
