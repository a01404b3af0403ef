"""Another name of what ``enfold.trl`` has for ORPO."""

from enfold.lazy import face

__getattr__, __dir__, __all__ = face(__name__, {"enfold.trl.cpo": ["ORPOConfig", "ORPOTrainer"]})
