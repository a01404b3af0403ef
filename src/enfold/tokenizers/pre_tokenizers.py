"""Pre-tokenizers: cutting a text into the words that a model sees one at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from enfold import _native
from enfold._native import PreTokenizedString
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
    "BertPreTokenizer",
    "ByteLevel",
    "CharDelimiterSplit",
    "Digits",
    "FixedLength",
    "Metaspace",
    "PreTokenizer",
    "Punctuation",
    "Sequence",
    "Split",
    "UnicodeScripts",
    "Whitespace",
    "WhitespaceSplit",
]

_BEHAVIORS = {
    "removed": "Removed",
    "isolated": "Isolated",
    "merged_with_previous": "MergedWithPrevious",
    "merged_with_next": "MergedWithNext",
    "contiguous": "Contiguous",
}


def _behavior(name: Any) -> str:
    name = getattr(name, "value", name)
    if name in _BEHAVIORS.values():
        return name
    if name not in _BEHAVIORS:
        raise ValueError(f"Wrong value for SplitDelimiterBehavior, expected one of: `{', '.join(_BEHAVIORS)}`")
    return _BEHAVIORS[name]


class _Behavior(Option):
    """The behavior: written in words of the format, spoken in lower case."""

    def __get__(self, instance: Component | None, owner: type) -> Any:
        if instance is None:
            return self
        return next(spoken for spoken, written in _BEHAVIORS.items() if written == instance._values["behavior"])

    def __set__(self, instance: Component, value: Any) -> None:
        instance._set("behavior", _behavior(value))


class _Pattern(Option):
    """The pattern: a string or a Regex, as it was given."""

    def __get__(self, instance: Component | None, owner: type) -> Any:
        if instance is None:
            return self
        ((kind, text),) = instance._values["pattern"].items()
        return Regex(text) if kind == "Regex" else text

    def __set__(self, instance: Component, value: Any) -> None:
        instance._set("pattern", pattern_spec(value))


class _Character(Option):
    """A setting that is one character."""

    def __set__(self, instance: Component, value: Any) -> None:
        instance._set(str(self.key), _one_character(value))


class _Scheme(Option):
    """Metaspace's prepend_scheme."""

    def __set__(self, instance: Component, value: Any) -> None:
        instance._set("prepend_scheme", _scheme(value))


class _Length(Option):
    """A number of characters, at least one."""

    def __set__(self, instance: Component, value: Any) -> None:
        instance._set(str(self.key), _length(value))


