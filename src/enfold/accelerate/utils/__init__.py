"""The deep path ``accelerate.utils``: the helpers under their usual address."""

from enfold.lazy import face

__getattr__, __dir__, __all__ = face(
    __name__,
    {
        "enfold.accelerate.accelerator": ["extract_model_from_parallel"],
        "enfold.accelerate.operations": [
            "broadcast",
            "concatenate",
            "find_batch_size",
            "gather",
            "gather_object",
            "pad_across_processes",
            "recursively_apply",
            "reduce",
            "send_to_device",
            "slice_tensors",
        ],
        "enfold.accelerate.seeds": ["enable_full_determinism", "set_seed"],
        "enfold.accelerate.state": ["DistributedType"],
    },
)
