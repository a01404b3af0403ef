"""AddedToken: a token that is found in the text before the model sees it."""

from __future__ import annotations

from typing import Any

__all__ = ["AddedToken"]


class AddedToken:
    """A token that is found in the text before the model sees it.

    Args:
        content: its text.
        single_word: match whole words only.
        lstrip: take the white space on its left with it.
        rstrip: take the white space on its right with it.
        normalized: look for it in the normalized text rather than in the text as given; by default True, and False
            for special tokens.
        special: leave it out when decoding with ``skip_special_tokens``.

    Example:
        >>> AddedToken("<mask>", lstrip=True)
        AddedToken("<mask>", rstrip=False, lstrip=True, single_word=False, normalized=True, special=False)
    """

    __slots__ = ("_normalized", "content", "lstrip", "rstrip", "single_word", "special")

    def __init__(
        self,
        content: str | None = None,
        single_word: bool = False,
        lstrip: bool = False,
        rstrip: bool = False,
        normalized: bool | None = None,
        special: bool = False,
    ) -> None:
        content = "" if content is None else content
        if not isinstance(content, str):
            raise TypeError(f"content must be str, not {type(content).__name__}")
        self.content = content
        self.single_word = bool(single_word)
        self.lstrip = bool(lstrip)
        self.rstrip = bool(rstrip)
        self._normalized = normalized
        self.special = bool(special)

    @property
    def normalized(self) -> bool:
        """Whether it is looked for in the normalized text."""
        return not self.special if self._normalized is None else bool(self._normalized)

    @normalized.setter
    def normalized(self, value: bool) -> None:
        self._normalized = value

    def _tuple(self) -> tuple[str, bool, bool, bool, bool, bool]:
        return (self.content, self.single_word, self.lstrip, self.rstrip, self.normalized, self.special)

    def __getstate__(self) -> dict[str, Any]:
        return {
            "content": self.content,
            "single_word": self.single_word,
            "lstrip": self.lstrip,
            "rstrip": self.rstrip,
            "normalized": self.normalized,
            "special": self.special,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    def __repr__(self) -> str:
        return (
            f'AddedToken("{self.content}", rstrip={self.rstrip}, lstrip={self.lstrip}, '
            f"single_word={self.single_word}, normalized={self.normalized}, special={self.special})"
        )

    def __str__(self) -> str:
        return self.content

    def __hash__(self) -> int:
        return hash(self.content)

    def __eq__(self, other: object) -> bool:
        return self._tuple() == other._tuple() if isinstance(other, AddedToken) else NotImplemented

    def __lt__(self, other: object) -> bool:
        return self.content < other.content if isinstance(other, AddedToken) else NotImplemented

    def __le__(self, other: object) -> bool:
        return self.content <= other.content if isinstance(other, AddedToken) else NotImplemented

    def __gt__(self, other: object) -> bool:
        return self.content > other.content if isinstance(other, AddedToken) else NotImplemented

    def __ge__(self, other: object) -> bool:
        return self.content >= other.content if isinstance(other, AddedToken) else NotImplemented
