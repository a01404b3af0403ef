"""Single files and adapters of FLUX.1 and Stable Diffusion 3 in the first published layouts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from enfold.checkpoints import CheckpointError
from enfold.diffusers import FluxTransformer2DModel, SD3Transformer2DModel
from enfold.diffusers.loaders.lora_keys import LoraMismatch, sorted_by_layer
from enfold.diffusers.loaders.single_file import taken_from
from parity import first_layouts

FLUX = {"in_channels": 8, "num_layers": 2, "num_single_layers": 2, "attention_head_dim": 128, "num_attention_heads": 1}
FLUX |= {"joint_attention_dim": 12, "pooled_projection_dim": 10, "guidance_embeds": True, "out_channels": 4}
SD3 = {"in_channels": 4, "num_layers": 3, "attention_head_dim": 64, "num_attention_heads": 2, "out_channels": 4}
SD3 |= {"joint_attention_dim": 12, "caption_projection_dim": 128, "pooled_projection_dim": 10, "pos_embed_max_size": 6}
KINDS: dict[str, tuple[Any, dict[str, Any]]] = {
    "flux": (FluxTransformer2DModel, FLUX),
    "sd3": (SD3Transformer2DModel, SD3),
    "sd3_dual": (SD3Transformer2DModel, {**SD3, "qk_norm": "rms_norm", "dual_attention_layers": (0, 1)}),
}


def made(name: str) -> Any:
    """A small transformer with weights of its own."""
    torch.manual_seed(3)
    kind, config = KINDS[name]
    model = kind(**config).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_()
    return model


@pytest.mark.parametrize("name", KINDS)
def test_a_transformer_is_read_from_one_file_with_the_shapes_it_has(name: str, tmp_path: Path) -> None:
    model = made(name)
    save_file(first_layouts.transformer(model.state_dict(), name.removesuffix("_dual")), tmp_path / "one.safetensors")
    read = type(model).from_single_file(tmp_path / "one.safetensors")
    for key in KINDS[name][1]:
        assert getattr(read.config, key) == getattr(model.config, key), key
    own = model.state_dict()
    assert read.state_dict().keys() == own.keys()
    assert all(torch.equal(tensor, own[key]) for key, tensor in read.state_dict().items())


def test_heads_of_another_width_need_a_configuration(tmp_path: Path) -> None:
    torch.manual_seed(0)
    small = {**FLUX, "attention_head_dim": 16, "axes_dims_rope": (4, 6, 6)}
    model = FluxTransformer2DModel(**small)
    model.save_pretrained(tmp_path / "folder")
    state = first_layouts.transformer(model.state_dict(), "flux")
    with pytest.raises(CheckpointError, match=r"16 wide.*config="):
        FluxTransformer2DModel.from_single_file(state)
    read = FluxTransformer2DModel.from_single_file(state, config=tmp_path / "folder")
    assert torch.equal(read.proj_out.weight, model.proj_out.weight)
    with pytest.raises(CheckpointError, match="no SD3Transformer2DModel of the first layout"):
        SD3Transformer2DModel.from_single_file(state)
    del state["model.diffusion_model.single_blocks.1.linear1.weight"]
    with pytest.raises(CheckpointError, match=r"single_blocks\.1\.linear1\.weight: not in the file"):
        FluxTransformer2DModel.from_single_file(state, config=tmp_path / "folder")


def test_the_second_text_encoder_is_read_in_openclips_layout() -> None:
    from enfold.transformers import CLIPTextConfig, CLIPTextModelWithProjection

    torch.manual_seed(1)
    shape = {"vocab_size": 40, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2}
    more = {"num_attention_heads": 2, "max_position_embeddings": 9, "projection_dim": 16, "hidden_act": "gelu"}
    model = CLIPTextModelWithProjection(CLIPTextConfig(**shape, **more)).eval()
    state = model.state_dict()
    read = taken_from(first_layouts.open_clip(state), model)
    assert read.keys() == state.keys()
    assert all(torch.equal(tensor, state[key]) for key, tensor in read.items())


FUSED = {
    "flux": [
        ("double_blocks.1.img_attn.qkv", [f"transformer_blocks.1.attn.to_{x}" for x in "qkv"]),
        ("double_blocks.0.txt_attn.qkv", [f"transformer_blocks.0.attn.add_{x}_proj" for x in "qkv"]),
        ("double_blocks.0.img_mlp.0", ["transformer_blocks.0.ff.net.0.proj"]),
        (
            "single_blocks.1.linear1",
            [*(f"single_transformer_blocks.1.attn.to_{x}" for x in "qkv"), "single_transformer_blocks.1.proj_mlp"],
        ),
    ],
    "sd3": [
        ("joint_blocks.1.x_block.attn.qkv", [f"transformer_blocks.1.attn.to_{x}" for x in "qkv"]),
        ("joint_blocks.0.context_block.attn.qkv", [f"transformer_blocks.0.attn.add_{x}_proj" for x in "qkv"]),
        ("joint_blocks.0.x_block.mlp.fc2", ["transformer_blocks.0.ff.net.2"]),
    ],
}


@pytest.mark.parametrize("form", ["kohya", "first", "first_prefixed"])
@pytest.mark.parametrize("name", FUSED)
def test_one_layer_of_the_first_layout_adapts_several(name: str, form: str) -> None:
    model = made(name)
    generator = torch.Generator().manual_seed(1)
    tensors, expected = {}, {}
    for layer, paths in FUSED[name]:
        sizes = [model.get_submodule(path).out_features for path in paths]
        down = torch.randn(2, model.get_submodule(paths[0]).in_features, generator=generator)
        up = torch.randn(sum(sizes), 2, generator=generator)
        if form == "kohya":
            start, ends = f"lora_unet_{layer}".replace(".", "_"), ("lora_down", "lora_up")
            tensors[f"{start}.alpha"] = torch.tensor(4.0)
        else:
            start, ends = ("diffusion_model." if form == "first_prefixed" else "") + layer, ("lora_A", "lora_B")
        tensors |= {f"{start}.{ends[0]}.weight": down, f"{start}.{ends[1]}.weight": up}
        for path, rows in zip(paths, up.split(sizes), strict=True):
            expected[path] = (down, rows)
    layers, lost = sorted_by_layer(tensors, {"transformer": model})
    assert lost == [] and layers["transformer"].keys() == expected.keys()
    for path, factors in layers["transformer"].items():
        assert torch.equal(factors.parts["A"], expected[path][0]) and torch.equal(factors.parts["B"], expected[path][1])
        assert factors.alpha == (4.0 if form == "kohya" else None) and factors.rank == 2


def test_an_adapter_for_another_transformer_names_what_does_not_fit() -> None:
    tensors = {"double_blocks.0.img_attn.qkv.lora_A.weight": torch.zeros(2, 64)}
    tensors["double_blocks.0.img_attn.qkv.lora_B.weight"] = torch.zeros(384, 2)
    with pytest.raises(LoraMismatch, match=r"qkv\.lora_A\.weight: \(2, 64\) in the file, \(2, 128\) in the model"):
        sorted_by_layer(tensors, {"transformer": made("flux")})
