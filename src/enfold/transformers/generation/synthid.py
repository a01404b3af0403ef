"""SynthID's watermark: words play rounds against each other, and secret numbers of them and their context decide.

Source: Dathathri et al., 2024, "Scalable watermarking for identifying large language model outputs"; numbers are drawn
as transformers draws them, so that each side finds the other's marks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from enfold.transformers.generation.config import GenerationError
from enfold.transformers.generation.processors import LogitsProcessor

__all__ = ["SynthIDTextWatermarkLogitsProcessor", "SynthIDTextWatermarkingConfig"]

# of Knuth's generator, as newlib and musl have it
MULTIPLIER, INCREMENT = 6364136223846793005, 1


@dataclass
class SynthIDTextWatermarkingConfig:
    """How words are marked.

    Args:
        ngram_len: how many words a number depends on, the marked one included.
        keys: the secret, one number a round.
        context_history_size: how many contexts are remembered; a word is not marked twice in the same one.
        sampling_table_seed, sampling_table_size: of the table of noughts and ones.
        skip_first_ngram_calls: leave words unmarked whose context is not complete.
        debug_mode: mark all words as if they were alike.

    Raises:
        GenerationError: for a table that is too large, or contexts without words.

    Example:
        >>> SynthIDTextWatermarkingConfig(ngram_len=5, keys=[654, 400]).to_dict()["context_history_size"]
        1024
    """

    ngram_len: int
    keys: Sequence[int] = field(default_factory=list)
    context_history_size: int = 1024
    sampling_table_seed: int = 0
    sampling_table_size: int = 2**16
    skip_first_ngram_calls: bool = False
    debug_mode: bool = False

    def __post_init__(self) -> None:
        self.validate()

    def validate(self) -> None:
        """Look for values that make no sense."""
        if not 0 < self.sampling_table_size <= 2**24:
            raise GenerationError(f"sampling_table_size={self.sampling_table_size} must lie between 1 and 2**24")
        if self.ngram_len < 2:
            raise GenerationError(f"ngram_len={self.ngram_len} must be at least 2: a word and its context")
        if not self.keys:
            raise GenerationError("keys must hold at least one number: without a secret nothing is marked")

    @classmethod
    def from_dict(cls, config_dict: Mapping[str, Any], **kwargs: Any) -> SynthIDTextWatermarkingConfig:
        """Make a configuration of a dictionary; ``kwargs`` override it."""
        return cls(**{**config_dict, **kwargs})

    def to_dict(self) -> dict[str, Any]:
        """Return the fields."""
        return asdict(self)

    def construct_processor(self, vocab_size: int, device: Any = "cpu") -> SynthIDTextWatermarkLogitsProcessor:
        """Return the processor that marks."""
        return SynthIDTextWatermarkLogitsProcessor(device=device, **self.to_dict())


class SynthIDTextWatermarkLogitsProcessor(LogitsProcessor):
    """Makes words likelier whose secret numbers are ones, and keeps the distribution as it is on average.

    Args:
        device: where the table is drawn.
        options: as ``SynthIDTextWatermarkingConfig``.
    """

    def __init__(self, device: Any = "cpu", **options: Any) -> None:
        self.config = config = SynthIDTextWatermarkingConfig(**options)
        self.device = torch.device(device)
        self.keys = torch.tensor(list(config.keys), device=self.device)
        draw = torch.Generator(self.device).manual_seed(config.sampling_table_seed)
        size = (config.sampling_table_size,)
        self.sampling_table = torch.randint(0, 2, size, generator=draw, device=self.device)
        self.context: Tensor | None = None  # (B, n - 1), the last words
        self.history: Tensor = torch.empty(0)  # (B, history), hashes of contexts, the newest first
        self.calls = 0

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return the new scores (B, V) for ids (B, T) and scores (B, V)."""
        config, (rows, words) = self.config, scores.shape
        if config.debug_mode:
            scores = torch.ones_like(scores)
        if self.context is None:
            self.context = input_ids.new_zeros(rows, config.ngram_len - 1)
            self.history = input_ids.new_zeros(rows, config.context_history_size)
        else:
            self.context = torch.cat((self.context[:, 1:], input_ids[:, -1:]), 1)
        self.calls += 1
        if config.skip_first_ngram_calls and self.calls < config.ngram_len:
            return scores
        context = _hashed(self.context)  # (B,)
        words_after = _stirred(context[:, None], torch.arange(words, device=scores.device))  # (B, V)
        marked = _played(scores, self._numbers(words_after))
        seen = (self.history == context[:, None]).any(1, keepdim=True)
        self.history = torch.cat((context[:, None], self.history[:, :-1]), 1)
        return torch.where(seen, scores, marked)

    def compute_g_values(self, input_ids: Tensor) -> Tensor:
        """Return the secret numbers (B, T - n + 1, rounds) of the words of a text (B, T)."""
        return self._numbers(_hashed(input_ids.unfold(1, self.config.ngram_len, 1)))

    def compute_context_repetition_mask(self, input_ids: Tensor) -> Tensor:
        """Return, (B, T - n + 1), where a context is new, so that its word was marked."""
        contexts = _hashed(input_ids[:, :-1].unfold(1, self.config.ngram_len - 1, 1))  # (B, N)
        count, size = contexts.shape[1], self.config.context_history_size
        place = torch.arange(count, device=contexts.device)
        before = (place < place[:, None]) & (place >= place[:, None] - size)  # (N, N): remembered at that place
        same = contexts[:, :, None] == contexts[:, None]
        return ~((same & before).any(2) | ((contexts == 0) & (place < size)))

    def compute_eos_token_mask(self, input_ids: Tensor, eos_token_id: int) -> Tensor:
        """Return, (B, T), 1 up to before the first end token and 0 from there on."""
        return ((input_ids == eos_token_id).cumsum(1) == 0).long()

    def expected_mean_g_value(self, vocab_size: int, coinflip_prob: float = 0.5) -> float:
        """Return what marked words' numbers average to after one round, if all words were alike."""
        return coinflip_prob + coinflip_prob * (1 - coinflip_prob) * (1 - (1 / vocab_size))

    def _numbers(self, hashes: Tensor) -> Tensor:
        """Return noughts and ones (…, rounds) for hashes (…)."""
        places = _stirred(hashes[..., None], self.keys.to(hashes.device)) % len(self.sampling_table)
        return self.sampling_table.to(hashes.device)[places]


def _stirred(hashes: Tensor, numbers: Tensor) -> Tensor:
    """Return hashes with one more number in each."""
    return (hashes + numbers) * MULTIPLIER + INCREMENT


def _hashed(numbers: Tensor) -> Tensor:
    """Return the hashes (…) of rows of numbers (…, n)."""
    found = torch.ones_like(numbers[..., 0])
    for place in range(numbers.shape[-1]):
        found = _stirred(found, numbers[..., place])
    return found


def _played(scores: Tensor, numbers: Tensor) -> Tensor:
    """Return the logarithms (B, V) of the chances after all rounds; numbers are (B, V, rounds)."""
    chances = scores.softmax(1)
    for ones in numbers.unbind(2):
        chances = chances * (1 + ones - (ones * chances).sum(1, keepdim=True))
    logs = chances.log()
    return torch.where(logs.isfinite(), logs, torch.finfo(logs.dtype).min)
