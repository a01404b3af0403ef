"""``Trainer``: the training loop around any model whose forward returns a loss."""

from __future__ import annotations

import contextlib
import inspect
import os
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from enfold.accelerate.accelerator import Accelerator
from enfold.accelerate.operations import send_to_device
from enfold.accelerate.seeds import enable_full_determinism, set_seed
from enfold.accelerate.state import AcceleratorState, GradientState
from enfold.log import get_logger
from enfold.transformers.trainer import evaluation, persistence, publishing
from enfold.transformers.trainer.arguments import TrainingArguments
from enfold.transformers.trainer.callbacks import (
    CallbackHandler,
    DefaultFlowCallback,
    JsonLinesCallback,
    PrinterCallback,
    ProgressCallback,
    TrainerCallback,
    TrainerControl,
    TrainerState,
)
from enfold.transformers.trainer.collators import DataCollatorWithPadding, DefaultDataCollator
from enfold.transformers.trainer.loop import Loop
from enfold.transformers.trainer.losses import LabelSmoother, bare_model, predicts_next_token
from enfold.transformers.trainer.optimizers import decay_parameter_names, make_optimizer, optimizer_class
from enfold.transformers.trainer.outcomes import (
    EvalLoopOutput,
    PredictionOutput,
    TrainOutput,
)
from enfold.transformers.trainer.parts import STAGES, TrainerError
from enfold.transformers.trainer.reporting import REPORTERS, get_available_reporting_integrations
from enfold.transformers.trainer.schedules import get_scheduler

__all__ = ["Trainer", "TrainerError"]

logger = get_logger(__name__)


