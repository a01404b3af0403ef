"""Training on many devices: the surface of `accelerate`."""

from enfold.lazy import face

__version__ = "1.15.0"

__getattr__, __dir__, __all__ = face(
    __name__,
    {
        ".accelerator": ["Accelerator"],
        ".data": [
            "BatchSamplerShard",
            "DataLoaderShard",
            "DataLoaderStateMixin",
            "IterableDatasetShard",
            "SeedableRandomSampler",
            "SkipBatchSampler",
            "SkipDataLoader",
            "get_sampler",
            "prepare_data_loader",
            "skip_first_batches",
        ],
        ".dispatching": ["DataLoaderDispatcher"],
        ".dispatch": [
            "cpu_offload",
            "cpu_offload_with_hook",
            "disk_offload",
            "dispatch_model",
            "load_checkpoint_and_dispatch",
            "load_checkpoint_in_model",
        ],
        ".empty": ["init_empty_weights", "init_on_device"],
        ".launching": ["debug_launcher", "notebook_launcher"],
        ".local_sgd": ["LocalSGD"],
        ".logging": ["get_logger"],
        ".maps": ["infer_auto_device_map"],
        ".memory": ["find_executable_batch_size"],
        ".options": [
            "AutocastKwargs",
            "DDPCommunicationHookType",
            "DataLoaderConfiguration",
            "DeepSpeedPlugin",
            "DistributedDataParallelKwargs",
            "FullyShardedDataParallelPlugin",
            "GradScalerKwargs",
            "GradientAccumulationPlugin",
            "InitProcessGroupKwargs",
            "MegatronLMPlugin",
            "ProfileKwargs",
            "ProjectConfiguration",
        ],
        ".parallel": ["ParallelismConfig", "prepare_pippy"],
        ".seeds": ["set_seed", "synchronize_rng_states"],
        ".state": ["DistributedType", "PartialState"],
        ".wrappers": ["AcceleratedOptimizer", "AcceleratedScheduler"],
    },
)
