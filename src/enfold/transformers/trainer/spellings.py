"""Older and newer names of training arguments: one table, and the decorator that lets them be given, read and set."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from enfold.errors import nearest

__all__ = ["ALIASES", "IGNORED", "Spelling", "spelled"]


def _same(value: Any) -> Any:
    return value


class Spelling(NamedTuple):
    """Another name of an argument: the field, and how its value is turned there and back.

    ``turn`` may return None, which leaves the field alone.
    """

    field: str
    turn: Callable[[Any], Any] = _same
    back: Callable[[Any], Any] = _same


ALIASES: dict[str, Spelling] = {
    "evaluation_strategy": Spelling("eval_strategy"),
    "no_cuda": Spelling("use_cpu"),
    "per_gpu_train_batch_size": Spelling("per_device_train_batch_size"),
    "per_gpu_eval_batch_size": Spelling("per_device_eval_batch_size"),
    "group_by_length": Spelling(
        "train_sampling_strategy", lambda on: "group_by_length" if on else None, lambda how: how == "group_by_length"
    ),
    "adafactor": Spelling("optim", lambda on: "adafactor" if on else None, lambda name: name == "adafactor"),
    "push_to_hub_token": Spelling("hub_token"),
    "push_to_hub_model_id": Spelling("hub_model_id"),
    "include_inputs_for_metrics": Spelling(
        "include_for_metrics", lambda on: ["inputs"] if on else None, lambda names: "inputs" in names
    ),
    "include_tokens_per_second": Spelling(
        "include_num_input_tokens_seen", lambda on: "all" if on else None, lambda how: how != "no"
    ),
    "activation_checkpointing": Spelling("gradient_checkpointing"),
    "activation_checkpointing_kwargs": Spelling("gradient_checkpointing_kwargs"),
    "torchdynamo": Spelling("torch_compile_backend"),
    "lr_scheduler": Spelling("lr_scheduler_type"),
}

# Accepted without effect, with what they are unless given: they choose among back ends that do not exist here, or tune
# what needs no tuning.
IGNORED: dict[str, Any] = {
    "overwrite_output_dir": False,
    "half_precision_backend": "auto",
    "fp16_backend": "auto",
    "fp16_opt_level": "O1",
    "use_mps_device": False,
    "past_index": -1,
    "tpu_num_cores": None,
    "tpu_metrics_debug": False,
    "mp_parameters": "",
    "ray_scope": "last",
    "jit_mode_eval": False,
    "use_ipex": False,
    "use_legacy_prediction_loop": False,
    "xpu_backend": None,
    "sharded_ddp": "",
    "dispatch_batches": None,
    "split_batches": None,
    "push_to_hub_organization": None,
    "fsdp_min_num_params": 0,
    "fsdp_transformer_layer_cls_to_wrap": None,
}


def spelled(
    cls: type[Any] | None = None,
    *,
    aliases: Mapping[str, Spelling] | None = None,
    ignored: Mapping[str, Any] | None = None,
) -> Any:
    """Let a dataclass's fields be given, read and set under their other names.

    Args:
        cls: the dataclass; without it, the decorator is returned.
        aliases, ignored: rows beyond those of :data:`ALIASES` and :data:`IGNORED`.
    """
    if cls is None:
        return functools.partial(spelled, aliases=aliases, ignored=ignored)
    plain = cls.__init__
    other, without_effect = {**ALIASES, **(aliases or {})}, {**IGNORED, **(ignored or {})}

    @functools.wraps(plain)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        known = {item.name for item in dataclasses.fields(self)}
        self._given = frozenset(kwargs)
        for old in [name for name in kwargs if name not in known]:
            value = kwargs.pop(old)
            if old in other:
                name, turn, _ = other[old]
                turned = None if value is None else turn(value)
                if turned is not None:
                    kwargs.setdefault(name, turned)
            elif old in without_effect:
                setattr(self, old, value)
            else:
                names = [*known, *other, *without_effect]
                raise TypeError(f"{cls.__name__} has no argument {old!r}{nearest(old, names)}")
        plain(self, *args, **kwargs)

    cls.__init__ = __init__
    cls.other_names = staticmethod(other_names)
    for old, spelling in other.items():
        setattr(cls, old, _renamed(spelling))
    for old, value in without_effect.items():
        setattr(cls, old, value)
    return cls


def other_names() -> dict[str, tuple[str, bool]]:
    """Return each other name of an argument, the argument, and whether the other name takes a truth, for a parser."""
    renamed = {old: (spelling.field, spelling.turn is not _same) for old, spelling in ALIASES.items()}
    return renamed | {old: ("output_dir", isinstance(value, bool)) for old, value in IGNORED.items()}


def _renamed(spelling: Spelling) -> property:
    def write(self: Any, value: Any) -> None:
        turned = spelling.turn(value)
        if turned is not None:
            setattr(self, spelling.field, turned)

    return property(lambda self: spelling.back(getattr(self, spelling.field)), write)
