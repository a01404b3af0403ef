"""What the fixture's repositories are written with: cards, JSON, weights that do something, names of the Hub."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel

CARD = """---
license: apache-2.0
language: en
---
# {title}

A tiny stand-in for tests: few and narrow layers, {weights} weights, the real vocabulary and position table.
"""


def write_json(path: Path, content: dict) -> None:
    """Write ``content`` as the Hub's files are written: indented by two, with a last newline."""
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def spread(model: PreTrainedModel, std: float = 0.2) -> None:
    """Widen the matrices: with the usual 0.02, layers this narrow would add next to nothing to the residual stream."""
    for module in model.modules():
        if isinstance(module, torch.nn.Linear) or type(module).__name__ == "Conv1D":
            torch.nn.init.normal_(module.weight, std=std)
            if module.bias is not None:
                torch.nn.init.normal_(module.bias, std=0.02)
        elif isinstance(module, torch.nn.Embedding):
            torch.nn.init.normal_(module.weight, std=std)
        elif "Norm" in type(module).__name__ and "weight" in dict(module.named_parameters(recurse=False)):
            torch.nn.init.normal_(module.weight, mean=1.0, std=0.05)


def save(model: PreTrainedModel, folder: Path, config: dict, rename: Callable[[str], str] = str, **extra: Any) -> None:
    """Save ``model`` with its wheel, then give its file the names and its configuration the spelling of the Hub."""
    model.save_pretrained(folder)
    path = folder / "model.safetensors"
    tensors = {rename(name): tensor for name, tensor in load_file(path).items()}
    save_file({**tensors, **extra}, path, metadata={"format": "pt"})
    write_json(folder / "config.json", config)
