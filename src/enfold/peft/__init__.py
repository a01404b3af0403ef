"""Adapters on any module: the surface of `peft`."""

from enfold.lazy import face

__version__ = "0.21.2"

__getattr__, __dir__, __all__ = face(__name__, {})
