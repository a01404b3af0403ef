"""The torch model that stands behind one of another framework: it is exported, and holds no weights of its own."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

__all__ = ["array", "emptied", "torch_input"]


def array(tensor: torch.Tensor, bfloat16: Any) -> np.ndarray:
    """Return a tensor as numpy's array.

    Args:
        tensor: of any type.
        bfloat16: the type that stands for torch's, which numpy does not have.
    """
    tensor = tensor.detach().cpu()
    if tensor.dtype == torch.bfloat16:
        return tensor.float().numpy().astype(bfloat16)
    return np.ascontiguousarray(tensor.numpy())


def emptied(model: Any, dtype: torch.dtype | None = None) -> Any:
    """Give back the memory of a model's weights: shapes, and types or ``dtype``, which an export reads, stay."""
    for parameter in model.parameters():
        parameter.data = torch.zeros((), dtype=dtype or parameter.dtype).expand(parameter.shape)
    return model


def torch_input(value: Any) -> Any:
    """Return an array of any framework as torch's tensor, whole numbers in int64; what is none, as it is."""
    if not hasattr(value, "__array__") or isinstance(value, torch.Tensor | np.generic):
        return value
    made = torch.from_numpy(np.array(value))
    return made.long() if made.dtype == torch.int32 else made
