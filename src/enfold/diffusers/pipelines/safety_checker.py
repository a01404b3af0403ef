"""The model that tells whether a picture shows what Stable Diffusion's licence does not want shown."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from enfold.log import get_logger
from enfold.transformers import CLIPConfig, CLIPVisionModel
from enfold.transformers.models.clip import CLIPPreTrainedModel

__all__ = ["StableDiffusionSafetyChecker"]

logger = get_logger(__name__)


class StableDiffusionSafetyChecker(CLIPPreTrainedModel):
    """Compares a picture's embedding with those of 17 concepts, more strictly where one of 3 others is near.

    Args:
        config: of the CLIP model whose vision tower it has.
    """

    config_class = CLIPConfig
    main_input_name = "clip_input"
    # Version 5 of the ecosystem's library writes the tower without its inner name.
    _old_keys: ClassVar[dict[str, str]] = {r"^vision_model\.(?!vision_model\.)": "vision_model.vision_model."}

    def __init__(self, config: CLIPConfig) -> None:
        super().__init__(config)
        width = config.projection_dim
        self.vision_model = CLIPVisionModel(config.vision_config)
        self.visual_projection = nn.Linear(config.vision_config.hidden_size, width, bias=False)
        self.concept_embeds = nn.Parameter(torch.ones(17, width), requires_grad=False)
        self.special_care_embeds = nn.Parameter(torch.ones(3, width), requires_grad=False)
        self.concept_embeds_weights = nn.Parameter(torch.ones(17), requires_grad=False)
        self.special_care_embeds_weights = nn.Parameter(torch.ones(3), requires_grad=False)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Linear | nn.Conv2d | nn.Embedding):
            nn.init.normal_(module.weight, std=0.02)
        bias = getattr(module, "bias", None)
        if isinstance(bias, Tensor):
            nn.init.zeros_(bias)

    @torch.no_grad()
    def forward(self, clip_input: Tensor, images: Any) -> tuple[Any, list[bool]]:
        """Return the pictures, black where something was found, and for each whether something was.

        Args:
            clip_input: the pictures as CLIP takes them, (B, 3, H, W).
            images: the pictures as they are returned, (B, …).
        """
        embeds = F.normalize(self.visual_projection(self.vision_model(clip_input)[1]))
        care = embeds @ F.normalize(self.special_care_embeds).T - self.special_care_embeds_weights
        stricter = 0.01 * (care.float().round(decimals=3) > 0).any(dim=1, keepdim=True)
        scores = embeds @ F.normalize(self.concept_embeds).T - self.concept_embeds_weights + stricter
        found = (scores.float().round(decimals=3) > 0).any(dim=1).tolist()
        for index, bad in enumerate(found):
            if bad:
                images[index] = images[index] * 0
        if any(found):
            logger.warning(
                "%d of %d pictures are black: the safety checker found in them what it looks for. Another prompt or "
                "seed gives others; safety_checker=None does without it",
                sum(found),
                len(found),
            )
        return images, found
