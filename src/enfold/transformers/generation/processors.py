"""What shapes the scores before a token is chosen. Each gets ids (B, T) and scores (B, V) and returns scores (B, V)."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from enfold.transformers.generation.config import GenerationError

__all__ = [
    "EpsilonLogitsWarper",
    "EtaLogitsWarper",
    "ExponentialDecayLengthPenalty",
    "ForcedBOSTokenLogitsProcessor",
    "ForcedEOSTokenLogitsProcessor",
    "InfNanRemoveLogitsProcessor",
    "LogitNormalization",
    "LogitsProcessor",
    "LogitsProcessorList",
    "MinLengthLogitsProcessor",
    "MinNewTokensLengthLogitsProcessor",
    "MinPLogitsWarper",
    "NoBadWordsLogitsProcessor",
    "NoRepeatNGramLogitsProcessor",
    "PrefixConstrainedLogitsProcessor",
    "RepetitionPenaltyLogitsProcessor",
    "SequenceBiasLogitsProcessor",
    "SuppressTokensAtBeginLogitsProcessor",
    "SuppressTokensLogitsProcessor",
    "TemperatureLogitsWarper",
    "TopHLogitsWarper",
    "TopKLogitsWarper",
    "TopPLogitsWarper",
    "TypicalLogitsWarper",
]

NEVER = -math.inf
Tokens = int | list[int] | Tensor


class LogitsProcessor:
    """Base of processors."""

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return the new scores (B, V) for ids (B, T) and scores (B, V)."""
        raise TypeError(f"{type(self).__name__} does not say how it changes scores: define __call__")


class LogitsProcessorList(list[Any]):
    """Several processors, one after the other."""

    def __call__(self, input_ids: Tensor, scores: Tensor, **kwargs: Any) -> Tensor:
        """Return the scores after all processors; ``kwargs`` reach those that take them."""
        for processor in self:
            if kwargs and len(inspect.signature(processor.__call__).parameters) > 2:
                scores = processor(input_ids, scores, **kwargs)
            else:
                scores = processor(input_ids, scores)
        return scores


def _ids(tokens: Tokens) -> Tensor:
    return torch.as_tensor(tokens).reshape(-1)


def _within(name: str, value: float, low: float, high: float, *, closed: bool = False) -> float:
    if not (low < value < high or (closed and value in (low, high))):
        raise GenerationError(f"{name}={value} must lie between {low} and {high}")
    return float(value)


def _keep(count: int) -> int:
    if count < 1:
        raise GenerationError(f"min_tokens_to_keep={count} must be at least 1")
    return count


def _without(scores: Tensor, tokens: Tensor) -> Tensor:
    """Return scores in which the tokens never come."""
    return scores.index_fill(1, tokens.to(scores.device), NEVER)


class MinLengthLogitsProcessor(LogitsProcessor):
    """No end token before a length, prompt included."""

    def __init__(self, min_length: int, eos_token_id: Tokens, device: Any = None) -> None:
        self.min_length, self.eos_token_id = min_length, _ids(eos_token_id)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """See the class."""
        return _without(scores, self.eos_token_id) if input_ids.shape[1] < self.min_length else scores


class MinNewTokensLengthLogitsProcessor(LogitsProcessor):
    """No end token before a number of new tokens."""

    def __init__(
        self, prompt_length_to_skip: int, min_new_tokens: int, eos_token_id: Tokens, device: Any = None
    ) -> None:
        self.prompt_length_to_skip, self.min_new_tokens = prompt_length_to_skip, min_new_tokens
        self.eos_token_id = _ids(eos_token_id)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """See the class."""
        new = input_ids.shape[1] - self.prompt_length_to_skip
        return _without(scores, self.eos_token_id) if new < self.min_new_tokens else scores


class TemperatureLogitsWarper(LogitsProcessor):
    """Scores divided by a temperature: below 1 bolder, above 1 more even."""

    def __init__(self, temperature: float) -> None:
        if not temperature > 0:
            raise GenerationError(f"temperature={temperature} must be greater than 0; do_sample=False is greedy")
        self.temperature = float(temperature)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """See the class."""
        return scores / self.temperature


