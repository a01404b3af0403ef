"""What happens beside an alignment training: references that follow, averages, completions shown."""

from __future__ import annotations

import os
from typing import Any

import torch
from torch import Tensor, nn

from enfold.log import get_logger
from enfold.transformers.generation.config import GenerationConfig
from enfold.transformers.trainer import ProgressCallback, TrainerCallback
from enfold.transformers.trainer.losses import bare_model
from enfold.trl.formats import is_conversational, token_ids
from enfold.trl.preparing import AlignmentError, frozen_copy
from enfold.trl.rollouts import write
from enfold.trl.showing import print_completions

__all__ = [
    "BEMACallback",
    "LogCompletionsCallback",
    "MergeModelCallback",
    "RichProgressCallback",
    "SyncRefModelCallback",
    "WinRateCallback",
]

logger = get_logger(__name__)


class SyncRefModelCallback(TrainerCallback):
    """Moves the reference towards the policy every ``args.ref_model_sync_steps`` steps (TR-DPO, arXiv:2404.09656).

    Args:
        ref_model: the reference.
        accelerator: unwraps the policy, or None.
    """

    def __init__(self, ref_model: nn.Module, accelerator: Any = None) -> None:
        self.ref_model, self.accelerator = ref_model, accelerator

    @staticmethod
    @torch.no_grad()
    def sync_target_model(model: nn.Module, target_model: nn.Module, alpha: float) -> None:
        """Make the target's weights ``alpha`` parts of the model's and 1 - ``alpha`` of its own."""
        for target, source in zip(target_model.parameters(), model.parameters(), strict=True):
            target.data.lerp_(source.data.to(target), alpha)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Move it, when it is time."""
        if state.global_step % args.ref_model_sync_steps == 0:
            model = kwargs["model"]
            model = self.accelerator.unwrap_model(model) if self.accelerator else model
            self.sync_target_model(model, self.ref_model, args.ref_model_mixup_alpha)


class BEMACallback(TrainerCallback):
    """Keeps a bias-corrected average of the weights, and saves it beside the model, in ``bema/``.

    Args:
        update_freq: steps between two updates (400).
        ema_power: the average's memory falls as (lag + multiplier · step) to minus this (0.5).
        bias_power: the correction falls as that to minus this (0.2); 0 is no correction.
        lag, multiplier: of the above.
        update_after: steps before which nothing is averaged.
        min_ema_multiplier: least weight of the newest weights.
        device: where the average is held.

    Source: https://arxiv.org/abs/2508.00180
    """

    def __init__(
        self,
        update_freq: int = 400,
        ema_power: float = 0.5,
        bias_power: float = 0.2,
        lag: int = 10,
        update_after: int = 0,
        multiplier: float = 1.0,
        min_ema_multiplier: float = 0.0,
        device: str = "cpu",
    ) -> None:
        self.update_freq, self.update_after, self.device = update_freq, update_after, device
        self.ema_power, self.bias_power, self.lag, self.multiplier = ema_power, bias_power, lag, multiplier
        self.min_ema_multiplier = min_ema_multiplier
        self.running_model: Any = None
        self._start: dict[str, Tensor] = {}
        self._average: dict[str, Tensor] = {}

    def _held(self, model: nn.Module) -> dict[str, Tensor]:
        return {
            name: parameter.detach().to(self.device, copy=True)
            for name, parameter in model.named_parameters()
            if parameter.requires_grad
        }

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Remember where training begins."""
        model = kwargs["model"]
        self.running_model = frozen_copy(model).to(self.device)
        self._start, self._average = self._held(model), self._held(model)

    def weights(self, step: int) -> tuple[float, float]:
        """Return the weight of the newest weights in the average, and of the correction, at a step."""
        base = self.lag + self.multiplier * step
        return max(base**-self.ema_power, self.min_ema_multiplier), base**-self.bias_power

    @torch.no_grad()
    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Average, when it is time."""
        step = state.global_step - self.update_after
        if step == 0:
            self._start, self._average = self._held(kwargs["model"]), self._held(kwargs["model"])
        elif step > 0 and step % self.update_freq == 0:
            newest, correction = self.weights(state.global_step)
            running = dict(self.running_model.named_parameters())
            for name, now in self._held(kwargs["model"]).items():
                self._average[name].lerp_(now, newest)
                running[name].copy_(self._average[name] + correction * (now - self._start[name]))

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Save the average."""
        if state.is_world_process_zero:
            self.running_model.save_pretrained(os.path.join(args.output_dir, "bema"))


class RichProgressCallback(ProgressCallback):
    """The progress of a training as one bar, with the newest values behind it."""


def _prompts(rows: Any, tokenizer: Any) -> tuple[list[Any], list[list[int]]]:
    prompts = list(rows["prompt"])
    options = {"add_generation_prompt": True} if is_conversational({"prompt": prompts[0]}) else {}
    return prompts, [list(token_ids(tokenizer, prompt, **options)["input_ids"]) for prompt in prompts]


