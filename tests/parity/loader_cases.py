"""Adapters, learned words and single files that both sides load into the same small pipelines."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

SIDE = 64
PROJECTIONS = ("to_q", "to_k", "to_v", "to_out.0")
TEXT = ("q_proj", "k_proj", "v_proj", "out_proj")
OLD_TEXT = {"q_proj": "to_q", "k_proj": "to_k", "v_proj": "to_v", "out_proj": "to_out"}


def layers_of(model: Any, ends: tuple[str, ...]) -> dict[str, Any]:
    """Layers whose names end so, by name."""
    return {name: module for name, module in model.named_modules() if name.endswith(ends)}


def factors(module: Any, rank: int) -> tuple[Any, Any]:
    """Two random factors for a layer."""
    import torch

    weight = module.weight
    tail = weight.shape[2:]
    first = torch.randn(rank, weight.shape[1], *tail) * 0.5
    return first, torch.randn(weight.shape[0], rank, *(1,) * len(tail)) * 0.5


def write_loras(pipe: Any, xl: Any, folder: Path) -> None:
    """Write one adapter in each form of keys."""
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(4)
    peft, old, kohya, long = {}, {}, {}, {}
    for name, module in layers_of(pipe.unet, (*PROJECTIONS, "ff.net.0.proj", "conv1")).items():
        down, up = factors(module, 3)
        peft[f"unet.{name}.lora_A.weight"], peft[f"unet.{name}.lora_B.weight"] = down, up
    for name, module in layers_of(pipe.unet, PROJECTIONS).items():
        owner, end = name.removesuffix(".0").rsplit(".", 1)
        down, up = factors(module, 2)
        old[f"unet.{owner}.processor.{end}_lora.down.weight"] = down
        old[f"unet.{owner}.processor.{end}_lora.up.weight"] = up
        long[f"unet.{name}.lora.down.weight"], long[f"unet.{name}.lora.up.weight"] = factors(module, 2)
    flat = layers_of(pipe.unet, (*PROJECTIONS, "ff.net.2", "proj_in", "conv2", "time_emb_proj", "downsamplers.0.conv"))
    for i, (name, module) in enumerate(flat.items()):
        down, up = factors(module, 2 + 2 * (i % 2))
        lead = "lora_unet_" + name.replace(".", "_")
        kohya[f"{lead}.lora_down.weight"], kohya[f"{lead}.lora_up.weight"] = down, up
        kohya[f"{lead}.alpha"] = torch.tensor(3.0)
    for name, module in layers_of(pipe.text_encoder, TEXT).items():
        name = name if name.startswith("text_model.") else f"text_model.{name}"
        owner, end = name.rsplit(".", 1)
        peft[f"text_encoder.{name}.lora_A.weight"], peft[f"text_encoder.{name}.lora_B.weight"] = factors(module, 2)
        down, up = factors(module, 2)
        old[f"text_encoder.{owner}.{OLD_TEXT[end]}_lora.down.weight"] = down
        old[f"text_encoder.{owner}.{OLD_TEXT[end]}_lora.up.weight"] = up
        down, up = factors(module, 2)
        long[f"text_encoder.{name}.lora_linear_layer.down.weight"] = down
        long[f"text_encoder.{name}.lora_linear_layer.up.weight"] = up
        lead = "lora_te_" + name.replace(".", "_")
        kohya[f"{lead}.lora_down.weight"], kohya[f"{lead}.lora_up.weight"] = factors(module, 2)
        kohya[f"{lead}.alpha"] = torch.tensor(1.0)
    for name, tensors in (("peft", peft), ("old", old), ("kohya", kohya), ("long", long)):
        save_file(tensors, folder / f"{name}.safetensors")
    other = {}
    for component in ("unet", "text_encoder", "text_encoder_2"):
        for name, module in layers_of(getattr(xl, component), (*PROJECTIONS, *TEXT)).items():
            lead = {"unet": "lora_unet", "text_encoder": "lora_te1", "text_encoder_2": "lora_te2"}[component]
            full = name if component == "unet" or name.startswith("text_model.") else f"text_model.{name}"
            if component == "unet":  # the names of the first published layout, at this depth
                for ours, theirs in XL_NAMES.items():
                    full = full.replace(ours, theirs)
            place = f"{lead}_{full.replace('.', '_')}"
            other[f"{place}.lora_down.weight"], other[f"{place}.lora_up.weight"] = factors(module, 2)
            other[f"{place}.alpha"] = torch.tensor(1.0)
    save_file(other, folder / "kohya_xl.safetensors")


XL_NAMES = {
    "down_blocks.1.attentions.0": "input_blocks.3.1",
    "mid_block.attentions.0": "middle_block.1",
    "up_blocks.0.attentions.0": "output_blocks.0.1",
    "up_blocks.0.attentions.1": "output_blocks.1.1",
}


def load(pipe: Any, folder: Path, *names: str) -> None:
    for name in names:
        pipe.load_lora_weights(str(folder), weight_name=f"{name}.safetensors", adapter_name=name)


def two(pipe: Any, folder: Path) -> None:
    load(pipe, folder, "peft", "kohya")
    pipe.set_adapters(["peft", "kohya"], [0.4, 0.8])


def parts(pipe: Any, folder: Path) -> None:
    load(pipe, folder, "peft", "old")
    blocks = {"down": 0.3, "mid": 0.5, "up": {"block_1": [0.2, 0.9]}}
    pipe.set_adapters(["peft", "old"], [{"text_encoder": 0.5, "unet": blocks}, 0.6])


def fused(pipe: Any, folder: Path) -> None:
    load(pipe, folder, "peft", "old")
    pipe.set_adapters("peft")  # the peer gives the scale to those in use alone
    pipe.fuse_lora(components=["unet", "text_encoder"], lora_scale=0.7, adapter_names=["peft"])
    assert pipe.num_fused_loras == 1
    pipe.unload_lora_weights()


def unfused(pipe: Any, folder: Path) -> None:
    load(pipe, folder, "peft")
    pipe.fuse_lora(components=["unet", "text_encoder"])
    pipe.unfuse_lora(components=["unet", "text_encoder"])


def switched(pipe: Any, folder: Path) -> None:
    load(pipe, folder, "peft", "old")
    pipe.delete_adapters("peft")
    pipe.disable_lora()
    pipe.enable_lora()


def off(pipe: Any, folder: Path) -> None:
    load(pipe, folder, "peft")
    pipe.disable_lora()


def write_words(folder: Path) -> None:
    """Write learned words: of one vector and of several, in each form."""
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(8)
    one, many, web = torch.randn(16), torch.randn(3, 16), torch.randn(2, 16)
    save_file({"<one>": one}, folder / "one.safetensors")
    (folder / "words").mkdir()
    torch.save({"<many>": many}, folder / "words" / "learned_embeds.bin")
    torch.save({"string_to_token": {"*": 265}, "string_to_param": {"*": web}, "name": "web"}, folder / "web.pt")


def taught(pipe: Any, folder: Path) -> None:
    pipe.load_textual_inversion(str(folder / "one.safetensors"))
    pipe.load_textual_inversion(str(folder / "words"))
    pipe.load_textual_inversion(str(folder / "web.pt"), token="<web>")


def forgotten(pipe: Any, folder: Path) -> None:
    taught(pipe, folder)
    pipe.unload_textual_inversion("<one>")


WORDS = {"prompt": "A <one> cat like <many> in <web> style", "negative_prompt": "<many>"}


def write_pictures(pipe: Any, folder: Path) -> None:
    """Write adapters that look at a picture, of both kinds of projection, and their encoder."""
    import diffusion
    import torch
    from safetensors.torch import save_file
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    torch.manual_seed(5)
    encoder = CLIPVisionModelWithProjection(CLIPVisionConfig(**diffusion.VISION))
    encoder.save_pretrained(folder / "pictures" / "models" / "image_encoder")
    crossing = [name for name in pipe.unet.attn_processors if "attn2" in name]
    for kind in ("plain", "full", "plus"):
        state = {"image_proj.norm.weight": torch.rand(16) + 0.5, "image_proj.norm.bias": torch.randn(16)}
        if kind == "plain":
            state |= {"image_proj.proj.weight": torch.randn(64, 16), "image_proj.proj.bias": torch.randn(64)}
        elif kind == "plus":
            shapes: dict[str, tuple[int, ...]] = {
                "latents": (1, 5, 24),
                "proj_in.weight": (24, 16),
                "proj_in.bias": (24,),
            }
            shapes |= {"proj_out.weight": (16, 24), "proj_out.bias": (16,)}
            shapes |= {"norm_out.weight": (16,), "norm_out.bias": (16,)}
            for i in range(4):
                for norm in ("0.norm1", "0.norm2", "1.0"):
                    shapes |= {f"layers.{i}.{norm}.weight": (24,), f"layers.{i}.{norm}.bias": (24,)}
                shapes |= {f"layers.{i}.0.to_q.weight": (64, 24), f"layers.{i}.0.to_kv.weight": (128, 24)}
                shapes |= {f"layers.{i}.0.to_out.weight": (24, 64)}
                shapes |= {f"layers.{i}.1.1.weight": (96, 24), f"layers.{i}.1.3.weight": (24, 96)}
            state = {f"image_proj.{name}": torch.randn(shape) * 0.3 for name, shape in shapes.items()}
        else:
            state = {"image_proj.proj.0.weight": torch.randn(16, 16), "image_proj.proj.0.bias": torch.randn(16)}
            state |= {"image_proj.proj.2.weight": torch.randn(16, 16), "image_proj.proj.2.bias": torch.randn(16)}
            state |= {"image_proj.proj.3.weight": torch.rand(16) + 0.5, "image_proj.proj.3.bias": torch.randn(16)}
        for i, name in enumerate(crossing):
            width = pipe.unet.get_submodule(name.removesuffix(".processor")).to_k.out_features
            for part in ("to_k_ip", "to_v_ip"):
                state[f"ip_adapter.{2 * i + 1}.{part}.weight"] = torch.randn(width, 16)
        save_file(state, folder / "pictures" / "models" / f"{kind}.safetensors")


def picture() -> Any:
    import numpy as np
    from PIL import Image

    rows, columns = np.mgrid[0:40, 0:40]
    return Image.fromarray(np.stack([rows * 6, columns * 6, rows * columns % 256], axis=-1).astype("uint8"))


def look(pipe: Any, folder: Path, *kinds: str) -> None:
    names = [f"{kind}.safetensors" for kind in kinds]
    pipe.load_ip_adapter(
        str(folder / "pictures"), subfolder="models", weight_name=names if len(names) > 1 else names[0]
    )


def look_partly(pipe: Any, folder: Path) -> None:
    look(pipe, folder, "plain", "full")
    pipe.set_ip_adapter_scale([0.6, {"up": {"block_1": [0.2, 0.9]}}])


def look_away(pipe: Any, folder: Path) -> None:
    look(pipe, folder, "plain")
    pipe.unload_ip_adapter()


# The small models' layers here → in the first published layout, written out by hand.
UNET_NAMES = {
    "conv_in": "input_blocks.0.0",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "down_blocks.0.resnets.0": "input_blocks.1.0",
    "down_blocks.0.attentions.0": "input_blocks.1.1",
    "down_blocks.0.downsamplers.0.conv": "input_blocks.2.0.op",
    "down_blocks.1.resnets.0": "input_blocks.3.0",
    "mid_block.resnets.0": "middle_block.0",
    "mid_block.attentions.0": "middle_block.1",
    "mid_block.resnets.1": "middle_block.2",
    "up_blocks.0.resnets.0": "output_blocks.0.0",
    "up_blocks.0.resnets.1": "output_blocks.1.0",
    "up_blocks.0.upsamplers.0.conv": "output_blocks.1.1.conv",
    "up_blocks.1.resnets.0": "output_blocks.2.0",
    "up_blocks.1.attentions.0": "output_blocks.2.1",
    "up_blocks.1.resnets.1": "output_blocks.3.0",
    "up_blocks.1.attentions.1": "output_blocks.3.1",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}
RESNET_NAMES = {
    ".norm1.": ".in_layers.0.",
    ".conv1.": ".in_layers.2.",
    ".time_emb_proj.": ".emb_layers.1.",
    ".norm2.": ".out_layers.0.",
    ".conv2.": ".out_layers.3.",
    ".conv_shortcut.": ".skip_connection.",
}
VAE_NAMES = {
    "conv_norm_out": "norm_out",
    "conv_shortcut": "nin_shortcut",
    "mid_block.resnets.0": "mid.block_1",
    "mid_block.resnets.1": "mid.block_2",
    "mid_block.attentions.0": "mid.attn_1",
    "attn_1.group_norm": "attn_1.norm",
    "attn_1.to_q": "attn_1.q",
    "attn_1.to_k": "attn_1.k",
    "attn_1.to_v": "attn_1.v",
    "attn_1.to_out.0": "attn_1.proj_out",
    ".downsamplers.0.": ".downsample.",
    ".upsamplers.0.": ".upsample.",
    ".resnets.": ".block.",
    "down_blocks.": "down.",
    **{f"up_blocks.{i}.": f"up.{3 - i}." for i in range(4)},
}


def single(pipe: Any) -> dict[str, Any]:
    """The pipeline's weights as a checkpoint of one file."""
    found = {}
    for name, tensor in pipe.unet.state_dict().items():
        for ours, theirs in UNET_NAMES.items():
            if name.startswith(f"{ours}."):
                inner = name.replace(ours, theirs, 1)
                if ".resnets." in name:
                    for one, other in RESNET_NAMES.items():
                        inner = inner.replace(one, other)
                found[f"model.diffusion_model.{inner}"] = tensor
    for name, tensor in pipe.vae.state_dict().items():
        shape = (*tensor.shape, 1, 1) if "attentions" in name and tensor.ndim == 2 else tensor.shape
        for ours, theirs in VAE_NAMES.items():
            name = name.replace(ours, theirs)
        found[f"first_stage_model.{name}"] = tensor.reshape(shape)
    for name, tensor in pipe.text_encoder.state_dict().items():
        name = name if name.startswith("text_model.") else f"text_model.{name}"
        found[f"cond_stage_model.transformer.{name}"] = tensor
    return {name: tensor.clone().contiguous() for name, tensor in found.items()}


