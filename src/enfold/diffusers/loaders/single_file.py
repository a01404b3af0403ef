"""Checkpoints of one file, with all weights of a pipeline under the names of the first published layout."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from enfold.checkpoints import CheckpointError, without_weights
from enfold.diffusers.loaders.files import find_weights_file, read_object
from enfold.diffusers.loaders.joint_fields import fields_of_flux, fields_of_sd3
from enfold.diffusers.loaders.layout import cut_of, cuts_of, original_name, rows_of
from enfold.transformers.sharing import split_fetch_arguments

__all__ = ["SingleFileMixin", "read_checkpoint", "taken_from"]

# Class → what stands before its weights' names in a file of several models.
LEADS = {
    "UNet2DConditionModel": ("model.diffusion_model.", ""),
    "AutoencoderKL": ("first_stage_model.", "vae.", ""),
    "ControlNetModel": ("control_model.", ""),
    "FluxTransformer2DModel": ("model.diffusion_model.", ""),
    "SD3Transformer2DModel": ("model.diffusion_model.", ""),
    "CLIPTextModelWithProjection": ("conditioner.embedders.1.model.", "conditioner.embedders.0.model."),
    "CLIPTextModel": ("cond_stage_model.transformer.", "conditioner.embedders.0.transformer."),
}
_XL = {
    "sample_size": 128,
    "block_out_channels": (320, 640, 1280),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "transformer_layers_per_block": (1, 2, 10),
    "attention_head_dim": (5, 10, 20),
    "cross_attention_dim": 2048,
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}
# Width of the text's states → fields of the UNets and ControlNets that were published with it.
BY_TEXT: dict[int, dict[str, Any]] = {
    768: {"cross_attention_dim": 768},
    1024: {"cross_attention_dim": 1024, "attention_head_dim": (5, 10, 20, 20), "use_linear_projection": True},
    2048: _XL,
}
AUTOENCODER: dict[str, Any] = {
    "sample_size": 512,
    "block_out_channels": (128, 256, 512, 512),
    "layers_per_block": 2,
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
}
FIELDS: dict[str, Callable[[Mapping[str, Tensor]], dict[str, Any]]] = {
    "FluxTransformer2DModel": fields_of_flux,
    "SD3Transformer2DModel": fields_of_sd3,
}
PAGE = re.compile(r"^https?://[^/]+/(?P<repo>[^/]+/[^/]+)/(?:blob|resolve|raw)/(?P<revision>[^/]+)/(?P<file>[^?]+)")


def read_checkpoint(source: Any, where: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return a checkpoint's tensors by name.

    Args:
        source: a file (``.safetensors``; ``.ckpt`` where it holds tensors alone), its page in a repository, or the
            tensors themselves.
        where: ``cache_dir``, ``token``, ….

    Raises:
        CheckpointError: a pickle with code in it, which is never run, or a damaged file.
    """
    if isinstance(source, Mapping):
        return dict(source)
    page = PAGE.match(os.fspath(source))
    if page is not None:
        where = {**where, "revision": page["revision"]}
        path = find_weights_file(page["repo"], page["file"], (), where)
    elif os.path.isfile(source):
        path = os.fspath(source)
    else:
        raise CheckpointError(f"{os.fspath(source)!r} is neither a file nor a file's page in a repository")
    held = read_object(path)
    while isinstance(held, Mapping) and isinstance(held.get("state_dict"), Mapping):
        held = held["state_dict"]
    if not isinstance(held, Mapping):
        raise CheckpointError(f"{path} holds a {type(held).__name__}, not tensors by name")
    return {name: value for name, value in held.items() if isinstance(value, Tensor)}


