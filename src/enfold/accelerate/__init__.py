"""Training on many devices: the surface of `accelerate`."""

from enfold.lazy import face

__version__ = "1.15.0"

__getattr__, __dir__, __all__ = face(__name__, {})
