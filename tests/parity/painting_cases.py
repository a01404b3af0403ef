"""Pictures that both sides paint with the same small weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

SIDE = 64


def picture(shade: int = 0) -> Any:
    """A picture with something in every corner."""
    import numpy as np
    from PIL import Image

    rows, columns = np.mgrid[0:SIDE, 0:SIDE]
    pixels = np.stack([(rows * 3 + shade) % 256, (columns * 4) % 256, (rows * columns) % 256], axis=-1)
    return Image.fromarray(pixels.astype("uint8"))


def mask() -> Any:
    """White in the middle."""
    import numpy as np
    from PIL import Image

    pixels = np.zeros((SIDE, SIDE), "uint8")
    pixels[20:44, 12:40] = 255
    return Image.fromarray(pixels)


def edges() -> Any:
    """A drawing: a cross."""
    import numpy as np
    from PIL import Image

    pixels = np.zeros((SIDE, SIDE, 3), "uint8")
    pixels[30:34], pixels[:, 30:34] = 255, 255
    return Image.fromarray(pixels)


def scheduler(package: Any, name: str, pipe: Any) -> Any:
    return getattr(package, name).from_config(pipe.scheduler.config)


# name → pipeline, scheduler (None: the folder's own), arguments; "…" stands for what `given` makes
CASES: dict[str, tuple[str, str | None, dict[str, Any]]] = {
    "text": ("StableDiffusionPipeline", None, {}),
    "text_plain": ("StableDiffusionPipeline", "DDIMScheduler", {"guidance_scale": 1.0, "eta": 0.5}),
    "text_many": (
        "StableDiffusionPipeline",
        "EulerAncestralDiscreteScheduler",
        {"prompt": ["a cat", "two dogs in the rain"], "negative_prompt": ["blue", ""], "num_images_per_prompt": 2},
    ),
    "text_rescaled": (
        "StableDiffusionPipeline",
        "DPMSolverMultistepScheduler",
        {"guidance_rescale": 0.7, "clip_skip": 1, "height": 64, "width": 96},
    ),
    "text_timesteps": ("StableDiffusionPipeline", "EulerDiscreteScheduler", {"timesteps": [900, 500, 100]}),
    "text_second_order": ("StableDiffusionPipeline", "HeunDiscreteScheduler", {}),
    "text_latent": ("StableDiffusionPipeline", "UniPCMultistepScheduler", {"output_type": "latent"}),
    "image": ("StableDiffusionImg2ImgPipeline", None, {"image": "picture", "strength": 0.7, "num_inference_steps": 5}),
    "image_many": (
        "StableDiffusionImg2ImgPipeline",
        "LMSDiscreteScheduler",
        {"image": "pictures", "prompt": ["a cat", "a dog"], "strength": 0.5, "num_inference_steps": 6},
    ),
    "image_sde": (
        "StableDiffusionImg2ImgPipeline",
        "KDPM2AncestralDiscreteScheduler",
        {"image": "picture", "strength": 0.6, "num_inference_steps": 5},
    ),
    "inpaint": ("StableDiffusionInpaintPipeline", None, {"image": "picture", "mask_image": "mask"}),
    "inpaint_part": (
        "StableDiffusionInpaintPipeline",
        "EulerDiscreteScheduler",
        {
            "image": "picture",
            "mask_image": "mask",
            "strength": 0.7,
            "num_inference_steps": 4,
            "num_images_per_prompt": 2,
        },
    ),
    "inpaint_crop": (
        "StableDiffusionInpaintPipeline",
        "DDIMScheduler",
        {"image": "picture", "mask_image": "mask", "padding_mask_crop": 4, "output_type": "pil"},
    ),
    "inpaint_nine": (
        "StableDiffusionInpaintPipeline nine",
        "DDIMScheduler",
        {"image": "picture", "mask_image": "mask"},
    ),
    "control": ("StableDiffusionControlNetPipeline", None, {"image": "edges", "controlnet_conditioning_scale": 0.6}),
    "control_guess": (
        "StableDiffusionControlNetPipeline",
        "DDIMScheduler",
        {"image": "edges", "guess_mode": True, "control_guidance_start": 0.2, "control_guidance_end": 0.8},
    ),
    "control_many": (
        "StableDiffusionControlNetPipeline several",
        "UniPCMultistepScheduler",
        {"image": "two edges", "controlnet_conditioning_scale": [0.5, 0.9], "num_images_per_prompt": 2},
    ),
    "control_image": (
        "StableDiffusionControlNetImg2ImgPipeline",
        "DDIMScheduler",
        {"image": "picture", "control_image": "edges", "num_inference_steps": 4},
    ),
    "control_inpaint": (
        "StableDiffusionControlNetInpaintPipeline",
        "DDIMScheduler",
        {"image": "picture", "mask_image": "mask", "control_image": "edges"},
    ),
    "control_inpaint_crop": (
        "StableDiffusionControlNetInpaintPipeline",
        "DDIMScheduler",
        {
            "image": "picture",
            "mask_image": "mask",
            "control_image": "edges",
            "padding_mask_crop": 4,
            "output_type": "pil",
        },
    ),
    "xl": ("StableDiffusionXLPipeline", "EulerDiscreteScheduler", {}),
    "xl_many": (
        "StableDiffusionXLPipeline",
        "DDIMScheduler",
        {"prompt": ["a cat", "a dog"], "prompt_2": ["in oil", "in ink"], "negative_prompt": "blue", "clip_skip": 1}
        | {"original_size": (128, 96), "num_images_per_prompt": 2, "guidance_rescale": 0.5},
    ),
    "xl_told": (  # one picture: of several the peer tells each second one the sizes of what is not to be painted
        "StableDiffusionXLPipeline",
        "DDIMScheduler",
        {"original_size": (128, 96), "crops_coords_top_left": (3, 4), "target_size": (64, 64)}
        | {"negative_original_size": (32, 32), "negative_target_size": (64, 64)},
    ),
    "xl_first_part": (
        "StableDiffusionXLPipeline",
        "EulerDiscreteScheduler",
        {"denoising_end": 0.6, "num_inference_steps": 6, "output_type": "latent"},
    ),
    "xl_image": (
        "StableDiffusionXLImg2ImgPipeline",
        "DDIMScheduler",
        {"image": "picture", "strength": 0.7, "num_inference_steps": 5},
    ),
    "xl_second_part": (
        "StableDiffusionXLImg2ImgPipeline score",
        "EulerDiscreteScheduler",
        {"image": "picture", "denoising_start": 0.6, "num_inference_steps": 6, "aesthetic_score": 7.0},
    ),
    "xl_inpaint": (
        "StableDiffusionXLInpaintPipeline",
        "EulerDiscreteScheduler",
        {"image": "picture", "mask_image": "mask", "strength": 0.8, "num_inference_steps": 4},
    ),
    "xl_inpaint_second_part": (
        "StableDiffusionXLInpaintPipeline",
        "DDIMScheduler",
        {"image": "picture", "mask_image": "mask", "denoising_start": 0.5, "num_inference_steps": 6},
    ),
    "consistent": ("LatentConsistencyModelPipeline told", "LCMScheduler", {"num_inference_steps": 4}),
    "consistent_image": (
        "LatentConsistencyModelImg2ImgPipeline told",
        "LCMScheduler",
        {"image": "picture", "num_inference_steps": 3, "strength": 0.6},
    ),
}

GIVEN: dict[str, Any] = {
    "picture": picture,
    "pictures": lambda: [picture(), picture(90)],
    "mask": mask,
    "edges": edges,
    "two edges": lambda: [edges(), picture(40)],
}


def paint(package: Any, folder: Path, name: str) -> Any:
    """Paint a case; as an array of values from 0 to 1, or of latents."""
    import numpy as np
    import torch

    kind, chosen, arguments = CASES[name]
    kind, _, variant = kind.partition(" ")
    more: dict[str, Any] = {}
    if "ControlNet" in kind:
        first = package.ControlNetModel.from_pretrained(folder / "controlnet")
        second = package.ControlNetModel.from_pretrained(folder / "controlnet_other")
        more["controlnet"] = [first, second] if variant == "several" else first
    source = "xl_score" if variant == "score" else "xl" if "XL" in kind else "sd"
    if variant == "told":
        more["unet"] = package.UNet2DConditionModel.from_pretrained(folder / "unet_told")
    if variant == "nine":
        more["unet"] = package.UNet2DConditionModel.from_pretrained(folder / "unet_nine")
    pipe = getattr(package, kind).from_pretrained(folder / source, **more)
    pipe.set_progress_bar_config(disable=True)
    if not hasattr(pipe.text_encoder, "text_model"):  # transformers 5.6 and later; the peer's clip_skip needs it
        pipe.text_encoder.__dict__["text_model"] = pipe.text_encoder
    if chosen is not None:
        pipe.scheduler = scheduler(package, chosen, pipe)
    call: dict[str, Any] = {
        "prompt": "A cat wearing sunglasses",
        "num_inference_steps": 3,
        "generator": torch.Generator().manual_seed(3),
        "output_type": "np",
    }
    if kind in ("StableDiffusionPipeline", "StableDiffusionXLPipeline", "LatentConsistencyModelPipeline"):
        call |= {"height": SIDE, "width": SIDE}
    if "Inpaint" in kind and "ControlNet" not in kind:
        call |= {"height": SIDE, "width": SIDE}
    call |= {
        key: GIVEN[value]() if isinstance(value, str) and value in GIVEN else value for key, value in arguments.items()
    }
    if "timesteps" in call:
        del call["num_inference_steps"]
    images = pipe(**call).images
    if isinstance(images, list):
        return np.stack([np.asarray(one) / 255.0 for one in images])
    return np.asarray(images)


def unconditional(package: Any, folder: Path) -> dict[str, Any]:
    """What pipelines without a text draw."""
    import torch

    found = {}
    for name in ("DDPMPipeline", "DDIMPipeline", "ConsistencyModelPipeline"):
        pipe = getattr(package, name).from_pretrained(folder / name)
        pipe.set_progress_bar_config(disable=True)
        for steps in (1, 3):
            generator = torch.Generator().manual_seed(7)
            more = {"class_labels": [0, 2]} if name == "ConsistencyModelPipeline" else {}
            found[f"{name} {steps}"] = pipe(
                batch_size=2, generator=generator, num_inference_steps=steps, output_type="np", **more
            ).images
    return found


def everything(package: Any, packages: Path, folder: Path) -> None:
    """Write the folders, and what is painted with them (run by the peer)."""
    import diffusion
    import numpy as np
    import torch

    pipe = diffusion.pipeline(packages, folder / "sd")
    pipe.save_pretrained(folder / "sd")
    diffusion.pipeline(packages, folder / "other", in_channels=9).unet.save_pretrained(folder / "unet_nine")
    diffusion.pipeline(packages, folder / "other", time_cond_proj_dim=12).unet.save_pretrained(folder / "unet_told")
    diffusion.xl(pipe).save_pretrained(folder / "xl")
    scored = diffusion.xl(pipe, score=True)
    scored.register_to_config(requires_aesthetics_score=True)
    scored.save_pretrained(folder / "xl_score")
    torch.manual_seed(1)
    for place in ("controlnet", "controlnet_other"):
        control = package.ControlNetModel.from_unet(pipe.unet)
        with torch.no_grad():
            for weight in control.parameters():
                weight.add_(torch.randn(weight.shape) * 0.05)
        control.save_pretrained(folder / place)
    plain = {"sample_size": 8, "block_out_channels": (8, 16), "norm_num_groups": 4, "attention_head_dim": 4}
    plain |= {"down_block_types": ("DownBlock2D", "AttnDownBlock2D"), "up_block_types": ("AttnUpBlock2D", "UpBlock2D")}
    unet = package.UNet2DModel(**plain)
    package.DDPMPipeline(unet, package.DDPMScheduler()).save_pretrained(folder / "DDPMPipeline")
    package.DDIMPipeline(unet, package.DDIMScheduler()).save_pretrained(folder / "DDIMPipeline")
    consistent = package.UNet2DModel(**plain, num_class_embeds=3)
    levels = package.CMStochasticIterativeScheduler()
    package.ConsistencyModelPipeline(consistent, levels).save_pretrained(folder / "ConsistencyModelPipeline")
    painted = {name: paint(package, folder, name) for name in CASES}
    np.savez(folder / "painted.npz", **painted, **unconditional(package, folder))
