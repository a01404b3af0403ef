"""Which modules of a model an adapter goes into."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from enfold.errors import nearest
from enfold.peft.config import LoraConfig, TaskType

if TYPE_CHECKING:
    from torch import nn

__all__ = ["DEFAULT_TARGETS", "matches", "pattern_value", "resolve_targets"]

_QV = ["q_proj", "v_proj"]
_BERT = ["query", "value"]
_FUSED = ["query_key_value"]
_T5 = ["q", "v"]
_GPT2 = ["c_attn"]

# The attention projections that are adapted when the configuration does not say, by the model's `model_type`.
DEFAULT_TARGETS: dict[str, list[str]] = {
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
ALL_LINEAR = "all-linear"


def resolve_targets(config: LoraConfig, model: nn.Module) -> None:
    """Fill ``config.target_modules`` in place: the table's row for None, the layers' names for ``"all-linear"``.

    Raises:
        ValueError: nothing was given and the model's type has no row.
    """
    if config.target_modules is None:
        kind = model_type(model)
        if kind not in DEFAULT_TARGETS:
            known = nearest(kind, DEFAULT_TARGETS) if kind else ""
            raise ValueError(f"say which target_modules to adapt: there is no default for model type {kind!r}{known}")
        config.target_modules = set(DEFAULT_TARGETS[kind])
    elif isinstance(config.target_modules, str) and config.target_modules.lower() == ALL_LINEAR:
        config.target_modules = set(_linear_names(config, model))


def model_type(model: nn.Module) -> str | None:
    """Return the ``model_type`` of a model's configuration, or None."""
    settings = getattr(model, "config", None)
    if isinstance(settings, dict):
        return settings.get("model_type")
    return getattr(settings, "model_type", None)


def _linear_names(config: LoraConfig, model: nn.Module) -> Iterable[str]:
    from enfold.peft.lora import LoraLayer, is_linear

    head = _output_head(config, model)
    inside = {id(part) for module in model.modules() if isinstance(module, LoraLayer) for part in module.modules()}
    for name, module in model.named_modules():
        adapted = isinstance(module, LoraLayer)
        base = module.base_layer if adapted else module
        if is_linear(base) and module is not head and (adapted or id(module) not in inside):
            yield name


def _output_head(config: LoraConfig, model: nn.Module) -> Any:
    """The layer that all-linear leaves out: the language model's output, or the head of a classifier."""
    getter = getattr(model, "get_output_embeddings", None)
    head = getter() if getter is not None else None
    if head is None and config.task_type == TaskType.SEQ_CLS:
        head = next((getattr(model, name) for name in ("score", "classifier") if hasattr(model, name)), None)
    return head


def matches(config: LoraConfig, key: str) -> bool:
    """Say whether the module named ``key`` gets an adapter under ``config`` (whose targets are resolved)."""
    if _named(config.exclude_modules, key):
        return False
    for name in config.modules_to_save or ():
        if re.match(rf"(^|.*\.){re.escape(name)}($|\..*)", key):
            return False
    if not _named(config.target_modules, key):
        return False
    wanted = config.layers_to_transform
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