class RepetitionPenaltyLogitsProcessor(LogitsProcessor):
    """Tokens that were there get less likely (Keskar et al., 2019, "CTRL").

    Args:
        penalty: above 1 discourages, below 1 encourages.
        prompt_ignore_length: leave out this many tokens of the prompt: one number, or one a row (its padding).
    """

    def __init__(self, penalty: float, prompt_ignore_length: int | Tensor | None = None) -> None:
        if not penalty > 0:
            raise GenerationError(f"repetition_penalty={penalty} must be greater than 0")
        self.penalty, self.prompt_ignore_length = float(penalty), prompt_ignore_length

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """See the class."""
        words = scores.shape[1]
        skip = self.prompt_ignore_length
        if isinstance(skip, int):
            input_ids = input_ids[:, skip:]
        elif skip is not None:
            places = torch.arange(input_ids.shape[1], device=input_ids.device)
            input_ids = input_ids.masked_fill(places < skip.to(input_ids.device)[:, None], words)
        # One column more takes the tokens that do not count.
        wide = F.pad(scores, (0, 1))
        ids = input_ids.clamp(max=words)
        seen = wide.gather(1, ids)
        seen = torch.where(seen < 0, seen * self.penalty, seen / self.penalty)
        return wide.scatter(1, ids, seen)[:, :words]


class TopKLogitsWarper(LogitsProcessor):
    """Only the k likeliest tokens."""

    def __init__(self, top_k: int, filter_value: float = NEVER, min_tokens_to_keep: int = 1) -> None:
        if top_k <= 0:
            raise GenerationError(f"top_k={top_k} must be greater than 0")
        self.top_k, self.filter_value = max(top_k, _keep(min_tokens_to_keep)), filter_value

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """See the class."""
        lowest = scores.topk(min(self.top_k, scores.shape[1])).values[:, -1:]
        return scores.masked_fill(scores < lowest, self.filter_value)


class TopPLogitsWarper(LogitsProcessor):
    """Only the likeliest tokens that together reach a probability (Holtzman et al., 2019)."""

    def __init__(self, top_p: float, filter_value: float = NEVER, min_tokens_to_keep: int = 1) -> None:
        self.top_p = _within("top_p", float(top_p), 0.0, 1.0, closed=True)
        self.filter_value, self.min_tokens_to_keep = filter_value, _keep(min_tokens_to_keep)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """See the class."""
        ascending, order = scores.sort(dim=1)
        out = ascending.softmax(1).cumsum(1) <= 1 - self.top_p
        out[:, -self.min_tokens_to_keep :] = False
        return scores.masked_fill(out.scatter(1, order, out), self.filter_value)


class TopHLogitsWarper(LogitsProcessor):
    """Only the likeliest tokens that together hold a share of the entropy (Baghaei Potraghloo et al., 2025, "Top-H
    Decoding"); of a hundred at most."""

    def __init__(self, top_h: float, filter_value: float = NEVER) -> None:
        if not 0 < top_h <= 1:
            raise GenerationError(f"top_h={top_h} must be greater than 0 and at most 1")
        self.top_h, self.filter_value = top_h, filter_value

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """See the class."""
        best, order = scores.topk(min(100, scores.shape[1]))
        logs = best.log_softmax(1)
        surprise = -(logs.exp() * logs).nan_to_num()
        out = surprise.cumsum(1) > self.top_h * surprise.sum(1, keepdim=True)
        out[:, 0] = False
        return scores.masked_fill(torch.ones_like(scores, dtype=torch.bool).scatter(1, order, out), self.filter_value)


class MinPLogitsWarper(LogitsProcessor):
    """Only tokens at least a share as likely as the likeliest (Nguyen et al., 2024, "Turning Up the Heat")."""

    def __init__(self, min_p: float, filter_value: float = NEVER, min_tokens_to_keep: int = 1) -> None:
        self.min_p = _within("min_p", min_p, 0.0, 1.0, closed=True)
        self.filter_value, self.min_tokens_to_keep = filter_value, _keep(min_tokens_to_keep)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """See the class."""
        shares = scores.softmax(1)
        out = shares < self.min_p * shares.amax(1, keepdim=True)
        best = shares.topk(min(self.min_tokens_to_keep, shares.shape[1])).indices
        return scores.masked_fill(out.scatter(1, best, False), self.filter_value)


