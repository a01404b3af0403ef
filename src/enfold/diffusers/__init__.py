"""Diffusion models: the surface of `diffusers`."""

from enfold.lazy import face

__version__ = "0.42.1"

__getattr__, __dir__, __all__ = face(__name__, {})
