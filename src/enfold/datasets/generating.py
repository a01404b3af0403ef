"""Rows that a generator function yields, written to Arrow files by one process or several."""

from __future__ import annotations

import functools
import glob
import os
import re
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from enfold.log import get_logger

from .features.features import Features
from .source import Source, TableSource, cast_table, chain, open_arrow
from .workers import in_processes
from .writer import TableWriter, widen

__all__ = ["generate", "generated"]

logger = get_logger(__name__)
# Rows that a generator yields between two writes.
_ROWS = 1000


def generated(path: str) -> tuple[Source, pa.Schema] | None:
    """Return the rows that an earlier call of :func:`generate` wrote, and their schema, or None."""
    if os.path.exists(path):
        table = open_arrow(path)
        return TableSource.mapped(path, table), table.schema
    stem = path.removesuffix(".arrow")
    for first in sorted(glob.glob(f"{glob.escape(stem)}-00000-of-*.arrow")):
        count = re.search(r"-of-(\d+)\.arrow$", first)
        files = _names(path, int(count[1])) if count else []
        if files and all(map(os.path.exists, files)):
            tables = [open_arrow(file) for file in files]
            return chain([TableSource.mapped(*pair) for pair in zip(files, tables, strict=True)]), tables[0].schema
    return None


def generate(
    generator: Callable[..., Iterable[Mapping[str, Any]]],
    arguments: Mapping[str, Any],
    features: Features | None,
    path: str | None,
    num_proc: int,
) -> tuple[Source, pa.Schema]:
    """Write the rows of a generator, and return them with their schema.

    Args:
        generator: the function; it yields dicts.
        arguments: its keyword arguments. With several processes, the items of the lists among them are shared out: each
            process calls the function with a run of them.
        features: the columns' kinds; inferred where None.
        path: the file; with several processes ``name.arrow`` becomes ``name-00000-of-00002.arrow`` and so on. The rows
            stay in memory where None.
        num_proc: the number of processes, at most as many as the lists have items.

    Raises:
        ValueError: several processes, and no list among the arguments or lists of different lengths.
        WorkerDiedError: a process ended before its items were done.
    """
    parts = _shared_out(arguments, num_proc) if num_proc > 1 else [dict(arguments)]
    schema = features.arrow_schema if features is not None else None
    if len(parts) == 1 or path is None:
        with TableWriter(path, schema) as writer:
            for part in parts:
                _write(generator, part, features, writer)
            source = writer.finish()
            assert writer.schema is not None
            return source, writer.schema
    targets = _names(path, len(parts))
    folder = f"{path}.{os.getpid()}.tmp"
    os.makedirs(folder)
    try:
        files = [os.path.join(folder, os.path.basename(target)) for target in targets]
        job = _Job(generator, parts, features, files)
        found = in_processes(job, _work, [(i, i + 1) for i in range(len(parts))], num_proc)
        schemas = [pa.ipc.read_schema(pa.py_buffer(result)) for _, _, result in found]
        wide = functools.reduce(_wider, schemas)
        for file, narrow in zip(files, schemas, strict=True):
            if not narrow.equals(wide):
                with TableWriter(f"{file}.wide", wide) as writer:
                    writer.write(cast_table(open_arrow(file), wide))
                    writer.finish()
                os.replace(f"{file}.wide", file)
        # only a complete set is ever taken for a cache, and the set is made of files of one schema
        for file, target in zip(files, targets, strict=True):
            os.replace(file, target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return chain([TableSource.mapped(target) for target in targets]), wide


@dataclass
class _Job:
    """What the processes share."""

    generator: Callable[..., Iterable[Mapping[str, Any]]]
    parts: list[dict[str, Any]]
    features: Features | None
    files: list[str]
    #: what a process that dies is said to have worked on
    noun = "shards"


def _work(job: _Job, start: int, stop: int, rank: int) -> bytes:
    schema = job.features.arrow_schema if job.features is not None else None
    with TableWriter(job.files[start], schema) as writer:
        _write(job.generator, job.parts[start], job.features, writer)
        writer.finish()
        assert writer.schema is not None
        return writer.schema.serialize().to_pybytes()


def _write(
    generator: Callable[..., Iterable[Mapping[str, Any]]],
    arguments: Mapping[str, Any],
    features: Features | None,
    writer: TableWriter,
) -> None:
    from .reading import rows_to_table

    pending: list[Mapping[str, Any]] = []
    for row in generator(**arguments):
        pending.append(row)
        if len(pending) == _ROWS:
            writer.write(rows_to_table(pending, features))
            pending = []
    if pending:
        writer.write(rows_to_table(pending, features))


def _wider(first: pa.Schema, second: pa.Schema) -> pa.Schema:
    if not first.names or not second.names:  # a part without rows
        return first if first.names else second
    if set(first.names) != set(second.names):
        raise ValueError(f"the processes' rows have different columns: {first.names} and {second.names}")
    return pa.schema([(field.name, widen(field.type, second.field(field.name).type)) for field in first])


def _names(path: str, count: int) -> list[str]:
    stem = path.removesuffix(".arrow")
    return [f"{stem}-{number:05d}-of-{count:05d}.arrow" for number in range(count)]


def _shared_out(arguments: Mapping[str, Any], count: int) -> list[dict[str, Any]]:
    """Return the arguments of each process: runs of the items of lists, everything else as it is."""
    sizes = {name: len(value) for name, value in arguments.items() if isinstance(value, list)}
    if not sizes or len(set(sizes.values())) > 1:
        what = f"they have {sizes}" if sizes else "there is no list"
        raise ValueError(f"num_proc={count} shares out the items of lists of one length in gen_kwargs; {what}")
    items = next(iter(sizes.values()))
    if items < count:
        logger.warning("There are %d items for num_proc=%d: %d processes are used", items, count, max(items, 1))
    count = max(min(items, count), 1)
    ends = [number * items // count for number in range(count + 1)]
    return [
        {name: value[ends[i] : ends[i + 1]] if name in sizes else value for name, value in arguments.items()}
        for i in range(count)
    ]
