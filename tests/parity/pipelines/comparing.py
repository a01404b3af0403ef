"""Answers of pipelines beside each other: the same keys, order and strings, numbers within a tolerance."""

from __future__ import annotations

from typing import Any

import pytest

__all__ = ["same"]


def same(ours: Any, theirs: Any, tolerance: float = 1e-5, place: str = "answer") -> None:
    """Hold an answer to another; ``theirs`` comes from JSON, so that its tuples are lists."""
    if isinstance(theirs, dict):
        assert isinstance(ours, dict) and list(ours) == list(theirs), place
        for key, value in theirs.items():
            same(ours[key], value, tolerance, f"{place}.{key}")
    elif isinstance(theirs, list):
        assert isinstance(ours, list | tuple) and len(ours) == len(theirs), place
        for index, (own, other) in enumerate(zip(ours, theirs, strict=True)):
            same(own, other, tolerance, f"{place}[{index}]")
    elif isinstance(theirs, float) and not isinstance(ours, str | bool):
        assert ours == pytest.approx(theirs, rel=tolerance, abs=tolerance), place
    else:
        assert ours == theirs, place
