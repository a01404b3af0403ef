"""Pictures on their way to a model, and outputs on their way back, against transformers' Pillow processors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import image_cases
import numpy as np
import pytest

import enfold.transformers

CASES = Path(image_cases.__file__)


def compare(theirs: dict[str, Any], *, apart: tuple[str, ...] = ()) -> None:
    """Hold what we make to what the peer made."""
    ours = image_cases.collect(enfold.transformers)
    theirs = {key: value for key, value in theirs.items() if not key.startswith(apart)} if apart else theirs
    ours = {key: value for key, value in ours.items() if not key.startswith(apart)} if apart else ours
    assert sorted(set(ours) ^ set(theirs)) == []
    assert len(ours) > 400
    wrong = []
    for key, value in ours.items():
        if value.shape != theirs[key].shape or not np.allclose(value, theirs[key], rtol=0, atol=1e-4):
            wrong.append(f"{key}: {value.shape} {theirs[key].shape}")
    assert wrong == []


@pytest.mark.peer
def test_results_are_those_of_the_newest_pillow_processors(peer: Callable[..., Any]) -> None:
    # the parts of a picture keep its own order of channels, as in the fourth series
    compare(peer(CASES, "Pil"), apart=("sam/parts/0/2", "sam/parts/2/2"))


@pytest.mark.peer
@pytest.mark.slow
def test_results_are_those_of_the_fourth_series_slow_processors(peer: Callable[..., Any]) -> None:
    # points and boxes of a part are told on the whole picture since the fifth
    apart = ("sam/parts/2/1", "sam/kept/[5, 3, 30, 30]/2")
    compare(peer(CASES, "", environment="transformers4"), apart=apart)
