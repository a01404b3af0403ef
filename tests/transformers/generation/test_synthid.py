"""SynthID's marks: on average nothing changes, and who knows the keys finds them."""

from __future__ import annotations

import pytest
import torch

import enfold.transformers as tf
from enfold.transformers.generation.config import GenerationError

KEYS = [654, 400, 836, 123, 340]


def made(**options: object) -> tf.SynthIDTextWatermarkLogitsProcessor:
    return tf.SynthIDTextWatermarkingConfig(**{"ngram_len": 3, "keys": KEYS, **options}).construct_processor(50)


def test_marked_texts_have_more_ones_than_others() -> None:
    draw = torch.Generator().manual_seed(0)
    texts = {}
    for marked in (False, True):
        mark, ids = made(), torch.zeros(4, 1, dtype=torch.long)
        for _ in range(150):
            scores = torch.randn(4, 50, generator=draw)
            scores = mark(ids, scores) if marked else scores
            ids = torch.cat((ids, torch.multinomial(scores.softmax(1), 1, generator=draw)), 1)
        texts[marked] = ids
    means = {}
    for marked, ids in texts.items():
        new = made().compute_context_repetition_mask(ids)
        means[marked] = float(made().compute_g_values(ids)[new].double().mean())
    assert abs(means[False] - 0.5) < 0.03 and means[True] > 0.6


def test_a_context_marks_once() -> None:
    mark, scores = made(), torch.randn(1, 50, generator=torch.Generator().manual_seed(1))
    ids = torch.tensor([[7, 8]])
    for token in (4, 5, 4, 5, 4):
        ids = torch.cat((ids, torch.tensor([[token]])), 1)
        found = mark(ids, scores)
    assert torch.equal(found, scores)
    assert mark.compute_context_repetition_mask(torch.tensor([[4, 5, 9, 4, 5, 6]])).tolist() == [
        [True, True, True, False]
    ]
    assert mark.compute_eos_token_mask(torch.tensor([[4, 2, 9, 2]]), 2).tolist() == [[1, 0, 0, 0]]


def test_on_average_chances_stay_as_they_are() -> None:
    scores = torch.randn(1, 50, generator=torch.Generator().manual_seed(2))
    total = torch.zeros(50)
    for seed in range(400):
        total += made(sampling_table_seed=seed)(torch.tensor([[1]]), scores)[0].softmax(0)
    assert float((total / 400 - scores[0].softmax(0)).abs().max()) < 0.02


@pytest.mark.parametrize("options", [{"ngram_len": 1}, {"keys": []}, {"sampling_table_size": 2**25}])
def test_settings_that_mark_nothing_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(GenerationError, match=next(iter(options))):
        made(**options)
