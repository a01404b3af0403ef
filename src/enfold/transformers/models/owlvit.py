"""OWL-ViT (Minderer et al., 2022, "Simple Open-Vocabulary Object Detection with Vision Transformers"): CLIP, whose
every patch says what it shows and where that is.

Shapes: I images, Q queries an image, T patches, D width of images, E width of queries.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from enfold.nn.boxes import box_iou, center_to_corners, generalized_box_iou
from enfold.nn.outputs import ModelOutput
from enfold.transformers.configs.owlvit import OwlViTConfig, OwlViTTextConfig, OwlViTVisionConfig
from enfold.transformers.heads import as_asked
from enfold.transformers.models.clip import CLIPModel, CLIPPreTrainedModel, CLIPTextModel, CLIPVisionModel
from enfold.transformers.models.two_towers import TextTower, VisionTower

__all__ = [
    "OwlViTConfig",
    "OwlViTForObjectDetection",
    "OwlViTModel",
    "OwlViTPreTrainedModel",
    "OwlViTTextConfig",
    "OwlViTTextModel",
    "OwlViTVisionConfig",
    "OwlViTVisionModel",
]


@dataclass
class OwlViTObjectDetectionOutput(ModelOutput):
    """For every patch how well each query fits, logits (I, T, Q), and a box, pred_boxes (I, T, 4), its centre and size
    as shares of the image; with the patches' embeddings and both encoders' outputs."""

    loss: Tensor | None = None
    loss_dict: dict[str, Tensor] | None = None
    logits: Tensor | None = None
    pred_boxes: Tensor | None = None
    text_embeds: Tensor | None = None
    image_embeds: Tensor | None = None
    class_embeds: Tensor | None = None
    text_model_output: Any = None
    vision_model_output: Any = None


@dataclass
class OwlViTImageGuidedObjectDetectionOutput(ModelOutput):
    """The same, where queries are images."""

    logits: Tensor | None = None
    image_embeds: Tensor | None = None
    query_image_embeds: Tensor | None = None
    target_pred_boxes: Tensor | None = None
    query_pred_boxes: Tensor | None = None
    class_embeds: Tensor | None = None
    text_model_output: Any = None
    vision_model_output: Any = None


class OwlViTPreTrainedModel(CLIPPreTrainedModel):
    """What all OWL-ViT models share."""

    config_class: ClassVar[Any] = OwlViTConfig
    base_model_prefix = "owlvit"


class OwlViTTextTransformer(TextTower, OwlViTPreTrainedModel):
    """The encoder of queries, read at the end token, whose id is the highest."""

    config_class = OwlViTTextConfig

    def pool(self, x: Tensor, input_ids: Tensor) -> Tensor:
        """Return (B, D)."""
        return x[torch.arange(x.shape[0], device=x.device), input_ids.argmax(-1)]


class OwlViTVisionTransformer(VisionTower, OwlViTPreTrainedModel):
    """The encoder of images."""

    config_class = OwlViTVisionConfig
    first_norm = "pre_layernorm"


class OwlViTTextModel(CLIPTextModel, OwlViTPreTrainedModel):
    """OWL-ViT's encoder of queries."""

    config_class: ClassVar[Any] = OwlViTTextConfig
    text_class = OwlViTTextTransformer


class OwlViTVisionModel(CLIPVisionModel, OwlViTPreTrainedModel):
    """OWL-ViT's encoder of images."""

    config_class: ClassVar[Any] = OwlViTVisionConfig
    vision_class = OwlViTVisionTransformer


class OwlViTModel(CLIPModel, OwlViTPreTrainedModel):
    """OWL-ViT without its heads: CLIP."""

    text_class, vision_class = OwlViTTextTransformer, OwlViTVisionTransformer


class BoxHead(nn.Module):
    """Where a patch's object is."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.dense0 = nn.Linear(width, width)
        self.dense1 = nn.Linear(width, width)
        self.dense2 = nn.Linear(width, 4)

    def forward(self, x: Tensor) -> Tensor:
        """Return (I, T, 4) for (I, T, D)."""
        return self.dense2(F.gelu(self.dense1(F.gelu(self.dense0(x)))))


class ClassHead(nn.Module):
    """How well queries fit what a patch shows."""

    def __init__(self, width: int, query_width: int) -> None:
        super().__init__()
        self.dense0 = nn.Linear(width, query_width)
        self.logit_shift = nn.Linear(width, 1)
        self.logit_scale = nn.Linear(width, 1)

    def forward(self, x: Tensor, queries: Tensor, real: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return logits (I, T, Q) and the patches' embeddings of length 1, (I, T, E).

        ``queries`` are (I, Q, E); ``real`` (I, Q) is False where a query is padding.
        """
        shown = self.dense0(x)
        shown = shown / (shown.norm(dim=-1, keepdim=True) + 1e-6)
        queries = queries / (queries.norm(dim=-1, keepdim=True) + 1e-6)
        logits = (shown @ queries.transpose(-1, -2) + self.logit_shift(x)) * (F.elu(self.logit_scale(x)) + 1)
        if real is not None:
            logits = logits.masked_fill(~real[:, None], torch.finfo(logits.dtype).min).float()
        return logits, shown


def _logit(share: Tensor) -> Tensor:
    return torch.log(share + 1e-4) - torch.log1p(-share + 1e-4)


