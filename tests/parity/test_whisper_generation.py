"""What Whisper writes beside transformers': the same tokens, segments and times."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import enfold.transformers as tf
from parity.architectures.harness import scramble
from parity.whisper_cases import CONFIG, RUNS, SETTINGS, written

pytestmark = pytest.mark.peer

HERE = Path(__file__).resolve().parent


@pytest.fixture(scope="module")
def both(peer: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A checkpoint, and what the peer wrote with it."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("whisper")
    model = tf.WhisperForConditionalGeneration(tf.WhisperConfig(**CONFIG))
    scramble(model)
    model.generation_config = tf.GenerationConfig(**SETTINGS)
    model.save_pretrained(folder)
    told = peer(HERE / "peer_whisper.py", folder, HERE)
    return folder, told


@pytest.mark.parametrize("run", RUNS)
def test_the_same_is_written(both: Any, run: str) -> None:
    folder, peers = both
    assert run not in peers, peers[run]
    found = written(tf, folder, RUNS[run])
    expected = {name.removeprefix(f"{run}|"): value for name, value in peers.items() if name.startswith(f"{run}|")}
    for name in expected:
        if name in ("sequences",) or name.endswith("tokens"):
            np.testing.assert_array_equal(found[name], expected[name], err_msg=name)
        elif name in found:
            np.testing.assert_allclose(found[name], expected[name], rtol=1e-4, atol=1e-4, err_msg=name)
    assert set(found) == set(expected)