class Trainer(Loop):
    """Trains, evaluates and predicts.

    Args:
        model: any module whose forward returns a loss when it is given labels; a model with adapters too.
        args: :class:`TrainingArguments`; the defaults when None.
        data_collator: rows → batch; by default padding where there is a tokenizer, else stacking.
        train_dataset: rows to train on.
        eval_dataset: rows to evaluate on, or a mapping of names to them.
        processing_class: tokenizer or processor, saved along with the model (``tokenizer`` is accepted too).
        model_init: makes a fresh model at the start of each training.
        compute_loss_func: ``(outputs, labels, num_items_in_batch=…) → loss`` instead of the model's own.
        compute_metrics: ``EvalPrediction → dict`` for evaluations.
        callbacks: further callbacks.
        optimizers: optimizer and schedule to use instead of the arguments' ones.
        optimizer_cls_and_kwargs: class and arguments of the optimizer.
        preprocess_logits_for_metrics: ``(logits, labels) → logits`` for each batch of an evaluation, to keep less.

    Attributes:
        state: where the training stands.
        timings: seconds spent waiting for data, in forward, backward and optimizer of the last training.

    Example:
        >>> import torch
        >>> class Line(torch.nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.layer = torch.nn.Linear(1, 1)
        ...     def forward(self, x, labels=None):
        ...         y = self.layer(x)
        ...         return {"loss": ((y - labels) ** 2).mean(), "logits": y}
        >>> rows = [{"x": [float(i)], "labels": [2.0 * i]} for i in range(8)]
        >>> args = TrainingArguments("out", max_steps=2, save_strategy="no", use_cpu=True)
        >>> Trainer(Line(), args, train_dataset=rows).train().global_step
        2
    """

    def __init__(
        self,
        model: nn.Module | None = None,
        args: TrainingArguments | None = None,
        data_collator: Callable[..., Any] | None = None,
        train_dataset: Any = None,
        eval_dataset: Any = None,
        processing_class: Any = None,
        model_init: Callable[..., nn.Module] | None = None,
        compute_loss_func: Callable[..., Tensor] | None = None,
        compute_metrics: Callable[[Any], dict[str, Any]] | None = None,
        callbacks: Sequence[TrainerCallback | type[TrainerCallback]] | None = None,
        optimizers: tuple[torch.optim.Optimizer | None, Any] = (None, None),
        optimizer_cls_and_kwargs: tuple[type[torch.optim.Optimizer], dict[str, Any]] | None = None,
        preprocess_logits_for_metrics: Callable[[Any, Any], Any] | None = None,
        *,
        tokenizer: Any = None,
    ) -> None:
        self.args = args if args is not None else TrainingArguments()
        self.args.check_supported()
        if self.args.full_determinism:
            enable_full_determinism(self.args.seed)
        else:
            set_seed(self.args.seed)
        if tokenizer is not None and processing_class is not None and tokenizer is not processing_class:
            raise TrainerError("tokenizer is another name of processing_class: give one of them")
        self.processing_class = processing_class if processing_class is not None else tokenizer
        if (model is None) == (model_init is None):
            raise TrainerError("give either a model or model_init, which makes one")
        self.model_init = model_init
        self.model: nn.Module = self._made_model() if model is None else model  # type: ignore[assignment]
        AcceleratorState._reset_state()  # each trainer chooses its own precision
        self.accelerator = Accelerator(mixed_precision=self.args.mixed_precision, cpu=self.args.use_cpu)
        GradientState().num_steps = 1  # windows are the trainer's own affair
        self._place_model()
        self.model_wrapped: nn.Module = self.model
        self.train_dataset, self.eval_dataset = train_dataset, eval_dataset
        pads = self.processing_class is not None and hasattr(self.processing_class, "pad")
        usual: Any = DataCollatorWithPadding(self.processing_class) if pads else DefaultDataCollator()
        self.data_collator: Any = data_collator if data_collator is not None else usual
        self.compute_loss_func, self.compute_metrics = compute_loss_func, compute_metrics
        self.preprocess_logits_for_metrics = preprocess_logits_for_metrics
        self.optimizer, self.lr_scheduler = optimizers
        if model_init is not None and optimizers != (None, None):
            raise TrainerError("optimizers belong to one model; with model_init give optimizer_cls_and_kwargs")
        self._own_scheduler, self._own_optimizer = self.lr_scheduler is None, self.optimizer is None
        self.optimizer_cls_and_kwargs = optimizer_cls_and_kwargs
        smoothing = self.args.label_smoothing_factor
        self.label_smoother = LabelSmoother(smoothing) if smoothing else None
        self.label_names: list[str] = self.args.label_names or default_label_names(self.model)
        self.loss_is_scaled_for_ga: bool | None = None
        self.is_in_train = False
        self.timings = dict.fromkeys(STAGES, 0.0)
        self.state = TrainerState(
            is_local_process_zero=self.is_local_process_zero(), is_world_process_zero=self.is_world_process_zero()
        )
        self.control = TrainerControl()
        first: list[Any] = [DefaultFlowCallback, *self._reporters(), *(callbacks or ())]
        first.append(PrinterCallback if self.args.disable_tqdm else ProgressCallback)
        self.callback_handler = CallbackHandler(
            first,
            model=self.model,
            processing_class=self.processing_class,
            tokenizer=self.processing_class,
            optimizer=self.optimizer,
            lr_scheduler=self.lr_scheduler,
            train_dataloader=None,
            eval_dataloader=None,
        )
        if self.args.max_steps > 0 and self.args.num_train_epochs != 3.0:
            logger.info("max_steps is given: num_train_epochs has no effect")
        if self.args.push_to_hub and self.is_world_process_zero():
            self.hub_model_id = publishing.repository(self)
        self.control = self._event("on_init_end")

    def _reporters(self) -> list[type[TrainerCallback]]:
        names = [name for name in self.args.report_to or () if name]
        there = get_available_reporting_integrations()
        missing = [name for name in names if name not in (*there, "jsonl", "json")]
        if missing:
            logger.warning(
                "reports to %s need packages that are not installed: logs go to log.jsonl instead", ", ".join(missing)
            )
        lines = [JsonLinesCallback] if names or self.args.logging_dir else []
        return [*lines, *(REPORTERS[name] for name in names if name in there)]

    def _made_model(self) -> nn.Module:
        assert self.model_init is not None
        parameters = inspect.signature(self.model_init).parameters.values()
        trial = any(item.default is item.empty and item.kind == item.POSITIONAL_OR_KEYWORD for item in parameters)
        made = self.model_init(None) if trial else self.model_init()
        if made is None:
            raise TrainerError("model_init returned None; it must return a model")
        return made

    def _place_model(self) -> None:
        if not getattr(self.model, "hf_device_map", None):
            self.model.to(self.args.device)

    @property
    def tokenizer(self) -> Any:
        """The tokenizer or processor."""
        return self.processing_class

    @tokenizer.setter
    def tokenizer(self, value: Any) -> None:
        self.processing_class = value

    # --- callbacks ------------------------------------------------------------------------------------------------

    def _event(self, event: str, **kwargs: Any) -> TrainerControl:
        self.control = self.callback_handler.call(event, self.args, self.state, self.control, **kwargs)
        return self.control

    def add_callback(self, callback: TrainerCallback | type[TrainerCallback]) -> None:
        """Add a callback, or an instance of a class of them."""
        self.callback_handler.add(callback)

    def pop_callback(self, callback: TrainerCallback | type[TrainerCallback]) -> TrainerCallback | None:
        """Take out a callback, or the first of its class, and return it; None when there is none."""
        return self.callback_handler.pop(callback)

    def remove_callback(self, callback: TrainerCallback | type[TrainerCallback]) -> None:
        """Take out a callback, or the first of its class."""
        self.callback_handler.pop(callback)

    def is_local_process_zero(self) -> bool:
        """Whether this is the first process of its machine."""
        return self.args.local_process_index == 0

    def is_world_process_zero(self) -> bool:
        """Whether this is the first of all processes."""
        return self.args.process_index == 0

    # --- optimizer ------------------------------------------------------------------------------------------------

    def get_decay_parameter_names(self, model: nn.Module) -> list[str]:
        """Return the names of the parameters that weight decay applies to."""
        return decay_parameter_names(model)

    @staticmethod
    def get_optimizer_cls_and_kwargs(
        args: TrainingArguments, model: nn.Module | None = None
    ) -> tuple[type[torch.optim.Optimizer], dict[str, Any]]:
        """Return the optimizer's class and arguments that ``args`` asks for."""
        return optimizer_class(args)

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """Make the optimizer unless there is one, and return it."""
        if self.optimizer is None:
            target = model if model is not None else self.model
            names = self.get_decay_parameter_names(target)
            given = self.optimizer_cls_and_kwargs or self.get_optimizer_cls_and_kwargs(self.args, target)
            self.optimizer = make_optimizer(target, self.args, given, names)
        return self.optimizer

    def create_scheduler(self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None) -> Any:
        """Make the schedule of the learning rate unless there is one, and return it."""
        if self.lr_scheduler is None:
            target = optimizer if optimizer is not None else self.optimizer
            assert target is not None
            self.lr_scheduler = get_scheduler(
                self.args.lr_scheduler_type,
                target,
                self.args.get_warmup_steps(num_training_steps),
                num_training_steps,
                self.args.lr_scheduler_kwargs,  # type: ignore[arg-type]
            )
        return self.lr_scheduler

    def create_optimizer_and_scheduler(self, num_training_steps: int) -> None:
        """Make optimizer and schedule."""
        self.create_optimizer()
        self.create_scheduler(num_training_steps, self.optimizer)

    def get_learning_rates(self) -> list[float]:
        """Return the learning rate of each group of parameters."""
        return [group["lr"] for group in self.optimizer.param_groups] if self.optimizer is not None else []

    def get_num_trainable_parameters(self) -> int:
        """Return how many parameters train."""
        return sum(parameter.numel() for parameter in self.model.parameters() if parameter.requires_grad)

    # --- one step -------------------------------------------------------------------------------------------------

    def _prepare_inputs(self, inputs: Any) -> Any:
        """Move a batch to the device, when it is not there already."""
        if self.args.device.type == "cpu":
            return inputs
        return send_to_device(inputs, self.args.device, non_blocking=True)

    def compute_loss_context_manager(self) -> contextlib.AbstractContextManager[Any]:
        """Return what the loss is computed under: the chosen precision."""
        return self.accelerator.autocast()

    def compute_loss(
        self, model: nn.Module, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Return a batch's loss, and the model's outputs if they are wanted.

        Override it for a loss of your own. Return the mean over the batch: the trainer weighs the batches of an
        accumulated window by their number of labels. A loss that is normalised over the window already needs
        ``trainer.loss_is_scaled_for_ga = True``, and is then given ``num_items_in_batch``.
        """
        labels = None
        if (self.label_smoother is not None or self.compute_loss_func is not None) and "labels" in inputs:
            labels = inputs["labels"]
            inputs = {name: value for name, value in inputs.items() if name != "labels"}
        outputs = model(**inputs)
        if self.compute_loss_func is not None:
            loss = self.compute_loss_func(outputs, labels, num_items_in_batch=num_items_in_batch)
        elif self.label_smoother is not None and labels is not None:
            loss = self.label_smoother(outputs, labels, predicts_next_token(self._bare_model()), num_items_in_batch)
        elif isinstance(outputs, dict):
            if outputs.get("loss") is None:
                raise TrainerError(
                    f"the model returned no loss, only {', '.join(outputs)}; its inputs were {', '.join(inputs)}. "
                    f"Are the labels called one of {', '.join(self.label_names) or '(none)'}?"
                )
            loss = outputs["loss"]
        else:
            loss = outputs[0]
        return (loss, outputs) if return_outputs else loss

    def training_step(self, model: nn.Module, inputs: Any, num_items_in_batch: Any = None) -> Tensor:
        """Compute one batch's gradients and return its loss."""
        if not model.training:
            model.train()
        inputs = self._prepare_inputs(inputs)
        start = time.perf_counter()
        with self.compute_loss_context_manager():
            loss = self.compute_loss(model, inputs, num_items_in_batch=num_items_in_batch)
        if self._batch_weight != 1.0:
            loss = loss * self._batch_weight
        middle = time.perf_counter()
        self.accelerator.backward(loss)
        self.timings["forward"] += middle - start
        self.timings["backward"] += time.perf_counter() - middle
        return loss.detach()

    # --- training -------------------------------------------------------------------------------------------------

    def train(
        self,
        resume_from_checkpoint: str | bool | None = None,
        trial: Any = None,
        ignore_keys_for_eval: list[str] | None = None,
    ) -> TrainOutput:
        """Train.

        Args:
            resume_from_checkpoint: folder of a checkpoint to go on from, or True for the newest in the output folder.
            trial: accepted.
            ignore_keys_for_eval: outputs of the model to leave out of evaluations.

        Returns:
            Updates done, mean loss, and metrics: runtime and rates, and the seconds that went into data, forward,
            backward and optimizer.

        Raises:
            KeyboardInterrupt: the training was interrupted; checkpoints written before are whole.
        """
        folder = persistence.find_checkpoint(resume_from_checkpoint, self.args.output_dir or "")
        if self.model_init is not None:
            set_seed(self.args.seed)
            self.model = self._made_model()
            self._place_model()
            self.callback_handler.given["model"] = self.model
            if self._own_optimizer:
                self.optimizer = None
        if folder is not None:
            persistence.load_model(self.accelerator.unwrap_model(self.model), folder)
        self.is_in_train = True
        try:
            return self._train(folder, ignore_keys_for_eval)
        except KeyboardInterrupt:
            logger.warning(
                "interrupted at step %d; checkpoints in %s are whole", self.state.global_step, self.args.output_dir
            )
            raise
        finally:
            self.is_in_train = False
            for callback in self.callback_handler.callbacks:
                if isinstance(callback, ProgressCallback):
                    callback.on_train_end(self.args, self.state, self.control)

    # --- logs, evaluation, files ----------------------------------------------------------------------------------

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add values to the history and tell the callbacks."""
        if self.state.epoch is not None:
            logs["epoch"] = self.state.epoch
        if self.args.include_num_input_tokens_seen != "no":
            logs["num_input_tokens_seen"] = self.state.num_input_tokens_seen
        self.state.log_history.append({**logs, "step": self.state.global_step})
        self._event("on_log", logs=logs)

    def evaluate(
        self, eval_dataset: Any = None, ignore_keys: list[str] | None = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """Evaluate and return the metrics, their names prefixed.

        Args:
            eval_dataset: rows, or a mapping of names to them; by default the trainer's own.
            ignore_keys: outputs of the model to leave out.
            metric_key_prefix: prefix of the names.
        """
        return evaluation.evaluate(self, eval_dataset, ignore_keys, metric_key_prefix)

    def predict(
        self, test_dataset: Any, ignore_keys: list[str] | None = None, metric_key_prefix: str = "test"
    ) -> PredictionOutput:
        """Return outputs for every row, in order, the labels, and metrics where there are labels."""
        return evaluation.predict(self, test_dataset, ignore_keys, metric_key_prefix)

    def evaluation_loop(
        self,
        dataloader: DataLoader[Any],
        description: str,
        prediction_loss_only: bool | None = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> EvalLoopOutput:
        """Run the model over a loader; override it for an evaluation of your own."""
        return evaluation.evaluation_loop(
            self, dataloader, description, prediction_loss_only, ignore_keys, metric_key_prefix
        )

    def prediction_step(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        prediction_loss_only: bool,
        ignore_keys: list[str] | None = None,
    ) -> tuple[Tensor | None, Any, Any]:
        """Run the model on one batch without gradients; return loss, logits and labels."""
        return evaluation.prediction_step(self, model, inputs, prediction_loss_only, ignore_keys)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Write the model and its tokenizer or processor, ready for ``from_pretrained``."""
        if self.args.should_save:
            persistence.save_model(self, output_dir or self.args.output_dir or "trainer_output")
        if self.args.push_to_hub and not _internal_call:
            self.push_to_hub(commit_message="Model save")

    def save_state(self) -> None:
        """Write ``trainer_state.json`` into the output folder."""
        if self.is_world_process_zero():
            os.makedirs(self.args.output_dir or "", exist_ok=True)
            self.state.save_to_json(os.path.join(self.args.output_dir or "", persistence.STATE_NAME))

    def log_metrics(self, split: str, metrics: dict[str, float]) -> None:
        """Print metrics as an aligned list."""
        if not self.is_world_process_zero():
            return
        print(f"***** {split} metrics *****")
        width = max((len(name) for name in metrics), default=0)
        for name in sorted(metrics):
            value = metrics[name]
            print(f"  {name:<{width}} = {value:.4f}" if isinstance(value, float) else f"  {name:<{width}} = {value}")

    def save_metrics(self, split: str, metrics: dict[str, float], combined: bool = True) -> None:
        """Write metrics to ``<split>_results.json``, and add them to ``all_results.json``."""
        import json

        if not self.is_world_process_zero():
            return
        folder = self.args.output_dir or ""
        os.makedirs(folder, exist_ok=True)
        persistence._write_text(
            os.path.join(folder, f"{split}_results.json"), json.dumps(metrics, indent=4, sort_keys=True)
        )
        if combined:
            path = os.path.join(folder, "all_results.json")
            merged = {}
            if os.path.exists(path):
                with open(path, encoding="utf-8") as file:
                    merged = json.load(file)
            persistence._write_text(path, json.dumps({**merged, **metrics}, indent=4, sort_keys=True))

    def create_model_card(self, **kwargs: Any) -> None:
        """Write ``README.md`` into the output folder; arguments as of :func:`publishing.create_model_card`."""
        publishing.create_model_card(self, **kwargs)

    def push_to_hub(
        self,
        commit_message: str | None = "End of training",
        blocking: bool = True,
        token: str | None = None,
        revision: str | None = None,
        **kwargs: Any,
    ) -> Any:
        """Save the model, write its card, and upload both to the repository that the arguments name."""
        return publishing.push_to_hub(self, commit_message, blocking, token, revision, **kwargs)


def default_label_names(model: nn.Module) -> list[str]:
    """Return the arguments of a model's forward that hold labels."""
    inner = bare_model(model)
    names = list(inspect.signature(inner.forward).parameters)
    if "QuestionAnswering" in type(inner).__name__:
        return [name for name in names if "label" in name or name in ("start_positions", "end_positions")]
    return [name for name in names if "label" in name]
