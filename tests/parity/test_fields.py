"""Every field of every part of tokenizer.json, missing and of other kinds: read where `tokenizers` 0.23.3 reads it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from enfold.tokenizers import Tokenizer
from enfold.tokenizers.tokenizer import TokenizerError
from parity import field_cases

pytestmark = pytest.mark.peer

PEER = """
import json, sys
sys.path.insert(0, sys.argv[1])
from tokenizers import Tokenizer
from parity import field_cases
open(sys.argv[2], "w").write(json.dumps(field_cases.results(Tokenizer)))
print("{}")
"""


@pytest.fixture(scope="module")
def theirs(peer: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    made = tmp_path_factory.mktemp("fields") / "theirs.json"
    peer(PEER, Path(__file__).resolve().parents[1], made)
    return json.loads(made.read_text())


def test_broken_fields_are_read_or_refused_alike(theirs: dict[str, Any]) -> None:
    ours = json.loads(json.dumps(field_cases.results(Tokenizer)))
    assert len(theirs) > 1000
    assert {name: (ours[name], value) for name, value in theirs.items() if ours[name] != value} == {}


def test_errors_name_the_place() -> None:
    documents = dict(field_cases.documents())
    for name, place in {
        "normalizer Strip without strip_left": "normalizer: missing field `strip_left`",
        "pre_tokenizer Split invert=3": "pre_tokenizer.invert: expected true or false",
        "decoder Strip start=-3": "decoder.start: expected a whole number below 2^32, not negative",
        "model WordPiece unk_token=None": "model.unk_token: expected a string",
        "post_processor TemplateProcessing special_tokens={'a': 'b'}": "post_processor.special_tokens.a: expected",
        "added_tokens 0 without special": "added_tokens[0]: missing field `special`",
    }.items():
        with pytest.raises(TokenizerError, match=re.escape(place)):
            Tokenizer.from_str(json.dumps(documents[name]))
