"""Features: what the columns of a dataset are, beyond their Arrow types."""

from enfold.lazy import face

__getattr__, __dir__, __all__ = face(
    __name__,
    {
        ".features": ["Features"],
        ".types": ["ClassLabel", "FeatureType", "Json", "LargeList", "List", "Sequence", "Translation", "Value"],
    },
)
