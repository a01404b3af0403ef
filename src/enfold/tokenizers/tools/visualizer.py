"""EncodingVisualizer: a text with its tokens and annotations marked, as one page of HTML."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from html import escape
from typing import Any, NamedTuple

from enfold.tokenizers.encoding import Encoding
from enfold.tokenizers.tokenizer import Tokenizer

__all__ = ["Annotation", "EncodingVisualizer"]

# The colours of both schemes keep the text's contrast above 7 : 1; tokens also differ by their underlines, so that
# nothing depends on telling colours apart.
_STYLE = """
.tokens{color-scheme:light dark;--ink:#1b1b1f;--paper:#fff;--a:#dbe7ff;--b:#ffe9c7;--special:#e4e0f5;--unknown:#ffd6d6;
color:var(--ink);background:var(--paper);font:1rem/2.4 ui-monospace,monospace;white-space:pre-wrap;
overflow-wrap:anywhere;padding:1rem}
@media (prefers-color-scheme:dark){.tokens{--ink:#f2f2f5;--paper:#16161a;--a:#1d3560;--b:#4d3812;--special:#37305c;
--unknown:#5f2020}}
.tokens span.token{background:var(--a);border-bottom:2px solid;border-radius:.2em;padding:.15em 0}
.tokens span.token.odd{background:var(--b);border-bottom-style:dashed}
.tokens span.token.special{background:var(--special);border-bottom-style:dotted;margin:0 .15em}
.tokens span.token.unknown{background:var(--unknown);border-bottom-style:double}
.tokens span.token:focus-visible,.tokens span.token:hover{outline:2px solid;outline-offset:1px}
.tokens mark{color:inherit;background:none;border:1px solid;border-radius:.3em;padding:.35em .1em}
.tokens mark>.label{font:600 .7rem/1 system-ui,sans-serif;padding:0 .4em;user-select:none}
"""


class Annotation:
    """A labelled part of the text.

    Args:
        start: its first character.
        end: the character behind its last.
        label: what it is.
    """

    def __init__(self, start: int, end: int, label: str) -> None:
        self.start = start
        self.end = end
        self.label = label


class _Run(NamedTuple):
    """Characters that are covered by the same tokens."""

    begin: int
    end: int
    tokens: tuple[int, ...]


class EncodingVisualizer:
    """Shows how a tokenizer cuts a text.

    Args:
        tokenizer: the tokenizer.
        default_to_notebook: show the page in a notebook rather than return it.
        annotation_converter: makes an Annotation of whatever ``annotations`` are.

    Raises:
        ImportError: default_to_notebook without IPython.

    Example:
        >>> from enfold.tokenizers.models import WordLevel
        >>> tokenizer = Tokenizer(WordLevel({"hey": 0}, unk_token="hey"))
        >>> page = EncodingVisualizer(tokenizer, default_to_notebook=False)("hey")
        >>> 'title="hey · id 0"' in page
        True
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        default_to_notebook: bool = True,
        annotation_converter: Callable[[Any], Annotation] | None = None,
    ) -> None:
        if default_to_notebook:
            _display()
        self.tokenizer = tokenizer
        self.default_to_notebook = default_to_notebook
        self.annotation_converter = annotation_converter

    def __call__(
        self, text: str, annotations: list[Any] | None = None, default_to_notebook: bool | None = None
    ) -> str | None:
        """Show the text, or return the page.

        Args:
            text: the text.
            annotations: Annotations, or what the annotation_converter takes; they may not overlap.
            default_to_notebook: as for the class; None for what was said there.

        Returns:
            The HTML, or None where it was shown.

        Raises:
            ValueError: an annotation lies outside the text, or overlaps another.
        """
        shown = self.default_to_notebook if default_to_notebook is None else default_to_notebook
        convert = self.annotation_converter
        marks = [convert(item) if convert else item for item in annotations or []]
        page = _page(_body(text, self.tokenizer.encode(text), _checked(text, marks), self._unknown()))
        if not shown:
            return page
        html, display = _display()
        display(html(page))
        return None

    def _unknown(self) -> str | None:
        return getattr(self.tokenizer.model, "unk_token", None)


def _display() -> tuple[Any, Any]:
    try:
        from IPython.display import HTML, display  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        raise ImportError(
            "showing encodings in a notebook needs IPython: pip install ipython, or pass default_to_notebook=False "
            "for the HTML"
        ) from None
    return HTML, display


def _checked(text: str, marks: list[Annotation]) -> list[Annotation]:
    marks = sorted(marks, key=lambda mark: (mark.start, mark.end))
    for before, mark in zip([None, *marks], marks, strict=False):
        if not 0 <= mark.start < mark.end <= len(text):
            raise ValueError(f"the annotation {mark.label!r} ({mark.start}, {mark.end}) is not a part of the text")
        if before is not None and before.end > mark.start:
            raise ValueError(f"the annotations {before.label!r} and {mark.label!r} overlap")
    return marks


def _runs(text: str, encoding: Encoding) -> Iterator[_Run]:
    """The text cut where the tokens that cover it change; special tokens cover nothing."""
    cover: list[list[int]] = [[] for _ in text]
    for index, ((begin, end), special) in enumerate(zip(encoding.offsets, encoding.special_tokens_mask, strict=True)):
        if not special:
            for at in range(begin, end):
                cover[at].append(index)
    begin = 0
    for at in range(1, len(text) + 1):
        if at == len(text) or cover[at] != cover[begin]:
            yield _Run(begin, at, tuple(cover[begin]))
            begin = at


def _body(text: str, encoding: Encoding, marks: list[Annotation], unknown: str | None) -> str:
    tokens, ids = encoding.tokens, encoding.ids
    special = [index for index, flag in enumerate(encoding.special_tokens_mask) if flag]

    def token(indices: tuple[int, ...], shown: str, kinds: str) -> str:
        title = ", ".join(f"{tokens[index]} · id {ids[index]}" for index in indices)
        return f'<span class="token {kinds}" tabindex="0" title="{escape(title)}">{shown}</span>'

    def around(limit: int) -> str:
        made = ""
        while special and special[0] < limit:
            index = special.pop(0)
            made += token((index,), escape(tokens[index]), "special")
        return made

    made = []
    starts = {mark.start: mark for mark in marks}
    ends = {mark.end for mark in marks}
    cuts = sorted({*starts, *ends})
    for run in _runs(text, encoding):
        if run.tokens:
            made.append(around(run.tokens[0]))
        # A run is cut again where an annotation begins or ends.
        inner = [cut for cut in cuts if run.begin < cut < run.end]
        for begin, end in zip([run.begin, *inner], [*inner, run.end], strict=True):
            if begin in starts:
                label = escape(starts[begin].label)
                made.append(f'<mark aria-label="{label}"><span class="label" aria-hidden="true">{label}</span>')
            shown = escape(text[begin:end])
            if run.tokens:
                kinds = "odd" if run.tokens[0] % 2 else "even"
                if unknown is not None and any(tokens[index] == unknown for index in run.tokens):
                    kinds += " unknown"
                shown = token(run.tokens, shown, kinds)
            made.append(shown)
            if end in ends:
                made.append("</mark>")
    return "".join(made) + around(len(tokens))


def _page(body: str) -> str:
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><title>Tokens</title>'
        f"<style>{_STYLE}</style></head>"
        f'<body><main class="tokens" dir="auto" aria-label="Tokens of the text">{body}</main></body></html>\n'
    )
