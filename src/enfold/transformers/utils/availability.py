"""Which packages are there, under the names that the ecosystem asks with."""

from __future__ import annotations

import sys

from enfold.accelerate.availability import check

__all__ = ["CHECKS", "NLTK_IMPORT_ERROR", "is_in_notebook", "is_torchdynamo_compiling"]

# question → the import name that answers it; the libraries that enfold itself stands for are there
CHECKS: dict[str, str] = {
    "is_accelerate_available": "enfold.accelerate",
    "is_bitsandbytes_available": "bitsandbytes",
    "is_codecarbon_available": "codecarbon",
    "is_datasets_available": "enfold.datasets",
    "is_evaluate_available": "enfold.evaluate",
    "is_flash_attn_2_available": "flash_attn",
    "is_flax_available": "flax",
    "is_librosa_available": "librosa",
    "is_nltk_available": "nltk",
    "is_numpy_available": "numpy",
    "is_optimum_available": "enfold.optimum",
    "is_optuna_available": "optuna",
    "is_pandas_available": "pandas",
    "is_peft_available": "enfold.peft",
    "is_safetensors_available": "safetensors",
    "is_scipy_available": "scipy",
    "is_sentencepiece_available": "sentencepiece",
    "is_sklearn_available": "sklearn",
    "is_tensorboard_available": "tensorboard",
    "is_tf_available": "tensorflow",
    "is_tokenizers_available": "enfold.tokenizers",
    "is_torch_available": "torch",
    "is_torch_npu_available": "torch_npu",
    "is_torch_xla_available": "torch_xla",
    "is_torchvision_available": "torchvision",
    "is_vision_available": "PIL",
    "is_wandb_available": "wandb",
}

NLTK_IMPORT_ERROR = "{0} needs nltk, which is not installed: pip install nltk"


globals().update({name: check(package) for name, package in CHECKS.items()})


def is_in_notebook() -> bool:
    """Return whether the program runs in a notebook."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return shell is not None and "IPKernelApp" in getattr(shell, "config", {})


def is_torchdynamo_compiling() -> bool:
    """Return whether torch is tracing a graph."""
    torch = sys.modules.get("torch")
    return torch is not None and torch.compiler.is_compiling()
