"""Tiny encoders of images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from parity.architectures.harness import Case

VIT: dict[str, Any] = {
    "hidden_size": 36,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 37,
    "image_size": 12,
    "patch_size": 3,
    "encoder_stride": 3,
    "initializer_range": 0.3,
}
DINO: dict[str, Any] = {
    "hidden_size": 36,
    "num_hidden_layers": 3,
    "num_attention_heads": 3,
    "mlp_ratio": 2,
    "image_size": 12,
    "patch_size": 3,
    "layerscale_value": 0.5,
    "initializer_range": 0.3,
}
RESNET: dict[str, Any] = {
    "embedding_size": 10,
    "hidden_sizes": [12, 16, 20],
    "depths": [2, 1, 2],
    "num_channels": 3,
}


def images(
    kind: str = "", size: tuple[int, int] = (12, 12), patches: int = 16, **options: Any
) -> Callable[[str], dict[str, Any]]:
    """Return a function to two images with labels of a kind.

    Args:
        kind: ``""``, ``class``, ``number``, ``many``, ``masked`` (hidden patches), ``pixels`` (a class a pixel, some
            of them 255), ``pixel`` (one class or none a pixel) or ``depth``.
        size: height and width.
        patches: how many there are to hide.
        options: further arguments of the model.
    """

    def inputs(_: str) -> dict[str, Any]:
        import torch

        draw = torch.Generator().manual_seed(11)
        given: dict[str, Any] = {"pixel_values": torch.randn((2, 3, *size), generator=draw), **options}
        marks = torch.randint(0, 4, (2, *size), generator=draw)
        labels = {
            "class": torch.tensor([2, 0]),
            "number": torch.tensor([0.5, -1.0]),
            "many": torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]]),
            "pixels": torch.where(marks == 3, 255, marks),
            "pixel": torch.where(marks == 3, 255, marks % 2),
        }.get(kind)
        if labels is not None:
            given["labels"] = labels
        if kind == "masked":
            given["bool_masked_pos"] = torch.rand((2, patches), generator=draw) < 0.5
        return given

    return inputs


SEG: dict[str, Any] = {
    "num_encoder_blocks": 3,
    "depths": [2, 1, 1],
    "sr_ratios": [4, 2, 1],
    "hidden_sizes": [8, 12, 16],
    "patch_sizes": [7, 3, 3],
    "strides": [4, 2, 2],
    "num_attention_heads": [1, 2, 4],
    "mlp_ratios": [2, 3, 2],
    "decoder_hidden_size": 10,
    "initializer_range": 0.3,
}
BIT: dict[str, Any] = {
    "embedding_size": 8,
    "hidden_sizes": [16, 32, 48],
    "depths": [2, 1, 2],
    "num_groups": 4,
}
DPT: dict[str, Any] = {
    "hidden_size": 36,
    "num_hidden_layers": 4,
    "num_attention_heads": 3,
    "intermediate_size": 37,
    "image_size": 16,
    "patch_size": 4,
    "backbone_out_indices": [0, 1, 2, 3],
    "neck_hidden_sizes": [8, 10, 12, 14],
    "fusion_hidden_size": 16,
    "initializer_range": 0.3,
}
EYES: dict[str, Any] = {"reshape_hidden_states": False, "apply_layernorm": False, "out_indices": [0, 1, 2, 3]}


def dpt_on_dinov2(library: Any) -> Any:
    """Return the configuration of a DPT whose images DINOv2 reads."""
    return library.DPTConfig(**DPT, backbone_config=library.Dinov2Config(**DINO, **EYES))


def dpt_on_resnet(library: Any) -> Any:
    """Return the configuration of a hybrid DPT on a ResNet's three stages."""
    sizes = {"embedding_size": 4, "hidden_sizes": [8, 12, 16], "depths": [1, 1, 1]}
    eyes = library.ResNetConfig(**sizes, out_features=["stage1", "stage2", "stage3"])
    hybrid = {"neck_hidden_sizes": [8, 12, 12, 14], "reassemble_factors": [1, 1, 1, 0.5], "patch_size": 16}
    options = {**DPT, **hybrid, "image_size": 64, "backbone_featmap_shape": [1, 16, 4, 4], "num_labels": 3}
    return library.DPTConfig(**options, is_hybrid=True, backbone_config=eyes)


def dpt_on_bit(library: Any) -> Any:
    """Return the configuration of a hybrid DPT on a BiT, as it was published."""
    eyes = {**BIT, "global_padding": "same", "layer_type": "bottleneck", "embedding_dynamic_padding": True}
    hybrid = {"neck_hidden_sizes": [16, 32, 12, 14], "reassemble_factors": [1, 1, 1, 0.5], "patch_size": 16}
    options = {**DPT, **hybrid, "image_size": 64, "backbone_featmap_shape": [1, 48, 4, 4], "num_labels": 3}
    eyes["out_features"] = ["stage1", "stage2", "stage3"]
    return library.DPTConfig(**options, is_hybrid=True, backbone_config=eyes)


