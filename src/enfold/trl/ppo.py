"""Proximal policy optimization: a policy, a value for every token, and a reward model for whole answers."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from enfold.accelerate.operations import gather
from enfold.transformers.generation.config import GenerationConfig
from enfold.transformers.trainer import TrainOutput, persistence
from enfold.transformers.trainer.batches import random_sampler, set_epoch
from enfold.transformers.trainer.callbacks import TrainerState
from enfold.trl.base import AlignmentTrainer
from enfold.trl.formats import require_columns
from enfold.trl.logprobs import Scores
from enfold.trl.losses.policy import generalized_advantages, masked_mean, masked_whiten, surrogate, value_loss
from enfold.trl.preparing import AlignmentError, adapted, disable_dropout_in_model, frozen_copy, use_adapter
from enfold.trl.rewarding import last_token_rewards, token_scores
from enfold.trl.rollouts import joined, write
from enfold.trl.settings import AlignmentConfig, settings
from enfold.trl.value_heads import PreTrainedModelWrapper

__all__ = ["PPOConfig", "PPOTrainer", "PolicyAndValue"]


@settings
class PPOConfig(AlignmentConfig):
    """How a :class:`PPOTrainer` trains.

    Args:
        total_episodes: answers to learn from; by default ``num_train_epochs`` times the prompts.
        response_length, temperature, stop_token, stop_token_id: how answers are drawn; ``stop_token="eos"`` ends them.
        num_ppo_epochs, num_mini_batches: how often, and in how many updates, a batch of answers is learnt from.
        kl_coef, kl_estimator: what leaving the reference costs; ``"k1"`` or ``"k3"``.
        cliprange, cliprange_value, vf_coef: how far ratio and value may move, and the value's weight.
        gamma, lam: of the advantages. whiten_rewards: scale rewards first.
        missing_eos_penalty: taken off the score of answers that do not end.
        num_sample_generations: how often answers to the evaluation's prompts are shown; 0 never.
        batch_size, mini_batch_size: answers of a batch and of an update, in the older way of saying it.
        policy_adapter, reference_adapter: names of adapters.
    """

    learning_rate: float = 3e-6
    total_episodes: int | None = None
    num_ppo_epochs: int = 4
    num_mini_batches: int = 1
    response_length: int = 53
    temperature: float = 0.7
    stop_token: str | None = None
    stop_token_id: int | None = None
    missing_eos_penalty: float | None = None
    kl_coef: float = 0.05
    kl_estimator: str = "k1"
    cliprange: float = 0.2
    cliprange_value: float = 0.2
    vf_coef: float = 0.1
    gamma: float = 1.0
    lam: float = 0.95
    whiten_rewards: bool = False
    num_sample_generations: int = 10
    local_rollout_forward_batch_size: int = 64
    batch_size: int | None = None
    mini_batch_size: int | None = None
    policy_adapter: str | None = None
    reference_adapter: str | None = None
    sft_model_path: str = ""
    reward_model_path: str = ""
    exp_name: str = "ppo"
    model_name: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kl_estimator not in ("k1", "k3"):
            raise ValueError(f"kl_estimator is 'k1' or 'k3', not {self.kl_estimator!r}")
        if self.stop_token not in (None, "eos"):
            raise ValueError(f"stop_token is 'eos' or None, not {self.stop_token!r}")
        if self.stop_token and self.stop_token_id is not None:
            raise ValueError("stop_token and stop_token_id say the same: give one of them")
        if self.batch_size is not None:
            small = min(self.mini_batch_size or self.batch_size, self.batch_size)
            self.num_mini_batches = max(self.batch_size // small, 1)
            self.per_device_train_batch_size = min(self.per_device_train_batch_size, small)
            self.gradient_accumulation_steps = self.batch_size // self.per_device_train_batch_size
        self.batch_rows = self.per_device_train_batch_size * self.gradient_accumulation_steps
        if self.batch_rows % self.num_mini_batches:
            raise ValueError(f"{self.batch_rows} answers cannot be split into {self.num_mini_batches} num_mini_batches")


class PolicyAndValue(nn.Module):
    """A policy with the model of its values, as one module; a policy with a value head is both."""

    def __init__(self, policy: nn.Module, value_model: nn.Module | None) -> None:
        super().__init__()
        self.policy = policy
        self.value_model = value_model
        self.config = policy.config
        self.base_model_prefix = "policy"

    def values(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Return a value for every token, (B, T)."""
        if self.value_model is None:
            assert isinstance(self.policy, PreTrainedModelWrapper)
            return self.policy.values(ids, mask)
        return token_scores(self.value_model, ids, mask)

    def save_pretrained(self, folder: str, **kwargs: Any) -> None:
        """Write the policy alone."""
        kwargs.pop("state_dict", None)
        self.policy.save_pretrained(folder, **kwargs)  # type: ignore[operator]

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None, **kwargs: Any) -> Any:
        """Return the policy's output."""
        return self.policy(input_ids=input_ids, attention_mask=attention_mask, **kwargs)


