"""Pipelines of texts beside transformers': the same answers, in any batch and order.

``python tests/parity/pipelines/test_texts.py`` writes the golden answers anew, from transformers 4.57.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import enfold.transformers as tf
from parity.pipelines import texts
from parity.pipelines.comparing import same

HERE = Path(__file__).resolve().parent
GOLDEN = HERE / "texts_golden.json.gz"
# what transformers 5 still does
FIVE = ("ner", "token-classification", "fill-mask", "zero-shot-classification", "feature-extraction")
FIVE += ("text-classification", "text-generation")


def hold(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    assert set(ours) == set(theirs)
    for name, answer in ours.items():
        same(answer, theirs[name], place=name)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("models") / "all"
    texts.make(tf, made)
    return made


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    return json.loads(gzip.decompress(GOLDEN.read_bytes()))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("batch_size", [None, 1, 8])
def test_answers_are_those_of_version_4(folder: Path, golden: dict[str, Any], batch_size: int | None) -> None:
    ours = json.loads(json.dumps(texts.answers(tf, folder, batch_size)))
    hold(ours, golden)


@pytest.mark.peer
@pytest.mark.filterwarnings("ignore")
def test_answers_are_those_of_version_5(folder: Path, golden: dict[str, Any], peer: Callable[..., Any]) -> None:
    theirs = peer(HERE / "peer.py", folder, HERE.parent.parent, "texts", FIVE)
    hold({name: golden[name] for name in theirs}, theirs)


@pytest.mark.peer
@pytest.mark.slow
def test_the_golden_answers_are_those_of_version_4(
    folder: Path, golden: dict[str, Any], peer: Callable[..., Any]
) -> None:
    theirs = peer(HERE / "peer.py", folder, HERE.parent.parent, "texts", [], environment="transformers4")
    hold(golden, theirs)


if __name__ == "__main__":
    import subprocess
    import tempfile

    python = HERE.parents[2] / ".peers" / "transformers4" / "bin" / "python"
    with tempfile.TemporaryDirectory() as place:
        texts.make(tf, Path(place) / "all")
        command = [python, HERE / "peer.py", Path(place) / "all", HERE.parents[1], "texts", "[]"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    GOLDEN.write_bytes(gzip.compress(done.stdout.strip().splitlines()[-1].encode(), mtime=0))
