"""UNets, autoencoders and ControlNets beside `diffusers` 0.42.1: what they give, their files, and their sizes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from enfold import diffusers
from enfold.checkpoints import without_weights
from enfold.peft import LoraConfig
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
SD3: dict[str, Any] = {"num_layers": 24, "num_attention_heads": 24, "caption_projection_dim": 1536}
SD35 = {**SD3, "pos_embed_max_size": 384, "dual_attention_layers": tuple(range(13)), "qk_norm": "rms_norm"}
SIZES = [
    ("UNet2DConditionModel", STABLE, 686, 859_520_964),
    ("UNet2DConditionModel", XL, 1680, 2_567_463_684),
    ("AutoencoderKL", AUTOENCODER, 248, 83_653_863),
    ("ControlNetModel", STABLE, 340, 361_279_120),
    ("UNet2DModel", DDPM, 450, 113_673_219),
    # Stable Diffusion 3 and 3.5 medium, FLUX.1 dev and schnell
    ("SD3Transformer2DModel", {**SD3, "pos_embed_max_size": 192}, 683, 2_028_328_000),
    ("SD3Transformer2DModel", SD35, 909, 2_243_171_520),
    ("FluxTransformer2DModel", {"guidance_embeds": True}, 1160, 11_901_408_320),
    ("FluxTransformer2DModel", {}, 1156, 11_891_178_560),
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


@pytest.mark.parametrize("name", ["unet", "sd3_dual", "flux"])
def test_gradients_are_those_without_checkpointing(folder: Path, name: str) -> None:
    model = getattr(diffusers, cases.CASES[name][0]).from_pretrained(folder / name).train()
    given = cases.inputs(name)
    model(**given).sample.square().mean().backward()
    plain = {name: weight.grad.clone() for name, weight in model.named_parameters()}
    model.zero_grad()
    model.enable_gradient_checkpointing()
    assert model.is_gradient_checkpointing
    model(**given).sample.square().mean().backward()
    assert all(torch.allclose(weight.grad, plain[name], atol=1e-6) for name, weight in model.named_parameters())


@pytest.mark.parametrize("name", ["sd3_dual", "flux"])
def test_transformers_fuse_projections_and_leave_out_blocks(folder: Path, name: str) -> None:
    model = getattr(diffusers, cases.CASES[name][0]).from_pretrained(folder / name)
    given = cases.inputs(name)
    with torch.no_grad():
        plain = model(**given).sample
        model.fuse_qkv_projections()
        assert torch.allclose(model(**given).sample, plain, atol=1e-5)
        model.unfuse_qkv_projections()
        model.set_default_attn_processor()
        assert torch.equal(model(**given).sample, plain)
        if name == "sd3_dual":
            assert not torch.allclose(model(**given, skip_layers=[1]).sample, plain, atol=1e-3)


def test_adapters_of_a_transformer_are_weighed_by_scale(folder: Path) -> None:
    model = diffusers.FluxTransformer2DModel.from_pretrained(folder / "flux")
    given = cases.inputs("flux")
    layers = ["to_q", "add_k_proj", "proj_mlp"]
    with torch.no_grad():
        plain = model(**given).sample
        model.add_adapter(LoraConfig(r=2, lora_alpha=4, target_modules=layers, init_lora_weights=False))
        assert not torch.allclose(model(**given).sample, plain, atol=1e-3)
        off = model(**given, joint_attention_kwargs={"scale": 0.0}).sample
    torch.testing.assert_close(off, plain, atol=1e-5, rtol=1e-5)  # a plain layer's sums may be made in another order


def test_a_file_without_places_gets_them(folder: Path, tmp_path: Path) -> None:
    weights = load_file(folder / "sd3" / "diffusion_pytorch_model.safetensors")
    places = weights.pop("pos_embed.pos_embed")
    (tmp_path / "config.json").write_text((folder / "sd3" / "config.json").read_text())
    save_file(weights, tmp_path / "diffusion_pytorch_model.safetensors")
    model, report = diffusers.SD3Transformer2DModel.from_pretrained(tmp_path, output_loading_info=True)
    assert report["missing_keys"] == ["pos_embed.pos_embed"]
    assert torch.equal(model.pos_embed.pos_embed, places)
    assert all(torch.equal(model.state_dict()[name], value) for name, value in weights.items())


def test_transformers_name_what_does_not_fit(folder: Path) -> None:
    sd3 = diffusers.SD3Transformer2DModel.from_pretrained(folder / "sd3")
    given = cases.inputs("sd3")
    with pytest.raises(ValueError, match=r"26 by 8; expected multiples of 2, 24 at most"):
        sd3(**{**given, "hidden_states": torch.zeros(2, 4, 26, 8)})
    flux = diffusers.FluxTransformer2DModel.from_pretrained(folder / "flux_guided")
    with pytest.raises(ValueError, match="wants guidance"):
        flux(**{**cases.inputs("flux_guided"), "guidance": None})
    with pytest.raises(ValueError, match="rms_norm"):
        diffusers.SD3Transformer2DModel(**{**cases.SD3, "qk_norm": "rms_nrm"})
    with pytest.raises(ValueError, match="axes_dims_rope adds up to 12; expected 16"):
        diffusers.FluxTransformer2DModel(**{**cases.FLUX, "axes_dims_rope": (4, 4, 4)})


def test_a_new_controlnet_of_a_unet_changes_nothing(folder: Path) -> None:
    unet = diffusers.UNet2DConditionModel.from_pretrained(folder / "unet")
    control = diffusers.ControlNetModel.from_unet(unet)
    given = cases.inputs("unet")
    with torch.no_grad():
        added = control(**given, controlnet_cond=torch.rand(2, 3, 64, 64))
        down, mid = added.down_block_res_samples, added.mid_block_res_sample
        same = unet(**given, down_block_additional_residuals=down, mid_block_additional_residual=mid).sample
        plain = unet(**given).sample
    torch.testing.assert_close(same, plain, atol=1e-5, rtol=1e-5)  # the sums may be made in another order
    assert torch.equal(control.down_blocks[0].resnets[0].conv1.weight, unet.down_blocks[0].resnets[0].conv1.weight)
