"""Web demos from Python: the surface of `gradio`."""

from enfold.lazy import face

__version__ = "6.31.0"

__getattr__, __dir__, __all__ = face(__name__, {})
