"""``enfold trl``: alignment training from a command line or a file of settings."""

from __future__ import annotations

from collections.abc import Callable

import typer

__all__ = ["app"]

# Command → the line that `enfold trl --help` shows.
LINES = {
    "sft": "Supervised fine-tuning on texts, conversations, or prompts with completions.",
    "dpo": "Direct preference optimization, with every loss of its family.",
    "reward": "A reward model, learnt from preferences.",
    "grpo": "Group relative policy optimization, on the model's own completions.",
    "rloo": "REINFORCE with the other completions of a prompt as the baseline.",
    "kto": "Kahneman-Tversky optimization, on good and bad answers.",
    "bco": "Binary classifier optimization, on good and bad answers.",
    "orpo": "Odds ratio preference optimization, without a reference.",
    "cpo": "Contrastive preference optimization, with SimPO and AlphaPO.",
}
SETTINGS = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}

app = typer.Typer(no_args_is_help=True, help="Align a model: `enfold trl sft --model_name_or_path … --dataset_name …`.")


def _command(method: str) -> Callable[[typer.Context], None]:
    def run(context: typer.Context) -> None:
        from enfold.trl.scripts import train

        train(method, list(context.args))

    return run


for _method, _line in LINES.items():
    app.command(_method, help=_line, context_settings=SETTINGS)(_command(_method))


@app.command()
def env() -> None:
    """Show versions, processor and threads: what a bug report needs."""
    from enfold.cli.env import command

    command()
