"""Another name of what ``enfold.trl`` has for XPO."""

from enfold.lazy import face

__getattr__, __dir__, __all__ = face(__name__, {"enfold.trl.online_dpo": ["XPOConfig", "XPOTrainer"]})
