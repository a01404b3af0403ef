"""Making a table of one file fit the columns that all files of a dataset have."""

from __future__ import annotations

import pyarrow as pa

from ..errors import DatasetGenerationCastError
from ..features.features import Features, storage_schema, to_arrow
from ..features.storage import cast_to
from ..source import cast_table
from ..values import one_array

__all__ = ["fit"]


def fit(table: pa.Table, features: Features, file: str) -> pa.Table:
    """Return a table with the columns and types of features; names of labels become integers.

    Raises:
        DatasetGenerationCastError: the table's columns or values do not fit.
    """
    schema = storage_schema(features.arrow_schema).remove_metadata()
    if table.schema.equals(schema):
        return table
    columns, names = [], []
    for name in table.column_names:
        feature, column = features.get(name), one_array(table.column(name))
        try:
            if feature is not None and pa.types.is_string(to_arrow(feature)) and pa.types.is_nested(column.type):
                column = pa.array(
                    [None if v is None else feature.encode_example(v) for v in column.to_pylist()], pa.string()
                )
            elif feature is not None:
                column = cast_to(column, feature)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError) as error:
            raise DatasetGenerationCastError(f"{file}: column {name!r} does not fit {feature!r}: {error}") from error
        columns.append(column)
        names.append(name)
    try:
        return cast_table(pa.table(columns, names=names), schema)
    except pa.ArrowInvalid as error:
        raise DatasetGenerationCastError(
            f"{file}: {error}. All files of a dataset have the same columns; give other files a configuration of "
            "their own, or name the wanted ones in data_files"
        ) from error
