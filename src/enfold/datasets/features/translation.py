"""Texts in several languages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pyarrow as pa

from .types import List, Value

__all__ = ["Translation", "TranslationVariableLanguages"]


@dataclass
class Translation:
    """A column with one text for each of several languages.

    Args:
        languages: the languages' codes.

    Example:
        >>> Translation(["en", "fr"]).flatten()
        {'en': Value('string'), 'fr': Value('string')}
    """

    languages: list[str]
    #: what rows hold
    dtype: ClassVar[str] = "dict"
    id: str | None = field(default=None, repr=False, compare=False)

    def __call__(self) -> pa.DataType:
        return pa.struct([(language, pa.string()) for language in sorted(self.languages)])

    def flatten(self) -> dict[str, Any]:
        """Return the feature of each language."""
        return {language: Value("string") for language in sorted(self.languages)}


@dataclass
class TranslationVariableLanguages:
    """A column of texts in languages that differ from row to row, each with one text or several.

    A value is ``{"en": "the cat", "fr": ["le chat", "la chatte"]}``; stored and seen are the languages and the texts
    as two lists of one length, in the order of the languages' codes.

    Args:
        languages: the codes that may occur; all where None.
        num_languages: how many there are; counted.
    """

    languages: list[str] | None = None
    num_languages: int | None = None
    #: what rows hold
    dtype: ClassVar[str] = "dict"
    id: str | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        self.languages = sorted(set(self.languages)) if self.languages else None
        self.num_languages = len(self.languages) if self.languages else None

    def __call__(self) -> pa.DataType:
        return pa.struct([("language", pa.list_(pa.string())), ("translation", pa.list_(pa.string()))])

    def encode_example(self, translation_dict: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
        """Return the two lists of a value.

        Raises:
            ValueError: a language that is not among those that may occur.
        """
        if translation_dict is None or set(translation_dict) == {"language", "translation"}:
            return translation_dict
        other = sorted(set(translation_dict) - set(self.languages)) if self.languages else []
        if other:
            raise ValueError(f"the languages {other} are not among those of the column, {self.languages}")
        pairs = sorted(
            (language, text)
            for language, texts in translation_dict.items()
            for text in ([texts] if isinstance(texts, str) else texts)
        )
        return {"language": [language for language, _ in pairs], "translation": [text for _, text in pairs]}

    def flatten(self) -> dict[str, Any]:
        """Return the features of the two lists."""
        return {"language": List(Value("string")), "translation": List(Value("string"))}
