"""Memory for keys and values in blocks of a few positions, which sequences take, share and give back."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Blocks"]


class Blocks:
    """Which blocks are free, and how many sequences hold each of the others.

    A sequence whose blocks lie side by side is read without copying, so a block goes where its sequence expects to
    grow, as long as there is room for everybody.

    Args:
        count: how many blocks there are.
        size: how many positions a block holds.

    Example:
        >>> blocks = Blocks(count=8, size=16)
        >>> first = blocks.take(None, ahead=3)
        >>> other = blocks.take(None, ahead=2)
        >>> blocks.take(first, ahead=2) == first + 1, other >= first + 3, blocks.free
        (True, True, 5)
    """

    def __init__(self, count: int, size: int) -> None:
        self.count, self.size = count, size
        self.free = count
        self.holders = [0] * count  # sequences that hold a block
        self.kept = [False] * count  # nobody holds it, but what it says may be wanted again
        self.expected: list[int] = [-1] * count  # the first block of the sequence that hopes to grow here
        self.on_empty: Callable[[int], bool] = lambda block: False  # says whether an empty block is kept

    def needed(self, positions: int) -> int:
        """Return how many blocks hold that many positions."""
        return -(-positions // self.size)

    def take(self, after: int | None, ahead: int = 1) -> int | None:
        """Take a free block, and return its number, or None where there is none.

        Args:
            after: the last block of the sequence, or None for its first.
            ahead: how many blocks the sequence may need, this one included.
        """
        if not self.free:
            return None
        block = None if after is None else after + 1
        if block is None or block >= self.count or self.holders[block] or self.kept[block]:
            block = self._run(ahead)
        self.expected[block] = -1
        self.free -= 1
        self.holders[block] = 1
        if after is None or block != after + 1:
            for place in range(block + 1, min(block + ahead, self.count)):
                if self.expected[place] < 0:
                    self.expected[place] = block
        return block

    def share(self, block: int) -> None:
        """Hold a block that is kept, or that others hold."""
        if not self.holders[block]:
            self.kept[block] = False
        self.holders[block] += 1

    def give_back(self, block: int) -> None:
        """Hold a block no more."""
        self.holders[block] -= 1
        if not self.holders[block]:
            if self.on_empty(block):
                self.kept[block] = True
            else:
                self.free += 1

    def forget(self, block: int) -> None:
        """Free a block that was kept."""
        self.kept[block] = False
        self.free += 1

    def release(self, blocks: list[int]) -> None:
        """Hold a sequence's blocks no more, and hope to grow no more."""
        firsts = set(blocks)
        for place, first in enumerate(self.expected):
            if first in firsts:
                self.expected[place] = -1
        for block in reversed(blocks):  # the end is wanted again least
            self.give_back(block)

    def _run(self, ahead: int) -> int:
        """Return where a run of free blocks begins that is long enough, or the longest; those nobody expects first."""
        best, longest, hoped = -1, 0, -1
        place = 0
        while place < self.count:
            start = place
            while place < self.count and not (self.holders[place] or self.kept[place] or self.expected[place] >= 0):
                place += 1
                if place - start >= ahead:
                    return start
            if place - start > longest:
                best, longest = start, place - start
            if place < self.count:
                if not (self.holders[place] or self.kept[place]):
                    hoped = place if hoped < 0 else hoped
                place += 1
        return best if longest else hoped
