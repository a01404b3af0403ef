"""What the API pages show: which packages, and which of their names."""

from __future__ import annotations

import importlib
import re
from typing import Any

__all__ = ["FAMILY", "PAGES", "exports"]

# Page → the packages that it shows; the models of transformers have a page of their own.
PAGES: dict[str, tuple[str, ...]] = {
    "transformers": ("enfold.transformers",),
    "models": ("enfold.transformers",),
    "datasets": ("enfold.datasets",),
    "tokenizers": (
        "enfold.tokenizers",
        "enfold.tokenizers.models",
        "enfold.tokenizers.normalizers",
        "enfold.tokenizers.pre_tokenizers",
        "enfold.tokenizers.processors",
        "enfold.tokenizers.decoders",
        "enfold.tokenizers.trainers",
    ),
    "evaluate": ("enfold.evaluate",),
    "accelerate": ("enfold.accelerate",),
    "peft": ("enfold.peft",),
    "trl": ("enfold.trl", "enfold.trl.rewards"),
    "diffusers": ("enfold.diffusers",),
    "optimum": (
        "enfold.optimum.onnxruntime",
        "enfold.optimum.intel",
        "enfold.optimum.bettertransformer",
        "enfold.optimum.exporters",
        "enfold.optimum.pipelines",
        "enfold.optimum.tensorrt",
    ),
    "gradio": ("enfold.gradio",),
    "hub": ("enfold.hub",),
    "hubserver": ("enfold.hubserver",),
    "serving": ("enfold.serving",),
}
FAMILY = re.compile(r"enfold\.transformers\.(?:models|configs)\.(\w+)")
TWINS = re.compile(r"(TF|Flax)[A-Z]")  # of the other frameworks, made by rule from the classes shown


def exports(package: str) -> dict[str, Any]:
    """The public names of a package with their values, without the twins in other frameworks."""
    module = importlib.import_module(package)
    return {name: getattr(module, name) for name in module.__all__ if not TWINS.match(name)}
