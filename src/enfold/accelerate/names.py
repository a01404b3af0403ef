"""Names of the files in a checkpoint, and the versions from which on parts of torch are there."""

from __future__ import annotations

from typing import Any

__all__ = [
    "BETA_CP_AVAILABLE_PYTORCH_VERSION",
    "BETA_SP_AVAILABLE_DEEPSPEED_VERSION",
    "BETA_TP_AVAILABLE_PYTORCH_VERSION",
    "BETA_TP_AVAILABLE_TRANSFORMERS_VERSION",
    "MITA_PROFILING_AVAILABLE_PYTORCH_VERSION",
    "MODEL_NAME",
    "OPTIMIZER_NAME",
    "PROFILE_PATTERN_NAME",
    "RNG_STATE_NAME",
    "SAFE_MODEL_NAME",
    "SAFE_WEIGHTS_INDEX_NAME",
    "SAFE_WEIGHTS_NAME",
    "SAFE_WEIGHTS_PATTERN_NAME",
    "SAMPLER_NAME",
    "SCALER_NAME",
    "SCHEDULER_NAME",
    "TORCH_DISTRIBUTED_OPERATION_TYPES",
    "WEIGHTS_INDEX_NAME",
    "WEIGHTS_NAME",
    "WEIGHTS_PATTERN_NAME",
    "XPU_PROFILING_AVAILABLE_PYTORCH_VERSION",
]

MODEL_NAME, SAFE_MODEL_NAME = "pytorch_model", "model"
OPTIMIZER_NAME, SCHEDULER_NAME, SAMPLER_NAME = "optimizer", "scheduler", "sampler"
SCALER_NAME, RNG_STATE_NAME = "scaler.pt", "random_states"
PROFILE_PATTERN_NAME = "profile_{suffix}.json"
WEIGHTS_NAME, SAFE_WEIGHTS_NAME = "pytorch_model.bin", "model.safetensors"
WEIGHTS_PATTERN_NAME, SAFE_WEIGHTS_PATTERN_NAME = "pytorch_model{suffix}.bin", "model{suffix}.safetensors"
WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_INDEX_NAME = "pytorch_model.bin.index.json", "model.safetensors.index.json"

BETA_TP_AVAILABLE_PYTORCH_VERSION, BETA_CP_AVAILABLE_PYTORCH_VERSION = "2.3.0", "2.6.0"
BETA_TP_AVAILABLE_TRANSFORMERS_VERSION, BETA_SP_AVAILABLE_DEEPSPEED_VERSION = "4.52.0", "0.18.2"
XPU_PROFILING_AVAILABLE_PYTORCH_VERSION, MITA_PROFILING_AVAILABLE_PYTORCH_VERSION = "2.4.0", "2.1.0"
# distributed types in which processes exchange tensors through torch.distributed
TORCH_DISTRIBUTED_OPERATION_TYPES = ["DEEPSPEED", "MULTI_GPU", "FSDP", "MEGATRON_LM", "TP", "MULTI_CPU"]
_LAYERS = ("Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d", "Linear")


def __getattr__(name: str) -> Any:
    if name == "SUPPORTED_PYTORCH_LAYERS_FOR_UPCASTING":  # classes, for which torch is loaded
        from torch import nn

        return tuple(getattr(nn, layer) for layer in _LAYERS)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
