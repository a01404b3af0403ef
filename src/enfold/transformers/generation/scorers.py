"""The keeper of beams that version 4 offered to search loops of one's own: ``BeamSearchScorer``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from enfold.transformers.generation.config import GenerationError
from enfold.transformers.generation.hypotheses import Hypotheses

__all__ = ["BeamScorer", "BeamSearchScorer"]


class BeamScorer(ABC):
    """What a beam search asks at each step, and at its end."""

    @abstractmethod
    def process(self, input_ids: Tensor, next_scores: Tensor, next_tokens: Tensor, next_indices: Tensor) -> Any:
        """Choose the beams that go on."""

    @abstractmethod
    def finalize(
        self, input_ids: Tensor, final_beam_scores: Tensor, final_beam_tokens: Any, final_beam_indices: Any
    ) -> Any:
        """Return the best texts."""


class BeamSearchScorer(BeamScorer):
    """Keeps the best finished texts of each row, and says which beams go on.

    Args:
        batch_size: B, rows.
        num_beams: beams of a row, over all groups.
        device: where results go.
        length_penalty: exponent of the length that a sum of log probabilities is divided by.
        do_early_stopping: stop a row once it has enough texts (True), once no better one is likely (False), or once
            none is possible (``"never"``, which needs ``max_length``).
        num_beam_hyps_to_keep: texts of a row to return.
        num_beam_groups: searches side by side in a row.
        max_length: of the texts.

    Example:
        >>> scorer = BeamSearchScorer(1, 2, "cpu")
        >>> scores, tokens, beams = torch.tensor([[-0.1, -0.5]]), torch.tensor([[7, 8]]), torch.tensor([[0, 1]])
        >>> going = scorer.process(torch.tensor([[5], [5]]), scores, tokens, beams)
        >>> going["next_beam_tokens"].tolist(), scorer.is_done
        ([7, 8], False)
    """

    def __init__(
        self,
        batch_size: int,
        num_beams: int,
        device: torch.device | str,
        length_penalty: float | None = 1.0,
        do_early_stopping: bool | str | None = False,
        num_beam_hyps_to_keep: int | None = 1,
        num_beam_groups: int | None = 1,
        max_length: int | None = None,
    ) -> None:
        groups = num_beam_groups or 1
        if num_beams <= 1 or groups > num_beams or num_beams % groups:
            raise GenerationError(f"num_beams must be above 1 and a multiple of num_beam_groups: {num_beams}, {groups}")
        if do_early_stopping == "never" and max_length is None:
            raise GenerationError("do_early_stopping='never' needs max_length")
        self.num_beams, self.device, self.num_beam_groups = num_beams, torch.device(device), groups
        self.num_beam_hyps_to_keep, self.group_size = num_beam_hyps_to_keep or 1, num_beams // groups
        self.max_length = max_length
        penalty = 1.0 if length_penalty is None else length_penalty
        config: Any = SimpleNamespace(
            length_penalty=penalty, early_stopping=do_early_stopping or False, max_length=max_length or 0
        )
        self._texts = [Hypotheses(self.group_size, config, prompt=0) for _ in range(batch_size * groups)]
        self._done = [False] * (batch_size * groups)

    @property
    def is_done(self) -> bool:
        """Whether no row can get a better text."""
        return all(self._done)

    def process(
        self,
        input_ids: Tensor,
        next_scores: Tensor,
        next_tokens: Tensor,
        next_indices: Tensor,
        pad_token_id: int | Tensor | None = None,
        eos_token_id: int | list[int] | Tensor | None = None,
        beam_indices: Any = None,
        group_index: int | None = 0,
        decoder_prompt_len: int | None = 0,
    ) -> dict[str, Tensor]:
        """Choose the beams that go on, and keep texts that end.

        Args:
            input_ids: (B · beams of a group, T), the texts so far.
            next_scores, next_tokens, next_indices: (B, candidates), the best first: sums of log probabilities, tokens,
                and which beam of the row each goes on from.
            pad_token_id: what rows that are done get.
            eos_token_id: what ends a text.
            beam_indices: for each text the rows that its tokens were written in.
            group_index: which group of the row this is.
            decoder_prompt_len: tokens that stood before the first new one.

        Returns:
            ``next_beam_scores``, ``next_beam_tokens`` and ``next_beam_indices``, each (B · beams of a group,).
        """
        size, ends = self.group_size, _ends(eos_token_id)
        batch = len(self._texts) // self.num_beam_groups
        if input_ids.shape[0] != batch * size:
            raise GenerationError(f"there are {input_ids.shape[0]} beams; {batch} rows of {size} were expected")
        pad = 0 if pad_token_id is None else int(pad_token_id)
        scores, tokens, places = next_scores.tolist(), next_tokens.tolist(), next_indices.tolist()
        going: list[tuple[float, int, int]] = []
        for row in range(batch):
            number = row * self.num_beam_groups + (group_index or 0)
            texts = self._texts[number]
            texts.prompt = decoder_prompt_len or 0
            texts.longest = (self.max_length or 0) - texts.prompt
            if self._done[number]:
                going += [(0.0, pad, 0)] * size
                continue
            found: list[tuple[float, int, int]] = []
            for rank, (score, token, place) in enumerate(zip(scores[row], tokens[row], places[row], strict=True)):
                beam = row * size + place
                if token not in ends:
                    found.append((score, token, beam))
                elif rank < size:
                    text = torch.cat((input_ids[beam], input_ids.new_tensor([ends[0]])))
                    origin = None if beam_indices is None else (*beam_indices[beam], beam)
                    texts.add(score, text, _Origin(origin, ended=True))  # type: ignore[arg-type]
                if len(found) == size:
                    break
            if len(found) < size:
                raise GenerationError(f"of row {row}'s candidates too many end: give at least {2 * size}")
            going += found
            made = input_ids.shape[1] + 1 - texts.prompt
            self._done[number] = texts.is_done(max(scores[row]), made)
        columns = list(zip(*going, strict=True))
        return {
            "next_beam_scores": torch.tensor(columns[0], dtype=next_scores.dtype, device=input_ids.device),
            "next_beam_tokens": torch.tensor(columns[1], dtype=next_tokens.dtype, device=input_ids.device),
            "next_beam_indices": torch.tensor(columns[2], dtype=next_indices.dtype, device=input_ids.device),
        }

    def finalize(
        self,
        input_ids: Tensor,
        final_beam_scores: Tensor,
        final_beam_tokens: Any = None,
        final_beam_indices: Any = None,
        max_length: int | None = None,
        pad_token_id: int | Tensor | None = None,
        eos_token_id: int | list[int] | Tensor | None = None,
        beam_indices: Any = None,
        decoder_prompt_len: int | None = 0,
    ) -> dict[str, Any]:
        """Return the best texts, those that never ended among them.

        Args:
            input_ids: (B · beams, T), the texts that went on.
            final_beam_scores: (B · beams,), their sums of log probabilities.
            final_beam_tokens, final_beam_indices: accepted.
            max_length: of the texts.
            pad_token_id: what shorter texts are filled with.
            eos_token_id: what follows a text, where there is room.
            beam_indices, decoder_prompt_len: as for :meth:`process`.

        Returns:
            ``sequences`` (B · kept, L), ``sequence_scores`` (B · kept,), and ``beam_indices`` (B · kept, L) or None.
        """
        size, ends = self.group_size, _ends(eos_token_id)
        for number, texts in enumerate(self._texts):
            texts.prompt = decoder_prompt_len or 0
            for beam in range(number * size, (number + 1) * size) if not self._done[number] else ():
                origin = _Origin(None if beam_indices is None else tuple(beam_indices[beam]), ended=False)
                texts.add(float(final_beam_scores[beam]), input_ids[beam], origin)  # type: ignore[arg-type]
        chosen: list[Any] = []
        for first in range(0, len(self._texts), self.num_beam_groups):
            group = [text for texts in self._texts[first : first + self.num_beam_groups] for text in texts.texts]
            chosen += sorted(group, key=lambda text: text.score)[::-1][: self.num_beam_hyps_to_keep]
        written = [text.tokens[:-1] if text.origin.ended else text.tokens for text in chosen]
        lengths = [len(tokens) for tokens in written]
        width = max(lengths) + 1 if max_length is None else min(max(lengths) + 1, max_length)
        if len(set(lengths)) > 1 and pad_token_id is None:
            raise GenerationError("texts of different length need pad_token_id")
        decoded = input_ids.new_full((len(chosen), width), 0 if pad_token_id is None else int(pad_token_id))
        indices = None if chosen[0].origin.beams is None else input_ids.new_full((len(chosen), width), -1)
        for row, (text, tokens) in enumerate(zip(chosen, written, strict=True)):
            decoded[row, : len(tokens)] = tokens
            if len(tokens) < width and ends:
                decoded[row, len(tokens)] = ends[0]
            if indices is not None:
                indices[row, : len(text.origin.beams)] = indices.new_tensor(text.origin.beams)
        scores = torch.tensor([text.score for text in chosen], dtype=torch.float32, device=self.device)
        return {"sequences": decoded, "sequence_scores": scores, "beam_indices": indices}


class _Origin(SimpleNamespace):
    """The rows that a text was written in, and whether it ended by itself."""

    def __init__(self, beams: tuple[int, ...] | None, ended: bool) -> None:
        super().__init__(beams=beams, ended=ended)


def _ends(given: int | list[int] | Tensor | None) -> list[int]:
    if given is None:
        return []
    return [given] if isinstance(given, int) else [int(token) for token in given]
