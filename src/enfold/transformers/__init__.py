"""Models, tokenization, generation, pipelines and training: the surface of `transformers`."""

from enfold.lazy import face

__version__ = "5.23.0"

__getattr__, __dir__, __all__ = face(__name__, {})