# name → folder, what is done with the pipeline, arguments of the call
CASES: dict[str, tuple[str, Callable[[Any, Path], None], dict[str, Any]]] = {
    "nothing": ("sd", lambda pipe, folder: None, {}),
    "peft": ("sd", lambda pipe, folder: load(pipe, folder, "peft"), {}),
    "old": ("sd", lambda pipe, folder: load(pipe, folder, "old"), {}),
    "long": ("sd", lambda pipe, folder: load(pipe, folder, "long"), {}),
    "kohya": ("sd", lambda pipe, folder: load(pipe, folder, "kohya"), {}),
    "kohya_xl": ("xl", lambda pipe, folder: load(pipe, folder, "kohya_xl"), {}),
    "scaled": ("sd", lambda pipe, folder: load(pipe, folder, "peft"), {"cross_attention_kwargs": {"scale": 0.3}}),
    "last": ("sd", lambda pipe, folder: load(pipe, folder, "peft", "old"), {}),
    "two": ("sd", two, {}),
    "parts": ("sd", parts, {}),
    "fused": ("sd", fused, {}),
    "unfused": ("sd", unfused, {}),
    "switched": ("sd", switched, {}),
    "off": ("sd", off, {}),
    "taught": ("sd", taught, WORDS),
    "forgotten": ("sd", forgotten, WORDS),
    "look": ("sd", lambda pipe, folder: look(pipe, folder, "plain"), {"ip_adapter_image": "picture"}),
    "look_full": ("sd", lambda pipe, folder: look(pipe, folder, "full"), {"ip_adapter_image": "picture"}),
    "look_plus": ("sd", lambda pipe, folder: look(pipe, folder, "plus"), {"ip_adapter_image": "picture"}),
    "look_partly": ("sd", look_partly, {"ip_adapter_image": "pictures", "num_images_per_prompt": 2}),
    "look_away": ("sd", look_away, {}),
}


