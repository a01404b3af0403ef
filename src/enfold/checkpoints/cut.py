"""Whole tensors into places that several processes share."""

from __future__ import annotations

from torch import Tensor

__all__ = ["cut_like"]


def cut_like(tensor: Tensor, place: Tensor) -> Tensor:
    """Return a whole tensor, which every process holds, cut between them as ``place`` is; itself where that is whole.

    Example:
        >>> import torch
        >>> cut_like(torch.ones(2), torch.zeros(2))
        tensor([1., 1.])
    """
    mesh = getattr(place, "device_mesh", None)
    if mesh is None:
        return tensor
    from torch.distributed.tensor import DTensor, distribute_tensor

    if isinstance(tensor, DTensor):
        return tensor
    # Each process has the same numbers, and takes its part of its own copy: nothing is sent.
    return distribute_tensor(tensor.to(mesh.device_type), mesh, place.placements, src_data_rank=None)  # type: ignore[attr-defined]
