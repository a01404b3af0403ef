"""Another name of what ``enfold.trl`` has for KTO."""

from enfold.lazy import face

__getattr__, __dir__, __all__ = face(__name__, {"enfold.trl.kto": ["KTOConfig", "KTOTrainer"]})
