"""Another name of what ``enfold.trl`` has for GKD."""

from enfold.lazy import face

__getattr__, __dir__, __all__ = face(__name__, {"enfold.trl.gkd": ["GKDConfig", "GKDTrainer"]})
