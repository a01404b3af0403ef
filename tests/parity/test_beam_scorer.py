"""Search loops of one's own around ``BeamSearchScorer`` find what they find with the last version that had it.

``scorer_golden.json`` holds what transformers 4.55.4 finds in ``scorer_cases.py``; a slow test finds it anew.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from scorer_cases import CASES, searched

from enfold.transformers import BeamSearchScorer
from enfold.transformers.generation.config import GenerationError

GOLDEN = Path(__file__).with_name("scorer_golden.json")
PEER = """
import json, sys
sys.path.insert(0, sys.argv[1])
import scorer_cases
from transformers import BeamSearchScorer
print(json.dumps({name: scorer_cases.searched(BeamSearchScorer, given) for name, given in scorer_cases.CASES.items()}))
"""


@pytest.mark.parametrize("name", CASES)
def test_a_loop_around_the_scorer_finds_the_same_texts(name: str) -> None:
    assert searched(BeamSearchScorer, CASES[name]) == json.loads(GOLDEN.read_text())[name]


@pytest.mark.slow
@pytest.mark.peer
def test_the_golden_file_is_what_the_last_version_finds(peer: Callable[..., Any]) -> None:
    assert peer(PEER, Path(__file__).parent, environment="searches") == json.loads(GOLDEN.read_text())


def test_beams_that_cannot_be_are_refused() -> None:
    with pytest.raises(GenerationError, match="a multiple of num_beam_groups"):
        BeamSearchScorer(1, 4, "cpu", num_beam_groups=3)
    with pytest.raises(GenerationError, match="needs max_length"):
        BeamSearchScorer(1, 2, "cpu", do_early_stopping="never")
    scorer, ids = BeamSearchScorer(1, 2, "cpu"), torch.tensor([[5], [5]])
    ending = torch.tensor([[7, 7]])
    with pytest.raises(GenerationError, match="too many end: give at least 4"):
        scorer.process(ids, torch.tensor([[-0.1, -0.2]]), ending, torch.tensor([[0, 1]]), eos_token_id=7)
    with pytest.raises(GenerationError, match="3 beams; 1 rows of 2"):
        scorer.process(torch.zeros(3, 1), ending, ending, ending)
