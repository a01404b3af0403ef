"""Metrics that work offline: the surface of `evaluate`."""

from enfold.lazy import face

__version__ = "0.4.6"

__getattr__, __dir__, __all__ = face(__name__, {})
