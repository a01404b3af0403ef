"""What a program is made of: plain values, no framework."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from enfold.nn.outputs import ModelOutput

__all__ = ["LEAST", "RANDOM", "DType", "Input", "Op", "Program", "Read", "Ref", "Result", "Spec", "mapped", "refs"]

# Operations that draw random numbers (attention does when its dropout is not zero).
RANDOM = ("aten.native_dropout", "aten.dropout", "aten.scaled_dot_product_attention")
LEAST = 2  # sizes 0 and 1 are special to the tracer: a program is made for others and serves 1 as well


class Ref(NamedTuple):
    """The value that an operation, or a read, has made."""

    name: str


class DType(NamedTuple):
    """A type of numbers by torch's name, ``"float32"``, ``"int64"``, ``"bool"``, ``"bfloat16"``."""

    name: str


class Spec(NamedTuple):
    """What is given: sizes (None where not known yet) and type."""

    shape: tuple[int | None, ...]
    dtype: str


class Input(NamedTuple):
    """What a program takes: each size is a number that must be met, or a symbol; equal symbols are equal sizes."""

    name: str
    shape: tuple[int | str, ...]
    dtype: str


class Read(NamedTuple):
    """Where a value comes from before the first operation: ``kind`` is parameter, buffer, constant or input."""

    kind: str
    name: str


@dataclass(frozen=True)
class Op:
    """One step: call ``target`` and call the result ``name``; ``last`` are values that nobody needs afterwards."""

    name: str
    target: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    last: tuple[str, ...] = ()


@dataclass(frozen=True)
class Program:
    """A model's computation for inputs of some names, ranks and types.

    Args:
        model: the class's name, for errors.
        inputs: in the order of the specs.
        reads: value → where it comes from; parameters, buffers, constants and inputs.
        constants: name → numpy array that the code made while it was exported.
        ops: the steps, in order.
        output: field → value, or nested tuples of values, as the model's output class has them.
        output_class: the class, made as ``output_class(**fields)``.
        updates: buffer → its new value after a run.
        bounds: symbol → (least, most); most is None where there is no limit.
    """

    model: str
    inputs: tuple[Input, ...]
    reads: Mapping[str, Read]
    constants: Mapping[str, Any]
    ops: tuple[Op, ...]
    output: Mapping[str, Any]
    output_class: type[ModelOutput]
    updates: Mapping[str, Ref] = field(default_factory=dict)
    bounds: Mapping[str, tuple[int, int | None]] = field(default_factory=dict)

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the weights that are read."""
        return tuple(dict.fromkeys(read.name for read in self.reads.values() if read.kind == "parameter"))

    @property
    def buffers(self) -> tuple[str, ...]:
        """Names of the buffers that are read."""
        return tuple(dict.fromkeys(read.name for read in self.reads.values() if read.kind == "buffer"))

    def fits(self, specs: Mapping[str, Spec]) -> bool:
        """Return whether inputs of these sizes can be run: names and ranks are taken for granted."""
        sizes: dict[str, int] = {}
        for given in self.inputs:
            for size, wanted in zip(specs[given.name].shape, given.shape, strict=True):
                if size is None:
                    continue
                if isinstance(wanted, int):
                    if size != wanted:
                        return False
                    continue
                least, most = self.bounds.get(wanted, (0, None))
                if size < (1 if least <= LEAST else least) or (most is not None and size > most):
                    return False
                if sizes.setdefault(wanted, size) != size:
                    return False
        return True


class Result(NamedTuple):
    """What a run gives: field → value, and buffer → new value."""

    output: dict[str, Any]
    updates: dict[str, Any]


def mapped(made: Any, change: Callable[[Any], Any]) -> Any:
    """Return a value, or nested tuples, lists and mappings of values, with each value changed."""
    if isinstance(made, Ref | DType):
        return change(made)
    if isinstance(made, tuple):
        return tuple(mapped(part, change) for part in made)
    if isinstance(made, list):
        return [mapped(part, change) for part in made]
    if isinstance(made, Mapping):
        return {name: mapped(part, change) for name, part in made.items()}
    return change(made)


def refs(made: Any) -> Iterator[str]:
    """Yield the names of the values that nested tuples, lists and mappings refer to."""
    if isinstance(made, Ref):
        yield made.name
    elif isinstance(made, DType):
        return
    elif isinstance(made, list | tuple):
        for part in made:
            yield from refs(part)
    elif isinstance(made, Mapping):
        for part in made.values():
            yield from refs(part)
