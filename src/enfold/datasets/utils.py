"""Switches for progress bars and messages, under the ecosystem's names."""

from __future__ import annotations

from types import SimpleNamespace

from enfold import log, progress
from enfold.progress import disable_progress_bars, enable_progress_bars

__all__ = [
    "are_progress_bars_disabled",
    "disable_progress_bars",
    "enable_progress_bars",
    "is_progress_bar_enabled",
    "logging",
]


def are_progress_bars_disabled() -> bool:
    """Return whether no progress bar is shown."""
    return not progress._enabled


def is_progress_bar_enabled() -> bool:
    """Return whether progress bars are shown."""
    return progress._enabled


#: ``datasets.logging``: the verbosity of this package's messages
logging = SimpleNamespace(
    get_logger=log.get_logger,
    get_verbosity=log.get_verbosity,
    set_verbosity=log.set_verbosity,
    set_verbosity_debug=lambda: log.set_verbosity("debug"),
    set_verbosity_error=lambda: log.set_verbosity("error"),
    set_verbosity_info=lambda: log.set_verbosity("info"),
    set_verbosity_warning=lambda: log.set_verbosity("warning"),
)
