"""Pipelines beside `diffusers` 0.42.1: the same pictures from the same folders, and folders back."""

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
from enfold.errors import EnfoldError
from parity import painting_cases as cases

pytestmark = pytest.mark.peer
HERE = Path(__file__).resolve().parents[1]

PEER = """
import json, sys, warnings
warnings.filterwarnings("ignore")
sys.path[:0] = [sys.argv[1], sys.argv[1] + "/fixture_hub"]
from pathlib import Path
import diffusers
diffusers.utils.logging.set_verbosity_error()
from parity import painting_cases as cases
cases.everything(diffusers, Path(sys.argv[2]), Path(sys.argv[3]))
print(json.dumps(True))
"""


@pytest.fixture(scope="module")
def folder(peer: Callable[..., Any], fixture_repositories: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("painting")
    peer(PEER, HERE, fixture_repositories.parent / "packages", made, variables={"HF_HUB_OFFLINE": "0"})
    return made


@pytest.fixture(scope="module")
def painted(folder: Path) -> dict[str, Any]:
    with np.load(folder / "painted.npz") as arrays:
        return dict(arrays)


@pytest.fixture
def pipe(folder: Path) -> Any:
    made = diffusers.StableDiffusionPipeline.from_pretrained(folder / "sd")
    made.set_progress_bar_config(disable=True)
    return made


@pytest.mark.parametrize("name", cases.CASES)
def test_every_picture_is_the_peers(folder: Path, painted: dict[str, Any], name: str) -> None:
    found = cases.paint(diffusers, folder, name)
    assert found.shape == painted[name].shape
    tolerance = 1e-4 if cases.CASES[name][2].get("output_type") != "pil" else 1.01 / 255
    assert np.abs(found - painted[name]).max() <= tolerance * max(1, np.abs(painted[name]).max())


def test_pictures_from_noise_alone_are_the_peers(folder: Path, painted: dict[str, Any]) -> None:
    for name, found in cases.unconditional(diffusers, folder).items():
        assert np.abs(found - painted[name]).max() <= 1e-4, name


def test_a_folder_goes_back_as_it_came(folder: Path, tmp_path: Path, pipe: Any) -> None:
    pipe.save_pretrained(tmp_path)
    ours, theirs = (json.loads((place / "model_index.json").read_text()) for place in (tmp_path, folder / "sd"))
    theirs["feature_extractor"] = ours["feature_extractor"]  # without torchvision it is called …Pil there
    assert ours == theirs
    for place in ("unet", "vae"):
        mine, yours = (
            load_file(one / place / "diffusion_pytorch_model.safetensors") for one in (tmp_path, folder / "sd")
        )
        assert mine.keys() == yours.keys() and all(torch.equal(mine[key], yours[key]) for key in yours)
    text = load_file(tmp_path / "text_encoder" / "model.safetensors")
    assert all(name.startswith("text_model.") for name in text)
    again = diffusers.DiffusionPipeline.from_pretrained(tmp_path)
    assert type(again) is diffusers.StableDiffusionPipeline


def test_components_make_other_pipelines(pipe: Any, folder: Path) -> None:
    image = diffusers.StableDiffusionImg2ImgPipeline(**pipe.components)
    assert image.unet is pipe.unet and set(image.components) == set(pipe.components)
    assert diffusers.StableDiffusionInpaintPipeline.from_pipe(pipe).vae is pipe.vae
    control = diffusers.ControlNetModel.from_unet(pipe.unet)
    with pytest.raises(PipelineError, match="has no 'controlnet'"):
        diffusers.StableDiffusionControlNetPipeline.from_pipe(pipe)
    assert diffusers.StableDiffusionControlNetPipeline.from_pipe(pipe, controlnet=control).controlnet is control
    pipe.scheduler = diffusers.DDIMScheduler()
    assert pipe.config.scheduler == ("diffusers", "DDIMScheduler")


def test_callbacks_see_and_change_each_step(pipe: Any) -> None:
    seen: list[Any] = []

    def look(pipeline: Any, step: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        seen.append((step, int(timestep), sorted(tensors)))
        pipeline._interrupt = step == 2
        return {"latents": tensors["latents"] * 0}

    call = {"num_inference_steps": 8, "height": 64, "width": 64, "output_type": "latent"}
    names = ["latents", "prompt_embeds"]
    found = pipe("a cat", **call, callback_on_step_end=look, callback_on_step_end_tensor_inputs=names).images
    assert [step for step, _, _ in seen] == [0, 1, 2] and seen[0][2] == names
    assert not found.any()
    old: list[int] = []
    pipe("a cat", **call, callback=lambda step, timestep, latents: old.append(step), callback_steps=2)
    assert old == [2, 4, 6, 8]  # PNDM's first timestep is only half a step


def test_the_safety_checker_blackens_what_it_finds(pipe: Any) -> None:
    call = {"num_inference_steps": 2, "height": 64, "width": 64, "output_type": "np"}
    assert pipe("a cat", **call).nsfw_content_detected == [False]
    pipe.safety_checker.concept_embeds_weights.data.fill_(-2.0)
    found = pipe("a cat", **call)
    assert found.nsfw_content_detected == [True] and not found.images.any()


def test_a_pipeline_says_what_is_wrong(pipe: Any, folder: Path, tmp_path: Path) -> None:
    import shutil

    with pytest.raises(PipelineError, match=r"latents are \(1, 4, 9, 9\); 1 pictures of 64 × 64 need \(1, 4, 8, 8\)"):
        pipe("a cat", height=64, width=64, latents=torch.zeros(1, 4, 9, 9))
    with pytest.raises(PipelineError, match="expected multiples of 8"):
        pipe("a cat", height=65, width=64)
    with pytest.raises(PipelineError, match="either a prompt or prompt_embeds"):
        pipe()
    with pytest.raises(PipelineError, match="takes no 'guidance_scal'; did you mean 'guidance_scale'"):
        pipe("a cat", guidance_scal=3)
    if not torch.cuda.is_available():
        with pytest.raises(PipelineError, match=r"no 'cuda' device here; use pipe.to\(\"cpu\"\)"):
            pipe.to("cuda")
    broken = tmp_path / "broken"
    shutil.copytree(folder / "sd", broken)
    shutil.rmtree(broken / "vae")
    with pytest.raises(EnfoldError, match=r"no folder 'vae', though its model_index\.json names a AutoencoderKL"):
        diffusers.StableDiffusionPipeline.from_pretrained(broken)
    given = diffusers.StableDiffusionPipeline.from_pretrained(broken, vae=pipe.vae, safety_checker=None)
    assert given.vae is pipe.vae and given.safety_checker is None
    with pytest.raises(PipelineError, match="takes no 'unett'; did you mean 'unet'"):
        diffusers.StableDiffusionPipeline.from_pretrained(folder / "sd", unett=None)
