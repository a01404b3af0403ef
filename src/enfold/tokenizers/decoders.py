"""Decoders: from tokens back to text."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from enfold import _native
from enfold.errors import EnfoldError
from enfold.tokenizers.component import (
    Component,
    CustomPart,
    Option,
    Regex,
    build,
    custom_objects,
    pattern_spec,
    spec_text,
)

if TYPE_CHECKING:
    from enfold.tokenizers.tokenizer import Tokenizer

__all__ = [
    "CTC",
    "BPEDecoder",
    "ByteFallback",
    "ByteLevel",
    "DecodeStream",
    "Decoder",
    "Fuse",
    "Metaspace",
    "Replace",
    "Sequence",
    "Strip",
    "WordPiece",
]


class Decoder(Component):
    """The base of all decoders."""

    _base = "Decoder"

    @staticmethod
    def custom(decoder: Any) -> Decoder:
        """Make a decoder of an object with ``decode_chain(tokens) -> list[str]``, or ``decode(tokens) -> str``.

        What it raises comes out of ``decode``. A tokenizer that has one cannot be saved.

        Example:
            >>> class Dashes:
            ...     def decode_chain(self, tokens):
            ...         return ["-".join(tokens)]
            >>> Decoder.custom(Dashes()).decode(["a", "b"])
            'a-b'
        """
        return _Custom(decoder)

    def decode(self, tokens: list[str]) -> str:
        """Return the text of ``tokens``.

        Example:
            >>> WordPiece().decode(["hel", "##lo", "you"])
            'hello you'
        """
        return _native.decode_tokens(spec_text(self), list(tokens), custom_objects(self))


class _Custom(CustomPart, Decoder):
    """A decoder written in Python."""

    _noun = "PyDecoder"


class ByteLevel(Decoder):
    """From GPT-2's visible characters back to bytes."""

    _type = "ByteLevel"
    _keys = ("add_prefix_space", "trim_offsets", "use_regex")
    _defaults = {"add_prefix_space": True, "trim_offsets": True, "use_regex": True}

    def __init__(self, **_kwargs: Any) -> None:
        # The format keeps the pre-tokenizer's settings here; they say nothing about decoding.
        self._init(add_prefix_space=True, trim_offsets=True, use_regex=True)


class ByteFallback(Decoder):
    """From ``<0xNN>`` tokens back to bytes; what is not UTF-8 becomes U+FFFD."""

    _type = "ByteFallback"

    def __init__(self) -> None:
        self._init()


class Fuse(Decoder):
    """Puts all tokens together into one."""

    _type = "Fuse"

    def __init__(self) -> None:
        self._init()


class WordPiece(Decoder):
    """Joins continued words.

    Args:
        prefix: what marks a token that continues a word.
        cleanup: take blanks out before English punctuation and contractions.
    """

    _type = "WordPiece"
    prefix = Option()
    cleanup = Option()

    def __init__(self, prefix: str = "##", cleanup: bool = True) -> None:
        self._init(prefix=prefix, cleanup=cleanup)


class Metaspace(Decoder):
    """From SentencePiece's mark back to blanks.

    Args:
        replacement: the mark.
        prepend_scheme: "always" or "first" (the first token's mark was put there), or "never".
        split: kept for the format.
    """

    _type = "Metaspace"
    _defaults = {"prepend_scheme": "always", "split": True}
    replacement = Option()
    prepend_scheme = Option()
    split = Option()

    def __init__(self, replacement: str = "▁", prepend_scheme: str = "always", split: bool = True) -> None:
        if prepend_scheme not in ("always", "first", "never"):
            raise ValueError(f"{prepend_scheme} is an unknown variant, should be one of ['first', 'never', 'always']")
        self._init(replacement=replacement, prepend_scheme=prepend_scheme, split=split)


