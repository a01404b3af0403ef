"""What happens around the steps of a training: its state, its switches, and the callbacks that turn them."""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from enfold.log import get_logger
from enfold.progress import Progress
from enfold.transformers.trainer.outcomes import IntervalStrategy, SaveStrategy
from enfold.transformers.trainer.plotting import loss_plot

if TYPE_CHECKING:
    from enfold.transformers.trainer.arguments import TrainingArguments

__all__ = [
    "CallbackHandler",
    "DefaultFlowCallback",
    "EarlyStoppingCallback",
    "ExportableState",
    "JsonLinesCallback",
    "LossPlotCallback",
    "PrinterCallback",
    "ProgressCallback",
    "TrainerCallback",
    "TrainerControl",
    "TrainerState",
]

logger = get_logger(__name__)


class ExportableState:
    """Something whose state is written into checkpoints: what makes it (``args``) and what it has become."""

    def state(self) -> dict[str, Any]:
        """Return ``{"args": arguments of the constructor, "attributes": what to set afterwards}``."""
        return {"args": {}, "attributes": {}}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Any:
        """Make the object that :meth:`state` described."""
        made = cls(**state["args"])
        for name, value in state["attributes"].items():
            setattr(made, name, value)
        return made


@dataclass
class TrainerState:
    """Where a training stands; written into each checkpoint as ``trainer_state.json``.

    Attributes:
        epoch: epochs done, with a fraction.
        global_step: updates done, of max_steps.
        logging_steps, eval_steps, save_steps: intervals in updates.
        log_history: every log, oldest first.
        best_metric, best_global_step, best_model_checkpoint: the best evaluation so far.
        num_input_tokens_seen: tokens read, when they are counted.
    """

    epoch: float | None = 0
    global_step: int = 0
    max_steps: int = 0
    logging_steps: int = 500
    eval_steps: int | None = 500
    save_steps: int = 500
    train_batch_size: int | None = None
    num_train_epochs: int = 0
    num_input_tokens_seen: int = 0
    total_flos: float = 0
    log_history: list[dict[str, float]] = field(default_factory=list)
    best_metric: float | None = None
    best_global_step: int | None = None
    best_model_checkpoint: str | None = None
    is_local_process_zero: bool = True
    is_world_process_zero: bool = True
    is_hyper_param_search: bool = False
    trial_name: str | None = None
    trial_params: dict[str, Any] | None = None
    stateful_callbacks: dict[str, Any] = field(default_factory=dict)

    def save_to_json(self, json_path: str) -> None:
        """Write the state as JSON, under a temporary name first."""
        text = json.dumps(dataclasses.asdict(self), indent=2, sort_keys=True) + "\n"
        with open(json_path + ".tmp", "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(json_path + ".tmp", json_path)

    @classmethod
    def load_from_json(cls, json_path: str) -> TrainerState:
        """Read a state; fields that other versions have written are left out."""
        with open(json_path, encoding="utf-8") as file:
            values = json.load(file)
        known = {item.name for item in dataclasses.fields(cls)}
        return cls(**{name: value for name, value in values.items() if name in known and value is not None})

    def compute_steps(self, args: TrainingArguments, max_steps: int) -> None:
        """Turn intervals that are shares of the training (below 1) into numbers of updates."""
        for what in ("logging", "eval", "save"):
            steps = getattr(args, f"{what}_steps")
            if steps is not None:
                setattr(self, f"{what}_steps", math.ceil(max_steps * steps) if steps < 1 else int(steps))


@dataclass
class TrainerControl(ExportableState):
    """Switches that callbacks turn and the training loop obeys."""

    should_training_stop: bool = False
    should_epoch_stop: bool = False
    should_save: bool = False
    should_evaluate: bool = False
    should_log: bool = False

    def _new_training(self) -> None:
        self.should_training_stop = False

    def _new_epoch(self) -> None:
        self.should_epoch_stop = False

    def _new_step(self) -> None:
        self.should_save = self.should_evaluate = self.should_log = False

    def state(self) -> dict[str, Any]:
        return {"args": dataclasses.asdict(self), "attributes": {}}


Control = TrainerControl | None


class TrainerCallback:
    """Base of callbacks; every event may return a changed ``control``.

    Each event gets ``args``, ``state`` and ``control``, and by name ``model``, ``processing_class`` (also as
    ``tokenizer``), ``optimizer``, ``lr_scheduler``, ``train_dataloader`` and ``eval_dataloader``; ``on_log`` also
    ``logs``, ``on_evaluate`` and ``on_predict`` also ``metrics``.

    Example:
        >>> class Shout(TrainerCallback):
        ...     def on_log(self, args, state, control, logs=None, **kwargs):
        ...         print(logs)
    """

    def on_init_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> Control:
        """The trainer has been made."""

    def on_train_begin(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> Control:
        """Training begins."""

    def on_train_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> Control:
        """Training has ended."""

    def on_epoch_begin(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> Control:
        """An epoch begins."""

    def on_epoch_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> Control:
        """An epoch has ended."""

    def on_step_begin(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> Control:
        """An update begins."""

    def on_pre_optimizer_step(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> Control:
        """Gradients are ready and clipped; the optimizer has not acted."""

    def on_optimizer_step(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> Control:
        """The optimizer has acted; gradients are still there."""

    def on_substep_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> Control:
        """A batch inside a window of accumulated gradients is done."""

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> Control:
        """An update is done."""

    def on_evaluate(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> Control:
        """An evaluation is done."""

    def on_predict(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> Control:
        """A prediction is done."""

    def on_save(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> Control:
        """A checkpoint has been written."""

    def on_log(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> Control:
        """Values have been logged."""

    def on_prediction_step(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> Control:
        """A batch of an evaluation is done."""

    def on_push_begin(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> Control:
        """A push to the Hub begins."""


class CallbackHandler:
    """Calls the callbacks in their order.

    Args:
        callbacks: callbacks, or classes of them.
        given: what every event gets by name.
    """

    def __init__(self, callbacks: Iterable[TrainerCallback | type[TrainerCallback]], **given: Any) -> None:
        self.callbacks: list[TrainerCallback] = []
        self.given = given
        for callback in callbacks:
            self.add(callback)

    def add(self, callback: TrainerCallback | type[TrainerCallback]) -> None:
        """Add a callback, or an instance of a class of them."""
        self.callbacks.append(callback() if isinstance(callback, type) else callback)

    def pop(self, callback: TrainerCallback | type[TrainerCallback]) -> TrainerCallback | None:
        """Take a callback out, or the first of its class; return it, or None when it is not there."""
        for item in self.callbacks:
            if (isinstance(callback, type) and type(item) is callback) or item is callback:
                self.callbacks.remove(item)
                return item
        return None

    def call(
        self, event: str, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> TrainerControl:
        """Call one event on every callback, and return the control as the last that changed it left it."""
        for callback in self.callbacks:
            result = getattr(callback, event)(args, state, control, **{**self.given, **kwargs})
            if result is not None:
                control = result
        return control


class DefaultFlowCallback(TrainerCallback):
    """Logs, evaluates and saves at the intervals that the arguments give."""

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> Control:
        step = state.global_step
        if step == 1 and args.logging_first_step:
            control.should_log = True
        if args.logging_strategy == IntervalStrategy.STEPS and step % state.logging_steps == 0:
            control.should_log = True
        due = args.eval_strategy == IntervalStrategy.STEPS and state.eval_steps and step % state.eval_steps == 0
        if due and args.eval_delay <= step:
            control.should_evaluate = True
        if args.save_strategy == SaveStrategy.STEPS and state.save_steps > 0 and step % state.save_steps == 0:
            control.should_save = True
        if step >= state.max_steps:
            control.should_training_stop = True
            # The last step is kept even when it falls between two intervals.
            if args.save_strategy == SaveStrategy.STEPS:
                control.should_save = True
        return control

    def on_epoch_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> Control:
        if args.logging_strategy == IntervalStrategy.EPOCH:
            control.should_log = True
        if args.eval_strategy == IntervalStrategy.EPOCH and args.eval_delay <= (state.epoch or 0):
            control.should_evaluate = True
        if args.save_strategy == SaveStrategy.EPOCH:
            control.should_save = True
        return control


class ProgressCallback(TrainerCallback):
    """Shows a bar with rate, time left and the last loss; without a terminal, one line a log."""

    def __init__(self, max_str_len: int = 100) -> None:
        self.training_bar: Progress | None = None
        self.prediction_bar: Progress | None = None
        self.max_str_len = max_str_len

    def on_train_begin(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> Control:
        if state.is_world_process_zero:
            self.training_bar = Progress(state.max_steps, "training", unit="step", initial=state.global_step)
        return None

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> Control:
        if self.training_bar is not None:
            self.training_bar.advance(state.global_step - self.training_bar.done)
        return None

    def on_prediction_step(
        self, args: Any, state: TrainerState, control: TrainerControl, eval_dataloader: Any = None, **kwargs: Any
    ) -> Control:
        if state.is_world_process_zero and hasattr(eval_dataloader, "__len__"):
            if self.prediction_bar is None:
                self.prediction_bar = Progress(len(eval_dataloader), "evaluating", unit="batch")
            self.prediction_bar.advance()
        return None

    def _end_prediction(self) -> None:
        if self.prediction_bar is not None:
            self.prediction_bar.close()
            self.prediction_bar = None

    def on_evaluate(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> Control:
        self._end_prediction()
        return None

    def on_predict(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> Control:
        self._end_prediction()
        return None

    def on_log(
        self, args: Any, state: TrainerState, control: TrainerControl, logs: dict[str, Any] | None = None, **kwargs: Any
    ) -> Control:
        if self.training_bar is not None and logs:
            shown = {name: logs[name] for name in ("loss", "eval_loss", "epoch") if name in logs}
            if not shown.keys() - {"epoch"}:
                return None  # the summary at the end: the bar's last line says it
            self.training_bar.report(**shown)
        return None

    def on_train_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> Control:
        self._end_prediction()
        if self.training_bar is not None:
            self.training_bar.close()
            self.training_bar = None
        return None


class PrinterCallback(TrainerCallback):
    """Prints every log."""

    def on_log(
        self, args: Any, state: TrainerState, control: TrainerControl, logs: dict[str, Any] | None = None, **kwargs: Any
    ) -> Control:
        if logs and state.is_local_process_zero:
            print({name: value for name, value in logs.items() if name != "total_flos"})
        return None


class JsonLinesCallback(TrainerCallback):
    """Writes every log as one JSON object to ``log.jsonl`` in the logging folder.

    A training that goes on from a checkpoint goes on behind that checkpoint's last line.
    """

    def on_train_begin(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> Control:
        if state.is_world_process_zero:
            path = _logging_path(args, "log.jsonl")
            with open(path + ".tmp", "w", encoding="utf-8") as file:
                file.writelines(json.dumps(log, default=float) + "\n" for log in state.log_history)
            os.replace(path + ".tmp", path)
        return None

    def on_log(
        self, args: Any, state: TrainerState, control: TrainerControl, logs: dict[str, Any] | None = None, **kwargs: Any
    ) -> Control:
        if logs and state.is_world_process_zero:
            with open(_logging_path(args, "log.jsonl"), "a", encoding="utf-8") as file:
                file.write(json.dumps({"step": state.global_step, **logs}, default=float) + "\n")
        return None


class LossPlotCallback(TrainerCallback):
    """Draws the losses into ``loss.svg`` in the logging folder, at every checkpoint and in the end."""

    def on_save(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> Control:
        if state.is_world_process_zero:
            picture = loss_plot(state.log_history, os.path.basename(os.path.normpath(args.output_dir)))
            if picture is not None:
                path = _logging_path(args, "loss.svg")
                with open(path + ".tmp", "w", encoding="utf-8") as file:
                    file.write(picture)
                os.replace(path + ".tmp", path)
        return None

    on_train_end = on_save


def _logging_path(args: Any, name: str) -> str:
    folder = args.logging_dir or args.output_dir
    os.makedirs(folder, exist_ok=True)
    return os.path.join(folder, name)


class EarlyStoppingCallback(TrainerCallback, ExportableState):
    """Stops when the metric for the best model has not improved for some evaluations.

    Args:
        early_stopping_patience: evaluations without improvement to wait for.
        early_stopping_threshold: improvement that counts.
    """

    def __init__(self, early_stopping_patience: int = 1, early_stopping_threshold: float | None = 0.0) -> None:
        self.early_stopping_patience = early_stopping_patience
        self.early_stopping_threshold = early_stopping_threshold or 0.0
        self.early_stopping_patience_counter = 0
        self._best: float | None = None

    def on_train_begin(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> Control:
        if args.metric_for_best_model is None:
            raise ValueError("EarlyStoppingCallback needs metric_for_best_model")
        if args.eval_strategy == IntervalStrategy.NO:
            raise ValueError("EarlyStoppingCallback needs evaluation during training: set eval_strategy")
        return None

    def on_evaluate(
        self,
        args: Any,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Control:
        name = args.metric_for_best_model
        name = name if name.startswith("eval_") else f"eval_{name}"
        value = (metrics or {}).get(name)
        if value is None:
            logger.warning("early stopping is off: the evaluation gave no %s", name)
            return None
        gain = math.inf if self._best is None else (value - self._best) * (1 if args.greater_is_better else -1)
        if gain > 0:
            self._best = value
        if gain > self.early_stopping_threshold:
            self.early_stopping_patience_counter = 0
        else:
            self.early_stopping_patience_counter += 1
        if self.early_stopping_patience_counter >= self.early_stopping_patience:
            control.should_training_stop = True
        return control

    def state(self) -> dict[str, Any]:
        return {
            "args": {
                "early_stopping_patience": self.early_stopping_patience,
                "early_stopping_threshold": self.early_stopping_threshold,
            },
            "attributes": {
                "early_stopping_patience_counter": self.early_stopping_patience_counter,
                "_best": self._best,
            },
        }
