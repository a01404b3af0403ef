"""Tables from a kind of adapter to its classes, under the names that the ecosystem reads them by."""

from __future__ import annotations

from enfold.peft.config import KINDS, PeftConfig, PeftType, config_class
from enfold.peft.helpers import get_peft_config
from enfold.peft.injecting import inject_adapter_in_model
from enfold.peft.model import get_peft_model
from enfold.peft.tuner import LAYERS, Tuner, layer_class, tuner_class

__all__ = [
    "PEFT_TYPE_TO_CONFIG_MAPPING",
    "PEFT_TYPE_TO_PREFIX_MAPPING",
    "PEFT_TYPE_TO_TUNER_MAPPING",
    "get_peft_config",
    "get_peft_model",
    "inject_adapter_in_model",
]

# Kind → the class of its configurations.
PEFT_TYPE_TO_CONFIG_MAPPING: dict[PeftType, type[PeftConfig]] = {PeftType(kind): config_class(kind) for kind in KINDS}
# Kind → the class of models with such adapters in their layers.
PEFT_TYPE_TO_TUNER_MAPPING: dict[PeftType, type[Tuner]] = {PeftType(kind): tuner_class(kind) for kind in LAYERS}
# Kind → what the names of its parameters begin with.
PEFT_TYPE_TO_PREFIX_MAPPING: dict[PeftType, str] = {PeftType(kind): layer_class(kind).prefix for kind in LAYERS}
