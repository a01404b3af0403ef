"""``Trainer``: the training loop around any model whose forward returns a loss."""

from __future__ import annotations

import contextlib
import inspect
import itertools
import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset, SequentialSampler

from enfold.accelerate.accelerator import Accelerator
from enfold.accelerate.operations import gather, send_to_device
from enfold.accelerate.seeds import enable_full_determinism, set_seed
from enfold.accelerate.state import AcceleratorState, GradientState
from enfold.errors import EnfoldError, nearest
from enfold.log import get_logger
from enfold.transformers.trainer import evaluation, persistence, publishing
from enfold.transformers.trainer.arguments import TrainingArguments
from enfold.transformers.trainer.batches import (
    LengthGroupedSampler,
    LengthSortedSampler,
    build_loader,
    lengths_of,
    random_sampler,
    set_epoch,
)
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
from enfold.transformers.trainer.losses import LabelSmoother, bare_model, label_items, predicts_next_token
from enfold.transformers.trainer.optimizers import decay_parameter_names, make_optimizer, optimizer_class
from enfold.transformers.trainer.outcomes import (
    EvalLoopOutput,
    PredictionOutput,
    SaveStrategy,
    TrainOutput,
    speed_metrics,
)
from enfold.transformers.trainer.schedules import get_scheduler

__all__ = ["Trainer", "TrainerError"]

logger = get_logger(__name__)

_STAGES = ("data", "forward", "backward", "optimizer", "evaluation", "saving")


class TrainerError(ValueError, EnfoldError):
    """A training cannot begin or go on: something it needs is missing or does not fit."""


