"""Completions on the terminal."""

from __future__ import annotations

from typing import Any

__all__ = ["print_completions"]


def print_completions(table: dict[str, list[Any]], step: int, count: int | None = None) -> None:
    """Print prompts, completions and what they are worth as a table.

    Args:
        table: column → one value a completion.
        step: of the training.
        count: rows to print; all by default.
    """
    from rich.console import Console
    from rich.table import Table

    names = [name for name in table if name != "step"]
    shown = Table(title=f"Step {step}", show_lines=True, expand=True)
    for name in names:
        shown.add_column(name)
    for row in list(zip(*(table[name] for name in names), strict=False))[:count]:
        shown.add_row(*(f"{value:.3f}" if isinstance(value, float) else str(value) for value in row))
    Console().print(shown)