class _Writing(TrainerCallback):
    """What callbacks that write completions share: prompts, and when."""

    def __init__(self, trainer: Any, generation_config: Any, num_prompts: int | None, freq: int | None) -> None:
        rows = trainer.eval_dataset
        if rows is None or isinstance(rows, dict) or "prompt" not in getattr(rows, "column_names", ()):
            raise AlignmentError(f"{type(self).__name__} needs an eval_dataset with prompts: a column called prompt")
        self.trainer, self.freq, self._last = trainer, freq, -1
        self.rows = rows if num_prompts is None else rows.select(range(num_prompts))
        tokenizer = trainer.text_tokenizer
        ends = {"pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id}
        self.generation_config = generation_config or GenerationConfig(max_new_tokens=64, **ends)

    def _due(self, state: Any) -> bool:
        freq = self.freq or state.eval_steps or self.trainer.args.eval_steps or 500
        if state.global_step == self._last or state.global_step % freq:
            return False
        self._last = state.global_step
        return True

    def _completions(self, model: Any) -> tuple[list[Any], list[str]]:
        prompts, ids = _prompts(self.rows, self.trainer.processing_class)
        written = write(model, ids, self.generation_config)
        return prompts, self.trainer.text_tokenizer.batch_decode(written, skip_special_tokens=True)


class LogCompletionsCallback(_Writing):
    """Writes completions of the evaluation's prompts every so often, shows them, and keeps them in ``table``.

    Args:
        trainer: has an ``eval_dataset`` with prompts.
        generation_config: how; 64 tokens by default.
        num_prompts: how many of them; all by default.
        freq: steps between two times; the trainer's ``eval_steps`` by default.
    """

    def __init__(
        self, trainer: Any, generation_config: Any = None, num_prompts: int | None = None, freq: int | None = None
    ) -> None:
        super().__init__(trainer, generation_config, num_prompts, freq)
        self.table: list[tuple[str, Any, str]] = []

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Write them, when it is time."""
        if self._due(state) and state.is_world_process_zero:
            prompts, said = self._completions(self.trainer.model)
            self.table += [(str(state.global_step), *row) for row in zip(prompts, said, strict=True)]
            print_completions({"prompt": prompts, "completion": said}, state.global_step)


class WinRateCallback(_Writing):
    """Lets a judge say how often the model's completions beat the reference's, and logs it as ``eval_win_rate``.

    Args:
        judge: see :class:`~enfold.trl.judges.BasePairwiseJudge`.
        trainer: has an ``eval_dataset`` with prompts, and a reference or the model as it began.
        generation_config, num_prompts: as of :class:`LogCompletionsCallback`.
        shuffle_order: show the judge both in random order.
        use_soft_judge: log the judge's probabilities too, as ``eval_avg_win_prob``.
    """

    def __init__(
        self,
        judge: Any,
        trainer: Any,
        generation_config: Any = None,
        num_prompts: int | None = None,
        shuffle_order: bool = True,
        use_soft_judge: bool = False,
    ) -> None:
        super().__init__(trainer, generation_config, num_prompts, None)
        self.judge, self.shuffle_order, self.use_soft_judge = judge, shuffle_order, use_soft_judge
        self.reference: list[str] = []

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Let the reference write."""
        model = getattr(self.trainer, "ref_model", None)
        self.reference = self._completions(model if model is not None else self.trainer.model)[1]

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Let the model write, and the judge compare."""
        prompts, said = self._completions(self.trainer.model)
        pairs = [list(pair) for pair in zip(self.reference, said, strict=True)]
        metrics: dict[str, float] = {}
        if self.use_soft_judge:
            first = self.judge.judge(prompts, pairs, self.shuffle_order, return_scores=True)
            metrics["eval_avg_win_prob"] = 1.0 - sum(first) / len(first)
            ranks = [0 if score > 0.5 else 1 for score in first]
        else:
            ranks = self.judge.judge(prompts, pairs, self.shuffle_order)
        metrics["eval_win_rate"] = sum(rank == 1 for rank in ranks) / len(ranks)
        self.trainer.log(metrics)


class MergeModelCallback(TrainerCallback):
    """Mixes the weights of every checkpoint, or of the last, with those that training began with; see ``merged/``.

    Args:
        merge_config: share of the trained weights, 0 to 1 (0.5).
        merge_at_every_checkpoint: at every one, or at the end alone.
        push_to_hub: upload the result.
    """

    def __init__(
        self, merge_config: float | None = None, merge_at_every_checkpoint: bool = False, push_to_hub: bool = False
    ) -> None:
        self.share = 0.5 if merge_config is None else float(merge_config)
        self.every, self.push_to_hub = merge_at_every_checkpoint, push_to_hub
        self._start: Any = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Remember where training begins."""
        self._start = frozen_copy(bare_model(kwargs["model"]))

    def _merge(self, args: Any, state: Any, model: nn.Module) -> None:
        mixed = frozen_copy(self._start)
        SyncRefModelCallback.sync_target_model(bare_model(model), mixed, self.share)
        folder = os.path.join(args.output_dir, f"checkpoint-{state.global_step}", "merged")
        mixed.save_pretrained(folder)  # type: ignore[operator]
        if self.push_to_hub:
            mixed.push_to_hub(f"{args.hub_model_id}_checkpoint-{state.global_step}_merged")  # type: ignore[operator]

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Mix, with every checkpoint."""
        if self.every and state.is_world_process_zero:
            self._merge(args, state, kwargs["model"])

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Mix, at the end."""
        if not self.every and state.is_world_process_zero:
            self._merge(args, state, kwargs["model"])
