"""DINOv2 (Oquab et al., 2023, "Learning Robust Visual Features without Supervision"): ViT with scaled branches, for
images of any size.

Shapes: B images, T tokens (a class token and the patches), H heads, D width, C classes.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from enfold.nn.activations import activation
from enfold.nn.attention import Manner
from enfold.nn.patches import DropPath
from enfold.transformers.configs.dinov2 import Dinov2Config
from enfold.transformers.heads import ImageClassificationHead, as_asked
from enfold.transformers.models.backbone import BackboneHead
from enfold.transformers.models.vit import Attention, Embeddings, Encoder, ViTPreTrainedModel
from enfold.transformers.outputs import BaseModelOutputWithPooling

__all__ = [
    "Dinov2Backbone",
    "Dinov2Config",
    "Dinov2ForImageClassification",
    "Dinov2Model",
    "Dinov2PreTrainedModel",
]


class Dinov2Embeddings(Embeddings):
    """Patches with positions that are always stretched to the image."""

    def __init__(self, config: Dinov2Config) -> None:
        super().__init__(config)
        self.mask_token = nn.Parameter(torch.zeros(1, config.hidden_size)) if config.use_mask_token else None

    def forward(self, pixels: Tensor, masked: Tensor | None = None, interpolate: bool = True) -> Tensor:
        """Return (B, T, D) for images of any size."""
        return super().forward(pixels, masked, interpolate=True)


class LayerScale(nn.Module):
    """A factor for every column."""

    def __init__(self, config: Dinov2Config) -> None:
        super().__init__()
        self.lambda1 = nn.Parameter(config.layerscale_value * torch.ones(config.hidden_size))

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x`` (B, T, D) scaled."""
        return x * self.lambda1


class MLP(nn.Module):
    """The feed-forward."""

    def __init__(self, config: Dinov2Config) -> None:
        super().__init__()
        wide = int(config.hidden_size * config.mlp_ratio)
        self.fc1 = nn.Linear(config.hidden_size, wide)
        self.fc2 = nn.Linear(wide, config.hidden_size)
        self.act = activation(config.hidden_act)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, T, D) for (B, T, D)."""
        return self.fc2(self.act(self.fc1(x)))


class GatedMLP(nn.Module):
    """The feed-forward of the largest model: gated, two thirds as wide, a multiple of 8."""

    def __init__(self, config: Dinov2Config) -> None:
        super().__init__()
        wide = (int(int(config.hidden_size * config.mlp_ratio) * 2 / 3) + 7) // 8 * 8
        self.weights_in = nn.Linear(config.hidden_size, 2 * wide)
        self.weights_out = nn.Linear(wide, config.hidden_size)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, T, D) for (B, T, D)."""
        gate, value = self.weights_in(x).chunk(2, dim=-1)
        return self.weights_out(F.silu(gate) * value)


class Dinov2Layer(nn.Module):
    """One layer: attention and feed-forward, each normalised before and scaled after."""

    def __init__(self, config: Dinov2Config) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.attention = Attention(config)
        self.layer_scale1 = LayerScale(config)
        self.drop_path = DropPath(config.drop_path_rate)
        self.norm2 = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.mlp = GatedMLP(config) if config.use_swiglu_ffn else MLP(config)
        self.layer_scale2 = LayerScale(config)

    def forward(self, x: Tensor, weights: Manner) -> tuple[Tensor, Tensor | None]:
        """Return (B, T, D) and, with ``weights``, the attention weights."""
        attended, shares = self.attention(self.norm1(x), weights)
        x = x + self.drop_path(self.layer_scale1(attended))
        return x + self.drop_path(self.layer_scale2(self.mlp(self.norm2(x)))), shares


class Dinov2PreTrainedModel(ViTPreTrainedModel):
    """What all DINOv2 models share."""

    config_class = Dinov2Config
    base_model_prefix = "dinov2"
    _no_split_modules = ["Dinov2Layer"]

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, LayerScale):
            module.lambda1.fill_(self.config.layerscale_value)


class Dinov2Model(Dinov2PreTrainedModel):
    """DINOv2 without a head."""

    def __init__(self, config: Dinov2Config) -> None:
        super().__init__(config)
        self.embeddings = Dinov2Embeddings(config)
        self.encoder = Encoder(config, Dinov2Layer)
        self.layernorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.post_init()

    def forward(
        self,
        pixel_values: Tensor,
        bool_masked_pos: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        **_: Any,
    ) -> Any:
        """Return the states of the class token and of every patch.

        Args:
            pixel_values: (B, channels, height, width), of any size.
            bool_masked_pos: (B, patches), True where a patch is hidden.
            output_attentions: return the attention weights.
            output_hidden_states: return the states between the layers.
            return_dict: False returns a tuple.
        """
        record = self.recording(output_attentions, output_hidden_states)
        x = self.encode(self.encoder.layer, self.embeddings(pixel_values, bool_masked_pos), record)
        record.finish(x)
        x = self.layernorm(x)
        output = BaseModelOutputWithPooling(x, x[:, 0], record.hidden_states, record.attentions)
        return as_asked(output, return_dict, self.config.return_dict)


class Dinov2ForImageClassification(ImageClassificationHead, Dinov2PreTrainedModel):
    """DINOv2 with one prediction an image, read at the class token and the mean of the patches."""

    def __init__(self, config: Dinov2Config) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        self.dinov2 = Dinov2Model(config)
        self.classifier = nn.Linear(2 * config.hidden_size, config.num_labels) if config.num_labels else nn.Identity()
        self.post_init()

    def read(self, output: Any) -> Tensor:
        """Return logits (B, C)."""
        x = output.last_hidden_state
        return self.classifier(torch.cat((x[:, 0], x[:, 1:].mean(1)), dim=1))


class Dinov2Backbone(BackboneHead, Dinov2PreTrainedModel):
    """DINOv2's layers as feature maps."""

    def __init__(self, config: Dinov2Config) -> None:
        super().__init__(config)
        self.num_features = [config.hidden_size] * (config.num_hidden_layers + 1)
        self.embeddings = Dinov2Embeddings(config)
        self.encoder = Encoder(config, Dinov2Layer)
        self.layernorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.post_init()

    def forward(
        self,
        pixel_values: Tensor,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
        return_dict: bool | None = None,
        **_: Any,
    ) -> Any:
        """Return a map (B, D, height, width) for every stage asked for, one pixel a patch.

        Args:
            pixel_values: (B, channels, height, width), of any size.
            output_hidden_states: return the states between the layers.
            output_attentions: return the attention weights.
            return_dict: False returns a tuple.
        """
        patch = self.embeddings.patch_embeddings.patch_size
        self._grid = (pixel_values.shape[-2] // patch[0], pixel_values.shape[-1] // patch[1])
        record = self.recording(output_attentions, True)
        record.finish(self.encode(self.encoder.layer, self.embeddings(pixel_values), record))
        return self.maps(record.hidden_states or (), record.attentions, output_hidden_states, return_dict)

    def as_map(self, states: Tensor) -> Tensor:
        """Return states (B, T, D) normalised and, without the class token, as a map, as the configuration says."""
        x = self.layernorm(states) if self.config.apply_layernorm else states
        if not self.config.reshape_hidden_states:
            return x
        return x[:, 1:].transpose(1, 2).unflatten(2, self._grid).contiguous()
