"""Features: what the columns of a dataset are, beyond their Arrow types."""

from enfold.lazy import face

__getattr__, __dir__, __all__ = face(
    __name__,
    {
        ".arrays": ["Array2D", "Array3D", "Array4D", "Array5D"],
        ".audio": ["Audio"],
        ".features": ["Features"],
        ".image": ["Image"],
        ".pdf": ["Pdf"],
        ".translation": ["Translation", "TranslationVariableLanguages"],
        ".types": ["ClassLabel", "FeatureType", "Json", "LargeList", "List", "Sequence", "Value"],
        ".video": ["Video"],
    },
)
