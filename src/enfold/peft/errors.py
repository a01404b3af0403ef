"""What goes wrong, or looks as if it did, with adapters."""

from __future__ import annotations

from enfold.errors import EnfoldError

__all__ = ["NoMatchingPeftModuleError", "PeftError", "PeftWarning"]


class PeftError(EnfoldError):
    """Something about adapters is wrong."""


class PeftWarning(UserWarning):
    """Something about adapters looks like a mistake; filter it by this class."""


class NoMatchingPeftModuleError(PeftError, ValueError):
    """A configuration names modules that the model does not have; nothing was changed."""
