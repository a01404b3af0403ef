"""What shapes the scores by the text that was read, beside the one that is written."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from enfold.transformers.generation.config import GenerationError
from enfold.transformers.generation.processors import LogitsProcessor

__all__ = ["EncoderNoRepeatNGramLogitsProcessor", "EncoderRepetitionPenaltyLogitsProcessor"]


def _rows(source: Tensor, rows: int) -> Tensor:
    """Return the text (B, S) once for each of ``rows`` beams or sequences."""
    return source.repeat_interleave(rows // source.shape[0], 0) if rows > source.shape[0] else source


class EncoderRepetitionPenaltyLogitsProcessor(LogitsProcessor):
    """Words that were read get likelier, so that less is made up.

    Args:
        penalty: above 1 encourages, below 1 discourages.
        encoder_input_ids: (B, S), the text that was read.
    """

    def __init__(self, penalty: float, encoder_input_ids: Tensor) -> None:
        if not penalty > 0:
            raise GenerationError(f"encoder_repetition_penalty={penalty} must be greater than 0")
        self.penalty, self.encoder_input_ids = 1 / penalty, encoder_input_ids

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """See the class."""
        ids = _rows(self.encoder_input_ids, scores.shape[0])
        seen = scores.gather(1, ids)
        return scores.scatter(1, ids, torch.where(seen < 0, seen * self.penalty, seen / self.penalty))


class EncoderNoRepeatNGramLogitsProcessor(LogitsProcessor):
    """No run of n tokens is written that was read.

    Args:
        encoder_ngram_size: n.
        encoder_input_ids: (B, S) or (S,), the text that was read.
    """

    def __init__(self, encoder_ngram_size: int, encoder_input_ids: Tensor) -> None:
        if encoder_ngram_size <= 0:
            raise GenerationError(f"encoder_no_repeat_ngram_size={encoder_ngram_size} must be greater than 0")
        self.ngram_size = encoder_ngram_size
        self.encoder_input_ids = encoder_input_ids.reshape(-1, encoder_input_ids.shape[-1])

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """See the class."""
        size, length = self.ngram_size, input_ids.shape[1]
        source = _rows(self.encoder_input_ids, scores.shape[0])
        if length + 1 < size or source.shape[1] < size:
            return scores
        runs = source.unfold(1, size, 1)  # (B, S - n + 1, n)
        tail = input_ids[:, length - size + 1 :]  # what the next token would end a run with
        rows, places = (runs[:, :, :-1] == tail[:, None]).all(2).nonzero(as_tuple=True)
        scores = scores.clone()
        scores[rows, runs[rows, places, -1]] = -math.inf
        return scores
