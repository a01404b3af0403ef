"""Adapters go both ways: saved by one side and loaded by the other, they compute the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft_cases import CASES, fill, load_base, logits, settings, write_bases
from safetensors.torch import load_file

import enfold.peft as peft
import enfold.transformers as transformers

pytestmark = pytest.mark.peer

PEER = """
import contextlib, io, json, os, sys
sys.path.insert(0, sys.argv[2])
import numpy, torch, transformers, peft
import peft_cases as cases
torch.set_num_threads(1)
folder = sys.argv[1]
arrays, report = {}, {}
for name, (base, options) in cases.CASES.items():
    load = lambda: cases.load_base(transformers, folder, base)
    torch.manual_seed(5)
    model = peft.get_peft_model(load(), peft.LoraConfig(**options))
    begun = {k: v.clone() for k, v in peft.get_peft_model_state_dict(model).items()}
    for key, value in begun.items():
        arrays[f"{name}|begun|{key}"] = value.numpy()
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        model.print_trainable_parameters()
    cases.fill(model, 1)
    model.save_pretrained(f"{folder}/theirs-{name}")
    arrays[f"{name}|logits"] = cases.logits(model).numpy()
    merged = model.merge_and_unload()
    merged.save_pretrained(f"{folder}/theirs-{name}-merged")
    loaded = peft.PeftModel.from_pretrained(load(), f"{folder}/ours-{name}")
    arrays[f"{name}|ours"] = cases.logits(loaded).numpy()
    report[name] = {"printed": out.getvalue(), "settings": cases.settings(f"{folder}/theirs-{name}"),
                    "class": type(loaded).__name__}
numpy.savez(os.environ["PEER_NPZ"], **arrays)
print(json.dumps(report))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("adapters")


@pytest.fixture(scope="module")
def ours(folder: Path) -> dict[str, torch.Tensor]:
    """Our adapters, written before the other side reads them."""
    write_bases(transformers, folder)
    results = {}
    for name, (base, options) in CASES.items():
        model = peft.get_peft_model(load_base(transformers, folder, base), peft.LoraConfig(**options))
        fill(model, 2)
        model.save_pretrained(folder / f"ours-{name}")
        results[name] = logits(model)
    return results


@pytest.fixture(scope="module")
def theirs(peer: Callable[..., Any], folder: Path, ours: Any) -> Any:
    return peer(PEER, folder, Path(__file__).parent)


@pytest.mark.parametrize("name", CASES)
def test_their_adapter_computes_the_same_here(name: str, folder: Path, theirs: Any) -> None:
    model = peft.PeftModel.from_pretrained(load_base(transformers, folder, CASES[name][0]), folder / f"theirs-{name}")
    torch.testing.assert_close(logits(model), torch.from_numpy(theirs[f"{name}|logits"]), atol=1e-5, rtol=1e-5)
    assert type(model).__name__ == theirs[name]["class"]
    assert not any(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize("name", CASES)
def test_our_adapter_computes_the_same_there(name: str, ours: Any, theirs: Any) -> None:
    torch.testing.assert_close(ours[name], torch.from_numpy(theirs[f"{name}|ours"]), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_files_have_the_same_names_and_settings(name: str, folder: Path, theirs: Any) -> None:
    mine, other = (load_file(folder / f"{side}-{name}/adapter_model.safetensors") for side in ("ours", "theirs"))
    # With bias="all" the other side also writes what its wrapper of a whole module calls the same tensors.
    other = {key: tensor for key, tensor in other.items() if ".modules_to_save." not in key and ".original_" not in key}
    assert {key: tensor.shape for key, tensor in mine.items()} == {key: tensor.shape for key, tensor in other.items()}
    assert settings(str(folder / f"ours-{name}")) == theirs[name]["settings"]


@pytest.mark.parametrize("name", CASES)
def test_merged_weights_are_the_same(name: str, folder: Path, theirs: Any) -> None:
    model = peft.PeftModel.from_pretrained(load_base(transformers, folder, CASES[name][0]), folder / f"theirs-{name}")
    merged = model.merge_and_unload(safe_merge=True).state_dict()
    for key, tensor in load_file(folder / f"theirs-{name}-merged/model.safetensors").items():
        torch.testing.assert_close(merged[key], tensor, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("name", CASES)
def test_trainable_parameters_are_printed_alike(
    name: str, folder: Path, theirs: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    base, options = CASES[name]
    peft.get_peft_model(load_base(transformers, folder, base), peft.LoraConfig(**options)).print_trainable_parameters()
    assert capsys.readouterr().out == theirs[name]["printed"]


@pytest.mark.parametrize("name", CASES)
def test_the_same_seed_gives_the_same_adapter(name: str, folder: Path, theirs: Any) -> None:
    base, options = CASES[name]
    model = load_base(transformers, folder, base)
    torch.manual_seed(5)
    begun = peft.get_peft_model_state_dict(peft.get_peft_model(model, peft.LoraConfig(**options)))
    for key, tensor in begun.items():
        torch.testing.assert_close(tensor, torch.from_numpy(theirs[f"{name}|begun|{key}"]), atol=0, rtol=0)