def taken_from(checkpoint: Mapping[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    """Return a model's weights under its own names.

    Args:
        checkpoint: name → tensor, in the first layout, or in the model's own.
        model: which weights it has; it may be without memory.

    Raises:
        CheckpointError: some are missing, or have another shape; it names them.
    """
    kind, rows, cuts = type(model).__name__, rows_of(model), cuts_of(model)
    leads = LEADS.get(kind, ("",))
    found: dict[str, Tensor] = {}
    missing, wrong = [], []
    for name, place in model.state_dict().items():
        there = [f"{lead}{one}" for lead in leads for one in (original_name(name, rows), name)]
        if kind == "CLIPTextModel":
            there += [one.replace(".text_model.", ".", 1) for one in there]
        key = next((one for one in there if one in checkpoint), None)
        if key is None:
            missing.append(there[0])
            continue
        tensor, cut = checkpoint[key], cut_of(name, cuts)
        if cut is not None and not key.endswith(name):
            tensor = cut(tensor)
        if tensor.shape != place.shape and [*tensor.squeeze().shape] == [*place.squeeze().shape]:
            tensor = tensor.reshape(place.shape)  # linear layers that were 1×1 convolutions
        if tensor.shape != place.shape:
            wrong.append(f"{key}: {tuple(tensor.shape)} in the file, {tuple(place.shape)} in the model")
        found[name] = tensor
    if missing or wrong:
        lines = wrong + [f"{name}: not in the file" for name in missing]
        more = f"\n  and {len(lines) - 12} more" if len(lines) > 12 else ""
        raise CheckpointError(
            f"the checkpoint holds no such {kind}; give its config=…:\n  " + "\n  ".join(lines[:12]) + more
        )
    return found


def fields_of(kind: str, checkpoint: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return the configuration that published checkpoints of these shapes have."""
    if kind == "AutoencoderKL":
        xl = any(name.startswith("conditioner.") for name in checkpoint)
        return {**AUTOENCODER, "scaling_factor": 0.13025 if xl else 0.18215}
    if kind in FIELDS:
        return FIELDS[kind](checkpoint)
    lead = LEADS[kind][0]
    ends = "attn2.to_k.weight"
    own = {name.removeprefix(lead): tensor for name, tensor in checkpoint.items() if name.endswith(ends)}
    width = next((int(tensor.shape[1]) for name, tensor in own.items() if name.startswith("input_blocks.")), None)
    if width not in BY_TEXT:
        raise CheckpointError(
            f"there is no known {kind} in the checkpoint (the width of its text is {width}, expected one of "
            f"{', '.join(map(str, BY_TEXT))}); pass config=…, a folder or a repository with its config.json"
        )
    fields = dict(BY_TEXT[width])
    if kind == "ControlNetModel":
        fields.pop("sample_size", None)
        return fields
    if width == 2048:
        fields["up_block_types"] = ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D")
    first = next(
        (
            one
            for name in (f"{lead}input_blocks.0.0.weight", "input_blocks.0.0.weight")
            if (one := checkpoint.get(name)) is not None
        ),
        None,
    )
    return {"sample_size": 64, "in_channels": 4 if first is None else int(first.shape[1]), **fields}


class SingleFileMixin:
    """``from_single_file`` of models."""

    @classmethod
    def from_single_file(cls, pretrained_model_link_or_path_or_dict: Any, **kwargs: Any) -> Any:
        """Build a model from a checkpoint of one file, in evaluation mode.

        Args:
            pretrained_model_link_or_path_or_dict: a file, its page in a repository, or the tensors themselves.
            kwargs: ``config``, a folder or a repository (with ``subfolder``) with the configuration, which otherwise
                follows from the shapes; ``torch_dtype`` (or ``dtype``), ``device``; where to look (``revision``,
                ``cache_dir``, ``token``, ``local_files_only``, ``force_download``); and fields that replace those of
                the configuration.

        Raises:
            CheckpointError: a pickle with code in it, or weights that do not fit; it names them.
        """
        owner: Any = cls
        config, device = kwargs.pop("config", None), kwargs.pop("device", None)
        dtype = kwargs.pop("dtype", None) or kwargs.pop("torch_dtype", None) or torch.float32
        for ignored in ("torch_dtype", "original_config", "low_cpu_mem_usage", "disable_mmap"):
            kwargs.pop(ignored, None)
        where, fields = split_fetch_arguments(kwargs)
        subfolder = where.pop("subfolder", None)
        checkpoint = read_checkpoint(pretrained_model_link_or_path_or_dict, where)
        if config is None:
            known = fields_of(cls.__name__, checkpoint)
        else:
            known = owner.load_config(config, **({"subfolder": subfolder} if subfolder else {}), **where)
        with without_weights():
            model = owner.from_config(known, **fields)
        model.take_weights(taken_from(checkpoint, model), dtype=dtype, device=device)
        return model.eval()


def text_encoder(
    checkpoint: Mapping[str, Tensor], source: str, where: Mapping[str, Any], dtype: torch.dtype, name: str
) -> Any:
    """Return a CLIP text encoder of a checkpoint, built as the folder ``name`` of ``source`` says."""
    from enfold.transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    kind = CLIPTextModelWithProjection if name == "text_encoder_2" else CLIPTextModel
    model: Any = kind(CLIPTextConfig.from_pretrained(source, subfolder=name, **where))
    model.load_state_dict(taken_from(checkpoint, model))
    return model.to(dtype).eval()


class SingleFilePipelineMixin:
    """``from_single_file`` of pipelines with Stable Diffusion's components."""

    @classmethod
    def from_single_file(cls, pretrained_model_link_or_path: Any, **kwargs: Any) -> Any:
        """Build a pipeline from a checkpoint of one file.

        Args:
            pretrained_model_link_or_path: a file, its page in a repository, or the tensors themselves.
            kwargs: ``config``, a folder or a repository with the configurations and the tokenizer (by default that of
                Stable Diffusion 1.5); components that take the place of the file's; ``torch_dtype`` (or ``dtype``);
                where to look (``revision``, ``cache_dir``, ``token``, ``local_files_only``, ``force_download``).

        Raises:
            CheckpointError: a pickle with code in it, or weights that do not fit; it names them.
            PipelineError: a component is not in such files, or an argument is unknown.
        """
        from enfold.diffusers import AutoencoderKL, ControlNetModel, UNet2DConditionModel
        from enfold.diffusers.pipelines import components as parts
        from enfold.diffusers.pipelines.pipeline import PipelineError
        from enfold.errors import nearest

        owner: Any = cls
        source = os.fspath(kwargs.pop("config", None) or "stable-diffusion-v1-5/stable-diffusion-v1-5")
        dtype = kwargs.pop("dtype", None) or kwargs.pop("torch_dtype", None) or torch.float32
        for ignored in ("torch_dtype", "original_config", "low_cpu_mem_usage", "disable_mmap", "load_safety_checker"):
            kwargs.pop(ignored, None)
        where, given = split_fetch_arguments(kwargs)
        modules, others = owner._signature()
        unknown = [name for name in given if name not in modules and name not in others]
        if unknown:
            raise PipelineError(f"{cls.__name__} takes no {unknown[0]!r}{nearest(unknown[0], [*modules, *others])}")
        checkpoint = read_checkpoint(pretrained_model_link_or_path, where)
        index = owner.load_config(source, **where)
        models: dict[str, Any] = {"vae": AutoencoderKL, "unet": UNet2DConditionModel, "controlnet": ControlNetModel}
        arguments = {name: index[name] for name in others if name in index}
        for name in modules:
            if name in given:
                continue
            if name in models:
                arguments[name] = models[name].from_single_file(
                    checkpoint, config=source, subfolder=name, dtype=dtype, **where
                )
            elif name in ("text_encoder", "text_encoder_2") and (index.get(name) or (None, None))[1] is not None:
                arguments[name] = text_encoder(checkpoint, source, where, dtype, name)
            elif name in ("safety_checker", "image_encoder"):
                arguments[name] = None  # such files have none
                arguments |= {"requires_safety_checker": False} if name == "safety_checker" else {}
            else:
                entry = index.get(name) or (None, None)
                arguments[name] = None if entry[1] is None else parts.load(source, name, entry, None, {}, dict(where))
        return owner(**arguments | given)
