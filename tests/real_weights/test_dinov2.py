"""The real DINOv2-small: every tensor finds its place, and its features tell pictures and their parts apart."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import PIL.Image
import PIL.ImageEnhance
import PIL.ImageOps
import pytest
import torch

from enfold.transformers import AutoBackbone, AutoImageProcessor, AutoModel, Dinov2Model, pipeline
from real_weights.dinov2 import folder

pytestmark = pytest.mark.slow

PICTURES = """
import json, sys
from pathlib import Path
import sklearn.datasets
print(json.dumps(str(Path(sklearn.datasets.__file__).parent / "images")))
"""
FEATURES = """
import os, sys
import numpy, torch
from PIL import Image
from transformers import Dinov2Model
from transformers.models.bit.image_processing_pil_bit import BitImageProcessorPil

processor = BitImageProcessorPil.from_pretrained(sys.argv[1])
model = Dinov2Model.from_pretrained(sys.argv[1])
image = Image.open(sys.argv[2])
with torch.no_grad():
    square = model(**processor(image, return_tensors="pt")).last_hidden_state
    whole = model(**processor(image, return_tensors="pt", do_center_crop=False)).last_hidden_state
numpy.savez(os.environ["PEER_NPZ"], square=square.numpy(), whole=whole.numpy())
"""


@pytest.fixture(scope="module")
def pictures(peer: Callable[..., Any]) -> str:
    """The folder of scikit-learn's two photographs, china.jpg and flower.jpg."""
    return peer(PICTURES)


def test_every_tensor_finds_its_place() -> None:
    model, info = Dinov2Model.from_pretrained(folder(), output_loading_info=True)
    assert info == {"missing_keys": [], "unexpected_keys": [], "mismatched_keys": [], "error_msgs": []}
    assert model.num_parameters() == 22_056_192


@pytest.mark.peer
def test_features_are_those_of_the_peer(peer: Callable[..., Any], pictures: str) -> None:
    theirs = peer(FEATURES, folder(), f"{pictures}/china.jpg")
    processor, model = AutoImageProcessor.from_pretrained(folder()), AutoModel.from_pretrained(folder())
    image = PIL.Image.open(f"{pictures}/china.jpg")
    with torch.no_grad():
        square = model(**processor(image, return_tensors="pt")).last_hidden_state
        whole = model(**processor(image, return_tensors="pt", do_center_crop=False)).last_hidden_state
    assert whole.shape[1] == 1 + (256 // 14) * (383 // 14)
    np.testing.assert_allclose(square.numpy(), theirs["square"], atol=2e-4)
    np.testing.assert_allclose(whole.numpy(), theirs["whole"], atol=2e-4)


def test_a_picture_is_nearer_to_itself_changed_than_to_another(pictures: str) -> None:
    china, flower = (PIL.Image.open(f"{pictures}/{name}.jpg") for name in ("china", "flower"))
    changed = PIL.ImageOps.mirror(PIL.ImageEnhance.Brightness(china).enhance(0.7))
    pipe = pipeline("image-feature-extraction", model=str(folder()), pool=True, return_tensors=True)
    one, other, third = (torch.nn.functional.normalize(row, dim=-1)[0] for row in pipe([china, changed, flower]))
    assert one @ other > 0.9 > 0.7 > one @ third


def test_patches_of_the_flower_differ_from_those_around_it(pictures: str) -> None:
    processor = AutoImageProcessor.from_pretrained(folder())
    backbone = AutoBackbone.from_pretrained(folder(), out_features=["stage12"])
    with torch.no_grad():
        inputs = processor(PIL.Image.open(f"{pictures}/flower.jpg"), return_tensors="pt")
        rows = backbone(**inputs).feature_maps[0][0].flatten(1).T  # (256, 384)
    rows = torch.nn.functional.normalize(rows, dim=-1)
    likeness = (rows @ rows.T).view(16, 16, 16, 16)
    petals, leaves = likeness[8, 8], likeness[1, 1]
    assert petals[7:10, 7:10].mean() > petals[:2, :2].mean() + 0.2
    assert leaves[:2, :2].mean() > leaves[7:10, 7:10].mean() + 0.2
