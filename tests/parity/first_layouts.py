"""Checkpoints in the first published layouts of FLUX.1, Stable Diffusion 3 and OpenCLIP, written by hand.

The names are those of the published files; nothing of the library's own tables is used.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch

EMBEDDERS = [
    (r"time_text_embed\.timestep_embedder\.linear_1", "time_in.in_layer", "t_embedder.mlp.0"),
    (r"time_text_embed\.timestep_embedder\.linear_2", "time_in.out_layer", "t_embedder.mlp.2"),
    (r"time_text_embed\.text_embedder\.linear_1", "vector_in.in_layer", "y_embedder.mlp.0"),
    (r"time_text_embed\.text_embedder\.linear_2", "vector_in.out_layer", "y_embedder.mlp.2"),
    (r"time_text_embed\.guidance_embedder\.linear_1", "guidance_in.in_layer", ""),
    (r"time_text_embed\.guidance_embedder\.linear_2", "guidance_in.out_layer", ""),
    (r"^x_embedder", "img_in", ""),
    (r"^context_embedder", "txt_in", "context_embedder"),
    (r"^pos_embed\.pos_embed", "", "pos_embed"),
    (r"^pos_embed\.proj", "", "x_embedder.proj"),
    (r"^proj_out", "final_layer.linear", "final_layer.linear"),
]
INSIDE = [
    (r"\.norm1\.linear", "img_mod.lin", "x_block.adaLN_modulation.1"),
    (r"\.norm1_context\.linear", "txt_mod.lin", "context_block.adaLN_modulation.1"),
    (r"\.ff\.net\.0\.proj", "img_mlp.0", "x_block.mlp.fc1"),
    (r"\.ff\.net\.2", "img_mlp.2", "x_block.mlp.fc2"),
    (r"\.ff_context\.net\.0\.proj", "txt_mlp.0", "context_block.mlp.fc1"),
    (r"\.ff_context\.net\.2", "txt_mlp.2", "context_block.mlp.fc2"),
    (r"\.attn\.to_out\.0", "img_attn.proj", "x_block.attn.proj"),
    (r"\.attn\.to_add_out", "txt_attn.proj", "context_block.attn.proj"),
    (r"\.attn2\.to_out\.0", "", "x_block.attn2.proj"),
    (r"\.attn\.norm_q\.weight", "img_attn.norm.query_norm.scale", "x_block.attn.ln_q.weight"),
    (r"\.attn\.norm_k\.weight", "img_attn.norm.key_norm.scale", "x_block.attn.ln_k.weight"),
    (r"\.attn\.norm_added_q\.weight", "txt_attn.norm.query_norm.scale", "context_block.attn.ln_q.weight"),
    (r"\.attn\.norm_added_k\.weight", "txt_attn.norm.key_norm.scale", "context_block.attn.ln_k.weight"),
    (r"\.attn2\.norm_q\.weight", "", "x_block.attn2.ln_q.weight"),
    (r"\.attn2\.norm_k\.weight", "", "x_block.attn2.ln_k.weight"),
]
SINGLE = [
    (r"\.norm\.linear", "modulation.lin"),
    (r"\.proj_out", "linear2"),
    (r"\.attn\.norm_q\.weight", "norm.query_norm.scale"),
    (r"\.attn\.norm_k\.weight", "norm.key_norm.scale"),
]


def transformer(state: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """The weights of a transformer in the layout of ``kind``, "flux" or "sd3"."""
    which = 1 if kind == "flux" else 2
    blocks = "double_blocks" if kind == "flux" else "joint_blocks"
    sides = ("img_attn", "txt_attn") if kind == "flux" else ("x_block.attn", "context_block.attn")
    found: dict[str, Any] = {}
    last = max((int(name.split(".")[1]) for name in state if name.startswith("transformer_blocks.")), default=-1)
    for name, tensor in state.items():
        part = name.rpartition(".")[2]
        if name.startswith("norm_out.linear"):
            found[f"final_layer.adaLN_modulation.1.{part}"] = torch.cat(tensor.chunk(2)[::-1])
            continue
        if match := re.match(r"transformer_blocks\.(\d+)(\..+)", name):
            there = f"{blocks}.{match[1]}."
            inner = match[2]
            if fused := re.fullmatch(r"\.(attn2?)\.(?:to|add)_q(?:_proj)?\.(weight|bias)", inner):
                others = [name.replace("_q", f"_{x}") for x in "qkv"]
                side = sides["add_q" in inner] + fused[1].removeprefix("attn")
                found[f"{there}{side}.qkv.{fused[2]}"] = torch.cat([state[other] for other in others])
            elif not re.search(r"\.(to|add)_[kv]", inner):
                row = next(row for row in INSIDE if re.match(row[0], inner))
                if kind == "sd3" and inner.startswith(".norm1_context") and int(match[1]) == last:
                    tensor = torch.cat(tensor.chunk(2)[::-1])
                found[there + re.sub(row[0], row[which], inner)] = tensor
        elif match := re.match(r"single_transformer_blocks\.(\d+)(\..+)", name):
            there, inner = f"single_blocks.{match[1]}.", match[2]
            lead = f"single_transformer_blocks.{match[1]}."
            if inner.startswith(".attn.to_q"):
                names = [f"{lead}{layer}.{part}" for layer in ("attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp")]
                found[f"{there}linear1.{part}"] = torch.cat([state[each] for each in names])
            elif not re.match(r"\.attn\.to_[kv]|\.proj_mlp", inner):
                row_ = next(row for row in SINGLE if re.match(row[0], inner))
                found[there + re.sub(row_[0], row_[1], inner)] = tensor
        else:
            row = next(row for row in EMBEDDERS if re.match(row[0], name))
            found[re.sub(row[0], row[which], name)] = tensor
    return {f"model.diffusion_model.{name}": tensor.clone().contiguous() for name, tensor in found.items()}


def open_clip(state: Mapping[str, Any]) -> dict[str, Any]:
    """The weights of a CLIP text encoder with a projection in OpenCLIP's layout, as SDXL's second one."""
    found: dict[str, Any] = {}
    for name, tensor in state.items():
        name = name.removeprefix("text_model.")
        if name == "text_projection.weight":
            found["text_projection"] = tensor.T
        elif name.startswith("embeddings.token"):
            found["token_embedding.weight"] = tensor
        elif name.startswith("embeddings.position_embedding"):
            found["positional_embedding"] = tensor
        elif name.startswith("final_layer_norm"):
            found[name.replace("final_layer_norm", "ln_final")] = tensor
        elif ".q_proj." in name:
            parts = [state[f"text_model.{name.replace('.q_proj.', f'.{x}_proj.')}"] for x in "qkv"]
            there = name.replace("encoder.layers.", "transformer.resblocks.").replace(
                "self_attn.q_proj.", "attn.in_proj_"
            )
            found[there] = torch.cat(parts)
        elif ".k_proj." not in name and ".v_proj." not in name and not name.endswith("position_ids"):
            for ours, theirs in (
                ("encoder.layers.", "transformer.resblocks."),
                ("self_attn.", "attn."),
                ("layer_norm", "ln_"),
                ("mlp.fc1", "mlp.c_fc"),
                ("mlp.fc2", "mlp.c_proj"),
            ):
                name = name.replace(ours, theirs)
            found[name] = tensor
    return {f"conditioner.embedders.1.model.{name}": tensor.clone().contiguous() for name, tensor in found.items()}
