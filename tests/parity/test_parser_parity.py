"""Command lines become the same values as with the ecosystem's parser."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from parser_cases import parsed

from enfold.transformers import HfArgumentParser

pytestmark = pytest.mark.peer

PEER = """
import json, sys
sys.path.insert(0, sys.argv[1])
import parser_cases
from transformers import HfArgumentParser
print(json.dumps(parser_cases.parsed(HfArgumentParser)))
"""


def test_the_ecosystems_parser_reads_the_same(peer: Callable[..., Any]) -> None:
    assert parsed(HfArgumentParser) == peer(PEER, Path(__file__).parent)
