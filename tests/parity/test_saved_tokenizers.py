"""Tokenizers that one library saved are the same tokenizers in the others: ours, transformers 5 and 4.

transformers 4 reads a tokenizer.json as it stands. transformers 5 takes the vocabulary out of it and builds most named
families anew, by rules of its own: the tables below say what that changes, for folders that transformers 4 saved too.
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
import saved_cases
from test_tokenizer_families import differences, family, names, without

pytestmark = pytest.mark.peer
MAKE, READ = Path(family_cases.__file__), Path(saved_cases.__file__)

# what transformers 5 loses or changes when it reads the folder
TYPES = ("token_type_ids", "names")
ENDS = ("offsets", "decode", "decode skip", "tokens")
NOT_READ_BY_5: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("Funnel", "Herbert"), TYPES),
    **dict.fromkeys(("T5", "VideoPrism", "XLMRoberta", "Camembert", "MBart"), ("offsets",)),
    "DebertaV2": ("names", "offsets"),
    "Splinter": ("token_type_ids", "names"),
    "Cohere": ("special", "special ids", "sizes", "padded"),  # it adds tokens with roles that the checkpoint lacks
    "Deberta": ("added", "pairs"),  # two separators between a pair
    "M2M100": ("decode",),
    "Wav2Vec2CTC": ("special ids",),
}
# It gives FNet a beginning and an end token. It keeps white space at the ends of texts and around special tokens, which
# SentencePiece drops: of these the texts without any are compared.
SPACES = ("Albert", "FNet", "XLNet", "BigBird", "Reformer", "XGLM", "MBart50", "Pegasus", "Llama")
# It makes a BPE of NLLB's pieces, takes RemBERT's third piece for the unknown one and gives Gemma a mask token.
OTHER_MODEL = ("Nllb", "RemBert", "Gemma")
# transformers 4 makes no tokenizer of these files, wants packages that are not there, or cannot read its own folder
NOT_IN_4 = ("GPTNeoX", "Herbert", "BlenderbotSmall", "PLBart", "SeamlessM4T", "Splinter", "VideoPrism")
# Missing or written in Python there, or with other defaults: they read no tokenizer.json, or pad every call.
NOT_READ_BY_4 = ("BertGeneration", "BlenderbotSmall", "PLBart", "SeamlessM4T", "VideoPrism")


@pytest.fixture(scope="module")
def ours(folders: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """What our tokenizers make of the texts, and the folder they were saved into."""
    saved = tmp_path_factory.mktemp("saved")
    return run_ours(MAKE, folders, saved), saved


def run_ours(script: Path, *arguments: Path) -> dict[str, Any]:
    command = [sys.executable, str(script), "enfold.transformers", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def reread(ours: Any) -> dict[str, Any]:
    return run_ours(READ, ours[1])


@pytest.fixture(scope="module")
def read_by_5(peer: Callable[..., Any], ours: Any) -> dict[str, Any]:
    return peer(READ, "transformers", ours[1])


@pytest.fixture(scope="module")
def four(peer: Callable[..., Any], folders: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """What transformers 4 makes of the texts, and the folder it saved into."""
    saved = tmp_path_factory.mktemp("saved_by_4")
    return peer(MAKE, "transformers", folders, saved, environment="transformers4"), saved


@pytest.fixture(scope="module")
def read_by_4(peer: Callable[..., Any], ours: Any) -> dict[str, Any]:
    return peer(READ, "transformers", ours[1], environment="transformers4")


@pytest.mark.parametrize("case", names())
def test_a_saved_tokenizer_is_the_same_when_read_again(ours: Any, reread: Any, case: str) -> None:
    assert differences(reread[case], ours[0][case]) == []


# Its PLBart and BertGeneration are written in Python and read no tokenizer.json.
@pytest.mark.parametrize(
    "case", [case for case in names() if family(case) not in (*OTHER_MODEL, "PLBart", "BertGeneration")]
)
def test_transformers_5_reads_what_we_save(ours: Any, read_by_5: Any, case: str) -> None:
    mine, theirs = ours[0][case], read_by_5[case]
    if family(case) in SPACES:
        mine, theirs = (
            {**found, "batch": {key: [value[row] for row in (0, 1, 4, 5)] for key, value in found["batch"].items()}}
            for found in (mine, theirs)
        )
        skipped = [*ENDS, *TYPES, "pairs", "padded", *(["special"] if family(case) == "FNet" else [])]
    else:
        skipped = list(NOT_READ_BY_5.get(family(case), ()))
    assert differences(without(theirs, skipped), without(mine, skipped)) == []


@pytest.mark.parametrize("case", [case for case in names() if family(case) in OTHER_MODEL])
def test_transformers_5_knows_the_special_tokens_of_what_we_save(ours: Any, read_by_5: Any, case: str) -> None:
    mine, theirs = ours[0][case]["special"], read_by_5[case]["special"]
    assert {key: theirs[key] for key in theirs if key != "mask_token"} == {
        key: mine[key] for key in mine if key != "mask_token"
    }


@pytest.mark.slow
@pytest.mark.parametrize("case", [case for case in names() if family(case) not in NOT_READ_BY_4])
def test_transformers_4_reads_what_we_save(ours: Any, read_by_4: Any, case: str) -> None:
    skipped = ["decode"] if family(case) in ("M2M100", "SpeechT5") else []  # spaces around unknown pieces
    skipped += TYPES if family(case) == "CTRL" else []
    assert differences(without(read_by_4[case], skipped), without(ours[0][case], skipped)) == []


@pytest.fixture(scope="module")
def read_from_4(four: Any) -> dict[str, Any]:
    return run_ours(READ, four[1])


@pytest.fixture(scope="module")
def reread_by_4(peer: Callable[..., Any], four: Any) -> dict[str, Any]:
    return peer(READ, "transformers", four[1], environment="transformers4")


@pytest.mark.slow
@pytest.mark.parametrize("case", [case for case in names() if family(case) not in NOT_IN_4])
def test_what_transformers_4_saved_is_read(read_from_4: Any, reread_by_4: Any, case: str) -> None:
    skipped = ["decode", "decode skip", "special ids", "sizes"] if family(case) in ("M2M100", "SpeechT5") else []
    skipped += ["pairs", "added"] if "add_bos_token" in case else []  # 5 begins both texts of a pair
    skipped += TYPES if family(case) == "CTRL" else []
    skipped += ["offsets", "decode", "decode skip"] if family(case) == "BertGeneration" else []
    assert differences(without(read_from_4[case], skipped), without(reread_by_4[case], skipped)) == []
