"""The ``enfold`` command: one file a subcommand, loaded only when it is the one that was called."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import typer

__all__ = ["main"]

# Command → (module with a typer ``app``, or one function ``command``; the line that `enfold --help` shows).
COMMANDS: dict[str, tuple[str, str]] = {
    "demo": ("enfold.cli.demo", "Train, fine-tune, evaluate, share and deploy on real data."),
    "run": ("enfold.cli.run", "Run a program written for the ecosystem, unchanged, on enfold."),
    "launch": ("enfold.cli.launch", "Run a training script in several processes."),
    "accelerate": ("enfold.cli.accelerate", "Configure and check training in several processes; merge its weights."),
    "trl": ("enfold.cli.trl", "Align a model: SFT, DPO, reward models, GRPO, RLOO, KTO, ORPO, CPO."),
    "export": ("enfold.cli.export", "Write a model for another runtime: ONNX and others."),
    "optimum": ("enfold.cli.optimum", "Export, optimize and quantize models, in the words of optimum-cli."),
    "paint": ("enfold.cli.paint", "Paint a picture from a text, or open a page that does."),
    "serve": ("enfold.cli.serve", "Serve models: OpenAI's, TGI's and the Hub's routes over one engine."),
    "eject": ("enfold.cli.eject", "Write a model as one readable file that needs nothing of enfold."),
    "hub": ("enfold.cli.hub", "Serve a Hub, and upload, download and manage repositories."),
    "env": ("enfold.cli.env", "Show versions, processor, threads and caches: what a bug report needs."),
}


def main() -> None:
    """Run the ``enfold`` command with the process's arguments.

    An error that enfold raises on purpose ends it with one line and status 1; Ctrl-C ends it with status 130.
    """
    from enfold.errors import EnfoldError

    try:
        _application(sys.argv[1:])()
    except EnfoldError as error:
        print(f"enfold: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    except SystemExit as end:
        if end.code == 130:  # how typer passes Ctrl-C on
            print("\nenfold: stopped", file=sys.stderr)
        raise


def _application(arguments: list[str]) -> typer.Typer:
    import typer

    root = typer.Typer(
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        help="Train, fine-tune, evaluate, deploy and share: the Hugging Face ecosystem and Hub in one distribution.",
        epilog="Start with `enfold demo`, or run a program you have: `enfold run script.py`.",
    )

    @root.callback(invoke_without_command=True)
    def version(show: bool = typer.Option(False, "--version", help="Print the version and end.")) -> None:
        if show:
            import enfold

            print(f"enfold {enfold.__version__}")
            raise typer.Exit

    called = next((word for word in arguments if not word.startswith("-")), None)
    for name, (module, line) in COMMANDS.items():
        # Only the command that was called is imported; the others are known by their one line.
        if name != called:
            root.command(name, help=line)(_nothing)
            continue
        part: Any = importlib.import_module(module)
        if hasattr(part, "app"):
            root.add_typer(part.app, name=name, help=line)
        else:
            settings = getattr(part, "SETTINGS", None)
            root.command(name, short_help=line, context_settings=settings)(part.command)
    return root


def _nothing() -> None:
    """Stand in for a command that was not called."""
