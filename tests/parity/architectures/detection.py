"""Tiny models that find objects and masks: SAM and DETR."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from parity.architectures.harness import Case
from parity.architectures.vision import FULL, images

EYES: dict[str, Any] = {
    "hidden_size": 24,
    "output_channels": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 3,
    "image_size": 20,
    "patch_size": 2,
    "window_size": 4,
    "global_attn_indexes": [1],
    "num_pos_feats": 8,
    "mlp_ratio": 2.0,
}


def sam(**eyes: Any) -> Callable[[Any], Any]:
    """Return a function to the configuration of a small SAM."""

    def config(library: Any) -> Any:
        vision = library.SamVisionConfig(**{**EYES, **eyes})
        reader = library.SamPromptEncoderConfig(hidden_size=16, image_size=20, patch_size=2, mask_input_channels=8)
        decoder = library.SamMaskDecoderConfig(
            hidden_size=16, mlp_dim=18, num_attention_heads=2, iou_head_hidden_dim=10, iou_head_depth=4
        )
        return library.SamConfig(vision_config=vision, prompt_encoder_config=reader, mask_decoder_config=decoder)

    return config


def sam_eyes(library: Any) -> Any:
    """Return the configuration of SAM's reader of images alone."""
    return library.SamVisionConfig(**EYES, attn_implementation="eager")


def prompts(*kinds: str, **options: Any) -> Callable[[str], dict[str, Any]]:
    """Return a function to two images with three prompts each: ``points``, ``boxes``, ``masks``, ``similar``."""

    def inputs(padding: str) -> dict[str, Any]:
        import torch

        given = images(size=(20, 20))(padding)
        draw = torch.Generator().manual_seed(5)
        points = torch.randint(0, 20, (2, 3, 4, 2), generator=draw).float()
        if "points" in kinds:
            given["input_points"] = points
            given["input_labels"] = torch.tensor([[1, 0, -1, -10], [0, 1, 1, 0], [1, 1, -10, -10]]).repeat(2, 1, 1)
        if "boxes" in kinds:
            given["input_boxes"] = torch.cat([points[:, :, 0] / 2, points[:, :, 0] / 2 + 5], dim=-1)
        if "masks" in kinds:
            given["input_masks"] = torch.randn((2, 1, 40, 40), generator=draw)
        if "similar" in kinds:
            given["attention_similarity"] = torch.randn((6, 1, 1, 100), generator=draw)
            given["target_embedding"] = torch.randn((2, 1, 1, 16), generator=draw)
        return given | options

    return inputs


DETR: dict[str, Any] = {
    "num_queries": 5,
    "encoder_layers": 2,
    "encoder_ffn_dim": 18,
    "encoder_attention_heads": 8,
    "decoder_layers": 3,
    "decoder_ffn_dim": 20,
    "decoder_attention_heads": 2,
    "d_model": 32,
    "num_labels": 4,
}


def detr(*stages: str, **options: Any) -> Callable[[Any], Any]:
    """Return a function to the configuration of a small DETR on the stages of a small ResNet."""

    def config(library: Any) -> Any:
        sizes = {"embedding_size": 6, "hidden_sizes": [8, 12, 12, 16], "depths": [1, 1, 2, 1]}
        eyes = library.ResNetConfig(**sizes, out_features=list(stages or ("stage4",)))
        return library.DetrConfig(**{**DETR, **options}, use_timm_backbone=False, backbone_config=eyes)

    return config


def scene(masks: bool = False, labels: bool = True) -> Callable[[str], dict[str, Any]]:
    """Return a function to two images, the second padded on the right and below, with objects on them."""

    def inputs(padding: str) -> dict[str, Any]:
        import torch

        given = images(size=(96, 70))(padding)
        draw = torch.Generator().manual_seed(9)
        if padding:
            mask = torch.ones((2, 96, 70), dtype=torch.long)
            mask[1, 64:] = 0
            mask[1, :, 40:] = 0
            given["pixel_mask"] = mask
        if labels:
            given["labels"] = []
            for count in (3, 1):
                label = {"class_labels": torch.randint(0, 4, (count,), generator=draw)}
                label["boxes"] = 0.3 + 0.3 * torch.rand((count, 4), generator=draw)
                if masks:
                    label["masks"] = (torch.rand((count, 60 + 5 * count, 50), generator=draw) < 0.5).long()
                given["labels"].append(label)
        return given

    return inputs


EVERY = ("stage1", "stage2", "stage3", "stage4")
# a backbone under transformers' names is frozen wholly there, by a misspelt name; the paper freezes half of it
HALF_FROZEN = "/gradient/.*backbone"
# with auxiliary losses, v4 shows the states that the next layer is given, v5 those before their normalisation
BETWEEN = "decoder_hidden_states/[12]$"
# the peer's whole model has no weights of the reader of images, which compares them by itself
EYES_ALONE = "/vision_attentions/"

CASES: dict[str, Case] = {
    "sam-points": Case("SamModel", sam(), prompts("points"), FULL, apart=EYES_ALONE),
    "sam-boxes": Case(
        "SamModel", sam(qkv_bias=False), prompts("boxes", multimask_output=False), FULL, apart=EYES_ALONE
    ),
    "sam-both": Case("SamModel", sam(use_abs_pos=False), prompts("points", "boxes", "masks"), FULL, apart=EYES_ALONE),
    "sam-masks": Case("SamModel", sam(use_rel_pos=False), prompts("masks"), FULL, apart=EYES_ALONE),
    "sam-personal": Case("SamModel", sam(window_size=7), prompts("points", "similar"), FULL, apart=EYES_ALONE),
    "sam-eyes": Case("SamVisionModel", sam_eyes, images(size=(20, 20)), FULL),
    "detr": Case("DetrModel", detr(), scene(labels=False), ("", "right")),
    "detr-boxes": Case("DetrForObjectDetection", detr(), scene(), apart=HALF_FROZEN),
    "detr-boxes-auxiliary": Case(
        "DetrForObjectDetection",
        detr(auxiliary_loss=True, eos_coefficient=0.4),
        scene(),
        apart=HALF_FROZEN + "|" + BETWEEN,
    ),
    "detr-masks": Case("DetrForSegmentation", detr(*EVERY), scene(masks=True), apart=HALF_FROZEN),
    "detr-masks-auxiliary": Case(
        "DetrForSegmentation",
        detr(*EVERY, auxiliary_loss=True),
        scene(masks=True),
        apart=HALF_FROZEN + "|" + BETWEEN,
    ),
}
