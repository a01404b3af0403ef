"""Callbacks that tell other programs how a training goes; each needs that program's own package."""

from __future__ import annotations

import importlib
import importlib.util
import os
from typing import Any, ClassVar

from enfold.errors import EnfoldError
from enfold.transformers.trainer.callbacks import TrainerCallback

__all__ = [
    "REPORTERS",
    "CodeCarbonCallback",
    "TensorBoardCallback",
    "TrackioCallback",
    "WandbCallback",
    "get_available_reporting_integrations",
]


class Reporter(TrainerCallback):
    """Base of the callbacks; a class names its ``package``.

    Raises:
        EnfoldError: when the package is not installed.
    """

    package: ClassVar[str] = ""

    def __init__(self) -> None:
        if not installed(self.package):
            raise EnfoldError(f"{type(self).__name__} needs {self.package}, which is not installed")

    @property
    def module(self) -> Any:
        """The package, imported when it is first needed."""
        return importlib.import_module(self.package)


def installed(package: str) -> bool:
    """Return whether a package can be imported."""
    try:
        return importlib.util.find_spec(package) is not None
    except (ImportError, ValueError):
        return False


def numbers(logs: dict[str, Any]) -> dict[str, float]:
    """Return the numbers of a log under ``train/``, ``eval/`` and ``test/``.

    Example:
        >>> numbers({"loss": 0.5, "eval_loss": 1, "note": "x"})
        {'train/loss': 0.5, 'eval/loss': 1}
    """
    shown = {}
    for name, value in logs.items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            group = next((group for group in ("eval", "test") if name.startswith(f"{group}_")), None)
            shown[f"train/{name}" if group is None else f"{group}/{name.removeprefix(f'{group}_')}"] = value
    return shown


class _Runs(Reporter):
    """A service of runs with ``init``, ``log`` and ``finish``."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Open a run, unless the program has one open."""
        if state.is_world_process_zero and getattr(self.module, "run", None) is None:
            self.start(args)

    def start(self, args: Any) -> None:
        """Open a run with the arguments of the training."""
        project = os.environ.get(f"{self.package.upper()}_PROJECT", "huggingface")
        self.module.init(project=project, name=getattr(args, "run_name", None), config=args.to_dict())

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        """Send the numbers."""
        if state.is_world_process_zero and logs:
            self.module.log({**numbers(logs), "train/global_step": state.global_step})


class WandbCallback(_Runs):
    """Reports to Weights & Biases; ``WANDB_PROJECT`` names the project."""

    package = "wandb"


class TrackioCallback(_Runs):
    """Reports to Trackio; ``TRACKIO_PROJECT`` names the project."""

    package = "trackio"

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Close the run."""
        if state.is_world_process_zero:
            self.module.finish()


class TensorBoardCallback(Reporter):
    """Writes event files for TensorBoard.

    Args:
        tb_writer: a writer to use; by default one on ``args.logging_dir``, or ``runs`` in the output folder.
    """

    package = "tensorboard"

    def __init__(self, tb_writer: Any = None) -> None:
        if tb_writer is None:
            super().__init__()
        self.writer = tb_writer

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Open the writer and note the arguments."""
        if not state.is_world_process_zero:
            return
        if self.writer is None:
            folder = args.logging_dir or os.path.join(args.output_dir, "runs")
            self.writer = importlib.import_module("torch.utils.tensorboard").SummaryWriter(log_dir=folder)
        self.writer.add_text("args", args.to_json_string())

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        """Write the numbers."""
        if state.is_world_process_zero and self.writer is not None:
            for name, value in numbers(logs or {}).items():
                self.writer.add_scalar(name, value, state.global_step)
            self.writer.flush()

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Close the writer."""
        if self.writer is not None:
            self.writer.close()
            self.writer = None


class CodeCarbonCallback(Reporter):
    """Measures with CodeCarbon what the training emits."""

    package = "codecarbon"

    def __init__(self) -> None:
        super().__init__()
        self.tracker: Any = None

    def on_init_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Make the tracker."""
        if state.is_world_process_zero and self.tracker is None:
            self.tracker = self.module.EmissionsTracker(output_dir=args.output_dir)

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Start to measure."""
        if self.tracker is not None:
            self.tracker.start()

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Stop."""
        if self.tracker is not None:
            self.tracker.stop()


# name in ``report_to`` → callback
REPORTERS: dict[str, type[Reporter]] = {
    "codecarbon": CodeCarbonCallback,
    "tensorboard": TensorBoardCallback,
    "trackio": TrackioCallback,
    "wandb": WandbCallback,
}


def get_available_reporting_integrations() -> list[str]:
    """Return the names in ``report_to`` whose packages are installed."""
    return [name for name, kind in REPORTERS.items() if installed(kind.package)]
