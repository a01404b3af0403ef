"""Models of pictures: backbones, what they say of pictures that do not fit, and training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import enfold.transformers as tf
from enfold.errors import EnfoldError
from enfold.nn.patches import DropPath, resize_positions
from parity.architectures import detection, vision
from parity.architectures.harness import build

CASES = {**vision.CASES, **detection.CASES}
TRAINED = ["vit-class", "deit-masked", "dinov2-class", "resnet-class", "segformer-pixels", "dpt-pixels", "detr-boxes"]


def test_backbones_are_found_with_the_stages_that_are_asked_for(tmp_path: Path) -> None:
    tf.Dinov2Model(tf.Dinov2Config(**vision.DINO)).save_pretrained(tmp_path)
    model = tf.AutoBackbone.from_pretrained(tmp_path, out_features=["stage1", "stage3"])
    assert type(model) is tf.Dinov2Backbone and model.out_indices == [1, 3]
    assert model.channels == [36, 36] and model.out_feature_channels["stem"] == 36
    maps = model(torch.zeros(1, 3, 12, 12)).feature_maps
    assert [tuple(x.shape) for x in maps] == [(1, 36, 4, 4)] * 2
    model.config.out_indices = [-1]
    assert model.out_features == ["stage3"]
    assert len(tf.AutoBackbone.from_config(tf.ResNetConfig(**vision.RESNET)).channels) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"out_features": ["stage4"]}, "stage4.*stage3"),
        ({"out_features": ["stage2", "stage1"]}, "rising"),
        ({"out_indices": [9]}, "rising places below 4"),
        ({"out_features": ["stage1"], "out_indices": [2]}, "not the same stages"),
        ({"layer_type": "bottelneck"}, "bottelneck.*bottleneck"),
    ],
)
def test_stages_that_do_not_exist_are_said(options: dict[str, Any], message: str) -> None:
    with pytest.raises(EnfoldError, match=message):
        tf.ResNetConfig(**{**vision.RESNET, **options})


def test_pictures_that_do_not_fit_are_said() -> None:
    model = tf.ViTModel(tf.ViTConfig(**vision.VIT))
    with pytest.raises(ValueError, match=r"12 by 12 pixels were expected, not of 15 by 12; interpolate_pos_encoding"):
        model(torch.zeros(1, 3, 15, 12))
    with pytest.raises(ValueError, match=r"3 channels were expected, not with 1"):
        model(torch.zeros(1, 1, 12, 12))
    with pytest.raises(ValueError, match="channels"):
        tf.ResNetModel(tf.ResNetConfig(**vision.RESNET))(torch.zeros(1, 4, 32, 32))
    filling = tf.ViTForMaskedImageModeling(tf.ViTConfig(**{**vision.VIT, "encoder_stride": 2}))
    with pytest.raises(ValueError, match="encoder_stride"):
        filling(torch.zeros(1, 3, 12, 12), torch.ones(1, 16))
    with pytest.raises(EnfoldError, match="multiple of num_attention_heads"):
        tf.ViTModel(tf.ViTConfig(**{**vision.VIT, "num_attention_heads": 5}))
    sam = tf.SamModel(detection.sam()(tf))
    with pytest.raises(ValueError, match="and not both"):
        sam()
    with pytest.raises(ValueError, match="20 by 20 pixels were expected"):
        sam(torch.zeros(1, 3, 18, 20))
    with pytest.raises(ValueError, match="2 images and points for 1"):
        sam(torch.zeros(2, 3, 20, 20), input_points=torch.zeros(1, 1, 1, 2))
    with pytest.raises(EnfoldError, match="computes no loss"):
        tf.DPTForDepthEstimation(tf.DPTConfig(**vision.DPT))(torch.zeros(1, 3, 16, 16), labels=torch.zeros(1, 16, 16))


@pytest.mark.parametrize("name", TRAINED)
def test_forgetting_activations_changes_no_gradient(name: str) -> None:
    model, inputs = build(tf, CASES[name]), CASES[name].inputs("")
    model.eval()
    for part in model.modules():  # the branch for training, without chance or running statistics
        if isinstance(part, torch.nn.Dropout | DropPath):
            for probability in ("p", "rate"):
                if hasattr(part, probability):
                    setattr(part, probability, 0.0)
    model.train()
    for part in model.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.eval()

    def gradients() -> dict[str, torch.Tensor]:
        model.zero_grad()
        model(**inputs).loss.backward()
        return {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}

    kept = gradients()
    model.gradient_checkpointing_enable()
    assert model.is_gradient_checkpointing
    forgotten = gradients()
    assert kept.keys() == forgotten.keys() and len(kept) > 20
    for key, value in kept.items():
        torch.testing.assert_close(forgotten[key], value, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", sorted(CASES))
def test_blank_models_are_drawn_and_outputs_are_tuples_too(name: str) -> None:
    case = CASES[name]
    kind = getattr(tf, case.name)
    config = case.config(tf) if callable(case.config) else kind.config_class(**case.config)
    torch.manual_seed(0)
    model = kind(config).eval()
    inputs = case.inputs("")
    with torch.no_grad():
        output, row = model(**inputs), model(**inputs, return_dict=False)
    assert all(torch.isfinite(x).all() for x in output.values() if isinstance(x, torch.Tensor))
    assert type(row) is tuple and len(row) == len(output)
    weights = [part.weight for part in model.modules() if isinstance(part, torch.nn.Linear)]
    assert all(weight.std() > 0 for weight in weights)


def test_positions_stretch_and_stay() -> None:
    table = torch.randn(1, 17, 8)
    assert torch.allclose(resize_positions(table, (4, 4)), table, atol=1e-5)
    assert torch.equal(resize_positions(table, (5, 3))[:, 0], table[:, 0])


def test_skipped_branches_keep_their_mean() -> None:
    torch.manual_seed(0)
    branch, x = DropPath(0.25), torch.ones(4000, 2, 3)
    dropped = branch(x)
    assert dropped.unique().tolist() == pytest.approx([0, 4 / 3]) and abs(float(dropped.mean()) - 1) < 0.05
    assert torch.equal(branch.eval()(x), x)


def test_the_architecture_in_a_configuration_chooses_among_classes_of_one_task(tmp_path: Path) -> None:
    numbers = dict.fromkeys(("hidden_size", "intermediate_size"), 8) | {"image_size": 8, "patch_size": 4}
    config = tf.DeiTConfig(**numbers, num_hidden_layers=1, num_attention_heads=2)
    assert type(tf.AutoModelForImageClassification.from_config(config)) is tf.DeiTForImageClassification
    tf.DeiTForImageClassificationWithTeacher(config).save_pretrained(tmp_path)
    model = tf.AutoModelForImageClassification.from_pretrained(tmp_path)
    assert type(model) is tf.DeiTForImageClassificationWithTeacher
