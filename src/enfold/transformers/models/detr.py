"""DETR (Carion et al., 2020, "End-to-End Object Detection with Transformers"): objects as the answers to queries.

Shapes: B images, T = h · w pixels of the backbone's map, Q queries, H heads, D width, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from enfold.errors import EnfoldError
from enfold.nn.activations import activation
from enfold.nn.attention import Manner, attend, merge_heads, split_heads
from enfold.nn.mask import encoder_mask
from enfold.nn.matching import set_loss
from enfold.nn.outputs import ModelOutput
from enfold.transformers.configs.detr import DetrConfig
from enfold.transformers.heads import as_asked
from enfold.transformers.modeling import PreTrainedModel
from enfold.transformers.models.detr_backbone import Backbone, LearnedPositions
from enfold.transformers.models.detr_masks import AttentionMap, MaskHead
from enfold.transformers.outputs import BaseModelOutput, Layers

__all__ = ["DetrConfig", "DetrForObjectDetection", "DetrForSegmentation", "DetrModel", "DetrPreTrainedModel"]


@dataclass
class DetrModelOutput(ModelOutput):
    """The answers to the queries, last_hidden_state (B, Q, D); intermediate_hidden_states (layers, B, Q, D)."""

    last_hidden_state: Tensor | None = None
    decoder_hidden_states: Layers | None = None
    decoder_attentions: Layers | None = None
    cross_attentions: Layers | None = None
    encoder_last_hidden_state: Tensor | None = None
    encoder_hidden_states: Layers | None = None
    encoder_attentions: Layers | None = None
    intermediate_hidden_states: Tensor | None = None


@dataclass
class DetrObjectDetectionOutput(ModelOutput):
    """Logits (B, Q, C + 1), the last for "no object", and boxes (B, Q, 4): centre, width, height between 0 and 1."""

    loss: Tensor | None = None
    loss_dict: dict[str, Tensor] | None = None
    logits: Tensor | None = None
    pred_boxes: Tensor | None = None
    auxiliary_outputs: list[dict[str, Tensor]] | None = None
    last_hidden_state: Tensor | None = None
    decoder_hidden_states: Layers | None = None
    decoder_attentions: Layers | None = None
    cross_attentions: Layers | None = None
    encoder_last_hidden_state: Tensor | None = None
    encoder_hidden_states: Layers | None = None
    encoder_attentions: Layers | None = None


@dataclass
class DetrSegmentationOutput(ModelOutput):
    """As ``DetrObjectDetectionOutput``, with masks (B, Q, height / 4, width / 4) as logits."""

    loss: Tensor | None = None
    loss_dict: dict[str, Tensor] | None = None
    logits: Tensor | None = None
    pred_boxes: Tensor | None = None
    pred_masks: Tensor | None = None
    auxiliary_outputs: list[dict[str, Tensor]] | None = None
    last_hidden_state: Tensor | None = None
    decoder_hidden_states: Layers | None = None
    decoder_attentions: Layers | None = None
    cross_attentions: Layers | None = None
    encoder_last_hidden_state: Tensor | None = None
    encoder_hidden_states: Layers | None = None
    encoder_attentions: Layers | None = None


class Attention(nn.Module):
    """Attention in which positions are added to queries and keys, not to values."""

    def __init__(self, config: DetrConfig, heads: int) -> None:
        super().__init__()
        width = config.d_model
        if width % heads:
            raise EnfoldError(f"d_model {width} is no multiple of the {heads} attention heads")
        self.k_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.q_proj = nn.Linear(width, width)
        self.out_proj = nn.Linear(width, width)
        self.head_dim, self.dropout = width // heads, nn.Dropout(config.attention_dropout)

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, weights: Manner
    ) -> tuple[Tensor, Tensor | None]:
        """Return (B, N, D) for queries (B, N, D), keys and values (B, S, D) and, with ``weights``, (B, H, N, S)."""
        q, k, v = (
            split_heads(layer(x), self.head_dim)
            for layer, x in ((self.q_proj, query), (self.k_proj, key), (self.v_proj, value))
        )
        out, shares = attend(q, k, v, mask, dropout=self.dropout.p if self.training else 0.0, weights=weights)
        return self.out_proj(merge_heads(out)), shares


class Layer(nn.Module):
    """What layers of both sides share: attention to themselves and a feed-forward, each normalised after."""

    def __init__(self, config: DetrConfig, heads: int, wide: int) -> None:
        super().__init__()
        self.self_attn = Attention(config, heads)
        self.self_attn_layer_norm = nn.LayerNorm(config.d_model)
        self.fc1 = nn.Linear(config.d_model, wide)
        self.fc2 = nn.Linear(wide, config.d_model)
        self.final_layer_norm = nn.LayerNorm(config.d_model)
        self.act, self.dropout = activation(config.activation_function), nn.Dropout(config.dropout)
        self.activation_dropout = nn.Dropout(config.activation_dropout)

    def looked(self, x: Tensor, places: Tensor, mask: Tensor | None, weights: Manner) -> tuple[Tensor, Tensor | None]:
        """Return ``x`` after attention to itself, and the weights."""
        at = x + places
        out, shares = self.self_attn(at, at, x, mask, weights)
        return self.self_attn_layer_norm(x + self.dropout(out)), shares

    def fed(self, x: Tensor) -> Tensor:
        """Return ``x`` after the feed-forward."""
        inner = self.fc2(self.activation_dropout(self.act(self.fc1(x))))
        return self.final_layer_norm(x + self.dropout(inner))


class DetrEncoderLayer(Layer):
    """A layer of the encoder of pixels."""

    def __init__(self, config: DetrConfig) -> None:
        super().__init__(config, config.encoder_attention_heads, config.encoder_ffn_dim)

    def forward(self, x: Tensor, places: Tensor, mask: Tensor | None, weights: Manner) -> tuple[Tensor, Tensor | None]:
        """Return (B, T, D) and, with ``weights``, (B, H, T, T)."""
        x, shares = self.looked(x, places, mask, weights)
        return self.fed(x), shares


class DetrDecoderLayer(Layer):
    """A layer of the decoder of queries, which looks at the pixels too."""

    def __init__(self, config: DetrConfig) -> None:
        super().__init__(config, config.decoder_attention_heads, config.decoder_ffn_dim)
        self.encoder_attn = Attention(config, config.decoder_attention_heads)
        self.encoder_attn_layer_norm = nn.LayerNorm(config.d_model)

    def forward(
        self,
        x: Tensor,
        queries: Tensor,
        mask: Tensor | None,
        pixels: Tensor,
        places: Tensor,
        pixel_mask: Tensor | None,
        weights: Manner,
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Return (B, Q, D) and, with ``weights``, (B, H, Q, Q) and (B, H, Q, T)."""
        x, shares = self.looked(x, queries, mask, weights)
        out, crossed = self.encoder_attn(x + queries, pixels + places, pixels, pixel_mask, weights)
        x = self.encoder_attn_layer_norm(x + self.dropout(out))
        return self.fed(x), shares, crossed


