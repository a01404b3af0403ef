"""The models that pipelines for pictures take when none is named, from the fixture Hub, by the ecosystem's imports."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

PROGRAM = """
import json
import numpy as np
from PIL import Image
from transformers import AutoImageProcessor, AutoModelForImageClassification, pipeline

image = Image.fromarray((np.random.default_rng(0).random((240, 320, 3)) * 255).astype("uint8"))
labels = pipeline("image-classification")(image)
assert {"label", "score"} <= set(labels[0])
segments = pipeline("image-segmentation")(image)
assert {"label", "mask"} <= set(segments[0])
objects = pipeline("object-detection")(image)
for found in objects:
    assert {"xmin", "ymin", "xmax", "ymax"} == set(found["box"])

processor = AutoImageProcessor.from_pretrained("google/vit-base-patch16-224")
image = Image.fromarray(np.zeros((100, 120, 3), "uint8"))
pixels = processor(images=image, return_tensors="pt")
model = AutoModelForImageClassification.from_pretrained("google/vit-base-patch16-224")
assert model(**pixels).logits.shape[-1] == model.config.num_labels
print(json.dumps([len(labels), len(segments), len(objects), segments[0]["mask"].size]))
"""


def test_pictures_are_labelled_cut_out_and_searched_by_the_defaults(fixture_hub: Any, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, "-m", "enfold.dropin", str(tmp_path / "program.py")],
        env=fixture_hub.environment(tmp_path / "home", CUDA_VISIBLE_DEVICES=""),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    labels, segments, objects, size = json.loads(done.stdout.splitlines()[-1])
    assert labels == 5 and segments > 0 and objects > 0 and size == [320, 240]


def test_a_checkpoint_with_timms_names_is_read_whole(fixture_repositories: Path) -> None:
    from enfold.transformers import DetrForObjectDetection

    folder = fixture_repositories / "models/facebook/detr-resnet-50"
    _, info = DetrForObjectDetection.from_pretrained(folder, output_loading_info=True)
    assert info == {"missing_keys": [], "unexpected_keys": [], "mismatched_keys": [], "error_msgs": []}
