"""CLIP (Radford et al., 2021, "Learning Transferable Visual Models From Natural Language Supervision").

Shapes: B texts, I images, T tokens or patches, H heads, D width, P the width in which texts and images meet.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from enfold.nn.outputs import ModelOutput
from enfold.transformers.configs.clip import CLIPConfig, CLIPTextConfig, CLIPVisionConfig
from enfold.transformers.heads import as_asked
from enfold.transformers.models.two_towers import (
    ImageClassificationTower,
    TextEmbeddings,
    TextTower,
    TowerAttention,
    TowerMLP,
    TowerPreTrainedModel,
    TwoTowers,
    VisionEmbeddings,
    VisionTower,
)

__all__ = [
    "CLIPConfig",
    "CLIPForImageClassification",
    "CLIPModel",
    "CLIPPreTrainedModel",
    "CLIPTextConfig",
    "CLIPTextModel",
    "CLIPTextModelWithProjection",
    "CLIPVisionConfig",
    "CLIPVisionModel",
    "CLIPVisionModelWithProjection",
]


@dataclass
class CLIPTextModelOutput(ModelOutput):
    """Texts projected, text_embeds (B, P), and the encoder's states."""

    text_embeds: Tensor | None = None
    last_hidden_state: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None


@dataclass
class CLIPVisionModelOutput(ModelOutput):
    """Images projected, image_embeds (I, P), and the encoder's states."""

    image_embeds: Tensor | None = None
    last_hidden_state: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None


class CLIPPreTrainedModel(TowerPreTrainedModel):
    """What all CLIP models share."""

    config_class: ClassVar[Any] = CLIPConfig
    base_model_prefix = "clip"

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        factor = self.config.initializer_factor
        if isinstance(module, TextEmbeddings):
            module.token_embedding.weight.normal_(0.0, 0.02 * factor)
            module.position_embedding.weight.normal_(0.0, 0.02 * factor)
        elif isinstance(module, VisionEmbeddings):
            assert module.class_embedding is not None
            module.class_embedding.normal_(0.0, len(module.class_embedding) ** -0.5 * factor)
            module.patch_embedding.weight.normal_(0.0, self.config.initializer_range * factor)
            module.position_embedding.weight.normal_(0.0, self.config.initializer_range * factor)
        elif isinstance(module, TowerAttention | TowerMLP):
            self._init_layer(module, factor)
        elif isinstance(module, CLIPModel):
            module.text_projection.weight.normal_(0.0, module.text_projection.in_features**-0.5 * factor)
            module.visual_projection.weight.normal_(0.0, module.visual_projection.in_features**-0.5 * factor)
            module.logit_scale.fill_(self.config.logit_scale_init_value)
        elif isinstance(module, CLIPTextModelWithProjection):
            module.text_projection.weight.normal_(0.0, self.config.hidden_size**-0.5 * factor)
        elif isinstance(module, CLIPVisionModelWithProjection):
            module.visual_projection.weight.normal_(0.0, self.config.hidden_size**-0.5 * factor)
        elif isinstance(module, CLIPForImageClassification) and isinstance(module.classifier, nn.Linear):
            module.classifier.weight.normal_(0.0, module.classifier.in_features**-0.5 * factor)

    def _init_layer(self, module: TowerAttention | TowerMLP, factor: float) -> None:
        """Draw a layer's weights narrower the deeper the encoder is, where they write into the residual."""
        deep = (2 * self.config.num_hidden_layers) ** -0.5
        if isinstance(module, TowerAttention):
            std = module.out_proj.in_features**-0.5 * factor
            for layer in (module.q_proj, module.k_proj, module.v_proj):
                layer.weight.normal_(0.0, std * deep)
            module.out_proj.weight.normal_(0.0, std)
        else:
            width = module.fc1.in_features
            module.fc1.weight.normal_(0.0, (2 * width) ** -0.5 * factor)
            module.fc2.weight.normal_(0.0, width**-0.5 * deep * factor)


class CLIPTextTransformer(TextTower, CLIPPreTrainedModel):
    """The encoder of texts, which looks back only and is read at the end of the text."""

    config_class = CLIPTextConfig

    def pool(self, x: Tensor, input_ids: Tensor) -> Tensor:
        """Return (B, D): the states at the end token; old configurations, whose end token is 2, mean the highest id."""
        end = self.config.eos_token_id
        places = input_ids.argmax(-1) if end == 2 else (input_ids == end).int().argmax(-1)
        return x[torch.arange(x.shape[0], device=x.device), places]


class CLIPVisionTransformer(VisionTower, CLIPPreTrainedModel):
    """The encoder of images, read at its class token."""

    config_class = CLIPVisionConfig
    first_norm = "pre_layrnorm"  # the checkpoints' spelling


