"""One logger for the distribution: quiet by default, set by ``ENFOLD_LOG`` or the ecosystem's own variables."""

from __future__ import annotations

import logging
import os
import sys

__all__ = ["get_logger", "get_verbosity", "set_verbosity"]

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
_VARIABLES = ("ENFOLD_LOG", "TRANSFORMERS_VERBOSITY", "DATASETS_VERBOSITY", "HF_HUB_VERBOSITY")


def _root() -> logging.Logger:
    root = logging.getLogger("enfold")
    if not root.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
        root.addHandler(handler)
        root.propagate = False
        asked = next((os.environ[name].lower() for name in _VARIABLES if os.environ.get(name)), "warning")
        root.setLevel(_LEVELS.get(asked, logging.WARNING))
    return root


def get_logger(name: str = "enfold") -> logging.Logger:
    """Return the logger for a module of enfold, below the one root that carries the handler.

    Example:
        >>> get_logger("enfold.hub").name
        'enfold.hub'
    """
    _root()
    return logging.getLogger(name if name.startswith("enfold") else f"enfold.{name}")


def set_verbosity(level: int | str) -> None:
    """Set the level of every enfold logger: a ``logging`` number or one of debug, info, warning, error, critical."""
    if isinstance(level, str):
        if level.lower() not in _LEVELS:
            raise ValueError(f"unknown log level {level!r}; expected one of {', '.join(_LEVELS)}")
        level = _LEVELS[level.lower()]
    _root().setLevel(level)


def get_verbosity() -> int:
    """Return the level of enfold's loggers as a ``logging`` number."""
    return _root().level
