"""Guesses of a model with other words: what it writes is read back with the larger model's tokenizer."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from enfold.nn.cache import DynamicCache
from enfold.transformers.generation.config import GenerationConfig
from enfold.transformers.generation.pace import Pace

__all__ = ["Translator"]


class Translator:
    """A smaller model with other words, which writes on for a few tokens.

    It reads the text, not the tokens, and always guesses what is likeliest: a guess counts only where the larger model
    chooses the same token, so the words of both need not be comparable.

    Args:
        model: the smaller model.
        config: with ``assistant_confidence_threshold``.
        tokenizer: of the larger model.
        own_tokenizer: of the smaller one.
        pace: how many tokens it guesses.
    """

    def __init__(self, model: Any, config: GenerationConfig, tokenizer: Any, own_tokenizer: Any, pace: Pace) -> None:
        self.model, self.tokenizer, self.own, self.pace = model, tokenizer, own_tokenizer, pace
        self.learn = pace.learn
        self.threshold = config.assistant_confidence_threshold
        self.cache, self.read = DynamicCache(), []  # type: tuple[DynamicCache, list[int]]
        ends = model.generation_config.eos_token_id
        self.ends = set() if ends is None else {ends} if isinstance(ends, int) else set(ends)

    def guess(self, ids: Tensor, most: int) -> tuple[Tensor, None]:
        """Return up to ``most`` tokens that may follow ids (1, T)."""
        nothing = ids[0, :0], None
        text = self.tokenizer.decode(ids[0], skip_special_tokens=True)
        mine = self.own(text)["input_ids"]
        if most < 1 or not mine:
            return nothing
        written = self._write(mine)
        whole, known = (self.own.decode(part, skip_special_tokens=True) for part in (mine + written, mine))
        if not whole.startswith(known) or len(whole) == len(known):
            return nothing
        new = whole[len(known) :]
        before, after = (self.tokenizer(part, add_special_tokens=False)["input_ids"] for part in (text, text + new))
        # Where the new text merges with the old one's last token, it is read alone.
        joined = after[: len(before)] == before
        tail = after[len(before) :] if joined else self.tokenizer(new, add_special_tokens=False)["input_ids"]
        return ids.new_tensor(tail[:most]), None

    def _write(self, tokens: list[int]) -> list[int]:
        """Return what the smaller model writes after its tokens; what it has read of them before is kept."""
        same = 0
        while same < min(len(self.read), len(tokens) - 1) and self.read[same] == tokens[same]:
            same += 1
        self.cache.crop(same)
        feed, written = tokens[same:], []  # type: tuple[list[int], list[int]]
        self.read = list(tokens)
        while len(written) < self.pace.count:
            ids = torch.tensor([feed], device=self.model.device)
            logits = self.model(ids, past_key_values=self.cache, use_cache=True, logits_to_keep=1).logits[0, -1]
            token = int(logits.argmax())
            if token in self.ends:
                break
            written.append(token)
            if float(logits.float().softmax(-1)[token]) < self.threshold:
                break
            feed = [token]
        self.read += written[: int(self.cache.get_seq_length()) - len(tokens)]
        return written
