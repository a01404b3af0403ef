"""Collators make the same batches as the ecosystem's, drawing the same random numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from collator_cases import batches

import enfold.transformers as ours

pytestmark = pytest.mark.peer

PEER = """
import json, sys
sys.path.insert(0, sys.argv[2])
import transformers
from collator_cases import batches
print(json.dumps(batches(transformers, sys.argv[1])))
"""


def test_batches_are_the_same(peer: Callable[..., Any], fixture_repositories: Path) -> None:
    folder = fixture_repositories / "models" / "google-bert" / "bert-base-uncased"
    theirs = peer(PEER, folder, Path(__file__).parent)
    mine = batches(ours, str(folder))
    assert mine.keys() == theirs.keys()
    for name, batch in theirs.items():
        assert mine[name] == batch, name
    assert any(label != -100 for row in mine["whole words"]["labels"] for label in row)
