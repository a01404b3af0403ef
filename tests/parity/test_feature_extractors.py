"""What models hear, beside transformers': the same recordings, the same features."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import enfold.transformers as tf
from enfold.transformers.audio import spectrogram
from parity.extractor_cases import CASES, features, spectra

pytestmark = pytest.mark.peer

HERE = Path(__file__).resolve().parent

SCRIPT = """
import json, os, sys
sys.path.insert(0, sys.argv[1])
import numpy, transformers
from transformers import audio_utils
from extractor_cases import CASES, features, spectra
arrays = {f"{name}|{key}": value for name in CASES for key, value in features(transformers, name).items()}
arrays |= {f"spectrum|{key}": value for key, value in spectra(audio_utils).items()}
for name, (kind, settings, _, _) in CASES.items():
    getattr(transformers, kind)(**settings).save_pretrained(os.path.join(sys.argv[2], name))
numpy.savez(os.environ["PEER_NPZ"], **arrays)
print(json.dumps({}))
"""


@pytest.fixture(scope="module")
def peers(peer: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The settings that the peer wrote, and its features."""
    folder = tmp_path_factory.mktemp("extractors")
    return folder, peer(SCRIPT, HERE, folder)


@pytest.mark.parametrize("name", CASES)
def test_features_are_the_same(peers: Any, name: str) -> None:
    found = features(tf, name)
    wanted = {key.split("|")[1]: value for key, value in peers[1].items() if key.startswith(f"{name}|")}
    assert set(found) == set(wanted)
    for key, value in found.items():
        assert value.shape == wanted[key].shape, key
        np.testing.assert_allclose(value, wanted[key], rtol=1e-4, atol=1e-4, err_msg=key)


def test_spectrograms_filters_and_windows_are_the_same(peers: Any) -> None:
    for name, value in spectra(spectrogram).items():
        np.testing.assert_allclose(value, peers[1][f"spectrum|{name}"], rtol=1e-5, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("name", CASES)
def test_settings_of_the_peer_are_read_and_written(peers: Any, name: str, tmp_path: Path) -> None:
    kind, settings, _, _ = CASES[name]
    read = tf.AutoFeatureExtractor.from_pretrained(peers[0] / name)
    assert type(read).__name__ == kind
    assert read == getattr(tf, kind)(**settings)
    read.save_pretrained(tmp_path)
    assert getattr(tf, kind).from_pretrained(tmp_path) == read
