"""Alignment training: the surface of `trl`."""

from enfold.lazy import face

__version__ = "1.16.0"

__getattr__, __dir__, __all__ = face(__name__, {})
