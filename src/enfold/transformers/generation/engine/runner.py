"""Reads the tokens of many requests in one row."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from enfold.nn.rows import writing
from enfold.transformers.generation.engine.blocks import Blocks
from enfold.transformers.generation.engine.pages import PagedCache, Segment, runs_of
from enfold.transformers.generation.engine.scheduler import Piece

__all__ = ["Runner"]


class Runner:
    """A model that reads pieces of many requests at once.

    Linear layers see one row of tokens, whoever they belong to; only attention tells them apart.

    Args:
        model: a decoder.
        blocks: whose memory the pages are.
    """

    def __init__(self, model: Any, blocks: Blocks) -> None:
        self.model, self.blocks = model, blocks
        self.cache = PagedCache(model.config, blocks.count * blocks.size)

    @torch.no_grad()
    @writing()
    def read(self, pieces: list[Piece]) -> Tensor:
        """Read the pieces, and return logits (B, V) in single precision after each of those that end their text."""
        size, device = self.blocks.size, self.model.device
        segments: list[Segment] = []
        slots: list[int] = []
        places: list[int] = []
        ends: list[int] = []
        for piece in pieces:
            request, first, last = piece
            segments.append(Segment(len(places), last - first, last, runs_of(request.blocks, size, last)))
            slots += [request.blocks[place // size] * size + place % size for place in range(first, last)]
            places += range(first, last)
            if piece.is_last:
                ends.append(len(places) - 1)
        ids = torch.cat([piece.request.ids[:, piece.first : piece.last] for piece in pieces], 1)
        self.cache.place(segments, torch.tensor(slots, device=device))
        output = self.model(
            ids.to(device),
            position_ids=torch.tensor([places], device=device),
            past_key_values=self.cache,
            use_cache=True,
            logits_to_keep=torch.tensor(ends, dtype=torch.long, device=device),
            return_dict=True,
        )
        return output.logits[0].float()
