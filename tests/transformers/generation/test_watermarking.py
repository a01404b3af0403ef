"""Marked words: found again by those who know the rule, and by nobody else; the same marks as transformers'."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import enfold.transformers as tf
from enfold.transformers.generation.config import GenerationError

PEER = """
import json, sys, torch
from transformers import GPT2Config, WatermarkDetector, WatermarkLogitsProcessor

texts, config = json.loads(sys.argv[1]), GPT2Config(vocab_size=50, bos_token_id=49, eos_token_id=49)
found = {}
for scheme, width in (("lefthash", 1), ("selfhash", 1), ("selfhash", 3)):
    options = {"greenlist_ratio": 0.4, "bias": 5.0, "hashing_key": 77, "seeding_scheme": scheme, "context_width": width}
    detector = WatermarkDetector(config, "cpu", options)
    result = detector(torch.tensor(texts[scheme + str(width)]), return_dict=True)
    scores = torch.randn(2, 50, generator=torch.Generator().manual_seed(1))
    marked = WatermarkLogitsProcessor(50, "cpu", **options)(torch.tensor([[1, 2, 3], [7, 8, 9]]), scores)
    found[scheme + str(width)] = {"z": result.z_score.tolist(), "p": result.p_value.tolist(),
        "prediction": result.prediction.tolist(), "marked": marked.tolist()}
print(json.dumps(found))
"""
SCHEMES = [("lefthash", 1), ("selfhash", 1), ("selfhash", 3)]


def options(scheme: str, width: int) -> dict[str, Any]:
    return {"greenlist_ratio": 0.4, "bias": 5.0, "hashing_key": 77, "seeding_scheme": scheme, "context_width": width}


@pytest.fixture(scope="module")
def texts() -> dict[str, torch.Tensor]:
    """What a model writes with each kind of mark: two rows of 60 words, without the prompt."""
    torch.manual_seed(0)
    config = tf.GPT2Config(vocab_size=50, n_embd=16, n_layer=2, n_head=2, bos_token_id=49, eos_token_id=49)
    model = tf.GPT2LMHeadModel(config).eval()
    found = {}
    for scheme, width in SCHEMES:
        torch.manual_seed(3)
        out = model.generate(
            torch.tensor([[1, 2, 3], [4, 5, 6]]),
            max_new_tokens=60,
            do_sample=True,
            eos_token_id=None,
            watermarking_config=options(scheme, width),
        )
        found[f"{scheme}{width}"] = out[:, 3:]
    return found


@pytest.mark.parametrize(("scheme", "width"), SCHEMES)
def test_marks_are_found_by_their_rule_alone(texts: Any, scheme: str, width: int) -> None:
    config = tf.GPT2Config(vocab_size=50, bos_token_id=49)
    detector = tf.WatermarkDetector(config, "cpu", tf.WatermarkingConfig(**options(scheme, width)))
    found = detector(texts[f"{scheme}{width}"], return_dict=True)
    assert found.prediction.all() and (found.p_value < 1e-3).all() and (found.green_fraction > 0.6).all()
    assert not detector(torch.randint(0, 49, (2, 60))).any()
    other = tf.WatermarkDetector(config, "cpu", {**options(scheme, width), "hashing_key": 78})
    assert not other(texts[f"{scheme}{width}"]).any()


@pytest.mark.peer
def test_each_side_finds_the_others_marks(texts: Any, peer: Callable[..., Any]) -> None:
    theirs = peer(PEER, {name: rows.tolist() for name, rows in texts.items()})
    config = tf.GPT2Config(vocab_size=50, bos_token_id=49)
    for scheme, width in SCHEMES:
        name = f"{scheme}{width}"
        found = tf.WatermarkDetector(config, "cpu", options(scheme, width))(texts[name], return_dict=True)
        np.testing.assert_allclose(found.z_score, theirs[name]["z"])
        np.testing.assert_allclose(found.p_value, theirs[name]["p"], rtol=1e-6)
        assert found.prediction.tolist() == theirs[name]["prediction"] == [True, True]
        scores = torch.randn(2, 50, generator=torch.Generator().manual_seed(1))
        marked = tf.WatermarkLogitsProcessor(50, "cpu", **options(scheme, width))(
            torch.tensor([[1, 2, 3], [7, 8, 9]]), scores
        )
        torch.testing.assert_close(marked, torch.tensor(theirs[name]["marked"]))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"seeding_scheme": "righthash"}, "'lefthash' or 'selfhash'"),
        ({"greenlist_ratio": 1.0}, "between 0 and 1"),
        ({"context_width": 0}, "at least 1"),
    ],
)
def test_marks_that_make_no_sense_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(GenerationError, match=message):
        tf.WatermarkingConfig(**fields)
