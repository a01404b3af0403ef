"""Deep paths of `peft.tuners`, for code that reaches for the layers and bases of adapters by them.

Every kind's configuration and model is in :mod:`enfold.peft` itself; what stands here are names that would clash there.
"""

from enfold.lazy import face
from enfold.peft import __all__ as _names

__getattr__, __dir__, __all__ = face(__name__, {"enfold.peft": [name for name in _names if not name.startswith("_")]})