class TypicalLogitsWarper(LogitsProcessor):
    """Only tokens about as surprising as expected (Meister et al., 2022, "Locally Typical Sampling")."""

    def __init__(self, mass: float = 0.9, filter_value: float = NEVER, min_tokens_to_keep: int = 1) -> None:
        self.mass = _within("typical_p", float(mass), 0.0, 1.0)
        self.filter_value, self.min_tokens_to_keep = filter_value, _keep(min_tokens_to_keep)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """See the class."""
        logs = scores.log_softmax(1)
        entropy = -(logs * logs.exp()).nansum(1, keepdim=True)
        distance, order = (-logs - entropy).abs().sort(dim=1)
        mass = scores.gather(1, order).softmax(1).cumsum(1)
        last = (mass < self.mass).sum(1, keepdim=True).clamp(max=scores.shape[1] - 1)
        out = distance > distance.gather(1, last)
        out[:, : self.min_tokens_to_keep] = False
        return scores.masked_fill(out.scatter(1, order, out), self.filter_value)


def _cut(scores: Tensor, out: Tensor, keep: int, filter_value: float) -> Tensor:
    lowest = scores.topk(min(keep, scores.shape[1])).values[:, -1:]
    return scores.masked_fill(out & (scores < lowest), filter_value)


class EpsilonLogitsWarper(LogitsProcessor):
    """Only tokens at least this likely (Hewitt et al., 2022, "Truncation Sampling as Language Model Desmoothing")."""

    def __init__(self, epsilon: float, filter_value: float = NEVER, min_tokens_to_keep: int = 1) -> None:
        self.epsilon = _within("epsilon_cutoff", float(epsilon), 0.0, 1.0)
        self.filter_value, self.min_tokens_to_keep = filter_value, _keep(min_tokens_to_keep)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """See the class."""
        return _cut(scores, scores.softmax(1) < self.epsilon, self.min_tokens_to_keep, self.filter_value)


class EtaLogitsWarper(LogitsProcessor):
    """Only tokens above a bound that falls with the entropy (Hewitt et al., 2022)."""

    def __init__(
        self, epsilon: float, filter_value: float = NEVER, min_tokens_to_keep: int = 1, device: Any = None
    ) -> None:
        self.epsilon = _within("eta_cutoff", float(epsilon), 0.0, 1.0)
        self.filter_value, self.min_tokens_to_keep = filter_value, _keep(min_tokens_to_keep)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """See the class."""
        entropy = torch.distributions.Categorical(logits=scores).entropy()
        bound = (math.sqrt(self.epsilon) * torch.exp(-entropy)).clamp(max=self.epsilon)[:, None]
        return _cut(scores, scores.softmax(1) < bound, self.min_tokens_to_keep, self.filter_value)


class NoRepeatNGramLogitsProcessor(LogitsProcessor):
    """No run of n tokens comes twice (Paulus et al., 2017)."""

    def __init__(self, ngram_size: int) -> None:
        if ngram_size <= 0:
            raise GenerationError(f"no_repeat_ngram_size={ngram_size} must be greater than 0")
        self.ngram_size = ngram_size

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """See the class."""
        size, length = self.ngram_size, input_ids.shape[1]
        if length + 1 < size:
            return scores
        runs = input_ids.unfold(1, size, 1) if length >= size else input_ids.new_empty(len(input_ids), 0, size)
        tail = input_ids[:, length - size + 1 :]  # what the next token would end a run with
        again = (runs[:, :, :-1] == tail[:, None]).all(2)  # (B, runs)
        rows, places = again.nonzero(as_tuple=True)
        scores = scores.clone()
        scores[rows, runs[rows, places, -1]] = NEVER
        return scores


class SequenceBiasLogitsProcessor(LogitsProcessor):
    """A number added to the last token of each sequence that is about to be completed.

    Args:
        sequence_bias: (token, …) → number, or [[[token, …], number], …].
    """

    def __init__(self, sequence_bias: Mapping[tuple[int, ...], float] | Iterable[Any]) -> None:
        pairs: Iterable[Any] = sequence_bias.items() if isinstance(sequence_bias, Mapping) else sequence_bias
        self.sequence_bias = {tuple(tokens): float(number) for tokens, number in pairs}
        if not self.sequence_bias or any(not tokens or min(tokens) < 0 for tokens in self.sequence_bias):
            raise GenerationError("sequence_bias needs at least one sequence of token numbers, none of them empty")

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """See the class."""
        bias = torch.zeros_like(scores)
        for tokens, number in self.sequence_bias.items():
            if max(tokens) >= scores.shape[1]:
                raise GenerationError(f"the sequence {tokens} has a token beyond the {scores.shape[1]} of the model")
            before = len(tokens) - 1
            if before == 0:
                bias[:, tokens[0]] += number
            elif before <= input_ids.shape[1]:
                head = torch.tensor(tokens[:-1], device=input_ids.device)
                fits = (input_ids[:, -before:] == head).all(1)
                bias[fits, tokens[-1]] += number
        return scores + bias