class DetrPreTrainedModel(PreTrainedModel):
    """What all DETRs share."""

    config_class = DetrConfig
    base_model_prefix = "model"
    _supports_sdpa = True
    main_input_name = "pixel_values"
    _no_split_modules = ["ConvEncoder", "DetrEncoderLayer", "DetrDecoderLayer"]
    _keys_to_ignore_on_load_unexpected = [r"backbone\..*\.num_batches_tracked$"]

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        gain, std = self.config.init_xavier_std, self.config.init_std
        if isinstance(module, MaskHead):
            for part in module.modules():
                if isinstance(part, nn.Conv2d):
                    nn.init.kaiming_uniform_(part.weight, a=1)
                    assert part.bias is not None
                    nn.init.zeros_(part.bias)
        elif isinstance(module, AttentionMap):
            for part in (module.q_linear, module.k_linear):
                nn.init.xavier_uniform_(part.weight, gain=gain)
                nn.init.zeros_(part.bias)
        elif isinstance(module, LearnedPositions):
            nn.init.uniform_(module.row_embeddings.weight)
            nn.init.uniform_(module.column_embeddings.weight)
        elif isinstance(module, nn.Linear | nn.Conv2d):
            module.weight.normal_(0.0, std)
            if module.bias is not None:
                module.bias.zero_()
        elif isinstance(module, nn.Embedding):
            module.weight.normal_(0.0, std)


class DetrEncoder(DetrPreTrainedModel):
    """The layers that read the pixels."""

    def __init__(self, config: DetrConfig) -> None:
        super().__init__(config)
        self.dropout = nn.Dropout(config.dropout)
        self.layers = nn.ModuleList(DetrEncoderLayer(config) for _ in range(config.encoder_layers))
        self.post_init()

    def forward(
        self, x: Tensor, places: Tensor, mask: Tensor | None, attentions: bool | None, hidden: bool | None
    ) -> BaseModelOutput:
        """Return states (B, T, D)."""
        record = self.recording(attentions, hidden)
        x = self.encode(self.layers, self.dropout(x), record, places, mask)
        record.finish(x)
        return BaseModelOutput(x, record.hidden_states, record.attentions)


