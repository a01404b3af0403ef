"""Beginnings of texts that were read before, found by their tokens block by block."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Sequence

from enfold.transformers.generation.engine.blocks import Blocks

__all__ = ["Prefixes"]

Key = tuple[Hashable, tuple[int, ...]]


class Prefixes:
    """Full blocks by what they say: the tokens of a block and, as one number, everything before it.

    Nothing is taken for something else, as a hash alone would allow: a block's key holds its tokens and the number of
    the block before, which no other block ever gets. A block that nobody holds is kept until its memory is needed;
    the one that was wanted longest ago goes first.

    Args:
        blocks: whose memory this is.

    Source: Kwon et al., 2023, "Efficient Memory Management for Large Language Model Serving with PagedAttention".

    Example:
        >>> blocks = Blocks(count=4, size=2)
        >>> prefixes = Prefixes(blocks)
        >>> block = blocks.take(None)
        >>> _ = prefixes.add(block, None, [7, 8])
        >>> [found for found, _ in prefixes.find([7, 8, 9, 9, 1], None)] == [block]
        True
    """

    def __init__(self, blocks: Blocks) -> None:
        self.blocks = blocks
        self._by_key: dict[Key, tuple[int, int]] = {}  # → block, and the number that stands for it and all before
        self._keys: dict[int, Key] = {}
        self._idle: OrderedDict[int, None] = OrderedDict()  # kept and held by nobody, the longest first
        self._number = 0
        blocks.on_empty = self._on_empty

    @property
    def idle(self) -> int:
        """How many blocks are kept that nobody holds."""
        return len(self._idle)

    def find(self, tokens: Sequence[int], salt: Hashable) -> list[tuple[int, int]]:
        """Return the blocks that hold the beginning of a text, each with its number.

        Args:
            tokens: the text; its last token is always read anew, as its scores are wanted.
            salt: texts of different salts have nothing in common, such as those of different adapters.
        """
        size, found = self.blocks.size, []
        before: Hashable = ("", salt)
        for start in range(0, (len(tokens) - 1) // size * size, size):
            known = self._by_key.get((before, tuple(tokens[start : start + size])))
            if known is None:
                break
            found.append(known)
            before = known[1]
        return found

    def share(self, block: int) -> None:
        """Hold a block that was found."""
        self._idle.pop(block, None)
        self.blocks.share(block)

    def add(self, block: int, before: Hashable, tokens: Sequence[int], salt: Hashable = None) -> int:
        """Remember what a full block says, and return the number that stands for it and everything before.

        Args:
            block: held by the one who adds it.
            before: the number of the block before, or None for the first.
            tokens: of the block.
            salt: see ``find``.
        """
        key: Key = (("", salt) if before is None else before, tuple(tokens))
        known = self._by_key.get(key)
        if known is not None:
            return known[1]  # another block says the same; this one is freed when nobody holds it
        self._number += 1
        self._by_key[key], self._keys[block] = (block, self._number), key
        return self._number

    def drop(self) -> bool:
        """Free the block that was wanted longest ago; return whether there was one."""
        if not self._idle:
            return False
        block, _ = self._idle.popitem(last=False)
        del self._by_key[self._keys.pop(block)]
        self.blocks.forget(block)
        return True

    def _on_empty(self, block: int) -> bool:
        if block not in self._keys:
            return False
        self._idle[block] = None
        return True
