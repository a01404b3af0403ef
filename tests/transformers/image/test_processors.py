"""Image processors: their names, files, and what they say of what they cannot do."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch

import enfold.transformers as tf
from enfold.errors import EnfoldError
from enfold.transformers.image.coco import polygon_mask
from enfold.transformers.image.names import names
from enfold.transformers.image.sam import mask_of, runs
from enfold.transformers.image.transforms import center_crop, pad, resize, target_size

PICTURE = np.random.default_rng(0).integers(0, 256, (30, 20, 3), dtype=np.uint8)
CLASSES = sorted(
    name
    for rows in names().values()
    for name in rows
    if name.endswith("ImageProcessor") and "=" not in name and name != "BaseImageProcessor"
)


@pytest.mark.parametrize("name", CLASSES)
def test_settings_survive_their_file(name: str, tmp_path: Path) -> None:
    made = getattr(tf, name)(image_mean=[0.1, 0.2, 0.3], colour="red")
    made.save_pretrained(tmp_path)
    state = json.loads((tmp_path / "preprocessor_config.json").read_text())
    assert state["image_processor_type"] == name and state["colour"] == "red"
    for reader in (getattr(tf, name), tf.AutoImageProcessor, tf.AutoFeatureExtractor):
        again = reader.from_pretrained(tmp_path)
        assert type(again) is type(made) and again == made
    other = tf.AutoImageProcessor.from_pretrained(tmp_path, do_normalize=False)
    assert other.do_normalize is False and other.image_mean == [0.1, 0.2, 0.3]


def test_every_spelling_of_a_class_is_one_class(tmp_path: Path) -> None:
    assert tf.ViTFeatureExtractor is tf.ViTImageProcessor is tf.ViTImageProcessorFast is tf.ViTImageProcessorPil
    for key, name in (
        ("image_processor_type", "ViTImageProcessorFast"),
        ("feature_extractor_type", "ViTFeatureExtractor"),
        ("image_processor_type", "ViTFeatureExtractor"),
        ("image_processor_type", "ViTImageProcessor"),
    ):
        (tmp_path / "preprocessor_config.json").write_text(json.dumps({key: name, "size": 48}))
        found = tf.AutoImageProcessor.from_pretrained(tmp_path)
        assert type(found) is tf.ViTImageProcessor and found.size == {"height": 48, "width": 48}


def test_settings_inside_a_processors_file_are_read(tmp_path: Path) -> None:
    state = {"image_processor": {"image_processor_type": "SamImageProcessor", "size": {"longest_edge": 64}}}
    (tmp_path / "processor_config.json").write_text(json.dumps({**state, "processor_class": "SamProcessor"}))
    assert tf.AutoImageProcessor.from_pretrained(tmp_path).size == {"longest_edge": 64}
    processor = tf.AutoProcessor.from_pretrained(tmp_path)
    assert type(processor) is tf.SamProcessor and processor.target_size == 64
    processor.save_pretrained(tmp_path / "again")
    assert tf.AutoProcessor.from_pretrained(tmp_path / "again").image_processor == processor.image_processor


def test_a_class_of_your_own_is_found_by_its_configuration(tmp_path: Path) -> None:
    class OwnConfig(tf.PretrainedConfig):
        model_type = "own-eyes"

    class OwnImageProcessor(tf.BaseImageProcessor):
        DEFAULTS = {"size": {"height": 5, "width": 6}}

    tf.AutoConfig.register("own-eyes", OwnConfig)
    tf.AutoImageProcessor.register(OwnConfig, OwnImageProcessor)
    OwnConfig().save_pretrained(tmp_path)
    OwnImageProcessor().save_pretrained(tmp_path)
    found = tf.AutoImageProcessor.from_pretrained(tmp_path)
    assert type(found) is OwnImageProcessor and found(PICTURE).pixel_values[0].shape == (3, 5, 6)


def test_one_picture_many_and_a_batch_are_taken() -> None:
    processor = tf.ViTImageProcessor(size=8)
    one = processor(PICTURE, return_tensors="pt").pixel_values
    assert one.dtype == torch.float32 and one.shape == (1, 3, 8, 8)
    many = processor([PICTURE, PIL.Image.fromarray(PICTURE)], return_tensors="np").pixel_values
    batch = processor(np.stack([PICTURE, PICTURE]), return_tensors="np").pixel_values
    assert np.array_equal(many, batch) and np.array_equal(many[0], one[0].numpy())
    tensor = processor(torch.from_numpy(PICTURE).permute(2, 0, 1), return_tensors="np").pixel_values
    assert np.array_equal(tensor[0], many[0])
    last = processor(PICTURE, return_tensors="np", data_format="channels_last").pixel_values
    assert last.shape == (1, 8, 8, 3)


def test_a_grey_picture_is_grey_in_every_channel() -> None:
    grey = tf.ViTImageProcessor(size=8)(PICTURE[..., 0], return_tensors="np").pixel_values[0]
    assert np.array_equal(grey[0], grey[1]) and np.array_equal(grey[0], grey[2])


@pytest.mark.parametrize(
    ("name", "settings", "images", "message"),
    [
        ("ViTImageProcessor", {"size": {"hight": 3, "width": 3}}, PICTURE, "height and width.*hight"),
        ("ViTImageProcessor", {}, "picture.png", "not str; load_image reads paths"),
        ("ViTImageProcessor", {}, None, "not NoneType"),
        ("ViTImageProcessor", {}, [1, 2, 3], "not a list of numbers"),
        ("ViTImageProcessor", {}, np.zeros((30, 20, 4), np.uint8), "4 channels and image_mean has 3 numbers"),
        ("ViTImageProcessor", {}, np.zeros((30, 20, 7), np.uint8), "does not show where the channels are"),
        ("ViTImageProcessor", {}, np.full((3, 30, 20), 300.5), "between 0 and 255 or fractions"),
        ("ViTImageProcessor", {"size": {"height": 0, "width": 3}}, PICTURE, "cannot be resized to 0 by 3"),
        ("ConvNextImageProcessor", {"size": {"height": 5, "width": 5}}, PICTURE, "shortest_edge here, not height"),
        ("ViltImageProcessor", {"size": {"height": 5, "width": 5}}, PICTURE, "shortest_edge here"),
        ("DPTImageProcessor", {"size": {"shortest_edge": 5}}, PICTURE, "height and width here"),
        ("SamImageProcessor", {"size": {"height": 5, "width": 5}}, PICTURE, "longest_edge here"),
        ("SamImageProcessor", {"pad_size": {"height": 9, "width": 9}}, PICTURE, "cannot be padded to 9 by 9"),
        ("DetrImageProcessor", {"format": "coco"}, PICTURE, "format is one of coco_detection"),
    ],
)
def test_what_does_not_fit_is_said(name: str, settings: dict[str, Any], images: Any, message: str) -> None:
    with pytest.raises(EnfoldError, match=message):
        getattr(tf, name)(**settings)(images)


def test_annotations_that_do_not_fit_are_said() -> None:
    processor = tf.DetrImageProcessor(size={"shortest_edge": 20, "longest_edge": 40})
    with pytest.raises(EnfoldError, match="1 images and 2 annotations"):
        processor(PICTURE, annotations=[{}, {}])
    with pytest.raises(EnfoldError, match="lack annotations"):
        processor(PICTURE, annotations={"image_id": 3, "boxes": []})
    with pytest.raises(EnfoldError, match="masks_path is the folder"):
        panoptic = {"image_id": 1, "file_name": "x.png", "segments_info": []}
        processor(PICTURE, annotations=panoptic, format="coco_panoptic")
    with pytest.raises(EnfoldError, match="2 images and 1 target_sizes"):
        outputs = type("Outputs", (), {"logits": torch.zeros(2, 3, 4), "pred_boxes": torch.zeros(2, 3, 4)})
        processor.post_process_object_detection(outputs, target_sizes=[(3, 4)])


def test_panoptic_annotations_become_masks_boxes_and_classes(tmp_path: Path) -> None:
    colours = np.zeros((30, 20, 3), np.uint8)
    colours[4:10, 2:8] = (7, 1, 0)  # segment 263
    colours[20:25, 5:9] = (9, 0, 0)
    PIL.Image.fromarray(colours).save(tmp_path / "segments.png")
    info = [
        {"id": 263, "category_id": 5, "iscrowd": 0, "area": 36},
        {"id": 9, "category_id": 2, "iscrowd": 0, "area": 20},
    ]
    annotation = {"image_id": 1, "file_name": "segments.png", "segments_info": info}
    processor = tf.DetrImageProcessor(format="coco_panoptic", size={"height": 60, "width": 40})
    batch = processor(PICTURE, annotations=annotation, masks_path=tmp_path, return_tensors="pt")
    label = batch["labels"][0]
    assert label.masks.shape == (2, 60, 40) and label.masks[0].sum() == 4 * 36
    assert label.class_labels.tolist() == [5, 2] and label.area.tolist() == [144, 80]
    # left, top, right, bottom = 2, 4, 7, 9 of 20 by 30 pixels
    torch.testing.assert_close(label.boxes[0], torch.tensor([4.5 / 20, 6.5 / 30, 5 / 20, 5 / 30]))


def test_polygons_become_masks() -> None:
    polygon = [2.0, 3.0, 8.0, 3.0, 8.0, 9.0, 2.0, 9.0]
    mask = polygon_mask(polygon, 12, 11)
    assert mask.sum() == 36 and mask[3:9, 2:8].all()
    assert not polygon_mask([1.0, 1.0, 1.2, 1.1, 1.1, 1.3], 12, 11).any()
    objects = [
        {"bbox": [2, 3, 6, 6], "category_id": 1, "area": 36, "segmentation": [polygon]},
        {"bbox": [0, 0, 1, 2], "category_id": 2, "area": 2, "segmentation": {"size": [30, 20], "counts": [0, 2, 598]}},
    ]
    processor = tf.DetrImageProcessor(do_resize=False)
    annotations = {"image_id": 1, "annotations": objects}
    label = processor(PICTURE, annotations, return_segmentation_masks=True, return_tensors="np")["labels"][0]
    assert label.masks.shape == (2, 30, 20) and label.masks.sum((1, 2)).tolist() == [36, 2]


def test_runs_and_masks_are_each_others_inverse() -> None:
    draw = np.random.default_rng(2)
    for mask in (draw.random((5, 7)) < 0.5, np.zeros((4, 3), bool), np.ones((4, 3), bool)):
        assert np.array_equal(mask_of(runs(mask)), mask)


def test_steps_are_functions() -> None:
    image = np.moveaxis(PICTURE, -1, 0)
    assert resize(image, (10, 12)).dtype == np.uint8
    assert resize((image / 255).astype(np.float32), (10, 12)).dtype == np.float32
    assert resize(np.zeros((5, 8, 8), np.uint8), (4, 4)).shape == (5, 4, 4)
    assert center_crop(image, (40, 10)).shape == (3, 40, 10)
    assert pad(image, (33, 21))[:, 30:].sum() == 0
    assert target_size((800, 2000), {"shortest_edge": 800, "longest_edge": 1333}) == (533, 1333)
    processor = tf.CLIPImageProcessor()
    assert processor.resize(image, {"shortest_edge": 10}).shape == (3, 15, 10)
    assert processor.center_crop(image, 8).shape == (3, 8, 8)


def test_torch_is_loaded_with_the_first_tensor() -> None:
    code = (
        "import sys, numpy; from enfold.transformers import AutoImageProcessor, DetrImageProcessor, SamProcessor\n"
        "DetrImageProcessor(size={'height': 9, 'width': 9})(numpy.zeros((8, 8, 3), 'uint8'), return_tensors='np')\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_modules_have_the_ecosystems_names() -> None:
    from enfold.transformers.image_processing_utils import BaseImageProcessor, BatchFeature
    from enfold.transformers.image_utils import ChannelDimension, PILImageResampling, load_image

    assert BaseImageProcessor is tf.BaseImageProcessor and BatchFeature is tf.BatchFeature
    processor = tf.ViTImageProcessor(size=8, resample=PILImageResampling.BICUBIC)
    assert processor.resample == 3
    made = processor(load_image(PICTURE), return_tensors="np", data_format=ChannelDimension.LAST)
    assert made.pixel_values.shape == (1, 8, 8, 3)