class DetrDecoder(DetrPreTrainedModel):
    """The layers that answer the queries."""

    def __init__(self, config: DetrConfig) -> None:
        super().__init__(config)
        self.layers = nn.ModuleList(DetrDecoderLayer(config) for _ in range(config.decoder_layers))
        self.layernorm = nn.LayerNorm(config.d_model)
        self.post_init()

    def forward(
        self, x: Tensor, attentions: bool | None, hidden: bool | None, *inputs: Any
    ) -> tuple[Tensor, Tensor | None, Any]:
        """Return states (B, Q, D), those after every layer where auxiliary losses are wanted, and the record."""
        record = self.recording(attentions, hidden)
        between: list[Tensor] = []
        for layer in self.layers:
            x = self.encode([layer], x, record, *inputs)
            if self.config.auxiliary_loss:  # published so: the next layer is given the normalised states
                x = self.layernorm(x)
                between.append(x)
        x = self.layernorm(x)
        record.finish(x)
        return x, torch.stack(between) if between else None, record


class DetrModel(DetrPreTrainedModel):
    """DETR without heads."""

    _input_embed_layer = "input_projection"

    def __init__(self, config: DetrConfig) -> None:
        super().__init__(config)
        self.backbone = Backbone(config)
        channels = self.backbone.conv_encoder.model.channels[-1]
        self.input_projection = nn.Conv2d(channels, config.d_model, kernel_size=1)
        self.query_position_embeddings = nn.Embedding(config.num_queries, config.d_model)
        self.encoder = DetrEncoder(config)
        self.decoder = DetrDecoder(config)
        self.post_init()

    def freeze_backbone(self) -> None:
        """Train no part of the backbone."""
        self.backbone.conv_encoder.model.requires_grad_(False)

    def unfreeze_backbone(self) -> None:
        """Train the whole backbone."""
        self.backbone.conv_encoder.model.requires_grad_(True)

    def read(
        self,
        pixel_values: Tensor,
        pixel_mask: Tensor | None = None,
        decoder_attention_mask: Tensor | None = None,
        encoder_outputs: Any = None,
        decoder_inputs_embeds: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        **_: Any,
    ) -> tuple[DetrModelOutput, list[Tensor], Tensor, Tensor]:
        """Return the output, the backbone's maps, the last one projected (B, D, h, w), and its mask (B, h, w)."""
        batch, _channels, height, width = pixel_values.shape
        if pixel_mask is None:
            pixel_mask = torch.ones((batch, height, width), device=pixel_values.device)
        maps, places = self.backbone(pixel_values, pixel_mask)
        x, mask = maps[-1]
        projected = self.input_projection(x)
        places = places.flatten(2).transpose(1, 2)  # (B, T, D)
        hidden_pixels = encoder_mask(mask.flatten(1))
        if encoder_outputs is None:
            encoder_outputs = self.encoder(
                projected.flatten(2).transpose(1, 2), places, hidden_pixels, output_attentions, output_hidden_states
            )
        elif not isinstance(encoder_outputs, ModelOutput):
            encoder_outputs = BaseModelOutput(*encoder_outputs)
        pixels = encoder_outputs.last_hidden_state
        queries = self.query_position_embeddings.weight.expand(batch, -1, -1)
        asked = torch.zeros_like(queries) if decoder_inputs_embeds is None else decoder_inputs_embeds
        answers, between, record = self.decoder(
            asked,
            output_attentions,
            output_hidden_states,
            queries,
            encoder_mask(decoder_attention_mask),
            pixels,
            places,
            hidden_pixels,
        )
        output = DetrModelOutput(
            answers,
            record.hidden_states,
            record.attentions,
            record.cross_attentions,
            pixels,
            encoder_outputs.hidden_states,
            encoder_outputs.attentions,
            between,
        )
        return output, [x for x, _ in maps], projected, mask

    def forward(
        self,
        pixel_values: Tensor,
        pixel_mask: Tensor | None = None,
        return_dict: bool | None = None,
        **extra: Any,
    ) -> Any:
        """Return the answers to the queries.

        Args:
            pixel_values: (B, channels, height, width).
            pixel_mask: (B, height, width), 1 for a real pixel, 0 for padding.
            return_dict: False returns a tuple.
            extra: ``decoder_attention_mask`` (B, Q), ``encoder_outputs``, ``decoder_inputs_embeds`` (B, Q, D),
                ``output_attentions``, ``output_hidden_states``.
        """
        return as_asked(self.read(pixel_values, pixel_mask, **extra)[0], return_dict, self.config.return_dict)


