"""Formats: what the values of a dataset are given as. The table of names is in ``base``."""

from enfold.lazy import face

__getattr__, __dir__, __all__ = face(
    __name__,
    {
        "..column": ["LazyBatch=Batch", "LazyRow=Row"],
        ".arrow_format": ["ArrowFormatter=Format"],
        ".base": [
            "CustomFormatter",
            "Formatter",
            "format_name",
            "get_format_type_from_alias=format_name",
            "make_formatter",
        ],
        ".jax_format": ["JaxFormatter=Format"],
        ".numpy_format": ["NumpyFormatter=Format"],
        ".pandas_format": ["PandasFormatter=Format"],
        ".polars_format": ["PolarsFormatter=Format"],
        ".tensorflow_format": ["TFFormatter=Format"],
        ".torch_format": ["TorchFormatter=Format"],
    },
)
