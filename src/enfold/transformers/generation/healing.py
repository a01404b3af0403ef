"""Token healing: a prompt's last token is chosen again among those that begin with its text.

A prompt that ends in the middle of what the tokenizer would have made one token ("http:" before "//") leads a model
astray. Its last token is taken back, and the model chooses, with a strong leaning, between it and its extensions.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Any

import torch
from torch import Tensor

from enfold.transformers.generation.config import GenerationConfig, GenerationError

__all__ = ["extensions", "heal_tokens"]

LEANING, OWN = 10.0, 1.0  # added to the scores of all extensions, and once more to the token that was there


def extensions(words: list[str], prefix: str) -> list[str]:
    """Return those of sorted words that begin with ``prefix``.

    Example:
        >>> extensions(["a", "ab", "abc", "b"], "ab")
        ['ab', 'abc']
    """
    end = bisect_left(words, prefix + "\U0010ffff")
    return words[bisect_left(words, prefix) : end]


def heal_tokens(model: Any, input_ids: Tensor, tokenizer: Any = None) -> Tensor:
    """Return prompts whose last tokens were chosen again.

    Args:
        model: what chooses, greedily.
        input_ids: (B, T).
        tokenizer: of the model; prompts are stripped and read again by it.

    Returns:
        (B, T'), begin-of-text tokens replaced by padding.

    Raises:
        GenerationError: there is no tokenizer, or it has no padding.

    Source: Lundberg, 2023, "The Art of Prompt Design: Prompt Boundaries and Token Healing"
    """
    if tokenizer is None:
        raise GenerationError("token_healing needs the model's tokenizer: generate(…, tokenizer=…)")
    begin, pad = tokenizer.bos_token_id, tokenizer.pad_token_id
    if pad is None:
        raise GenerationError("token_healing needs a tokenizer with a pad_token")
    texts = [text.strip() for text in tokenizer.batch_decode(input_ids, skip_special_tokens=True)]
    ids = torch.as_tensor(tokenizer(texts, padding=True, return_tensors="pt").input_ids).to(input_ids.device)
    ids = torch.where(ids == begin, pad, ids) if begin is not None else ids
    if not ids.numel():
        return ids
    numbers = tokenizer.get_vocab()
    words = sorted(numbers)
    blank = tokenizer.convert_tokens_to_ids(" ")
    blank = None if blank is None else tokenizer.convert_ids_to_tokens(blank)[0]
    for row in range(len(ids)):
        known = ids[row][ids[row] != pad]
        if not len(known):
            continue
        last = int(ids[row, -1])
        text = tokenizer.decode([last])
        found = extensions(words, text.replace(" ", blank) if blank is not None else text)
        leaning = {(numbers[word],): LEANING for word in found}
        if len(leaning) <= 1:
            continue
        leaning[(last,)] = leaning.get((last,), LEANING) + OWN
        rest = ids[row, :-1].clone()
        if not len(rest):
            continue
        if len(known) == 1 and begin is not None:
            rest[-1] = begin
        config = GenerationConfig(max_new_tokens=1, pad_token_id=pad, sequence_bias=leaning)
        ids[row] = model.generate(rest[None], generation_config=config)[0]
    return ids
