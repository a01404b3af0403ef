"""The pipelines for pictures beside transformers': the same pictures, the same answers."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import enfold.transformers as tf
from parity.architectures.harness import scramble
from parity.pipelines.comparing import same
from parity.pipelines.image_runs import MODELS, RUNS, answers, pictures, plain

pytestmark = pytest.mark.peer

HERE = Path(__file__).resolve().parent
SCRIPT = """
import json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import torch, transformers
from parity.pipelines.image_runs import answers, lend_suppression
lend_suppression()
torch.set_num_threads(1)
print(json.dumps(answers(transformers, Path(sys.argv[1]))))
"""


def alike(ours: Any, theirs: Any, place: str = "answer", tolerance: float = 2e-5) -> None:
    """Hold an answer to another; masks may differ in one pixel of a hundred, where two queries are equally sure."""
    if isinstance(theirs, dict) and "mask" in theirs:
        assert np.mean(np.asarray(ours["mask"]) != np.asarray(theirs["mask"])) < 0.01, place
        ours, theirs = ({**one, "mask": None} for one in (ours, theirs))
    if isinstance(theirs, list) and theirs and isinstance(theirs[0], list | dict):
        assert len(ours) == len(theirs), place
        for index, pair in enumerate(zip(ours, theirs, strict=True)):
            alike(*pair, f"{place}[{index}]", tolerance)
    else:
        same(ours, theirs, tolerance, place)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for every model."""
    root = tmp_path_factory.mktemp("images")
    for folder, (name, config, processor, settings) in MODELS.items():
        kind = getattr(tf, name)
        model = kind(config(tf) if callable(config) else kind.config_class(**config))
        scramble(model)
        if folder.startswith("detr"):  # queries that answer differently, and find something
            finder = getattr(model, "detr", model)
            with torch.no_grad():
                finder.model.query_position_embeddings.weight.mul_(10)
                finder.class_labels_classifier.weight.mul_(15)
                finder.class_labels_classifier.bias[-1] -= 20
        model.save_pretrained(root / folder)
        getattr(tf, processor)(**settings).save_pretrained(root / folder)
    return root


@pytest.fixture(scope="module")
def peers(peer: Callable[..., Any], root: Path) -> dict[str, Any]:
    """What the peer answers."""
    return peer(SCRIPT, root, HERE.parent.parent)


@pytest.fixture(scope="module")
def ours(root: Path) -> dict[str, Any]:
    """What we answer."""
    return answers(tf, root)


@pytest.mark.parametrize("name", RUNS)
def test_answers_are_the_same(peers: dict[str, Any], ours: dict[str, Any], name: str) -> None:
    for kind in ("", "-list"):
        alike(ours[f"{name}{kind}"], peers[f"{name}{kind}"])


@pytest.mark.slow
def test_answers_are_those_of_the_fourth_series(peer: Callable[..., Any], root: Path, ours: dict[str, Any]) -> None:
    theirs = peer(SCRIPT, root, HERE.parent.parent, environment="transformers4")
    for name, answer in ours.items():
        alike(answer, theirs[name], name)


def test_tests_see_objects_and_segments(ours: dict[str, Any]) -> None:
    assert sum(map(len, ours["objects-most"])) > 5
    for name in ("panoptic", "instance", "semantic", "semantic-segformer"):
        assert all(ours[name]), name
    for name in ("masks", "masks-few"):
        assert min(len(answer["masks"]) for answer in ours[name]) > 0, name


@pytest.mark.parametrize("name", ["labels", "objects-most", "panoptic", "depth", "states"])
def test_batches_do_not_change_answers(root: Path, name: str) -> None:
    task, folder, options = RUNS[name]
    pipe = tf.pipeline(task, model=str(root / folder))
    rows = [*pictures(), *pictures()[::-1]]
    alone = [pipe(picture, **options) for picture in rows]
    # Convolutions sum in another order for several pictures, and these depths are up to 150.
    alike(plain(pipe(rows, batch_size=4, **options)), plain(alone), tolerance=1e-4)
    alike(plain(list(pipe((row for row in rows), **options))), plain(alone))


def test_every_form_of_picture_is_taken(root: Path, tmp_path: Path) -> None:
    pipe = tf.pipeline("image-classification", model=str(root / "vit"))
    picture = pictures()[0]
    picture.save(tmp_path / "a.png")
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    text = base64.b64encode(buffer.getvalue()).decode()
    expected = pipe(picture)
    assert pipe(str(tmp_path / "a.png")) == pipe(text) == pipe(np.asarray(picture)) == pipe(images=picture) == expected
    with pytest.raises(ValueError, match="neither a file that exists"):
        pipe("b.png")
    with pytest.raises(ValueError, match="needs a picture"):
        pipe()


def test_a_pipeline_is_saved_whole_and_finds_its_task(root: Path, tmp_path: Path) -> None:
    for name, task in (
        ("vit", "image-classification"),
        ("detr-masks", "image-segmentation"),
        ("dpt", "depth-estimation"),
    ):
        pipe = tf.pipeline(model=str(root / name))
        assert pipe.task == task
        pipe.save_pretrained(str(tmp_path / name))
        again = tf.pipeline(model=str(tmp_path / name))
        same(plain(again(pictures()[0])), plain(pipe(pictures()[0])))


def test_parts_of_a_picture_have_masks_too(root: Path) -> None:
    pipe = tf.pipeline("mask-generation", model=str(root / "sam"))
    options = {"points_per_crop": 5, "pred_iou_thresh": -9, "stability_score_thresh": 0, "crops_nms_thresh": 0.95}
    whole = pipe(pictures()[1], **options)
    parts = pipe(pictures()[1], crops_n_layers=1, **options)
    assert len(parts["masks"]) >= len(whole["masks"])
    assert {mask.shape for mask in parts["masks"]} == {(64, 41)}


def test_what_cannot_be_done_is_said(root: Path) -> None:
    pipe = tf.pipeline("image-segmentation", model=str(root / "segformer"))
    with pytest.raises(ValueError, match="no panoptic segmentation; its subtasks: semantic"):
        pipe(pictures()[0], subtask="panoptic")
    with pytest.raises(ValueError, match=r"'panoptc'.*panoptic"):
        pipe(pictures()[0], subtask="panoptc")
    with pytest.raises(ValueError, match="at least 1"):
        tf.pipeline("mask-generation", model=str(root / "sam"), points_per_batch=0)
    with pytest.raises(ValueError, match="no pooled output"):
        tf.pipeline("image-feature-extraction", model=str(root / "segformer"))(pictures()[0], pool=True)
    with pytest.raises(ValueError, match="function_to_apply is one of"):
        tf.pipeline("image-classification", model=str(root / "vit"), function_to_apply="soft")
