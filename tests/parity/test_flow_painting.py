"""Stable Diffusion 3 and FLUX.1 beside `diffusers` 0.42.1: the same pictures, and the same folders back."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from enfold import diffusers
from enfold.diffusers.pipelines.pipeline import PipelineError
from parity import flow_cases as cases

pytestmark = pytest.mark.peer
HERE = Path(__file__).resolve().parents[1]

PEER = """
import json, sys, warnings
warnings.filterwarnings("ignore")
sys.path[:0] = [sys.argv[1], sys.argv[1] + "/fixture_hub"]
from pathlib import Path
import diffusers
diffusers.utils.logging.set_verbosity_error()
from parity import flow_cases as cases
cases.everything(diffusers, Path(sys.argv[2]), Path(sys.argv[3]))
print(json.dumps(True))
"""


@pytest.fixture(scope="module")
def folder(peer: Callable[..., Any], fixture_repositories: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("flow")
    peer(PEER, HERE, fixture_repositories.parent / "packages", made, variables={"HF_HUB_OFFLINE": "0"})
    return made


@pytest.mark.parametrize("name", cases.CASES)
def test_every_picture_is_the_peers(folder: Path, name: str) -> None:
    with np.load(folder / "painted.npz") as arrays:
        expected = arrays[name]
    found = cases.paint(diffusers, folder, name)
    assert found.shape == expected.shape and expected.std() > 0.01
    assert np.abs(found - expected).max() <= 1e-4 * max(1, np.abs(expected).max())


@pytest.mark.parametrize("name", ["sd3", "sd3_without_t5", "flux"])
def test_a_folder_goes_back_as_it_came(folder: Path, tmp_path: Path, name: str) -> None:
    diffusers.AutoPipelineForText2Image.from_pretrained(folder / name).save_pretrained(tmp_path)
    ours, theirs = (json.loads((place / "model_index.json").read_text()) for place in (tmp_path, folder / name))
    for part, entry in theirs.items():  # which of a tokenizer's classes is named differs between releases
        if part.startswith("tokenizer") and entry[1]:
            assert ours.pop(part)[1].removesuffix("Fast") == entry[1].removesuffix("Fast")
    assert ours == {part: entry for part, entry in theirs.items() if part in ours}
    file = Path("transformer") / "diffusion_pytorch_model.safetensors"
    mine, yours = load_file(tmp_path / file), load_file(folder / name / file)
    assert mine.keys() == yours.keys() and all(torch.equal(mine[key], yours[key]) for key in yours)


def test_a_file_in_the_first_layout_is_the_folder(folder: Path) -> None:
    config = {"config": folder / "sd3", "subfolder": "transformer"}
    read = diffusers.SD3Transformer2DModel.from_single_file(folder / "sd3_first.safetensors", **config).state_dict()
    own = load_file(folder / "sd3" / "transformer" / "diffusion_pytorch_model.safetensors")
    assert read.keys() == own.keys() and all(torch.equal(read[key], own[key]) for key in own)


def test_an_adapter_changes_the_picture_and_leaves_nothing(folder: Path) -> None:
    plain = cases.paint(diffusers, folder, "flux")
    assert np.abs(cases.paint(diffusers, folder, "flux_peft") - plain).max() > 1e-2
    assert np.abs(cases.paint(diffusers, folder, "flux") - plain).max() <= 1e-6


def test_callbacks_change_each_step_and_stop(folder: Path) -> None:
    pipe = diffusers.FluxPipeline.from_pretrained(folder / "flux")
    pipe.set_progress_bar_config(disable=True)
    seen: list[int] = []

    def look(pipeline: Any, step: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        seen.append(step)
        pipeline._interrupt = step == 1
        return {"latents": tensors["latents"] * 0}

    call = {"height": 32, "width": 32, "num_inference_steps": 4, "output_type": "latent", "max_sequence_length": 8}
    assert not pipe("a cat", **call, callback_on_step_end=look).images.any()
    assert seen == [0, 1]


def test_what_does_not_fit_is_named(folder: Path) -> None:
    flux = diffusers.FluxPipeline.from_pretrained(folder / "flux")
    with pytest.raises(PipelineError, match="40 and 32; expected multiples of 16"):
        flux("a cat", height=40, width=32)
    with pytest.raises(PipelineError, match=r"latents are \(1, 4, 8\); expected \(1, 4, 16\)"):
        flux("a cat", height=32, width=32, latents=torch.zeros(1, 4, 8))
    with pytest.raises(PipelineError, match="need pooled_prompt_embeds"):
        flux(prompt_embeds=torch.zeros(1, 4, 32), height=32, width=32)
    sd3 = diffusers.StableDiffusion3Pipeline.from_pretrained(folder / "sd3")
    with pytest.raises(PipelineError, match="takes no 'guidance_scal'"):
        sd3("a cat", guidance_scal=3.0)
