"""What a trainer tells about itself: sizes, operations, metrics in files, its card."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from enfold.log import get_logger
from enfold.transformers.trainer import persistence, publishing
from enfold.transformers.trainer.arguments import TrainingArguments
from enfold.transformers.trainer.callbacks import TrainerState
from enfold.transformers.trainer.parts import Parts

__all__ = ["Bookkeeping", "flops_per_token"]


logger = get_logger(__name__)


class Bookkeeping(Parts):
    """The numbers and files of a trainer."""

    model_init: Any
    _made_model: Callable[..., nn.Module]
    hub_model_id: str

    # --- sizes ----------------------------------------------------------------------------------------------------

    def get_total_train_batch_size(self, args: TrainingArguments | None = None) -> int:
        """Return the rows of one update, over all batches of the window and all processes."""
        args = args or self.args
        return args.train_batch_size * args.gradient_accumulation_steps * self.accelerator.data_place[0]

    def get_tp_size(self) -> int:
        """Return over how many processes each matrix is cut."""
        config = self.accelerator.parallelism_config
        return 1 if config is None else config.size("tp")

    def get_cp_size(self) -> int:
        """Return over how many devices a row is spread: 1."""
        return 1

    def get_sp_size(self) -> int:
        """Return over how many devices a row is spread by heads: 1."""
        return 1

    @staticmethod
    def num_tokens(train_dl: Any, max_steps: int | None = None) -> int:
        """Return the tokens that a loader gives, by reading it; of ``max_steps`` passes over its first batch if set."""
        total = 0
        for batch in train_dl:
            tokens = batch["input_ids"].numel()
            if max_steps is not None:
                return tokens * max_steps
            total += tokens
        return total

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        """Return about how many operations forward and backward of a batch take."""
        own = getattr(self.model, "floating_point_ops", None)
        if own is not None:
            return own(inputs)  # type: ignore[operator]
        main = inputs.get(getattr(self.model, "main_input_name", "input_ids"))
        return int(flops_per_token(self.model) * main.numel()) if isinstance(main, Tensor) else 0

    def store_flos(self) -> None:
        """Nothing to do: ``state.total_flos`` is always up to date."""

    def compare_trainer_and_checkpoint_args(
        self, training_args: TrainingArguments, trainer_state: TrainerState
    ) -> None:
        """Warn where a training goes on with other arguments than its checkpoint was written with."""
        names = {"train_batch_size": "train_batch_size", **{name: name for name in ("logging_steps", "save_steps")}}
        changed = []
        for name, stored in names.items():
            now, then = getattr(training_args, name), getattr(trainer_state, stored)
            if then is not None and now >= 1 and int(now) != then:
                changed.append(f"{name} {then} → {int(now)}")
        if changed:
            logger.warning("the checkpoint was written with other arguments: %s", ", ".join(changed))

    # --- metrics --------------------------------------------------------------------------------------------------

    @staticmethod
    def metrics_format(metrics: dict[str, float]) -> dict[str, Any]:
        """Return metrics as they are shown: bytes, operations and times with their units.

        Example:
            >>> Bookkeeping.metrics_format({"train_runtime": 62.5, "train_loss": 0.123456})
            {'train_runtime': '0:01:02.50', 'train_loss': 0.1235}
        """
        shown: dict[str, Any] = {}
        for name, value in metrics.items():
            if "_mem_" in name:
                shown[name] = f"{int(value) >> 20}MB"
            elif name.endswith("_runtime"):
                minutes, seconds = divmod(value, 60)
                shown[name] = (
                    f"{int(minutes // 60)}:{int(minutes % 60):02d}:{int(seconds):02d}.{int(value * 100 % 100):02d}"
                )
            elif name == "total_flos":
                shown[name] = f"{int(value) >> 30}GF"
            else:
                shown[name] = round(value, 4) if isinstance(value, float) else value
        return shown

    def log_metrics(self, split: str, metrics: dict[str, float]) -> None:
        """Print metrics as an aligned list."""
        if not self.is_world_process_zero():
            return
        print(f"***** {split} metrics *****")
        shown = self.metrics_format(metrics)
        width = max((len(name) for name in shown), default=0)
        values = max((len(str(value)) for value in shown.values()), default=0)
        for name in sorted(shown):
            print(f"  {name:<{width}} = {shown[name]!s:>{values}}")

    def save_metrics(self, split: str, metrics: dict[str, float], combined: bool = True) -> None:
        """Write metrics to ``<split>_results.json``, and add them to ``all_results.json``."""
        if not self.is_world_process_zero():
            return
        folder = self.args.output_dir or ""
        os.makedirs(folder, exist_ok=True)
        persistence.write_text(
            os.path.join(folder, f"{split}_results.json"), json.dumps(metrics, indent=4, sort_keys=True)
        )
        if combined:
            path = os.path.join(folder, "all_results.json")
            merged = {}
            if os.path.exists(path):
                with open(path, encoding="utf-8") as file:
                    merged = json.load(file)
            persistence.write_text(path, json.dumps({**merged, **metrics}, indent=4, sort_keys=True))

    def save_state(self) -> None:
        """Write ``trainer_state.json`` into the output folder."""
        if self.is_world_process_zero():
            os.makedirs(self.args.output_dir or "", exist_ok=True)
            self.state.save_to_json(os.path.join(self.args.output_dir or "", persistence.STATE_NAME))

    # --- sharing --------------------------------------------------------------------------------------------------

    def call_model_init(self, trial: Any = None) -> nn.Module:
        """Make a model with ``model_init``, which is given the trial of a search if it takes one."""
        return self._made_model(trial)

    def init_hf_repo(self, token: str | None = None, private: bool | None = None) -> None:
        """Make the repository that the arguments name."""
        if self.is_world_process_zero():
            if private is not None:
                self.args.hub_private_repo = private
            self.hub_model_id = publishing.repository(self, token)

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


def flops_per_token(model: nn.Module) -> float:
    """Return six operations a token and weight, embeddings aside (https://arxiv.org/abs/2001.08361)."""
    tables = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
    return 6.0 * sum(parameter.numel() for parameter in model.parameters() if id(parameter) not in tables)