class PredictionHead(nn.Module):
    """Three linear layers with ReLU between them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(width, target) for target in (width, width, 4))

    def forward(self, x: Tensor) -> Tensor:
        """Return (…, 4) for (…, D)."""
        first, second, last = self.layers
        return last(torch.relu(second(torch.relu(first(x)))))


class DetrForObjectDetection(DetrPreTrainedModel):
    """DETR that finds objects and their boxes."""

    def __init__(self, config: DetrConfig) -> None:
        super().__init__(config)
        self.model = DetrModel(config)
        self.class_labels_classifier = nn.Linear(config.d_model, config.num_labels + 1)
        self.bbox_predictor = PredictionHead(config.d_model)
        self.post_init()

    def predict(self, states: Tensor) -> dict[str, Tensor]:
        """Return logits (…, C + 1) and boxes (…, 4) for states (…, D)."""
        return {"logits": self.class_labels_classifier(states), "pred_boxes": self.bbox_predictor(states).sigmoid()}

    def finished(
        self, kind: type[ModelOutput], states: DetrModelOutput, labels: Any, masks: dict[str, Tensor]
    ) -> ModelOutput:
        """Return the output with its losses for the states of the model without heads, and masks or none."""
        found = self.predict(states.last_hidden_state) | masks  # type: ignore[arg-type]
        said = {name: value for name, value in states.items() if name != "intermediate_hidden_states"}
        if labels is None:
            return kind(**found, **said)
        auxiliary = None
        if self.config.auxiliary_loss:
            every = self.predict(states.intermediate_hidden_states[:-1])  # type: ignore[index]
            auxiliary = [dict(zip(every, pair, strict=True)) for pair in zip(*every.values(), strict=True)]
        loss, parts = set_loss(self.config, labels, found, auxiliary or ())
        return kind(loss=loss, loss_dict=parts, auxiliary_outputs=auxiliary, **found, **said)

    def forward(
        self,
        pixel_values: Tensor,
        pixel_mask: Tensor | None = None,
        labels: Any = None,
        return_dict: bool | None = None,
        **extra: Any,
    ) -> Any:
        """Return a class and a box for every query.

        Args:
            pixel_values: (B, channels, height, width).
            pixel_mask: (B, height, width), 1 for a real pixel, 0 for padding.
            labels: one dictionary an image: ``class_labels`` (N,), ``boxes`` (N, 4) as centre, width and height between
                0 and 1.
            return_dict: False returns a tuple.
            extra: as ``DetrModel``.
        """
        states = self.model(pixel_values, pixel_mask, return_dict=True, **extra)
        output = self.finished(DetrObjectDetectionOutput, states, labels, {})
        return as_asked(output, return_dict, self.config.return_dict)


class DetrForSegmentation(DetrPreTrainedModel):
    """DETR that finds objects and their masks."""

    def __init__(self, config: DetrConfig) -> None:
        super().__init__(config)
        self.detr = DetrForObjectDetection(config)
        width, heads = config.d_model, config.encoder_attention_heads
        channels = self.detr.model.backbone.conv_encoder.model.channels
        if len(channels) != 4:
            raise EnfoldError(
                f"masks need four feature maps of the backbone, not {len(channels)}: "
                "backbone_config.out_features = ['stage1', 'stage2', 'stage3', 'stage4']"
            )
        self.mask_head = MaskHead(width + heads, channels[-2::-1], width)
        self.bbox_attention = AttentionMap(width, heads)
        self.post_init()

    def forward(
        self,
        pixel_values: Tensor,
        pixel_mask: Tensor | None = None,
        labels: Any = None,
        return_dict: bool | None = None,
        **extra: Any,
    ) -> Any:
        """Return a class, a box and a mask for every query.

        Args:
            pixel_values: (B, channels, height, width).
            pixel_mask: (B, height, width), 1 for a real pixel, 0 for padding.
            labels: one dictionary an image, as ``DetrForObjectDetection``, with ``masks`` (N, height, width).
            return_dict: False returns a tuple.
            extra: as ``DetrModel``.
        """
        states, maps, projected, mask = self.detr.model.read(pixel_values, pixel_mask, **extra)
        memory = states.encoder_last_hidden_state.transpose(1, 2).unflatten(2, mask.shape[1:])  # type: ignore[union-attr]
        looks = self.bbox_attention(states.last_hidden_state, memory, mask)
        masks = self.mask_head(projected, looks, maps[-2::-1])
        output = self.detr.finished(DetrSegmentationOutput, states, labels, {"pred_masks": masks})
        return as_asked(output, return_dict, self.config.return_dict)
