"""Optimizers that torch does not have, or has in another form; each moves one tensor at a time."""

from enfold.lazy import face

EXPORTS = {
    "adafactor": ["AdaLomo", "Adafactor", "AdafactorSchedule", "Lomo", "get_adafactor_schedule"],
    "adam": ["AdamW", "AnyPrecisionAdamW", "GrokAdamW", "StableAdamW"],
    "blocks": ["code_values", "pack", "unpack"],
    "low_rank": ["Apollo", "GaLoreAdafactor", "GaLoreAdamW"],
    "momentum": ["AdEMAMix", "Lion", "RMSprop"],
    "moving": ["PerTensor", "state_bytes"],
    "schedule_free": ["AdamWScheduleFree", "RAdamScheduleFree", "SGDScheduleFree"],
}

__getattr__, __dir__, __all__ = face(__name__, {f".{module}": names for module, names in EXPORTS.items()})
