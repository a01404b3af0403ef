"""The keys and values that one layer keeps: allocated ahead and grown in chunks, so that a step copies one token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from enfold.errors import EnfoldError

__all__ = ["CacheLayer", "Room", "SlidingLayer", "StaticLayer"]

CHUNK = 64


@dataclass(slots=True)
class Room:
    """Where one new position of each text goes, and what it then sees.

    Attributes:
        keys, values: buffers (B, K, S, D), a row for each text, which all write at ``offset``; or pages (1, K, S, D).
        offset: positions before the new one; 0 in pages.
        where: the slots (N,) of the texts' new positions in pages.
        seen: in pages, the first run of each text (N + 1,), and the first slot and the length of each run (R, 2).
    """

    keys: Tensor
    values: Tensor
    offset: int = 0
    where: Tensor | None = None
    seen: Any = None


class CacheLayer:
    """The keys and values of one layer.

    Args:
        reserve: room for this many positions is allocated with the first tokens.

    Example:
        >>> layer = CacheLayer()
        >>> keys, values = layer.update_and_fetch(torch.zeros(1, 2, 3, 4), torch.zeros(1, 2, 3, 4))
        >>> layer.offset, keys.shape
        (3, torch.Size([1, 2, 3, 4]))
    """

    is_sliding = False
    is_compileable = False  # the shapes grow

    def __init__(self, reserve: int = 0) -> None:
        self.offset = 0  # positions seen
        self.reserve = reserve
        self._keys: Tensor | None = None  # (B, H, capacity, D)
        self._values: Tensor | None = None

    @property
    def keys(self) -> Tensor | None:
        """The filled keys (B, H, offset, D), or None."""
        return None if self._keys is None else self._keys[:, :, : self.offset]

    @property
    def values(self) -> Tensor | None:
        """The filled values (B, H, offset, D), or None."""
        return None if self._values is None else self._values[:, :, : self.offset]

    def update_and_fetch(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Append ``keys`` and ``values`` (B, H, T, D) and return all of them (B, H, offset, D)."""
        end = self.offset + keys.shape[2]
        if self._keys is None or self._values is None:
            if end >= self.reserve or keys.requires_grad:
                self._keys, self._values, self.offset = keys, values, end
                return keys, values
            self._allocate(keys, values, self.reserve)
        elif keys.requires_grad or self._keys.requires_grad:
            # Gradients flow through what is stored (prefix tuning): writing in place would break their graph.
            self._keys = torch.cat((self._keys[:, :, : self.offset], keys), 2)
            self._values = torch.cat((self._values[:, :, : self.offset], values), 2)
            self.offset = end
            return self._keys, self._values
        elif end > self._keys.shape[2]:
            self._grow(keys, values, end)
        assert self._keys is not None and self._values is not None
        # narrow and copy_, not slices: this runs once a layer and token, and Python's slicing costs as much again
        self._keys.narrow(2, self.offset, end - self.offset).copy_(keys)
        self._values.narrow(2, self.offset, end - self.offset).copy_(values)
        self.offset = end
        return self._keys.narrow(2, 0, end), self._values.narrow(2, 0, end)

    def room(self) -> Room | None:
        """Return where one position more is written, or None where it cannot be in place; then call ``advance``."""
        if type(self) is not CacheLayer or self._keys is None or self._values is None or self._keys.requires_grad:
            return None
        if self.offset >= self._keys.shape[2]:
            self._grow(self._keys, self._values, self.offset + 1)
        return Room(self._keys, self._values, self.offset)

    def advance(self) -> None:
        """Count the position that was written where ``room`` said."""
        self.offset += 1

    def update(self, keys: Tensor, values: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """The ecosystem's name of ``update_and_fetch``."""
        return self.update_and_fetch(keys, values)

    def get_seq_length(self) -> int:
        """Return how many positions were seen."""
        return self.offset

    def mask_sizes(self, length: int) -> tuple[int, int]:
        """Return how many keys ``length`` new tokens will see, and the position of the first."""
        return self.offset + length, 0

    @property
    def max_length(self) -> int:
        """How many positions fit, or -1 for no limit."""
        return -1

    def crop(self, length: int) -> None:
        """Keep the first ``length`` positions; a negative number drops that many from the end."""
        self.offset = max(self.offset + length, 0) if length < 0 else min(self.offset, length)

    def select(self, rows: Tensor) -> None:
        """Keep the given rows of the batch, in that order (an index may repeat)."""
        if self._keys is not None and self._values is not None:
            self._keys, self._values = self._keys.index_select(0, rows), self._values.index_select(0, rows)

    def reset(self) -> None:
        """Forget everything."""
        self._keys = self._values = None
        self.offset = 0

    def _grow(self, keys: Tensor, values: Tensor, end: int) -> None:
        wanted = max(end, self.reserve, end + end // 2)
        self._allocate(keys, values, -(-wanted // CHUNK) * CHUNK)

    def _allocate(self, keys: Tensor, values: Tensor, capacity: int) -> None:
        old_keys, old_values = self.keys, self.values
        self._keys = keys.new_empty(*keys.shape[:2], capacity, keys.shape[3])
        self._values = values.new_empty(*values.shape[:2], capacity, values.shape[3])
        if old_keys is not None and old_values is not None:
            self._keys[:, :, : self.offset] = old_keys
            self._values[:, :, : self.offset] = old_values


class SlidingLayer(CacheLayer):
    """A layer that looks at the newest ``window`` tokens, and keeps no more than the next one needs.

    Args:
        window: how many tokens a query sees, itself included.
        reserve: see ``CacheLayer``.

    Example:
        >>> layer = SlidingLayer(window=3)
        >>> for token in range(5):
        ...     keys, values = layer.update_and_fetch(torch.full((1, 1, 1, 1), token), torch.zeros(1, 1, 1, 1))
        >>> keys.flatten().tolist(), layer.offset, layer.mask_sizes(1)
        ([2, 3, 4], 5, (3, 3))
    """

    is_sliding = True

    def __init__(self, window: int, reserve: int = 0) -> None:
        super().__init__(min(reserve, window))
        self.window = window
        self._start = self._end = 0  # what is kept lies here in the buffers

    @property
    def keys(self) -> Tensor | None:
        """The kept keys (B, H, < window, D), or None."""
        return None if self._keys is None else self._keys[:, :, self._start : self._end]

    @property
    def values(self) -> Tensor | None:
        """The kept values (B, H, < window, D), or None."""
        return None if self._values is None else self._values[:, :, self._start : self._end]

    def update_and_fetch(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Append ``keys`` and ``values`` (B, H, T, D) and return what the T tokens see (B, H, kept + T, D)."""
        length = keys.shape[2]
        if self._keys is None or self._values is None:
            self._keys, self._values = keys, values
        elif keys.requires_grad or self._keys.requires_grad:
            self._keys = torch.cat((self._keys[:, :, self._start : self._end], keys), 2)
            self._values = torch.cat((self._values[:, :, self._start : self._end], values), 2)
            self._start, self._end = 0, self._end - self._start
        else:
            if self._end + length > self._keys.shape[2]:
                self._move(keys, values, length)
            self._keys.narrow(2, self._end, length).copy_(keys)
            self._values.narrow(2, self._end, length).copy_(values)
        start, self._end = self._start, self._end + length
        self.offset += length
        self._start = max(start, self._end - (self.window - 1))
        assert self._keys is not None and self._values is not None
        return self._keys.narrow(2, start, self._end - start), self._values.narrow(2, start, self._end - start)

    def _move(self, keys: Tensor, values: Tensor, length: int) -> None:
        """Move what is kept to the front of new buffers with room for a while."""
        kept = self._end - self._start
        old_keys, old_values = self.keys, self.values
        assert old_keys is not None and old_values is not None
        room = max(kept + length, min(self.window - 1, kept + kept // 2)) + CHUNK
        self._keys = keys.new_empty(*keys.shape[:2], room, keys.shape[3])
        self._values = values.new_empty(*values.shape[:2], room, values.shape[3])
        self._keys[:, :, :kept], self._values[:, :, :kept] = old_keys, old_values
        self._start, self._end = 0, kept

    def mask_sizes(self, length: int) -> tuple[int, int]:
        """Return how many keys ``length`` new tokens will see, and the position of the first."""
        kept = self._end - self._start
        return kept + length, self.offset - kept

    def crop(self, length: int) -> None:
        """Keep the first ``length`` positions; a negative number drops that many from the end.

        Raises:
            EnfoldError: where the window has passed positions that would have to come back.
        """
        end = max(self.offset + length, 0) if length < 0 else min(self.offset, length)
        dropped, first = self.offset - end, self.offset - (self._end - self._start)
        if dropped and first > max(end - (self.window - 1), 0):
            raise EnfoldError(f"a window of {self.window} tokens has passed position {first}; it does not go back")
        self._end, self.offset = self._end - dropped, end

    def reset(self) -> None:
        """Forget everything."""
        super().reset()
        self._start = self._end = 0


class StaticLayer(CacheLayer):
    """Keys and values of a fixed size, written in place: every step has the same shapes, so that it compiles once.

    Args:
        max_cache_len: how many positions fit.

    Example:
        >>> layer = StaticLayer(8)
        >>> keys, values = layer.update_and_fetch(torch.ones(1, 2, 3, 4), torch.ones(1, 2, 3, 4))
        >>> keys.shape, int(layer.get_seq_length()), layer.mask_sizes(1)
        (torch.Size([1, 2, 8, 4]), 3, (8, 0))
    """

    is_compileable = True

    def __init__(self, max_cache_len: int) -> None:
        super().__init__()
        self.max_cache_len = max_cache_len
        self.filled: Tensor | None = None  # how many positions, a number on the device: reading it waits for nothing

    @property
    def keys(self) -> Tensor | None:
        """All keys (B, H, max_cache_len, D), those that are not filled too; or None."""
        return self._keys

    @property
    def values(self) -> Tensor | None:
        """All values (B, H, max_cache_len, D), those that are not filled too; or None."""
        return self._values

    def get_seq_length(self) -> Any:
        """Return how many positions are filled: 0, or a tensor that holds the number."""
        return 0 if self.filled is None else self.filled

    @property
    def max_length(self) -> int:
        """How many positions fit."""
        return self.max_cache_len

    def mask_sizes(self, length: int) -> tuple[int, int]:
        """Return how many keys ``length`` new tokens will see, and the position of the first."""
        return self.max_cache_len, 0

    def prepare(self, batch: int, heads: int, dim: int, dtype: torch.dtype, device: Any) -> None:
        """Allocate the room, before the first tokens come."""
        shape = (batch, heads, self.max_cache_len, dim)
        self._keys, self._values = (torch.zeros(shape, dtype=dtype, device=device) for _ in range(2))
        self.filled = torch.zeros((), dtype=torch.long, device=device)

    def update_and_fetch(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Write ``keys`` and ``values`` (B, H, T, D) behind the others and return all (B, H, max_cache_len, D)."""
        if self._keys is None:
            self.prepare(keys.shape[0], keys.shape[1], keys.shape[3], keys.dtype, keys.device)
        assert self._keys is not None and self._values is not None and self.filled is not None
        length = keys.shape[2]
        if length > self.max_cache_len:
            raise EnfoldError(f"{length} tokens do not fit into a cache of {self.max_cache_len}")
        place = self.filled + torch.arange(length, device=keys.device)
        self._keys.index_copy_(2, place, keys)
        self._values.index_copy_(2, place, values)
        self.filled.add_(length)
        return self._keys, self._values

    def crop(self, length: int) -> None:
        """Keep the first ``length`` positions; a negative number drops that many from the end."""
        if self.filled is not None:
            self.filled.add_(length).clamp_(min=0) if length < 0 else self.filled.clamp_(max=length)

    def reset(self) -> None:
        """Forget everything and keep the room."""
        if self.filled is not None:
            self.filled.zero_()
