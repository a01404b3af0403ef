"""Export and other runtimes: the surface of `optimum`."""

from enfold.lazy import face

__version__ = "2.3.0"

__getattr__, __dir__, __all__ = face(__name__, {})
