"""Calls of Gemma 3's processor that both sides make."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from parity.pipelines.image_runs import pictures

MARKS = {"boi_token": "<begin>", "eoi_token": "<end>", "image_token": "<state>"}
STATES = 3
CUTTING = {
    "do_pan_and_scan": True,
    "pan_and_scan_min_crop_size": 8,
    "pan_and_scan_max_num_crops": 4,
    "pan_and_scan_min_ratio_to_activate": 1.2,
}
LOOK = {"size": {"height": 28, "width": 28}}


def answers(library: Any, root: str) -> dict[str, Any]:
    """Return what the processor makes, by call."""
    import PIL.Image

    place = Path(root)
    look = library.AutoImageProcessor.from_pretrained(place, use_fast=False)
    tokenizer = library.AutoTokenizer.from_pretrained(place)
    library.Gemma3Processor.check_argument_for_proper_class = lambda *_: None
    processor = library.Gemma3Processor(look, tokenizer, image_seq_length=STATES)
    one, two = pictures()[:2]
    wide, tall = one.convert("RGB").resize((90, 20)), two.convert("RGB").resize((16, 41))
    square = PIL.Image.new("RGB", (20, 20), (9, 99, 199))
    begin = MARKS["boi_token"]
    made = {
        "one": processor(images=wide, text=f"a cat {begin} yes", return_tensors="np"),
        "several": processor(
            images=[[wide], [tall, square]], text=[f"{begin} a", f"b {begin} or {begin}"], padding=True,
            return_tensors="np",
        ),
        "cut": processor(
            images=[[wide, square, tall]], text=[f"{begin} a {begin} {begin}"], return_tensors="np", **CUTTING
        ),
        "texts alone": processor(text=["a cat", "a dog, yes"], padding=True, return_tensors="pt"),
        "untyped": processor(
            images=square, text=begin, return_tensors="np", text_kwargs={"return_mm_token_type_ids": False}
        ),
    }  # fmt: skip
    if not library.__version__.startswith("4"):  # which looks for the texts' type first
        made["images alone"] = processor(images=[[wide], [tall, square]], padding=True, return_tensors="np")
    return {call: {name: value.tolist() for name, value in made.items()} for call, made in made.items()}
