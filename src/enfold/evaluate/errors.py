"""What goes wrong with metrics."""

from __future__ import annotations

from enfold.errors import EnfoldError

__all__ = ["EvaluationError", "OptionError", "UnknownModuleError"]


class EvaluationError(EnfoldError, ValueError):
    """Inputs or options do not fit the metric."""


class OptionError(EnfoldError, TypeError):
    """``compute`` was given an option that the module does not have."""


class UnknownModuleError(EnfoldError, FileNotFoundError):
    """There is no metric, comparison or measurement of this name."""

    def __str__(self) -> str:
        return str(self.args[0])
