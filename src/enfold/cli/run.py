"""``enfold run``: programs and commands of the ecosystem, on enfold."""

from __future__ import annotations

import typer

from enfold.errors import EnfoldError

__all__ = ["SETTINGS", "command"]

# What follows the program is the program's own.
SETTINGS = {"allow_extra_args": True, "ignore_unknown_options": True, "allow_interspersed_args": False}

# The ecosystem's commands → the words of ours that stand for them.
COMMANDS: dict[str, list[str]] = {
    "hf": ["hub"],
    "huggingface-cli": ["hub"],
    "accelerate": ["accelerate"],
    "accelerate-launch": ["launch"],
    "optimum-cli": ["optimum"],
    "trl": ["trl"],
}
MODULES = {"gradio": "enfold.gradio"}  # the same, where a module stands for the command
# Commands of the ecosystem that are not offered: refused by name, not looked up as a file.
ABSENT = ("transformers", "diffusers-cli")


def command(
    context: typer.Context,
    program: str = typer.Argument(
        ..., help="A script, `-m MODULE`, `-c CODE`, or a command of the ecosystem such as `hf`.", metavar="PROGRAM"
    ),
) -> None:
    """Run a program written for the ecosystem, unchanged: its imports resolve to enfold.

    Examples: `enfold run train.py --epochs 3`, `enfold run -m pytest tests`, `enfold run hf download gpt2`.
    """
    arguments = list(context.args)
    if program in ABSENT:
        known = ", ".join([*COMMANDS, *MODULES])
        raise EnfoldError(f"enfold {_version()} has no {program!r} command; `enfold run` knows {known}")
    if program in COMMANDS:
        import sys

        from enfold.cli import main

        sys.argv = ["enfold", *COMMANDS[program], *arguments]
        main()
        return
    from enfold.dropin.__main__ import main as run

    run(["-m", MODULES[program], *arguments] if program in MODULES else [program, *arguments])


def _version() -> str:
    import enfold

    return enfold.__version__
