"""Whether progress bars are shown."""

from __future__ import annotations

from enfold import progress
from enfold.progress import disable_progress_bars, enable_progress_bars

__all__ = [
    "are_progress_bars_disabled",
    "disable_progress_bars",
    "enable_progress_bars",
    "is_progress_bar_enabled",
]


def are_progress_bars_disabled() -> bool:
    """Return whether no progress bar is shown."""
    return not progress._enabled


def is_progress_bar_enabled() -> bool:
    """Return whether progress bars are shown."""
    return progress._enabled
