"""Words that are cut at random, beside `tokenizers` 0.23.3: as often in each way."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from enfold import tokenizers
from parity import sampling_cases as cases

pytestmark = pytest.mark.peer

PEER = """
import json, sys
sys.path.insert(0, sys.argv[1])
import tokenizers, tokenizers.models
from parity import sampling_cases as cases
print(json.dumps({"unigram": cases.unigram(tokenizers), "dropout": cases.dropout(tokenizers)}))
"""


@pytest.fixture(scope="module")
def theirs(peer: Callable[..., Any]) -> dict[str, Any]:
    return peer(PEER, Path(__file__).resolve().parents[1])


def too_far(ours: dict[str, int], theirs: dict[str, int]) -> str | None:
    """What a chi-squared test of two samples says, where it would say so of equal ones in less than a million times."""
    from scipy.stats import chi2

    rare = {way for way in {*ours, *theirs} if ours.get(way, 0) + theirs.get(way, 0) < 20}
    rows = [(ours.get(way, 0), theirs.get(way, 0)) for way in {*ours, *theirs} - rare]
    rows.append((sum(ours.get(way, 0) for way in rare), sum(theirs.get(way, 0) for way in rare)))
    value = sum((one - other) ** 2 / (one + other) for one, other in rows if one + other)
    limit = chi2.isf(1e-6, max(1, sum(one + other > 0 for one, other in rows) - 1))
    return f"{value:.1f} > {limit:.1f}: {ours} {theirs}" if value > limit else None


@pytest.mark.parametrize("kind", ["unigram", "dropout"])
def test_every_way_is_drawn_as_often_as_by_the_peer(theirs: dict[str, Any], kind: str) -> None:
    importlib.import_module("enfold.tokenizers.models")
    ours = getattr(cases, kind)(tokenizers)
    assert ours.keys() == theirs[kind].keys()
    wrong = {name: too_far(ours[name], found) for name, found in theirs[kind].items()}
    assert {name: text for name, text in wrong.items() if text} == {}


def test_a_test_of_samples_tells_them_apart() -> None:
    assert too_far({"a": 3000, "b": 3000}, {"a": 3300, "b": 2700})
    assert not too_far({"a": 3000, "b": 3000}, {"a": 3050, "b": 2950})
