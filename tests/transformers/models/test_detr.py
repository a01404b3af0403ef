"""DETR's backbone under both of its names, and what it says of wrong ones."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from enfold.errors import EnfoldError
from enfold.nn.norm import freeze_batch_norms
from enfold.transformers import DetrConfig, DetrForObjectDetection, DetrForSegmentation, DetrModel, ResNetConfig
from enfold.transformers.models.resnet import ResNetBackbone
from enfold.transformers.models.timm_resnet import TimmResNet

TINY: dict[str, Any] = {
    "num_queries": 3,
    "encoder_layers": 1,
    "encoder_ffn_dim": 8,
    "encoder_attention_heads": 8,
    "decoder_layers": 1,
    "decoder_ffn_dim": 8,
    "d_model": 32,
}


def timm_name(name: str) -> str:
    """Return timm's name for a tensor of transformers' ResNet."""
    if name.startswith("embedder"):
        return name.replace("embedder.embedder.convolution", "conv1").replace("embedder.embedder.normalization", "bn1")
    _, _, stage, _, layer, *rest = name.split(".")
    start, leaf = f"layer{int(stage) + 1}.{layer}", rest[-1]
    if rest[0] == "shortcut":
        return f"{start}.downsample.{0 if rest[1] == 'convolution' else 1}.{leaf}"
    kind = "conv" if rest[2] == "convolution" else "bn"
    return f"{start}.{kind}{int(rest[1]) + 1}.{leaf}"


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_both_names_of_a_backbone_are_the_same_network(name: str) -> None:
    basic = name == "resnet18"
    depths, sizes = ([2, 2, 2, 2], [64, 128, 256, 512]) if basic else ([3, 4, 6, 3], [256, 512, 1024, 2048])
    config = ResNetConfig(
        depths=depths,
        hidden_sizes=sizes,
        layer_type="basic" if basic else "bottleneck",
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )
    theirs, ours = ResNetBackbone(config).eval(), TimmResNet(name).eval()
    freeze_batch_norms(theirs)
    for key, buffer in theirs.named_buffers():
        torch.nn.init.uniform_(buffer, 0.5, 1.0 if "var" in key or "weight" in key else 0.6)
    ours.load_state_dict({timm_name(key): value for key, value in theirs.state_dict().items()})
    pixels = torch.randn(1, 3, 65, 64)
    with torch.no_grad():
        for mine, other in zip(ours(pixels), theirs(pixels).feature_maps, strict=True):
            torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-4)
    assert ours.channels == theirs.channels == sizes


def test_names_are_those_of_the_published_checkpoints() -> None:
    names = set(DetrForSegmentation(DetrConfig(**TINY)).state_dict())
    assert {
        "detr.model.backbone.conv_encoder.model.conv1.weight",
        "detr.model.backbone.conv_encoder.model.layer1.0.downsample.1.running_mean",
        "detr.model.backbone.conv_encoder.model.layer4.2.bn3.weight",
        "detr.model.encoder.layers.0.self_attn.out_proj.weight",
        "detr.model.decoder.layernorm.bias",
        "detr.bbox_predictor.layers.2.weight",
        "mask_head.lay5.weight",
        "mask_head.gn1.bias",
        "mask_head.adapter3.weight",
        "bbox_attention.q_linear.weight",
    } <= names


def test_dilation_keeps_the_third_stages_size() -> None:
    plain, wide = TimmResNet("resnet18"), TimmResNet("resnet18", dilated=True)
    pixels = torch.zeros(1, 3, 64, 64)
    assert [x.shape[-1] for x in plain(pixels)] == [16, 8, 4, 2]
    assert [x.shape[-1] for x in wide(pixels)] == [16, 8, 4, 4]
    assert wide.layer4[1].conv1.dilation == (2, 2) and wide.layer4[0].conv1.dilation == (1, 1)


def test_both_spellings_of_a_timm_backbone_are_read() -> None:
    new = DetrConfig(backbone_config={"model_type": "timm_backbone", "backbone": "resnet101", "output_stride": 16})
    old = DetrConfig(backbone="resnet101", use_timm_backbone=True, dilation=True)
    assert new.to_dict() == old.to_dict()
    assert DetrConfig(use_timm_backbone=False).backbone_config.model_type == "resnet"


def test_the_stem_and_the_first_stage_are_not_trained() -> None:
    for config in (DetrConfig(**TINY, backbone="resnet18"), DetrConfig(**TINY, use_timm_backbone=False)):
        encoder = DetrModel(config).backbone.conv_encoder.model
        trained = {name.split(".conv")[0] for name, weight in encoder.named_parameters() if weight.requires_grad}
        assert trained and not any(name.startswith(("layer1", "conv1", "encoder.stages.0")) for name in trained)


def test_learned_positions_differ_by_row_and_column() -> None:
    config = DetrConfig(**TINY, backbone="resnet18", position_embedding_type="learned")
    model = DetrModel(config)
    assert "backbone.position_embedding.row_embeddings.weight" in model.state_dict()
    places = model.backbone.position_embedding(torch.zeros(1), torch.ones(2, 3, 4, dtype=torch.bool))
    assert places.shape == (2, 32, 3, 4)
    columns, rows = places[0, :16], places[0, 16:]
    assert torch.equal(columns[:, 0], columns[:, 2]) and not torch.equal(columns[:, 0, 0], columns[:, 0, 1])
    assert torch.equal(rows[:, :, 0], rows[:, :, 3]) and not torch.equal(rows[:, 0, 0], rows[:, 1, 0])


def test_unknown_parts_are_named_with_the_nearest_one() -> None:
    with pytest.raises(EnfoldError, match=r"'resnet5'.*resnet50"):
        DetrModel(DetrConfig(**TINY, backbone="resnet5"))
    with pytest.raises(EnfoldError, match=r"sinus.*sine"):
        DetrConfig(position_embedding_type="sinus")
    with pytest.raises(EnfoldError, match="four feature maps"):
        DetrForSegmentation(DetrConfig(**TINY, use_timm_backbone=False))
    with pytest.raises(ValueError, match=r"no backbone of model_type 'resnett'.*resnet"):
        DetrConfig(backbone_config={"model_type": "resnett"})


def test_an_image_without_objects_has_a_loss() -> None:
    model = DetrForObjectDetection(DetrConfig(**TINY, backbone="resnet18", num_labels=2))
    empty = {"class_labels": torch.zeros(0, dtype=torch.long), "boxes": torch.zeros(0, 4)}
    output = model(torch.zeros(1, 3, 64, 64), labels=[empty])
    assert output.loss_dict["loss_bbox"] == 0 and torch.isfinite(output.loss)
