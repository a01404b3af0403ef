"""Callbacks that tell other programs how a training goes; each needs that program's own package."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import re
from typing import Any, ClassVar

from enfold.errors import EnfoldError, nearest
from enfold.transformers.trainer.callbacks import TrainerCallback

__all__ = [
    "REPORTERS",
    "ClearMLCallback",
    "CodeCarbonCallback",
    "CometCallback",
    "DVCLiveCallback",
    "MLflowCallback",
    "SwanLabCallback",
    "TensorBoardCallback",
    "TrackioCallback",
    "WandbCallback",
    "check_names",
    "get_available_reporting_integrations",
    "get_reporting_integration_callbacks",
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


class SwanLabCallback(_Runs):
    """Reports to SwanLab; ``SWANLAB_PROJECT`` names the project."""

    package = "swanlab"

    def start(self, args: Any) -> None:
        """Open a run with the arguments of the training."""
        project = os.environ.get("SWANLAB_PROJECT", "huggingface")
        self.module.init(project=project, experiment_name=getattr(args, "run_name", None), config=args.to_dict())

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        """Send the numbers."""
        if state.is_world_process_zero and logs:
            self.module.log(numbers(logs), step=state.global_step)


class CometCallback(Reporter):
    """Reports to Comet; ``COMET_PROJECT_NAME``, ``COMET_MODE`` and ``COMET_START_ONLINE`` say where, as everywhere."""

    package = "comet_ml"

    def __init__(self) -> None:
        super().__init__()
        self.experiment: Any = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Open an experiment and note the arguments."""
        if not state.is_world_process_zero or self.experiment is not None:
            return
        named = {} if args.run_name is None else {"experiment_config": self.module.ExperimentConfig(name=args.run_name)}
        mode = os.environ.get("COMET_MODE", "").lower()
        self.experiment = self.module.start(**named, **({"mode": mode} if mode else {}))
        self.experiment.log_parameters(args.to_sanitized_dict(), prefix="args")

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        """Send the numbers."""
        if self.experiment is not None and logs:
            self.experiment.log_metrics(numbers(logs), step=state.global_step, epoch=state.epoch)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Close the experiment."""
        if self.experiment is not None:
            self.experiment.end()
            self.experiment = None


class MLflowCallback(Reporter):
    """Reports to MLflow: ``MLFLOW_TRACKING_URI``, ``MLFLOW_EXPERIMENT_NAME`` and ``MLFLOW_TAGS`` (JSON) say where."""

    package = "mlflow"
    longest, most = 250, 100  # characters of a parameter's value, and parameters in one call, that every server takes

    def __init__(self) -> None:
        super().__init__()
        self.own = False  # the run is ours to end

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Open a run, unless the program has one open, and note the arguments."""
        if not state.is_world_process_zero:
            return
        read = os.environ.get
        if read("MLFLOW_TRACKING_URI") and not self.module.is_tracking_uri_set():
            self.module.set_tracking_uri(read("MLFLOW_TRACKING_URI"))
        if self.module.active_run() is None:
            if read("MLFLOW_EXPERIMENT_NAME"):
                self.module.set_experiment(read("MLFLOW_EXPERIMENT_NAME"))
            self.module.start_run(run_name=args.run_name)
            self.own = True
        values = [(name, value) for name, value in args.to_dict().items() if len(str(value)) <= self.longest]
        for start in range(0, len(values), self.most):
            self.module.log_params(dict(values[start : start + self.most]))
        if read("MLFLOW_TAGS"):
            self.module.set_tags(json.loads(os.environ["MLFLOW_TAGS"]))

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        """Send the numbers, under the names of the logs."""
        if state.is_world_process_zero:
            found = {name: value for name, value in (logs or {}).items() if isinstance(value, int | float)}
            clean = {re.sub(r"[^0-9A-Za-z_\-. :/]", "_", name): value for name, value in found.items()}
            self.module.log_metrics(clean, step=state.global_step)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Close the run."""
        if self.own:
            self.module.end_run()
            self.own = False


class ClearMLCallback(Reporter):
    """Reports to ClearML; ``CLEARML_PROJECT`` and ``CLEARML_TASK`` name project and task."""

    package = "clearml"

    def __init__(self) -> None:
        super().__init__()
        self.task: Any = None
        self.own = False

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Open a task, unless the program has one open, and connect the arguments."""
        if not state.is_world_process_zero or self.task is not None:
            return
        read, kind = os.environ.get, self.module.Task
        self.task, self.own = kind.current_task(), kind.current_task() is None
        if self.own:
            name = args.run_name or read("CLEARML_TASK", "Trainer")
            project = read("CLEARML_PROJECT", "HuggingFace Transformers")
            self.task = kind.init(project_name=project, task_name=name, auto_connect_frameworks=False)
        self.task.connect(args.to_sanitized_dict(), "Args")

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        """Send the numbers, a graph for each of train, eval and test."""
        if self.task is not None:
            for name, value in numbers(logs or {}).items():
                series, _, title = name.partition("/")
                self.task.get_logger().report_scalar(title, series, value, state.global_step)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Close the task."""
        if self.own and self.task is not None:
            self.task.close()
            self.task = None


class DVCLiveCallback(Reporter):
    """Reports to DVCLive.

    Args:
        live: a ``dvclive.Live`` to use; by default one is made.
    """

    package = "dvclive"

    def __init__(self, live: Any = None, **kwargs: Any) -> None:
        super().__init__()
        self.live, self.own = live, live is None

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Make the recorder and note the arguments."""
        if state.is_world_process_zero:
            self.live = self.live or self.module.Live()
            self.live.log_params(args.to_sanitized_dict())

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        """Record the numbers of a step."""
        if state.is_world_process_zero and self.live is not None:
            self.live.step = state.global_step
            for name, value in numbers(logs or {}).items():
                self.live.log_metric(name, value)
            self.live.make_summary()

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """End the recording."""
        if self.own and self.live is not None:
            self.live.end()
            self.live = None


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
    "clearml": ClearMLCallback,
    "codecarbon": CodeCarbonCallback,
    "comet_ml": CometCallback,
    "dvclive": DVCLiveCallback,
    "mlflow": MLflowCallback,
    "swanlab": SwanLabCallback,
    "tensorboard": TensorBoardCallback,
    "trackio": TrackioCallback,
    "wandb": WandbCallback,
}
_OURS = ("jsonl", "json")  # written in any case
_ELSEWHERE = ("azure_ml", "dagshub", "flyte", "kubeflow", "neptune")  # the ecosystem's, of services of one vendor each


def get_available_reporting_integrations() -> list[str]:
    """Return the names in ``report_to`` whose packages are installed."""
    return [name for name, kind in REPORTERS.items() if installed(kind.package)]


def get_reporting_integration_callbacks(report_to: list[str]) -> list[type[Reporter]]:
    """Return the callbacks of programs by name.

    Raises:
        ValueError: a name is unknown.
    """
    check_names(report_to)
    return [REPORTERS[name] for name in report_to if name in REPORTERS]


def check_names(names: list[str]) -> None:
    """Raise where a name in ``report_to`` is of no program.

    Raises:
        ValueError: with the nearest name.
    """
    for name in names:
        if name in _ELSEWHERE:
            raise ValueError(
                f"report_to={name!r} is not offered; there are {', '.join(REPORTERS)}, or a TrainerCallback"
            )
        if name not in REPORTERS and name not in _OURS:
            raise ValueError(f"report_to knows {', '.join(REPORTERS)}, not {name!r}{nearest(name, REPORTERS)}")
