"""Adapters that are told more than ids: the task of each row, and what a token is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft_cases import write_bases
from peft_tasks import CASES, made, read

import enfold.peft as peft
import enfold.transformers as transformers

pytestmark = pytest.mark.peer

PEER = """
import os, sys, warnings
warnings.simplefilter("ignore")
sys.path.insert(0, sys.argv[2])
import numpy, torch, transformers, peft
import peft_tasks as tasks
torch.set_num_threads(1)
folder, found = sys.argv[1], {}
for name, (_, _, _, outputs) in tasks.CASES.items():
    model = tasks.made(transformers, peft, folder, name)
    model.save_pretrained(f"{folder}/theirs-{name}")
    both = {side: tasks.read(transformers, peft, folder, name, side) for side in ("ours", "theirs")}
    for side, model in {"made": model, **both}.items():
        found.update({f"{name}|{side}|{key}": value.numpy() for key, value in outputs(model).items()})
numpy.savez(os.environ["PEER_NPZ"], **found)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tasks")
    write_bases(transformers, folder)
    for name in CASES:
        made(transformers, peft, folder, name).save_pretrained(folder / f"ours-{name}")
    return folder


@pytest.fixture(scope="module")
def theirs(peer: Callable[..., Any], folder: Path) -> Any:
    return peer(PEER, folder, Path(__file__).parent)


@pytest.mark.parametrize("side", ["ours", "theirs"])
@pytest.mark.parametrize("name", CASES)
def test_files_of_either_side_compute_the_same(name: str, side: str, folder: Path, theirs: Any) -> None:
    for key, value in CASES[name][3](read(transformers, peft, folder, name, side)).items():
        torch.testing.assert_close(value, torch.from_numpy(theirs[f"{name}|{side}|{key}"]), atol=1e-5, rtol=1e-5)


def test_examples_are_held_near_where_they_began(folder: Path, theirs: Any) -> None:
    for key, value in CASES["cpt"][3](made(transformers, peft, folder, "cpt")).items():
        torch.testing.assert_close(value, torch.from_numpy(theirs[f"cpt|made|{key}"]), atol=1e-5, rtol=1e-5)
