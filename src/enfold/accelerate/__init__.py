"""Training on many devices: the surface of `accelerate`."""

from enfold.lazy import face

__version__ = "1.15.0"

__getattr__, __dir__, __all__ = face(
    __name__,
    {
        ".accelerator": ["Accelerator"],
        ".data": ["prepare_data_loader", "skip_first_batches"],
        ".empty": ["init_empty_weights", "init_on_device"],
        ".seeds": ["set_seed"],
        ".state": ["DistributedType", "PartialState"],
        ".wrappers": ["AcceleratedOptimizer", "AcceleratedScheduler"],
    },
)
