"""What an alignment trainer is made of: a model by name, its tokenizer, adapters, a reference, rows with token ids."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import os
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

from enfold.errors import EnfoldError, nearest
from enfold.log import get_logger
from enfold.transformers.trainer.losses import bare_model

__all__ = [
    "AlignmentError",
    "create_model_from_path",
    "create_reference_model",
    "disable_dropout_in_model",
    "frozen_copy",
    "mapped",
    "use_adapter",
]

logger = get_logger(__name__)


class AlignmentError(ValueError, EnfoldError):
    """An alignment training cannot begin or go on: something it was given does not fit."""


def create_model_from_path(model_id: str, architecture: Any = None, **kwargs: Any) -> nn.Module:
    """Return a model by name, in float32 unless ``dtype`` says otherwise.

    Args:
        model_id: repository or folder.
        architecture: class to load it with; by default the one its configuration names.
        kwargs: for ``from_pretrained``.
    """
    import enfold.transformers as library

    dtype = kwargs.pop("torch_dtype", None) if "torch_dtype" in kwargs else kwargs.pop("dtype", "float32")
    if isinstance(dtype, str) and dtype != "auto":
        if not isinstance(getattr(torch, dtype, None), torch.dtype):
            known = ("auto", "bfloat16", "float16", "float32")
            raise AlignmentError(f"dtype is one of {', '.join(known)}, not {dtype!r}{nearest(dtype, known)}")
        dtype = getattr(torch, dtype)
    if architecture is None:
        config = library.AutoConfig.from_pretrained(
            model_id, **{name: kwargs[name] for name in ("revision", "trust_remote_code") if name in kwargs}
        )
        names = getattr(config, "architectures", None) or ["AutoModelForCausalLM"]
        architecture = getattr(library, names[0], library.AutoModelForCausalLM)
    return architecture.from_pretrained(model_id, dtype=dtype, **kwargs)  # type: ignore[no-any-return]


def name_of(model: Any) -> str:
    """Return what a model was loaded from, or its class's name."""
    if isinstance(model, str):
        return model
    return getattr(getattr(model, "config", None), "_name_or_path", None) or type(model).__name__


def settled(args: Any, kind: type[Any], model: Any, suffix: str) -> Any:
    """Return arguments of the trainer's own kind, made of none, or of plain training arguments."""
    if args is None:
        return kind(f"{os.path.basename(os.path.normpath(name_of(model)))}-{suffix}")
    if isinstance(args, kind):
        return args
    if not dataclasses.is_dataclass(args):
        raise AlignmentError(f"args is a {kind.__name__}, not {type(args).__name__}")
    own = {item.name for item in dataclasses.fields(kind) if item.init}
    given = {item.name: getattr(args, item.name) for item in dataclasses.fields(args)}
    return kind(**{name: value for name, value in given.items() if name in own})


def tokenizer_of(model: nn.Module, args: Any) -> Any:
    """Return the tokenizer or processor that a model was saved with."""
    from enfold.transformers import AutoProcessor, AutoTokenizer

    name = name_of(model)
    options = {"trust_remote_code": args.trust_remote_code}
    revision = (args.model_init_kwargs or {}).get("revision")
    if revision is not None:
        options["revision"] = revision
    with contextlib.suppress(OSError, ValueError, KeyError):
        return AutoTokenizer.from_pretrained(name, **options)
    return AutoProcessor.from_pretrained(name, **options)


def settle_tokens(tokenizer: Any, model: nn.Module, args: Any) -> None:
    """Give a tokenizer and its model the tokens that the arguments name, and one to pad with."""
    for name in ("pad_token", "eos_token"):
        token = getattr(args, name, None)
        if token is not None:
            if token not in tokenizer.get_vocab():
                hint = nearest(token, tokenizer.get_vocab()) if len(tokenizer.get_vocab()) < 10_000 else ""
                raise AlignmentError(f"{name} {token!r} is not in the tokenizer's vocabulary{hint}")
            setattr(tokenizer, name, token)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    inner: Any = bare_model(model)
    if getattr(inner, "config", None) is None:
        return
    text = inner.config.get_text_config() if hasattr(inner.config, "get_text_config") else inner.config
    text.pad_token_id = tokenizer.pad_token_id
    if getattr(inner, "generation_config", None) is not None:
        inner.generation_config.pad_token_id = tokenizer.pad_token_id
    if getattr(args, "eos_token", None) is not None:
        text.eos_token_id = tokenizer.eos_token_id
        ends = getattr(inner.generation_config, "eos_token_id", None)
        ends = [ends] if isinstance(ends, int) else list(ends or [])
        if tokenizer.eos_token_id not in ends:
            inner.generation_config.eos_token_id = [tokenizer.eos_token_id, *ends]


