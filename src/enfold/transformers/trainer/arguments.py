"""``TrainingArguments``: every argument of the ecosystem's versions 4 and 5, under one set of names."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import enum
import json
import logging
import math
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from enfold.errors import EnfoldError, nearest
from enfold.log import get_logger, get_verbosity
from enfold.transformers.debug_utils import DebugOption
from enfold.transformers.trainer.argument_groups import Groups
from enfold.transformers.trainer.optimizer_names import OptimizerNames
from enfold.transformers.trainer.outcomes import HubStrategy, IntervalStrategy, SaveStrategy
from enfold.transformers.trainer.spellings import spelled

if TYPE_CHECKING:
    import torch

__all__ = ["OptimizerNames", "TrainingArguments", "UnsupportedArgument"]

logger = get_logger(__name__)


class UnsupportedArgument(ValueError, EnfoldError):
    """An argument asks for something that this version does not do."""


_LOG_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
    "passive": -1,
    "detail": logging.INFO,
}


@spelled
@dataclass
class TrainingArguments(Groups):
    """How a :class:`Trainer` trains, evaluates, logs and saves.

    All arguments of the ecosystem's versions 4 and 5 are accepted: ``evaluation_strategy``, ``logging_dir``,
    ``warmup_ratio``, ``no_cuda``, ``group_by_length`` and others are further spellings.

    Args:
        output_dir: folder for checkpoints; ``trainer_output`` by default.
        per_device_train_batch_size, per_device_eval_batch_size: rows per batch and process (8).
        num_train_epochs, max_steps: length of the training; ``max_steps`` wins when it is positive.
        learning_rate, weight_decay, adam_beta1, adam_beta2, adam_epsilon, max_grad_norm: of the optimizer.
        lr_scheduler_type, lr_scheduler_kwargs, warmup_steps, warmup_ratio: the rate over the steps; ``warmup_steps``
            below 1 is a share of all steps.
        optim, optim_args: ``adamw_torch_fused`` (default) or another of :class:`OptimizerNames`, and options of it as
            text: ``"rank=64,update_proj_gap=100"``.
        optim_target_modules: linear layers whose gradients ``galore_*`` and ``apollo_*`` project: ``"all-linear"``, a
            regular expression of whole names, or a list of names, parts of them, or expressions.
        gradient_accumulation_steps: batches per update; the loss is normalised over the whole window.
        bf16, fp16: compute in half precision, weights in float32 (fp16 needs a CUDA device); bf16_full_eval and
            fp16_full_eval evaluate with half-precision weights.
        logging_strategy, logging_steps, eval_strategy, eval_steps, save_strategy, save_steps: when; a number of steps
            below 1 is a share of all steps.
        save_total_limit, load_best_model_at_end, metric_for_best_model, greater_is_better: which checkpoints stay.
        seed, data_seed: of weights, dropout and the order of rows.
        train_sampling_strategy: ``random``, ``sequential``, ``group_by_length``, or ``batch_rebalance`` for batches of
            many short rows or few long ones, equally dear for every process.
        report_to: names of programs that logs are sent to: ``tensorboard``, ``wandb``, ``trackio``, …; ``all`` or None
            for those that are installed. ``log.jsonl`` and ``loss.svg`` are written in any case.
        logging_dir: folder of those two, and of TensorBoard's files; the output folder by default.
        neftune_noise_alpha: noise on the embedded words in training (https://arxiv.org/abs/2310.05914).
        auto_find_batch_size: halve a batch that does not fit memory until it does, and compute its parts one after
            another: the update stays that of the whole batch.
        batch_eval_metrics: call ``compute_metrics`` for every batch, the last time with ``compute_result=True``.
        fsdp, fsdp_config: cut parameters, gradients and optimizer states between the processes: True, or words such as
            ``"full_shard auto_wrap offload"``, and options by name (``state_dict_type``, ``min_num_params``,
            ``transformer_layer_cls_to_wrap``, ``cpu_offload``, ``activation_checkpointing``).
        debug: ``underflow_overflow`` stops where a module's numbers become infinite or none, and says which and what
            led there; ``tpu_metrics_debug`` is accepted, and there is no TPU.
        deepspeed: a configuration of that engine, as a mapping or a file: ZeRO's stages become ``fsdp``, its sections
            of optimizer, precision and schedule the arguments that say the same; other keys are refused by name.
        eval_accumulation_steps, use_liger_kernel: accepted; every batch's outputs leave the device at once, and a
            kernel changes no result.

    Example:
        >>> TrainingArguments("out", evaluation_strategy="epoch").eval_strategy.value
        'epoch'
    """

    output_dir: str | None = None
    per_device_train_batch_size: int = 8
    num_train_epochs: float = 3.0
    max_steps: int = -1
    learning_rate: float = 5e-5
    lr_scheduler_type: str = "linear"
    lr_scheduler_kwargs: dict[str, Any] | str | None = None
    warmup_steps: float = 0
    warmup_ratio: float | None = None
    optim: str = "adamw_torch_fused"
    optim_args: str | None = None
    weight_decay: float = 0.0
    adam_beta1: float = 0.9
    adam_beta2: float = 0.999
    adam_epsilon: float = 1e-8
    optim_target_modules: str | list[str] | None = None
    gradient_accumulation_steps: int = 1
    average_tokens_across_devices: bool = True
    max_grad_norm: float = 1.0
    label_smoothing_factor: float = 0.0
    bf16: bool = False
    fp16: bool = False
    bf16_full_eval: bool = False
    fp16_full_eval: bool = False
    tf32: bool | None = None
    gradient_checkpointing: bool | None = None
    gradient_checkpointing_kwargs: dict[str, Any] | str | None = None
    torch_compile: bool = False
    torch_compile_backend: str | None = None
    torch_compile_mode: str | None = None
    use_liger_kernel: bool = False
    liger_kernel_config: dict[str, bool] | None = None
    use_cache: bool = False
    neftune_noise_alpha: float | None = None
    torch_empty_cache_steps: int | None = None
    auto_find_batch_size: bool = False
    logging_strategy: str = "steps"
    logging_steps: float = 500
    logging_first_step: bool = False
    logging_dir: str | None = None
    log_on_each_node: bool = True
    logging_nan_inf_filter: bool = True
    include_num_input_tokens_seen: str | bool = "no"
    log_level: str = "passive"
    log_level_replica: str = "warning"
    disable_tqdm: bool | None = None
    report_to: str | list[str] | None = "none"
    run_name: str | None = None
    project: str = "huggingface"
    trackio_space_id: str | None = None
    trackio_bucket_id: str | None = None
    trackio_static_space_id: str | bool | None = None
    eval_strategy: str = "no"
    eval_steps: float | None = None
    eval_delay: float = 0
    per_device_eval_batch_size: int = 8
    prediction_loss_only: bool = False
    eval_on_start: bool = False
    eval_do_concat_batches: bool = True
    eval_use_gather_object: bool = False
    eval_accumulation_steps: int | None = None
    include_for_metrics: list[str] = field(default_factory=list)
    batch_eval_metrics: bool = False
    save_only_model: bool = False
    save_strategy: str = "steps"
    save_steps: float = 500
    save_on_each_node: bool = False
    save_total_limit: int | None = None
    save_safetensors: bool = True
    enable_jit_checkpoint: bool = False
    push_to_hub: bool = False
    hub_token: str | None = None
    hub_private_repo: bool | None = None
    hub_model_id: str | None = None
    hub_strategy: str = "every_save"
    hub_always_push: bool = False
    hub_revision: str | None = None
    load_best_model_at_end: bool = False
    metric_for_best_model: str | None = None
    greater_is_better: bool | None = None
    ignore_data_skip: bool = False
    restore_callback_states_from_checkpoint: bool = False
    full_determinism: bool = False
    seed: int = 42
    data_seed: int | None = None
    use_cpu: bool = False
    accelerator_config: dict[str, Any] | str | None = None
    parallelism_config: Any = None
    dataloader_drop_last: bool = False
    dataloader_num_workers: int = 0
    dataloader_pin_memory: bool = True
    dataloader_persistent_workers: bool = False
    dataloader_prefetch_factor: int | None = None
    dataloader_multiprocessing_context: str | None = None
    dataloader_in_order: bool = True
    remove_unused_columns: bool = True
    label_names: list[str] | None = None
    train_sampling_strategy: str = "random"
    length_column_name: str = "length"
    ddp_find_unused_parameters: bool | None = None
    ddp_bucket_cap_mb: int | None = None
    ddp_broadcast_buffers: bool | None = None
    ddp_static_graph: bool | None = None
    ddp_backend: str | None = None
    ddp_timeout: int = 1800
    fsdp: bool | str | list[Any] | None = None
    fsdp_config: dict[str, Any] | str | None = None
    deepspeed: dict[str, Any] | str | None = None
    debug: str | list[Any] = ""
    skip_memory_metrics: bool = True
    do_train: bool = False
    do_eval: bool = False
    do_predict: bool = False
    resume_from_checkpoint: str | None = None
    local_rank: int = -1
    _given: ClassVar[frozenset[str]] = frozenset()  # what the program named itself

    def __post_init__(self) -> None:
        self.output_dir = os.path.expanduser(os.fspath(self.output_dir or "trainer_output"))
        if self.logging_dir is not None:
            self.logging_dir = os.path.expanduser(os.fspath(self.logging_dir))
        for name, kind in _CHOICES.items():
            setattr(self, name, _choice(name, getattr(self, name), kind))
        self.optim = _choice("optim", self.optim, OptimizerNames).value
        if self.train_sampling_strategy not in _SAMPLING:
            hint = nearest(str(self.train_sampling_strategy), _SAMPLING)
            raise ValueError(f"train_sampling_strategy must be one of {', '.join(_SAMPLING)}{hint}")
        for name in ("lr_scheduler_kwargs", "gradient_checkpointing_kwargs", "accelerator_config"):
            value = getattr(self, name)
            if isinstance(value, str) and value.lstrip().startswith("{"):
                setattr(self, name, json.loads(value))
        words = self.debug.replace(",", " ").split() if isinstance(self.debug, str) else self.debug
        self.debug = [_choice("debug", word, DebugOption) for word in words or ()]
        self.gradient_checkpointing = bool(self.gradient_checkpointing)
        self.do_eval = self.do_eval or self.eval_strategy != IntervalStrategy.NO
        if self.eval_strategy == IntervalStrategy.STEPS and not self.eval_steps:
            self.eval_steps = self.logging_steps
        for what in ("logging", "eval", "save"):
            steps = getattr(self, f"{what}_steps")
            if getattr(self, f"{what}_strategy") == IntervalStrategy.STEPS and not (steps and steps > 0):
                raise ValueError(f"{what}_steps must be positive when {what}_strategy is 'steps', got {steps!r}")
        self._check_best()
        if self.deepspeed:
            from enfold.transformers.trainer.zero import adopt

            adopt(self)
        if self.bf16 and self.fp16:
            raise ValueError("choose one of bf16 and fp16")
        if self.gradient_accumulation_steps < 1:
            raise ValueError("gradient_accumulation_steps must be at least 1")
        if self.warmup_steps < 0 or (self.warmup_ratio is not None and not 0 <= self.warmup_ratio <= 1):
            raise ValueError("warmup_steps may not be negative, and warmup_ratio lies between 0 and 1")
        if self.disable_tqdm is None:
            self.disable_tqdm = False
        if self.log_level not in _LOG_LEVELS or self.log_level_replica not in _LOG_LEVELS:
            raise ValueError(f"log_level and log_level_replica are each one of {', '.join(_LOG_LEVELS)}")
        self.report_to = self._reports()
        if isinstance(self.include_num_input_tokens_seen, bool):
            self.include_num_input_tokens_seen = "all" if self.include_num_input_tokens_seen else "no"

    def _reports(self) -> list[str]:
        """Return the programs that logs go to, by name."""
        if self.logging_dir is not None and "report_to" not in self._given and self.report_to == "none":
            # Version 4's programs give a folder and expect TensorBoard's files in it, where that is installed.
            from enfold.transformers.trainer.reporting import get_available_reporting_integrations

            return [name for name in get_available_reporting_integrations() if name == "tensorboard"]
        names = ["all"] if self.report_to is None else self.report_to
        names = [names] if isinstance(names, str) else list(names)
        if "all" in names:
            from enfold.transformers.trainer.reporting import get_available_reporting_integrations

            return get_available_reporting_integrations()
        from enfold.transformers.trainer.reporting import check_names

        names = [name for name in names if name != "none"]
        check_names(names)
        return names

    def _check_best(self) -> None:
        wants_best = self.load_best_model_at_end or self.save_strategy == SaveStrategy.BEST
        if wants_best and self.metric_for_best_model is None:
            self.metric_for_best_model = "loss"
        if self.greater_is_better is None and self.metric_for_best_model is not None:
            self.greater_is_better = not self.metric_for_best_model.endswith("loss")
        if not self.load_best_model_at_end:
            return
        if self.eval_strategy == IntervalStrategy.NO:
            raise ValueError("load_best_model_at_end needs evaluation during training: set eval_strategy")
        if self.save_strategy == SaveStrategy.BEST:
            return
        if str(self.save_strategy.value) != str(self.eval_strategy.value):  # type: ignore[attr-defined]
            raise ValueError(
                "load_best_model_at_end needs save_strategy equal to eval_strategy; they are "
                f"{self.save_strategy.value!r} and {self.eval_strategy.value!r}"  # type: ignore[attr-defined]
            )
        whole = self.save_steps >= 1 and (self.eval_steps or 0) >= 1
        if self.eval_strategy == IntervalStrategy.STEPS and whole and self.save_steps % (self.eval_steps or 1):
            raise ValueError(
                f"load_best_model_at_end needs save_steps ({self.save_steps}) to be a multiple of eval_steps "
                f"({self.eval_steps})"
            )

    def check_supported(self) -> None:
        """Raise :class:`UnsupportedArgument` when an argument asks for something that is not implemented."""
        from enfold.transformers.trainer.recipes import check_optimizer
        from enfold.transformers.trainer.sharding import plugin_of
        from enfold.transformers.trainer.zero import check_rows

        if self.deepspeed:
            check_rows(self)
        check_optimizer(self)
        plugin_of(self)
        if self.fp16 and self.device.type != "cuda":
            raise UnsupportedArgument("fp16 needs a CUDA device; use bf16=True on a processor")

    def get_process_log_level(self) -> int:
        """Return the level of this process's logger; ``"passive"`` leaves it as it is."""
        level = _LOG_LEVELS[self.log_level if self.should_log else self.log_level_replica]
        return get_verbosity() if level < 0 else level

    # --- where ----------------------------------------------------------------------------------------------------

    @property
    def device(self) -> torch.device:
        """Where this process computes."""
        return self._state.device

    @property
    def _state(self) -> Any:
        from enfold.accelerate.state import PartialState

        return PartialState(cpu=self.use_cpu, backend=self.ddp_backend)

    @property
    def world_size(self) -> int:
        """How many processes train together."""
        return self._state.num_processes

    @property
    def process_index(self) -> int:
        """Which of them this is."""
        return self._state.process_index

    @property
    def local_process_index(self) -> int:
        """Which of this machine's processes this is."""
        return self._state.local_process_index

    @property
    def n_gpu(self) -> int:
        """GPUs that this process uses: 0 or 1."""
        return int(self.device.type == "cuda")

    @property
    def parallel_mode(self) -> str:
        """``"distributed"`` or ``"not_parallel"``."""
        return "distributed" if self.world_size > 1 else "not_parallel"

    @property
    def place_model_on_device(self) -> bool:
        """Whether a trainer moves its model to the device."""
        return True

    @property
    def ddp_timeout_delta(self) -> datetime.timedelta:
        """How long processes wait for each other."""
        return datetime.timedelta(seconds=self.ddp_timeout)

    @contextlib.contextmanager
    def main_process_first(self, local: bool = True, desc: str = "work") -> Any:
        """Let the first process (of this machine, or of all) run the block before the others do."""
        first = self._state.local_main_process_first if local else self._state.main_process_first
        with first():
            yield

    @property
    def should_log(self) -> bool:
        """Whether this process shows logs."""
        return self.local_process_index == 0 if self.log_on_each_node else self.process_index == 0

    @property
    def should_save(self) -> bool:
        """Whether this process writes checkpoints."""
        return self.local_process_index == 0 if self.save_on_each_node else self.process_index == 0

    @property
    def train_batch_size(self) -> int:
        """Rows of a training batch of this process."""
        return self.per_device_train_batch_size

    @property
    def eval_batch_size(self) -> int:
        """Rows of an evaluation batch of this process."""
        return self.per_device_eval_batch_size

    @property
    def mixed_precision(self) -> str:
        """``"bf16"``, ``"fp16"`` or ``"no"``."""
        return "bf16" if self.bf16 else "fp16" if self.fp16 else "no"

    def get_warmup_steps(self, num_training_steps: int) -> int:
        """Return how many steps the learning rate rises."""
        if self.warmup_steps >= 1:
            return int(self.warmup_steps)
        return math.ceil(num_training_steps * (self.warmup_steps or self.warmup_ratio or 0.0))

    # --- as text --------------------------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """Return the arguments as plain values, tokens left out."""
        values = {item.name: getattr(self, item.name) for item in dataclasses.fields(self)}
        plain = {name: value.value if isinstance(value, enum.Enum) else value for name, value in values.items()}
        return {
            name: f"<{name.upper()}>" if name.endswith("_token") and value else value for name, value in plain.items()
        }

    def to_json_string(self) -> str:
        """Return the arguments as JSON, tokens left out."""
        return json.dumps(self.to_dict(), indent=2, default=str)

    def to_sanitized_dict(self) -> dict[str, Any]:
        """Return the arguments as numbers, booleans and text only, for a tracker."""
        simple = (bool, int, float, str)
        return {name: value if isinstance(value, simple) else str(value) for name, value in self.to_dict().items()}


_CHOICES: dict[str, type[enum.Enum]] = {
    "logging_strategy": IntervalStrategy,
    "eval_strategy": IntervalStrategy,
    "save_strategy": SaveStrategy,
    "hub_strategy": HubStrategy,
}
_SAMPLING = ("random", "sequential", "group_by_length", "batch_rebalance")


def _choice(name: str, value: Any, kind: type[enum.Enum]) -> Any:
    if isinstance(value, bool):  # very old programs switched evaluation on with True
        value = "steps" if value else "no"
    known = [item.value for item in kind]
    plain = value.value if isinstance(value, enum.Enum) else value
    if plain not in known:
        raise ValueError(f"{name} must be one of {', '.join(known)}, got {plain!r}{nearest(str(plain), known)}")
    return kind(plain)
