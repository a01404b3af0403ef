"""The audio pipelines beside transformers': the same recordings, the same answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import enfold.transformers as tf
from parity.architectures.harness import scramble
from parity.pipelines.audio_runs import LETTERS, MODELS, RATE, RUNS, answers, sounds
from parity.pipelines.comparing import same

pytestmark = pytest.mark.peer

HERE = Path(__file__).resolve().parent
SCRIPT = """
import json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import torch, transformers
from parity.pipelines.audio_runs import answers
torch.set_num_threads(1)
print(json.dumps(answers(transformers, Path(sys.argv[1]))))
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for every model."""
    root = tmp_path_factory.mktemp("audio")
    for folder, (name, config, settings) in MODELS.items():
        kind = getattr(tf, name)
        model = kind(kind.config_class(**config))
        scramble(model)
        model.save_pretrained(root / folder)
        tf.Wav2Vec2FeatureExtractor(**settings).save_pretrained(root / folder)
        if "letters" in folder:
            vocab = {letter: place for place, letter in enumerate(LETTERS)}
            (root / folder / "vocab.json").write_text(json.dumps(vocab), encoding="utf-8")
            tf.Wav2Vec2CTCTokenizer(str(root / folder / "vocab.json")).save_pretrained(root / folder)
    return root


@pytest.fixture(scope="module")
def peers(peer: Callable[..., Any], root: Path) -> dict[str, Any]:
    """What the peer answers."""
    return peer(SCRIPT, root, HERE.parent.parent)


@pytest.fixture(scope="module")
def ours(root: Path) -> dict[str, Any]:
    """What we answer."""
    return answers(tf, root)


@pytest.mark.parametrize("name", RUNS)
def test_answers_are_the_same(peers: dict[str, Any], ours: dict[str, Any], name: str) -> None:
    # The peer's answers for pieces of unlike lengths depend on the batch they are padded in; ours do not.
    for kind in ("", "-list") if "chunk_length_s" in RUNS[name][2] else ("", "-list", "-same"):
        same(ours[f"{name}{kind}"], peers[f"{name}{kind}"])


def test_a_file_of_another_rate_and_its_bytes_are_heard(root: Path, tmp_path: Path) -> None:
    soundfile = pytest.importorskip("soundfile")
    wave = np.sin(np.arange(8000) * 0.05).astype("float32")
    soundfile.write(tmp_path / "a.wav", np.stack((wave, wave), axis=1), 8000)
    pipe = tf.pipeline("audio-classification", model=str(root / "labels"))
    by_path, by_bytes = pipe(str(tmp_path / "a.wav")), pipe((tmp_path / "a.wav").read_bytes())
    assert by_path == by_bytes
    same(by_path, pipe({"array": wave, "sampling_rate": 8000}), 1e-3)  # 16 bits a sample in the file


def test_batches_do_not_change_answers(root: Path) -> None:
    pipe = tf.pipeline("automatic-speech-recognition", model=str(root / "letters"))
    for options in ({}, {"chunk_length_s": 0.2}):
        alone = [pipe(sound, **options) for sound in sounds()]
        same(pipe(sounds(), batch_size=3, **options), alone)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (np.zeros(0, "float32"), "no samples"),
        (np.zeros((5, 9), "float32"), r"\(5, 9\)"),
        ({"array": np.zeros(9)}, "sampling_rate"),
        (b"no recording", "no recording"),
        (7, "int"),
    ],
)
def test_what_is_no_recording_is_said(root: Path, bad: Any, message: str) -> None:
    pipe = tf.pipeline("audio-classification", model=str(root / "labels"))
    with pytest.raises((ValueError, OSError), match=message):
        pipe(bad)


def test_times_that_a_model_cannot_tell_are_refused(root: Path) -> None:
    pipe = tf.pipeline("automatic-speech-recognition", model=str(root / "letters"))
    with pytest.raises(ValueError, match="'char', 'word'"):
        pipe(np.zeros(RATE, "float32"), return_timestamps=True)
