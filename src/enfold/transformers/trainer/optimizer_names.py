"""The names that ``optim`` takes, and which algorithm each stands for."""

from __future__ import annotations

import enum

from enfold.errors import EnfoldError

__all__ = ["OptimizerNames", "OptimizerNotOffered", "algorithm_of"]


class OptimizerNotOffered(ValueError, EnfoldError):
    """An optimizer's name is known, but its algorithm is not here."""


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
}

# Names whose algorithm keeps its state in 8 bits, block by block: algorithm in full.
_EIGHT_BITS = {
    "adamw_torch_8bit": "adamw_torch_fused",
    "adamw_bnb_8bit": "adamw_torch_fused",
    "adamw_8bit": "adamw_torch_fused",
    "paged_adamw_8bit": "adamw_torch_fused",
    "ademamix_8bit": "ademamix",
    "paged_ademamix_8bit": "ademamix",
    "lion_8bit": "lion_32bit",
    "paged_lion_8bit": "lion_32bit",
    "rmsprop_bnb_8bit": "rmsprop",
}


def algorithm_of(name: str) -> str:
    """Return the name of the algorithm behind ``name``.

    Raises:
        OptimizerNotOffered: it is not here; the message names the nearest that is.

    Example:
        >>> algorithm_of("paged_adamw_32bit")
        'adamw_torch_fused'
    """
    name = _SAME.get(name, name)
    if name in _EIGHT_BITS:
        full = _EIGHT_BITS[name]
        raise OptimizerNotOffered(
            f"optim={name!r} keeps its state in 8 bits, which is not offered; optim={full!r} is the same algorithm in "
            "32 bits, and 'adafactor' keeps the least state of all"
        )
    offered = ("adamw_torch", "adamw_torch_fused", "adafactor", "ademamix", "lion_32bit", "sgd", "adagrad", "rmsprop")
    if name not in offered:
        raise OptimizerNotOffered(f"optim={name!r} is not offered; there are {', '.join(offered)}")
    return name