class OwlViTForObjectDetection(OwlViTPreTrainedModel):
    """OWL-ViT that finds what queries name, or what another image shows."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        width = config.vision_config.hidden_size
        self.owlvit = OwlViTModel(config)
        self.class_head = ClassHead(width, config.text_config.hidden_size)
        self.box_head = BoxHead(width)
        self.layer_norm = nn.LayerNorm(width, eps=config.vision_config.layer_norm_eps)
        self.post_init()

    def features(self, states: Tensor, pixels: Tensor) -> Tensor:
        """Return what the patches show, (I, rows, columns, D), for the image encoder's states (I, 1 + T, D)."""
        x = self.owlvit.vision_model.post_layernorm(states)
        x = self.layer_norm(x[:, 1:] * x[:, :1])
        patch = self.config.vision_config.patch_size
        return x.view(x.shape[0], pixels.shape[-2] // patch, pixels.shape[-1] // patch, -1)

    def image_embedder(self, pixel_values: Tensor, **options: Any) -> tuple[Tensor, Any]:
        """Return what the patches show (I, rows, columns, D), and the image encoder's output."""
        seen = self.owlvit.vision_model(pixel_values, return_dict=True, **options)
        return self.features(seen.last_hidden_state, pixel_values), seen

    def boxes(self, features: Tensor) -> Tensor:
        """Return (I, T, 4), boxes around each patch, for features (I, rows, columns, D)."""
        rows, columns = features.shape[1:3]
        y, x = torch.meshgrid(
            torch.arange(1, rows + 1, device=features.device) / rows,
            torch.arange(1, columns + 1, device=features.device) / columns,
            indexing="ij",
        )
        size = torch.tensor([1 / columns, 1 / rows], device=features.device).expand(rows * columns, 2)
        bias = _logit(torch.cat((torch.stack((x, y), -1).view(-1, 2), size), dim=-1))
        return torch.sigmoid(self.box_head(features.flatten(1, 2)) + bias.to(features.dtype))

    def forward(
        self,
        input_ids: Tensor,
        pixel_values: Tensor,
        attention_mask: Tensor | None = None,
        interpolate_pos_encoding: bool = False,
        return_dict: bool | None = None,
        **options: Any,
    ) -> Any:
        """Return for every patch how well each query fits, and a box.

        Args:
            input_ids: (I · Q, T), the queries of the first image, then the second's; a query that begins with 0 is
                padding.
            pixel_values: (I, channels, height, width).
            attention_mask: (I · Q, T).
            interpolate_pos_encoding: stretch the positions of patches.
            return_dict: False returns a tuple.
            options: ``output_attentions``, ``output_hidden_states``.
        """
        found = self.owlvit(
            input_ids,
            pixel_values,
            attention_mask,
            interpolate_pos_encoding=interpolate_pos_encoding,
            return_dict=True,
            **options,
        )
        features = self.features(found.vision_model_output.last_hidden_state, pixel_values)
        images = pixel_values.shape[0]  # not len(…), which would fix the number in exported graphs
        queries = found.text_embeds.view(images, -1, found.text_embeds.shape[-1])
        real = input_ids.view(images, -1, input_ids.shape[-1])[..., 0] > 0
        logits, shown = self.class_head(features.flatten(1, 2), queries, real)
        output = OwlViTObjectDetectionOutput(
            logits=logits,
            pred_boxes=self.boxes(features),
            text_embeds=queries,
            image_embeds=features,
            class_embeds=shown,
            text_model_output=found.text_model_output,
            vision_model_output=found.vision_model_output,
        )
        return as_asked(output, return_dict, self.config.return_dict)

    def image_guided_detection(
        self,
        pixel_values: Tensor,
        query_pixel_values: Tensor,
        interpolate_pos_encoding: bool = False,
        return_dict: bool | None = None,
        **options: Any,
    ) -> Any:
        """Return for every patch how well it fits what another image shows, and a box.

        Args:
            pixel_values: (I, channels, height, width).
            query_pixel_values: (I, channels, height, width), one image to look for an image.
            interpolate_pos_encoding: stretch the positions of patches.
            return_dict: False returns a tuple.
            options: ``output_attentions``, ``output_hidden_states``.
        """
        stretch = interpolate_pos_encoding
        sought, _ = self.image_embedder(query_pixel_values, interpolate_pos_encoding=stretch)
        features, seen = self.image_embedder(pixel_values, interpolate_pos_encoding=stretch, **options)
        boxes = self.boxes(sought)
        queries = self.class_head.dense0(sought.flatten(1, 2))
        chosen = torch.stack([self._typical(own, where) for own, where in zip(queries, boxes, strict=True)])[:, None]
        logits, shown = self.class_head(features.flatten(1, 2), chosen, None)
        output = OwlViTImageGuidedObjectDetectionOutput(
            logits=logits,
            image_embeds=features,
            query_image_embeds=sought,
            target_pred_boxes=self.boxes(features),
            query_pred_boxes=boxes,
            class_embeds=shown,
            vision_model_output=seen,
        )
        return as_asked(output, return_dict, self.config.return_dict)

    def _typical(self, shown: Tensor, boxes: Tensor) -> Tensor:
        """Return (E,): of the patches whose boxes cover the image best, the one least like the rest of it."""
        whole, corners = boxes.new_tensor([[0.0, 0.0, 1.0, 1.0]]), center_to_corners(boxes)
        overlap = box_iou(whole, corners)[0][0]
        if not overlap.any():
            overlap = generalized_box_iou(whole, corners)[0]
        best = shown[overlap >= 0.8 * overlap.max()]
        return best[(best @ shown.mean(0)).argmin()]
