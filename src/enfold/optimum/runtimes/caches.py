"""What a runtime remembers of a text, as far as ``generate`` asks for it."""

from __future__ import annotations

from enfold.nn.cache import Cache

__all__ = ["GrowingCache"]


class GrowingCache(Cache):
    """A cache whose numbers are the runtime's own, and which grows with every step.

    Attributes:
        filled: how many positions of the text it holds.
    """

    def __init__(self) -> None:
        super().__init__()
        self.filled = 0

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Return how many positions of the text it holds."""
        return self.filled

    def get_max_cache_shape(self, layer_idx: int = 0) -> int:
        """Return -1: there is no limit."""
        return -1

    @property
    def is_compileable(self) -> bool:
        """False: the shapes grow."""
        return False

    @property
    def is_initialized(self) -> bool:
        """Whether anything is held."""
        return self.filled > 0

    def left_by(self, length: int) -> int:
        """Return how many positions a crop to ``length`` leaves; a negative one drops that many from the end."""
        return max(self.filled + length, 0) if length < 0 else min(self.filled, length)
