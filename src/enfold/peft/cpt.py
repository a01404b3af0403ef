"""CPT: examples stand before the text, and their embeddings train within a small distance of where they began.

Source: Blau et al., 2024, "Context-aware Prompt Tuning: Advancing In-Context Learning with Adversarial Methods",
https://arxiv.org/abs/2410.17222
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from enfold.peft.config import TaskType, spelled
from enfold.peft.prompt_configs import PromptLearningConfig

__all__ = ["CPTConfig", "CPTEmbedding", "context_loss"]

_LEAST = 1e-10  # how far the embeddings of labels may go


@spelled({})
@dataclass
class CPTConfig(PromptLearningConfig):
    """How trained examples are put before a causal language model.

    A type says what a token is, by its remainder by 4: 1 and 3 the format of inputs and of answers, 2 an input, 0 an
    answer, on which there is a loss; the types of later examples are 4 more each, and 0 itself is padding.

    Args:
        cpt_token_ids: tokens of the examples; ``[0]`` by default.
        cpt_mask: their attention mask; all ones by default.
        cpt_tokens_type_mask: their types; all 1 by default.
        opt_weighted_loss_type: "decay" weighs earlier examples less; "none".
        opt_loss_decay_factor: by this factor each.
        opt_projection_epsilon, opt_projection_format_epsilon: how far the embedding of an input, or of the format, may
            go, times the root of (width / 2048).
        tokenizer_name_or_path: kept in the file.

    Raises:
        ValueError: the lists differ in length, or the task is no causal language modelling.

    Example:
        >>> CPTConfig(task_type="CAUSAL_LM", cpt_token_ids=[5, 6], cpt_tokens_type_mask=[2, 4]).num_virtual_tokens
        2
    """

    kind: ClassVar[str | None] = "CPT"

    cpt_token_ids: list[int] | None = None
    cpt_mask: list[int] | None = None
    cpt_tokens_type_mask: list[int] | None = None
    opt_weighted_loss_type: str | None = "none"
    opt_loss_decay_factor: float | None = 1.0
    opt_projection_epsilon: float | None = 0.1
    opt_projection_format_epsilon: float | None = 0.1
    tokenizer_name_or_path: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.task_type != TaskType.CAUSAL_LM:
            raise ValueError(
                f"examples stand before a causal language model: task_type must be {TaskType.CAUSAL_LM.value}"
            )
        if self.opt_weighted_loss_type not in (None, "none", "decay"):
            raise ValueError(f"opt_weighted_loss_type must be 'none' or 'decay', not {self.opt_weighted_loss_type!r}")
        self.cpt_token_ids = [0] if self.cpt_token_ids is None else self.cpt_token_ids
        count = self.num_virtual_tokens = len(self.cpt_token_ids)
        self.cpt_mask = [1] * count if self.cpt_mask is None else self.cpt_mask
        self.cpt_tokens_type_mask = [1] * count if self.cpt_tokens_type_mask is None else self.cpt_tokens_type_mask
        if not len(self.cpt_mask) == len(self.cpt_tokens_type_mask) == count:
            raise ValueError("cpt_token_ids, cpt_mask and cpt_tokens_type_mask must be of one length")
        self.num_layers = self.token_dim = self.num_attention_heads = None
        self.num_transformer_submodules = 1


class CPTEmbedding(nn.Module):
    """The embeddings (P, D) of examples: as they began, and a change that trains.

    Args:
        config: of the prompt.
        words: the model's embedding of tokens.
    """

    def __init__(self, config: Any, words: nn.Module) -> None:
        super().__init__()
        self.embedding = nn.Embedding(config.num_virtual_tokens, config.token_dim)
        self.delta_embedding = nn.Embedding(config.num_virtual_tokens, config.token_dim)
        nn.init.zeros_(self.delta_embedding.weight)
        if not config.inference_mode:
            weight: Any = words.weight
            ids = torch.tensor(config.cpt_token_ids, device=weight.device)
            self.embedding.weight = nn.Parameter(words(ids).detach().float().cpu())
        self.requires_grad_(True)
        kinds = torch.tensor(config.cpt_tokens_type_mask)
        near = math.sqrt(config.token_dim / 2048)
        limits = torch.full(kinds.shape, _LEAST)
        limits[(kinds > 0) & (kinds % 2 == 1)] = config.opt_projection_format_epsilon * near
        limits[(kinds > 0) & (kinds % 4 == 2)] = config.opt_projection_epsilon * near
        self.register_buffer("trained", kinds % 4 != 0, persistent=False)
        self.register_buffer("limits", limits, persistent=False)

    def requires_grad_(self, requires_grad: bool = True) -> CPTEmbedding:
        """Let the change train, or not; what the embeddings were stays."""
        self.embedding.requires_grad_(False)
        self.delta_embedding.requires_grad_(requires_grad)
        return self

    def forward(self, indices: Tensor, tasks: Tensor | None = None) -> Tensor:
        """Return (B, P, D) for the places (B, P), after the change was drawn back to where it may be."""
        weight: Tensor = self.delta_embedding.weight
        limits: Any = self.limits
        with torch.no_grad():
            weight.mul_((limits / weight.norm(dim=1).clamp(min=limits))[:, None])
        trained: Any = self.trained
        change = torch.where(trained[:, None], weight, weight.detach())
        return self.embedding(indices) + F.embedding(indices, change)


def context_loss(logits: Tensor, labels: Tensor, kinds: Tensor, config: Any) -> Tensor:
    """Return the loss on the answers of examples and text.

    Args:
        logits: (B, T, V).
        labels: (B, T), -100 where there is none.
        kinds: (B, T), the tokens' types.
        config: says how much less earlier answers weigh.
    """
    labels, kinds = labels[:, 1:], kinds[:, 1:]
    losses = F.cross_entropy(logits[:, :-1].mT, labels, reduction="none", ignore_index=-100)
    weights = torch.ones_like(losses)
    if config.opt_weighted_loss_type == "decay":
        for row, own in zip(weights, kinds, strict=True):
            answers = own[(own > 0) & (own % 4 == 0)].unique()
            for age, kind in enumerate(answers.flip(0)):
                row[own == kind] = config.opt_loss_decay_factor**age
    return (losses * weights)[labels != -100].mean()
