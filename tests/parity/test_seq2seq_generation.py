"""What encoder-decoders write beside transformers': the same tokens, greedily, under a seed, and with beams."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import enfold.transformers as tf
from parity.architectures.harness import build
from parity.architectures.seq2seq import CASES
from parity.seq2seq_generation_cases import MODELS, RUNS, generated

pytestmark = pytest.mark.peer

HERE = Path(__file__).resolve().parent


@pytest.fixture(scope="module")
def both(peer: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Checkpoints, and what the peer did with them."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("models")
    for case in MODELS:
        build(tf, CASES[case]).save_pretrained(folder / case)
    return folder, peer(HERE / "peer_seq2seq_generation.py", folder, HERE)


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("model_name", MODELS)
def test_the_same_tokens_are_written(both: Any, model_name: str, run: str) -> None:
    folder, peers = both
    model = getattr(tf, MODELS[model_name]).from_pretrained(folder / model_name)
    found = generated(model, RUNS[run])
    prefix = f"{model_name}|{run}|"
    expected = {name.removeprefix(prefix): value for name, value in peers.items() if name.startswith(prefix)}
    assert set(found) == set(expected)
    for name, value in found.items():
        if name in ("sequences", "beam_indices"):
            np.testing.assert_array_equal(value, expected[name], err_msg=name)
        else:
            np.testing.assert_allclose(value, expected[name], rtol=1e-4, atol=1e-4, err_msg=name)