def opened(package: Any, folder: Path, source: str) -> Any:
    kind = package.StableDiffusionXLPipeline if source == "xl" else package.StableDiffusionPipeline
    pipe = kind.from_pretrained(str(folder / source))
    pipe.set_progress_bar_config(disable=True)
    return pipe


def from_single_file(package: Any, folder: Path, name: str) -> Any:
    pipe = package.StableDiffusionPipeline.from_single_file(str(folder / name), config=str(folder / "sd"))
    pipe.set_progress_bar_config(disable=True)
    return pipe


def paint(package: Any, folder: Path, name: str) -> Any:
    """Paint a case, as an array of values from 0 to 1."""
    import torch

    source, prepare, arguments = CASES[name]
    pipe = opened(package, folder, source)
    prepare(pipe, folder)
    return painted_by(pipe, torch, **arguments)


def painted_by(pipe: Any, torch: Any, **arguments: Any) -> Any:
    call = {
        "prompt": "A cat wearing sunglasses",
        "num_inference_steps": 2,
        "generator": torch.Generator().manual_seed(3),
        "output_type": "np",
        "height": SIDE,
        "width": SIDE,
    }
    given = {"picture": picture, "pictures": lambda: [picture(), picture()]}
    more = {key: given[value]() if value in ("picture", "pictures") else value for key, value in arguments.items()}
    return pipe(**call | more).images


def everything(package: Any, packages: Path, folder: Path) -> None:
    """Write the folders and files, and what is painted with them (run by the peer)."""
    import diffusion
    import numpy as np
    import torch
    from safetensors.torch import save_file

    pipe = diffusion.pipeline(packages, folder / "sd")
    pipe.save_pretrained(folder / "sd")
    xl = diffusion.xl(pipe)
    xl.save_pretrained(folder / "xl")
    write_loras(pipe, xl, folder)
    write_words(folder)
    write_pictures(pipe, folder)
    save_file(single(pipe), folder / "whole.safetensors")
    torch.save({"state_dict": single(pipe), "epoch": 3}, folder / "whole.ckpt")
    painted = {name: paint(package, folder, name) for name in CASES}
    painted["whole"] = painted_by(from_single_file(package, folder, "whole.safetensors"), torch)
    np.savez(folder / "painted.npz", **painted)
