"""Where numbers of a training go: a file of JSON lines always, and services whose packages are installed."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from enfold.accelerate.options import folder
from enfold.accelerate.state import PartialState
from enfold.errors import EnfoldError, nearest

__all__ = [
    "GeneralTracker",
    "JSONLinesTracker",
    "filter_trackers",
    "get_available_trackers",
    "on_main_process",
    "register_tracker_class",
]


def on_main_process(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let a tracker's method act on the main process alone, when the tracker says so."""

    @functools.wraps(function)
    def only(self: Any, *args: Any, **kwargs: Any) -> Any:
        if getattr(self, "main_process_only", False) and not PartialState().is_main_process:
            return None
        return function(self, *args, **kwargs)

    return only


class GeneralTracker:
    """What a tracker offers; a subclass names itself and says how it logs.

    Attributes:
        name: what it is asked for by.
        requires_logging_directory: whether it is made with one.
        main_process_only: whether it acts on the main process alone.
        tracker: the object behind it.
    """

    name = ""
    requires_logging_directory = False
    main_process_only = True

    def __init__(self, _blank: bool = False) -> None:
        if _blank:
            return
        for needed in ("name", "requires_logging_directory", "tracker"):
            if not hasattr(self, needed) or getattr(self, needed) == "":
                raise NotImplementedError(f"the tracker {type(self).__name__} does not have the attribute {needed!r}")

    def start(self) -> None:
        """Begin a run, once it is known which process this is."""

    def store_init_configuration(self, values: dict[str, Any]) -> None:
        """Keep the configuration of a run."""

    def log(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
        """Keep numbers of a step."""

    def finish(self) -> None:
        """End the run."""


class JSONLinesTracker(GeneralTracker):
    """One JSON object a line in ``<folder>/<run>/log.jsonl``; needs nothing and any program reads it.

    Args:
        run_name: name of the run.
        logging_dir: the folder.
    """

    name = "jsonl"
    requires_logging_directory = True

    def __init__(self, run_name: str, logging_dir: str | os.PathLike[str] = ".", **kwargs: Any) -> None:
        self.path = Path(logging_dir) / run_name / "log.jsonl"
        super().__init__()

    @property
    def tracker(self) -> Path:
        """The file."""
        return self.path

    def _write(self, **row: Any) -> None:
        folder(self.path.parent)
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(row, default=_plain) + "\n")

    @on_main_process
    def store_init_configuration(self, values: dict[str, Any]) -> None:
        """Write the configuration as a line of its own."""
        self._write(time=time.time(), config=values)

    @on_main_process
    def log(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
        """Write a line with the step and the numbers."""
        self._write(time=time.time(), step=step, **values)


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") and getattr(value, "numel", lambda: 1)() == 1 else str(value)


class TensorBoardTracker(GeneralTracker):
    """Event files that TensorBoard shows.

    Args:
        run_name: name of the run, a folder in ``logging_dir``.
        logging_dir: the folder.
        kwargs: of ``SummaryWriter``.
    """

    name = "tensorboard"
    requires_logging_directory = True

    def __init__(self, run_name: str, logging_dir: str | os.PathLike[str] = ".", **kwargs: Any) -> None:
        self.run_name, self.logging_dir, self.options = run_name, Path(logging_dir) / run_name, kwargs
        self.writer: Any = None
        super().__init__()

    @property
    def tracker(self) -> Any:
        """The ``SummaryWriter``."""
        return self.writer

    @on_main_process
    def start(self) -> None:
        """Open the event file."""
        from torch.utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(str(self.logging_dir), **self.options)

    @on_main_process
    def store_init_configuration(self, values: dict[str, Any]) -> None:
        """Write the configuration as hyperparameters."""
        kept = {
            key: value if isinstance(value, (int, float, str, bool)) else str(value) for key, value in values.items()
        }
        self.writer.add_hparams(kept, metric_dict={})
        self.writer.flush()

    @on_main_process
    def log(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
        """Write numbers as scalars, texts as texts and dictionaries as scalars side by side."""
        for key, value in values.items():
            kind = "add_text" if isinstance(value, str) else "add_scalars" if isinstance(value, dict) else "add_scalar"
            getattr(self.writer, kind)(key, value, global_step=step, **kwargs)
        self.writer.flush()

    @on_main_process
    def finish(self) -> None:
        """Close the event file."""
        self.writer.close()


class _Service(GeneralTracker):
    """A service's package, spoken to by a table of its calls."""

    module = ""

    def __init__(self, run_name: str, **kwargs: Any) -> None:
        self.run_name, self.options = run_name, kwargs
        self.run: Any = None
        super().__init__()

    @property
    def tracker(self) -> Any:
        """The service's own run."""
        return self.run

    @property
    def package(self) -> Any:
        """The service's package."""
        return importlib.import_module(self.module)


class WandBTracker(_Service):
    """Weights & Biases."""

    name = module = "wandb"
    main_process_only = False

    @on_main_process
    def start(self) -> None:
        """Begin a run."""
        self.run = self.package.init(project=self.run_name, **self.options)

    @on_main_process
    def store_init_configuration(self, values: dict[str, Any]) -> None:
        """Keep the configuration."""
        self.package.config.update(values, allow_val_change=True)

    @on_main_process
    def log(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
        """Send numbers."""
        self.run.log(values, step=step, **kwargs)

    @on_main_process
    def finish(self) -> None:
        """End the run."""
        self.run.finish()


class TrackioTracker(WandBTracker):
    """Trackio, which speaks as Weights & Biases does."""

    name = module = "trackio"
    main_process_only = True

    @on_main_process
    def store_init_configuration(self, values: dict[str, Any]) -> None:
        """Keep the configuration."""
        self.run.config.update(values)

    @on_main_process
    def log(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
        """Send numbers."""
        self.run.log({**values, **({} if step is None else {"step": step})}, **kwargs)


class SwanLabTracker(WandBTracker):
    """SwanLab, which speaks as Weights & Biases does."""

    name = module = "swanlab"
    main_process_only = True

    @on_main_process
    def finish(self) -> None:
        """End the run."""
        self.package.finish()


class MLflowTracker(_Service):
    """MLflow: numbers are metrics, the configuration is parameters."""

    name = module = "mlflow"

    @on_main_process
    def start(self) -> None:
        """Begin a run of the experiment ``run_name``."""
        self.package.set_experiment(self.run_name)
        self.run = self.package.start_run(**self.options)

    @on_main_process
    def store_init_configuration(self, values: dict[str, Any]) -> None:
        """Keep the configuration, a hundred parameters at a time, which is what one request may hold."""
        items = [(key, value) for key, value in values.items() if len(str(value)) <= 500]
        for start in range(0, len(items), 100):
            self.package.log_params(dict(items[start : start + 100]))

    @on_main_process
    def log(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
        """Send numbers; what is none is left out."""
        self.package.log_metrics({key: v for key, v in values.items() if isinstance(v, (int, float))}, step=step)

    @on_main_process
    def finish(self) -> None:
        """End the run."""
        self.package.end_run()


class CometMLTracker(_Service):
    """Comet."""

    name, module = "comet_ml", "comet_ml"

    @on_main_process
    def start(self) -> None:
        """Begin an experiment."""
        self.run = self.package.start(project_name=self.run_name, **self.options)

    @on_main_process
    def store_init_configuration(self, values: dict[str, Any]) -> None:
        """Keep the configuration."""
        self.run.log_parameters(values)

    @on_main_process
    def log(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
        """Send numbers."""
        self.run.log_metrics(values, step=step, **kwargs)

    @on_main_process
    def finish(self) -> None:
        """End the experiment."""
        self.run.end()


# What `log_with` understands → the class and the package it needs.
TRACKERS: dict[str, tuple[type[GeneralTracker], str | None]] = {
    "jsonl": (JSONLinesTracker, None),
    "tensorboard": (TensorBoardTracker, "tensorboard"),
    "wandb": (WandBTracker, "wandb"),
    "trackio": (TrackioTracker, "trackio"),
    "swanlab": (SwanLabTracker, "swanlab"),
    "mlflow": (MLflowTracker, "mlflow"),
    "comet_ml": (CometMLTracker, "comet_ml"),
}


def register_tracker_class(tracker_class: type[GeneralTracker]) -> type[GeneralTracker]:
    """Let ``log_with`` understand the name of a tracker of one's own; also a decorator.

    Raises:
        EnfoldError: the class is no tracker, has no name, or its name stands for another.
    """
    name = str(getattr(tracker_class, "name", ""))
    if not (isinstance(tracker_class, type) and issubclass(tracker_class, GeneralTracker) and name):
        raise EnfoldError(f"{tracker_class!r} is no tracker: a subclass of GeneralTracker with a name is expected")
    if TRACKERS.get(name, (tracker_class, None))[0] is not tracker_class:
        raise EnfoldError(f"the name {name!r} stands for {TRACKERS[name][0].__name__} already")
    TRACKERS[name] = (tracker_class, None)
    return tracker_class


def get_available_trackers() -> list[str]:
    """Return the names of the trackers whose packages are installed."""
    return [name for name, (_, needs) in TRACKERS.items() if needs is None or importlib.util.find_spec(needs)]


def filter_trackers(log_with: Any, logging_dir: str | os.PathLike[str] | None = None) -> list[Any]:
    """Return the trackers asked for: names of known ones, and trackers themselves.

    Args:
        log_with: a name, a tracker, a list of either, ``"all"`` for all that are installed, or None for JSON lines
            where there is a folder for them.
        logging_dir: the folder of those that need one.
    """
    if log_with is None:
        return ["jsonl"] if logging_dir is not None else []
    asked = list(log_with) if isinstance(log_with, (list, tuple)) else [log_with]
    names: list[Any] = []
    for item in asked:
        if isinstance(item, GeneralTracker):
            names.append(item)
            continue
        name = str(getattr(item, "value", item)).lower()
        if name == "all":
            names += [known for known in get_available_trackers() if logging_dir or not _needs_folder(known)]
            continue
        if name not in TRACKERS:
            raise EnfoldError(f"there is no tracker {name!r}; expected {', '.join(TRACKERS)}{nearest(name, TRACKERS)}")
        if name not in get_available_trackers():
            raise EnfoldError(f"the tracker {name!r} needs its package: pip install {TRACKERS[name][1]}")
        if _needs_folder(name) and logging_dir is None:
            raise EnfoldError(f"the tracker {name!r} writes into a folder: give project_dir or logging_dir")
        names.append(name)
    return list(dict.fromkeys(names))


def _needs_folder(name: str) -> bool:
    return TRACKERS[name][0].requires_logging_directory


def start_trackers(
    chosen: list[Any], project_name: str, logging_dir: str | None, options: dict[str, dict[str, Any]]
) -> list[GeneralTracker]:
    """Make and start the trackers that :func:`filter_trackers` returned."""
    made: list[GeneralTracker] = []
    for item in chosen:
        if isinstance(item, GeneralTracker):
            made.append(item)
        else:
            where = {"logging_dir": logging_dir} if _needs_folder(item) else {}
            made.append(TRACKERS[item][0](project_name, **where, **options.get(item, {})))  # type: ignore[call-arg, arg-type]
        made[-1].start()
    return made
