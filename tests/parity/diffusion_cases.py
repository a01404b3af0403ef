"""Small diffusion models that both sides build, and what they are given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

TEXT = {"text": (2, 5, 8)}
SMALL = {"block_out_channels": (8, 16), "norm_num_groups": 4}
CROSS: dict[str, Any] = {
    **SMALL,
    "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
    "cross_attention_dim": 8,
    "attention_head_dim": 2,
    "layers_per_block": 1,
}
SDXL: dict[str, Any] = {
    **CROSS,
    "block_out_channels": (8, 16, 16),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "attention_head_dim": (1, 2, 4),
    "transformer_layers_per_block": (1, 1, 2),
    "layers_per_block": 2,
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 4,
    "projection_class_embeddings_input_dim": 8 + 6 * 4,
}
PLAIN: dict[str, Any] = {
    "block_out_channels": (8, 16),
    "norm_num_groups": 4,
    "layers_per_block": 1,
    "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
    "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
    "attention_head_dim": 4,
}
RESAMPLED = {"down_block_types": ("ResnetDownsampleBlock2D", "AttnDownBlock2D")} | {
    "up_block_types": ("AttnUpBlock2D", "ResnetUpsampleBlock2D")
}
VAE: dict[str, Any] = {
    **SMALL,
    "down_block_types": ("DownEncoderBlock2D",) * 2,
    "up_block_types": ("UpDecoderBlock2D",) * 2,
    "sample_size": 16,
}
TINY = {"encoder_block_out_channels": (8, 8, 8, 8), "decoder_block_out_channels": (8, 8, 8, 8)}
TINY |= {"num_encoder_blocks": (1, 1, 1, 1), "num_decoder_blocks": (1, 1, 1, 1)}
XL_MORE = {"added_cond_kwargs": {"text_embeds": (2, 8), "time_ids": (2, 6)}}
SD3: dict[str, Any] = {
    "sample_size": 8,
    "in_channels": 4,
    "out_channels": 4,
    "num_layers": 3,
    "attention_head_dim": 8,
    "num_attention_heads": 2,
    "joint_attention_dim": 6,
    "caption_projection_dim": 16,
    "pooled_projection_dim": 5,
    "pos_embed_max_size": 12,
}
FLUX: dict[str, Any] = {
    "in_channels": 4,
    "num_layers": 2,
    "num_single_layers": 3,
    "attention_head_dim": 16,
    "num_attention_heads": 2,
    "joint_attention_dim": 6,
    "pooled_projection_dim": 5,
    "axes_dims_rope": (4, 6, 6),
}
JOINT = {"encoder_hidden_states": (2, 3, 6), "pooled_projections": (2, 5)}
PATCHES = {"hidden_states": (2, 6, 4), **JOINT}
PLACES = {"txt_ids": [[0.0] * 3] * 3, "img_ids": [[0.0, row, column] for row in range(2) for column in range(3)]}
LATENTS = {"sample": (2, 4, 8, 8)}
PICTURES = {"sample": (2, 3, 8, 8)}

# name → class, configuration, shapes of inputs, other inputs
CASES: dict[str, tuple[str, dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "unet": ("UNet2DConditionModel", CROSS, {**LATENTS, "encoder_hidden_states": (2, 5, 8)}, {"timestep": 7}),
    "unet_uneven": (
        "UNet2DConditionModel",
        {**CROSS, "flip_sin_to_cos": False, "freq_shift": 1, "layers_per_block": (2, 1)},
        {"sample": (2, 4, 7, 9), "encoder_hidden_states": (2, 5, 8)},
        {"timestep": 7},
    ),
    "unet_linear": (
        "UNet2DConditionModel",
        {**CROSS, "use_linear_projection": True, "only_cross_attention": (True, False), "center_input_sample": True},
        {**LATENTS, "encoder_hidden_states": (2, 5, 8)},
        {"timestep": 3.5},
    ),
    "unet_masked": (
        "UNet2DConditionModel",
        CROSS,
        {**LATENTS, "encoder_hidden_states": (2, 5, 8)},
        {"timestep": 7, "encoder_attention_mask": [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]},
    ),
    "unet_controlled": (
        "UNet2DConditionModel",
        CROSS,
        {
            **LATENTS,
            "encoder_hidden_states": (2, 5, 8),
            "down_block_additional_residuals": [(2, 8, 8, 8), (2, 8, 8, 8), (2, 8, 4, 4), (2, 16, 4, 4)],
            "mid_block_additional_residual": (2, 16, 4, 4),
        },
        {"timestep": 7},
    ),
    "unet_adapted": (
        "UNet2DConditionModel",
        CROSS,
        {
            **LATENTS,
            "encoder_hidden_states": (2, 5, 8),
            "down_intrablock_additional_residuals": [(2, 8, 8, 8), (2, 16, 4, 4)],
        },
        {"timestep": 7},
    ),
    "unet_classes": (
        "UNet2DConditionModel",
        {**CROSS, "num_class_embeds": 4, "time_cond_proj_dim": 6, "resnet_time_scale_shift": "scale_shift"},
        {**LATENTS, "encoder_hidden_states": (2, 5, 8), "timestep_cond": (2, 6)},
        {"timestep": 7, "class_labels": [1, 3]},
    ),
    "unet_projected": (
        "UNet2DConditionModel",
        {**CROSS, "class_embed_type": "projection", "projection_class_embeddings_input_dim": 6, "encoder_hid_dim": 10},
        {**LATENTS, "encoder_hidden_states": (2, 5, 10), "class_labels": (2, 6)},
        {"timestep": 7},
    ),
    "unet_text": (
        "UNet2DConditionModel",
        {**CROSS, "addition_embed_type": "text", "addition_embed_type_num_heads": 2, "time_embedding_type": "fourier"},
        {**LATENTS, "encoder_hidden_states": (2, 5, 8)},
        {"timestep": 0.7},
    ),
    "unet_resampled": (
        "UNet2DConditionModel",
        {
            **CROSS,
            "down_block_types": ("ResnetDownsampleBlock2D", "CrossAttnDownBlock2D"),
            "up_block_types": ("CrossAttnUpBlock2D", "ResnetUpsampleBlock2D"),
            "mid_block_type": "UNetMidBlock2D",
            "resnet_skip_time_act": True,
            "resnet_out_scale_factor": 1.5,
            "time_embedding_act_fn": "silu",
        },
        {**LATENTS, "encoder_hidden_states": (2, 5, 8)},
        {"timestep": 7},
    ),
    "unet_xl": (
        "UNet2DConditionModel",
        SDXL,
        {**LATENTS, "encoder_hidden_states": (2, 5, 8), **XL_MORE},
        {"timestep": 9},
    ),
    "plain": ("UNet2DModel", PLAIN, PICTURES, {"timestep": 7}),
    "plain_fourier": ("UNet2DModel", {**PLAIN, "time_embedding_type": "fourier"}, PICTURES, {"timestep": [0.6, 0.9]}),
    "plain_resampled": (
        "UNet2DModel",
        {**PLAIN, **RESAMPLED, "resnet_time_scale_shift": "scale_shift", "num_class_embeds": 5},
        PICTURES,
        {"timestep": 7, "class_labels": [0, 4]},
    ),
    "plain_types": (
        "UNet2DModel",
        {**PLAIN, "downsample_type": "resnet", "upsample_type": "resnet", "class_embed_type": "timestep"}
        | {"down_block_types": ("AttnDownBlock2D",) * 2, "up_block_types": ("AttnUpBlock2D",) * 2},
        PICTURES,
        {"timestep": 7, "class_labels": [0, 4]},
    ),
    "plain_bare": (
        "UNet2DModel",
        {
            **PLAIN,
            "add_attention": False,
            "attention_head_dim": None,
            "downsample_padding": 0,
            "mid_block_scale_factor": 2,
        },
        PICTURES,
        {"timestep": 7},
    ),
    "vae": ("AutoencoderKL", VAE, {"sample": (2, 3, 16, 16)}, {}),
    "vae_bare": (
        "AutoencoderKL",
        {**VAE, "use_quant_conv": False, "use_post_quant_conv": False, "mid_block_add_attention": False},
        {"sample": (2, 3, 16, 16)},
        {},
    ),
    "tiny": ("AutoencoderTiny", TINY, {"sample": (2, 3, 16, 16)}, {}),
    "controlnet": (
        "ControlNetModel",
        {name: value for name, value in CROSS.items() if name != "up_block_types"}
        | {"conditioning_embedding_out_channels": (4, 6)},
        {**LATENTS, "encoder_hidden_states": (2, 5, 8), "controlnet_cond": (2, 3, 16, 16)},
        {"timestep": 7, "conditioning_scale": 0.7},
    ),
    "controlnet_guess": (
        "ControlNetModel",
        {name: value for name, value in SDXL.items() if name != "up_block_types"}
        | {"conditioning_embedding_out_channels": (4, 6), "controlnet_conditioning_channel_order": "bgr"},
        {**LATENTS, "encoder_hidden_states": (2, 5, 8), "controlnet_cond": (2, 3, 16, 16), **XL_MORE},
        {"timestep": 7, "guess_mode": True},
    ),
    "sd3": ("SD3Transformer2DModel", SD3, {"hidden_states": (2, 4, 8, 12), **JOINT}, {"timestep": [7.0, 900.0]}),
    "sd3_dual": (
        "SD3Transformer2DModel",
        {**SD3, "qk_norm": "rms_norm", "dual_attention_layers": (0, 2), "out_channels": None},
        {"hidden_states": (2, 4, 6, 10), **JOINT, "block_controlnet_hidden_states": [(2, 15, 16), (2, 15, 16)]},
        {"timestep": [7.0, 900.0]},
    ),
    "flux": ("FluxTransformer2DModel", FLUX, PATCHES, {"timestep": [0.3, 0.9], **PLACES}),
    "flux_guided": (
        "FluxTransformer2DModel",
        {**FLUX, "guidance_embeds": True, "out_channels": 6},
        {
            **PATCHES,
            "controlnet_block_samples": [(2, 6, 32)] * 2,
            "controlnet_single_block_samples": [(2, 6, 32)] * 2,
        },
        {"timestep": [0.3, 0.9], "guidance": [3.5, 2.0], **PLACES},
    ),
}


def inputs(name: str) -> dict[str, Any]:
    """The inputs of a case, drawn the same on both sides."""
    import torch

    generator = torch.Generator().manual_seed(len(name))

    def drawn(shape: Any) -> Any:
        if isinstance(shape, dict):
            return {key: drawn(value) for key, value in shape.items()}
        if isinstance(shape, list):
            return [drawn(value) for value in shape]
        return torch.randn(shape, generator=generator)

    _, _, shapes, others = CASES[name]
    given = {key: torch.tensor(value) if isinstance(value, list) else value for key, value in others.items()}
    return {key: drawn(value) for key, value in shapes.items()} | given


def outputs(model: Any, name: str) -> list[Any]:
    """What a model gives for a case."""
    import torch

    given = inputs(name)
    with torch.no_grad():
        found = [model(**given)]
        if "Autoencoder" in CASES[name][0]:
            large = torch.randn(1, 3, 40, 24, generator=torch.Generator().manual_seed(5))
            if CASES[name][0] == "AutoencoderKL":
                model.enable_tiling()
                posterior = model.encode(large).latent_dist
                found += [posterior.parameters, posterior.sample(torch.Generator().manual_seed(1)), posterior.kl()]
                model.enable_slicing()
                found += [model.decode(torch.cat([posterior.mode()] * 2)).sample]
            else:
                found += [model.encode(large).latents]
                model.tile_sample_min_size, model.tile_latent_min_size = 16, 2
                model.enable_tiling()
                found += [model.encode(large[:, :, :32]).latents, model.decode(torch.ones(1, 4, 4, 3)).sample]
        if name == "unet":
            model.enable_freeu(s1=0.9, s2=0.2, b1=1.2, b2=1.4)
            found.append(model(**given))
            model.disable_freeu()
            model.fuse_qkv_projections()
            found.append(model(**given))
            model.unfuse_qkv_projections()
    flat: list[Any] = []
    for output in found:
        for value in output.values() if hasattr(output, "values") and not torch.is_tensor(output) else [output]:
            flat += value if isinstance(value, list | tuple) else [value]
    return flat


def build(package: Any, name: str, folder: Path) -> list[Any]:
    """Make the model of a case with weights that are nowhere zero, write it, and return what it gives."""
    import torch

    kind, config, _, _ = CASES[name]
    torch.manual_seed(0)
    model = getattr(package, kind)(**config).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn(weight.shape) * 0.1)
    model.save_pretrained(folder / name)
    return outputs(model, name)


def everything(package: Any, folder: Path) -> None:
    """Build every case, and write what each gives."""
    from safetensors.torch import save_file

    for name in CASES:
        found = build(package, name, folder)
        save_file({str(i): value.contiguous() for i, value in enumerate(found)}, folder / f"{name}.safetensors")
