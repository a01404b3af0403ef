"""The Hub client: the surface of `huggingface_hub`."""

from enfold.lazy import face

__version__ = "2.4.0"

__getattr__, __dir__, __all__ = face(__name__, {})