class NoBadWordsLogitsProcessor(SequenceBiasLogitsProcessor):
    """Sequences that never come; an end token alone is not taken away."""

    def __init__(self, bad_words_ids: list[list[int]], eos_token_id: Tokens | None = None) -> None:
        if not isinstance(bad_words_ids, list) or not all(isinstance(word, list) for word in bad_words_ids):
            raise GenerationError(f"bad_words_ids={bad_words_ids!r} must be a list of lists of token numbers")
        ends = [] if eos_token_id is None else [[token] for token in _ids(eos_token_id).tolist()]
        super().__init__({tuple(word): NEVER for word in bad_words_ids if word not in ends})


class PrefixConstrainedLogitsProcessor(LogitsProcessor):
    """Only the tokens that a function allows after a row's tokens.

    Args:
        prefix_allowed_tokens_fn: (row of the batch, tokens (T,)) → allowed tokens.
        num_beams: rows that belong to one row of the batch.
    """

    def __init__(self, prefix_allowed_tokens_fn: Callable[[int, Tensor], Any], num_beams: int = 1) -> None:
        self.allowed, self.num_beams = prefix_allowed_tokens_fn, num_beams

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """See the class."""
        mask = torch.full_like(scores, NEVER)
        for row, tokens in enumerate(input_ids):
            allowed = self.allowed(row // self.num_beams, tokens)
            if len(allowed) == 0:
                raise GenerationError(f"prefix_allowed_tokens_fn allows nothing after {tokens.tolist()}")
            mask[row, torch.as_tensor(allowed, device=scores.device)] = 0
        return scores + mask


class _Forced(LogitsProcessor):
    """One of some tokens, at one length."""

    length: int
    tokens: Tensor

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """See the class."""
        if input_ids.shape[1] != self.length:
            return scores
        return torch.full_like(scores, NEVER).index_fill(1, self.tokens.to(scores.device), 0.0)


class ForcedBOSTokenLogitsProcessor(_Forced):
    """A given first token after the start token."""

    def __init__(self, bos_token_id: int) -> None:
        self.length, self.tokens = 1, _ids(bos_token_id)


class ForcedEOSTokenLogitsProcessor(_Forced):
    """An end token where the length ends."""

    def __init__(self, max_length: int, eos_token_id: Tokens, device: Any = None) -> None:
        self.length, self.tokens = max_length - 1, _ids(eos_token_id)


class InfNanRemoveLogitsProcessor(LogitsProcessor):
    """Zero for what is no number, the largest number for an infinite one."""

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """See the class."""
        return scores.nan_to_num(nan=0.0)


class ExponentialDecayLengthPenalty(LogitsProcessor):
    """End tokens that grow likelier with every token after a number of new ones.

    Args:
        exponential_decay_length_penalty: that number, and the factor a token.
    """

    def __init__(
        self,
        exponential_decay_length_penalty: tuple[int, float],
        eos_token_id: Tokens,
        input_ids_seq_length: int,
    ) -> None:
        start, self.factor = exponential_decay_length_penalty
        self.start, self.eos_token_id = start + input_ids_seq_length, _ids(eos_token_id)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """See the class."""
        late = input_ids.shape[1] - self.start
        if late <= 0:
            return scores
        ends = self.eos_token_id.to(scores.device)
        now = scores[:, ends]
        gain = (now.abs() * (self.factor**late - 1)).masked_fill(~now.isfinite(), 0.0)
        return scores.index_add(1, ends, gain)


class LogitNormalization(LogitsProcessor):
    """Scores as logarithms of probabilities."""

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """See the class."""
        return scores.log_softmax(1)


class SuppressTokensLogitsProcessor(LogitsProcessor):
    """Tokens that never come."""

    def __init__(self, suppress_tokens: Tokens, device: Any = None) -> None:
        self.suppress_tokens = _ids(suppress_tokens)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """See the class."""
        return _without(scores, self.suppress_tokens)


class SuppressTokensAtBeginLogitsProcessor(LogitsProcessor):
    """Tokens that do not come first."""

    def __init__(self, begin_suppress_tokens: Tokens, begin_index: int, device: Any = None) -> None:
        self.begin_suppress_tokens, self.begin_index = _ids(begin_suppress_tokens), begin_index

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """See the class."""
        return _without(scores, self.begin_suppress_tokens) if input_ids.shape[1] == self.begin_index else scores
