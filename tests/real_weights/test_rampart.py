"""A real BERT that finds names and addresses: every tensor finds its place, and entities are what they should be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from enfold.transformers import BertForTokenClassification, pipeline
from real_weights.rampart import folder

pytestmark = pytest.mark.slow

TEXTS = [
    "My name is Sarah Johnson, I live at 42 Baker Street in London and my email is sarah.johnson@example.com.",
    "Please call Miguel Fernandez on 555-867-5309 before Friday.",
    "The weather is nice and the meeting went well.",
]
STRATEGIES = ["none", "simple", "first", "average", "max"]
PEER = """
import json, sys
from transformers import pipeline

found = {}
for strategy in sys.argv[2].split():
    pipe = pipeline("ner", model=sys.argv[1], aggregation_strategy=strategy)
    found[strategy] = [pipe(text) for text in sys.argv[3:]]
print(json.dumps(found, default=float))
"""


def test_every_tensor_finds_its_place() -> None:
    model, info = BertForTokenClassification.from_pretrained(folder(), output_loading_info=True)
    assert info == {"missing_keys": [], "unexpected_keys": [], "mismatched_keys": [], "error_msgs": []}
    assert model.num_parameters() == 18_434_723 and model.config.id2label[1] == "B-GIVEN_NAME"


def test_names_addresses_and_numbers_are_found_where_they_stand() -> None:
    pipe = pipeline("ner", model=str(folder()), aggregation_strategy="simple")
    person, call, nothing = pipe(TEXTS)
    found = {entity["entity_group"]: TEXTS[0][entity["start"] : entity["end"]] for entity in person}
    assert (
        found.items()
        >= {
            "GIVEN_NAME": "Sarah",
            "SURNAME": "Johnson",
            "BUILDING_NUMBER": "42",
            "STREET_NAME": "Baker Street",
            "CITY": "London",
        }.items()
    )
    email = [entity for entity in person if entity["entity_group"] == "EMAIL"]
    assert TEXTS[0][email[0]["start"] : email[-1]["end"]] == "sarah.johnson@example.com"
    assert [(entity["entity_group"], entity["word"]) for entity in call[:3]] == [
        ("GIVEN_NAME", "miguel"),
        ("SURNAME", "fernandez"),
        ("PHONE", "555 - 867"),
    ]
    assert all(entity["score"] > 0.6 for entity in call)
    assert nothing == []


@pytest.mark.peer
@pytest.mark.parametrize("batch_size", [1, 3])
def test_every_strategy_groups_as_the_peer_does(peer: Callable[..., Any], batch_size: int) -> None:
    theirs = peer(PEER, folder(), " ".join(STRATEGIES), *TEXTS)
    for strategy in STRATEGIES:
        pipe = pipeline("ner", model=str(folder()), aggregation_strategy=strategy)
        for ours, wanted in zip(pipe(TEXTS, batch_size=batch_size), theirs[strategy], strict=True):
            assert len(ours) == len(wanted)
            for entity, other in zip(ours, wanted, strict=True):
                assert entity.pop("score") == pytest.approx(other.pop("score"), abs=1e-5)
                assert entity == other
