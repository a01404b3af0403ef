"""What can be wrong with a checkpoint."""

from __future__ import annotations

from enfold.errors import EnfoldError

__all__ = ["CheckpointError"]


class CheckpointError(EnfoldError, OSError):
    """A checkpoint is absent, damaged, or does not fit the module it is loaded into."""