class BPEDecoder(Decoder):
    """Makes the suffix that ends a word a blank.

    Args:
        suffix: what marks the end of a word.
    """

    _type = "BPEDecoder"
    suffix = Option()

    def __init__(self, suffix: str = "</w>") -> None:
        self._init(suffix=suffix)


class CTC(Decoder):
    """Joins what a CTC model says: repeated tokens once, padding not at all.

    Args:
        pad_token: the blank of CTC.
        word_delimiter_token: what stands between words.
        cleanup: take blanks out before English punctuation.
    """

    _type = "CTC"
    pad_token = Option()
    word_delimiter_token = Option()
    cleanup = Option()

    def __init__(self, pad_token: str = "<pad>", word_delimiter_token: str = "|", cleanup: bool = True) -> None:
        self._init(pad_token=pad_token, word_delimiter_token=word_delimiter_token, cleanup=cleanup)


class Strip(Decoder):
    """Takes a character off the ends of each token.

    Args:
        content: the character.
        left: how many at most at the beginning.
        right: how many at most at the end.
    """

    _type = "Strip"
    content = Option()
    start = Option()
    stop = Option()

    def __init__(self, content: str = " ", left: int = 0, right: int = 0) -> None:
        self._init(content=content, start=left, stop=right)


class Replace(Decoder):
    """Replaces a pattern in each token.

    Args:
        pattern: a string, taken literally.
        content: what is put in its place.
    """

    _type = "Replace"
    pattern = Option()
    content = Option()

    def __init__(self, pattern: str | Regex, content: str) -> None:
        self._init(pattern=pattern_spec(pattern), content=content)
        _native.decode_tokens(spec_text(self), [], {})


class Sequence(Decoder):
    """Decoders one after the other.

    Args:
        decoders: in the order in which they run.
    """

    _type = "Sequence"

    def __init__(self, decoders: list[Decoder]) -> None:
        self._init(decoders=list(decoders))

    @classmethod
    def _restore(cls, spec: dict[str, Any]) -> Sequence:
        return cls([build(Decoder, item) for item in spec["decoders"]])

    def __getnewargs__(self) -> tuple[list[Decoder]]:
        return ([],)

    def __iter__(self) -> Iterator[Decoder]:
        return iter(self._values["decoders"])


class DecodeStream:
    """Decodes token by token, holding back text until it is whole.

    Args:
        ids: tokens that came before, such as the prompt; their text is not given out.
        skip_special_tokens: leave special tokens out.

    Example:
        >>> from enfold.tokenizers import Tokenizer
        >>> from enfold.tokenizers.models import WordLevel
        >>> stream, tokenizer = DecodeStream(), Tokenizer(WordLevel({"a": 0, "b": 1}, unk_token="b"))
        >>> [stream.step(tokenizer, 0), stream.step(tokenizer, [1, 0])]
        ['a', ' b a']
    """

    def __init__(self, ids: list[int] | None = None, skip_special_tokens: bool | None = False) -> None:
        self._stream = _native.DecodeStream(ids or [], bool(skip_special_tokens))

    def step(self, tokenizer: Tokenizer, id: int | list[int]) -> str | None:
        """Add one token or several, and return the text that is new, or None while there is none.

        Raises:
            EnfoldError: the text so far changed, so that what was given out would be wrong.
            TypeError: `id` is neither an id nor several.
        """
        try:
            # A single id of numpy, too: it is no int, and no sequence.
            given = operator.index(id) if hasattr(id, "__index__") and getattr(id, "ndim", 0) == 0 else id
            return tokenizer._sync().decode_step(self._stream, given)
        except (OverflowError, TypeError):
            raise TypeError("StreamInput must be either an integer or a list of integers") from None
        except RuntimeError as error:
            raise EnfoldError(str(error)) from None

    def __copy__(self) -> DecodeStream:
        made = DecodeStream.__new__(DecodeStream)
        made._stream = self._stream.copy()
        return made

    def __deepcopy__(self, _memo: dict[int, Any]) -> DecodeStream:
        return self.__copy__()
