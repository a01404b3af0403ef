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

    source, arguments = CASES[name]
    call: dict[str, Any] = {"prompt": "a cat", "num_inference_steps": 3, "height": 64, "width": 48}
    call |= {"generator": torch.Generator().manual_seed(3), "output_type": "np", "max_sequence_length": 12}
    return np.asarray(loaded(package, folder / source)(**{**call, **arguments}).images)


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
    np.savez(folder / "painted.npz", **{name: paint(package, folder, name) for name in CASES})
