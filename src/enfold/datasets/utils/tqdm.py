"""The progress bar under the name and with the calls of ``tqdm``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from enfold.progress import Progress

from .switches import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars, is_progress_bar_enabled

__all__ = [
    "are_progress_bars_disabled",
    "disable_progress_bar",
    "disable_progress_bars",
    "enable_progress_bar",
    "enable_progress_bars",
    "is_progress_bar_enabled",
    "tqdm",
]

disable_progress_bar, enable_progress_bar = disable_progress_bars, enable_progress_bars


class tqdm:
    """A progress bar that counts what is iterated over, or what :meth:`update` says.

    Args:
        iterable: what to go through.
        desc: what is being done.
        total: how many steps there are; the length of ``iterable`` where None.
        unit: what one step is.
        disable: show nothing.
        initial: steps that were done before.
        accepted: tqdm's other arguments, which change how its own bar looks.

    Example:
        >>> sum(tqdm([1, 2, 3], desc="adding", disable=True))
        6
    """

    def __init__(
        self,
        iterable: Iterable[Any] | None = None,
        desc: str | None = None,
        total: float | None = None,
        *accepted: Any,
        unit: str = "it",
        disable: bool | None = False,
        initial: int = 0,
        **more: Any,
    ) -> None:
        if total is None and hasattr(iterable, "__len__"):
            total = len(iterable)  # type: ignore[arg-type]
        self.iterable, self.disable = iterable, bool(disable) or are_progress_bars_disabled()
        self._bar = Progress(
            None if total is None else int(total), desc or "", unit=unit, quiet=self.disable, initial=initial
        )

    @property
    def n(self) -> int:
        """The steps that are done."""
        return self._bar.done

    @property
    def total(self) -> int | None:
        """How many steps there are."""
        return self._bar.total

    @total.setter
    def total(self, value: int | None) -> None:
        self._bar.total = value

    @property
    def desc(self) -> str:
        """What is being done."""
        return self._bar.label

    def __iter__(self) -> Iterator[Any]:
        with self:
            for item in self.iterable or ():
                yield item
                self._bar.advance()

    def __len__(self) -> int:
        return self._bar.total or 0

    def __enter__(self) -> tqdm:
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()

    def update(self, n: float = 1) -> None:
        """Count ``n`` steps more."""
        self._bar.advance(int(n))

    def set_description(self, desc: str | None = None, refresh: bool = True) -> None:
        """Say what is being done."""
        self._bar.label = desc or ""
        self._bar.advance(0)

    set_description_str = set_description

    def set_postfix(self, ordered_dict: Any = None, refresh: bool = True, **values: Any) -> None:
        """Show values behind the bar."""
        self._bar.advance(0, **dict(ordered_dict or {}), **values)

    def refresh(self, *accepted: Any, **more: Any) -> None:
        """Draw the bar."""
        self._bar.advance(0)

    def close(self) -> None:
        """Draw the final state."""
        self._bar.close()

    @staticmethod
    def write(s: str, file: Any = None, end: str = "\n", nolock: bool = False) -> None:
        """Print a text that a bar does not run over."""
        import sys

        sys.stderr.write("\r\x1b[2K" if sys.stderr.isatty() else "")
        print(s, end=end, file=file)
