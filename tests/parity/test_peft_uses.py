"""Adapters in use: combined, mixed in one batch, generating, losing ranks, of several kinds at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft_cases import fill, load_base, logits, write_bases
from peft_uses import COMBINATIONS, PROMPTS, QV, WAYS, uses

import enfold.peft as peft
import enfold.transformers as transformers

pytestmark = pytest.mark.peer

PEER = """
import json, os, sys, warnings
warnings.simplefilter("ignore")
sys.path.insert(0, sys.argv[2])
import numpy, torch, transformers, peft
import peft_cases as cases, peft_uses
torch.set_num_threads(1)
folder = sys.argv[1]
load = lambda base: cases.load_base(transformers, folder, base)
found = peft_uses.uses(peft, load)
for name, seed, rank in (("first", 7, 4), ("second", 8, 2)):
    model = peft.get_peft_model(load("llama"), peft.LoraConfig(r=rank, **peft_uses.QV))
    cases.fill(model, seed)
    model.save_pretrained(f"{folder}/swap-{name}")
    found[f"swap|{name}"] = cases.logits(model)
numpy.savez(os.environ["PEER_NPZ"], **{name: tensor.numpy() for name, tensor in found.items()})
print(json.dumps({}))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("uses")
    write_bases(transformers, folder)
    return folder


@pytest.fixture(scope="module")
def load(folder: Path) -> Callable[[str], Any]:
    return lambda base: load_base(transformers, folder, base)


@pytest.fixture(scope="module")
def ours(load: Callable[[str], Any]) -> dict[str, torch.Tensor]:
    return uses(peft, load)


@pytest.fixture(scope="module")
def theirs(peer: Callable[..., Any], folder: Path) -> Any:
    return peer(PEER, folder, Path(__file__).parent)


def same(ours: dict[str, torch.Tensor], theirs: Any, name: str, room: float = 2e-5) -> None:
    torch.testing.assert_close(ours[name], torch.from_numpy(theirs[name]), atol=room, rtol=room)


@pytest.mark.parametrize("kind", COMBINATIONS)
def test_combinations_are_the_same(kind: str, ours: Any, theirs: Any) -> None:
    same(ours, theirs, f"combined|{kind}", 1e-4)


@pytest.mark.parametrize("name", ["rows", "rows|generated", "both", "both|merged", "neither", "kinds", "kinds|merged"])
def test_mixed_rows_and_mixed_kinds_are_the_same(name: str, ours: Any, theirs: Any) -> None:
    same(ours, theirs, name)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", PROMPTS)
def test_generation_after_a_prompt_is_the_same(name: str, way: str, ours: Any, theirs: Any) -> None:
    key = f"generated|{name}|{way}"
    assert ours[key].tolist() == theirs[key].tolist()


def test_the_same_ranks_go_at_the_same_steps(ours: Any, theirs: Any) -> None:
    names = [name for name in ours if name.startswith("ranks|")]
    assert names == [name for name in theirs if str(name).startswith("ranks|")] and len(names) == 13
    for name in names:
        same(ours, theirs, name, 1e-4)


def test_a_swapped_adapter_computes_as_if_it_had_been_loaded(
    folder: Path, load: Callable[[str], Any], theirs: Any
) -> None:
    model = peft.PeftModel.from_pretrained(load("llama"), folder / "swap-first")
    before = {name: id(part) for name, part in model.named_parameters()}
    for name in ("second", "first"):
        peft.hotswap_adapter(model, folder / f"swap-{name}", "default")
        torch.testing.assert_close(logits(model), torch.from_numpy(theirs[f"swap|{name}"]), atol=1e-5, rtol=1e-5)
    assert before == {name: id(part) for name, part in model.named_parameters()}


def test_an_adapter_made_otherwise_is_not_swapped(folder: Path, load: Callable[[str], Any], tmp_path: Path) -> None:
    model = peft.get_peft_model(load("llama"), peft.LoraConfig(r=4, use_rslora=True, **QV))
    fill(model, 1)
    model.save_pretrained(tmp_path)
    small = peft.get_peft_model(load("llama"), peft.LoraConfig(r=4, **QV))
    with pytest.raises(ValueError, match="use_rslora"):
        peft.hotswap_adapter(small, tmp_path, "default")
