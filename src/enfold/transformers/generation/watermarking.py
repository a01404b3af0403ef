"""A watermark in what is written: some words made likelier by a rule that can be checked afterwards.

Source: Kirchenbauer et al., 2023, "A Watermark for Large Language Models" (``lefthash`` is its algorithm 2,
``selfhash`` its algorithm 3); numbers are drawn as transformers draws them, so that each side finds the other's marks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from enfold.nn.outputs import ModelOutput
from enfold.transformers.generation.config import GenerationError
from enfold.transformers.generation.processors import LogitsProcessor

__all__ = ["WatermarkDetector", "WatermarkDetectorOutput", "WatermarkLogitsProcessor", "WatermarkingConfig"]

TABLE = 1_000_003  # a prime: words are spread over a table of this size
LOOKED = 40  # how many of the likeliest words selfhash looks at


@dataclass
class WatermarkingConfig:
    """How words are marked.

    Args:
        greenlist_ratio: the share of words that are made likelier at each place.
        bias: what is added to their scores.
        hashing_key: the number that the rule begins with.
        seeding_scheme: ``"lefthash"`` goes by the last word, ``"selfhash"`` by the word itself too.
        context_width: how many words back ``selfhash`` looks.

    Raises:
        GenerationError: for another scheme, or a ratio that is none.

    Example:
        >>> WatermarkingConfig(bias=3.0).to_dict()["greenlist_ratio"]
        0.25
    """

    greenlist_ratio: float = 0.25
    bias: float = 2.0
    hashing_key: int = 15485863
    seeding_scheme: str = "lefthash"
    context_width: int = 1

    def __post_init__(self) -> None:
        self.validate()

    def validate(self) -> None:
        """Look for values that make no sense."""
        if self.seeding_scheme not in ("lefthash", "selfhash"):
            raise GenerationError(f"seeding_scheme={self.seeding_scheme!r} must be 'lefthash' or 'selfhash'")
        if not 0.0 < self.greenlist_ratio < 1.0:
            raise GenerationError(f"greenlist_ratio={self.greenlist_ratio} must lie between 0 and 1")
        if self.context_width < 1:
            raise GenerationError(f"context_width={self.context_width} must be at least 1")

    @classmethod
    def from_dict(cls, config_dict: Mapping[str, Any], **kwargs: Any) -> WatermarkingConfig:
        """Make a configuration of a dictionary; ``kwargs`` override it."""
        return cls(**{**config_dict, **kwargs})

    def to_dict(self) -> dict[str, Any]:
        """Return the fields."""
        return asdict(self)

    def construct_processor(self, vocab_size: int, device: Any = "cpu") -> WatermarkLogitsProcessor:
        """Return the processor that marks."""
        return WatermarkLogitsProcessor(vocab_size, device, **self.to_dict())


class WatermarkLogitsProcessor(LogitsProcessor):
    """Makes the marked words likelier.

    Args:
        vocab_size: number of words.
        device: where numbers are drawn, which decides which words are marked.
        kwargs: as ``WatermarkingConfig``.
    """

    def __init__(self, vocab_size: int, device: Any = "cpu", **kwargs: Any) -> None:
        self.config = WatermarkingConfig(**kwargs)
        self.vocab_size, self.device = vocab_size, torch.device(device)
        self.count = int(vocab_size * self.config.greenlist_ratio)
        self._draw = torch.Generator(self.device)
        self._draw.manual_seed(self.config.hashing_key)
        self._table = torch.randperm(TABLE, generator=self._draw, device=self.device)

    def green(self, words: Tensor) -> Tensor:
        """Return the words that are marked after ``words`` (T,); with ``selfhash`` the last is the one in question."""
        key, words = self.config.hashing_key, words[-self.config.context_width :]
        if self.config.seeding_scheme == "selfhash":
            spread = self._table[words.to(self.device) % TABLE] + 1
            seed = int((key * spread * spread[-1]).min())
        else:
            seed = key * int(words[-1])
        self._draw.manual_seed(seed % (2**64 - 1))
        return torch.randperm(self.vocab_size, device=self.device, generator=self._draw)[: self.count]

    def _green_by_itself(self, words: Tensor, scores: Tensor) -> Tensor:
        """Return which of the likeliest words are marked by themselves."""
        likely = scores.argsort(descending=True)[:LOOKED]
        kept = [word for word in likely if bool((self.green(torch.cat((words, word[None]))) == word).any())]
        return torch.stack(kept) if kept else likely[:0]

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """See the class."""
        if input_ids.shape[1] < self.config.context_width:
            return scores
        marked = scores.clone()
        for row, words in enumerate(input_ids):
            by_itself = self.config.seeding_scheme == "selfhash"
            green = self._green_by_itself(words, scores[row]) if by_itself else self.green(words)
            marked[row, green.to(scores.device)] += self.config.bias
        return marked


@dataclass
class WatermarkDetectorOutput(ModelOutput):
    """What was found in each row, as arrays (B,): how many words were looked at, how many of them are marked, what
    share that is, how far it is from chance in standard deviations, how likely by chance, and the verdict."""

    num_tokens_scored: np.ndarray | None = None
    num_green_tokens: np.ndarray | None = None
    green_fraction: np.ndarray | None = None
    z_score: np.ndarray | None = None
    p_value: np.ndarray | None = None
    prediction: np.ndarray | None = None
    confidence: np.ndarray | None = None


class WatermarkDetector:
    """Says whether texts were marked.

    Args:
        model_config: configuration of the model that may have written them.
        device: where it wrote.
        watermarking_config: how it would have marked them.
        ignore_repeated_ngrams: count what a text repeats once.
    """

    def __init__(
        self,
        model_config: Any,
        device: Any,
        watermarking_config: WatermarkingConfig | Mapping[str, Any],
        ignore_repeated_ngrams: bool = False,
        max_cache_size: int = 128,
    ) -> None:
        if isinstance(watermarking_config, Mapping):
            watermarking_config = WatermarkingConfig(**watermarking_config)
        self.config = watermarking_config
        begins = "decoder_start_token_id" if model_config.is_encoder_decoder else "bos_token_id"
        self.bos_token_id = getattr(model_config, begins, None)
        self.ignore_repeated_ngrams = ignore_repeated_ngrams
        self.processor = watermarking_config.construct_processor(model_config.vocab_size, device)

    def _count(self, words: Tensor) -> tuple[int, int]:
        """Return how many words of a row (T,) are looked at, and how many are marked."""
        by_itself = self.config.seeding_scheme == "selfhash"
        size = self.config.context_width + (0 if by_itself else 1)
        grams = Counter(tuple(gram) for gram in words.unfold(0, size, 1).tolist())
        total, green = 0, 0
        for gram, times in grams.items():
            times = 1 if self.ignore_repeated_ngrams else times
            seen = torch.tensor(gram if by_itself else gram[:-1])
            total += times
            green += times * bool((self.processor.green(seen) == gram[-1]).any())
        return total, green

    def __call__(self, input_ids: Tensor, z_threshold: float = 3.0, return_dict: bool = False) -> Any:
        """Return which rows of ids (B, T) are marked, (B,); with ``return_dict`` all that was found.

        Args:
            input_ids: what was written, better without the prompt.
            z_threshold: how many standard deviations from chance are enough.
            return_dict: return a ``WatermarkDetectorOutput``.
        """
        first = -1 if self.bos_token_id is None else self.bos_token_id
        begins = input_ids[:, 0] == first
        if bool(begins.any()) != bool(begins.all()):
            raise GenerationError("some rows begin with the first token and others do not; encode them alike")
        if bool(begins.all()):
            input_ids = input_ids[:, 1:]
        if input_ids.shape[1] <= self.config.context_width:
            raise GenerationError(f"rows need more than {self.config.context_width} tokens to look at")
        counts = np.array([self._count(row) for row in input_ids.cpu()], dtype=float)
        total, green = counts[:, 0], counts[:, 1]
        ratio = self.config.greenlist_ratio
        z = (green - ratio * total) / np.sqrt(total * ratio * (1 - ratio))
        prediction = z > z_threshold
        if not return_dict:
            return prediction
        chance = 0.5 * torch.special.erfc(torch.as_tensor(z / np.sqrt(2))).numpy()
        return WatermarkDetectorOutput(total, green, green / total, z, chance, prediction, 1 - chance)
