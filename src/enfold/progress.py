"""The one progress bar: rate, time left and a few values; one line a stage where no terminal is attached."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator, Sized
from types import TracebackType
from typing import Any, Generic, TypeVar

__all__ = ["Progress", "disable_progress_bars", "enable_progress_bars", "track"]

T = TypeVar("T")
_WIDTH = 24
# one bar for the whole house: either library's switch turns it off
_SWITCHES = ("HF_HUB_DISABLE_PROGRESS_BARS", "HF_DATASETS_DISABLE_PROGRESS_BARS")
_enabled = all(os.environ.get(name, "0") in {"", "0"} for name in _SWITCHES)


def disable_progress_bars() -> None:
    """Show no progress bar from now on."""
    global _enabled
    _enabled = False


def enable_progress_bars() -> None:
    """Show progress bars again."""
    global _enabled
    _enabled = True


def disabled() -> bool:
    """Say whether progress bars are not shown."""
    return not _enabled


class Progress:
    """A progress bar on standard error.

    On a terminal it redraws one line at most ten times a second; elsewhere it prints a line when it ends, and one
    every ten seconds of a long stage, so that logs stay readable.

    Args:
        total: how many steps there are, or None when that is not known.
        label: what is being done.
        unit: what one step is; ``"B"`` prints sizes in bytes.
        quiet: draw nothing.
        initial: steps that were done before, and say nothing about the rate.

    Example:
        >>> with Progress(3, "steps", quiet=True) as bar:
        ...     for _ in range(3):
        ...         bar.advance(loss=0.5)
        >>> bar.done
        3
    """

    def __init__(
        self, total: int | None = None, label: str = "", *, unit: str = "it", quiet: bool = False, initial: int = 0
    ) -> None:
        self.total, self.label, self.unit = total, label, unit
        self.done = self._initial = initial
        self.values: dict[str, Any] = {}
        self._quiet = quiet or not _enabled
        self._terminal = sys.stderr.isatty()
        self._start = time.monotonic()
        self._drawn = 0.0 if self._terminal else self._start
        self._shown: tuple[int, dict[str, Any]] | None = None
        self._closed = False

    def advance(self, steps: int = 1, **values: Any) -> None:
        """Count ``steps`` more, and show ``values`` behind the bar."""
        self.done += steps
        self.values.update(values)
        now = time.monotonic()
        if not self._quiet and now - self._drawn >= (0.1 if self._terminal else 10.0):
            self._drawn = now
            self._draw(end="" if self._terminal else "\n")

    def report(self, **values: Any) -> None:
        """Show ``values`` now: behind the bar on a terminal, as a line of its own elsewhere."""
        if self._terminal:
            self.advance(0, **values)
            return
        self.values.update(values)
        if not self._quiet:
            self._drawn = time.monotonic()
            self._draw(end="\n")

    def close(self) -> None:
        """Draw the final state; a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        shown = not self._terminal and self._shown == (self.done, self.values)
        if not self._quiet and self.done and not shown:
            self._draw(end="\n")

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _draw(self, end: str) -> None:
        self._shown = (self.done, dict(self.values))
        elapsed = max(time.monotonic() - self._start, 1e-9)
        rate = (self.done - self._initial) / elapsed
        parts = [self.label] if self.label else []
        if self.total:
            share = min(self.done / self.total, 1.0)
            full = int(share * _WIDTH)
            parts.append(f"{share:4.0%} {'━' * full}{'╌' * (_WIDTH - full)}")
            parts.append(f"{_count(self.done, self.unit)}/{_count(self.total, self.unit)}")
        else:
            parts.append(_count(self.done, self.unit))
        parts.append(f"{_count(rate, self.unit)}{'' if self.unit == 'B' else ' ' + self.unit}/s")
        parts.append(_clock(elapsed))
        if self.total and self.done < self.total and rate > 0:
            parts.append(f"{_clock((self.total - self.done) / rate)} left")
        parts.extend(
            f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}" for key, value in self.values.items()
        )
        lead = "\r\x1b[2K" if self._terminal else ""
        sys.stderr.write(lead + "  ".join(parts) + end)
        sys.stderr.flush()


class track(Generic[T]):
    """Iterate over ``items`` with a progress bar.

    Example:
        >>> list(track([1, 2], quiet=True))
        [1, 2]
    """

    def __init__(
        self, items: Iterable[T], label: str = "", *, total: int | None = None, unit: str = "it", quiet: bool = False
    ) -> None:
        self._items = items
        count = total if total is not None else (len(items) if isinstance(items, Sized) else None)
        self.bar = Progress(count, label, unit=unit, quiet=quiet)

    def __iter__(self) -> Iterator[T]:
        with self.bar:
            for item in self._items:
                yield item
                self.bar.advance()


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _count(value: float, unit: str) -> str:
    if unit == "B":
        for prefix in ("", "k", "M", "G"):
            if value < 1000:
                return f"{value:.3g} {prefix}B"
            value /= 1000
        return f"{value:.3g} TB"
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"
