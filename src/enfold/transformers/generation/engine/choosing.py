"""Which token comes next, for each request in its own way."""

from __future__ import annotations

import torch
from torch import Tensor

from enfold.transformers.generation.engine.requests import Request

__all__ = ["chosen", "reason_to_end"]


def chosen(requests: list[Request], logits: Tensor) -> list[int | Exception]:
    """Return the next token of each request, or what went wrong with it; keep the logarithms that were asked for.

    What a request brings along (processors of its own, probabilities that are none) fails alone.

    Args:
        requests: B of them.
        logits: (B, V).
    """
    tokens: list[int | Exception] = [0] * len(requests)
    plain = [place for place, request in enumerate(requests) if not request.processors and not request.config.do_sample]
    if plain:
        rows = logits if len(plain) == len(requests) else logits[plain]
        for place, token in zip(plain, rows.argmax(-1).tolist(), strict=True):
            tokens[place] = token
    for place in sorted(set(range(len(requests))) - set(plain)):
        try:
            tokens[place] = _drawn(requests[place], logits[place : place + 1])
        except Exception as error:
            tokens[place] = error
    for place, (request, token) in enumerate(zip(requests, tokens, strict=True)):
        if request.asked_logprobs is not None and not isinstance(token, Exception):
            likely = logits[place].log_softmax(-1)
            request.logprobs.append(float(likely[token]))
            values, words = likely.topk(request.asked_logprobs)
            request.top_logprobs.append(dict(zip(words.tolist(), values.tolist(), strict=True)))
    return tokens


def _drawn(request: Request, scores: Tensor) -> int:
    """Return the next token of one request out of scores (1, V)."""
    if request.processors:
        scores = request.processors(request.ids[:, : request.length].to(scores.device), scores)
    if request.config.do_sample:
        return _draw(scores[0].softmax(0), request.generator)
    return int(scores.argmax(1))


def _draw(chances: Tensor, generator: torch.Generator | None) -> int:
    """Draw from probabilities (V,).

    A request with a seed gets what ``generate`` draws with it. Without one a single random number is looked up among
    the sums, a seventh of the work of ``torch.multinomial``, which takes a random number for every word.
    """
    if generator is not None:
        return int(torch.multinomial(chances[None], 1, generator=generator))
    sums = chances.double().cumsum(0)
    if not bool(sums[-1] > 0):  # also where one of them is none
        raise RuntimeError("probability tensor contains either `inf`, `nan` or element < 0")
    place = torch.rand((), dtype=torch.double, device=sums.device) * sums[-1]
    return int(torch.searchsorted(sums, place, right=True).clamp_(max=len(sums) - 1))


def reason_to_end(request: Request) -> str | None:
    """Return why a request ends with its newest token, or None if it goes on."""
    if request.new_tokens[-1] in request.ends:
        return "eos"
    for reason, criterion in request.criteria:
        if bool(torch.as_tensor(criterion(request.ids[:, : request.length], None)).all()):
            return str(reason)
    return "length" if request.length >= request.config.max_length else None
