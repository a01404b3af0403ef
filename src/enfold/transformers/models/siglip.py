"""SigLIP (Zhai et al., 2023, "Sigmoid Loss for Language Image Pre-Training"): CLIP with a loss of its own a pair.

Shapes: B texts, I images, T tokens or patches, D width.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from enfold.transformers.configs.siglip import SiglipConfig, SiglipTextConfig, SiglipVisionConfig
from enfold.transformers.models.two_towers import (
    ImageClassificationTower,
    TextTower,
    TowerAttention,
    TowerMLP,
    TowerPreTrainedModel,
    TwoTowers,
    VisionEmbeddings,
    VisionTower,
)

__all__ = [
    "SiglipConfig",
    "SiglipForImageClassification",
    "SiglipModel",
    "SiglipPreTrainedModel",
    "SiglipTextConfig",
    "SiglipTextModel",
    "SiglipVisionConfig",
    "SiglipVisionModel",
]


class AttentionPooling(nn.Module):
    """What stands for an image: a learned question that every patch answers."""

    def __init__(self, config: SiglipVisionConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.probe = nn.Parameter(torch.zeros(1, 1, width))
        self.attention = nn.MultiheadAttention(width, config.num_attention_heads, batch_first=True)
        self.layernorm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.mlp = TowerMLP(config)

    def forward(self, x: Tensor) -> Tensor:
        """Return (I, D) for (I, T, D)."""
        pooled = self.attention(self.probe.expand(x.shape[0], -1, -1), x, x, need_weights=False)[0]
        return (pooled + self.mlp(self.layernorm(pooled)))[:, 0]


class SiglipPreTrainedModel(TowerPreTrainedModel):
    """What all SigLIP models share."""

    config_class: ClassVar[Any] = SiglipConfig
    base_model_prefix = "siglip"

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, VisionEmbeddings):
            module.position_embedding.weight.normal_(0.0, module.position_embedding.embedding_dim**-0.5)
        elif isinstance(module, nn.Embedding):
            module.weight.normal_(0.0, module.embedding_dim**-0.5)
        elif isinstance(module, TowerAttention):
            for layer in (module.q_proj, module.k_proj, module.v_proj, module.out_proj):
                nn.init.xavier_uniform_(layer.weight)
                layer.bias.zero_()
        elif isinstance(module, TowerMLP):
            for layer in (module.fc1, module.fc2):
                nn.init.xavier_uniform_(layer.weight)
                layer.bias.normal_(0.0, 1e-6)
        elif isinstance(module, AttentionPooling):
            nn.init.xavier_uniform_(module.probe)
            nn.init.xavier_uniform_(module.attention.in_proj_weight)
            module.attention.in_proj_bias.zero_()
        elif isinstance(module, SiglipModel):
            module.logit_scale.zero_()
            module.logit_bias.zero_()
        elif isinstance(module, SiglipForImageClassification) and isinstance(module.classifier, nn.Linear):
            std = module.classifier.in_features**-0.5 * self.config.initializer_factor
            module.classifier.weight.normal_(0.0, std)
        elif isinstance(module, nn.Linear | nn.Conv2d):
            fan = module.weight[0].numel()
            nn.init.trunc_normal_(module.weight, std=fan**-0.5 / 0.87962566103423978, a=-2.0, b=2.0)
            if module.bias is not None:
                module.bias.zero_()
        else:
            super()._init_weights(module)


class SiglipTextTransformer(TextTower, SiglipPreTrainedModel):
    """The encoder of texts, which looks both ways and is read at its last token, padding or not."""

    config_class = SiglipTextConfig
    causal = False

    def __init__(self, config: SiglipTextConfig) -> None:
        super().__init__(config)
        self.head = nn.Linear(config.hidden_size, config.projection_size)
        self.post_init()

    def pool(self, x: Tensor, input_ids: Tensor) -> Tensor:
        """Return (B, projection_size)."""
        return self.head(x[:, -1])


class SiglipVisionTransformer(VisionTower, SiglipPreTrainedModel):
    """The encoder of images, without a class token."""

    config_class = SiglipVisionConfig
    class_token = False

    def finish_init(self, config: SiglipVisionConfig) -> None:
        """Make the question, where the configuration has it."""
        self.head = AttentionPooling(config) if config.vision_use_head else None

    def read(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the normalised states and what stands for each image."""
        x = self.post_layernorm(x)
        return x, None if self.head is None else self.head(x)


class SiglipTextModel(SiglipPreTrainedModel):
    """SigLIP's encoder of texts."""

    config_class = SiglipTextConfig
    base_model_prefix = "text_model"
    _input_embed_layer = "text_model"

    def __init__(self, config: SiglipTextConfig) -> None:
        super().__init__(config)
        self.text_model = SiglipTextTransformer(config)
        self.post_init()

    def forward(self, input_ids: Tensor | None = None, attention_mask: Tensor | None = None, **options: Any) -> Any:
        """Return the states of texts (B, T, D) and what stands for them; arguments as ``TextTower``'s."""
        return self.text_model(input_ids, attention_mask, **options)


class SiglipVisionModel(SiglipPreTrainedModel):
    """SigLIP's encoder of images."""

    config_class = SiglipVisionConfig
    base_model_prefix = "vision_model"
    main_input_name = "pixel_values"
    _input_embed_layer = "vision_model"

    def __init__(self, config: SiglipVisionConfig) -> None:
        super().__init__(config)
        self.vision_model = SiglipVisionTransformer(config)
        self.post_init()

    def forward(self, pixel_values: Tensor | None = None, **options: Any) -> Any:
        """Return the states of images (I, T, D) and what stands for them (I, D)."""
        return self.vision_model(pixel_values, **options)


class SiglipModel(TwoTowers, SiglipPreTrainedModel):
    """SigLIP: whether texts and images fit, each pair for itself."""

    text_class, vision_class = SiglipTextTransformer, SiglipVisionTransformer

    def __init__(self, config: SiglipConfig) -> None:
        super().__init__(config)
        self.logit_scale = nn.Parameter(torch.zeros(1))
        self.logit_bias = nn.Parameter(torch.zeros(1))
        self.post_init()

    def compare(self, texts: Tensor, images: Tensor) -> Tensor:
        """Return (B, I)."""
        return (texts @ images.t()) * self.logit_scale.exp() + self.logit_bias

    def contrast(self, logits: Tensor) -> Tensor:
        """Return the loss where the n-th text fits the n-th image and no other."""
        signs = 2 * torch.eye(logits.shape[0], device=logits.device) - 1
        return -F.logsigmoid(signs * logits).sum(-1).mean()


class SiglipForImageClassification(ImageClassificationTower, SiglipPreTrainedModel):
    """SigLIP's encoder of images with one prediction an image."""

    vision_class = SiglipVisionTransformer
