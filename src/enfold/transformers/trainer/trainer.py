"""``Trainer``: the training loop around any model whose forward returns a loss."""

from __future__ import annotations

import contextlib
import inspect
import time
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from enfold.accelerate.accelerator import Accelerator
from enfold.accelerate.operations import send_to_device
from enfold.accelerate.seeds import enable_full_determinism, set_seed
from enfold.accelerate.state import AcceleratorState, GradientState
from enfold.log import get_logger, set_verbosity
from enfold.transformers.trainer import evaluation, persistence, publishing, sharding
from enfold.transformers.trainer.arguments import TrainingArguments
from enfold.transformers.trainer.bookkeeping import Bookkeeping
from enfold.transformers.trainer.callbacks import (
    CallbackHandler,
    DefaultFlowCallback,
    JsonLinesCallback,
    LossPlotCallback,
    PrinterCallback,
    ProgressCallback,
    TrainerCallback,
    TrainerControl,
    TrainerState,
)
from enfold.transformers.trainer.collators import DataCollatorWithPadding, DefaultDataCollator
from enfold.transformers.trainer.debugging import watched
from enfold.transformers.trainer.loop import Loop
from enfold.transformers.trainer.losses import LabelSmoother, bare_model, predicts_next_token
from enfold.transformers.trainer.neftune import noisy_embeddings
from enfold.transformers.trainer.optimizing import Optimizing
from enfold.transformers.trainer.outcomes import (
    EvalLoopOutput,
    IntervalStrategy,
    PredictionOutput,
    TrainOutput,
)
from enfold.transformers.trainer.packing import Packing
from enfold.transformers.trainer.parts import STAGES, TrainerError
from enfold.transformers.trainer.preemption import JitCheckpointCallback
from enfold.transformers.trainer.reporting import REPORTERS, get_available_reporting_integrations
from enfold.transformers.trainer.searching import BestRun, default_compute_objective, search

__all__ = ["Trainer", "TrainerError"]

logger = get_logger(__name__)


