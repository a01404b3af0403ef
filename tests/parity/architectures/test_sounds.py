"""Models of sound, beside transformers'."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import enfold.transformers as tf
from parity.architectures.comparing import HERE, Comparison
from parity.architectures.harness import build
from parity.architectures.sounds import CASES, PIECES, music


class TestSounds(Comparison):
    """EnCodec and what is made of it."""

    group = "sounds"


MAKES = """
import json, os, sys
sys.path.insert(0, sys.argv[1])
import numpy, torch, transformers
from parity.architectures.sounds import PIECES, music
torch.set_num_threads(1)
made = {name: music(transformers, sys.argv[2], options) for name, options in PIECES.items()}
numpy.savez(os.environ["PEER_NPZ"], **made)
print(json.dumps({}))
"""


@pytest.mark.peer
def test_the_same_music_is_made(peer: Callable[..., Any], tmp_path: Path) -> None:
    build(tf, CASES["musicgen"]).save_pretrained(tmp_path)
    peers = peer(MAKES, HERE.parent.parent, tmp_path)
    for name, options in PIECES.items():
        made = music(tf, str(tmp_path), options)
        assert made.shape == peers[name].shape, name
        np.testing.assert_allclose(made, peers[name], rtol=1e-4, atol=1e-5, err_msg=name)


def test_music_is_made_of_nothing() -> None:
    model = build(tf, CASES["musicgen"]).eval()
    given = model.get_unconditional_inputs(num_samples=2)
    sound = model.generate(**given, max_new_tokens=9, do_sample=True, pad_token_id=16, decoder_start_token_id=16)
    assert sound.shape[:2] == (2, 1) and torch.isfinite(sound).all()
