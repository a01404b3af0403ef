"""Tools to look at what tokenizers do."""

from enfold.lazy import face

__getattr__, __dir__, __all__ = face(__name__, {".visualizer": ["Annotation", "EncodingVisualizer"]})
