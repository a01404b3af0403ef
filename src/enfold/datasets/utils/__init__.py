"""What programs take from `datasets.utils`: switches for bars and messages, and small helpers."""

from enfold.lazy import face

__getattr__, __dir__, __all__ = face(
    __name__,
    {
        "..info": ["Version"],
        "enfold.hub.helpers": ["experimental"],
        ".info_utils": ["VerificationMode"],
        ".switches": [
            "are_progress_bars_disabled",
            "disable_progress_bar=disable_progress_bars",
            "disable_progress_bars",
            "enable_progress_bar=enable_progress_bars",
            "enable_progress_bars",
            "is_progress_bar_enabled",
        ],
    },
)

# The class takes the name of its module, which programs call as the function that it is everywhere else.
from . import tqdm as _tqdm  # noqa: E402, F401
from .tqdm import tqdm  # noqa: E402

__all__ += ["tqdm"]
