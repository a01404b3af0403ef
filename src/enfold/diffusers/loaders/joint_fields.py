"""Configurations of FLUX.1's and Stable Diffusion 3's transformers, read off the shapes in a checkpoint of one file."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor

from enfold.checkpoints import CheckpointError

__all__ = ["fields_of_flux", "fields_of_sd3"]

LEAD = "model.diffusion_model."


def _shapes(checkpoint: Mapping[str, Tensor], first: str, kind: str) -> dict[str, tuple[int, ...]]:
    found = {name.removeprefix(LEAD): tuple(tensor.shape) for name, tensor in checkpoint.items()}
    if first not in found:
        raise CheckpointError(
            f"there is no {kind} of the first layout in the checkpoint ({first} is missing); pass config=…, a folder "
            "or a repository with its config.json"
        )
    return found


def _count(names: Iterable[str], lead: str) -> int:
    return len({name.split(".")[1] for name in names if name.startswith(lead)})


def fields_of_flux(checkpoint: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return the configuration of a ``FluxTransformer2DModel``.

    Raises:
        CheckpointError: there is none, or its heads have another width than 128, for which the split among coordinates
            does not follow from the shapes.
    """
    shapes = _shapes(checkpoint, "double_blocks.0.img_attn.norm.query_norm.scale", "FluxTransformer2DModel")
    (head,) = shapes["double_blocks.0.img_attn.norm.query_norm.scale"]
    if head != 128:
        raise CheckpointError(f"the heads are {head} wide, and not 128 as in FLUX.1; pass config=… with axes_dims_rope")
    width, channels = shapes["img_in.weight"]
    return {
        "in_channels": channels,
        "out_channels": shapes["final_layer.linear.weight"][0],
        "num_layers": _count(shapes, "double_blocks."),
        "num_single_layers": _count(shapes, "single_blocks."),
        "attention_head_dim": head,
        "num_attention_heads": width // head,
        "joint_attention_dim": shapes["txt_in.weight"][1],
        "pooled_projection_dim": shapes["vector_in.in_layer.weight"][1],
        "guidance_embeds": any(name.startswith("guidance_in.") for name in shapes),
    }


def fields_of_sd3(checkpoint: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return the configuration of an ``SD3Transformer2DModel``; heads are 64 wide where nothing normalises them.

    Raises:
        CheckpointError: there is none.
    """
    shapes = _shapes(checkpoint, "x_embedder.proj.weight", "SD3Transformer2DModel")
    width, channels, patch, _ = shapes["x_embedder.proj.weight"]
    normed = shapes.get("joint_blocks.0.x_block.attn.ln_q.weight")
    head = normed[0] if normed else 64
    dual = {int(name.split(".")[1]) for name in shapes if ".x_block.attn2." in name}
    return {
        "sample_size": 128,
        "patch_size": patch,
        "in_channels": channels,
        "out_channels": shapes["final_layer.linear.weight"][0] // patch**2,
        "num_layers": _count(shapes, "joint_blocks."),
        "attention_head_dim": head,
        "num_attention_heads": width // head,
        "joint_attention_dim": shapes["context_embedder.weight"][1],
        "caption_projection_dim": width,
        "pooled_projection_dim": shapes["y_embedder.mlp.0.weight"][1],
        "pos_embed_max_size": math.isqrt(shapes["pos_embed"][1]),
        "dual_attention_layers": tuple(sorted(dual)),
        "qk_norm": "rms_norm" if normed else None,
    }
