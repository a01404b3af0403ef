"""Searches that transformers dropped: what we find, beside what the last version with them finds.

search_golden.json holds what transformers 4.55.4 prints for search_cases.py.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import enfold.transformers as tf
from parity import search_cases
from parity.architectures.harness import build

CASES = Path(search_cases.__file__)
GOLDEN: dict[str, Any] = json.loads(CASES.with_name("search_golden.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def models() -> dict[str, Any]:
    """The models of the cases."""
    torch.set_num_threads(1)
    return {name: build(tf, case).eval() for name, case in search_cases.MODELS.items()}


def compare(found: dict[str, Any], expected: dict[str, Any]) -> None:
    """Hold what was found to what was expected: tokens exactly, scores nearly."""
    assert set(found) == set(expected)
    for name, value in expected.items():
        if name == "sequences":
            assert found[name] == value
            continue
        assert len(found[name]) == len(value)
        for mine, theirs in zip(found[name], value, strict=True):
            assert mine == theirs or mine == pytest.approx(theirs, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize(("model_name", "run"), search_cases.runs())
def test_the_same_is_found(models: dict[str, Any], model_name: str, run: str) -> None:
    compare(search_cases.searched(models[model_name], run), GOLDEN[f"{model_name}|{run}"])


@pytest.mark.peer
@pytest.mark.slow
def test_the_golden_file_is_what_transformers_finds(peer: Callable[..., Any]) -> None:
    theirs = peer(CASES, "transformers", environment="searches")
    assert set(theirs) == set(GOLDEN) == {f"{model}|{run}" for model, run in search_cases.runs()}
    for name, expected in GOLDEN.items():
        compare(theirs[name], expected)
