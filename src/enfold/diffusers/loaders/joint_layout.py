"""Names of weights in the first published layouts of FLUX.1, Stable Diffusion 3 and OpenCLIP's text encoder.

There several layers of ours are one: queries, keys and values lie one below the other. Each function returns the rows
of :mod:`enfold.diffusers.loaders.layout`, and how a weight here is cut out of its tensor there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

__all__ = ["Cut", "flux", "open_clip", "sd3"]

Rows = dict[str, str]
Cut = Callable[[Tensor], Tensor]


def _rows(*spans: tuple[int, int]) -> Cut:
    """Return what takes rows out of a tensor, one span after the other."""
    return lambda tensor: torch.cat([tensor[begin:end] for begin, end in spans])


def _swapped(width: int) -> Cut:
    """Return what puts a scale before its shift: there the shift comes first."""
    return _rows((width, 2 * width), (0, width))


class _Table:
    """Rows and cuts as they are put together."""

    def __init__(self) -> None:
        self.rows: Rows = {}
        self.cuts: dict[str, Cut] = {}

    def fused(self, original: str, names: Sequence[str], sizes: Sequence[int]) -> None:
        """Note layers that are one layer there."""
        begin = 0
        for name, size in zip(names, sizes, strict=True):
            self.rows[name], self.cuts[name] = original, _rows((begin, begin + size))
            begin += size

    def all(self, ours: str, original: str, names: Rows) -> None:
        """Note what a block's parts are called there."""
        self.rows |= {f"{ours}.{name}": f"{original}.{other}" for name, other in names.items()}


def _embedded(ours: str, original: str, first: str, second: str) -> Rows:
    return {f"{ours}.linear_1": f"{original}.{first}", f"{ours}.linear_2": f"{original}.{second}"}


def flux(model: Any) -> tuple[Rows, dict[str, Cut]]:
    """FLUX.1, as Black Forest Labs published it."""
    table, width = _Table(), model.inner_dim
    for ours, original in (("timestep", "time_in"), ("text", "vector_in"), ("guidance", "guidance_in")):
        table.rows |= _embedded(f"time_text_embed.{ours}_embedder", original, "in_layer", "out_layer")
    table.rows |= {"context_embedder": "txt_in", "x_embedder": "img_in"}
    table.rows |= {"proj_out": "final_layer.linear", "norm_out.linear": "final_layer.adaLN_modulation.1"}
    table.cuts["norm_out.linear"] = _swapped(width)
    for i in range(len(model.transformer_blocks)):
        block, there = f"transformer_blocks.{i}", f"double_blocks.{i}"
        for side, norm, ff, out, added, parts in (
            ("img", "norm1", "ff", "to_out.0", "", ("to_q", "to_k", "to_v")),
            ("txt", "norm1_context", "ff_context", "to_add_out", "added_", ("add_q_proj", "add_k_proj", "add_v_proj")),
        ):
            table.fused(f"{there}.{side}_attn.qkv", [f"{block}.attn.{part}" for part in parts], [width] * 3)
            names = {f"{norm}.linear": "mod.lin", f"{ff}.net.0.proj": "mlp.0", f"{ff}.net.2": "mlp.2"}
            names |= {f"attn.{out}": "attn.proj"}
            names |= {
                f"attn.norm_{added}{x}.weight": f"attn.norm.{y}_norm.scale" for x, y in (("q", "query"), ("k", "key"))
            }
            table.all(block, there, {name: f"{side}_{other}" for name, other in names.items()})
    for i, single in enumerate(model.single_transformer_blocks):
        block, there = f"single_transformer_blocks.{i}", f"single_blocks.{i}"
        layers = [f"{block}.{name}" for name in ("attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp")]
        table.fused(f"{there}.linear1", layers, [width] * 3 + [single.proj_mlp.out_features])
        names = {"norm.linear": "modulation.lin", "proj_out": "linear2"}
        names |= {"attn.norm_q.weight": "norm.query_norm.scale", "attn.norm_k.weight": "norm.key_norm.scale"}
        table.all(block, there, names)
    return table.rows, table.cuts


