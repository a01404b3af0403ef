"""The deep path ``accelerate.utils``: helpers under their usual address."""

from enfold.accelerate.accelerator import extract_model_from_parallel
from enfold.accelerate.operations import (
    broadcast,
    concatenate,
    find_batch_size,
    gather,
    gather_object,
    pad_across_processes,
    recursively_apply,
    reduce,
    send_to_device,
    slice_tensors,
)
from enfold.accelerate.seeds import enable_full_determinism, set_seed
from enfold.accelerate.state import DistributedType

__all__ = [
    "DistributedType",
    "broadcast",
    "concatenate",
    "enable_full_determinism",
    "extract_model_from_parallel",
    "find_batch_size",
    "gather",
    "gather_object",
    "pad_across_processes",
    "recursively_apply",
    "reduce",
    "send_to_device",
    "set_seed",
    "slice_tensors",
]
