"""What keeps groups of beams apart."""

from __future__ import annotations

import torch
from torch import Tensor

from enfold.transformers.generation.config import GenerationError
from enfold.transformers.generation.processors import LogitsProcessor

__all__ = ["HammingDiversityLogitsProcessor"]


class HammingDiversityLogitsProcessor(LogitsProcessor):
    """Makes a token less likely for each beam of an earlier group that chose it at this step.

    Args:
        diversity_penalty: taken from the score for each such beam.
        num_beams: of a row.
        num_beam_groups: they are split into.

    Raises:
        GenerationError: for numbers that leave nothing to keep apart.

    Source: Vijayakumar et al., 2016, "Diverse Beam Search".

    Example:
        >>> apart = HammingDiversityLogitsProcessor(1.5, num_beams=2, num_beam_groups=2)
        >>> apart(torch.tensor([[7]]), torch.zeros(1, 3), current_tokens=torch.tensor([2, 0]), beam_group_idx=1)
        tensor([[ 0.0000,  0.0000, -1.5000]])
    """

    def __init__(self, diversity_penalty: float, num_beams: int, num_beam_groups: int) -> None:
        if diversity_penalty <= 0.0:
            raise GenerationError(f"diversity_penalty={diversity_penalty} must be above 0 to keep groups apart")
        if not 1 < num_beam_groups <= num_beams:
            raise GenerationError(f"num_beam_groups={num_beam_groups} must lie between 2 and num_beams={num_beams}")
        self.penalty, self.beams, self.size = diversity_penalty, num_beams, num_beams // num_beam_groups

    def __call__(  # type: ignore[override]
        self, input_ids: Tensor, scores: Tensor, current_tokens: Tensor, beam_group_idx: int
    ) -> Tensor:
        """Return the new scores of one group.

        Args:
            input_ids: (batch · size, T).
            scores: (batch · size, V).
            current_tokens: (batch · num_beams,), what has been chosen at this step.
            beam_group_idx: which group this is.
        """
        chosen = current_tokens.view(-1, self.beams)[:, : beam_group_idx * self.size]  # (batch, beams before)
        if not chosen.shape[1]:
            return scores
        times = torch.zeros(len(chosen), scores.shape[1], dtype=scores.dtype, device=scores.device)
        times.scatter_add_(1, chosen, torch.ones_like(chosen, dtype=scores.dtype))
        return scores - self.penalty * times.repeat_interleave(self.size, 0)
