"""``concatenate_datasets`` and ``interleave_datasets`` of streams."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..features.features import Features
from ..info import DatasetInfo
from ..splits import NamedSplit
from .dataset import IterableDataset
from .mixing import STRATEGIES, Beside, Chain, Interleave
from .pieces import View
from .steps import Step, Tables

__all__ = ["concatenate_streams", "interleave_streams"]


def _parts(streams: Sequence[Any]) -> list[IterableDataset]:
    parts = list(streams)
    for part in parts:
        if not isinstance(part, IterableDataset):
            raise ValueError(
                f"streams go together with streams, not with a {type(part).__name__}; call to_iterable_dataset()"
            )
    return parts


def _made(
    parts: list[IterableDataset], step: Step, features: Features | None, info: DatasetInfo | None, split: str | None
) -> IterableDataset:
    nodes = {part._node for part in parts}
    if len(nodes) > 1:
        raise ValueError(
            "streams go together where all of them are split among machines in one way, or none is: "
            "call split_dataset_by_node on the result"
        )
    about = info.copy() if info is not None else parts[0].info.copy()
    about.features = features
    splits = {part.split for part in parts}
    name = NamedSplit(split) if split is not None else (splits.pop() if len(splits) == 1 else None)
    made = IterableDataset(step, about, name)
    forms = [part._format for part in parts]
    made._format = forms[0] if all(form == forms[0] for form in forms) else (None, {})
    made._node = nodes.pop()
    return made


def _aligned(parts: list[IterableDataset]) -> tuple[list[Step], Features | None]:
    """Return the steps with one set of columns, where what they are is known."""
    known = [part.features for part in parts]
    if any(features is None for features in known):
        return [part._step for part in parts], None
    columns: dict[str, Any] = {}
    for features in known:
        for name, feature in (features or {}).items():
            before = columns.get(name)
            if before is None or getattr(before, "dtype", None) == "null":
                columns[name] = feature
    together = Features(columns)
    steps = [
        part._step if part.features == together else Tables(part._step, "cast", together, View(part.features))
        for part in parts
    ]
    return steps, together


def concatenate_streams(
    streams: Sequence[Any], info: DatasetInfo | None = None, split: str | None = None, axis: int = 0
) -> IterableDataset:
    """Return one stream of several; see :func:`concatenate_datasets`."""
    parts = _parts(streams)
    if axis == 0:
        steps, features = _aligned(parts)
        return _made(parts, Chain(steps), features, info, split)
    together: dict[str, Any] = {}
    for part in parts:
        for name, feature in (part.features or {}).items():
            if name in together:
                raise ValueError(f"the column {name!r} is in more than one of the datasets")
            together[name] = feature
    known = Features(together) if all(part.features is not None for part in parts) else None
    return _made(parts, Beside([part._step for part in parts]), known, info, split)


def interleave_streams(
    streams: Sequence[Any],
    probabilities: Sequence[float] | None = None,
    seed: int | None = None,
    info: DatasetInfo | None = None,
    split: str | None = None,
    stopping_strategy: str = "first_exhausted",
) -> IterableDataset:
    """Return one stream whose rows are taken from several in turn; see :func:`interleave_datasets`."""
    parts = _parts(streams)
    if stopping_strategy not in STRATEGIES:
        raise ValueError(f"stopping_strategy must be one of {STRATEGIES}, not {stopping_strategy!r}")
    if probabilities is not None and len(probabilities) != len(parts):
        raise ValueError(f"{len(probabilities)} probabilities for {len(parts)} datasets")
    if seed is None:
        seed = int(np.random.default_rng().integers(0, 1 << 62))
    steps, features = _aligned(parts)
    return _made(parts, Interleave(steps, probabilities, seed, stopping_strategy), features, info, split)
