"""The names that ``optim`` takes, and which algorithm each stands for."""

from __future__ import annotations

import enum

__all__ = ["OptimizerNames", "algorithm_of", "moves_in_backward", "projects"]


class OptimizerNames(str, enum.Enum):
    """The names that ``optim`` takes in the ecosystem's versions 4 and 5."""

    ADAMW_TORCH = "adamw_torch"
    ADAMW_TORCH_FUSED = "adamw_torch_fused"
    ADAMW_TORCH_XLA = "adamw_torch_xla"
    ADAMW_TORCH_NPU_FUSED = "adamw_torch_npu_fused"
    ADAMW_APEX_FUSED = "adamw_apex_fused"
    ADAFACTOR = "adafactor"
    ADAMW_ANYPRECISION = "adamw_anyprecision"
    ADAMW_TORCH_4BIT = "adamw_torch_4bit"
    ADAMW_TORCH_8BIT = "adamw_torch_8bit"
    ADEMAMIX = "ademamix"
    SGD = "sgd"
    ADAGRAD = "adagrad"
    ADAMW_BNB = "adamw_bnb_8bit"
    ADAMW_8BIT = "adamw_8bit"
    ADEMAMIX_8BIT = "ademamix_8bit"
    LION_8BIT = "lion_8bit"
    LION = "lion_32bit"
    PAGED_ADAMW = "paged_adamw_32bit"
    PAGED_ADAMW_8BIT = "paged_adamw_8bit"
    PAGED_ADEMAMIX = "paged_ademamix_32bit"
    PAGED_ADEMAMIX_8BIT = "paged_ademamix_8bit"
    PAGED_LION = "paged_lion_32bit"
    PAGED_LION_8BIT = "paged_lion_8bit"
    RMSPROP = "rmsprop"
    RMSPROP_BNB = "rmsprop_bnb"
    RMSPROP_8BIT = "rmsprop_bnb_8bit"
    RMSPROP_32BIT = "rmsprop_bnb_32bit"
    GALORE_ADAMW = "galore_adamw"
    GALORE_ADAMW_8BIT = "galore_adamw_8bit"
    GALORE_ADAFACTOR = "galore_adafactor"
    GALORE_ADAMW_LAYERWISE = "galore_adamw_layerwise"
    GALORE_ADAMW_8BIT_LAYERWISE = "galore_adamw_8bit_layerwise"
    GALORE_ADAFACTOR_LAYERWISE = "galore_adafactor_layerwise"
    LOMO = "lomo"
    ADALOMO = "adalomo"
    GROKADAMW = "grokadamw"
    SCHEDULE_FREE_RADAM = "schedule_free_radam"
    SCHEDULE_FREE_ADAMW = "schedule_free_adamw"
    SCHEDULE_FREE_SGD = "schedule_free_sgd"
    APOLLO_ADAMW = "apollo_adamw"
    APOLLO_ADAMW_LAYERWISE = "apollo_adamw_layerwise"
    STABLE_ADAMW = "stable_adamw"


# Names that differ in who computes or where the state is kept, and move the weights alike.
_SAME = {
    "adamw_torch_xla": "adamw_torch",
    "adamw_torch_npu_fused": "adamw_torch_fused",
    "adamw_apex_fused": "adamw_torch_fused",
    "paged_adamw_32bit": "adamw_torch_fused",
    "paged_ademamix_32bit": "ademamix",
    "paged_lion_32bit": "lion_32bit",
    "rmsprop_bnb": "rmsprop",
    "rmsprop_bnb_32bit": "rmsprop",
    "adamw_bnb_8bit": "adamw_8bit",
    "paged_adamw_8bit": "adamw_8bit",
    "paged_ademamix_8bit": "ademamix_8bit",
    "paged_lion_8bit": "lion_8bit",
}

# What projects the gradients of matrices, which optim_target_modules names.
_PROJECTING = ("galore_", "apollo_")


def algorithm_of(name: str) -> str:
    """Return the name of the algorithm behind ``name``, how its state is kept included.

    Example:
        >>> algorithm_of("paged_adamw_32bit"), algorithm_of("paged_adamw_8bit")
        ('adamw_torch_fused', 'adamw_8bit')
    """
    return _SAME.get(name, name)


def projects(name: str) -> bool:
    """Say whether an optimizer projects the gradients of matrices."""
    return name.startswith(_PROJECTING)


def moves_in_backward(name: str) -> bool:
    """Say whether an optimizer moves the weights inside the backward pass."""
    return name.endswith("_layerwise") or name in ("lomo", "adalomo")
