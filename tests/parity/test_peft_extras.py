"""Adapters on torch's attention, deeper models of the same weights, and LoRA+, with files that go both ways."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft_cases import write_bases
from peft_extras import read, steps, write
from safetensors.torch import load_file

import enfold.peft as peft
import enfold.transformers as transformers

pytestmark = pytest.mark.peer

PEER = """
import json, os, sys, warnings
warnings.simplefilter("ignore")
sys.path.insert(0, sys.argv[2])
import numpy, torch, transformers, peft, peft.optimizers
import peft_extras as extras
torch.set_num_threads(1)
folder = sys.argv[1]
arrays = {f"read|{name}": value.numpy() for name, value in extras.read(peft, transformers, folder, "ours").items()}
arrays |= {f"made|{name}": value.numpy() for name, value in extras.write(peft, transformers, folder, "theirs").items()}
arrays["steps"] = extras.steps(peft, transformers, folder).numpy()
numpy.savez(os.environ["PEER_NPZ"], **arrays)
print(json.dumps({}))
"""


def test_files_go_both_ways_and_steps_are_the_same(peer: Callable[..., Any], tmp_path: Path) -> None:
    write_bases(transformers, tmp_path)
    made = write(peft, transformers, str(tmp_path), "ours")
    theirs = peer(PEER, tmp_path, Path(__file__).parent)
    found = read(peft, transformers, str(tmp_path), "theirs")
    for name, value in made.items():
        torch.testing.assert_close(value, torch.from_numpy(theirs[f"read|{name}"]), atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(found[name], torch.from_numpy(theirs[f"made|{name}"]), atol=1e-5, rtol=1e-5)
        files = [load_file(tmp_path / f"{side}-{name}" / "adapter_model.safetensors") for side in ("ours", "theirs")]
        shapes = [{key: tensor.shape for key, tensor in file.items()} for file in files]
        assert shapes[0] == shapes[1]
    torch.testing.assert_close(found["mha merged"], found["mha"], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(
        steps(peft, transformers, str(tmp_path)), torch.from_numpy(theirs["steps"]), atol=1e-4, rtol=1e-4
    )
