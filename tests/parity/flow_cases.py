"""Pictures that both sides paint with small flow-matching transformers."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

# name → folder, arguments
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "sd3": ("sd3", {}),
    "sd3_many": (
        "sd3",
        {"prompt": ["a cat", "two dogs"], "prompt_2": ["in oil", "in ink"], "negative_prompt": ["blue", "red"]}
        | {"num_images_per_prompt": 2, "clip_skip": 1, "height": 32, "width": 64},
    ),
    "sd3_skipping": (
        "sd3",
        {"skip_guidance_layers": [1], "skip_layer_guidance_stop": 0.7, "num_inference_steps": 4},
    ),
    "sd3_plain": ("sd3_without_t5", {"guidance_scale": 1.0, "output_type": "latent"}),
    "flux": ("flux", {"guidance_scale": 2.0}),
    "flux_many": (
        "flux",
        {"prompt": ["a cat", "two dogs"], "prompt_2": ["in oil", "in ink"], "num_images_per_prompt": 2}
        | {"negative_prompt": ["blue", "red"], "true_cfg_scale": 3.0, "height": 32, "width": 64},
    ),
    "flux_fast": ("flux_fast", {"sigmas": [1.0, 0.6, 0.3], "output_type": "latent"}),
    "sd3_over": ("sd3", {"image": True, "num_inference_steps": 5, "strength": 0.7}),
    "sd3_over_two": (
        "sd3_without_t5",
        {"image": True, "prompt": ["a cat", "two dogs"], "num_inference_steps": 4, "strength": 0.6, "clip_skip": 1},
    ),
    "flux_over": ("flux", {"image": True, "num_inference_steps": 5, "strength": 0.7}),
    "flux_over_many": (
        "flux_fast",
        {"image": True, "num_images_per_prompt": 2, "negative_prompt": "blue", "true_cfg_scale": 2.0, "strength": 0.5},
    ),
    "sd3_drawn": ("sd3", {"control": "sd3_control", "controlnet_conditioning_scale": 0.7}),
    "sd3_drawn_textless": (
        "sd3",
        {"control": "sd3_textless", "num_images_per_prompt": 2, "control_guidance_end": 0.5, "num_inference_steps": 4},
    ),
    "flux_drawn": ("flux", {"control": "flux_control", "controlnet_conditioning_scale": 0.7}),
    "flux_drawn_hint": ("flux_fast", {"control": "flux_hint", "control_guidance_start": 0.3}),
    "flux_drawn_union": (
        "flux",
        {"control": "flux_union", "control_mode": 1, "negative_prompt": "blue", "true_cfg_scale": 2.0},
    ),
    "sd3_peft": ("sd3", {"lora": "sd3_peft.safetensors"}),
    "flux_peft": ("flux", {"lora": "flux_peft.safetensors"}),
    "flux_peft_half": ("flux", {"lora": "flux_peft.safetensors", "joint_attention_kwargs": {"scale": 0.5}}),
    "flux_kohya": ("flux", {"lora": "flux_kohya.safetensors"}),
}


@functools.cache
def loaded(package: Any, folder: Path) -> Any:
    """The pipeline of a folder, loaded once."""
    without = {"text_encoder_3": None, "tokenizer_3": None} if folder.name == "sd3_without_t5" else {}
    pipe = package.DiffusionPipeline.from_pretrained(folder, **without)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def paint(package: Any, folder: Path, name: str) -> Any:
    """Paint a case, as an array."""
    import numpy as np
    import torch

    source, given = CASES[name]
    arguments = dict(given)
    pipe = loaded(package, folder / source)
    grey = np.add.outer(np.arange(64), np.arange(48)) / 111
    picture = np.stack([grey, 1 - grey, grey * grey], -1)[None].astype("float32")
    if arguments.pop("image", False):
        pipe = package.AutoPipelineForImage2Image.from_pipe(pipe)
        arguments["image"] = picture
    control = arguments.pop("control", None)
    if control is not None:
        kinds = ("StableDiffusion3ControlNetPipeline", "SD3ControlNetModel")
        kinds = ("FluxControlNetPipeline", "FluxControlNetModel") if control.startswith("flux") else kinds
        model = getattr(package, kinds[1]).from_pretrained(str(folder / control))
        pipe = getattr(package, kinds[0]).from_pipe(pipe, controlnet=model)
        arguments["control_image"] = picture
    pipe.set_progress_bar_config(disable=True)
    torch.manual_seed(7)
    adapter = arguments.pop("lora", None)
    if adapter is not None:
        pipe.load_lora_weights(str(folder / adapter))
    call: dict[str, Any] = {"prompt": "a cat", "num_inference_steps": 3, "height": 64, "width": 48}
    call |= {"generator": torch.Generator().manual_seed(3), "output_type": "np", "max_sequence_length": 12}
    try:
        return np.asarray(pipe(**{**call, **arguments}).images)
    finally:
        if adapter is not None:
            pipe.unload_lora_weights()


def write_adapters(pipe: Any, name: str, folder: Path) -> None:
    """Write adapters of a transformer in the forms that are in use, drawn anew each time."""
    import torch
    from safetensors.torch import save_file

    generator = torch.Generator().manual_seed(11)
    rank = 3

    def factors(outputs: int, inputs: int) -> tuple[Any, Any]:
        return tuple(torch.randn(shape, generator=generator) * 0.3 for shape in ((rank, inputs), (outputs, rank)))

    ends = ("attn.to_q", "attn.to_k", "attn.to_v", "attn.to_out.0", "attn.add_k_proj", "ff.net.0.proj", "proj_mlp")
    own: dict[str, Any] = {}
    for path, module in pipe.transformer.named_modules():
        if path.endswith(ends):
            first, second = factors(module.out_features, module.in_features)
            own |= {f"transformer.{path}.lora_A.weight": first, f"transformer.{path}.lora_B.weight": second}
    save_file(own, folder / f"{name}_peft.safetensors")
    if name != "flux":
        return
    width, fed = pipe.transformer.inner_dim, 4 * pipe.transformer.inner_dim
    kohya: dict[str, Any] = {}
    for i in range(len(pipe.transformer.transformer_blocks)):
        for side in ("img", "txt"):
            for layer, outputs, inputs in (
                ("attn.qkv", 3 * width, width),
                ("attn.proj", width, width),
                ("mlp.0", fed, width),
                ("mlp.2", width, fed),
            ):
                start = f"lora_unet_double_blocks_{i}_{side}_{layer}".replace(".", "_")
                down, up = factors(outputs, inputs)
                kohya |= {f"{start}.lora_down.weight": down, f"{start}.lora_up.weight": up}
                kohya[f"{start}.alpha"] = torch.tensor(2.0)
    save_file(kohya, folder / "flux_kohya.safetensors")


def everything(package: Any, packages: Path, folder: Path) -> None:
    """Write the folders, and what is painted with them (run by the peer)."""
    import diffusion
    import numpy as np
    import torch
    import transformers

    from parity import diffusion_cases as models

    plain = diffusion.pipeline(packages, folder / "sd")
    letters = [(f"▁{letter}", -3.0) for letter in "abcdefghijklmnopqrstuvwxyz"] + [
        (chr(97 + i), -2.0) for i in range(26)
    ]
    t5_tokenizer = transformers.T5TokenizerFast(
        vocab=[("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0), *letters], extra_ids=0
    )
    torch.manual_seed(5)

    def shaken(model: Any) -> Any:
        with torch.no_grad():
            for weight in model.parameters():
                weight.add_(torch.randn(weight.shape) * 0.05)
        return model.eval()

    t5 = transformers.T5Config(vocab_size=64, d_model=32, d_kv=8, d_ff=48, num_layers=2, num_heads=4)
    shape = {"norm_num_groups": 4, "sample_size": 64, "scaling_factor": 1.5, "shift_factor": 0.06}
    blocks = {"down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4}
    vae = shaken(
        package.AutoencoderKL(
            block_out_channels=(8, 8, 16, 16),
            latent_channels=4,
            use_quant_conv=False,
            use_post_quant_conv=False,
            **shape,
            **blocks,
        )
    )
    encoder = shaken(transformers.T5EncoderModel(t5))
    text = transformers.CLIPTextConfig(**{**diffusion.TEXT, "projection_dim": 16})
    clips = [shaken(transformers.CLIPTextModelWithProjection(text)) for _ in range(2)]
    joint = {"joint_attention_dim": 32}
    sd3 = package.StableDiffusion3Pipeline(
        transformer=shaken(package.SD3Transformer2DModel(**{**models.SD3, **joint, "pooled_projection_dim": 32})),
        scheduler=package.FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=vae,
        text_encoder=clips[0],
        text_encoder_2=clips[1],
        text_encoder_3=encoder,
        tokenizer=plain.tokenizer,
        tokenizer_2=plain.tokenizer,
        tokenizer_3=t5_tokenizer,
    )
    sd3.save_pretrained(folder / "sd3")
    sd3.text_encoder_3 = sd3.tokenizer_3 = None
    sd3.scheduler = package.FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True)
    sd3.save_pretrained(folder / "sd3_without_t5")
    for name, guided in (("flux", True), ("flux_fast", False)):
        config = {**models.FLUX, **joint, "in_channels": 16, "pooled_projection_dim": 16, "guidance_embeds": guided}
        package.FluxPipeline(
            transformer=shaken(package.FluxTransformer2DModel(**config)),
            scheduler=package.FlowMatchEulerDiscreteScheduler(
                shift=3.0 if guided else 1.0, use_dynamic_shifting=guided
            ),
            vae=vae,
            text_encoder=shaken(transformers.CLIPTextModel(text)),
            tokenizer=plain.tokenizer,
            text_encoder_2=encoder,
            tokenizer_2=t5_tokenizer,
        ).save_pretrained(folder / name)
    small = {**models.FLUX, **joint, "in_channels": 16, "pooled_projection_dim": 16, "num_single_layers": 1}
    own = {**models.SD3, **joint, "pooled_projection_dim": 32, "num_layers": 2}
    textless = {"joint_attention_dim": None, "use_pos_embed": False, "force_zeros_for_pooled_projection": False}
    for name, kind, config in (
        ("flux_control", "Flux", {**small, "guidance_embeds": True}),
        ("flux_hint", "Flux", {**small, "patch_size": 2, "conditioning_embedding_channels": 4}),
        ("flux_union", "Flux", {**small, "num_mode": 3}),
        ("sd3_control", "SD3", own),
        ("sd3_textless", "SD3", {**own, **textless}),
    ):
        shaken(getattr(package, f"{kind}ControlNetModel")(**config)).save_pretrained(folder / name)
    # What is written by hand is what the ecosystem's own reader takes (FLUX.1's knows only the published width).
    from diffusers.loaders.single_file_utils import convert_sd3_transformer_checkpoint_to_diffusers
    from safetensors.torch import save_file

    from parity import first_layouts

    state = sd3.transformer.state_dict()
    save_file(first_layouts.transformer(state, "sd3"), folder / "sd3_first.safetensors")
    taken = convert_sd3_transformer_checkpoint_to_diffusers(first_layouts.transformer(state, "sd3"))
    assert all(torch.equal(taken[key], state[key]) for key in state)
    for name in ("sd3", "flux"):
        write_adapters(loaded(package, folder / name), name, folder)
    np.savez(folder / "painted.npz", **{name: paint(package, folder, name) for name in CASES})
