"""What can be said about CSV files."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Callable
from typing import Any

__all__ = ["CsvOptions"]


@dataclasses.dataclass
class CsvOptions:
    """What can be said about CSV files; names and meanings are those of ``pandas.read_csv``.

    Args:
        sep, delimiter: what stands between values.
        header: the line with the names (counted after ``skiprows``), or several of them; None where there is none.
        index_col: columns that ``pandas`` would make the index, by name or number: they are left out.
        prefix: what the columns' numbers begin with where there are no names.
        names, column_names: the columns' names.
        usecols: the columns to take, by name or number.
        skiprows: lines to leave out at the beginning, or the numbers of lines, or a function from number to truth.
        nrows: rows to read.
        quotechar, escapechar, doublequote, quoting: how values are quoted.
        encoding, encoding_errors: how the text is coded.
        na_values: more spellings of a missing value.
        keep_default_na: take the usual spellings (``""``, ``NA``, ``null``, …) as missing.
        dtype: a dtype for every column, or by column.
        converters: column, by name or number → a function from a value's text to the value.
        thousands: what stands between groups of digits.
        lineterminator: the character that ends a row, where it is no line end.
        dialect: the name of a dialect of Python's ``csv`` module, or one, in place of six options.
        true_values, false_values: more spellings of truth values.
        skipinitialspace: leave out spaces behind a separator.
        skip_blank_lines: leave out empty lines.
        comment: the character with which the rest of a line is no data.
        on_bad_lines: ``"error"``, ``"warn"`` or ``"skip"``, for rows with too many values.
        error_bad_lines, warn_bad_lines: the older spelling of ``on_bad_lines``.
        decimal: the character before a number's fraction.
        skipfooter: rows to leave out at the end.
        engine, memory_map, float_precision, verbose, mangle_dupe_cols, chunksize, low_memory, date_format: accepted
            for compatibility; dates stay text.
    """

    sep: str = ","
    delimiter: str | None = None
    header: int | list[int] | str | None = "infer"
    names: list[str] | None = None
    column_names: list[str] | None = None
    index_col: Any = None
    usecols: list[Any] | None = None
    prefix: str | None = None
    converters: dict[int | str, Callable[[str], Any]] | None = None
    skiprows: Any = None
    nrows: int | None = None
    quotechar: str | None = '"'
    quoting: int = csv.QUOTE_MINIMAL
    escapechar: str | None = None
    doublequote: bool = True
    encoding: str | None = None
    encoding_errors: str | None = "strict"
    na_values: Any = None
    keep_default_na: bool = True
    na_filter: bool = True
    dtype: Any = None
    true_values: list[str] | None = None
    false_values: list[str] | None = None
    skipinitialspace: bool = False
    skip_blank_lines: bool = True
    comment: str | None = None
    on_bad_lines: str = "error"
    low_memory: bool = True
    error_bad_lines: bool = True
    warn_bad_lines: bool = True
    thousands: str | None = None
    decimal: str = "."
    lineterminator: str | None = None
    dialect: Any = None
    date_format: Any = None
    skipfooter: int = 0
    engine: str | None = None
    memory_map: bool = False
    float_precision: str | None = None
    verbose: bool = False
    mangle_dupe_cols: bool = True
    chunksize: int = 10_000

    def __post_init__(self) -> None:
        if not self.error_bad_lines:
            self.on_bad_lines = "warn" if self.warn_bad_lines else "skip"
        if self.dialect is not None:
            dialect = csv.get_dialect(self.dialect) if isinstance(self.dialect, str) else self.dialect
            self.sep = self.delimiter = dialect.delimiter
            for name in ("quotechar", "quoting", "escapechar", "doublequote", "skipinitialspace"):
                setattr(self, name, getattr(dialect, name))
            self.dialect = None
