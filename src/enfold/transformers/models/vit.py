"""ViT (Dosovitskiy et al., 2021, "An Image is Worth 16x16 Words"): an encoder of texts on the patches of an image.

Shapes: B images, T tokens (a class token and the patches), H heads, D width, C classes.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from enfold.errors import EnfoldError
from enfold.nn.activations import activation
from enfold.nn.attention import Manner, attend, merge_heads, split_heads
from enfold.nn.patches import Patches, pair, resize_positions
from enfold.transformers.configs.vit import ViTConfig
from enfold.transformers.heads import ImageClassificationHead, as_asked
from enfold.transformers.modeling import PreTrainedModel
from enfold.transformers.outputs import BaseModelOutputWithPooling, MaskedImageModelingOutput

__all__ = ["ViTConfig", "ViTForImageClassification", "ViTForMaskedImageModeling", "ViTModel", "ViTPreTrainedModel"]


class Embeddings(nn.Module):
    """Patches with their positions, after a class token."""

    special = 1  # tokens before the patches

    def __init__(self, config: Any, use_mask_token: bool = False) -> None:
        super().__init__()
        width = config.hidden_size
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.mask_token = nn.Parameter(torch.zeros(1, 1, width)) if use_mask_token else None
        self.patch_embeddings = Patches(config.num_channels, width, config.image_size, config.patch_size)
        self.position_embeddings = nn.Parameter(torch.zeros(1, self.patch_embeddings.num_patches + self.special, width))
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def first(self) -> list[Tensor]:
        """Return the tokens before the patches, each (1, 1, D)."""
        return [self.cls_token]

    def forward(self, pixels: Tensor, masked: Tensor | None = None, interpolate: bool = False) -> Tensor:
        """Return (B, T, D).

        Args:
            pixels: (B, channels, height, width).
            masked: (B, patches), True where a patch is hidden.
            interpolate: stretch the positions to images of another size.
        """
        size, patch = self.patch_embeddings.image_size, self.patch_embeddings.patch_size
        height, width = pixels.shape[-2:]
        positions: Tensor = self.position_embeddings
        x = self.patch_embeddings(pixels)
        if masked is not None:
            assert self.mask_token is not None, "this model was built without use_mask_token"
            x = torch.where(masked[..., None].bool(), self.mask_token.to(x.dtype), x)
        x = torch.cat([token.expand(x.shape[0], -1, -1) for token in self.first()] + [x], dim=1)
        if not interpolate and (height, width) != size:
            raise ValueError(
                f"images of {size[0]} by {size[1]} pixels were expected, not of {height} by {width}; "
                "interpolate_pos_encoding=True takes other sizes"
            )
        if interpolate and (x.shape[1] != positions.shape[1] or height != width):
            positions = resize_positions(positions, (height // patch[0], width // patch[1]), self.special)
        return self.dropout(x + positions)


class SelfAttention(nn.Module):
    """The heads."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        width = config.hidden_size
        if width % config.num_attention_heads:
            raise EnfoldError(f"hidden_size {width} is no multiple of num_attention_heads {config.num_attention_heads}")
        self.query = nn.Linear(width, width, bias=config.qkv_bias)
        self.key = nn.Linear(width, width, bias=config.qkv_bias)
        self.value = nn.Linear(width, width, bias=config.qkv_bias)
        self.head_dim = width // config.num_attention_heads
        self.dropout = nn.Dropout(config.attention_probs_dropout_prob)

    def forward(self, x: Tensor, weights: Manner, mask: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Return (B, T, D) and, with ``weights``, (B, H, T, T)."""
        q, k, v = (split_heads(layer(x), self.head_dim) for layer in (self.query, self.key, self.value))
        out, shares = attend(q, k, v, mask, dropout=self.dropout.p if self.training else 0.0, weights=weights)
        return merge_heads(out), shares


class Projection(nn.Module):
    """A linear layer and dropout."""

    def __init__(self, source: int, width: int, dropout: float) -> None:
        super().__init__()
        self.dense = nn.Linear(source, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, T, width) for (B, T, source)."""
        return self.dropout(self.dense(x))


class Attention(nn.Module):
    """Attention with its output projection."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.attention = SelfAttention(config)
        self.output = Projection(config.hidden_size, config.hidden_size, config.hidden_dropout_prob)

    def forward(self, x: Tensor, weights: Manner, mask: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Return (B, T, D) and, with ``weights``, (B, H, T, T)."""
        out, shares = self.attention(x, weights, mask)
        return self.output(out), shares


class Intermediate(nn.Module):
    """The wide half of the feed-forward."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.intermediate_size)
        self.act = activation(config.hidden_act)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, T, intermediate) for (B, T, D)."""
        return self.act(self.dense(x))


class ViTLayer(nn.Module):
    """One layer: attention and feed-forward, each normalised before."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.attention = Attention(config)
        self.intermediate = Intermediate(config)
        self.output = Projection(config.intermediate_size, config.hidden_size, config.hidden_dropout_prob)
        self.layernorm_before = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.layernorm_after = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, x: Tensor, weights: Manner) -> tuple[Tensor, Tensor | None]:
        """Return (B, T, D) and, with ``weights``, the attention weights."""
        attended, shares = self.attention(self.layernorm_before(x), weights)
        x = x + attended
        return x + self.output(self.intermediate(self.layernorm_after(x))), shares


class Encoder(nn.Module):
    """The layers."""

    def __init__(self, config: Any, layer: type[nn.Module] = ViTLayer) -> None:
        super().__init__()
        self.layer = nn.ModuleList(layer(config) for _ in range(config.num_hidden_layers))


class Pooler(nn.Module):
    """A layer on the class token."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.pooler_output_size)
        self.activation = activation(config.pooler_act)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, pooler width) for (B, T, D)."""
        return self.activation(self.dense(x[:, 0]))


class ViTPreTrainedModel(PreTrainedModel):
    """What all ViT models share."""

    config_class: ClassVar[Any] = ViTConfig
    base_model_prefix = "vit"
    _supports_sdpa = True
    main_input_name = "pixel_values"
    embeddings_class: ClassVar[type[Embeddings]] = Embeddings
    _no_split_modules = ["Embeddings", "ViTLayer"]

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        std = self.config.initializer_range
        if isinstance(module, nn.Linear | nn.Conv2d):
            nn.init.trunc_normal_(module.weight, std=std)
            if module.bias is not None:
                module.bias.zero_()
        elif isinstance(module, Embeddings):
            nn.init.trunc_normal_(module.position_embeddings, std=std)
            nn.init.trunc_normal_(module.cls_token, std=std)

    def get_input_embeddings(self) -> nn.Module:
        """Return the embedding of patches."""
        base: Any = self.base_model
        return base.embeddings.patch_embeddings

    def set_input_embeddings(self, value: Any) -> None:
        """Replace the embedding of patches."""
        base: Any = self.base_model
        base.embeddings.patch_embeddings = value


class ViTModel(ViTPreTrainedModel):
    """ViT without a head.

    Args:
        config: what to build.
        add_pooling_layer: give the model a layer on its class token.
        use_mask_token: give it a token for hidden patches.
    """

    def __init__(self, config: Any, add_pooling_layer: bool = True, use_mask_token: bool = False) -> None:
        super().__init__(config)
        self.embeddings = self.embeddings_class(config, use_mask_token)
        self.encoder = Encoder(config)
        self.layernorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.pooler = Pooler(config) if add_pooling_layer else None
        self.post_init()

    def forward(
        self,
        pixel_values: Tensor,
        bool_masked_pos: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        interpolate_pos_encoding: bool | None = None,
        return_dict: bool | None = None,
        **_: Any,
    ) -> Any:
        """Return the states of the class token and of every patch.

        Args:
            pixel_values: (B, channels, height, width).
            bool_masked_pos: (B, patches), True where a patch is hidden.
            output_attentions: return the attention weights.
            output_hidden_states: return the states between the layers.
            interpolate_pos_encoding: take images of another size, with stretched positions.
            return_dict: False returns a tuple.
        """
        record = self.recording(output_attentions, output_hidden_states)
        x = self.embeddings(pixel_values, bool_masked_pos, bool(interpolate_pos_encoding))
        x = self.encode(self.encoder.layer, x, record)
        record.finish(x)
        x = self.layernorm(x)
        pooled = None if self.pooler is None else self.pooler(x)
        output = BaseModelOutputWithPooling(x, pooled, record.hidden_states, record.attentions)
        return as_asked(output, return_dict, self.config.return_dict)


class ViTForMaskedImageModeling(ViTPreTrainedModel):
    """ViT that fills masked patches (Xie et al., 2022, "SimMIM")."""

    model_class: ClassVar[Any] = ViTModel

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        setattr(self, self.base_model_prefix, self.model_class(config, add_pooling_layer=False, use_mask_token=True))
        self.decoder = nn.Sequential(
            nn.Conv2d(config.hidden_size, config.encoder_stride**2 * config.num_channels, kernel_size=1),
            nn.PixelShuffle(config.encoder_stride),
        )
        self.post_init()

    def forward(
        self,
        pixel_values: Tensor,
        bool_masked_pos: Tensor | None = None,
        return_dict: bool | None = None,
        **extra: Any,
    ) -> Any:
        """Return the images filled in and, where patches are hidden, how far their pixels are off.

        Args:
            pixel_values: (B, channels, height, width).
            bool_masked_pos: (B, patches), True where a patch is hidden.
            return_dict: False returns a tuple.
            extra: as the model without a head.
        """
        config, patch = self.config, pair(self.config.patch_size)
        if bool_masked_pos is not None and patch != pair(config.encoder_stride):
            raise ValueError(
                f"hidden patches of {config.patch_size} pixels are filled in only where encoder_stride, here "
                f"{config.encoder_stride}, is the same number"
            )
        states = self.base_model(pixel_values, bool_masked_pos, return_dict=True, **extra)
        x = states.last_hidden_state[:, self.embeddings_class.special :]
        height, width = (side // length for side, length in zip(pixel_values.shape[-2:], patch, strict=True))
        filled = self.decoder(x.transpose(1, 2).reshape(x.shape[0], -1, height, width))
        loss = None
        if bool_masked_pos is not None:
            grid = bool_masked_pos.reshape(-1, 1, height, width)
            hidden = grid.repeat_interleave(patch[0], 2).repeat_interleave(patch[1], 3)  # (B, 1, height, width)
            off = F.l1_loss(pixel_values, filled, reduction="none")
            loss = (off * hidden).sum() / (hidden.sum() + 1e-5) / config.num_channels
        output = MaskedImageModelingOutput(loss, filled, states.hidden_states, states.attentions)
        return as_asked(output, return_dict, config.return_dict)


class ViTForImageClassification(ImageClassificationHead, ViTPreTrainedModel):
    """ViT with one prediction an image, read at the class token."""

    model_class: ClassVar[Any] = ViTModel

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        setattr(self, self.base_model_prefix, self.model_class(config, add_pooling_layer=False))
        self.classifier = nn.Linear(config.hidden_size, config.num_labels) if config.num_labels else nn.Identity()
        self.post_init()

    def read(self, output: Any) -> Tensor:
        """Return logits (B, C)."""
        return self.classifier(output.last_hidden_state[:, 0])
