"""Which packages and devices are there, under the names that the ecosystem asks with, and in which version."""

from __future__ import annotations

import functools
import importlib.util
import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from enfold.errors import nearest

if TYPE_CHECKING:
    from packaging.version import Version

__all__ = ["CHECKS", "check", "compare_versions", "is_bf16_available", "is_bnb_available", "is_torch_version"]

# question → the import names of which one answers it; the libraries that enfold itself stands for are there
CHECKS: dict[str, tuple[str, ...]] = {
    "is_aim_available": ("aim",),
    "is_amdsmi_available": ("amdsmi",),
    "is_boto3_available": ("boto3",),
    "is_clearml_available": ("clearml",),
    "is_comet_ml_available": ("comet_ml",),
    "is_datasets_available": ("enfold.datasets",),
    "is_deepspeed_available": ("deepspeed",),
    "is_dvclive_available": ("dvclive",),
    "is_import_timer_available": ("import_timer",),
    "is_lomo_available": ("lomo_optim",),
    "is_matplotlib_available": ("matplotlib",),
    "is_megatron_lm_available": ("megatron.training",),
    "is_mlflow_available": ("mlflow",),
    "is_msamp_available": ("msamp",),
    "is_pandas_available": ("pandas",),
    "is_peft_available": ("enfold.peft",),
    "is_pynvml_available": ("pynvml",),
    "is_pytest_available": ("pytest",),
    "is_sagemaker_available": ("sagemaker",),
    "is_schedulefree_available": ("schedulefree",),
    "is_swanlab_available": ("swanlab",),
    "is_tensorboard_available": ("tensorboard", "tensorboardX"),
    "is_timm_available": ("timm",),
    "is_torchao_available": ("torchao",),
    "is_torchdata_available": ("torchdata",),
    "is_torchdata_stateful_dataloader_available": ("torchdata.stateful_dataloader",),
    "is_torchvision_available": ("torchvision",),
    "is_tqdm_available": ("tqdm",),
    "is_trackio_available": ("trackio",),
    "is_transformer_engine_available": ("transformer_engine",),
    "is_transformers_available": ("enfold.transformers",),
    "is_triton_available": ("triton",),
    "is_wandb_available": ("wandb",),
    # devices whose parts of torch are packages of their own
    "is_mlu_available": ("torch_mlu",),
    "is_musa_available": ("torch_musa",),
    "is_neuron_available": ("torch_neuronx",),
    "is_npu_available": ("torch_npu",),
    "is_sdaa_available": ("torch_sdaa",),
    "is_torch_xla_available": ("torch_xla",),
    "is_hpu_available": ("habana_frameworks.torch",),
}
# what is never there: devices and formats of numbers that nothing here speaks to
_NEVER = ("is_habana_gaudi1", "is_transformer_engine_mxfp8_available", "is_bitsandbytes_multi_backend_available")

