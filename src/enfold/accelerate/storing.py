"""Single objects written by one process and read by all, with weights that share memory written once."""

from __future__ import annotations

import os
from codecs import encode
from collections.abc import Mapping
from typing import Any

import numpy
import torch
from torch import Tensor, nn

from enfold.accelerate.state import PartialState
from enfold.log import get_logger

__all__ = [
    "clean_state_dict_for_safetensors",
    "convert_bytes",
    "get_model_tp_size",
    "get_pretty_name",
    "id_tensor_storage",
    "load",
    "model_has_dtensor",
    "save",
    "wait_for_everyone",
]

logger = get_logger(__name__)


def wait_for_everyone() -> None:
    """Wait until every process has come here."""
    PartialState().wait_for_everyone()


def id_tensor_storage(tensor: Tensor) -> tuple[torch.device, int, int]:
    """Return what two tensors have in common that lie in the same memory: device, address and bytes."""
    storage = tensor.untyped_storage()
    return tensor.device, storage.data_ptr(), storage.nbytes()


def clean_state_dict_for_safetensors(state_dict: Mapping[str, Any]) -> dict[str, Any]:
    """Return weights as safetensors can hold them: contiguous, and each memory under its first name alone."""
    seen: dict[Any, str] = {}
    kept: dict[str, Any] = {}
    shared: list[str] = []
    for name, value in state_dict.items():
        if not isinstance(value, Tensor):
            kept[name] = value
        elif value.is_meta or seen.setdefault(id_tensor_storage(value), name) == name:
            kept[name] = value.contiguous()
        else:
            shared.append(name)
    if shared:
        logger.warning(
            "Removed shared tensor(s) %s: they are written under their first names alone, and tied again when the "
            "model is loaded",
            ", ".join(shared),
        )
    return kept


def save(
    obj: Any, f: str | os.PathLike[str], save_on_each_node: bool = False, safe_serialization: bool = False
) -> None:
    """Write an object with ``torch.save``, or tensors as safetensors, on the main process.

    Args:
        obj: the object; with ``safe_serialization`` name → tensor.
        f: the file.
        save_on_each_node: the first process of each machine writes.
        safe_serialization: write safetensors.
    """
    state = PartialState()
    if not (state.is_local_main_process if save_on_each_node else state.is_main_process):
        return
    if safe_serialization:
        from safetensors.torch import save_file

        save_file(clean_state_dict_for_safetensors(obj), f, metadata={"format": "pt"})
    else:
        torch.save(obj, f)


def load(f: Any, map_location: Any = None, **kwargs: Any) -> Any:
    """Read what ``torch.save`` wrote, without running code; numpy's arrays and random states are read too.

    Args:
        f: the file.
        map_location: as in ``torch.load``.
        kwargs: of ``torch.load``; ``weights_only`` stays True.
    """
    kwargs.pop("weights_only", None)
    plain: Any = [numpy._core.multiarray._reconstruct, numpy.ndarray, numpy.dtype, numpy.dtypes.UInt32DType, encode]  # type: ignore[attr-defined]
    with torch.serialization.safe_globals(plain):
        return torch.load(f, map_location=map_location, weights_only=True, **kwargs)


def model_has_dtensor(model: nn.Module) -> bool:
    """Return whether processes hold parts of a model's parameters."""
    from enfold.accelerate.parallel import is_cut

    return is_cut(model)


def get_model_tp_size(model: nn.Module) -> int | None:
    """Return how many processes cut a model's matrices between them, as the model says, or None."""
    said = getattr(model, "tp_size", None)
    if said is not None:
        return int(said)  # type: ignore[arg-type]
    distributed = getattr(getattr(model, "config", None), "distributed_config", None)
    if isinstance(distributed, Mapping):
        return distributed.get("tp_size")
    return getattr(distributed, "tp_size", None)


def get_pretty_name(obj: Any) -> str:
    """Return the name of a class or function, or of an object's class."""
    for one in (obj, type(obj)):
        for attribute in ("__qualname__", "__name__"):
            if hasattr(one, attribute):
                return str(getattr(one, attribute))
    return str(obj)


def convert_bytes(size: float) -> str:
    """Return a number of bytes in the largest unit that leaves one before the point.

    Example:
        >>> convert_bytes(2048)
        '2.0 KB'
    """
    for unit in ("bytes", "KB", "MB", "GB", "TB"):
        if size < 1024:
            return f"{round(size, 2)} {unit}"
        size /= 1024
    return f"{round(size, 2)} PB"
