"""Calls of processors of images and texts that both sides make."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from parity.pipelines.image_runs import pictures
from parity.pipelines.mixed_runs import SQUARE

# folder → (processor, image processor, its settings)
FOLDERS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "clip": ("CLIPProcessor", "CLIPImageProcessor", {"size": {"shortest_edge": 30}, "crop_size": SQUARE}),
    "siglip": ("SiglipProcessor", "SiglipImageProcessor", {"size": SQUARE}),
    "blip": ("BlipProcessor", "BlipImageProcessor", {"size": SQUARE}),
    "vilt": ("ViltProcessor", "ViltImageProcessor", {"size": {"shortest_edge": 30}, "size_divisor": 10}),
    "owlvit": ("OwlViTProcessor", "OwlViTImageProcessor", {"size": SQUARE}),
    "trocr": ("TrOCRProcessor", "ViTImageProcessor", {"size": SQUARE}),
}
TEXTS = ["a cat", "two dogs, yes!"]
LENGTH = {"padding": "max_length", "max_length": 16}


def calls(processor: Any, folder: str) -> dict[str, Any]:
    """Return what a processor makes, by call."""
    images = pictures()[:2]
    if folder == "owlvit":
        lengths = {"max_length": 16}
        found = {
            "both": processor(images=images, text=[["a cat", "bus"], ["dog"]], return_tensors="np", **lengths),
            "texts": processor(text=TEXTS, return_tensors="pt", **lengths),
            "alike": processor(images=images, query_images=images[::-1], return_tensors="np"),
        }
    else:
        found = {
            "both": processor(images=images, text=TEXTS, padding=True, return_tensors="np"),
            "texts": processor(text=TEXTS, return_tensors="pt", **LENGTH),
            "images": processor(images=images, return_tensors="np"),
            "cut": processor(images=images[:1], text=TEXTS[1:], truncation=True, max_length=5, return_tensors="np"),
        }
    return {call: {name: value.tolist() for name, value in made.items()} for call, made in found.items()}


def answers(library: Any, root: str) -> dict[str, Any]:
    """Return what every processor makes, by folder and call."""
    found = {}
    for folder, (name, _, _) in FOLDERS.items():
        place = Path(root) / folder
        tokenizer = library.AutoTokenizer.from_pretrained(place)
        look = library.AutoImageProcessor.from_pretrained(place, use_fast=False)
        kind = getattr(library, name)
        kind.check_argument_for_proper_class = lambda *_: None  # the fourth series wants CLIP's tokenizer for OWL-ViT
        found[folder] = calls(kind(image_processor=look, tokenizer=tokenizer), folder)
    return found
