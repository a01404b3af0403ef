"""Normalizers: what happens to a text before it is cut into words."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from typing import Any

from enfold import _native
from enfold._native import NormalizedString
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

__all__ = [
    "NFC",
    "NFD",
    "NFKC",
    "NFKD",
    "BertNormalizer",
    "ByteLevel",
    "Lowercase",
    "Nmt",
    "Normalizer",
    "Precompiled",
    "Prepend",
    "Replace",
    "Sequence",
    "Strip",
    "StripAccents",
    "unicode_normalizer_from_str",
]


class Normalizer(Component):
    """The base of all normalizers."""

    _base = "Normalizer"

    @staticmethod
    def custom(obj: Any) -> Normalizer:
        """Make a normalizer of an object with ``normalize(text: NormalizedString)``, which changes the text in place.

        Tokenizers call it from the threads that encode, one at a time; what it raises comes out of ``encode``. A
        tokenizer that has one cannot be saved.

        Example:
            >>> class Shout:
            ...     def normalize(self, text):
            ...         text.uppercase()
            >>> Normalizer.custom(Shout()).normalize_str("hey")
            'HEY'
        """
        return _Custom(obj)

    def normalize(self, normalized: NormalizedString) -> None:
        """Normalize a NormalizedString in place."""
        if not isinstance(normalized, NormalizedString):
            raise TypeError(f"normalize takes a NormalizedString, not {type(normalized).__name__}; see normalize_str")
        _native.normalize(spec_text(self), normalized, custom_objects(self))

    def normalize_str(self, sequence: str) -> str:
        """Return ``sequence`` normalized.

        Example:
            >>> Lowercase().normalize_str("HÉLLO")
            'héllo'
        """
        return _native.normalize_str(spec_text(self), sequence, custom_objects(self))


class _Custom(CustomPart, Normalizer):
    """A normalizer written in Python."""

    _noun = "Normalizer"


class BertNormalizer(Normalizer):
    """BERT's clean-up (Devlin et al. 2018).

    Args:
        clean_text: drop control characters, make all white space a blank.
        handle_chinese_chars: put blanks around ideographs.
        strip_accents: drop combining marks; None does what ``lowercase`` says.
        lowercase: make lower case.
    """

    _type = "BertNormalizer"
    _defaults = {"strip_accents": None}
    clean_text = Option()
    handle_chinese_chars = Option()
    strip_accents = Option()
    lowercase = Option()

    def __init__(
        self,
        clean_text: bool = True,
        handle_chinese_chars: bool = True,
        strip_accents: bool | None = None,
        lowercase: bool = True,
    ) -> None:
        self._init(
            clean_text=clean_text,
            handle_chinese_chars=handle_chinese_chars,
            strip_accents=strip_accents,
            lowercase=lowercase,
        )


class NFC(Normalizer):
    """Unicode normalization form C."""

    _type = "NFC"

    def __init__(self) -> None:
        self._init()


class NFD(Normalizer):
    """Unicode normalization form D."""

    _type = "NFD"

    def __init__(self) -> None:
        self._init()


class NFKC(Normalizer):
    """Unicode normalization form KC."""

    _type = "NFKC"

    def __init__(self) -> None:
        self._init()


class NFKD(Normalizer):
    """Unicode normalization form KD."""

    _type = "NFKD"

    def __init__(self) -> None:
        self._init()


class Lowercase(Normalizer):
    """Lower case, character by character."""

    _type = "Lowercase"

    def __init__(self) -> None:
        self._init()


class StripAccents(Normalizer):
    """Drops combining marks; meant to follow NFD or NFKD."""

    _type = "StripAccents"

    def __init__(self) -> None:
        self._init()


class ByteLevel(Normalizer):
    """Writes every byte as a visible character (GPT-2's table)."""

    _type = "ByteLevel"

    def __init__(self) -> None:
        self._init()


class Strip(Normalizer):
    """Drops white space at the ends.

    Args:
        left: at the beginning.
        right: at the end.
    """

    _type = "Strip"
    left = Option("strip_left")
    right = Option("strip_right")

    def __init__(self, left: bool = True, right: bool = True) -> None:
        self._init(strip_left=left, strip_right=right)


class Nmt(Normalizer):
    """SentencePiece's nmt clean-up: drops control characters, makes what separates words a blank."""

    _type = "Nmt"

    def __init__(self) -> None:
        self._init()


class Precompiled(Normalizer):
    """The character map of a SentencePiece model.

    Args:
        precompiled_charsmap: the map as it stands in the model file's normalizer_spec: a double array, then what
            its keys stand for.

    Raises:
        ValueError: the bytes are not such a map.
    """

    _type = "Precompiled"
    precompiled_charsmap = Option()

    def __init__(self, precompiled_charsmap: bytes) -> None:
        text = b64encode(bytes(precompiled_charsmap)).decode()
        self._init(precompiled_charsmap=text)
        _native.normalize_str(spec_text(self), "")


class Prepend(Normalizer):
    """Puts a string before a text that is not empty.

    Args:
        prepend: the string.
    """

    _type = "Prepend"
    prepend = Option()

    def __init__(self, prepend: str = "▁") -> None:
        self._init(prepend=prepend)


class Replace(Normalizer):
    """Replaces every occurrence of a pattern.

    Args:
        pattern: a string, taken literally.
        content: what is put in its place.
    """

    _type = "Replace"
    pattern = Option()
    content = Option()

    def __init__(self, pattern: str | Regex, content: str) -> None:
        self._init(pattern=pattern_spec(pattern), content=content)
        _native.normalize_str(spec_text(self), "", {})


class Sequence(Normalizer):
    """Normalizers one after the other.

    Args:
        normalizers: in the order in which they run.
    """

    _type = "Sequence"

    def __init__(self, normalizers: list[Normalizer]) -> None:
        self._init(normalizers=list(normalizers))

    @classmethod
    def _restore(cls, spec: dict[str, Any]) -> Sequence:
        return cls([build(Normalizer, item) for item in spec["normalizers"]])

    def __getnewargs__(self) -> tuple[list[Normalizer]]:
        return ([],)

    def __len__(self) -> int:
        return len(self._values["normalizers"])

    def __iter__(self) -> Iterator[Normalizer]:
        return iter(self._values["normalizers"])

    def __getitem__(self, index: int) -> Normalizer:
        return self._values["normalizers"][index]

    def __setitem__(self, index: int, value: Normalizer) -> None:
        items = list(self._values["normalizers"])
        items[index] = value
        self._set("normalizers", items)


NORMALIZERS = {"nfc": NFC, "nfd": NFD, "nfkc": NFKC, "nfkd": NFKD}


def unicode_normalizer_from_str(normalizer: str) -> Normalizer:
    """The normalizer for a Unicode form's name.

    Args:
        normalizer: nfc, nfd, nfkc or nfkd.

    Raises:
        ValueError: for any other name.
    """
    if normalizer not in NORMALIZERS:
        raise ValueError(f"{normalizer} is not a known unicode normalizer. Available are {NORMALIZERS.keys()}")
    return NORMALIZERS[normalizer]()
