"""The helpers that programs and scripts of metrics take from `evaluate.utils`."""

from enfold.lazy import face

__getattr__, __dir__, __all__ = face(
    __name__,
    {
        "enfold.datasets.utils": [
            "disable_progress_bar=disable_progress_bars",
            "enable_progress_bar=enable_progress_bars",
            "is_progress_bar_enabled",
        ],
    },
)