class CLIPTextModel(CLIPPreTrainedModel):
    """CLIP's encoder of texts."""

    config_class = CLIPTextConfig
    base_model_prefix = "text_model"
    text_class: ClassVar[Any] = CLIPTextTransformer
    projected: ClassVar[bool] = False
    _input_embed_layer = "text_model.embeddings.token_embedding"

    def __init__(self, config: CLIPTextConfig) -> None:
        super().__init__(config)
        self.text_model = self.text_class(config)
        if self.projected:
            self.text_projection = nn.Linear(config.hidden_size, config.projection_dim, bias=False)
        self.post_init()

    def forward(self, input_ids: Tensor | None = None, attention_mask: Tensor | None = None, **options: Any) -> Any:
        """Return the states of texts (B, T, D) and those at their ends (B, D); arguments as ``TextTower``'s."""
        return self.text_model(input_ids, attention_mask, **options)


class CLIPTextModelWithProjection(CLIPTextModel):
    """CLIP's encoder of texts, with its projection."""

    projected = True

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        return_dict: bool | None = None,
        **options: Any,
    ) -> Any:
        """Return text_embeds (B, P)."""
        states = self.text_model(input_ids, attention_mask, return_dict=True, **options)
        output = CLIPTextModelOutput(
            self.text_projection(states.pooler_output),
            states.last_hidden_state,
            states.hidden_states,
            states.attentions,
        )
        return as_asked(output, return_dict, self.config.return_dict)


class CLIPVisionModel(CLIPPreTrainedModel):
    """CLIP's encoder of images."""

    config_class = CLIPVisionConfig
    base_model_prefix = "vision_model"
    vision_class: ClassVar[Any] = CLIPVisionTransformer
    projected: ClassVar[bool] = False
    main_input_name = "pixel_values"
    _input_embed_layer = "vision_model.embeddings.patch_embedding"

    def __init__(self, config: CLIPVisionConfig) -> None:
        super().__init__(config)
        self.vision_model = self.vision_class(config)
        if self.projected:
            self.visual_projection = nn.Linear(config.hidden_size, config.projection_dim, bias=False)
        self.post_init()

    def forward(self, pixel_values: Tensor | None = None, **options: Any) -> Any:
        """Return the states of images (I, T, D) and those of their class tokens (I, D)."""
        return self.vision_model(pixel_values, **options)


class CLIPVisionModelWithProjection(CLIPVisionModel):
    """CLIP's encoder of images, with its projection."""

    projected = True

    def forward(self, pixel_values: Tensor | None = None, return_dict: bool | None = None, **options: Any) -> Any:
        """Return image_embeds (I, P)."""
        states = self.vision_model(pixel_values, return_dict=True, **options)
        output = CLIPVisionModelOutput(
            self.visual_projection(states.pooler_output),
            states.last_hidden_state,
            states.hidden_states,
            states.attentions,
        )
        return as_asked(output, return_dict, self.config.return_dict)


class CLIPModel(TwoTowers, CLIPPreTrainedModel):
    """CLIP: how well texts and images fit each other."""

    text_class: ClassVar[Any] = CLIPTextTransformer
    vision_class: ClassVar[Any] = CLIPVisionTransformer

    def __init__(self, config: CLIPConfig) -> None:
        super().__init__(config)
        self.visual_projection = nn.Linear(config.vision_config.hidden_size, config.projection_dim, bias=False)
        self.text_projection = nn.Linear(config.text_config.hidden_size, config.projection_dim, bias=False)
        self.logit_scale = nn.Parameter(torch.tensor(config.logit_scale_init_value))
        self.post_init()

    def project_text(self, pooled: Tensor) -> Tensor:
        """Return (B, P)."""
        return self.text_projection(pooled)

    def project_image(self, pooled: Tensor) -> Tensor:
        """Return (I, P)."""
        return self.visual_projection(pooled)

    def compare(self, texts: Tensor, images: Tensor) -> Tensor:
        """Return (B, I): scaled cosines."""
        return (texts @ images.t()) * self.logit_scale.exp()

    def contrast(self, logits: Tensor) -> Tensor:
        """Return the loss where the n-th text belongs to the n-th image."""
        own = torch.arange(logits.shape[0], device=logits.device)
        return (F.cross_entropy(logits, own) + F.cross_entropy(logits.t(), own)) / 2


class CLIPForImageClassification(ImageClassificationTower, CLIPPreTrainedModel):
    """CLIP's encoder of images with one prediction an image."""

    vision_class = CLIPVisionTransformer
    skipped = 1  # the class token
