"""A dataclass and command lines that the ecosystem's parser and ours read the same."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Literal, Optional


@dataclass
class Plain:
    path: str
    count: int = 3
    rate: float = 0.5
    flag: bool = False
    on: bool = True
    maybe: Optional[bool] = None  # noqa: UP045 - the spelling that scripts have
    size: int | None = None
    names: list[str] = field(default_factory=lambda: ["a"])
    numbers: Optional[list[int]] = None  # noqa: UP045
    kind: Literal["x", 2] = "x"
    text: str | None = None
    number: int | str | None = None
    short: str = field(default="s", metadata={"aliases": ["-e", "--example"], "help": "one letter"})


LINES: list[list[str]] = [
    ["--path", "p"],
    ["--path", "p", "--flag", "--no_on", "--maybe", "true", "--size", "4", "--names", "b", "c"],
    ["--path", "p", "--flag", "no", "--on", "0", "--numbers", "1", "2", "--kind", "2", "--number", "5"],
    ["--path=p", "--text", "5", "-e", "q", "--no-on", "--rate", "1e-3", "--example", "r"],
]


def parsed(parser_class: Any) -> list[dict[str, Any]]:
    parser = parser_class(Plain)
    return [dataclasses.asdict(parser.parse_args_into_dataclasses(line)[0]) for line in LINES]