class PPOTrainer(AlignmentTrainer):
    """Trains a policy on its own answers with PPO.

    Args:
        args: settings (``config`` is accepted too).
        processing_class: tokenizer (``tokenizer`` is accepted too).
        model: the policy; with a value head, or with a ``value_model`` beside it.
        ref_model: what the policy is held to; by default itself as it is now, or without its adapter.
        reward_model: a classifier with one output that judges whole answers; not needed for :meth:`step`.
        train_dataset: rows with ``input_ids`` of prompts, or with ``prompt`` or ``query`` as text.
        value_model: a classifier with one output, read at every token.
        data_collator, eval_dataset, optimizers, callbacks, peft_config, kwargs: as of every trainer.

    Example:
        >>> from enfold.trl import PPOTrainer
        >>> trainer = PPOTrainer(args, tokenizer, policy, None, reward, prompts, value)  # doctest: +SKIP
        >>> trainer.train()  # doctest: +SKIP

    Source: https://arxiv.org/abs/1707.06347, https://arxiv.org/abs/1909.08593
    """

    args: PPOConfig
    config_class: ClassVar[type[Any]] = PPOConfig
    method = "PPO"
    columns = ("input_ids", "attention_mask")

    def __init__(
        self,
        args: Any = None,
        processing_class: Any = None,
        model: Any = None,
        ref_model: Any = None,
        reward_model: Any = None,
        train_dataset: Any = None,
        value_model: Any = None,
        data_collator: Callable[..., Any] | None = None,
        eval_dataset: Any = None,
        optimizers: tuple[Any, Any] = (None, None),
        callbacks: Any = None,
        peft_config: Any = None,
        *,
        config: Any = None,
        tokenizer: Any = None,
        dataset: Any = None,
        **kwargs: Any,
    ) -> None:
        if isinstance(processing_class, nn.Module):  # the older order: config, model, ref_model, tokenizer
            processing_class, model, ref_model = ref_model if model is not None else tokenizer, processing_class, model
            if isinstance(processing_class, nn.Module):
                processing_class, ref_model = reward_model, processing_class
                reward_model = None
        args = args if args is not None else config
        train_dataset = train_dataset if train_dataset is not None else dataset
        if model is None:
            raise AlignmentError("PPOTrainer needs a model, the policy")
        if ref_model is not None and ref_model is model:
            raise AlignmentError("ref_model is the model itself; leave it out, and a copy is made")
        if isinstance(model, str):
            model = self._loaded(model, args if args is not None else PPOConfig("ppo"), None)
        headed = isinstance(model, PreTrainedModelWrapper)
        if value_model is None and not headed:
            raise AlignmentError("PPOTrainer needs a value_model, or a model with a value head")
        if not headed:
            model = adapted(model, peft_config, args if args is not None else PPOConfig("ppo"))
        self.policy_model, self.value_model, self.reward_model = model, value_model, reward_model
        peft = hasattr(getattr(model, "pretrained_model", model), "peft_config")
        self.ref_model = ref_model if ref_model is not None else None if peft else frozen_copy(model)
        super().__init__(
            PolicyAndValue(model, None if headed and value_model is None else value_model),
            args,
            data_collator,
            train_dataset,
            eval_dataset,
            processing_class if processing_class is not None else tokenizer,
            optimizers=optimizers,
            callbacks=callbacks,
            **kwargs,
        )
        for part in (self.ref_model, self.reward_model):
            if part is not None:
                part.requires_grad_(False).eval().to(self.args.device)
                disable_dropout_in_model(part)
        args = self.args
        self.stop_token_id = self.text_tokenizer.eos_token_id if args.stop_token == "eos" else args.stop_token_id
        self._generator = np.random.default_rng(args.seed)
        self.state.episode = 0  # type: ignore[attr-defined]

    # --- prompts and answers --------------------------------------------------------------------------------------

    def _prepared(self, dataset: Any, name: str) -> Any:
        require_columns(dataset, ["input_ids"], ["prompt"], ["query"], trainer=type(self).__name__)
        columns = dataset.column_names
        if "input_ids" in columns:
            return dataset
        field = "prompt" if "prompt" in columns else "query"

        def read(row: dict[str, Any]) -> dict[str, Any]:
            return {"input_ids": self.processing_class(row[field])["input_ids"]}

        return dataset.map(read, remove_columns=columns)

    def _prompts(self, rows: Sequence[dict[str, Any]]) -> list[list[int]]:
        if self.data_collator is not None and not isinstance(rows, list):
            rows = list(rows)
        return [[int(token) for token in row["input_ids"]] for row in rows]

    def _batches(self) -> Iterator[list[list[int]]]:
        """Give batches of prompts, for ever."""
        size = self.args.batch_rows
        if self.train_dataset is None or len(self.train_dataset) < size:
            count = 0 if self.train_dataset is None else len(self.train_dataset)
            raise AlignmentError(
                f"PPOTrainer needs a train_dataset of at least {size} prompts, a batch; it has {count}"
            )
        loader: DataLoader[Any] = DataLoader(
            self.train_dataset,
            batch_size=size,
            sampler=random_sampler(self.train_dataset, self.args.seed),
            drop_last=True,
            collate_fn=self._prompts,
        )
        epoch = 0
        while True:
            set_epoch(loader, epoch)
            yield from loader
            epoch += 1

    def generation_config(self) -> GenerationConfig:
        """Return how answers are drawn."""
        tokenizer = self.text_tokenizer
        return GenerationConfig(
            max_new_tokens=self.args.response_length,
            do_sample=True,
            temperature=self.args.temperature + 1e-7,
            top_k=0,
            top_p=1.0,
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=self.stop_token_id,
        )

    def _writer(self) -> Any:
        return getattr(self.policy_model, "pretrained_model", self.policy_model)

    def _until_padding(self, answers: list[list[int]]) -> list[list[int]]:
        """Cut answers where they end: after the token that stops them, and before the first gap."""
        cut = []
        for ids in answers:
            if self.stop_token_id is not None and self.stop_token_id in ids:
                ids = ids[: ids.index(self.stop_token_id) + 1]
            if self.pad_token_id in ids:
                ids = ids[: ids.index(self.pad_token_id)]
            cut.append(ids)
        return cut

    # --- experience -----------------------------------------------------------------------------------------------

    def _placed(self, values: Tensor, starts: Tensor, width: int) -> Tensor:
        """Return values (B, T) as they stand before each answer's tokens, (B, R)."""
        index = (starts[:, None] - 1 + torch.arange(width, device=values.device)).clamp(max=values.shape[1] - 1)
        return values.gather(1, index)

    def _read(self, model: nn.Module, batch: dict[str, Tensor]) -> Scores:
        ids = batch["input_ids"]
        labels = ids.masked_fill(batch["completion_mask"] == 0, -100)
        return self.scored(model, ids, batch["attention_mask"], labels, self.args.temperature + 1e-7)

    def _parts(self, batch: dict[str, Tensor], size: int) -> Iterator[dict[str, Tensor]]:
        for start in range(0, len(batch["input_ids"]), size):
            yield {name: value[start : start + size] for name, value in batch.items()}

    @torch.no_grad()
    def experience(
        self, prompts: list[list[int]], answers: list[list[int]], scores: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Return what there is to learn from a batch of answers.

        Args:
            prompts, answers: ids.
            scores: (B,), what each answer is worth; by default the reward model's.

        Returns:
            The batch as ``joined`` makes it, and ``starts`` (B,), ``old``, ``values``, ``advantages``, ``returns``,
            ``inside`` (the answers' tokens) and ``valued`` (those, and the place after the last), (B, R) each.
        """
        args, width = self.args, max(map(len, answers))
        ended = torch.tensor([self.text_tokenizer.eos_token_id in ids for ids in answers])
        kept = self._until_padding(answers)
        batch = {name: value.to(args.device) for name, value in joined(prompts, kept, self.pad_token_id).items()}
        batch["starts"] = torch.tensor([len(ids) for ids in prompts], device=args.device)
        lengths = torch.tensor([len(ids) for ids in kept], device=args.device)
        places = torch.arange(width, device=args.device)[None]
        inside, valued = places < lengths[:, None], places <= lengths[:, None]
        found: dict[str, list[Tensor]] = {"old": [], "reference": [], "values": [], "scores": []}
        with self.compute_loss_context_manager():
            for part in self._parts(batch, args.local_rollout_forward_batch_size):
                ids, mask, starts = part["input_ids"], part["attention_mask"], part["starts"]
                found["old"].append(self._placed(self._read(self.policy_model, part).log_probs, starts, width))
                found["reference"].append(self._placed(self._reference_read(part).log_probs, starts, width))
                found["values"].append(self._placed(self.model.values(ids, mask), starts, width))  # type: ignore[operator]
                if scores is None:
                    found["scores"].append(last_token_rewards(self.reward_model, ids, mask))
        old, reference, values = (torch.cat(found[name]).float() for name in ("old", "reference", "values"))
        scores = torch.cat(found["scores"]).float() if scores is None else scores.to(args.device)
        if args.missing_eos_penalty is not None:
            scores = scores - args.missing_eos_penalty * (~ended).to(scores)
        old, reference, values = old * inside, reference * inside, values * valued
        apart = reference - old
        kl = -apart if args.kl_estimator == "k1" else torch.expm1(apart) - apart
        rewards = -args.kl_coef * kl
        end = torch.where(lengths < width, lengths, lengths - 1)
        rewards[torch.arange(len(rewards)), end] += scores
        if args.whiten_rewards:
            rewards = masked_whiten(rewards, valued, shift=False) * valued
        advantages, returns = generalized_advantages(values, rewards, args.gamma, args.lam)
        advantages = masked_whiten(advantages, inside) * inside
        self._told = {
            "objective/kl": kl.sum(1).mean(),
            "objective/entropy": -(old * inside).sum(1).mean(),
            "objective/non_score_reward": -args.kl_coef * kl.sum(1).mean(),
            "objective/rlhf_reward": scores.mean() - args.kl_coef * kl.sum(1).mean(),
            "objective/scores": scores.mean(),
        }
        self._ended = sum(ids.count(self.text_tokenizer.eos_token_id) for ids in answers)
        return {
            **batch,
            "old": old,
            "values": values,
            "advantages": advantages,
            "returns": returns,
            "inside": inside,
            "valued": valued,
        }

    def _reference_read(self, part: dict[str, Tensor]) -> Scores:
        if self.ref_model is not None:
            return self._read(self.ref_model, part)
        inner = getattr(self.policy_model, "pretrained_model", self.policy_model)
        with use_adapter(inner, self.args.reference_adapter):
            return self._read(self.policy_model, part)

    # --- learning -------------------------------------------------------------------------------------------------

    def batch_loss(self, model: nn.Module, inputs: dict[str, Any]) -> Tensor:
        """Return the loss of a part of a batch of answers; measures go to ``self._learnt``."""
        args, width = self.args, inputs["old"].shape[1]
        inside, valued, starts = inputs["inside"], inputs["valued"], inputs["starts"]
        found = self._read(self.policy_model, inputs)
        now = self._placed(found.log_probs, starts, width) * inside
        losses, ratio = surrogate(now, inputs["old"], inputs["advantages"], args.cliprange, args.cliprange)
        values = self._placed(self.model.values(inputs["input_ids"], inputs["attention_mask"]), starts, width) * valued  # type: ignore[operator]
        of_values, clipped = value_loss(values, inputs["values"], inputs["returns"], valued, args.cliprange_value)
        policy = masked_mean(losses, inside)
        with torch.no_grad():
            free = -inputs["advantages"] * ratio
            self._learnt.append(
                {
                    "policy/approxkl_avg": 0.5 * ((now - inputs["old"]) ** 2).mean(),
                    "policy/clipfrac_avg": masked_mean((losses > free).float(), inside),
                    "loss/policy_avg": policy,
                    "loss/value_avg": of_values,
                    "val/clipfrac_avg": clipped,
                    "policy/entropy_avg": torch.tensor(found.mean(found.entropy)),
                    "val/ratio": ratio.mean(),
                }
            )
        return policy + args.vf_coef * of_values

    def learn(self, batch: dict[str, Tensor]) -> dict[str, float]:
        """Update policy and values on a batch of answers, several times; return what was measured."""
        args, optimizer = self.args, self.optimizer
        assert optimizer is not None
        rows = len(batch["input_ids"])
        self._learnt: list[dict[str, Tensor]] = []
        small = max(rows // args.num_mini_batches, 1)
        self.model.train()
        for _ in range(args.num_ppo_epochs):
            order = torch.from_numpy(self._generator.permutation(rows))
            for start in range(0, rows, small):
                chosen = {name: value[order[start : start + small]] for name, value in batch.items()}
                parts = list(self._parts(chosen, args.per_device_train_batch_size))
                for part in parts:
                    with self.compute_loss_context_manager():
                        loss = self.batch_loss(self.model, part)
                    self.accelerator.backward(loss / len(parts))
                if args.world_size > 1:
                    self._average_gradients()
                optimizer.step()
                optimizer.zero_grad()
        told = {**self._told}
        for name in self._learnt[0]:
            told[name] = torch.stack([item[name].float() for item in self._learnt]).mean()
        ratios = torch.stack([item["val/ratio"] for item in self._learnt])
        if args.world_size > 1:
            told = {name: gather(value.reshape(1)).mean() for name, value in told.items()}
        metrics = {name: float(value) for name, value in told.items()}
        return {**metrics, "val/ratio_var": float(ratios.var()), "val/num_eos_tokens": float(self._ended)}

    def _average_gradients(self) -> None:
        for parameter in self.model.parameters():
            if parameter.grad is not None:
                torch.distributed.all_reduce(parameter.grad)
                parameter.grad /= self.args.world_size

    def train(self, *_: Any, **__: Any) -> TrainOutput:
        """Write answers, learn from them, and again, until there were ``total_episodes``."""
        args = self.args
        if self.reward_model is None:
            raise AlignmentError("PPOTrainer.train needs a reward_model; with scores of your own, call step")
        batches, size = self._batches(), args.batch_rows * args.world_size
        episodes = args.total_episodes or int(args.num_train_epochs * len(self.train_dataset))
        updates = math.ceil(episodes / size)
        self.create_optimizer_and_scheduler(updates)
        self.state = TrainerState(train_batch_size=args.train_batch_size)
        self.state.compute_steps(args, updates)
        self.state.max_steps, self.state.num_train_epochs = updates, math.ceil(episodes / len(self.train_dataset))
        self.state.is_local_process_zero, self.state.is_world_process_zero = (
            self.is_local_process_zero(),
            self.is_world_process_zero(),
        )
        self.callback_handler.given.update(model=self.model, optimizer=self.optimizer, lr_scheduler=self.lr_scheduler)
        every = max(updates // args.num_sample_generations, 1) if args.num_sample_generations > 0 else 0
        start, losses = time.time(), []
        self._event("on_train_begin")
        for update in range(updates):
            self.control._new_step()
            self._event("on_step_begin")
            prompts = next(batches)
            answers = write(self._writer(), prompts, self.generation_config())
            metrics = self.learn(self.experience(prompts, answers))
            self.state.global_step += 1
            episode = self.state.global_step * size
            self.state.epoch = episode / len(self.train_dataset)
            losses.append(metrics["loss/policy_avg"])
            self.log(
                {
                    "eps": int(episode / (time.time() - start)),
                    **metrics,
                    "lr": self.lr_scheduler.get_last_lr()[0],
                    "episode": episode,
                }
            )
            self.lr_scheduler.step()
            self._event("on_step_end")
            if self.control.should_save:
                persistence.save_checkpoint(self)
                self._event("on_save")
            if every and update % every == 0:
                self.generate_completions(sampling=True)
            if self.control.should_training_stop:
                break
        self._event("on_train_end")
        seconds = time.time() - start
        return TrainOutput(self.state.global_step, sum(losses) / len(losses), {"train_runtime": round(seconds, 4)})

    # --- the older way: a batch of one's own ----------------------------------------------------------------------

    def generate(self, query_tensor: Any, return_prompt: bool = True, **kwargs: Any) -> Any:
        """Write an answer to every query.

        Args:
            query_tensor: ids of one query, (T,), or a list of them.
            return_prompt: give the query with the answer.
            kwargs: how, as for ``generate``.
        """
        one = isinstance(query_tensor, Tensor)
        queries = [query_tensor.flatten().tolist()] if one else [list(map(int, query)) for query in query_tensor]
        settings_ = GenerationConfig(**{"pad_token_id": self.pad_token_id, "max_new_tokens": 20, **_known(kwargs)})
        written = write(self._writer(), queries, settings_)
        rows = [query + ids if return_prompt else ids for query, ids in zip(queries, written, strict=True)]
        made = [torch.tensor(row) for row in rows]
        return torch.stack(made) if one else made

    def step(self, queries: Sequence[Tensor], responses: Sequence[Tensor], scores: Sequence[Any]) -> dict[str, float]:
        """Learn from answers of one's own, and return what was measured.

        Args:
            queries, responses: ids of each.
            scores: what each response is worth, a number or a tensor of one.
        """
        counts = {len(queries), len(responses), len(scores)}
        if len(counts) != 1:
            raise AlignmentError(
                f"{len(queries)} queries, {len(responses)} responses and {len(scores)} scores do not fit"
            )
        if self.optimizer is None:
            self.create_optimizer_and_scheduler(max(self.args.max_steps, 1000))
        prompts, answers = ([[int(token) for token in row] for row in rows] for rows in (queries, responses))
        worth = torch.tensor([float(score) for score in scores])
        if not bool(torch.isfinite(worth).all()):
            raise AlignmentError(f"scores are finite numbers, not {worth.tolist()}")
        metrics = self.learn(self.experience(prompts, answers, worth))
        self.state.global_step += 1
        return metrics

    def generate_completions(self, sampling: bool = False) -> None:
        """Show answers to the evaluation's prompts, with what they are worth."""
        if self.eval_dataset is None or not self.is_world_process_zero():
            return
        from enfold.trl.showing import print_completions

        count = self.args.per_device_eval_batch_size
        rows = (
            self.eval_dataset if not sampling else self.eval_dataset.select(range(min(count, len(self.eval_dataset))))
        )
        prompts = self._prompts(list(rows))
        answers = self._until_padding(write(self._writer(), prompts, self.generation_config()))
        batch = joined(prompts, answers, self.pad_token_id)
        with torch.no_grad():
            scores = last_token_rewards(
                self.reward_model, batch["input_ids"].to(self.args.device), batch["attention_mask"].to(self.args.device)
            )
        decode = self.text_tokenizer.batch_decode
        table = {
            "query": decode(prompts, skip_special_tokens=True),
            "model response": decode(answers),
            "score": scores.tolist(),
        }
        print_completions(table, self.state.global_step, 5)


def _known(kwargs: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, value in kwargs.items()
        if name not in ("batch_size", "length_sampler", "generate_ref_response")
    }
