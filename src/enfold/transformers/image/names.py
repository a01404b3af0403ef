"""Which image processors there are and what they are also called: data, no code that needs numpy or Pillow."""

from __future__ import annotations

__all__ = ["names"]

# module → its image processors
_CLASSES = {
    "detr": ("DetrImageProcessor",),
    "gemma3": ("Gemma3ImageProcessor",),
    "owlvit": ("OwlViTImageProcessor",),
    "sam": ("SamImageProcessor",),
    "semantic": ("DPTImageProcessor", "SegformerImageProcessor"),
    "simple": (
        "BitImageProcessor",
        "BlipImageProcessor",
        "CLIPImageProcessor",
        "ConvNextImageProcessor",
        "DeiTImageProcessor",
        "SiglipImageProcessor",
        "ViTImageProcessor",
    ),
    "vilt": ("ViltImageProcessor",),
}
# v4 called these feature extractors too
_OF_OLD = ("CLIP", "ConvNext", "DPT", "DeiT", "Detr", "OwlViT", "Segformer", "ViT", "Vilt")


def names() -> dict[str, list[str]]:
    """Return module → what the package exports of it: every class, its fast and Pillow spellings, and v4's."""
    found = {".image.base": ["BaseImageProcessor", "BaseImageProcessorFast=BaseImageProcessor"]}
    found[".image.base"].append("ImageProcessingMixin=BaseImageProcessor")
    for module, classes in _CLASSES.items():
        rows = found.setdefault(f".image.{module}", [])
        for name in classes:
            rows += [name, f"{name}Fast={name}", f"{name}Pil={name}"]
            family = name.removesuffix("ImageProcessor")
            if family in _OF_OLD:
                rows.append(f"{family}FeatureExtractor={name}")
    return found
