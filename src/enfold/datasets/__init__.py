"""Tables on Arrow: the surface of `datasets`."""

from enfold.lazy import face

__version__ = "5.2.0"

__getattr__, __dir__, __all__ = face(__name__, {})