def sd3(model: Any) -> tuple[Rows, dict[str, Cut]]:
    """Stable Diffusion 3 and 3.5, as Stability AI published them."""
    table, width = _Table(), model.inner_dim
    table.rows |= _embedded("time_text_embed.timestep_embedder", "t_embedder", "mlp.0", "mlp.2")
    table.rows |= _embedded("time_text_embed.text_embedder", "y_embedder", "mlp.0", "mlp.2")
    table.rows |= {"pos_embed.pos_embed": "pos_embed", "pos_embed.proj": "x_embedder.proj"}
    table.rows |= {"proj_out": "final_layer.linear", "norm_out.linear": "final_layer.adaLN_modulation.1"}
    table.cuts["norm_out.linear"] = _swapped(width)
    for i, joint in enumerate(model.transformer_blocks):
        block, there = f"transformer_blocks.{i}", f"joint_blocks.{i}"
        added = ("add_q_proj", "add_k_proj", "add_v_proj")
        own = ("to_q", "to_k", "to_v")
        table.fused(f"{there}.x_block.attn.qkv", [f"{block}.attn.{part}" for part in own], [width] * 3)
        table.fused(f"{there}.context_block.attn.qkv", [f"{block}.attn.{part}" for part in added], [width] * 3)
        names = {"norm1.linear": "adaLN_modulation.1", "ff.net.0.proj": "mlp.fc1", "ff.net.2": "mlp.fc2"}
        names |= {"attn.to_out.0": "attn.proj", "attn.norm_q": "attn.ln_q", "attn.norm_k": "attn.ln_k"}
        if joint.attn2 is not None:
            table.fused(f"{there}.x_block.attn2.qkv", [f"{block}.attn2.{part}" for part in own], [width] * 3)
            names |= {"attn2.to_out.0": "attn2.proj", "attn2.norm_q": "attn2.ln_q", "attn2.norm_k": "attn2.ln_k"}
        table.all(block, f"{there}.x_block", names)
        names = {"norm1_context.linear": "adaLN_modulation.1", "ff_context.net.0.proj": "mlp.fc1"}
        names |= {"ff_context.net.2": "mlp.fc2", "attn.to_add_out": "attn.proj"}
        names |= {"attn.norm_added_q": "attn.ln_q", "attn.norm_added_k": "attn.ln_k"}
        table.all(block, f"{there}.context_block", names)
        if joint.context_pre_only:
            table.cuts[f"{block}.norm1_context.linear"] = _swapped(width)
    return table.rows, table.cuts


def open_clip(model: Any) -> tuple[Rows, dict[str, Cut]]:
    """OpenCLIP's text encoder: the second one of Stable Diffusion XL."""
    table, width = _Table(), model.config.hidden_size
    table.rows |= {
        "text_model.embeddings.token_embedding": "token_embedding",
        "text_model.embeddings.position_embedding.weight": "positional_embedding",
        "text_model.final_layer_norm": "ln_final",
        "text_projection.weight": "text_projection",
    }
    table.cuts["text_projection.weight"] = lambda tensor: tensor.T.contiguous()
    for i in range(model.config.num_hidden_layers):
        block, there = f"text_model.encoder.layers.{i}", f"transformer.resblocks.{i}"
        for kind in ("weight", "bias"):
            parts = [f"{block}.self_attn.{part}_proj.{kind}" for part in "qkv"]
            table.fused(f"{there}.attn.in_proj_{kind}", parts, [width] * 3)
        names = {"self_attn.out_proj": "attn.out_proj", "layer_norm1": "ln_1", "layer_norm2": "ln_2"}
        table.all(block, there, {**names, "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj"})
    return table.rows, table.cuts
