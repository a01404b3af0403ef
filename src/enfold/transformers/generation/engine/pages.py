"""Keys and values in pages, as a model sees them: a cache whose keys are attended to where they lie."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from enfold.errors import EnfoldError
from enfold.nn import rows
from enfold.nn.attention import attend
from enfold.nn.cache import Cache, CacheLayer
from enfold.nn.caches.layers import Room
from enfold.nn.linear import is_plain_call
from enfold.nn.mask import layer_kinds

__all__ = ["PagedCache", "Segment", "cut", "runs_of"]


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


def cut(runs: list[tuple[int, int]], first: int) -> list[tuple[int, int]]:
    """Return the runs of a sequence from position ``first`` on.

    Example:
        >>> cut([(48, 32), (144, 8)], 35)
        [(147, 5)]
    """
    kept = []
    for begin, count in runs:
        if first < count:
            kept.append((begin + max(first, 0), count - max(first, 0)))
        first -= count
    return kept


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
        self._seen: dict[int | None, list[tuple[Segment, int, list[tuple[int, int]]]]] = {}
        self._tables: dict[int | None, tuple[Tensor, Tensor] | None] = {}

    def place(self, segments: list[Segment], where: Tensor) -> None:
        """Say which tokens come next, in order, and in which slots (N,) they go."""
        self.segments, self.where, self._seen, self._tables = segments, where, {}, {}

    def seen(self, window: int | None) -> list[tuple[Segment, int, list[tuple[int, int]]]]:
        """Return each segment with the first position that any of its tokens sees, and where what it sees lies."""
        if window not in self._seen:
            found = self._seen[window] = []
            for segment in self.segments:
                first = 0 if window is None else max(segment.length - segment.count - window + 1, 0)
                found.append((segment, first, cut(segment.runs, first) if first else segment.runs))
        return self._seen[window]

    def tables(self, window: int | None) -> tuple[Tensor, Tensor] | None:
        """Return where each token's keys lie, as ``rows.attended`` takes it; None where pieces of prompts are read."""
        if window not in self._tables:
            seen = self.seen(window)
            made = None
            if all(segment.count == 1 for segment, _, _ in seen):
                starts = [0, *accumulate(len(runs) for _, _, runs in seen)]
                made = torch.tensor(starts), torch.tensor([run for _, _, runs in seen for run in runs])
            self._tables[window] = made
        return self._tables[window]

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
            shape = (1, keys.shape[1], self.cache.slots)
            self._keys, self._values = keys.new_empty(*shape, keys.shape[3]), values.new_empty(*shape, values.shape[3])
        if keys.dtype is values.dtype is torch.float32 and is_plain_call(keys) and rows.core() is not None:
            rows.kept(keys, self.cache.where, self._keys)
            rows.kept(values, self.cache.where, self._values)
            return self, self._values
        self._keys.index_copy_(2, self.cache.where, keys)
        self._values.index_copy_(2, self.cache.where, values)
        return self, self._values

    def room(self) -> Room | None:
        """Return where one token of each text goes and what it sees; None where pieces of prompts are read."""
        tables = self.cache.tables(self.window)
        if tables is None or self._keys is None or self._values is None:
            return None
        return Room(self._keys, self._values, where=self.cache.where, seen=tables)

    def advance(self) -> None:
        """Nothing is counted: each reading says what it sees."""

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
        assert self._keys is not None and self._values is not None
        _, heads, total, dim = query.shape
        plain = query.dtype is self._keys.dtype is torch.float32 and softcap is None and dim % 16 == 0
        if plain and self._values.shape[-1] == dim and is_plain_call(query) and rows.core() is not None:
            tables = self.cache.tables(self.window)
            if tables is not None:
                share = dim**-0.5 if scale is None else scale
                return rows.attended(query, self._keys, self._values, *tables, share).transpose(0, 1)[None], None
        # For one new token the queries that share a key become rows of one head: (1, K, H / K, D) each.
        ones = query.transpose(1, 2).reshape(total, 1, self._keys.shape[1], -1, dim).unbind(0)
        found = []
        for segment, first, runs in self.cache.seen(self.window):
            keys, values = self._gathered(runs)
            if segment.count == 1 and softcap is None:
                one = F.scaled_dot_product_attention(ones[segment.start], keys, values, scale=scale)
                found.append(one.reshape(1, heads, -1))
                continue
            mine, may_see = query.narrow(2, segment.start, segment.count), self._mask(segment, first, query.device)
            several, _ = attend(mine, keys, values, may_see, causal=may_see is None, scale=scale, softcap=softcap)
            found.append(several[0].transpose(0, 1))
        return torch.cat(found).transpose(0, 1)[None], None

    def _mask(self, segment: Segment, first: int, device: torch.device) -> Tensor | None:
        """Return which positions from ``first`` on the tokens of a segment see, or None where causality says it all."""
        seen = segment.length - first
        if segment.count == 1 or (seen == segment.count and (self.window is None or seen <= self.window)):
            return None
        asked = torch.arange(segment.length - segment.count, segment.length, device=device)[:, None]
        place = torch.arange(first, segment.length, device=device)
        may_see = place <= asked
        if self.window is not None and seen > self.window:
            may_see &= place > asked - self.window
        return may_see[None, None]

    def _gathered(self, runs: list[tuple[int, int]]) -> tuple[Tensor, Tensor]:
        """Return the keys and values (1, K, S, D) that lie in the runs; of one run as a view."""
        assert self._keys is not None and self._values is not None
        keys, values = self._keys, self._values
        if len(runs) == 1:
            begin, count = runs[0]
            return keys.narrow(2, begin, count), values.narrow(2, begin, count)
        return (
            torch.cat([keys.narrow(2, begin, count) for begin, count in runs], 2),
            torch.cat([values.narrow(2, begin, count) for begin, count in runs], 2),
        )
