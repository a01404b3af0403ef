"""Arrow IPC files, stream or file format: mapped, not copied."""

from __future__ import annotations

import dataclasses

import pyarrow as pa

from ..errors import DatasetGenerationError
from ..features.features import Features
from ..source import Source, TableSource, chain, open_arrow
from .base import DatasetBuilder
from .fitting import fit

__all__ = ["Builder"]


class Builder(DatasetBuilder):
    """Maps Arrow files."""

    name = "arrow"
    in_place = True

    @dataclasses.dataclass
    class Options:
        """Arrow files say everything themselves."""

    def source(self, paths: list[str]) -> Source:
        tables = []
        for path in paths:
            try:
                tables.append(open_arrow(path))
            except (pa.ArrowInvalid, OSError) as error:
                raise DatasetGenerationError(f"{path}: no Arrow file: {error}") from error
        if self.info.features is None:
            self.info.features = Features.from_arrow_schema(tables[0].schema)
        sources: list[Source] = []
        for table, path in zip(tables, paths, strict=True):
            fitted = fit(table.replace_schema_metadata(None), self.info.features, path)
            sources.append(TableSource(fitted, [path]))
        return chain(sources)
