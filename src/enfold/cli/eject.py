"""``enfold eject``: a model as one readable file that needs nothing of enfold."""

from __future__ import annotations

from pathlib import Path

import typer

from enfold.errors import EnfoldError

__all__ = ["command"]


def command(
    model: str = typer.Argument(..., help="A model type such as bert, or a class such as BertForMaskedLM."),
    head: list[str] = typer.Option([], "--head", help="Keep this class alone; may be given several times."),
    output: Path = typer.Option(None, "-o", "--output", help="The file; by default the model's name, in this folder."),
    force: bool = typer.Option(False, "--force", help="Replace the file if it exists."),
) -> None:
    """Write a model's own code, with the blocks it is built of, into one file without an import of enfold.

    Change it and experiment: weights have the same names, and its from_pretrained reads a local folder.
    """
    from enfold.checkpoints.files import atomic_write
    from enfold.transformers.ejecting import eject

    path = output or Path(f"{model.replace('-', '_').lower()}.py")
    if path.exists() and not force:
        raise EnfoldError(f"{path} exists: choose another file with -o, or replace it with --force")
    source = eject(model, head or None)
    atomic_write(path, source)
    print(f"{path}: {len(source.splitlines()):,} lines; from {path.stem} import …")
