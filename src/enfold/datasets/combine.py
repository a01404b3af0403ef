"""Putting datasets together: one after the other, side by side, or row by row in turn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from .dataset import Dataset
from .features.features import Features, to_arrow
from .fingerprint import combine
from .info import DatasetInfo
from .source import Source, TableSource, ZipSource, cast_table, chain
from .writer import widen

__all__ = ["concatenate_datasets", "interleave_datasets"]


def concatenate_datasets(
    dsets: Sequence[Dataset], info: DatasetInfo | None = None, split: str | None = None, axis: int = 0
) -> Dataset:
    """Return one dataset of several.

    Args:
        dsets: the datasets.
        info: what is known about the result.
        split: the result's split.
        axis: 0 puts their rows one after the other, 1 their columns side by side.

    Raises:
        ValueError: no dataset; columns whose types have nothing in common; different numbers of rows on axis 1.

    Example:
        >>> first, second = Dataset.from_dict({"a": [1]}), Dataset.from_dict({"a": [2]})
        >>> concatenate_datasets([first, second])["a"][:]
        [1, 2]
    """
    datasets = list(dsets)
    if not datasets:
        raise ValueError("there is no dataset to concatenate")
    if _is_stream(datasets[0]):
        from .streaming.combining import concatenate_streams

        return concatenate_streams(datasets, info, split, axis)  # type: ignore[return-value]
    for dataset in datasets:
        if not isinstance(dataset, Dataset):
            hint = "; take one of its splits" if isinstance(dataset, dict) else ""
            raise ValueError(f"expected datasets, got a {type(dataset).__name__}{hint}")
    made = _below(datasets) if axis == 0 else _beside(datasets)
    if info is not None:
        features = made.features
        made._info = info.copy()
        made._info.features = features
    if split is not None:
        from .splits import NamedSplit

        made._split = NamedSplit(split)
    parts = datasets
    made._identity = lambda: combine("concatenate", axis, [part._fingerprint for part in parts])
    return made


def _is_stream(dataset: object) -> bool:
    return hasattr(dataset, "load_state_dict")


def _below(datasets: list[Dataset]) -> Dataset:
    features = Features()
    for dataset in datasets:
        for name, feature in dataset.features.items():
            if name not in features or pa.types.is_null(to_arrow(features[name])):
                features[name] = feature
                continue
            mine, other = to_arrow(features[name]), to_arrow(feature)
            if mine == other or pa.types.is_null(other):
                continue
            try:
                wide = widen(mine, other)
            except (pa.ArrowInvalid, pa.ArrowTypeError):
                raise ValueError(
                    f"column {name!r} is {features[name]!r} in one dataset and {feature!r} in another: "
                    "no type holds both"
                ) from None
            if wide != mine:
                features[name] = feature if wide == other else _feature(wide)
    schema = features.arrow_schema.remove_metadata()
    sources: list[Source] = []
    selections: list[np.ndarray] = []
    offset = 0
    selected = any(dataset._indices is not None for dataset in datasets)
    for dataset in datasets:
        source = dataset._source
        if not source.schema.remove_metadata().equals(schema):
            if isinstance(source, TableSource):
                source = TableSource(cast_table(source.table, schema), source.files)
            else:
                source = TableSource(cast_table(source.read(0, source.num_rows), schema), source.files)
        sources.append(source)
        if selected:
            rows = dataset._indices if dataset._indices is not None else np.arange(source.num_rows)
            selections.append(rows + offset)
            offset += source.num_rows
    made = datasets[0]._with(
        _source=chain(sources), _indices=np.concatenate(selections) if selected else None, features=features
    )
    if len({dataset.split for dataset in datasets}) > 1:
        made._split = None
    return made


def _feature(kind: pa.DataType) -> Any:
    from .features.features import from_arrow

    return from_arrow(kind)


def _beside(datasets: list[Dataset]) -> Dataset:
    rows = {len(dataset) for dataset in datasets}
    if len(rows) > 1:
        raise ValueError(f"side by side, datasets need one number of rows: {[len(dataset) for dataset in datasets]}")
    features = Features()
    for dataset in datasets:
        twice = [name for name in dataset.features if name in features]
        if twice:
            raise ValueError(f"the columns {twice} are in more than one of the datasets")
        features.update(dataset.features)
    flat = [dataset.flatten_indices() for dataset in datasets]
    return flat[0]._derived(ZipSource([dataset._source for dataset in flat]), features, None)


def interleave_datasets(
    datasets: Sequence[Dataset],
    probabilities: Sequence[float] | None = None,
    seed: int | None = None,
    info: DatasetInfo | None = None,
    split: str | None = None,
    stopping_strategy: str = "first_exhausted",
) -> Dataset:
    """Return one dataset whose rows are taken from several in turn.

    Args:
        datasets: the datasets.
        probabilities: how likely each is to give the next row; by turns where None.
        seed: of the draws.
        stopping_strategy: end at the first dataset without rows left (``"first_exhausted"``), or begin exhausted
            datasets again until every row was given (``"all_exhausted"``), or go on without them
            (``"all_exhausted_without_replacement"``).

    Raises:
        ValueError: an unknown strategy, or probabilities that do not fit.

    Example:
        >>> first, second = Dataset.from_dict({"a": [1, 2]}), Dataset.from_dict({"a": [10, 20]})
        >>> interleave_datasets([first, second])["a"][:]
        [1, 10, 2, 20]
    """
    if len(datasets) and _is_stream(datasets[0]):
        from .streaming.combining import interleave_streams

        return interleave_streams(  # type: ignore[return-value]
            datasets, probabilities, seed, info, split, stopping_strategy
        )
    strategies = ("first_exhausted", "all_exhausted", "all_exhausted_without_replacement")
    if stopping_strategy not in strategies:
        raise ValueError(f"stopping_strategy must be one of {strategies}, not {stopping_strategy!r}")
    parts = list(datasets)
    together = concatenate_datasets(parts, info=info, split=split)
    lengths = [len(part) for part in parts]
    starts = np.concatenate([[0], np.cumsum(lengths)])[:-1]
    if probabilities is not None and len(probabilities) != len(parts):
        raise ValueError(f"{len(probabilities)} probabilities for {len(parts)} datasets")
    given = [0] * len(parts)
    rows: list[int] = []
    turns = _turns(len(parts), probabilities, seed)
    done = [length == 0 for length in lengths]
    if any(done) and stopping_strategy == "first_exhausted":
        return together.select([])
    while not all(done):
        which = next(turns)
        if lengths[which] == 0 or (stopping_strategy == "all_exhausted_without_replacement" and done[which]):
            continue
        rows.append(int(starts[which]) + given[which] % lengths[which])
        given[which] += 1
        if given[which] >= lengths[which]:
            done[which] = True
            if stopping_strategy == "first_exhausted":
                break
    if stopping_strategy == "first_exhausted" and probabilities is None:
        # the round that the shortest dataset ends is given to its end where every dataset still has its row
        short = min(lengths)
        rows = (starts[None, :] + np.arange(short)[:, None]).reshape(-1).tolist()
    elif stopping_strategy == "all_exhausted" and probabilities is None:
        longest = max(lengths)
        rounds = np.arange(longest)[:, None] % np.array(lengths)[None, :]
        rows = (starts[None, :] + rounds).reshape(-1).tolist()
    return together.select(rows)


def _turns(count: int, probabilities: Sequence[float] | None, seed: int | None) -> Any:
    if probabilities is None:
        while True:
            yield from range(count)
    generator = np.random.default_rng(seed)
    while True:
        yield from (int(number) for number in generator.choice(count, size=1000, p=probabilities))
