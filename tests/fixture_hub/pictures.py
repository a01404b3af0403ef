"""The fixture Hub's models of pictures: a ViT, and two DETRs, one under timm's names and one under transformers'.

Their files are as the real repositories': old spellings of settings, the fourth series' names of weights.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import torch
from transformers import (
    DetrConfig,
    DetrForObjectDetection,
    DetrForSegmentation,
    PreTrainedModel,
    ResNetConfig,
    ViTConfig,
    ViTForImageClassification,
)
from writing import CARD, save, spread, write_json

ANIMALS = ["tench", "goldfish", "great white shark", "tiger shark", "hammerhead", "electric ray", "stingray", "cock"]
THINGS = ["N/A", "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "couch", "cat"]
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def named(labels: list[str]) -> dict[str, dict]:
    """Return the configuration's two tables of labels."""
    return {
        "id2label": {str(place): label for place, label in enumerate(labels)},
        "label2id": {label: place for place, label in enumerate(labels)},
    }


def vit(folder: Path, packages: Path) -> None:
    """google/vit-base-patch16-224: the image processor's settings as they were first written."""
    config = {
        "_name_or_path": "google/vit-base-patch16-224",
        "architectures": ["ViTForImageClassification"],
        "attention_probs_dropout_prob": 0.0,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.0,
        "hidden_size": 32,
        "image_size": 224,
        "initializer_range": 0.02,
        "intermediate_size": 64,
        "layer_norm_eps": 1e-12,
        "model_type": "vit",
        "num_attention_heads": 4,
        "num_channels": 3,
        "num_hidden_layers": 2,
        "patch_size": 16,
        "qkv_bias": True,
        "transformers_version": "4.13.0.dev0",
        **named(ANIMALS),
    }
    torch.manual_seed(21)
    model = ViTForImageClassification(ViTConfig.from_dict(config))
    spread(model)
    save(model, folder, config)
    write_json(
        folder / "preprocessor_config.json",
        {
            "do_normalize": True,
            "do_resize": True,
            "image_mean": [0.5, 0.5, 0.5],
            "image_std": [0.5, 0.5, 0.5],
            "size": 224,
        },
    )
    (folder / "README.md").write_text(CARD.format(title="Vision Transformer (base)", weights="random"))


def timm_name(name: str) -> str:
    """Return what timm calls a tensor of transformers' ResNet inside a DETR; other names stay."""
    head, found, rest = name.partition("backbone.conv_encoder.model.")
    if not found:
        return name
    rest = re.sub(r"^embedder\.embedder\.convolution", "conv1", rest)
    rest = re.sub(r"^embedder\.embedder\.normalization", "bn1", rest)
    parts = re.match(r"encoder\.stages\.(\d)\.layers\.(\d+)\.(shortcut|layer\.(\d))\.(\w+)\.(\w+)$", rest)
    if parts:
        stage, layer, kind, place, what, leaf = parts.groups()
        norm = what == "normalization"
        inner = f"downsample.{int(norm)}" if kind == "shortcut" else f"{'bn' if norm else 'conv'}{int(place) + 1}"
        rest = f"layer{int(stage) + 1}.{layer}.{inner}.{leaf}"
    return head + found + rest


def detr(kind: type[PreTrainedModel], title: str, timm: bool) -> Callable[[Path, Path], None]:
    """Return what writes a DETR: one on a ResNet-18 under timm's names, or one on a narrow ResNet of transformers'."""

    def write(folder: Path, packages: Path) -> None:
        sizes = [64, 128, 256, 512] if timm else [8, 12, 16, 24]
        eyes = {
            "model_type": "resnet",
            "embedding_size": 64 if timm else 8,
            "hidden_sizes": sizes,
            "depths": [2, 2, 2, 2] if timm else [1, 1, 1, 1],
            "layer_type": "basic" if timm else "bottleneck",
            "out_features": ["stage1", "stage2", "stage3", "stage4"],
        }
        config = {
            "_num_labels": len(THINGS),
            "activation_function": "relu",
            "architectures": [kind.__name__],
            "auxiliary_loss": False,
            "classifier_dropout": 0.0,
            "d_model": 32,
            "decoder_attention_heads": 8,
            "decoder_ffn_dim": 64,
            "decoder_layers": 2,
            "dilation": False,
            "dropout": 0.1,
            "encoder_attention_heads": 8,
            "encoder_ffn_dim": 64,
            "encoder_layers": 2,
            "init_std": 0.02,
            "init_xavier_std": 1.0,
            "is_encoder_decoder": True,
            "max_position_embeddings": 1024,
            "model_type": "detr",
            "num_hidden_layers": 2,
            "num_queries": 20,
            "position_embedding_type": "sine",
            "scale_embedding": False,
            "transformers_version": "4.9.0.dev0",
            **named(THINGS),
        }
        torch.manual_seed(23 if timm else 24)
        model = kind(DetrConfig(**config, use_timm_backbone=False, backbone_config=ResNetConfig(**eyes)))
        spread(model, 0.3)
        finder = getattr(model, "detr", model)
        with torch.no_grad():  # queries that differ, and find something
            finder.model.query_position_embeddings.weight.mul_(8)
            finder.class_labels_classifier.weight.mul_(5)
            finder.class_labels_classifier.bias[-1] -= 6
            if finder is not model:
                model.mask_head.output_conv.weight.mul_(10)  # out_lay in the file
        own = {"backbone": "resnet18"} if timm else {"use_timm_backbone": False, "backbone_config": eyes}
        save(model, folder, {**config, **own}, timm_name if timm else str)
        write_json(
            folder / "preprocessor_config.json",
            {
                "do_normalize": True,
                "do_resize": True,
                "feature_extractor_type": "DetrFeatureExtractor",
                "format": "coco_detection" if timm else "coco_panoptic",
                "image_mean": MEAN,
                "image_std": STD,
                "max_size": 333,
                "size": 200,
            },
        )
        (folder / "README.md").write_text(CARD.format(title=title, weights="random"))

    return write


REPOSITORIES: dict[str, Callable[[Path, Path], None]] = {
    "models/google/vit-base-patch16-224": vit,
    "models/facebook/detr-resnet-50": detr(DetrForObjectDetection, "DETR with a ResNet backbone", True),
    "models/facebook/detr-resnet-50-panoptic": detr(DetrForSegmentation, "DETR for panoptic segmentation", False),
}
