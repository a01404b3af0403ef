"""The page of the ``enfold`` command: what every command says with ``--help``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

__all__ = ["markdown"]

WIDTH = 88  # columns of a help text


def markdown() -> str:
    """A section for each command, its own commands below it."""
    os.environ["TYPER_USE_RICH"] = "0"  # plain text, no boxes
    import typer

    from enfold.cli import COMMANDS, _application

    parts: list[str] = []
    for name in COMMANDS:
        root: Any = typer.main.get_command(_application([name]))
        parts += _sections(root.commands[name], root.context_class(root, info_name="enfold"), name, "##")
    return "\n".join(parts)


def _sections(command: Any, parent: Any, name: str, level: str) -> Iterator[str]:
    context = command.context_class(command, info_name=name, parent=parent, terminal_width=WIDTH)
    yield f"{level} {context.command_path}\n\n```text\n{command.get_help(context).strip()}\n```\n"
    for below, found in getattr(command, "commands", {}).items():
        yield from _sections(found, context, below, level + "#")
