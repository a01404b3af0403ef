"""Markdown pages as tests see them: the fences to run, and the links and headings to check."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).resolve().parents[2]
RUNNABLE = ("python", "bash")


@dataclass(frozen=True)
class Fence:
    """One block of code: ``line`` is that of its opening fence, ``shows`` what the ``text`` fence after it holds.

    ``reason`` says why it is not run; None means that it is.
    """

    language: str
    line: int
    code: str
    reason: str | None = None
    shows: str | None = None
    shows_line: int = 0

    @property
    def runs(self) -> bool:
        return self.language in RUNNABLE and self.reason is None


def pages(root: Path = ROOT) -> list[Path]:
    """The pages whose fences are tests: README.md, those of docs/, and the examples' READMEs."""
    return [root / "README.md", *sorted(root.glob("docs/**/*.md")), *sorted(root.glob("examples/**/README.md"))]


def is_slow(text: str) -> bool:
    """Whether a page begins with the comment ``<!-- slow -->``."""
    return text.lstrip().startswith("<!-- slow -->")


def fences(text: str) -> list[Fence]:
    """The fenced blocks of a page, a ``text`` fence directly after a runnable one as what that one shows.

    Raises:
        ValueError: for words after ``python`` or ``bash`` that are not ``no-run: REASON``; it names the line.
    """
    found: list[Fence] = []
    before = None  # the runnable fence that the token before closed
    for token in MarkdownIt("commonmark").parse(text):
        last, before = before, None
        if token.type != "fence":
            continue
        assert token.map is not None
        line = token.map[0] + 1
        language, _, rest = token.info.strip().partition(" ")
        if language == "text" and last is not None:
            found[-1] = Fence(last.language, last.line, last.code, last.reason, token.content, line)
            continue
        reason = None
        if language in RUNNABLE:
            if rest:
                match = re.fullmatch(r"no-run: *(\S.*)", rest)
                if match is None:
                    raise ValueError(f"line {line}: after {language} only 'no-run: REASON' is known, not {rest!r}")
                reason = match[1]
            before = Fence(language, line, token.content, reason)
        found.append(before or Fence(language, line, token.content))
    return found


def source(found: list[Fence]) -> str:
    """The Python of a page on the page's own lines, so that errors and ``inspect`` point into the page."""
    lines: list[str] = []
    for fence in found:
        if fence.language == "python":
            lines += [""] * (fence.line - len(lines))
            lines += fence.code.splitlines()
    return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class Link:
    """A link or picture of a page: the line of the paragraph that it stands in, and its target as written."""

    line: int
    target: str


def links(text: str) -> list[Link]:
    """Every link and picture of a page."""
    found = []
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        for child in token.children or []:
            target = child.attrGet("href") or child.attrGet("src")
            if target is not None:
                found.append(Link(token.map[0] + 1 if token.map else 0, str(target)))
    return found


def anchors(text: str) -> set[str]:
    """The fragments that a page's headings get, by GitHub's rule."""
    found: set[str] = set()
    seen: Counter[str] = Counter()
    tokens = MarkdownIt("commonmark").parse(text)
    for opening, inline in pairwise(tokens):
        if opening.type == "heading_open":
            shown = "".join(child.content for child in inline.children or [] if child.type in ("text", "code_inline"))
            slug = re.sub(r"[^\w\- ]", "", shown.lower()).replace(" ", "-")
            found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
            seen[slug] += 1
    return found
