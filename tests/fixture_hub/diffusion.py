"""runwayml/stable-diffusion-v1-5 as its repository is, with few and narrow layers (runs in the peers' environment)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
import vocabularies
from diffusers import (
    AutoencoderKL,
    PNDMScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from diffusers.pipelines.stable_diffusion import StableDiffusionSafetyChecker
from transformers import (
    CLIPConfig,
    CLIPImageProcessor,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
)
from writing import CARD, write_json

VISION: dict[str, Any] = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 32,
    "patch_size": 8,
    "projection_dim": 16,
}
TEXT: dict[str, Any] = {
    "vocab_size": 49408,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "max_position_embeddings": 77,
    "projection_dim": 16,
    "bos_token_id": 49406,
    "eos_token_id": 2,  # as the old configuration says: the last token is found by its largest id
    "pad_token_id": 1,
}


def pipeline(packages: Path, folder: Path, **changes: Any) -> StableDiffusionPipeline:
    """Build the pipeline; ``changes`` replaces fields of the UNet."""
    vocab, merges = vocabularies.clip(packages)
    place = folder / "tokenizer"
    place.mkdir(parents=True, exist_ok=True)
    (place / "vocab.json").write_text(json.dumps(vocab), encoding="utf-8")
    (place / "merges.txt").write_text(merges, encoding="utf-8")
    tokenizer = CLIPTokenizer(str(place / "vocab.json"), str(place / "merges.txt"), model_max_length=77)
    torch.manual_seed(15)
    unet = UNet2DConditionModel(
        **{
            "sample_size": 8,
            "block_out_channels": (16, 32),
            "layers_per_block": 1,
            "norm_num_groups": 8,
            "cross_attention_dim": 16,
            "attention_head_dim": 2,
            "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
            "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
        }
        | changes
    )
    vae = AutoencoderKL(
        block_out_channels=(8, 8, 16, 16),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        norm_num_groups=4,
        latent_channels=4,
        sample_size=64,
    )
    checker = StableDiffusionSafetyChecker(
        CLIPConfig(text_config=TEXT, vision_config=VISION, projection_dim=16)  # nothing is ever near these
    )
    with torch.no_grad():
        for model in (unet, vae):
            for weight in model.parameters():
                weight.add_(torch.randn(weight.shape) * 0.05)
        checker.concept_embeds_weights.fill_(2.0)
        checker.special_care_embeds_weights.fill_(2.0)
    return StableDiffusionPipeline(
        vae=vae,
        text_encoder=CLIPTextModel(CLIPTextConfig(**TEXT)),
        tokenizer=tokenizer,
        unet=unet,
        scheduler=PNDMScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", skip_prk_steps=True, steps_offset=1
        ),
        safety_checker=checker,
        feature_extractor=CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}),
    )


def stable_diffusion(folder: Path, packages: Path) -> None:
    """Write the repository: weights of the text encoder under their old names, the tokenizer as two files."""
    from safetensors.torch import load_file, save_file

    made = pipeline(packages, folder)
    kept = {name: (folder / "tokenizer" / name).read_text(encoding="utf-8") for name in ("vocab.json", "merges.txt")}
    made.save_pretrained(folder)
    (folder / "tokenizer" / "tokenizer.json").unlink(missing_ok=True)
    for name, text in kept.items():
        (folder / "tokenizer" / name).write_text(text, encoding="utf-8")
    path = folder / "text_encoder" / "model.safetensors"
    tensors = load_file(path)
    save_file(
        {name if name.startswith("text_model.") else f"text_model.{name}": value for name, value in tensors.items()},
        path,
        metadata={"format": "pt"},
    )
    index = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
    write_json(folder / "model_index.json", {**index, "_diffusers_version": "0.6.0"})
    (folder / "README.md").write_text(CARD.format(title="Stable Diffusion v1-5", weights="random"), encoding="utf-8")


def xl(plain: StableDiffusionPipeline, *, score: bool = False) -> StableDiffusionXLPipeline:
    """Build a small SDXL around the small Stable Diffusion's autoencoder and tokenizer; a refiner is told a score."""
    torch.manual_seed(16)
    unet = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(16, 32),
        layers_per_block=1,
        norm_num_groups=8,
        cross_attention_dim=32,
        attention_head_dim=(2, 4),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        transformer_layers_per_block=(1, 2),
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=16 + 8 * (5 if score else 6),
    )
    with torch.no_grad():
        for weight in unet.parameters():
            weight.add_(torch.randn(weight.shape) * 0.05)
    return StableDiffusionXLPipeline(
        vae=plain.vae,
        text_encoder=CLIPTextModel(CLIPTextConfig(**TEXT)),
        text_encoder_2=CLIPTextModelWithProjection(CLIPTextConfig(**TEXT)),
        tokenizer=plain.tokenizer,
        tokenizer_2=plain.tokenizer,
        unet=unet,
        scheduler=plain.scheduler,
    )
