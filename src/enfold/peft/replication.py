"""A deeper model of the same weights: ``layer_replication``."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

from torch import nn

from enfold.errors import EnfoldError

__all__ = ["replicate_layers"]

# Where models keep their blocks, by what is inside the innermost ``model`` or ``bert``.
_PLACES = ("layers", "encoder.layer", "h")


def replicate_layers(model: nn.Module, layer_map: Iterable[tuple[int, int]]) -> None:
    """Replace a model's blocks by ranges of them, in place; a block that comes twice shares its weights.

    Args:
        model: a decoder or an encoder.
        layer_map: from which block, and up to which, for each range: ``[(0, 4), (2, 5)]`` makes seven of five.

    Raises:
        EnfoldError: the model keeps its blocks elsewhere, or has fewer.

    Source: the depth up-scaling of https://arxiv.org/abs/2312.15166
    """
    inner: Any = model
    while hasattr(inner, "model"):
        inner = inner.model
    inner = getattr(inner, "bert", getattr(inner, "transformer", inner))
    for place in _PLACES:
        parent, _, name = place.rpartition(".")
        holder = inner if not parent else getattr(inner, parent, None)
        blocks = getattr(holder, name, None)
        if isinstance(blocks, nn.ModuleList):
            break
    else:
        raise EnfoldError(f"layer_replication: {type(model).__name__} keeps no blocks in {', '.join(_PLACES)}")
    wanted = [number for start, end in layer_map for number in range(start, end)]
    beyond = [number for number in wanted if not 0 <= number < len(blocks)]
    if beyond or not wanted:
        raise EnfoldError(f"layer_replication asks for block {beyond or 'none'} of {len(blocks)}")
    made = nn.ModuleList()
    for place_of, number in enumerate(wanted):
        block = blocks[number]
        shared = {id(tensor): tensor for tensor in [*block.parameters(), *block.buffers()]}
        twin = copy.deepcopy(block, shared)
        for part in twin.modules():
            if hasattr(part, "layer_idx"):
                part.layer_idx = place_of  # type: ignore[assignment]
        made.append(twin)
    setattr(holder, name, made)
    if len(getattr(inner, "kinds", ())) == len(blocks):  # what each block looks at
        inner.kinds = [inner.kinds[number] for number in wanted]
    settings = getattr(model, "config", None)
    if hasattr(settings, "num_hidden_layers"):
        settings.num_hidden_layers = len(made)  # type: ignore[union-attr]
        kinds = getattr(settings, "layer_types", None)
        if kinds:
            settings.layer_types = [kinds[number] for number in wanted]  # type: ignore[union-attr]
