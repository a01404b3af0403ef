"""Training on what the model writes itself: prompts in groups, completions, rewards, and batches made of them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Sampler

from enfold.accelerate.operations import gather
from enfold.transformers.generation.config import GenerationConfig
from enfold.trl.base import ReferenceTrainer
from enfold.trl.formats import is_conversational, require_columns, template_options, token_ids
from enfold.trl.logprobs import Scores
from enfold.trl.losses.policy import nan_std
from enfold.trl.preparing import AlignmentError
from enfold.trl.rewarding import Rewards
from enfold.trl.rollouts import joined, write
from enfold.trl.settings import AlignmentConfig, settings

__all__ = ["OnlineConfig", "OnlineTrainer", "RepeatSampler"]


@settings
class OnlineConfig(AlignmentConfig):
    """What trainings on a model's own completions share.

    Args:
        num_generations, num_generations_eval: completions of a prompt.
        max_completion_length: tokens of a completion (512).
        max_prompt_length: longer prompts lose their beginnings; None leaves them.
        temperature, top_p, top_k, min_p, repetition_penalty, generation_kwargs: how completions are drawn.
        chat_template_kwargs: further names for the template of the prompts.
        generation_batch_size, steps_per_generation: completions are written for several batches at once.
        num_iterations: how often each completion is learnt from.
        beta: how closely the policy is held to the reference; with 0 there is none.
        epsilon, epsilon_high: how far the ratio of the new policy to the old one counts, below and above 1.
        reward_weights: of several rewards.
        mask_truncated_completions: learn nothing from completions that did not end.
        shuffle_dataset: read prompts in random order.
        log_completions, num_completions_to_print, log_unique_prompts: show what was written, and keep it in
            ``completions/`` of the output folder.
    """

    learning_rate: float = 1e-6
    remove_unused_columns: bool = False
    disable_dropout: bool = False
    num_generations: int = 8
    num_generations_eval: int | None = None
    max_completion_length: int = 512
    max_prompt_length: int | None = None
    shuffle_dataset: bool = True
    generation_batch_size: int | None = None
    steps_per_generation: int | None = None
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float | None = None
    repetition_penalty: float = 1.0
    generation_kwargs: dict[str, Any] | str | None = None
    chat_template_kwargs: dict[str, Any] | str | None = None
    beta: float = 0.0
    num_iterations: int = 1
    epsilon: float = 0.2
    epsilon_high: float | None = None
    reward_weights: list[float] | None = None
    mask_truncated_completions: bool = False
    sync_ref_model: bool = False
    ref_model_mixup_alpha: float = 0.6
    ref_model_sync_steps: int = 512
    log_completions: bool = False
    num_completions_to_print: int | None = None
    log_unique_prompts: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_groups()

    def _check_groups(self) -> None:
        """Check that batches hold whole groups of completions."""
        if self.auto_find_batch_size:
            raise ValueError("auto_find_batch_size would cut the group of a prompt apart: lower the batch size instead")
        if self.generation_batch_size is not None and self.steps_per_generation is not None:
            raise ValueError("generation_batch_size and steps_per_generation say the same: give one of them")
        batch = self.per_device_train_batch_size * self.world_size
        if self.generation_batch_size is None:
            self.steps_per_generation = self.steps_per_generation or self.gradient_accumulation_steps
            self.generation_batch_size = batch * self.steps_per_generation
        elif self.generation_batch_size % batch:
            raise ValueError(f"generation_batch_size ({self.generation_batch_size}) must be a multiple of {batch}")
        else:
            self.steps_per_generation = self.generation_batch_size // batch
        if self.num_generations < 2:
            raise ValueError(
                f"num_generations must be at least 2, to compare completions; it is {self.num_generations}"
            )
        if self.generation_batch_size % self.num_generations:
            raise ValueError(
                f"a generation batch of {self.generation_batch_size} completions holds no whole groups of "
                f"num_generations={self.num_generations}: set per_device_train_batch_size to a multiple of it"
            )
        evaluated, group = (
            self.per_device_eval_batch_size * self.world_size,
            self.num_generations_eval or self.num_generations,
        )
        if self.eval_strategy != "no" and evaluated % group:
            raise ValueError(f"per_device_eval_batch_size × processes ({evaluated}) must be a multiple of {group}")


class RepeatSampler(Sampler[int]):
    """Gives every row several times in a row, and every batch of rows several times.

    Args:
        data_source: has a length.
        mini_repeat_count: how often a row comes in a row.
        batch_size: different rows of a batch; a last batch that is not full is left out.
        repeat_count: how often a batch comes.
        shuffle: in random order.
        seed: of that.

    Example:
        >>> list(RepeatSampler("abc", mini_repeat_count=2, batch_size=2, repeat_count=2, shuffle=False))
        [0, 0, 1, 1, 0, 0, 1, 1]
    """

    def __init__(
        self,
        data_source: Any,
        mini_repeat_count: int,
        batch_size: int = 1,
        repeat_count: int = 1,
        shuffle: bool = True,
        seed: int | None = None,
    ) -> None:
        self.rows, self.mini_repeat_count, self.batch_size = len(data_source), mini_repeat_count, batch_size
        self.repeat_count, self.shuffle = repeat_count, shuffle
        self.generator = torch.Generator()
        if seed is not None:
            self.generator.manual_seed(seed)

    def __iter__(self) -> Iterator[int]:
        order = torch.randperm(self.rows, generator=self.generator).tolist() if self.shuffle else list(range(self.rows))
        for start in range(0, self.rows - self.batch_size + 1, self.batch_size):
            for _ in range(self.repeat_count):
                for row in order[start : start + self.batch_size]:
                    yield from [row] * self.mini_repeat_count

    def __len__(self) -> int:
        return self.rows // self.batch_size * self.batch_size * self.mini_repeat_count * self.repeat_count


def _as_rows(features: list[dict[str, Any]]) -> dict[str, Any]:
    """A batch of rows as they are; the tensor says how many."""
    return {"rows": list(features), "places": torch.arange(len(features))}


class OnlineTrainer(ReferenceTrainer):
    """What trainers on a model's own completions share.

    Args:
        model: the policy.
        reward_funcs: see :class:`~enfold.trl.rewarding.Rewards`.
        args: settings.
        reward_processing_classes: tokenizers of reward models.
        rollout_func: ``(prompts, trainer) → {"prompt_ids", "completion_ids", …}`` writes completions instead of the
            engine; further entries become columns that reward functions are given.
        kwargs: as of :class:`~enfold.trl.base.ReferenceTrainer`.
    """

    args: Any
    config_class: ClassVar[type[Any]] = OnlineConfig

    def __init__(
        self,
        model: Any = None,
        reward_funcs: Any = None,
        args: Any = None,
        *positional: Any,
        reward_processing_classes: Any = None,
        rollout_func: Callable[..., dict[str, Any]] | None = None,
        tools: Any = None,
        environment_factory: Any = None,
        **kwargs: Any,
    ) -> None:
        if tools or environment_factory:
            raise AlignmentError("tools and environments are called by a rollout_func, which writes the completions")
        names = ("train_dataset", "eval_dataset", "processing_class")
        kwargs |= dict(zip(names, positional, strict=False))
        self.rollout_func = rollout_func
        if args is not None and not isinstance(args, self.config_class):
            from enfold.trl.preparing import settled

            args = settled(args, self.config_class, model, self.method)
        options = {"trust_remote_code": args.trust_remote_code} if args is not None else {}
        weights = None if args is None else args.reward_weights
        self.rewards = Rewards(reward_funcs, reward_processing_classes, weights, **options)
        super().__init__(model=model, args=args, **kwargs)
        for function in self.rewards.functions:
            if isinstance(function, nn.Module):
                function.to(self.args.device).eval()
        self.reward_funcs, self.reward_func_names = self.rewards.functions, self.rewards.names
        self.num_generations = self.args.num_generations
        self._step = 0
        self._buffer: list[dict[str, Tensor]] = []
        self._shown: dict[str, list[Any]] = {}
        self.loss_is_scaled_for_ga = None

    def needs_reference(self) -> bool:
        """Whether the loss reads a reference at all."""
        return bool(self.args.beta)

    # --- prompts --------------------------------------------------------------------------------------------------

    def _prepared(self, dataset: Any, name: str) -> Any:
        require_columns(dataset, ["prompt"], trainer=type(self).__name__)
        return dataset

    def _collator(self) -> Callable[..., Any]:
        return _as_rows

    def _train_loader(self, skip: int) -> DataLoader[Any]:
        if self.train_dataset is None:
            raise AlignmentError(f"{type(self).__name__} needs a train_dataset with prompts")
        args = self.args
        prompts = args.generation_batch_size // args.num_generations
        if len(self.train_dataset) < prompts:
            raise AlignmentError(
                f"the train_dataset has {len(self.train_dataset)} prompts, and a batch takes {prompts}"
            )
        repeats = args.num_iterations * args.steps_per_generation
        order = RepeatSampler(
            self.train_dataset, args.num_generations, prompts, repeats, args.shuffle_dataset, args.seed
        )
        return self._loader(self.train_dataset, args.train_batch_size * args.steps_per_generation, order, True, skip)

    def get_eval_dataloader(self, eval_dataset: Any = None) -> DataLoader[Any]:
        """Return the loader of evaluation batches, every prompt as often as completions of it are compared."""
        dataset = self.eval_dataset if eval_dataset is None else eval_dataset
        if isinstance(dataset, str):
            dataset = self.eval_dataset[dataset]
        if dataset is None:
            raise AlignmentError("evaluation needs an eval_dataset")
        group = self.args.num_generations_eval or self.args.num_generations
        return self._loader(dataset, self.args.eval_batch_size, RepeatSampler(dataset, group, shuffle=False), False)

    def prompt_ids(self, prompts: list[Any], rows: list[dict[str, Any]]) -> list[list[int]]:
        """Return the tokens of every prompt."""
        options = self.args.chat_template_kwargs or {}
        if is_conversational({"prompt": prompts[0]}):
            found = [
                token_ids(
                    self.processing_class, prompt, **{"add_generation_prompt": True, **template_options(row), **options}
                )["input_ids"]
                for prompt, row in zip(prompts, rows, strict=True)
            ]
        else:
            found = [list(ids) for ids in self.processing_class(text=prompts)["input_ids"]]
        longest = self.args.max_prompt_length
        return found if longest is None else [ids[-longest:] for ids in found]

    def generation_config(self) -> GenerationConfig:
        """Return how completions are drawn."""
        args, tokenizer = self.args, self.text_tokenizer
        given: dict[str, Any] = {
            "max_new_tokens": args.max_completion_length,
            "do_sample": True,
            "temperature": args.temperature,
            "top_p": args.top_p,
            "top_k": args.top_k,
            "min_p": args.min_p,
            "repetition_penalty": args.repetition_penalty,
            "pad_token_id": tokenizer.pad_token_id,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
        }
        return GenerationConfig(**{**given, **(args.generation_kwargs or {})})

    # --- completions ----------------------------------------------------------------------------------------------

    def _written(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        """Write a completion for every row, and note how long they are."""
        prompts = [row["prompt"] for row in rows]
        extra: dict[str, Any] = {}
        if self.rollout_func is not None:
            extra = dict(self.rollout_func(prompts, self))
            missing = [name for name in ("prompt_ids", "completion_ids") if name not in extra]
            if missing:
                raise AlignmentError(f"rollout_func returned no {' and no '.join(missing)}, only {', '.join(extra)}")
            before, ids = extra.pop("prompt_ids"), extra.pop("completion_ids")
        else:
            before = self.prompt_ids(prompts, rows)
            ids = write(self.accelerator.unwrap_model(self.model), before, self.generation_config())
        texts = self.text_tokenizer.batch_decode(ids, skip_special_tokens=True)
        chat = is_conversational({"prompt": prompts[0]})
        said = [[{"role": "assistant", "content": text}] for text in texts] if chat else texts
        counts = extra.pop("env_mask", None) or [[1] * len(row) for row in ids]
        extra.pop("logprobs", None)
        self._note_lengths(before, ids, counts)
        if self.args.mask_truncated_completions:
            counts = [
                row if written and written[-1] in self._ends() else [0] * len(row)
                for row, written in zip(counts, ids, strict=True)
            ]
        return {
            "prompts": prompts,
            "prompt_ids": before,
            "completions": said,
            "completion_ids": ids,
            "counts": counts,
            "extra": extra,
        }

    def _ends(self) -> set[int]:
        ends = self.generation_config().eos_token_id
        return {*([ends] if isinstance(ends, int) else ends or []), self.pad_token_id}

    def _note_lengths(self, before: list[list[int]], ids: list[list[int]], counts: list[list[int]]) -> None:
        lengths = torch.tensor([float(sum(row)) for row in counts])
        ended = torch.tensor([bool(row) and row[-1] in self._ends() for row in ids])
        whole = lengths[ended] if bool(ended.any()) else torch.zeros(1)
        if self.mode == "train":
            self.state.num_input_tokens_seen += sum(map(len, before)) + int(lengths.sum())
        self._measured[self.mode]["num_tokens"] = [float(self.state.num_input_tokens_seen)]
        names = ("mean", "min", "max")
        for prefix, values in (("", lengths), ("_terminated", whole)):
            stats = (values.mean(), values.min(), values.max())
            self.measure(
                **{f"completions/{name}{prefix}_length": value for name, value in zip(names, stats, strict=True)}
            )
        self.measure(**{"completions/clipped_ratio": (~ended).float()})

    def _rewarded(self, rows: list[dict[str, Any]], found: dict[str, Any]) -> Tensor:
        """Return what each reward says of each completion, (B, F), of all processes."""
        told = {
            name: [row[name] for row in rows]
            for name in rows[0]
            if name not in ("prompt", "completion", "completion_ids")
        }
        told |= found["extra"]
        extra: dict[str, list[Any]] = {}
        notes = {
            "trainer_state": self.state,
            "log_extra": lambda column, values: extra.setdefault(column, []).extend(values),
            "log_metric": lambda name, value: self.measure(**{name: value}),
        }
        rewards = self.rewards(found["prompts"], found["completions"], found["completion_ids"], **told, **notes)
        if self.args.world_size > 1:
            rewards = gather(rewards.to(self.args.device)).cpu()
        for place, name in enumerate(self.rewards.names):
            column = rewards[:, place]
            self.measure(**{f"rewards/{name}/mean": column.nanmean(), f"rewards/{name}/std": nan_std(column)})
        total = (rewards * self.rewards.weights).nansum(1).masked_fill(rewards.isnan().all(1), torch.nan)
        self.measure(reward=total.nanmean(), reward_std=nan_std(total))
        columns = {"prompt": found["prompts"], "completion": found["completions"], **extra}
        columns |= {name: rewards[:, place].tolist() for place, name in enumerate(self.rewards.names)}
        for name, values in columns.items():
            self._shown.setdefault(name, []).extend(values)
        return rewards

    def _mine(self, values: Tensor) -> Tensor:
        """Return this process's part of values that all have."""
        count = len(values) // self.args.world_size
        return values[self.args.process_index * count :][:count]

    def rolled_out(self, rows: list[dict[str, Any]]) -> dict[str, Tensor]:
        """Return a batch of completions with what they are worth; every trainer's own."""
        raise AlignmentError(f"{type(self).__name__} has no rolled_out")

    def _batch(self, found: dict[str, Any]) -> dict[str, Tensor]:
        made = joined(
            found["prompt_ids"],
            found["completion_ids"],
            self.pad_token_id,
            self.args.pad_to_multiple_of,
            found["counts"],
        )
        return {name: value.to(self.args.device) for name, value in made.items()}

    def read(self, model: nn.Module, batch: dict[str, Tensor]) -> Scores:
        """Return what a model says about the completions of a batch."""
        ids = batch["input_ids"]
        labels = ids.masked_fill(batch["completion_mask"] == 0, -100)
        return self.scored(model, ids, batch["attention_mask"], labels, self._temperature())

    def _temperature(self) -> float:
        """What logits are divided by where completions are learnt from."""
        return float(self.args.temperature)

    def read_in_parts(self, model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        """Return a batch's log-probabilities (B, T - 1) without gradients, computed a training batch at a time."""
        size = self.args.train_batch_size if self.mode == "train" else self.args.eval_batch_size
        with torch.no_grad(), self.compute_loss_context_manager():
            parts = [self.read(model, part).log_probs for part in _parts(batch, size)]
        return torch.cat(parts)

    def asks_old_policy(self) -> bool:
        """Whether the policy changes between writing completions and learning from them."""
        return self.args.gradient_accumulation_steps % (self.args.steps_per_generation * self.args.num_iterations) != 0

    def _prepare_inputs(self, inputs: Any) -> Any:
        """Turn rows into a batch: completions are written for several batches at once, and may be used again."""
        if "rows" not in inputs:
            return super()._prepare_inputs(inputs)
        args = self.args
        if self.mode == "eval":
            return self.rolled_out(inputs["rows"])
        if self._step % (args.steps_per_generation * args.num_iterations) == 0 or not self._buffer:
            batch = self.rolled_out(inputs["rows"])
            order = torch.randperm(len(batch["input_ids"]))
            self._buffer = _parts(
                {name: value[order] if value.ndim else value for name, value in batch.items()}, args.train_batch_size
            )
        return self._buffer[self._step % args.steps_per_generation]

    def training_step(self, model: nn.Module, inputs: Any, num_items_in_batch: Any = None) -> Tensor:
        """Compute one batch's gradients and return its loss."""
        begun = time.perf_counter()
        loss = super().training_step(model, inputs, num_items_in_batch)
        self._step += 1
        self.measure(step_time=time.perf_counter() - begun)
        return loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log, and show and keep completions where that is asked for."""
        super().log(logs, start_time)
        if self._shown and self.args.log_completions and self.is_world_process_zero():
            self._keep_completions()
        self._shown = {}

    def _keep_completions(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet

        width = min(map(len, self._shown.values()))
        table = {
            "step": [self.state.global_step] * width,
            **{k: [str(v) if not isinstance(v, float) else v for v in vs[:width]] for k, vs in self._shown.items()},
        }
        folder = os.path.join(self.args.output_dir, "completions")
        os.makedirs(folder, exist_ok=True)
        path = os.path.join(folder, f"completions_{self.state.global_step:05d}.parquet")
        pyarrow.parquet.write_table(pa.table(table), path + ".part")
        os.replace(path + ".part", path)
        from enfold.trl.showing import print_completions

        print_completions(table, self.state.global_step, self.args.num_completions_to_print)


def _parts(batch: dict[str, Tensor], size: int) -> list[dict[str, Tensor]]:
    """Cut a batch into parts of ``size`` rows; what has no rows is in every part."""
    rows = len(batch["input_ids"])
    return [
        {name: value[start : start + size] if value.ndim else value for name, value in batch.items()}
        for start in range(0, rows, size)
    ]
