"""Keys and values in pages, as a model sees them: a cache whose keys are attended to where they lie."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from enfold.errors import EnfoldError
from enfold.nn.attention import attend
from enfold.nn.cache import Cache, CacheLayer
from enfold.nn.mask import layer_kinds

__all__ = ["PagedCache", "Segment", "runs_of"]


@dataclass
class Segment:
    """New tokens of one sequence, somewhere in the row that a model reads.

    Attributes:
        start: where they begin in the row.
        count: how many they are.
        length: how many positions of the sequence there are, these included.
        runs: where its keys lie: (first slot, how many), in order.
    """

    start: int
    count: int
    length: int
    runs: list[tuple[int, int]]


def runs_of(blocks: list[int], size: int, length: int) -> list[tuple[int, int]]:
    """Return the slots of a sequence as runs (first, how many): blocks side by side make one.

    Example:
        >>> runs_of([3, 4, 9], size=16, length=40)
        [(48, 32), (144, 8)]
    """
    runs: list[tuple[int, int]] = []
    for place, block in enumerate(blocks):
        count = min(size, length - place * size)
        if count <= 0:
            break
        if runs and runs[-1][0] + runs[-1][1] == block * size:
            runs[-1] = (runs[-1][0], runs[-1][1] + count)
        else:
            runs.append((block * size, count))
    return runs


class PagedCache(Cache):
    """All sequences' keys and values; a model reads new tokens of several in one row.

    Before each reading ``place`` says whose they are.

    Args:
        config: of the model; says which layers see a window only.
        slots: how many positions fit in all.
    """

    def __init__(self, config: Any, slots: int) -> None:
        super().__init__()
        text = config.get_text_config(decoder=True)
        window, kinds = getattr(text, "sliding_window", None), layer_kinds(text)
        self.slots = slots
        self.segments: list[Segment] = []
        self.where: Tensor = torch.empty(0, dtype=torch.long)
        self.layers = [PagedLayer(self, window if kind == "sliding_attention" else None) for kind in kinds]

    def place(self, segments: list[Segment], where: Tensor) -> None:
        """Say which tokens come next, and in which slots (N,) they go."""
        self.segments, self.where = segments, where

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Return 0: a row of new tokens has no one past; positions are given."""
        return 0

    def get_mask_sizes(self, query_length: Any, layer_idx: int = 0) -> tuple[int, int]:
        """Return sizes for which a model makes no mask: who sees what is decided here."""
        return (query_length if isinstance(query_length, int) else int(query_length.shape[0])), 0


class PagedLayer(CacheLayer):
    """One layer's pages.

    Args:
        cache: which tokens come next.
        window: how many tokens a query sees, itself included; None sees all.
    """

    def __init__(self, cache: PagedCache, window: int | None) -> None:
        super().__init__()
        self.cache, self.window = cache, window

    def update_and_fetch(self, keys: Tensor, values: Tensor) -> Any:
        """Write ``keys`` and ``values`` (1, K, N, D) into their slots, and return what attends to all of them."""
        if self._keys is None or self._values is None:
            heads, dim = keys.shape[1], keys.shape[3]
            self._keys = keys.new_empty(heads, self.cache.slots, dim)
            self._values = values.new_empty(heads, self.cache.slots, values.shape[3])
        self._keys.index_copy_(1, self.cache.where, keys[0])
        self._values.index_copy_(1, self.cache.where, values[0])
        return self, self._values

    def attended_by(
        self, query: Tensor, mask: Tensor | None, *, scale: float | None, softcap: float | None
    ) -> tuple[Tensor, None]:
        """Return what each token finds in its own sequence, (1, H, N, D).

        Args:
            query: (1, H, N, D).
            mask: that the model made for one long sequence; only one that adds to the scores says something.
            scale, softcap: see ``attend``.

        Raises:
            EnfoldError: for models whose mask says how far apart tokens are.
        """
        if mask is not None and mask.dtype != torch.bool:
            raise EnfoldError("the engine cannot write with a model that adds distances to its scores (alibi)")
        heads, total = query.shape[1], query.shape[2]
        assert self._values is not None
        out = query.new_empty(1, total, heads, self._values.shape[2])
        for segment in self.cache.segments:
            self._attend(segment, query, out, scale, softcap)
        return out.transpose(1, 2), None

    def _attend(self, segment: Segment, query: Tensor, out: Tensor, scale: float | None, softcap: float | None) -> None:
        start, count, length = segment.start, segment.count, segment.length
        first = 0 if self.window is None else max(length - count - self.window + 1, 0)
        keys, values = self._gathered(segment.runs, first)  # (1, K, S, D)
        mine = query.narrow(2, start, count)
        mask = None
        if count > 1:
            seen, asked = length - first, torch.arange(length - count, length, device=query.device)[:, None]
            if self.window is not None and seen > self.window:
                place = torch.arange(first, length, device=query.device)
                mask = ((place <= asked) & (place > asked - self.window))[None, None]
            elif seen > count:
                mask = (torch.arange(first, length, device=query.device) <= asked)[None, None]
        if count == 1 and softcap is None:
            # One new token: the queries that share a key become rows of one head.
            shared = (keys.shape[1], -1, query.shape[3])
            found = F.scaled_dot_product_attention(mine.reshape(1, *shared), keys, values, scale=scale)
            out[0, start] = found.reshape(-1, found.shape[3])
            return
        found, _ = attend(mine, keys, values, mask, causal=mask is None, scale=scale, softcap=softcap)
        out[:, start : start + count] = found.transpose(1, 2)

    def _gathered(self, runs: list[tuple[int, int]], first: int) -> tuple[Tensor, Tensor]:
        """Return the keys and values (1, K, S, D) of a sequence from position ``first`` on; of one run as a view."""
        assert self._keys is not None and self._values is not None
        if first:
            kept = []
            for begin, count in runs:
                if first < count:
                    kept.append((begin + first, count - first))
                first = max(first - count, 0)
            runs = kept
        if len(runs) == 1:
            begin, count = runs[0]
            return self._keys.narrow(1, begin, count)[None], self._values.narrow(1, begin, count)[None]
        return (
            torch.cat([self._keys.narrow(1, begin, count) for begin, count in runs], 1)[None],
            torch.cat([self._values.narrow(1, begin, count) for begin, count in runs], 1)[None],
        )
