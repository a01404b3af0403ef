"""Pipelines that answer a text with a text, beside transformers 4.57, which still has them.

``python tests/parity/pipelines/test_written.py`` writes the golden answers anew.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import enfold.transformers as tf
from parity.pipelines import written
from parity.pipelines.comparing import same

HERE = Path(__file__).resolve().parent
GOLDEN = HERE / "written_golden.json.gz"


def hold(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    assert set(ours) == set(theirs)
    for name, answer in ours.items():
        same(answer, theirs[name], place=name)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("models") / "all"
    written.make(tf, made)
    return made


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    return json.loads(gzip.decompress(GOLDEN.read_bytes()))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("batch_size", [None, 3])
def test_answers_are_those_of_version_4(folder: Path, golden: dict[str, Any], batch_size: int | None) -> None:
    hold(json.loads(json.dumps(written.answers(tf, folder, batch_size))), golden)


@pytest.mark.peer
@pytest.mark.slow
def test_the_golden_answers_are_those_of_version_4(
    folder: Path, golden: dict[str, Any], peer: Callable[..., Any]
) -> None:
    theirs = peer(HERE / "peer.py", folder, HERE.parent.parent, "written", [], environment="transformers4")
    hold(golden, theirs)


def test_the_length_that_a_caller_names_counts(folder: Path) -> None:
    shorten = tf.pipeline("summarization", model=str(folder / "t5-plain"))
    ids = shorten(written.STORY, max_length=6, min_length=6, return_tensors=True)[0]["summary_token_ids"]
    assert isinstance(ids, torch.Tensor) and len(ids) <= 6


def test_a_generator_is_answered_text_by_text(folder: Path) -> None:
    answer = tf.pipeline("text2text-generation", model=str(folder / "t5-plain"), max_new_tokens=4)
    streamed = list(answer(text for text in written.TEXTS))
    assert [one[0] for one in streamed] == answer(written.TEXTS)


def test_what_is_no_text_is_refused(folder: Path) -> None:
    with pytest.raises(TypeError, match="summarization takes texts, not int"):
        tf.pipeline("summarization", model=str(folder / "bart"))(3)


def test_a_pair_of_languages_without_a_default_model_is_told() -> None:
    with pytest.raises(RuntimeError, match="'translation_en_to_xx' has no default model"):
        tf.pipeline("translation_en_to_xx")


if __name__ == "__main__":
    import subprocess
    import tempfile

    python = HERE.parents[2] / ".peers" / "transformers4" / "bin" / "python"
    with tempfile.TemporaryDirectory() as place:
        written.make(tf, Path(place) / "all")
        command = [python, HERE / "peer.py", Path(place) / "all", HERE.parents[1], "written", "[]"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    GOLDEN.write_bytes(gzip.compress(done.stdout.strip().splitlines()[-1].encode(), mtime=0))
