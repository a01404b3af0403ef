"""Tokens to text as they come: never half a character, and never a part of what ends the text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from enfold.errors import EnfoldError
from enfold.tokenizers.decoders import DecodeStream

__all__ = ["Decoder", "Stops"]

CONTEXT = 8  # tokens before a text that decide whether it begins with a space


class Decoder:
    """Gives the text of tokens as they come; in the end it is what ``tokenizer.decode`` gives for all of them.

    Args:
        tokenizer: with a core of its own (``backend_tokenizer``).
        before: tokens that the text goes on from.
        skip_special: leave special tokens out.

    Example:
        >>> from enfold.tokenizers import Tokenizer, models
        >>> from enfold.transformers import PreTrainedTokenizerFast
        >>> words = Tokenizer(models.WordLevel({"a": 0, "b": 1}, unk_token="b"))
        >>> decoder = Decoder(PreTrainedTokenizerFast(tokenizer_object=words))
        >>> decoder.step([0]), decoder.step([1, 0]), decoder.end()
        ('a', ' b a', '')
    """

    def __init__(self, tokenizer: Any, before: Sequence[int] = (), skip_special: bool = True) -> None:
        self._tokenizer, self._core, self._skip = tokenizer, tokenizer.backend_tokenizer, skip_special
        self._before = list(before[-CONTEXT:])
        self._stream = DecodeStream(self._before, skip_special)
        self._tokens: list[int] = []
        self._length = 0  # characters given out

    def step(self, tokens: list[int]) -> str:
        """Return what is new with these tokens."""
        self._tokens += tokens
        try:
            text = self._stream.step(self._core, tokens) or ""
        except EnfoldError:  # what was given out stays; the end gives the rest
            return ""
        self._length += len(text)
        return text

    def end(self) -> str:
        """Return what was held back because its last character was not whole."""
        whole = self._tokenizer.decode(
            self._before + self._tokens, skip_special_tokens=self._skip, clean_up_tokenization_spaces=False
        )
        context = self._tokenizer.decode(
            self._before, skip_special_tokens=self._skip, clean_up_tokenization_spaces=False
        )
        return str(whole[len(context) + self._length :])


class Stops:
    """Passes text on until one of some strings is in it; what may be the beginning of one waits.

    Args:
        strings: that end the text.
        keep: leave the one that ended it in the text.

    Example:
        >>> stops = Stops(["\\nUser"])
        >>> stops.step("Yes.\\nU"), stops.step("ser: and"), stops.found
        ('Yes.', '', '\\nUser')
    """

    def __init__(self, strings: Sequence[str] = (), keep: bool = False) -> None:
        self._strings, self._keep = [text for text in strings if text], keep
        self._held = ""
        self.found: str | None = None

    def step(self, text: str) -> str:
        """Return what can be passed on; nothing after the end."""
        if not self._strings:
            return text
        if self.found is not None:
            return ""
        whole = self._held + text
        places = [(place, string) for string in self._strings if (place := whole.find(string)) >= 0]
        if places:
            place, self.found = min(places)
            self._held = ""
            return whole[: place + (len(self.found) if self._keep else 0)]
        held = max(_overlap(whole, string) for string in self._strings)
        self._held = whole[len(whole) - held :]
        return whole[: len(whole) - held]

    def end(self) -> str:
        """Return what waited, as no more comes."""
        held, self._held = self._held, ""
        return held


def _overlap(text: str, string: str) -> int:
    """Return how long the end of a text is with which the string begins."""
    for length in range(min(len(string) - 1, len(text)), 0, -1):
        if text.endswith(string[:length]):
            return length
    return 0
