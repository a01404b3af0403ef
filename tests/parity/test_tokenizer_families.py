"""Tokenizer families built from their vocabulary files, against transformers; folders are exchanged both ways.

tokenizer_families_golden.json holds what transformers 4.57.6 prints for family_cases.py.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import family_cases
import pytest

pytestmark = pytest.mark.peer
CASES = Path(family_cases.__file__)


@pytest.fixture(scope="module")
def both(
    peer: Callable[..., Any], folders: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, Any], dict[str, Any], Path]:
    """Our results, the peer's, and the folder of what we saved."""
    mine, theirs = tmp_path_factory.mktemp("ours"), tmp_path_factory.mktemp("peers")
    peers = peer(CASES, "transformers", folders, theirs)
    command = [sys.executable, str(CASES), "enfold.transformers", str(folders), str(mine), str(theirs)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1]), peers, mine


# Families whose vocabulary files transformers 5 reads otherwise than transformers 4 did, which made the tokenizer.json
# files of published checkpoints: other offsets, no token types, a part of the vocabulary lost. We follow 4.
FROM_4 = (
    "AlbertTokenizer BarthezTokenizer BigBirdTokenizer BlenderbotTokenizer BloomTokenizer CamembertTokenizer "
    "CohereTokenizer DebertaV2Tokenizer FNetTokenizer FunnelTokenizer GemmaTokenizer LlamaTokenizer MBart50Tokenizer "
    "MBartTokenizer NllbTokenizer PLBartTokenizer PegasusTokenizer ReformerTokenizer RemBertTokenizer T5Tokenizer "
    "XGLMTokenizer XLMRobertaTokenizer XLNetTokenizer"
).split()
# Where we follow 5: no spaces removed when BERT's family decodes, the beginning token before both texts of a pair,
# DeBERTa's mask without the white space on its left. Blenderbot's second text stays in 4's pairs only.
NOT_4 = {
    **dict.fromkeys(
        "Bert Electra DistilBert Funnel MPNet Lxmert MobileBert".split(), ("decode", "decode skip", "string")
    ),
    "GPT2": ("pairs", "added"),
    "Blenderbot": ("pairs", "added"),
    # written in Python there: no offsets, and more spaces
    "PLBart": ("offsets", "decode skip", "sizes"),
    "SpeechT5": ("decode",),  # the space after an unknown piece
    # its constructor forgets to make languages special; published checkpoints list them
    "M2M100": ("decode", "decode skip", "special ids", "sizes"),
    "Deberta": ("batch", "offsets", "decode", "decode skip", "tokens", "pairs", "padded"),
}
# what transformers 5 does otherwise: it lost token types, and counts the token between words as special
NOT_5: dict[str, tuple[str, ...]] = {
    "Funnel": ("token_type_ids", "names"),
    "Splinter": ("token_type_ids", "names"),
    "VideoPrism": ("offsets",),  # as T5's, of which 4's are ours
    "BertGeneration": ("offsets", "decode skip"),  # written in Python, with more spaces
    "Herbert": ("token_type_ids", "names"),
    "Albert": ("token_type_ids", "names"),
    "XLNet": ("token_type_ids", "names"),
    "RemBert": ("token_type_ids", "names"),
    "Wav2Vec2CTC": ("special ids",),
    "DebertaV2": ("names",),
    "M2M100": ("decode", "decode skip", "special ids", "sizes"),
}
GOLDEN = json.loads(Path(__file__).with_name("tokenizer_families_golden.json").read_text(encoding="utf-8"))


def without(found: Any, keys: tuple[str, ...] | list[str]) -> Any:
    """Return a result without some keys, at any depth."""
    if not isinstance(found, dict):
        return found
    return {key: without(value, keys) for key, value in found.items() if key not in keys}


def differences(ours: Any, theirs: Any, place: str = "") -> list[str]:
    """Return where two results differ."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        if sorted(ours) != sorted(theirs):
            return [f"{place}: {sorted(ours)} != {sorted(theirs)}"]
        return [line for key in ours for line in differences(ours[key], theirs[key], f"{place}/{key}")]
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        pairs = enumerate(zip(ours, theirs, strict=True))
        return [line for index, (mine, other) in pairs for line in differences(mine, other, f"{place}[{index}]")]
    return [] if ours == theirs else [f"{place}: {str(ours)[:200]} != {str(theirs)[:200]}"]


def names() -> list[str]:
    return [f"{index} {kind} {options}" for index, (kind, _, options) in enumerate(family_cases.CASES)]


def family(case: str) -> str:
    return case.split(" ")[1].removesuffix("Tokenizer")


@pytest.mark.parametrize("case", [case for case in names() if case in GOLDEN])
def test_a_family_built_from_its_vocabulary_files_is_transformers_4s(both: Any, case: str) -> None:
    ours, _, _ = both
    skipped = ["attention_mask", *NOT_4.get(family(case), ())]
    assert differences(without(ours[case], skipped), without(GOLDEN[case], skipped)) == []


@pytest.mark.parametrize("case", [case for case in names() if case.split(" ")[1] not in FROM_4])
def test_a_family_built_from_its_vocabulary_files_is_the_peers(both: Any, case: str) -> None:
    ours, theirs, _ = both
    skipped = list(NOT_5.get(family(case), ()))
    skipped += ["pairs", "added"] if family(case) == "Deberta" else []
    assert differences(without(ours[case], skipped), without(theirs[case], skipped)) == []


# Where transformers 5 has no such class, or its folder lacks the mask.
NOT_READ = ("BloomTokenizer", "NllbTokenizer", "PLBartTokenizer")


@pytest.mark.parametrize("case", [case for case in names() if case.split(" ")[1] not in NOT_READ])
def test_a_folder_saved_by_the_peer_is_read(both: Any, case: str) -> None:
    ours, theirs, _ = both
    skipped = list(NOT_5.get(family(case), ()))
    assert differences(without(ours["foreign " + case], skipped), without(theirs[case], skipped)) == []


PAGES = [f"page {index} {kind} {options}" for index, (kind, _, options) in enumerate(family_cases.PAGES)]


@pytest.mark.parametrize("case", PAGES)
def test_words_of_pages_get_their_boxes_and_labels(both: Any, case: str) -> None:
    ours, theirs, _ = both
    assert differences(ours[case], theirs[case]) == []