class Trainer:
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
        self.timings = dict.fromkeys(_STAGES, 0.0)
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
        known = {"jsonl", "json"}
        foreign = [name for name in names if name not in known]
        if foreign:
            logger.warning("reports to %s are not supported: logs go to log.jsonl instead", ", ".join(foreign))
        return [JsonLinesCallback] if names or self.args.logging_dir else []

    def _made_model(self) -> nn.Module:
        assert self.model_init is not None
        takes_trial = len(inspect.signature(self.model_init).parameters) > 0
        made = self.model_init(None) if takes_trial else self.model_init()
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

    # --- data -----------------------------------------------------------------------------------------------------

    def _columns(self, dataset: Any) -> list[str] | None:
        """The columns of a data set that the model takes, or None where rows have no known columns."""
        names = getattr(dataset, "column_names", None)
        if not names:
            return None
        if not self.args.remove_unused_columns:
            return list(names)
        wanted = self._signature_columns()
        kept = [name for name in names if name in wanted]
        if not kept:
            hint = nearest(names[0], wanted)
            raise TrainerError(
                f"no column of the data set ({', '.join(names)}) is an argument of {type(self._bare_model()).__name__}."
                f"forward ({', '.join(wanted)}){hint}. Tokenize it, or set remove_unused_columns=False"
            )
        return kept

    def _signature_columns(self) -> list[str]:
        found = list(inspect.signature(self._bare_model().forward).parameters)
        return list(dict.fromkeys([*found, "label", "label_ids", *self.label_names]))

    def _bare_model(self) -> nn.Module:
        return bare_model(self.accelerator.unwrap_model(self.model, keep_torch_compile=False))

    def _loader(self, dataset: Any, batch_size: int, sampler: Any, training: bool, skip: int = 0) -> DataLoader[Any]:
        args = self.args
        names = self._columns(dataset)
        collator = self.data_collator
        if names is None:
            if args.remove_unused_columns and not isinstance(dataset, IterableDataset):
                collator = _OnlyColumns(collator, self._signature_columns())
        elif len(names) < len(dataset.column_names) and hasattr(dataset, "select_columns"):
            dataset = dataset.select_columns(names)
        workers: dict[str, Any] = {
            "num_workers": args.dataloader_num_workers,
            "pin_memory": args.dataloader_pin_memory and args.device.type == "cuda",
        }
        if args.dataloader_num_workers:
            workers["persistent_workers"] = args.dataloader_persistent_workers
            workers["in_order"] = args.dataloader_in_order
            workers["prefetch_factor"] = args.dataloader_prefetch_factor
            workers["multiprocessing_context"] = args.dataloader_multiprocessing_context
        return build_loader(
            dataset,
            collator,
            batch_size=batch_size,
            sampler=sampler,
            columns=names,
            drop_last=args.dataloader_drop_last,
            skip=skip,
            num_processes=args.world_size,
            process_index=args.process_index,
            # A loader draws one number as it begins: evaluating must not change what dropout does afterwards.
            generator=None if training else torch.Generator(),
            workers=workers,
        )

    def _input_name(self) -> str:
        names = getattr(self.processing_class, "model_input_names", None)
        return names[0] if names else "input_ids"

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        """Return the order in which training rows are read."""
        dataset = self.train_dataset if train_dataset is None else train_dataset
        if isinstance(dataset, IterableDataset) or not hasattr(dataset, "__len__"):
            return None
        strategy = self.args.train_sampling_strategy
        seed = self.args.data_seed if self.args.data_seed is not None else torch.random.initial_seed()
        if strategy == "sequential":
            return SequentialSampler(dataset)
        if strategy == "group_by_length":
            lengths = lengths_of(dataset, self._input_name(), self.args.length_column_name)
            if lengths is None:
                raise TrainerError(f"rows cannot be grouped by length: they have no {self._input_name()!r}")
            size = self.args.train_batch_size * self.args.gradient_accumulation_steps
            return LengthGroupedSampler(size, lengths=lengths, seed=seed)
        return random_sampler(dataset, seed)

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Return the loader of training batches."""
        return self._train_loader(0)

    def _train_loader(self, skip: int) -> DataLoader[Any]:
        if self.train_dataset is None:
            raise TrainerError("training needs a train_dataset")
        dataset = self.train_dataset
        return self._loader(dataset, self.args.train_batch_size, self._get_train_sampler(), True, skip)

    def get_eval_dataloader(self, eval_dataset: Any = None) -> DataLoader[Any]:
        """Return the loader of evaluation batches, in the order of the data set or sorted by length."""
        dataset = self.eval_dataset if eval_dataset is None else eval_dataset
        if isinstance(dataset, str):
            dataset = self.eval_dataset[dataset]
        if dataset is None:
            raise TrainerError("evaluation needs an eval_dataset")
        sampler = None
        if self.args.train_sampling_strategy == "group_by_length" and hasattr(dataset, "__len__"):
            lengths = lengths_of(dataset, self._input_name(), self.args.length_column_name)
            # Results come back in the data set's order; over several processes rows would be dealt out differently.
            sampler = LengthSortedSampler(lengths) if lengths is not None and self.args.world_size == 1 else None
        return self._loader(dataset, self.args.eval_batch_size, sampler, False)

    def get_test_dataloader(self, test_dataset: Any) -> DataLoader[Any]:
        """Return the loader of batches to predict."""
        return self.get_eval_dataloader(test_dataset)

    def num_examples(self, dataloader: DataLoader[Any]) -> int:
        """Return how many rows a loader reads."""
        try:
            return len(dataloader.dataset)  # type: ignore[arg-type]
        except TypeError:
            return len(dataloader) * self.args.train_batch_size

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

    _batch_weight: float = 1.0

    def _window_weights(self, batches: list[Any]) -> tuple[list[float], Any]:
        """Say how much each batch of a window counts, so that their sum is the mean over all labels of the window.

        The mean of each batch times its share of the labels is the same loss that one large batch would have, however
        the labels are spread over batches and processes.
        """
        shifted = self._shifts
        counts = [label_items(batch.get("labels") if hasattr(batch, "get") else None, shifted) for batch in batches]
        total: float = sum(counts)
        world = self.args.world_size
        if world > 1 and self.args.average_tokens_across_devices:
            total = int(gather(torch.tensor([total], device=self.args.device)).sum())
        given = None
        if total > 0 and (self.compute_loss_func is not None or self.loss_is_scaled_for_ga):
            given = torch.tensor(total, device=self.args.device)
        if given is not None:
            return [float(world)] * len(batches), given
        if len(batches) == 1 and (world == 1 or not self.args.average_tokens_across_devices):
            return [1.0], None
        if total <= 0 or not all(counts):
            return [1.0 / len(batches)] * len(batches), None
        if world > 1 and not self.args.average_tokens_across_devices:
            world = 1
        return [count * world / total for count in counts], None

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

    def _plan(self, loader: DataLoader[Any]) -> tuple[int | None, int, int, int]:
        """Return batches per epoch, updates per epoch, updates in all, and epochs."""
        args = self.args
        try:
            batches: int | None = len(loader)
        except TypeError:
            batches = None
        if not batches:
            if batches == 0:
                raise TrainerError("the train_dataset gives no batch: it is empty, or smaller than one dropped batch")
            if args.max_steps <= 0:
                raise TrainerError("a stream has no length: set max_steps")
            return None, args.max_steps, args.max_steps, sys.maxsize
        updates = max(math.ceil(batches / args.gradient_accumulation_steps), 1)
        if args.max_steps > 0:
            return batches, updates, args.max_steps, math.ceil(args.max_steps / updates)
        return batches, updates, math.ceil(args.num_train_epochs * updates), math.ceil(args.num_train_epochs)

    def _train(self, folder: str | None, ignore_keys: list[str] | None) -> TrainOutput:
        args = self.args
        loader = self.get_train_dataloader()
        batches, updates, max_steps, epochs = self._plan(loader)
        if args.gradient_checkpointing:
            self._enable_checkpointing()
        if self._own_scheduler:
            self.lr_scheduler = None  # an earlier training's schedule was of its own length
        self.create_optimizer_and_scheduler(max_steps)
        model = self.model_wrapped = self._wrapped()
        self.state = TrainerState(train_batch_size=args.train_batch_size)
        restored = persistence.restore(self, folder) if folder is not None else None
        if restored is not None:
            self.state = restored
            if args.restore_callback_states_from_checkpoint:
                self._restore_callbacks()
        state = self.state
        state.compute_steps(args, max_steps)
        state.max_steps, state.num_train_epochs = max_steps, epochs
        state.is_local_process_zero = self.is_local_process_zero()
        state.is_world_process_zero = self.is_world_process_zero()
        first_step = state.global_step
        first_epoch, done = divmod(first_step, updates)
        if args.ignore_data_skip:
            done = 0
        self.callback_handler.given.update(
            model=self.model, optimizer=self.optimizer, lr_scheduler=self.lr_scheduler, train_dataloader=loader
        )
        self.control = TrainerControl()
        self.timings = dict.fromkeys(_STAGES, 0.0)
        self._shifts = predicts_next_token(self._bare_model())
        self._flops = _flops_per_token(self._bare_model())
        self._main_input = getattr(self._bare_model(), "main_input_name", "input_ids")
        self._loss_sum, self._loss_total, self._last_log = torch.zeros((), device=args.device), 0.0, first_step
        self._grad_norm: Any = None
        start = time.time()
        self._event("on_train_begin")
        if args.eval_on_start:
            self._evaluate(ignore_keys)
        model.train()
        for epoch in range(first_epoch, epochs):
            skipped = done * args.gradient_accumulation_steps if epoch == first_epoch else 0
            reader = loader
            if skipped and batches is not None:
                reader = self._train_loader(skipped)
            set_epoch(reader, epoch)
            self.control._new_epoch()
            self._event("on_epoch_begin")
            self._epoch(model, reader, epoch, skipped, batches, folder if epoch == first_epoch else None, ignore_keys)
            if self.control.should_training_stop:
                break
        return self._finish(start, first_step, batches)

    def _wrapped(self) -> nn.Module:
        """The model as it is called in training: compiled, and exchanging gradients where there are processes."""
        model: Any = self.model
        if self.args.torch_compile or self.args.torch_compile_backend:
            model = torch.compile(
                model, backend=self.args.torch_compile_backend or "inductor", mode=self.args.torch_compile_mode
            )
        if self.args.world_size > 1:
            devices = [self.args.device] if self.args.device.type == "cuda" else None
            unused = bool(self.args.ddp_find_unused_parameters)
            model = nn.parallel.DistributedDataParallel(model, device_ids=devices, find_unused_parameters=unused)
        return model

    def _enable_checkpointing(self) -> None:
        enable = getattr(self.model, "gradient_checkpointing_enable", None)
        if enable is None:
            raise TrainerError(
                f"{type(self._bare_model()).__name__} cannot recompute activations (gradient_checkpointing)"
            )
        kwargs = self.args.gradient_checkpointing_kwargs
        enable(gradient_checkpointing_kwargs=kwargs) if kwargs else enable()

    def _restore_callbacks(self) -> None:
        stored = self.state.stateful_callbacks
        for callback in self.callback_handler.callbacks:
            found = stored.get(type(callback).__name__)
            for kept in found if isinstance(found, list) else [found] if found else []:
                vars(callback).update({**kept["args"], **kept["attributes"]})

    def _epoch(
        self,
        model: nn.Module,
        loader: DataLoader[Any],
        epoch: int,
        skipped: int,
        batches: int | None,
        folder: str | None,
        ignore_keys: list[str] | None,
    ) -> None:
        """Go through the data once; ``skipped`` batches of it were done before, and leave no trace."""
        args, state = self.args, self.state
        # A loader draws a seed from torch's generator as it begins: in the first run this was before the checkpoint
        # when that was written inside the epoch, and after it when it was written between two.
        if folder is not None and not skipped:
            persistence.restore_rng(folder, args.world_size, args.process_index)
        source: Iterator[Any] = iter(loader)
        if batches is None:  # a stream: read again what was read before
            for _ in itertools.islice(source, skipped):
                pass
        if folder is not None and skipped:
            persistence.restore_rng(folder, args.world_size, args.process_index)
        step = skipped
        in_epoch = batches if batches is not None else state.max_steps * args.gradient_accumulation_steps
        window = args.gradient_accumulation_steps
        clock = time.perf_counter
        while True:
            begun = clock()
            group = list(itertools.islice(source, window))
            self.timings["data"] += clock() - begun
            if not group:
                break
            weights, items = self._window_weights(group)
            self.control._new_step()
            self._event("on_step_begin")
            for index, inputs in enumerate(group):
                self._batch_weight = weights[index]
                last = index == len(group) - 1
                with contextlib.nullcontext() if last else self.accelerator.no_sync(model):
                    loss = self.training_step(model, inputs, items)
                self._add_loss(loss)
                step += 1
                self._count_tokens(inputs)
                if not last:
                    self._event("on_substep_end")
            self._update(model)
            state.global_step += 1
            state.epoch = epoch + step / in_epoch
            self._event("on_step_end")
            self._act(ignore_keys)
            if self.control.should_epoch_stop or self.control.should_training_stop:
                break
        if step == skipped and not skipped:
            logger.warning("the data ended before the first batch of epoch %d: training stops", epoch)
            self.control.should_training_stop = True
        self._event("on_epoch_end")
        self._act(ignore_keys)

    def _add_loss(self, loss: Tensor) -> None:
        if self.args.logging_nan_inf_filter and not torch.isfinite(loss):
            # Count it as the mean of the others since the last log.
            loss = self._loss_sum / (1 + self.state.global_step - self._last_log)
        self._loss_sum = self._loss_sum + loss

    def _update(self, model: nn.Module) -> None:
        """Clip, step, advance the schedule, clear the gradients."""
        args, scaler = self.args, self.accelerator.scaler
        assert self.optimizer is not None and self.lr_scheduler is not None
        begun = time.perf_counter()
        if scaler is not None:
            scaler.unscale_(self.optimizer)
        self._grad_norm = None
        if args.max_grad_norm and args.max_grad_norm > 0:
            parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
            self._grad_norm = nn.utils.clip_grad_norm_(parameters, args.max_grad_norm)
        self._event("on_pre_optimizer_step")
        skipped = False
        if scaler is not None:
            before = scaler.get_scale()
            scaler.step(self.optimizer)
            scaler.update()
            skipped = scaler.get_scale() < before
        else:
            self.optimizer.step()
        self._event("on_optimizer_step")
        self._rate = self.get_learning_rates()[0]
        if not skipped and not isinstance(self.lr_scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau):
            self.lr_scheduler.step()
        self.optimizer.zero_grad()
        self.timings["optimizer"] += time.perf_counter() - begun

    def _count_tokens(self, inputs: Any) -> None:
        main = inputs.get(self._main_input) if hasattr(inputs, "get") else None
        if not isinstance(main, Tensor):
            return
        self.state.total_flos += self._flops * main.numel()
        how = self.args.include_num_input_tokens_seen
        if how != "no":
            mask = inputs.get("attention_mask") if how == "non_padding" else None
            count = int(mask.sum()) if isinstance(mask, Tensor) else main.numel()
            if self.args.world_size > 1:
                count = int(gather(torch.tensor([count], device=self.args.device)).sum())
            self.state.num_input_tokens_seen += count

    def _act(self, ignore_keys: list[str] | None) -> None:
        """Log, evaluate and save where the control says so."""
        state, control = self.state, self.control
        if control.should_log and state.global_step > self._last_log:
            total = self._loss_sum
            if self.args.world_size > 1:
                total = gather(total.reshape(1)).mean()
            value = float(total)
            logs: dict[str, Any] = {"loss": value / (state.global_step - self._last_log)}
            if self._grad_norm is not None:
                logs["grad_norm"] = float(self._grad_norm)
            logs["learning_rate"] = self._rate
            self._loss_total += value
            self._loss_sum = torch.zeros_like(self._loss_sum)
            self._last_log = state.global_step
            self.log(logs)
        if control.should_evaluate:
            better = self._evaluate(ignore_keys)
            if self.args.save_strategy == SaveStrategy.BEST:
                control.should_save = better
        if control.should_save:
            begun = time.perf_counter()
            folder = persistence.save_checkpoint(self)
            self.timings["saving"] += time.perf_counter() - begun
            if self.args.push_to_hub:
                publishing.push_checkpoint(self, folder)
            self._event("on_save")
        control._new_step()

    def _evaluate(self, ignore_keys: list[str] | None) -> bool:
        """Evaluate in the middle of training; return whether it was the best so far."""
        begun = time.perf_counter()
        metrics = self.evaluate(ignore_keys=ignore_keys)
        self.timings["evaluation"] += time.perf_counter() - begun
        name = self.args.metric_for_best_model
        if isinstance(self.lr_scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau):
            watched = f"eval_{(name or 'loss').removeprefix('eval_')}"
            self.lr_scheduler.step(metrics[watched])
        if name is None:
            return False
        name = name if name.startswith("eval_") else f"eval_{name}"
        if name not in metrics:
            raise TrainerError(
                f"metric_for_best_model {name!r} is not among {', '.join(metrics)}{nearest(name, metrics)}"
            )
        value, best = metrics[name], self.state.best_metric
        if best is None or (value > best if self.args.greater_is_better else value < best):
            self.state.best_metric, self.state.best_global_step = value, self.state.global_step
            return True
        return False

    def _finish(self, start: float, first_step: int, batches: int | None) -> TrainOutput:
        args, state = self.args, self.state
        self._loss_total += float(self._loss_sum)
        steps = state.global_step - first_step
        loss = self._loss_total / max(steps, 0.001)
        size = args.train_batch_size * args.gradient_accumulation_steps * args.world_size
        rows = len(self.train_dataset) if batches is not None else 0
        planned = state.max_steps * size if args.max_steps > 0 or not rows else rows * args.num_train_epochs
        metrics = speed_metrics("train", start, planned * steps / max(state.max_steps, 1), steps)
        metrics["total_flos"] = state.total_flos
        metrics["train_loss"] = loss
        metrics.update({f"train_{what}_seconds": round(seconds, 4) for what, seconds in self.timings.items()})
        self.log(metrics)
        if args.load_best_model_at_end and state.best_model_checkpoint is not None:
            if os.path.isdir(state.best_model_checkpoint):
                persistence.load_model(self.accelerator.unwrap_model(self.model), state.best_model_checkpoint)
            else:
                logger.warning("the best checkpoint %s is gone: the last model stays", state.best_model_checkpoint)
        if args.should_save and args.save_total_limit == 1 and state.best_model_checkpoint:
            persistence.rotate(args.output_dir or "", 1, state.best_model_checkpoint)
        self._event("on_train_end")
        return TrainOutput(state.global_step, loss, metrics)

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


class _OnlyColumns:
    """A collator that first drops from each row what the model does not take."""

    def __init__(self, collator: Callable[..., Any], names: list[str]) -> None:
        self.collator, self.names = collator, set(names)

    def __call__(self, features: list[Any]) -> Any:
        if features and hasattr(features[0], "keys"):
            features = [{name: row[name] for name in row if name in self.names} for row in features]
        return self.collator(features)


def default_label_names(model: nn.Module) -> list[str]:
    """Return the arguments of a model's forward that hold labels."""
    inner = bare_model(model)
    names = list(inspect.signature(inner.forward).parameters)
    if "QuestionAnswering" in type(inner).__name__:
        return [name for name in names if "label" in name or name in ("start_positions", "end_positions")]
    return [name for name in names if "label" in name]


def _flops_per_token(model: nn.Module) -> float:
    """Six operations a token and weight, embeddings aside (https://arxiv.org/abs/2001.08361)."""
    tables = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
    return 6.0 * sum(parameter.numel() for parameter in model.parameters() if id(parameter) not in tables)