FULL = ("",)
CASES: dict[str, Case] = {
    "vit": Case("ViTModel", VIT, images(), FULL),
    "vit-pooler": Case("ViTModel", {**VIT, "pooler_output_size": 20, "pooler_act": "gelu"}, images(), FULL),
    "vit-oblong": Case(
        "ViTModel", {**VIT, "qkv_bias": False}, images(size=(9, 18), interpolate_pos_encoding=True), FULL
    ),
    "vit-class": Case("ViTForImageClassification", {**VIT, "num_labels": 3}, images("class"), FULL),
    "vit-number": Case("ViTForImageClassification", {**VIT, "num_labels": 1}, images("number"), FULL),
    "vit-many": Case(
        "ViTForImageClassification",
        {**VIT, "num_labels": 3},
        images("many", (15, 15), interpolate_pos_encoding=True),
        FULL,
    ),
    "vit-masked": Case("ViTForMaskedImageModeling", VIT, images("masked"), FULL),
    "deit": Case("DeiTModel", VIT, images(), FULL),
    "deit-oblong": Case("DeiTModel", VIT, images(size=(15, 9), interpolate_pos_encoding=True), FULL),
    "deit-class": Case("DeiTForImageClassification", {**VIT, "num_labels": 3}, images("class"), FULL),
    "deit-teacher": Case("DeiTForImageClassificationWithTeacher", {**VIT, "num_labels": 3}, images(), FULL),
    "deit-masked": Case("DeiTForMaskedImageModeling", VIT, images("masked"), FULL),
    "dinov2": Case("Dinov2Model", DINO, images(), FULL),
    "dinov2-odd": Case("Dinov2Model", DINO, images("masked", (14, 20), 24), FULL),
    "dinov2-gated": Case(
        "Dinov2Model", {**DINO, "use_swiglu_ffn": True, "use_mask_token": False}, images(size=(9, 12)), FULL
    ),
    "dinov2-class": Case("Dinov2ForImageClassification", {**DINO, "num_labels": 3}, images("class", (9, 15)), FULL),
    "dinov2-backbone": Case(
        "Dinov2Backbone", {**DINO, "out_features": ["stage1", "stage3"]}, images(size=(9, 18)), FULL
    ),
    "dinov2-backbone-rows": Case(
        "Dinov2Backbone",
        {**DINO, "out_indices": [0, 2], "apply_layernorm": False, "reshape_hidden_states": False},
        images(),
        FULL,
    ),
    "resnet": Case("ResNetModel", RESNET, images(size=(40, 33)), FULL),
    "resnet-basic": Case(
        "ResNetModel",
        {**RESNET, "layer_type": "basic", "downsample_in_first_stage": True},
        images(size=(64, 40)),
        FULL,
    ),
    "resnet-class": Case(
        "ResNetForImageClassification",
        {**RESNET, "num_labels": 3, "downsample_in_bottleneck": True, "hidden_act": "gelu"},
        images("class", (48, 32)),
        FULL,
    ),
    "resnet-backbone": Case(
        "ResNetBackbone", {**RESNET, "out_features": ["stem", "stage2", "stage3"]}, images(size=(40, 33)), FULL
    ),
    "segformer": Case("SegformerModel", SEG, images(size=(40, 33)), FULL),
    "segformer-rows": Case(
        "SegformerForImageClassification",
        {**SEG, "reshape_last_stage": False, "num_labels": 3},
        images("class", (33, 41)),
        FULL,
    ),
    "segformer-class": Case(
        "SegformerForImageClassification", {**SEG, "num_labels": 3}, images("many", (32, 32)), FULL
    ),
    "segformer-pixels": Case(
        "SegformerForSemanticSegmentation", {**SEG, "num_labels": 3}, images("pixels", (40, 50)), FULL
    ),
    "segformer-pixel": Case(
        "SegformerForSemanticSegmentation", {**SEG, "num_labels": 1}, images("pixel", (40, 50)), FULL
    ),
    "dpt": Case("DPTModel", DPT, images(size=(16, 24)), FULL),
    "dpt-depth": Case("DPTForDepthEstimation", DPT, images(size=(16, 16)), FULL),
    "dpt-depth-normalised": Case(
        "DPTForDepthEstimation",
        {**DPT, "use_batch_norm_in_fusion_residual": True, "readout_type": "add", "head_in_index": -2},
        images(size=(24, 24)),
        FULL,
        atol=4e-4,  # depths up to 64 from sums that cancel: single precision is 2e-4 to 4e-4 off double precision
    ),
    "dpt-depth-dinov2": Case("DPTForDepthEstimation", dpt_on_dinov2, images(size=(12, 18)), FULL),
    "dpt-depth-hybrid": Case("DPTForDepthEstimation", dpt_on_resnet, images(size=(64, 64)), FULL),
    "dpt-pixels": Case(
        "DPTForSemanticSegmentation",
        {**DPT, "num_labels": 3, "readout_type": "ignore"},
        images("pixels", (16, 16)),
        FULL,
        atol=1e-4,  # logits up to 50 from sums that cancel: single precision is 4e-5 to 7e-5 off double precision
    ),
    "dpt-depth-bit": Case("DPTForDepthEstimation", dpt_on_bit, images(size=(64, 64)), FULL),
    "bit": Case("BitModel", BIT, images(size=(45, 62)), FULL),
    "bit-same": Case(
        "BitModel",
        {**BIT, "global_padding": "same", "embedding_dynamic_padding": True, "output_stride": 8},
        images(size=(45, 62)),
        FULL,
    ),
    "bit-class": Case(
        "BitForImageClassification",
        {**BIT, "layer_type": "bottleneck", "num_labels": 3, "output_stride": 4, "global_padding": "SAME"},
        images("class", (50, 41)),
        FULL,
    ),
    "bit-backbone": Case(
        "BitBackbone",
        {**BIT, "layer_type": "bottleneck", "out_features": ["stem", "stage3"]},
        images(size=(64, 40)),
        FULL,
    ),
}
