"""What a model returns: a dictionary, a tuple and an object at once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from functools import partial
from typing import Any

import torch
from torch.utils import _pytree as pytree

__all__ = ["ModelOutput"]


class ModelOutput(OrderedDict):
    """Base of output dataclasses: ``out.logits``, ``out["logits"]``, ``out[0]`` and ``out[:2]``; None fields are
    absent from the dictionary and the tuple.

    Example:
        >>> from dataclasses import dataclass
        >>> @dataclass
        ... class Answer(ModelOutput):
        ...     loss: float | None = None
        ...     logits: float | None = None
        >>> out = Answer(logits=2.0)
        >>> out.logits, out["logits"], out[0], out.to_tuple(), out.loss
        (2.0, 2.0, 2.0, (2.0,), None)
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        pytree.register_pytree_node(
            cls,
            lambda output: (list(output.values()), list(output.keys())),
            partial(_unflatten, cls),
            serialized_type_name=f"{cls.__module__}.{cls.__qualname__}",
        )

    def __post_init__(self) -> None:
        names = [field.name for field in fields(self)]  # type: ignore[arg-type]
        if not names:
            return
        values = [getattr(self, name) for name in names]
        first = values[0]
        if isinstance(first, dict) and all(value is None for value in values[1:]):
            # Answer({"logits": …}): what generic code that rebuilds mappings does.
            object.__setattr__(self, names[0], None)
            for name, value in first.items():
                self[name] = value
            return
        for name, value in zip(names, values, strict=True):
            if value is not None:
                super().__setitem__(name, value)

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, str):
            return super().__getitem__(key)
        return self.to_tuple()[key]

    def __setattr__(self, name: str, value: Any) -> None:
        if value is not None and is_dataclass(self) and name in self:
            super().__setitem__(name, value)
        super().__setattr__(name, value)

    def __setitem__(self, key: str, value: Any) -> None:
        super().__setitem__(key, value)
        super().__setattr__(key, value)

    def __delitem__(self, key: str) -> None:
        raise TypeError(f"{type(self).__name__} does not lose fields; set {key!r} to a new value instead")

    def __iter__(self) -> Iterator[str]:
        return super().__iter__()

    def pop(self, *args: Any, **kwargs: Any) -> Any:
        """Raise TypeError: an output does not lose fields."""
        raise TypeError(f"{type(self).__name__} does not lose fields")

    def setdefault(self, *args: Any, **kwargs: Any) -> Any:
        """Raise TypeError: an output's fields are those of its class."""
        raise TypeError(f"{type(self).__name__} has no other fields than those of its class")

    def __reduce__(self) -> Any:
        return _rebuild, (type(self), dict(self))

    def to_tuple(self) -> tuple[Any, ...]:
        """Return the values that are not None, in the order of the fields."""
        return tuple(self.values())


def _unflatten(kind: type[ModelOutput], values: Any, names: Any) -> ModelOutput:
    return kind(**dict(zip(names, values, strict=True)))


def _rebuild(kind: type[ModelOutput], values: dict[str, Any]) -> ModelOutput:
    return kind(**values)


def detached(output: Any) -> Any:
    """Return ``output`` with every tensor in it detached from the graph."""
    return pytree.tree_map(lambda x: x.detach() if isinstance(x, torch.Tensor) else x, output)
