"""The comparison of decoders, which also holds a cache filled piece by piece to the whole prompt read at once."""

from __future__ import annotations

import random
from typing import Any

import torch

import enfold.transformers as tf
from enfold.nn import DynamicCache, StaticCache
from parity.architectures.comparing import Both, Comparison
from parity.architectures.harness import build


def read(model: Any, given: dict[str, Any], cuts: list[int], cache: Any) -> torch.Tensor:
    """Return the logits (B, T, V) of a prompt that is read in pieces, which end at ``cuts``."""
    ids, mask = given["input_ids"], given["attention_mask"]
    rest = {name: value for name, value in given.items() if name not in ("input_ids", "attention_mask", "labels")}
    parts = []
    for start, end in zip([0, *cuts], [*cuts, ids.shape[1]], strict=True):
        output = model(ids[:, start:end], attention_mask=mask[:, :end], past_key_values=cache, use_cache=True, **rest)
        cache = output.past_key_values
        parts.append(output.logits)
    return torch.cat(parts, 1)


class Pieces(Comparison):
    """``Comparison``, and reading in pieces.

    Attributes:
        whole: cases whose angles change with the length, so that what was read before keeps other ones.
    """

    whole: tuple[str, ...] = ()

    @torch.no_grad()
    def test_a_prompt_read_in_pieces_equals_the_whole(self, both: Both) -> None:
        draw, tried = random.Random(5), 0
        for name, case in both.cases.items():
            if name in self.whole or ("CausalLM" not in case.name and "LMHead" not in case.name):
                continue
            model, tried = build(tf, case).eval(), tried + 1
            for padding in ("", "left"):
                given = case.inputs(padding)
                for rows in (slice(None), slice(1)):
                    row = {key: value[rows] for key, value in given.items()}
                    real = row["attention_mask"].bool()
                    whole = read(model, row, [], None)[real]
                    cuts = [sorted(draw.sample(range(1, 9), draw.randint(1, 8))) for _ in range(2)]
                    for cache in (None, DynamicCache(), StaticCache(model.config, 11)):
                        for cut in cuts:
                            if cache is not None:
                                cache.reset()
                            found = read(model, row, cut, cache)[real]
                            torch.testing.assert_close(found, whole, rtol=1e-5, atol=2e-5, msg=f"{name} {cut} {cache}")
        assert tried
