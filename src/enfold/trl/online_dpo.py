"""Preferences that arise in training: two completions of each prompt, and a reward or a judge that compares them."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader

from enfold.transformers.trainer.feeding import Feeding
from enfold.transformers.trainer.losses import bare_model
from enfold.trl.judges import BasePairwiseJudge
from enfold.trl.online import OnlineConfig, OnlineTrainer
from enfold.trl.preparing import AlignmentError
from enfold.trl.rollouts import write, write_mixed
from enfold.trl.settings import settings

__all__ = [
    "NashMDConfig",
    "NashMDTrainer",
    "OnlineDPOConfig",
    "OnlineDPOTrainer",
    "XPOConfig",
    "XPOTrainer",
]


@settings
class OnlineDPOConfig(OnlineConfig):
    """How an :class:`OnlineDPOTrainer` trains.

    Args:
        max_completion_length: tokens of a completion (64; ``max_new_tokens`` is accepted too).
        beta: how closely the policy is held to the reference; a list has one value an epoch.
        loss_type: ``"sigmoid"`` or ``"ipo"``.
        missing_eos_penalty: taken off the reward of completions that do not end.
    """

    learning_rate: float = 5e-7
    disable_dropout: bool = True
    num_generations: int = 2
    max_completion_length: int = 64
    temperature: float = 0.9
    beta: float | list[float] = 0.1  # type: ignore[assignment]
    loss_type: str = "sigmoid"
    missing_eos_penalty: float | None = None

    def _check_groups(self) -> None:
        if self.loss_type not in ("sigmoid", "ipo"):
            raise ValueError(f"loss_type is 'sigmoid' or 'ipo', not {self.loss_type!r}")
        self.steps_per_generation = 1


@settings
class XPOConfig(OnlineDPOConfig):
    """How an :class:`XPOTrainer` trains.

    Args:
        alpha: weight of the term that explores; a list has one value an epoch (1e-5).
    """

    alpha: float | list[float] = 1e-5


@settings
class NashMDConfig(OnlineDPOConfig):
    """How a :class:`NashMDTrainer` trains.

    Args:
        mixture_coef: share of the reference in the mixture that the policy competes with; a list has one value an
            epoch (0.5).
    """

    mixture_coef: float | list[float] = 0.5


class OnlineDPOTrainer(OnlineTrainer):
    """Trains a policy on pairs of its own completions, of which a reward or a judge prefers one.

    Args:
        model, ref_model: the policy, and what it is held to.
        reward_funcs: see :class:`~enfold.trl.rewarding.Rewards` (``reward_model`` is accepted too).
        judge: instead of rewards; see :mod:`enfold.trl.judges`.
        args, kwargs: as of :class:`~enfold.trl.online.OnlineTrainer`.

    Source: https://arxiv.org/abs/2402.04792
    """

    args: Any
    config_class: ClassVar[type[Any]] = OnlineDPOConfig
    method = "Online DPO"

    def __init__(
        self,
        model: Any = None,
        ref_model: Any = None,
        reward_funcs: Any = None,
        judge: Any = None,
        args: Any = None,
        *,
        reward_model: Any = None,
        reward_processing_class: Any = None,
        **kwargs: Any,
    ) -> None:
        if isinstance(reward_funcs, BasePairwiseJudge):
            reward_funcs, judge = None, reward_funcs
        reward_funcs = reward_funcs if reward_funcs is not None else reward_model
        if (reward_funcs is None) == (judge is None):
            raise AlignmentError("give either reward_funcs or a judge, which compare the completions")
        self.judge = judge
        kwargs.setdefault("reward_processing_classes", reward_processing_class)
        unused = _silent if reward_funcs is None else reward_funcs
        super().__init__(model=model, reward_funcs=unused, args=args, ref_model=ref_model, **kwargs)

    def needs_reference(self) -> bool:
        """Whether the loss reads a reference at all."""
        return True

    def _train_loader(self, skip: int) -> DataLoader[Any]:
        return Feeding._train_loader(self, skip)

    def get_eval_dataloader(self, eval_dataset: Any = None) -> DataLoader[Any]:
        """Return the loader of evaluation batches."""
        return Feeding.get_eval_dataloader(self, eval_dataset)

    def scheduled(self, name: str) -> float:
        """Return a setting that may change with the epochs."""
        value = getattr(self.args, name)
        if isinstance(value, (list, tuple)):
            return float(value[min(int(self.state.epoch or 0), len(value) - 1)])
        return float(value)

    @property
    def beta(self) -> float:
        """How closely the policy is held to the reference now."""
        return self.scheduled("beta")

    def _prepare_inputs(self, inputs: Any) -> Any:
        if "rows" not in inputs:
            return super()._prepare_inputs(inputs)
        return self.rolled_out(inputs["rows"])

    def _temperature(self) -> float:
        """The loss is DPO's, which knows of no temperature."""
        return 1.0

    def opponents(self, prompts: list[list[int]]) -> list[list[int]]:
        """Write the completions that the policy's are compared with: by default, the policy's too."""
        return write(self.accelerator.unwrap_model(self.model), prompts, self.generation_config())

    def rolled_out(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        """Return a batch: the policy's completions in its first half, its opponents' in its second."""
        prompts = [row["prompt"] for row in rows]
        before = self.prompt_ids(prompts, rows)
        first = write(self.accelerator.unwrap_model(self.model), before, self.generation_config())
        ids = first + self.opponents(before)
        texts = self.text_tokenizer.batch_decode(ids, skip_special_tokens=True)
        chat = not isinstance(prompts[0], str)
        said = [[{"role": "assistant", "content": text}] for text in texts] if chat else texts
        ended = torch.tensor([bool(row) and row[-1] in self._ends() for row in ids])
        found = {
            "prompt_ids": before * 2,
            "completion_ids": ids,
            "counts": [[1] * len(row) for row in ids],
        }
        batch: dict[str, Any] = self._batch(found)
        if self.judge is not None:
            pairs = [list(pair) for pair in zip(said[: len(rows)], said[len(rows) :], strict=True)]
            wins = torch.tensor([float(rank == 0) for rank in self.judge.judge(prompts, pairs)])
            scores = torch.cat([wins, 1 - wins])
        else:
            told = {name: [row[name] for row in rows] * 2 for name in rows[0] if name != "prompt"}
            parts = self.rewards(prompts * 2, said, ids, trainer_state=self.state, **told)
            scores = (parts * self.rewards.weights).nansum(1)
            if self.args.missing_eos_penalty is not None:
                scores = scores - self.args.missing_eos_penalty * (~ended).float()
            self.measure(objective__scores=scores)
        self.measure(val__contain_eos_token=ended.float())
        batch["scores"] = scores.to(self.args.device)
        with self.reference() as model:
            batch["reference"] = self.read_in_parts(model, batch)
        return batch

    def batch_loss(self, model: nn.Module, inputs: dict[str, Any]) -> Tensor:
        """Return the loss of a batch; the better completion of each pair is the chosen one."""
        found, scores = self.read(model, inputs), inputs["scores"]
        half = len(scores) // 2
        first_wins = scores[:half] >= scores[half:]
        ratio = found.per_row() - inputs["reference"].sum(1)
        better = torch.where(first_wins, ratio[:half], ratio[half:])
        worse = torch.where(first_wins, ratio[half:], ratio[:half])
        rows = found.per_row().detach()
        self._report(better, worse, rows, inputs, first_wins)
        cost = -self.beta * ratio.detach()
        self.measure(objective__entropy=-rows, objective__kl=ratio, objective__non_score_reward=cost)
        self.measure(objective__rlhf_reward=scores + cost)
        return self.pair_loss(better, worse, found.per_row()).mean()

    def pair_loss(self, better: Tensor, worse: Tensor, rows: Tensor) -> Tensor:
        """Return the loss of each pair, (B,).

        Args:
            better, worse: (B,), log-ratios of the preferred completions and of the others.
            rows: (2B,), log-probabilities of all completions.
        """
        margin = better - worse
        if self.args.loss_type == "ipo":
            return (margin - 1 / (2 * self.beta)) ** 2
        return -F.logsigmoid(self.beta * margin)

    def _report(self, better: Tensor, worse: Tensor, rows: Tensor, inputs: dict[str, Any], first_wins: Tensor) -> None:
        half, scores = len(better), inputs["scores"]
        up, down = self.beta * better.detach(), self.beta * worse.detach()
        self.count_tokens(int(inputs["attention_mask"].sum()))
        self.measure(
            logps__chosen=torch.where(first_wins, rows[:half], rows[half:]),
            logps__rejected=torch.where(first_wins, rows[half:], rows[:half]),
            objective__scores_margin=(scores[:half] - scores[half:]).abs(),
            rewards__chosen=up,
            rewards__rejected=down,
            rewards__margins=up - down,
            rewards__accuracies=(up > down).float(),
            beta=self.beta,
        )


class XPOTrainer(OnlineDPOTrainer):
    """Trains a policy on pairs of its own and the reference's completions, with a term that explores.

    Args:
        args, kwargs: as of :class:`OnlineDPOTrainer`.

    Source: https://arxiv.org/abs/2405.21046
    """

    config_class: ClassVar[type[Any]] = XPOConfig
    method = "XPO"

    def opponents(self, prompts: list[list[int]]) -> list[list[int]]:
        """Let the reference write."""
        with self.reference() as model:
            return write(model, prompts, self.generation_config())

    def pair_loss(self, better: Tensor, worse: Tensor, rows: Tensor) -> Tensor:
        """Return the loss of each pair, (B,); arguments as of :meth:`OnlineDPOTrainer.pair_loss`."""
        explored = self.scheduled("alpha") * rows[len(better) :]
        dpo = super().pair_loss(better, worse, rows)
        self.measure(loss__dpo=dpo, loss__xpo=explored, alpha=self.scheduled("alpha"))
        return dpo + explored


class NashMDTrainer(OnlineDPOTrainer):
    """Trains a policy to win against a geometric mixture of itself and the reference.

    Args:
        args, kwargs: as of :class:`OnlineDPOTrainer`.

    Source: https://arxiv.org/abs/2312.00886
    """

    config_class: ClassVar[type[Any]] = NashMDConfig
    method = "Nash MD"

    def opponents(self, prompts: list[list[int]]) -> list[list[int]]:
        """Let the mixture write."""
        policy: Any = self.accelerator.unwrap_model(self.model)
        share, how = self.scheduled("mixture_coef"), self.generation_config()
        if self.ref_model is None:  # the reference is the policy's own model, with the adapter off
            return write(bare_model(policy), prompts, how)
        return write_mixed(policy, self.ref_model, share, prompts, how)

    def batch_loss(self, model: nn.Module, inputs: dict[str, Any]) -> Tensor:
        """Return the loss of the policy's completions, by how likely each beats the mixture's."""
        half = len(inputs["scores"]) // 2
        own = {name: value[:half] for name, value in inputs.items()}
        scores = inputs["scores"]
        wins = scores[:half] if self.judge is not None else torch.sigmoid(scores[:half] - scores[half:])
        found = self.read(model, own)
        score = (wins - 0.5) * found.per_row()
        apart = (found.log_probs - own["reference"]).detach()
        kl = (apart * found.log_probs).sum(1)
        self.count_tokens(int(inputs["attention_mask"].sum()))
        self.measure(
            loss__score=score,
            loss__kl=apart.sum(1),
            objective__entropy=-found.per_row(),
            rewards__probabilities=wins,
            rewards__accuracies=(wins > 0.5).float(),
            beta=self.beta,
            mixture_coef=self.scheduled("mixture_coef"),
        )
        return (self.beta * kl - score).mean()


def _silent(completions: list[Any], **_: Any) -> list[float]:
    return [0.0] * len(completions)
