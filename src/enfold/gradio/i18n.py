"""Texts in the visitor's language: the author's own, by key."""

from __future__ import annotations

import json
import re
from typing import Any

from enfold.gradio.errors import GradioError

__all__ = ["I18n", "Translated"]

_LOCALE = re.compile(r"[a-zA-Z]{2,3}(-[a-zA-Z0-9]{2,8})*")


class Translated(str):
    """A text that each visitor reads in their own language; elsewhere it is its key."""

    key: str

    def __new__(cls, key: str) -> Translated:
        mark = json.dumps({"__type__": "translation_metadata", "key": key})
        made = super().__new__(cls, f"__i18n__{mark}")
        made.key = key
        return made


class I18n:
    """Texts by language and key; called with a key it stands for the text, in labels, buttons and values.

    Args:
        translations: for each language, such as ``en`` or ``pt_BR``, a dict from key to text.

    Raises:
        GradioError: a language is not a code such as "en" or "pt-BR".

    Example:
        >>> i18n = I18n(en={"name": "Name"}, de={"name": "Name und Vorname"})
        >>> i18n("name").key, i18n.texts("de-AT")["name"]
        ('name', 'Name und Vorname')
    """

    def __init__(self, **translations: dict[str, str]) -> None:
        self.translations: dict[str, dict[str, str]] = {}
        for name, texts in translations.items():
            code = name.replace("_", "-")
            if _LOCALE.fullmatch(code) is None:
                raise GradioError(f"{name!r} is not a language: use codes such as en, de or pt_BR")
            self.translations[code] = dict(texts)

    def __call__(self, key: str) -> Translated:
        return Translated(key)

    def texts(self, locale: str) -> dict[str, str]:
        """The texts for a language: its own, then those of the language without its country, then English."""
        found: dict[str, str] = {}
        wanted = ["en", locale.split("-")[0], locale]
        for code in wanted:
            for name, texts in self.translations.items():
                if name.lower() == code.lower():
                    found |= texts
        return found

    def config(self) -> dict[str, dict[str, str]]:
        """The texts as the page receives them."""
        return {name: dict(texts) for name, texts in self.translations.items()}

    def __deepcopy__(self, memo: Any) -> I18n:
        return self
