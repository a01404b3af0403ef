"""UNets, autoencoders and ControlNets beside `diffusers` 0.42.1: what they give, their files, and their sizes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from enfold import diffusers
from enfold.checkpoints import without_weights
from parity import diffusion_cases as cases

pytestmark = pytest.mark.peer

PEER = """
import json, sys, warnings
warnings.filterwarnings("ignore")
sys.path.insert(0, sys.argv[1])
from pathlib import Path
import diffusers
from parity import diffusion_cases as cases
cases.everything(diffusers, Path(sys.argv[2]))
print(json.dumps(True))
"""

STABLE: dict[str, Any] = {"cross_attention_dim": 768}
XL: dict[str, Any] = {
    **cases.SDXL,
    "norm_num_groups": 32,
    "block_out_channels": (320, 640, 1280),
    "attention_head_dim": (5, 10, 20),
    "cross_attention_dim": 2048,
    "transformer_layers_per_block": (1, 2, 10),
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}
AUTOENCODER: dict[str, Any] = {
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "block_out_channels": (128, 256, 512, 512),
    "layers_per_block": 2,
}
DDPM: dict[str, Any] = {
    "block_out_channels": (128, 128, 256, 256, 512, 512),
    "down_block_types": ("DownBlock2D",) * 4 + ("AttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "AttnUpBlock2D") + ("UpBlock2D",) * 4,
    "attention_head_dim": None,
}
SIZES = [
    ("UNet2DConditionModel", STABLE, 686, 859_520_964),
    ("UNet2DConditionModel", XL, 1680, 2_567_463_684),
    ("AutoencoderKL", AUTOENCODER, 248, 83_653_863),
    ("ControlNetModel", STABLE, 340, 361_279_120),
    ("UNet2DModel", DDPM, 450, 113_673_219),
]


@pytest.fixture(scope="module")
def folder(peer: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("diffusion")
    peer(PEER, Path(__file__).resolve().parents[1], made)
    return made


@pytest.mark.parametrize("name", cases.CASES)
def test_a_peers_folder_gives_what_the_peer_gives(folder: Path, tmp_path: Path, name: str) -> None:
    kind = getattr(diffusers, cases.CASES[name][0])
    model, report = kind.from_pretrained(folder / name, output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"]
    expected = load_file(folder / f"{name}.safetensors")
    found = cases.outputs(model, name)
    assert len(found) == len(expected)
    for index, value in enumerate(found):
        reference = expected[str(index)]
        assert value.shape == reference.shape
        assert (value - reference).abs().max() <= 1e-5 * reference.abs().max().clamp(min=1)
    # and back: the same tensors under the same names, and the same configuration
    model.save_pretrained(tmp_path)
    ours, theirs = (load_file(where / "diffusion_pytorch_model.safetensors") for where in (tmp_path, folder / name))
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in theirs)
    written, read = (json.loads((where / "config.json").read_text()) for where in (tmp_path, folder / name))
    assert {**written, "_name_or_path": None} == {**read, "_name_or_path": None}


@pytest.mark.parametrize(("kind", "config", "tensors", "numbers"), SIZES)
def test_published_models_have_their_published_sizes(kind: str, config: Any, tensors: int, numbers: int) -> None:
    with without_weights():
        model = getattr(diffusers, kind)(**config)
    assert (len(model.state_dict()), model.num_parameters()) == (tensors, numbers)


def test_gradients_are_those_without_checkpointing(folder: Path) -> None:
    model = diffusers.UNet2DConditionModel.from_pretrained(folder / "unet").train()
    given = cases.inputs("unet")
    model(**given).sample.square().mean().backward()
    plain = {name: weight.grad.clone() for name, weight in model.named_parameters()}
    model.zero_grad()
    model.enable_gradient_checkpointing()
    assert model.is_gradient_checkpointing
    model(**given).sample.square().mean().backward()
    assert all(torch.allclose(weight.grad, plain[name], atol=1e-6) for name, weight in model.named_parameters())


def test_a_new_controlnet_of_a_unet_changes_nothing(folder: Path) -> None:
    unet = diffusers.UNet2DConditionModel.from_pretrained(folder / "unet")
    control = diffusers.ControlNetModel.from_unet(unet)
    given = cases.inputs("unet")
    with torch.no_grad():
        added = control(**given, controlnet_cond=torch.rand(2, 3, 64, 64))
        down, mid = added.down_block_res_samples, added.mid_block_res_sample
        same = unet(**given, down_block_additional_residuals=down, mid_block_additional_residual=mid).sample
    assert torch.equal(same, unet(**given).sample)
    assert torch.equal(control.down_blocks[0].resnets[0].conv1.weight, unet.down_blocks[0].resnets[0].conv1.weight)
