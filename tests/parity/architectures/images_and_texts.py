"""Tiny models that read a text and an image at once: ViLT and BLIP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from parity.architectures.harness import Case

VILT: dict[str, Any] = {
    "vocab_size": 99,
    "hidden_size": 36,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 37,
    "image_size": 30,
    "patch_size": 10,
    "max_image_length": -1,
}
BLIP: dict[str, Any] = {
    "text_config": {
        "vocab_size": 99,
        "hidden_size": 32,
        "intermediate_size": 37,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": 20,
        "bos_token_id": 97,
        "sep_token_id": 98,
    },
    "vision_config": {
        "hidden_size": 36,
        "intermediate_size": 37,
        "num_hidden_layers": 2,
        "num_attention_heads": 3,
        "image_size": 30,
        "patch_size": 10,
    },
    "projection_dim": 24,
    "image_text_hidden_size": 14,
}
# an answer is read off the question by layers made for images, so that both are equally wide
EQUAL = {**BLIP, "vision_config": {**BLIP["vision_config"], "hidden_size": 32, "num_attention_heads": 2}}
# The peer shuffles the patches of an image whenever it runs; ours stay in order.
SHUFFLED = "last_hidden_state|hidden_states|attentions"


def seen(labels: str = "", images: int = 1) -> Callable[[str], dict[str, Any]]:
    """Return a function from where padding is (of texts and of images) to three texts with images."""

    def inputs(padding: str) -> dict[str, Any]:
        import torch

        draw = torch.Generator().manual_seed(7)
        ids = torch.randint(1, 90, (3, 9), generator=draw)
        mask, pixels = torch.ones_like(ids), torch.randn(3, images, 3, 30, 40, generator=draw)
        shown = torch.ones(3, images, 30, 40, dtype=torch.long)
        if padding == "right":
            mask[1, 6:], ids[1, 6:] = 0, 0
            shown[1, :, 20:], shown[2, :, :, 30:] = 0, 0
        pixels = pixels * shown[:, :, None]
        given = {
            "input_ids": ids,
            "attention_mask": mask,
            "pixel_values": pixels if images > 1 else pixels[:, 0],
            "pixel_mask": shown if images > 1 else shown[:, 0],
        }
        targets = {
            "class": torch.tensor([0, 2, 1]),
            "answers": torch.tensor([[0.3, 0.0, 1.0], [0.0, 0.6, 0.0], [1.0, 0.0, 0.0]]),
            "words": torch.where(mask == 1, ids, -100),
            "tokens": torch.where(mask == 1, ids % 3, -100),
        }
        return given | ({"labels": targets[labels]} if labels else {})

    return inputs


def looked_at(labels: str = "", **extra: Any) -> Callable[[str], dict[str, Any]]:
    """Return the same with square images, without masks of them, and answers instead of classes."""

    def inputs(padding: str) -> dict[str, Any]:
        import torch

        given = seen()(padding)
        del given["pixel_mask"]
        given["pixel_values"] = given["pixel_values"][..., :30].contiguous()
        if labels == "words":
            given["labels"] = torch.where(given["attention_mask"] == 1, given["input_ids"], -100)
        elif labels == "answer":
            given["labels"] = given["input_ids"].flip(0).clamp(min=1)[:, :6]
        return given | extra

    return inputs


CASES: dict[str, Case] = {
    "vilt": Case("ViltModel", VILT, seen(), apart=SHUFFLED),
    "vilt-answers": Case("ViltForQuestionAnswering", {**VILT, "num_labels": 3}, seen("answers"), apart=SHUFFLED),
    "vilt-words": Case("ViltForMaskedLM", {**VILT, "tie_word_embeddings": True}, seen("words"), apart=SHUFFLED),
    "vilt-tokens": Case("ViltForTokenClassification", {**VILT, "num_labels": 3}, seen("tokens"), apart=SHUFFLED),
    "vilt-retrieval": Case("ViltForImageAndTextRetrieval", {**VILT, "qkv_bias": False}, seen(), apart=SHUFFLED),
    "vilt-pairs": Case(
        "ViltForImagesAndTextClassification",
        {**VILT, "num_labels": 3, "num_images": 2, "modality_type_vocab_size": 3},
        seen("class", 2),
        apart=SHUFFLED,
    ),
    "blip": Case("BlipModel", BLIP, looked_at(return_loss=True)),
    "blip-writes": Case("BlipForConditionalGeneration", BLIP, looked_at("words")),
    "blip-stretched": Case(
        "BlipForConditionalGeneration",
        {**BLIP, "vision_config": {**BLIP["vision_config"], "image_size": 20}},
        looked_at(interpolate_pos_encoding=True),
    ),
    "blip-answers": Case("BlipForQuestionAnswering", EQUAL, looked_at("answer")),
    "blip-fits": Case("BlipForImageTextRetrieval", BLIP, looked_at()),
    "blip-compares": Case("BlipForImageTextRetrieval", BLIP, looked_at(use_itm_head=False)),
    "blip-vision": Case(
        "BlipVisionModel", BLIP["vision_config"], lambda _: {"pixel_values": looked_at()("")["pixel_values"]}, ("",)
    ),
}
