"""What shapes Whisper's scores: timestamps in pairs and in order, and hearing that nobody speaks."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from enfold.transformers.generation.processors import LogitsProcessor

__all__ = ["WhisperNoSpeechDetection", "WhisperTimeStampLogitsProcessor"]

NEVER = -math.inf


class WhisperTimeStampLogitsProcessor(LogitsProcessor):
    """Timestamps come in pairs (where a segment ends and the next begins) and do not fall; the first token is one, and
    so is each that all timestamps together make likelier than any word (Radford et al., 2022, section 4.5).

    Args:
        generate_config: has no_timestamps_token_id, eos_token_id and, perhaps, max_initial_timestamp_index.
        begin_index: where writing begins.
        _detect_timestamp_from_logprob: False leaves out the last rule.
    """

    def __init__(
        self, generate_config: Any, begin_index: int, _detect_timestamp_from_logprob: bool | None = None
    ) -> None:
        self.no_timestamps_token_id = generate_config.no_timestamps_token_id
        self.timestamp_begin = self.no_timestamps_token_id + 1
        self.eos_token_id = generate_config.eos_token_id or generate_config.bos_token_id
        self.max_initial_timestamp_index = getattr(generate_config, "max_initial_timestamp_index", None)
        told = _detect_timestamp_from_logprob
        self.weighs = getattr(generate_config, "_detect_timestamp_from_logprob", True) if told is None else told
        self.begin_index = begin_index

    def set_begin_index(self, begin_index: int) -> None:
        """Say where writing begins."""
        self.begin_index = begin_index

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """See the class."""
        first, written = self.timestamp_begin, input_ids[:, self.begin_index :]
        words = torch.arange(scores.shape[1], device=scores.device)
        scores = scores.clone()
        scores[:, self.no_timestamps_token_id] = NEVER
        if written.shape[1] == 0:
            scores[:, :first] = NEVER
            if self.max_initial_timestamp_index is not None:
                scores[:, first + self.max_initial_timestamp_index + 1 :] = NEVER
        else:
            times = written >= first
            last = times[:, -1]
            before = times[:, -2] if written.shape[1] > 1 else torch.ones_like(last)
            scores = scores.masked_fill((last & before)[:, None] & (words >= first), NEVER)  # a pair is complete
            scores = scores.masked_fill((last & ~before)[:, None] & (words < self.eos_token_id), NEVER)  # or not yet
            place = (times * torch.arange(1, times.shape[1] + 1, device=times.device)).argmax(1, keepdim=True)
            newest = written.gather(1, place).squeeze(1)
            lowest = torch.where(times.any(1), newest + (~(last & ~before)).long(), first)
            scores = scores.masked_fill((words >= first) & (words < lowest[:, None]), NEVER)
        if self.weighs:
            chances = scores.float().log_softmax(-1)
            likelier = chances[:, first:].logsumexp(-1) > chances[:, :first].max(-1).values
            scores = scores.masked_fill(likelier[:, None] & (words < first), NEVER)
        return scores


class WhisperNoSpeechDetection(LogitsProcessor):
    """Changes nothing; keeps how likely it is that nobody speaks, as the model says right after the start token.

    Args:
        no_speech_token: the token that says so.
        begin_index: how many tokens lead up to what is written, from the start token on.
        scores_is_logprobs: what it is given are log probabilities already (in beam search).
    """

    def __init__(self, no_speech_token: int, begin_index: int, scores_is_logprobs: bool = False) -> None:
        self.no_speech_token, self.is_scores_logprobs = no_speech_token, scores_is_logprobs
        self.start_of_trans_offset = self.begin_index = begin_index
        self.no_speech_prob: Any = [0.0]
        self.model: Any = None
        self.inputs: dict[str, Any] = {}

    def set_model(self, model: Any) -> None:
        """Say which model to ask."""
        self.model = model

    def set_inputs(self, inputs: dict[str, Any]) -> None:
        """Say what it is given: the arguments of its forward pass."""
        self.inputs = inputs

    def set_begin_index(self, begin_index: int) -> None:
        """Say where writing begins."""
        self.begin_index = begin_index

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """See the class."""
        if input_ids.shape[1] != self.begin_index:
            return scores
        if self.start_of_trans_offset > 1:
            logits = self.model(**self.inputs).logits[:, self.begin_index - self.start_of_trans_offset]
            chances = logits.float().softmax(-1)
        else:
            chances = scores.exp() if self.is_scores_logprobs else scores.float().softmax(-1)
        self.no_speech_prob = chances[:, self.no_speech_token]
        return scores
