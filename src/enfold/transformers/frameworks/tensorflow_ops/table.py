"""All families as one table."""

from __future__ import annotations

from enfold.transformers.frameworks.operations import whole

__all__ = ["TABLE"]

TABLE = whole("enfold.transformers.frameworks.tensorflow_ops")
