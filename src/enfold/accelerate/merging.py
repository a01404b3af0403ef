"""Shards of a model, saved by several processes, put together."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from torch import Tensor

from enfold.checkpoints import CheckpointError, save

__all__ = ["merge_fsdp_weights"]


def merge_fsdp_weights(
    checkpoint_dir: str | os.PathLike[str],
    output_path: str | os.PathLike[str],
    safe_serialization: bool = True,
    remove_checkpoint_dir: bool = False,
) -> None:
    """Write the whole weights of a sharded checkpoint, in this one process.

    Args:
        checkpoint_dir: the folder ``pytorch_model_fsdp_0`` of ``save_state``, or the folder around it.
        output_path: folder for ``model.safetensors``.
        safe_serialization: False writes ``pytorch_model.bin``.
        remove_checkpoint_dir: remove the shards afterwards.
    """
    from torch.distributed.checkpoint import FileSystemReader
    from torch.distributed.checkpoint.default_planner import _EmptyStateDictLoadPlanner
    from torch.distributed.checkpoint.state_dict_loader import _load_state_dict

    source = Path(checkpoint_dir)
    if not (source / ".metadata").is_file():
        inner = sorted(path for path in source.glob("pytorch_model_fsdp_*") if (path / ".metadata").is_file())
        if not inner:
            raise CheckpointError(f"{source} holds no sharded weights: expected .metadata and *.distcp files")
        source = inner[0]
    state: dict[str, dict[str, Tensor]] = {}
    _load_state_dict(state, storage_reader=FileSystemReader(source), planner=_EmptyStateDictLoadPlanner(), no_dist=True)
    weights = state.get("model", state)
    save(weights, output_path, safe_serialization=safe_serialization)  # type: ignore[arg-type]
    if remove_checkpoint_dir:
        shutil.rmtree(source)