_OPERATIONS: dict[str, Callable[[Any, Any], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
    "<=": operator.le,
    "<": operator.lt,
}


def check(*packages: str) -> Callable[..., bool]:
    """Return a function that says whether one of some packages can be imported; it takes and ignores arguments."""

    def found(*_: object, **__: object) -> bool:
        return any(map(_importable, packages))

    found.__doc__ = f"Return whether {' or '.join(packages)} can be imported."
    return found


def _importable(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except (ImportError, ValueError):
        return False


globals().update({name: check(*packages) for name, packages in CHECKS.items()})
globals().update({name: check() for name in _NEVER})


def compare_versions(library_or_version: str | Version, operation: str, requirement_version: str) -> bool:
    """Compare the version of an installed library, or a version, with another.

    Args:
        library_or_version: a library's name, or its version as ``packaging`` reads it.
        operation: ``">"``, ``">="``, ``"=="``, ``"!="``, ``"<="`` or ``"<"``.
        requirement_version: the other version.

    Example:
        >>> compare_versions("torch", ">=", "2.0")
        True
    """
    from packaging.version import parse

    if operation not in _OPERATIONS:
        raise ValueError(f"`operation` must be one of {list(_OPERATIONS)}, got {operation!r}")
    known = library_or_version
    if isinstance(known, str):
        from importlib.metadata import version

        known = parse(version(known))
    return _OPERATIONS[operation](known, parse(requirement_version))


def is_torch_version(operation: str, version: str) -> bool:
    """Compare torch's version with another, as :func:`compare_versions` does."""
    return compare_versions("torch", operation, version)


def is_bnb_available(min_version: str | None = None) -> bool:
    """Return whether bitsandbytes is there, in a version at least."""
    return _importable("bitsandbytes") and (min_version is None or compare_versions("bitsandbytes", ">=", min_version))


is_4bit_bnb_available = functools.partial(is_bnb_available, "0.39.0")
is_8bit_bnb_available = functools.partial(is_bnb_available, "0.37.2")


def is_rich_available() -> bool:
    """Return whether rich is there and ``ACCELERATE_ENABLE_RICH`` asks for it."""
    from enfold.accelerate.environment import parse_flag_from_env

    return _importable("rich") and parse_flag_from_env("ACCELERATE_ENABLE_RICH")


def is_cuda_available() -> bool:
    """Return whether there is a GPU, without starting its driver."""
    import torch

    from enfold.accelerate.launching import patch_environment

    with patch_environment(PYTORCH_NVML_BASED_CUDA_CHECK="1"):
        return torch.cuda.is_available()


def is_rocm_available() -> bool:
    """Return whether there is a GPU that torch reaches through ROCm."""
    import torch

    return torch.version.hip is not None and torch.cuda.is_available()


def is_mps_available(min_version: str = "1.12") -> bool:
    """Return whether torch, in a version at least, reaches a GPU of Apple's."""
    import torch

    return is_torch_version(">=", min_version) and torch.backends.mps.is_available()


def is_xpu_available(check_device: bool = False) -> bool:
    """Return whether there is a GPU of Intel's."""
    import torch

    return hasattr(torch, "xpu") and torch.xpu.is_available()


def is_xccl_available() -> bool:
    """Return whether processes can meet over Intel's collectives."""
    import torch

    return bool(torch.distributed.is_available() and torch.distributed.is_xccl_available())


def is_pippy_available() -> bool:
    """Return whether torch cuts models into stages; every version that enfold runs on does."""
    return is_torch_version(">=", "2.4.0")


def is_weights_only_available() -> bool:
    """Return whether ``torch.load`` reads weights without running code."""
    return is_torch_version(">=", "2.4.0")


def is_bf16_available(ignore_tpu: bool = False) -> bool:
    """Return whether the device computes in bfloat16; the processor does."""
    import torch

    return torch.cuda.is_bf16_supported() if torch.cuda.is_available() else True


def is_fp16_available() -> bool:
    """Return whether the device computes in float16."""
    return True


def check_cuda_fp8_capability() -> bool:
    """Return whether the GPU computes in eight bits: Ada Lovelace, Hopper or newer."""
    import torch

    return torch.cuda.is_available() and torch.cuda.get_device_capability() >= (8, 9)


def is_fp8_available() -> bool:
    """Return whether a package that computes in eight bits is there."""
    return any(map(_importable, (*CHECKS["is_transformer_engine_available"], "torchao", "msamp")))


def check_os_kernel() -> None:
    """Warn of a Linux kernel older than 5.5, on which processes may hang."""
    import platform
    import re

    from packaging.version import Version

    from enfold.log import get_logger

    told = platform.uname()
    found = re.search(r"\d+\.\d+\.\d+", told.release)
    if told.system != "Linux" or found is None or Version(found.group()) >= Version("5.5.0"):
        return
    get_logger(__name__).warning(
        "the Linux kernel %s is older than 5.5.0, on which a training may hang; a newer one is advised", found.group()
    )


def __getattr__(name: str) -> Any:
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}{nearest(name, [*CHECKS, *globals()])}")
