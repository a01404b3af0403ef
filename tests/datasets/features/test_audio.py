"""Recordings: what may be given, what is stored, and how samples are mixed and resampled."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile

from enfold.datasets import Audio, Dataset, Features, load_from_disk
from enfold.datasets.features.audio import resample


def tone(rate: int = 8000, seconds: float = 0.5, pitch: float = 440.0) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * pitch * np.arange(int(rate * seconds)) / rate)).astype(np.float32)


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = str(tmp_path / "tone.wav")
    soundfile.write(path, tone(), 8000, subtype="FLOAT")
    return path


@pytest.mark.parametrize("kind", ["path", "bytes", "array", "dict", "recording"])
def test_every_kind_of_value_gives_the_same_samples(kind: str, file: str) -> None:
    recording = Audio().decode_example({"path": file, "bytes": None})
    value = {
        "path": file,
        "bytes": Path(file).read_bytes(),
        "array": {"array": tone(), "sampling_rate": 8000},
        "dict": {"bytes": Path(file).read_bytes(), "path": None},
        "recording": recording,
    }[kind]
    shown = Dataset.from_dict({"audio": [value, None]}, features=Features({"audio": Audio()}))[0]["audio"]
    assert np.array_equal(shown["array"], tone()) and shown["sampling_rate"] == 8000


def test_a_recording_is_the_older_dict_and_the_newer_decoder(file: str) -> None:
    recording = Dataset.from_dict({"audio": [file]}).cast_column("audio", Audio())[0]["audio"]
    assert set(recording) == {"array", "path", "sampling_rate"} and recording["path"] == file
    assert dict(recording)["sampling_rate"] == 8000 and recording.get("other") is None
    samples = recording.get_all_samples()
    assert samples.data.shape == (1, 4000) and samples.sample_rate == 8000 and samples.duration_seconds == 0.5
    part = recording.get_samples_played_in_range(0.1, 0.2)
    assert part.data.shape == (1, 800) and part.pts_seconds == 0.1
    assert np.array_equal(part.data[0].numpy(), tone()[800:1600])
    assert recording.metadata.num_channels == 1 and recording.metadata.sample_rate == 8000


def test_nothing_is_read_before_the_samples_are_asked_for(file: str) -> None:
    dataset = Dataset.from_dict({"audio": [file + ".gone"]}).cast_column("audio", Audio())
    recording = dataset[0]["audio"]
    with pytest.raises(RuntimeError, match=r"gone"):
        recording["array"]


@pytest.mark.parametrize("wanted", [16000, 11025, 4000])
def test_another_rate_keeps_the_tone(wanted: int, file: str) -> None:
    dataset = Dataset.from_dict({"audio": [file]}).cast_column("audio", Audio(sampling_rate=wanted))
    shown = dataset[0]["audio"]
    assert shown["sampling_rate"] == wanted
    expected = tone(wanted)
    assert abs(len(shown["array"]) - len(expected)) <= 1
    inside = slice(len(expected) // 10, -len(expected) // 10)  # the filter rings at the ends
    assert np.max(np.abs(shown["array"][: len(expected)][inside] - expected[inside])) < 0.02
    assert resample(tone()[None], 8000, 8000).shape == (1, 4000)


def test_channels_are_averaged_or_repeated(tmp_path: Path) -> None:
    stereo = np.stack([tone(), np.zeros_like(tone())])
    dataset = Dataset.from_dict(
        {"audio": [{"array": stereo, "sampling_rate": 8000}]}, features=Features({"audio": Audio()})
    )
    assert dataset[0]["audio"].get_all_samples().data.shape == (2, 4000)
    assert np.allclose(dataset[0]["audio"]["array"], tone() / 2)
    mono = dataset.cast_column("audio", Audio(mono=True))[0]["audio"]
    assert mono.get_all_samples().data.shape == (1, 4000) and np.allclose(mono["array"], tone() / 2)
    one = Dataset.from_dict(
        {"audio": [{"array": tone(), "sampling_rate": 8000}]}, features=Features({"audio": Audio()})
    )
    assert one.cast_column("audio", Audio(num_channels=2))[0]["audio"].get_all_samples().data.shape == (2, 4000)


def test_undecoded_recordings_and_saved_ones_hold_their_files(file: str, tmp_path: Path) -> None:
    dataset = Dataset.from_dict({"audio": [file]}).cast_column("audio", Audio(decode=False))
    assert dataset[0]["audio"] == {"bytes": None, "path": file}
    dataset.cast_column("audio", Audio()).save_to_disk(str(tmp_path / "saved"))
    Path(file).unlink()
    loaded = load_from_disk(str(tmp_path / "saved"))
    assert loaded.features == Features({"audio": Audio()}) and np.array_equal(loaded[0]["audio"]["array"], tone())
    with pytest.raises(ValueError, match="Cannot flatten"):
        loaded.features.flatten()


def test_a_map_may_pass_recordings_on(file: str) -> None:
    dataset = Dataset.from_dict({"audio": [file]}).cast_column("audio", Audio())
    made = dataset.map(lambda row: {"audio": row["audio"], "size": len(row["audio"]["array"])})
    assert made.features["audio"] == Audio() and made[0]["size"] == 4000
    new = dataset.map(lambda row: {"copy": row["audio"]}, remove_columns=["audio"])
    assert new.features == Features({"copy": Audio()}) and np.array_equal(new[0]["copy"]["array"], tone())


def test_raw_samples_of_16_bits_need_their_rate(tmp_path: Path) -> None:
    path = tmp_path / "raw.pcm"
    (tone() * 32767).astype("<i2").tofile(path)
    stored = Audio().encode_example({"path": str(path), "sampling_rate": 8000})
    assert np.allclose(soundfile.read(io.BytesIO(stored["bytes"]))[0], tone(), atol=1e-4)
    with pytest.raises(KeyError, match="sampling_rate"):
        Audio().encode_example({"path": str(path)})
    with pytest.raises(ValueError, match="sampling_rate"):
        Audio().encode_example({"array": tone()})
