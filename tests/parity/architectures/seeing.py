"""A tiny Gemma 3 that sees: images among the tokens of a text, with and without marks, padded on both sides."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from parity.architectures.decoders import ALL
from parity.architectures.decoders_more import GEMMA3
from parity.architectures.harness import Case

IMAGE = 95
VISION = {
    "hidden_size": 24,
    "intermediate_size": 31,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "image_size": 16,
    "patch_size": 4,
    "vision_use_head": False,
}


def config(**changed: Any) -> Callable[[Any], Any]:
    """Return a function from a library to its configuration."""

    def make(library: Any) -> Any:
        text = {**GEMMA3, **changed.get("text", {})}
        whole = {"mm_tokens_per_image": 4, "image_token_index": changed.get("image", IMAGE)}
        return library.Gemma3Config(text_config=text, vision_config=VISION, **whole)

    return make


def seeing(image: int = IMAGE, *, marks: bool = True, labels: bool = False) -> Callable[[str], dict[str, Any]]:
    """Return two rows with an image each, of four tokens, the second one padded where it is asked for."""

    def inputs(padding: str) -> dict[str, Any]:
        import torch

        draw = torch.Generator().manual_seed(9)
        ids = torch.randint(1, 90, (2, 12), generator=draw)
        ids[0, 3:7] = image
        ids[1, 5:9] = image
        mask = torch.ones_like(ids)
        if padding == "left":
            mask[1, :3] = 0
        elif padding == "right":
            mask[1, 10:] = 0
        ids = ids * mask
        given = {"input_ids": ids, "attention_mask": mask, "pixel_values": torch.randn(2, 3, 16, 16, generator=draw)}
        if marks:
            given["token_type_ids"] = (ids == image).long()
        if labels:
            given["labels"] = torch.where((mask == 1) & (ids != image), ids, -100)
        return given

    return inputs


def judged(padding: str) -> dict[str, Any]:
    """Return the same rows with a class each."""
    import torch

    return {**seeing()(padding), "labels": torch.tensor([1, 0])}


ROUNDING = 5e-5  # what the first tower rounds, the second one multiplies

CASES: dict[str, Case] = {
    "gemma3-seeing": Case("Gemma3Model", config(), seeing(), ALL),
    "gemma3-describing": Case("Gemma3ForConditionalGeneration", config(), seeing(labels=True), ALL, atol=ROUNDING),
    "gemma3-judging": Case("Gemma3ForSequenceClassification", config(), judged, ALL, atol=ROUNDING),
    "gemma3-unmarked": Case(
        "Gemma3ForConditionalGeneration", config(), seeing(marks=False, labels=True), ALL, atol=ROUNDING
    ),
    "gemma3-beyond-words": Case(
        "Gemma3ForConditionalGeneration",
        config(image=120, text={"sliding_window": 3}),
        seeing(120, labels=True),
        ALL,
        atol=ROUNDING,
    ),
}