def _one_character(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected a string of length 1, not {type(value).__name__}")
    if len(value) != 1:
        raise ValueError("expected a string of length 1")
    return value


def _scheme(value: Any) -> str:
    if value not in ("first", "never", "always"):
        raise ValueError(f"{value} is an unknown variant, should be one of ['first', 'never', 'always']")
    return value


def _length(value: Any) -> int:
    if value < 0:
        raise OverflowError("can't convert negative int to unsigned")
    if value == 0:
        raise ValueError("length must be at least 1")
    return value


class PreTokenizer(Component):
    """The base of all pre-tokenizers."""

    _base = "PreTokenizer"

    @staticmethod
    def custom(pretok: Any) -> PreTokenizer:
        """Make a pre-tokenizer of an object with ``pre_tokenize(text: PreTokenizedString)``, which cuts it in place.

        Tokenizers call it from the threads that encode, one at a time; what it raises comes out of ``encode``. A
        tokenizer that has one cannot be saved.

        Example:
            >>> class Commas:
            ...     def pre_tokenize(self, text):
            ...         text.split(lambda i, part: part.split(",", "removed"))
            >>> PreTokenizer.custom(Commas()).pre_tokenize_str("a,b")
            [('a', (0, 1)), ('b', (2, 3))]
        """
        return _Custom(pretok)

    def pre_tokenize(self, pretok: PreTokenizedString) -> None:
        """Cut the parts of a PreTokenizedString further, in place."""
        if not isinstance(pretok, PreTokenizedString):
            raise TypeError(
                f"pre_tokenize takes a PreTokenizedString, not {type(pretok).__name__}; see pre_tokenize_str"
            )
        _native.pre_tokenize(spec_text(self), pretok, custom_objects(self))

    def pre_tokenize_str(self, s: str) -> list[tuple[str, tuple[int, int]]]:
        """Return the words of ``s``, each with its (begin, end) in characters.

        Example:
            >>> Whitespace().pre_tokenize_str("Hey you!")
            [('Hey', (0, 3)), ('you', (4, 7)), ('!', (7, 8))]
        """
        return _native.pre_tokenize_str(spec_text(self), s, custom_objects(self))


class _Custom(CustomPart, PreTokenizer):
    """A pre-tokenizer written in Python."""

    _noun = "PreTokenizer"


class ByteLevel(PreTokenizer):
    """GPT-2's: cuts by its regular expression and writes bytes as visible characters.

    Args:
        add_prefix_space: put a blank before a text that does not begin with one.
        trim_offsets: leave white space out of offsets (done by the post-processor of the same name).
        use_regex: cut; False only maps the bytes.
    """

    _type = "ByteLevel"
    _defaults = {"add_prefix_space": True, "trim_offsets": True, "use_regex": True}
    add_prefix_space = Option()
    trim_offsets = Option()
    use_regex = Option()

    def __init__(
        self, add_prefix_space: bool = True, trim_offsets: bool = True, use_regex: bool = True, **_kwargs: Any
    ) -> None:
        self._init(add_prefix_space=add_prefix_space, trim_offsets=trim_offsets, use_regex=use_regex)

    @staticmethod
    def alphabet() -> list[str]:
        """The 256 visible characters, in the order of their bytes."""
        return _native.byte_alphabet()


class BertPreTokenizer(PreTokenizer):
    """Cuts at white space, and punctuation into single characters."""

    _type = "BertPreTokenizer"

    def __init__(self) -> None:
        self._init()


class Whitespace(PreTokenizer):
    r"""Cuts out ``\w+|[^\w\s]+``."""

    _type = "Whitespace"

    def __init__(self) -> None:
        self._init()


class WhitespaceSplit(PreTokenizer):
    """Cuts at white space."""

    _type = "WhitespaceSplit"

    def __init__(self) -> None:
        self._init()


class CharDelimiterSplit(PreTokenizer):
    """Cuts at one character, which is removed.

    Args:
        delimiter: the character.
    """

    _type = "CharDelimiterSplit"
    delimiter = _Character()

    def __init__(self, delimiter: str) -> None:
        self._init(delimiter=_one_character(delimiter))

    def __getnewargs__(self) -> tuple[str]:
        return (" ",)


class Digits(PreTokenizer):
    """Cuts digits from the rest.

    Args:
        individual_digits: each digit alone, rather than runs of them.
    """

    _type = "Digits"
    individual_digits = Option()

    def __init__(self, individual_digits: bool = False) -> None:
        self._init(individual_digits=individual_digits)


class Punctuation(PreTokenizer):
    """Cuts at punctuation.

    Args:
        behavior: removed, isolated, merged_with_previous, merged_with_next or contiguous.
    """

    _type = "Punctuation"
    _defaults = {"behavior": "Isolated"}
    behavior = _Behavior()

    def __init__(self, behavior: Any = "isolated") -> None:
        self._init(behavior=_behavior(behavior))


class FixedLength(PreTokenizer):
    """Cuts into pieces of equal length.

    Args:
        length: in characters.
    """

    _type = "FixedLength"
    _defaults = {"length": 5}
    length = _Length()

    def __init__(self, length: int = 5) -> None:
        self._init(length=_length(length))


class Metaspace(PreTokenizer):
    """SentencePiece's: blanks become a visible mark.

    Args:
        replacement: the mark, one character.
        prepend_scheme: put a mark before the text: "always", "first" (only where the input begins) or "never".
        split: cut before each mark.
    """

    _type = "Metaspace"
    replacement = _Character()
    prepend_scheme = _Scheme()
    split = Option()

    def __init__(self, replacement: str = "▁", prepend_scheme: str = "always", split: bool = True) -> None:
        self._init(replacement=_one_character(replacement), prepend_scheme=_scheme(prepend_scheme), split=split)

    @classmethod
    def _restore(cls, spec: dict[str, Any]) -> Metaspace:
        # Files of older versions say add_prefix_space, and repeat the mark as str_rep.
        scheme = "always" if spec.get("add_prefix_space", True) else "never"
        mark = spec.get("replacement", spec.get("str_rep", "▁"))
        return cls(mark, spec.get("prepend_scheme", scheme), spec.get("split", True))


class Split(PreTokenizer):
    r"""Cuts at a pattern.

    Args:
        pattern: a string, taken literally, or a Regex.
        behavior: what becomes of the matches: removed, isolated, merged_with_previous, merged_with_next, contiguous.
        invert: take what lies between the matches for the matches.

    Example:
        >>> Split(Regex(r"\d+"), "isolated").pre_tokenize_str("room 101b")
        [('room ', (0, 5)), ('101', (5, 8)), ('b', (8, 9))]
    """

    _type = "Split"
    pattern = _Pattern()
    behavior = _Behavior()
    invert = Option()

    def __init__(self, pattern: str | Regex, behavior: Any, invert: bool = False) -> None:
        self._init(pattern=pattern_spec(pattern), behavior=_behavior(behavior), invert=invert)

    def __getnewargs__(self) -> tuple[str, str]:
        return (" ", "removed")


class UnicodeScripts(PreTokenizer):
    """Cuts where the script changes; Hiragana and Katakana count as Han, blanks stay with what stands before them.

    Example:
        >>> UnicodeScripts().pre_tokenize_str("Apples are りんご")
        [('Apples are ', (0, 11)), ('りんご', (11, 14))]
    """

    _type = "UnicodeScripts"

    def __init__(self) -> None:
        self._init()


class Sequence(PreTokenizer):
    """Pre-tokenizers one after the other.

    Args:
        pre_tokenizers: in the order in which they run.
    """

    _type = "Sequence"

    def __init__(self, pre_tokenizers: list[PreTokenizer]) -> None:
        self._init(pretokenizers=list(pre_tokenizers))

    @classmethod
    def _restore(cls, spec: dict[str, Any]) -> Sequence:
        return cls([build(PreTokenizer, item) for item in spec["pretokenizers"]])

    def __getnewargs__(self) -> tuple[list[PreTokenizer]]:
        return ([],)

    def __len__(self) -> int:
        return len(self._values["pretokenizers"])

    def __iter__(self) -> Iterator[PreTokenizer]:
        return iter(self._values["pretokenizers"])

    def __getitem__(self, index: int) -> PreTokenizer:
        return self._values["pretokenizers"][index]

    def __setitem__(self, index: int, value: PreTokenizer) -> None:
        items = list(self._values["pretokenizers"])
        items[index] = value
        self._set("pretokenizers", items)
