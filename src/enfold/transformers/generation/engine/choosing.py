"""Which token comes next, for each request in its own way."""

from __future__ import annotations

import torch
from torch import Tensor

from enfold.transformers.generation.engine.requests import Request

__all__ = ["chosen", "reason_to_end"]


def chosen(requests: list[Request], logits: Tensor) -> list[int]:
    """Return the next token of each request, and keep the logarithms that were asked for.

    Args:
        requests: B of them.
        logits: (B, V).
    """
    tokens = [0] * len(requests)
    plain = [place for place, request in enumerate(requests) if not request.processors and not request.config.do_sample]
    if plain:
        rows = logits if len(plain) == len(requests) else logits[plain]
        for place, token in zip(plain, rows.argmax(-1).tolist(), strict=True):
            tokens[place] = token
    for place in sorted(set(range(len(requests))) - set(plain)):
        request = requests[place]
        scores = logits[place : place + 1]
        if request.processors:
            scores = request.processors(request.ids[:, : request.length].to(scores.device), scores)
        if request.config.do_sample:
            tokens[place] = int(torch.multinomial(scores.softmax(1), 1, generator=request.generator))
        else:
            tokens[place] = int(scores.argmax(1))
    for place, request in enumerate(requests):
        if request.asked_logprobs is not None:
            likely = logits[place].log_softmax(-1)
            request.logprobs.append(float(likely[tokens[place]]))
            values, words = likely.topk(request.asked_logprobs)
            request.top_logprobs.append(dict(zip(words.tolist(), values.tolist(), strict=True)))
    return tokens


def reason_to_end(request: Request) -> str | None:
    """Return why a request ends with its newest token, or None if it goes on."""
    if request.new_tokens[-1] in request.ends:
        return "eos"
    for reason, criterion in request.criteria:
        if bool(torch.as_tensor(criterion(request.ids[:, : request.length], None)).all()):
            return str(reason)
    return "length" if request.length >= request.config.max_length else None
