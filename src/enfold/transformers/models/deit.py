"""DeiT (Touvron et al., 2021, "Training data-efficient image transformers"): ViT with a token that learns from a
teacher.

Shapes: B images, T tokens (class, distillation, patches), D width, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from enfold.transformers.configs.deit import DeiTConfig
from enfold.transformers.heads import as_asked
from enfold.transformers.models.vit import (
    Embeddings,
    ViTForImageClassification,
    ViTForMaskedImageModeling,
    ViTModel,
    ViTPreTrainedModel,
)
from enfold.transformers.outputs import Layers, ModelOutput

__all__ = [
    "DeiTConfig",
    "DeiTForImageClassification",
    "DeiTForImageClassificationWithTeacher",
    "DeiTForMaskedImageModeling",
    "DeiTModel",
    "DeiTPreTrainedModel",
]


@dataclass
class DeiTForImageClassificationWithTeacherOutput(ModelOutput):
    """Logits (B, C): the mean of the class token's and the distillation token's."""

    logits: Tensor | None = None
    cls_logits: Tensor | None = None
    distillation_logits: Tensor | None = None
    hidden_states: Layers | None = None
    attentions: Layers | None = None


class DeiTEmbeddings(Embeddings):
    """Patches with their positions, after a class token and a distillation token."""

    special = 2

    def __init__(self, config: Any, use_mask_token: bool = False) -> None:
        super().__init__(config, use_mask_token)
        self.distillation_token = nn.Parameter(torch.zeros(1, 1, config.hidden_size))

    def first(self) -> list[Tensor]:
        """Return the tokens before the patches, each (1, 1, D)."""
        return [self.cls_token, self.distillation_token]


class DeiTPreTrainedModel(ViTPreTrainedModel):
    """What all DeiT models share."""

    config_class = DeiTConfig
    base_model_prefix = "deit"
    embeddings_class = DeiTEmbeddings
    _no_split_modules = ["DeiTEmbeddings", "ViTLayer"]

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, DeiTEmbeddings):
            for token in (module.cls_token, module.distillation_token, module.position_embeddings):
                token.zero_()


class DeiTModel(DeiTPreTrainedModel, ViTModel):
    """DeiT without a head."""


class DeiTForMaskedImageModeling(DeiTPreTrainedModel, ViTForMaskedImageModeling):
    """DeiT that fills masked patches."""

    model_class = DeiTModel


class DeiTForImageClassification(DeiTPreTrainedModel, ViTForImageClassification):
    """DeiT with one prediction an image, read at the class token."""

    model_class = DeiTModel


class DeiTForImageClassificationWithTeacher(DeiTPreTrainedModel):
    """DeiT with the mean of two predictions: the class token's and the distillation token's; for inference only."""

    def __init__(self, config: DeiTConfig) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        self.deit = DeiTModel(config, add_pooling_layer=False)
        width, classes = config.hidden_size, config.num_labels
        self.cls_classifier = nn.Linear(width, classes) if classes else nn.Identity()
        self.distillation_classifier = nn.Linear(width, classes) if classes else nn.Identity()
        self.post_init()

    def forward(self, pixel_values: Tensor, return_dict: bool | None = None, **extra: Any) -> Any:
        """Return both logits and their mean; arguments as the model without a head."""
        states = self.deit(pixel_values, return_dict=True, **extra)
        own = self.cls_classifier(states.last_hidden_state[:, 0])
        taught = self.distillation_classifier(states.last_hidden_state[:, 1])
        output = DeiTForImageClassificationWithTeacherOutput(
            (own + taught) / 2, own, taught, states.hidden_states, states.attentions
        )
        return as_asked(output, return_dict, self.config.return_dict)
