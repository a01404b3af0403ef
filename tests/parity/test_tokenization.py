"""Tokenizers' calls, chat templates and pipelines against transformers, on real vocabularies."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.peer
CASES = Path(__file__).with_name("tokenization_cases.py")
# transformers 5 builds Llama's core anew and treats a space after an added token otherwise than the checkpoint's own
# tokenizer.json says; we follow the file, as transformers 4 does. These results hold text right after an added token.
AFTER_ADDED = {"calls": ("added",), "chats": ("inputs", "ids", "arrays"), "pipes": ()}


@pytest.fixture(scope="module")
def both(
    peer: Callable[..., Any], fixture_repositories: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Our results and the peer's; we read the tokenizers that it saved."""
    models = fixture_repositories / "models"
    mine, theirs = tmp_path_factory.mktemp("ours"), tmp_path_factory.mktemp("peers")
    peers = peer(CASES, "transformers", models, theirs)
    command = [sys.executable, str(CASES), "enfold.transformers", str(models), str(mine), str(theirs)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1]), peers | {"saved by us": str(mine)}


def differences(ours: Any, theirs: Any, place: str = "") -> list[str]:
    """Return where two results differ: numbers by more than 1e-5, names also by their order."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        if list(ours) != list(theirs):
            return [f"{place}: {list(ours)} != {list(theirs)}"]
        return [line for key in ours for line in differences(ours[key], theirs[key], f"{place}/{key}")]
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        pairs = enumerate(zip(ours, theirs, strict=True))
        return [line for index, (mine, other) in pairs for line in differences(mine, other, f"{place}[{index}]")]
    if isinstance(ours, float) and isinstance(theirs, float):
        return [] if abs(ours - theirs) <= 1e-5 else [f"{place}: {ours} != {theirs}"]
    return [] if ours == theirs else [f"{place}: {str(ours)[:300]} != {str(theirs)[:300]}"]


@pytest.mark.parametrize("part", ["calls", "chats", "pipes"])
def test_results_are_the_peers(both: Any, part: str) -> None:
    ours, theirs = both
    assert ours[part]
    for results in (ours, theirs):
        for name in AFTER_ADDED[part]:
            del results[part]["meta-llama/Llama-2-7b-hf"][name]
    assert differences(ours[part], theirs[part]) == []


def test_tokenizers_saved_by_the_peer_are_read(both: Any) -> None:
    ours, theirs = both
    assert len(ours["foreign"]) == 3
    assert differences(ours["foreign"], theirs["own"]) == []


def test_the_peer_reads_tokenizers_that_we_saved(both: Any, peer: Callable[..., Any]) -> None:
    ours, theirs = both
    script = (
        "import json, sys\nfrom transformers import AutoTokenizer\n"
        "texts, found = json.loads(sys.argv[2]), {}\n"
        "for name in json.loads(sys.argv[3]):\n"
        "    made = AutoTokenizer.from_pretrained(sys.argv[1] + '/' + name)\n"
        "    found[name] = [dict(made(texts, padding=True)), made.chat_template, len(made)]\n"
        "print(json.dumps(found))\n"
    )
    from tokenization_cases import MODELS, TEXTS

    found = peer(script, theirs["saved by us"], TEXTS, MODELS)
    assert differences(found, ours["own"]) == []
