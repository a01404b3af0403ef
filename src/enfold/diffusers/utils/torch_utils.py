"""Random tensors that do not depend on the device they end on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

__all__ = ["randn_tensor"]


def randn_tensor(
    shape: Sequence[int],
    generator: list[torch.Generator] | torch.Generator | None = None,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
    layout: torch.layout | None = None,
) -> Tensor:
    """Return normal noise, the same for a seed wherever it goes: a generator's own device draws it.

    Args:
        shape: the tensor's shape; the first dimension is the batch.
        generator: one for all, or one for each row of the batch; torch's own by default.
        device: where the tensor goes; the CPU by default.
        dtype: its type.
        layout: its layout.

    Raises:
        ValueError: a CUDA generator for a tensor elsewhere, or another number of generators than rows.

    Example:
        >>> one = randn_tensor((2, 3), generator=torch.Generator().manual_seed(0))
        >>> torch.equal(one, torch.randn(2, 3, generator=torch.Generator().manual_seed(0)))
        True
    """
    target = torch.device(device or "cpu")
    options: dict[str, Any] = {"dtype": dtype, "layout": layout or torch.strided}
    if isinstance(generator, list) and len(generator) == 1:
        generator = generator[0]
    sources = generator if isinstance(generator, list) else [generator]
    for source in sources:
        if source is not None and source.device.type == "cuda" and target.type != "cuda":
            raise ValueError(f"a generator on {source.device} draws nothing for {target}; use torch.Generator('cpu')")
    if isinstance(generator, list):
        if len(generator) != shape[0]:
            raise ValueError(
                f"{len(generator)} generators for a batch of {shape[0]}; expected one, or one for each row"
            )
        rows = [torch.randn((1, *shape[1:]), generator=one, device=one.device, **options) for one in generator]
        return torch.cat(rows).to(target)
    here = target if generator is None else generator.device
    return torch.randn(tuple(shape), generator=generator, device=here, **options).to(target)
