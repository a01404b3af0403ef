"""Making programs of a torch model: exported when they are first needed, and kept."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from enfold.errors import EnfoldError
from enfold.transformers.frameworks.graph.program import LEAST, Program, Spec
from enfold.transformers.frameworks.graph.reading import program_of
from enfold.transformers.frameworks.graph.rewriting import hold_gradients, is_functional

__all__ = ["Programs", "export", "free_dimensions"]


class Programs:
    """The programs of one model, each exported when it is first needed.

    Args:
        model: one of our models; its weights are not copied, and its mode (training or evaluation) stays as it is.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self._known: dict[Any, list[Program]] = {}

    def fitting(
        self,
        specs: Mapping[str, Spec],
        *,
        train: bool = False,
        dynamic: Mapping[str, Sequence[int]] | None = None,
        **options: Any,
    ) -> Program:
        """Return a program for inputs.

        Args:
            specs: name of an argument of the model's ``forward`` → sizes and type.
            train: as in training: with dropout.
            dynamic: input → its dimensions that may change; by default see ``free_dimensions``.
            options: arguments that are no tensors, such as ``output_attentions=True``.

        Raises:
            EnfoldError: the model cannot be exported for these inputs.
        """
        ranks = tuple((name, len(spec.shape), _widened(spec.dtype)) for name, spec in sorted(specs.items()))
        key = (ranks, train, tuple(sorted(options.items())), _weights_type(self.model))
        known = self._known.setdefault(key, [])
        for program in known:
            if program.fits(specs):
                return program
        known.append(export(self.model, specs, train=train, dynamic=dynamic, **options))
        return known[-1]


def export(
    model: nn.Module,
    specs: Mapping[str, Spec],
    *,
    train: bool = False,
    dynamic: Mapping[str, Sequence[int]] | None = None,
    **options: Any,
) -> Program:
    """Return a model's program; arguments as ``Programs.fitting``, which keeps what this makes."""
    freed = {
        name: tuple(dynamic[name] if dynamic is not None and name in dynamic else free_dimensions(name, spec))
        for name, spec in specs.items()
    }
    shapes = _traced_shapes(specs, freed)
    inputs = {name: _example(shapes[name], specs[name].dtype, model) for name in specs}
    auto, fixed = torch.export.Dim.AUTO, torch.export.Dim.STATIC
    sizes = {
        name: {at: auto if at in freed[name] and shapes[name][at] >= LEAST else fixed for at in range(tensor.dim())}
        for name, tensor in inputs.items()
    }
    shell = _Shell(model, options)
    with _mode(model, train), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            exported = torch.export.export(shell, (inputs,), dynamic_shapes=(sizes,), strict=False)
            if not is_functional(exported.graph):
                hold_gradients(exported)
                exported = exported.run_decompositions({})
        except EnfoldError:
            raise
        except Exception as error:
            told = str(error).strip().splitlines()
            raise EnfoldError(
                f"{type(model).__name__} cannot be exported for {', '.join(specs)}: {told[0] if told else type(error)}"
            ) from error
    return program_of(model, specs, exported)


def free_dimensions(name: str, spec: Spec) -> Sequence[int]:
    """Return the dimensions that may change: all of words, masks, labels and sound; the batch of images and features;
    batch and length of embeddings and states.

    Example:
        >>> list(free_dimensions("pixel_values", Spec((1, 3, 224, 224), "float32")))
        [0]
    """
    rank = len(spec.shape)
    if name in ("pixel_mask", "bool_masked_pos") or (spec.dtype.startswith(("float", "bfloat")) and rank >= 3):
        return range(2) if name.endswith(("_embeds", "_hidden_states", "_outputs")) else range(min(1, rank))
    return range(rank)


class _Shell(nn.Module):
    """A model with plain tensors in and its output's fields out: no cache, no labels' side effects."""

    def __init__(self, model: nn.Module, options: Mapping[str, Any]) -> None:
        super().__init__()
        self.model = model
        self.options = dict(options)
        if "use_cache" in inspect.signature(model.forward).parameters:
            self.options.setdefault("use_cache", False)

    def forward(self, inputs: dict[str, Tensor]) -> Any:
        """Return the model's output."""
        return self.model(**inputs, **self.options, return_dict=True)


# What cannot be part of a program, or must not be: caches, and what is drawn in Python (masks, layers to leave out).
_OFF: dict[str, Any] = {
    "use_cache": False,
    "apply_spec_augment": False,
    "layerdrop": 0.0,
    "encoder_layerdrop": 0.0,
    "decoder_layerdrop": 0.0,
}


@contextmanager
def _mode(model: nn.Module, train: bool) -> Iterator[None]:
    """Put a model and all its parts into training or evaluation, without what is ``_OFF``, and back."""
    before = {part: part.training for part in model.modules()}
    configs = {id(part.config): part.config for part in model.modules() if hasattr(part, "config")}
    was_on = [
        (config, name, vars(config)[name]) for config in configs.values() for name in _OFF if name in vars(config)
    ]
    model.train(train)
    for config, name, _ in was_on:
        setattr(config, name, _OFF[name])
    try:
        yield
    finally:
        for part, was in before.items():
            part.training = was
        for config, name, value in was_on:
            setattr(config, name, value)


def _traced_shapes(specs: Mapping[str, Spec], freed: Mapping[str, Sequence[int]]) -> dict[str, tuple[int, ...]]:
    """Return the sizes to trace with: as given, but 2 for a free 1, and something for what is not known."""
    return {
        name: tuple(
            (2 if at == 0 else 6) if size is None else (LEAST if size == 1 and at in freed[name] else size)
            for at, size in enumerate(spec.shape)
        )
        for name, spec in specs.items()
    }


def _example(shape: Sequence[int], dtype: str, model: nn.Module) -> Tensor:
    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    return torch.ones(tuple(shape), dtype=getattr(torch, _widened(dtype)), device=device)


def _widened(dtype: str) -> str:
    return "int64" if dtype in ("int32", "int16", "int8", "uint8") else dtype


def _weights_type(model: nn.Module) -> str:
    first = next((parameter.dtype for parameter in model.parameters() if parameter.is_floating_point()), torch.float32)
    return str(first)
