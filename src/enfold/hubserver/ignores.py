"""Which files a ``.gitignore`` leaves out.

Source: gitignore(5) of git, "PATTERN FORMAT".
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["Ignores"]

_RULES, _LONGEST = 1_000, 300  # lines that are read, and characters of one


class _Rule(NamedTuple):
    segments: tuple[str, ...]
    keeps: bool  # begins with "!": what matches is kept
    folders: bool  # ends with "/": only folders match


class Ignores:
    """The rules of a ``.gitignore`` at the root of a repository.

    Example:
        >>> ignored = Ignores("*.log\\n!keep.log\\n/build/\\n")
        >>> ignored("a/b.log"), ignored("a/keep.log"), ignored("build/x"), ignored("a/build/x")
        (True, False, True, False)
    """

    def __init__(self, text: str) -> None:
        lines = [line for line in text.splitlines()[:_RULES] if len(line) <= _LONGEST]
        self._rules = [rule for line in lines if (rule := _parse(line)) is not None]

    def __call__(self, path: str) -> bool:
        """Say whether a file is left out: by itself, or with a folder that holds it, from which nothing comes back."""
        segments = path.split("/")
        return any(self._last(segments[:count], folder=count < len(segments)) for count in range(1, len(segments) + 1))

    def _last(self, segments: Sequence[str], *, folder: bool) -> bool:
        for rule in reversed(self._rules):
            if (folder or not rule.folders) and _matches(rule.segments, segments):
                return not rule.keeps
        return False


def _parse(line: str) -> _Rule | None:
    line = re.sub(r"(?<!\\) +$", "", line.rstrip("\r\n"))
    if not line or line.startswith("#"):
        return None
    keeps = line.startswith("!")
    line = line[keeps:]
    folders = line.endswith("/")
    anchored = "/" in line.rstrip("/")
    parts = [_plain(part) for part in line.strip("/").split("/")]
    if not any(parts):
        return None
    return _Rule(tuple(parts if anchored else ["**", *parts]), keeps, folders)


def _plain(segment: str) -> str:
    """Return a segment as ``fnmatch`` reads it, which knows no backslashes and one kind of negation."""
    segment = re.sub(r"\\(.)", lambda found: f"[{found[1]}]" if found[1] in "*?[" else found[1], segment)
    return segment.replace("[^", "[!")


def _matches(pattern: Sequence[str], path: Sequence[str]) -> bool:
    """Say whether a path as a whole matches; ``**`` stands for any number of segments, at the end for at least one."""
    reached = {0}  # how many segments of the path the pattern so far may have taken
    for place, segment in enumerate(pattern):
        if not reached:
            return False
        if segment == "**":
            last = place + 1 == len(pattern)
            reached = set(range(min(reached) + int(last), len(path) + 1))
        else:
            reached = {at + 1 for at in reached if at < len(path) and fnmatch.fnmatchcase(path[at], segment)}
    return len(path) in reached
