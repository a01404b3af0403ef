"""Names of weights in checkpoints of the first published layout: ``model.diffusion_model.input_blocks.1.0.…``.

A model's table of renamings follows from how many layers it has; each row names the beginning of a weight's name here,
and what stands there in such checkpoints.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from torch import nn

from enfold.diffusers.loaders import joint_layout as joint

__all__ = ["cut_of", "cuts_of", "original_name", "rows_of"]

Rows = dict[str, str]

# Inside a residual block of a UNet, of an autoencoder, and inside an autoencoder's attention.
RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
PLAIN_RESNET = {"conv_shortcut": "nin_shortcut"}
PLAIN_ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}
AROUND = {
    "conv_in": "input_blocks.0.0",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "class_embedding.linear_1": "label_emb.0.0",
    "class_embedding.linear_2": "label_emb.0.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}


def _block(ours: str, original: str, inside: Rows) -> Rows:
    """Return the rows of a block: itself, and what is named differently in it."""
    return {ours: original, **{f"{ours}.{name}": f"{original}.{other}" for name, other in inside.items()}}


def _way_down(model: Any) -> Rows:
    """Return the rows of what UNets and ControlNets have alike."""
    rows, at = dict(AROUND), 1
    for i, block in enumerate(model.down_blocks):
        for j in range(len(block.resnets)):
            rows |= _block(f"down_blocks.{i}.resnets.{j}", f"input_blocks.{at}.0", RESNET)
            rows[f"down_blocks.{i}.attentions.{j}"] = f"input_blocks.{at}.1"
            at += 1
        if block.downsamplers is not None:
            rows[f"down_blocks.{i}.downsamplers.0.conv"] = f"input_blocks.{at}.0.op"
            at += 1
    rows |= _block("mid_block.resnets.0", "middle_block.0", RESNET)
    rows["mid_block.attentions.0"] = "middle_block.1"
    return rows | _block("mid_block.resnets.1", "middle_block.2", RESNET)


def _unet(model: Any) -> Rows:
    rows, at = _way_down(model), 0
    for i, block in enumerate(model.up_blocks):
        attended = hasattr(block, "attentions")
        for j in range(len(block.resnets)):
            rows |= _block(f"up_blocks.{i}.resnets.{j}", f"output_blocks.{at}.0", RESNET)
            rows[f"up_blocks.{i}.attentions.{j}"] = f"output_blocks.{at}.1"
            at += 1
        rows[f"up_blocks.{i}.upsamplers.0.conv"] = f"output_blocks.{at - 1}.{2 if attended else 1}.conv"
    return rows


def _controlnet(model: Any) -> Rows:
    rows = _way_down(model)
    hint = model.controlnet_cond_embedding
    rows["controlnet_cond_embedding.conv_in"] = "input_hint_block.0"
    for i in range(len(hint.blocks)):
        rows[f"controlnet_cond_embedding.blocks.{i}"] = f"input_hint_block.{2 * i + 2}"
    rows["controlnet_cond_embedding.conv_out"] = f"input_hint_block.{2 * len(hint.blocks) + 2}"
    for i in range(len(model.controlnet_down_blocks)):
        rows[f"controlnet_down_blocks.{i}"] = f"zero_convs.{i}.0"
    rows["controlnet_mid_block"] = "middle_block_out.0"
    return rows


def _autoencoder(model: Any) -> Rows:
    rows: Rows = {}
    for part in ("encoder", "decoder"):
        rows |= {f"{part}.conv_norm_out": f"{part}.norm_out"}
        rows |= _block(f"{part}.mid_block.resnets.0", f"{part}.mid.block_1", PLAIN_RESNET)
        rows |= _block(f"{part}.mid_block.attentions.0", f"{part}.mid.attn_1", PLAIN_ATTENTION)
        rows |= _block(f"{part}.mid_block.resnets.1", f"{part}.mid.block_2", PLAIN_RESNET)
    for i, block in enumerate(model.encoder.down_blocks):
        for j in range(len(block.resnets)):
            rows |= _block(f"encoder.down_blocks.{i}.resnets.{j}", f"encoder.down.{i}.block.{j}", PLAIN_RESNET)
        rows[f"encoder.down_blocks.{i}.downsamplers.0"] = f"encoder.down.{i}.downsample"
    last = len(model.decoder.up_blocks) - 1
    for i, block in enumerate(model.decoder.up_blocks):  # counted from below here, from above there
        for j in range(len(block.resnets)):
            rows |= _block(f"decoder.up_blocks.{i}.resnets.{j}", f"decoder.up.{last - i}.block.{j}", PLAIN_RESNET)
        rows[f"decoder.up_blocks.{i}.upsamplers.0"] = f"decoder.up.{last - i}.upsample"
    return rows


TABLES: dict[str, Callable[[Any], Rows]] = {
    "UNet2DConditionModel": _unet,
    "ControlNetModel": _controlnet,
    "AutoencoderKL": _autoencoder,
    "FluxTransformer2DModel": lambda model: joint.flux(model)[0],
    "SD3Transformer2DModel": lambda model: joint.sd3(model)[0],
    "CLIPTextModelWithProjection": lambda model: joint.open_clip(model)[0],
}
CUTS: dict[str, Callable[[Any], dict[str, joint.Cut]]] = {
    "FluxTransformer2DModel": lambda model: joint.flux(model)[1],
    "SD3Transformer2DModel": lambda model: joint.sd3(model)[1],
    "CLIPTextModelWithProjection": lambda model: joint.open_clip(model)[1],
}


def rows_of(model: nn.Module) -> Rows:
    """Return the beginnings of names here → those in checkpoints of the first layout; none where they are the same."""
    make = TABLES.get(type(model).__name__)
    return {} if make is None else make(model)


def cuts_of(model: nn.Module) -> dict[str, joint.Cut]:
    """Return the beginnings of names here → which part of the first layout's tensor a weight is; most are all of it."""
    make = CUTS.get(type(model).__name__)
    return {} if make is None else make(model)


def cut_of(name: str, cuts: dict[str, joint.Cut]) -> joint.Cut | None:
    """Return how a weight is cut out of its tensor in the first layout, or None."""
    return next((cuts[name[:length]] for length in _lengths(name) if name[:length] in cuts), None)


def original_name(name: str, rows: Rows) -> str:
    """Return what a weight or a module is called in the first layout.

    Example:
        >>> original_name("mid_block.resnets.0.conv1.weight", _block("mid_block.resnets.0", "middle_block.0", RESNET))
        'middle_block.0.in_layers.2.weight'
    """
    for length in _lengths(name):
        if name[:length] in rows:
            return rows[name[:length]] + name[length:]
    return name


def _lengths(name: str) -> Iterable[int]:
    """Yield how long a name is, then without its last part, and so on."""
    length = len(name)
    while length > 0:
        yield length
        length = name.rfind(".", 0, length)
