"""Tiny models that compare texts with images: CLIP, SigLIP and OWL-ViT."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from parity.architectures.harness import Case

TEXT: dict[str, Any] = {
    "vocab_size": 99,
    "hidden_size": 32,
    "intermediate_size": 37,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 20,
    "projection_dim": 24,
    "eos_token_id": 98,
    "bos_token_id": 0,
    "pad_token_id": 1,
}
VISION: dict[str, Any] = {
    "hidden_size": 36,
    "intermediate_size": 37,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "image_size": 30,
    "patch_size": 10,
    "projection_dim": 24,
}
CLIP = {"text_config": TEXT, "vision_config": VISION, "projection_dim": 24}
OLD = {**CLIP, "text_config": {**TEXT, "eos_token_id": 2, "hidden_act": "gelu"}}
SIGLIP_TEXT = {key: value for key, value in TEXT.items() if key != "projection_dim"} | {"projection_size": 36}
SIGLIP_VISION = {key: value for key, value in VISION.items() if key != "projection_dim"}
SIGLIP = {"text_config": SIGLIP_TEXT, "vision_config": SIGLIP_VISION}

OWL: dict[str, Any] = {
    "text_config": {key: value for key, value in TEXT.items() if key != "projection_dim"},
    "vision_config": SIGLIP_VISION,
    "projection_dim": 32,
}


def queries(padding: str) -> dict[str, Any]:
    """Return two images with three queries each, the last of the second image padding."""
    import torch

    draw = torch.Generator().manual_seed(7)
    ids = torch.randint(3, 90, (6, 7), generator=draw)
    ids[:, 5], ids[:, 6], ids[5] = 98, 0, 0
    return {
        "input_ids": ids,
        "attention_mask": (ids > 0).long().index_fill(1, torch.tensor([0]), 1),
        "pixel_values": torch.randn(2, 3, 30, 30, generator=draw),
    }


def sought(padding: str) -> dict[str, Any]:
    """Return two images, and one to look for in each."""
    import torch

    draw = torch.Generator().manual_seed(7)
    return {name: torch.randn(2, 3, 30, 30, generator=draw) for name in ("pixel_values", "query_pixel_values")}


def pairs(
    texts: bool = True, images: bool = True, labels: Any = None, size: int = 30, **extra: Any
) -> Callable[[str], dict[str, Any]]:
    """Return a function from where padding is to three texts, three images, or both."""

    def inputs(padding: str) -> dict[str, Any]:
        import torch

        draw = torch.Generator().manual_seed(7)
        given: dict[str, Any] = {}
        ids = torch.randint(3, 90, (3, 9), generator=draw)
        mask = torch.ones_like(ids)
        lengths = (9, 6, 4) if padding == "right" else (9, 9, 9)
        for row, length in enumerate(lengths):
            ids[row, length - 1], ids[row, length:], mask[row, length:] = 98, 1, 0
        if texts:
            given |= {"input_ids": ids, "attention_mask": mask}
        if images:
            given["pixel_values"] = torch.randn(3, 3, size, size, generator=draw)
        if labels is not None:
            given["labels"] = torch.tensor(labels)
        return given | extra

    return inputs


BOTH, ONCE = ("", "right"), ("",)
POOLED = "model_output/pooler_output"  # v5 projects it in place, v4 does not

CASES: dict[str, Case] = {
    "clip": Case("CLIPModel", CLIP, pairs(return_loss=True), BOTH, apart=POOLED),
    "clip-old-end": Case("CLIPModel", OLD, pairs(return_loss=True), BOTH, apart=POOLED),
    "clip-stretched": Case("CLIPModel", CLIP, pairs(size=50, interpolate_pos_encoding=True), ONCE, apart=POOLED),
    "clip-text": Case("CLIPTextModel", TEXT, pairs(images=False), BOTH, prefix="text_model."),
    "clip-text-projected": Case("CLIPTextModelWithProjection", TEXT, pairs(images=False), BOTH),
    "clip-vision": Case("CLIPVisionModel", VISION, pairs(texts=False), ONCE, prefix="vision_model."),
    "clip-vision-projected": Case("CLIPVisionModelWithProjection", VISION, pairs(texts=False), ONCE),
    "clip-classes": Case(
        "CLIPForImageClassification", {**CLIP, "num_labels": 3}, pairs(texts=False, labels=[0, 2, 1]), ONCE
    ),
    "owlvit": Case("OwlViTModel", OWL, pairs(return_loss=True), BOTH),
    "owlvit-text": Case("OwlViTTextModel", OWL["text_config"], pairs(images=False), BOTH),
    "owlvit-vision": Case("OwlViTVisionModel", OWL["vision_config"], pairs(texts=False), ONCE),
    "owlvit-boxes": Case("OwlViTForObjectDetection", OWL, queries, ONCE),
    "owlvit-by-image": Case("OwlViTForObjectDetection", OWL, sought, ONCE, method="image_guided_detection"),
    "siglip": Case("SiglipModel", SIGLIP, pairs(return_loss=True), BOTH),
    "siglip-stretched": Case("SiglipModel", SIGLIP, pairs(size=50, interpolate_pos_encoding=True), ONCE),
    "siglip-text": Case("SiglipTextModel", SIGLIP_TEXT, pairs(images=False), BOTH, prefix="text_model."),
    "siglip-vision": Case("SiglipVisionModel", SIGLIP_VISION, pairs(texts=False), ONCE, prefix="vision_model."),
    "siglip-headless": Case(
        "SiglipVisionModel",
        {**SIGLIP_VISION, "vision_use_head": False},
        pairs(texts=False),
        ONCE,
        prefix="vision_model.",
    ),
    "siglip-classes": Case(
        "SiglipForImageClassification", {**SIGLIP, "num_labels": 3}, pairs(texts=False, labels=[0, 2, 1]), ONCE
    ),
}