class Trainer(Loop, Optimizing, Bookkeeping):
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

    _packs: ClassVar[bool] = True  # leave padding out of the layers of a model that trains on a processor
    _packing: Packing | None = None

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
        if self.args.log_level != "passive":
            set_verbosity(self.args.get_process_log_level())
        if self.args.tf32 is not None:
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = self.args.tf32
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
        self.accelerator = Accelerator(
            mixed_precision=self.args.mixed_precision,
            cpu=self.args.use_cpu,
            fsdp_plugin=sharding.plugin_of(self.args),
            parallelism_config=self.args.parallelism_config,
        )
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
        if self.args.eval_strategy != IntervalStrategy.NO and eval_dataset is None:
            raise TrainerError(
                f"eval_strategy is {self.args.eval_strategy.value!r}, but there is no eval_dataset: give one, or set "  # type: ignore[attr-defined]
                "eval_strategy='no'"
            )
        by_batch = compute_metrics if self.args.batch_eval_metrics else None
        if by_batch is not None and "compute_result" not in inspect.signature(by_batch).parameters:
            raise TrainerError(
                "with batch_eval_metrics, compute_metrics is called for every batch and needs an argument "
                "compute_result, which is True for the last one"
            )
        smoothing = self.args.label_smoothing_factor
        self.label_smoother = LabelSmoother(smoothing) if smoothing else None
        self.label_names: list[str] = self.args.label_names or default_label_names(self.model)
        self.loss_is_scaled_for_ga: bool | None = None
        self._trial: Any = None
        self._judge, self._objective = default_compute_objective, None
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
                "reports to %s need packages that are not installed: logs go to log.jsonl only", ", ".join(missing)
            )
        logged: list[type[TrainerCallback]] = [JsonLinesCallback, LossPlotCallback]
        kept = logged if self.args.logging_strategy != IntervalStrategy.NO else []
        late: list[type[TrainerCallback]] = [JitCheckpointCallback] if self.args.enable_jit_checkpoint else []
        return [*kept, *(REPORTERS[name] for name in names if name in there), *late]

    def _made_model(self, trial: Any = None) -> nn.Module:
        if self.model_init is None:
            raise TrainerError("there is no model_init to make a model with")
        parameters = inspect.signature(self.model_init).parameters.values()
        takes = any(item.default is item.empty and item.kind == item.POSITIONAL_OR_KEYWORD for item in parameters)
        made = self.model_init(trial) if takes else self.model_init()
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

    # --- one step -------------------------------------------------------------------------------------------------

    def _prepare_inputs(self, inputs: Any) -> Any:
        """Move a batch to the device, when it is not there already."""
        if self.args.device.type == "cpu":
            return inputs
        return send_to_device(inputs, self.args.device, non_blocking=True)

    def compute_loss_context_manager(self) -> contextlib.AbstractContextManager[Any]:
        """Return what the loss is computed under: the chosen precision."""
        return self.accelerator.autocast()

    autocast_smart_context_manager = compute_loss_context_manager  # version 4's name

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
        self._optimizer_trains(True)
        inputs = self._prepare_inputs(inputs)
        start = time.perf_counter()
        if self._packing is not None:
            self._packing.look_at(inputs)
        with self.compute_loss_context_manager():
            loss = self._thrifty_loss(model, inputs, num_items_in_batch)
            if loss is None:
                loss = self.compute_loss(model, inputs, num_items_in_batch=num_items_in_batch)
        if self._packing is not None:
            self._packing.forget()
        if self._batch_weight != 1.0:
            loss = loss * self._batch_weight
        middle = time.perf_counter()
        if getattr(self.optimizer, "moves_in_backward", False):
            self._check_finite(loss, inputs)
        self.accelerator.backward(loss)
        self.timings["forward"] += middle - start
        self.timings["backward"] += time.perf_counter() - middle
        return loss.detach()

    def _thrifty_loss(self, model: nn.Module, inputs: Any, items: Any) -> Tensor | None:
        """A language model's loss from the words that count, where nobody has a loss of their own."""
        own = type(self).compute_loss is not Trainer.compute_loss or self.compute_loss_func or self.label_smoother
        return None if own or self._packing is None else self._packing.loss(model, inputs, items)

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
            trial: of a search; given to ``model_init``.
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
            self.model = self.call_model_init(trial)
            self._place_model()
            self.callback_handler.given["model"] = self.model
            if self._own_optimizer:
                self.optimizer = None
        if folder is not None:
            persistence.load_model(self.accelerator.unwrap_model(self.model), folder)
        self.is_in_train = True
        try:
            # A compiled or wrapped forward, and a device that computes faster than it is told what to, see no gain.
            alone = self.args.world_size == 1 and self.args.device.type == "cpu" and not self.args.torch_compile
            self._packing = Packing(self.model, alone and type(self)._packs and not self.args.debug)
            noise = noisy_embeddings(self._bare_model(), self.args.neftune_noise_alpha)
            with watched(self.model, self.args.debug), self._packing.active(), noise:
                return self._train(folder, ignore_keys_for_eval)
        except KeyboardInterrupt:
            logger.warning(
                "interrupted at step %d; checkpoints in %s are whole", self.state.global_step, self.args.output_dir
            )
            raise
        finally:
            self._optimizer_trains(False)
            self.is_in_train, self._packing = False, None
            for callback in self.callback_handler.callbacks:
                if isinstance(callback, (ProgressCallback, JitCheckpointCallback)):
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

    def prediction_loop(
        self, dataloader: DataLoader[Any], description: str, *args: Any, **kwargs: Any
    ) -> EvalLoopOutput:
        """Another name of :meth:`evaluation_loop`."""
        return self.evaluation_loop(dataloader, description, *args, **kwargs)

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
        self._optimizer_trains(False)
        whole = sharding.gathered(self.model)  # every process takes part
        if self.args.should_save:
            persistence.save_model(self, output_dir or self.args.output_dir or "trainer_output", whole)
        if self.args.push_to_hub and not _internal_call:
            self.push_to_hub(commit_message="Model save")

    def end(self) -> None:
        """Finish the trackers and leave the group of processes; the last line of a program."""
        finish = getattr(self.accelerator, "end_training", None)
        if finish is not None:
            finish()
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()

    def hyperparameter_search(
        self,
        hp_space: Callable[[Any], dict[str, Any]] | None = None,
        compute_objective: Callable[[dict[str, float]], Any] | None = None,
        n_trials: int = 20,
        direction: str | list[str] = "minimize",
        backend: str | None = None,
        hp_name: Callable[[Any], str] | None = None,
        **kwargs: Any,
    ) -> BestRun | list[BestRun]:
        """Train with other arguments again and again and return the best; see :func:`searching.search`."""
        return search(self, hp_space, compute_objective, n_trials, direction, backend, hp_name, **kwargs)


def default_label_names(model: nn.Module) -> list[str]:
    """Return the arguments of a model's forward that hold labels."""
    inner = bare_model(model)
    names = list(inspect.signature(inner.forward).parameters)
    if "QuestionAnswering" in type(inner).__name__:
        return [name for name in names if "label" in name or name in ("start_positions", "end_positions")]
    return [name for name in names if "label" in name]
