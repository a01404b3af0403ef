"""What a dataset gives its values as: the methods that set it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from .formats.base import format_name

if TYPE_CHECKING:
    from .dataset import Dataset

__all__ = ["FormatMixin"]


class FormatMixin:
    """The methods of a dataset that set its format."""

    _format: tuple[str | None, dict[str, Any], list[str] | None, bool]
    _made_formatter: Any

    @property
    def format(self: Any) -> dict[str, Any]:
        """The format's type, options and columns."""
        kind, options, columns, everything = self._format
        return {
            "type": kind,
            "format_kwargs": dict(options),
            "columns": self.column_names if columns is None else list(columns),
            "output_all_columns": everything,
        }

    def _format_key(self: Any) -> Any:
        kind, options, columns, everything = self._format
        return [kind, {key: options[key] for key in sorted(options)}, columns, everything]

    def set_format(
        self: Any,
        type: str | None = None,
        columns: list[str] | None = None,
        output_all_columns: bool = False,
        **format_kwargs: Any,
    ) -> None:
        """Set what values are given as, for this object.

        Args:
            type: ``None`` or ``"python"``, ``"numpy"``, ``"torch"``, ``"arrow"``, ``"pandas"``, ``"polars"``.
            columns: the columns that are given; all where None.
            output_all_columns: give the other columns too, as Python values.
            format_kwargs: arguments of what makes the values, such as ``dtype=torch.int32``.

        Raises:
            ValueError: an unknown format or column; the nearest one is named.
        """
        kind = format_name(type)
        # set_format(**dataset.format) gives the options as one argument
        format_kwargs |= format_kwargs.pop("format_kwargs", None) or {}
        if columns is not None:
            columns = self._require(columns)
        self._format = (kind, dict(format_kwargs), columns, output_all_columns)
        self._made_formatter = None
        self._formatter()

    def with_format(
        self: Any,
        type: str | None = None,
        columns: list[str] | None = None,
        output_all_columns: bool = False,
        **format_kwargs: Any,
    ) -> Dataset:
        """Return the dataset in a format; the arguments are those of :meth:`set_format`.

        Example:
            >>> from enfold.datasets import Dataset
            >>> Dataset.from_dict({"a": [1, 2]}).with_format("numpy")[:]["a"].tolist()
            [1, 2]
        """
        made = self._with(_identity=lambda: self._fingerprint)
        made.set_format(type, columns, output_all_columns, **format_kwargs)
        return made

    @contextlib.contextmanager
    def formatted_as(
        self: Any,
        type: str | None = None,
        columns: list[str] | None = None,
        output_all_columns: bool = False,
        **format_kwargs: Any,
    ) -> Iterator[None]:
        """Set a format for the body of a ``with`` statement; the arguments are those of :meth:`set_format`."""
        before = self._format
        try:
            self.set_format(type, columns, output_all_columns, **format_kwargs)
            yield
        finally:
            self._format, self._made_formatter = before, None

    def reset_format(self: Any) -> None:
        """Give plain Python values again."""
        self.set_format()

    def set_transform(
        self: Any,
        transform: Callable[..., Any] | None,
        columns: list[str] | None = None,
        output_all_columns: bool = False,
    ) -> None:
        """Give rows through a function, called when they are read.

        Args:
            transform: from a dict of lists to a dict of lists.
            columns: the columns that the function sees.
            output_all_columns: as for :meth:`set_format`.
        """
        if transform is None:
            return self.reset_format()
        self.set_format("custom", columns=columns, output_all_columns=output_all_columns, transform=transform)

    def with_transform(
        self: Any,
        transform: Callable[..., Any] | None,
        columns: list[str] | None = None,
        output_all_columns: bool = False,
    ) -> Dataset:
        """Return the dataset with a transform; see :meth:`set_transform`."""
        made = self._with(_identity=lambda: self._fingerprint)
        made.set_transform(transform, columns, output_all_columns)
        return made