def adapted(model: nn.Module, peft_config: Any, args: Any) -> nn.Module:
    """Return a model with a fresh adapter in it, or as it is without a configuration of one."""
    if peft_config is not None:
        from enfold.peft import PeftConfig, get_peft_model

        if not isinstance(peft_config, PeftConfig):
            raise AlignmentError(f"peft_config is a PeftConfig such as LoraConfig, not {type(peft_config).__name__}")
        if hasattr(model, "peft_config"):
            raise AlignmentError(
                "the model has an adapter already: merge it first (merge_and_unload), or give no peft_config to train "
                "the one it has"
            )
        model = get_peft_model(model, peft_config)
    if hasattr(model, "peft_config") and args.gradient_checkpointing:
        inner: Any = bare_model(model)
        inner.enable_input_require_grads()
    return model


def disable_dropout_in_model(model: nn.Module) -> None:
    """Set every dropout of a model to zero."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        for name in ("dropout", "attention_dropout"):
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, 0.0)


def frozen_copy(model: nn.Module) -> nn.Module:
    """Return a copy that does not learn."""
    return copy.deepcopy(model).eval().requires_grad_(False)


def create_reference_model(
    model: nn.Module, num_shared_layers: int | None = None, pattern: str | None = None
) -> nn.Module:
    """Return a frozen copy of a model, which may share its first layers with it.

    Args:
        model: the policy.
        num_shared_layers: layers, counted from the embedding, that both hold; these stop learning in the policy too.
        pattern: name of a layer's parameters with ``{layer}`` in it, e.g. ``"model.layers.{layer}"``; found by itself.

    Raises:
        AlignmentError: the model has no layers of that name.
    """
    if not num_shared_layers:
        return frozen_copy(model)
    names = [name for name, _ in model.named_parameters()]
    mark = f".{num_shared_layers}."
    if pattern is not None:
        mark = pattern.format(layer=num_shared_layers)
    first = next((index for index, name in enumerate(names) if mark in name), None)
    if first is None:
        raise AlignmentError(
            f"no parameter of {type(model).__name__} is called …{mark}…: it has {names[0]} to {names[-1]}"
        )
    shared = set(names[:first])
    for name, parameter in model.named_parameters():
        if name in shared:
            parameter.requires_grad = False
    held = {id(parameter): parameter for name, parameter in model.named_parameters() if name in shared}
    return copy.deepcopy(model, memo=dict(held)).eval().requires_grad_(False)  # type: ignore[arg-type]


@contextlib.contextmanager
def use_adapter(model: Any, adapter_name: str | None) -> Iterator[None]:
    """Use another adapter of a model inside the block, or none of them.

    Args:
        model: with adapters.
        adapter_name: the adapter; None computes as the base model does.
    """
    if adapter_name is None:
        with model.disable_adapter():
            yield
        return
    before = model.active_adapter
    learns = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    model.set_adapter(adapter_name)
    try:
        yield
    finally:
        model.set_adapter(before)
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(learns[name])


def as_dataset(rows: Any, trainer: str) -> Any:
    """Return rows as a data set: one with ``map`` as it is, a list of rows as a table."""
    if hasattr(rows, "map"):
        return rows
    if isinstance(rows, (list, tuple)) and rows and isinstance(rows[0], dict):
        from enfold.datasets import Dataset

        return Dataset.from_list(list(rows))
    raise AlignmentError(f"{trainer} takes a Dataset, a stream, or a list of rows, not {type(rows).__name__}")


def mapped(dataset: Any, function: Callable[..., Any], what: str, processes: int | None = None, **kwargs: Any) -> Any:
    """Return ``dataset.map(function)``, named ``what`` on the way; a stream is mapped as it is read."""
    if hasattr(dataset, "__len__"):
        kwargs |= {"num_proc": processes, "desc": what}
    return dataset.map(function, **kwargs)


def kept(dataset: Any, keeps: Callable[[dict[str, Any]], bool], what: str, processes: int | None = None) -> Any:
    """Return the rows of a data set that ``keeps`` says True of."""
    if not hasattr(dataset, "__len__"):
        return dataset.filter(keeps)
    left = dataset.filter(keeps, num_proc=processes, desc=what)
    if not len(left):
        raise AlignmentError(f"no row of the data set is left after {what}: look at max_length")
    return left
