"""SAM (Kirillov et al., 2023, "Segment Anything"): masks for points, boxes and masks on an image.

Shapes: B images, P prompts an image, N points a prompt, T = h · w patches, H heads, D width.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from enfold.nn.activations import activation
from enfold.nn.attention import attend, merge_heads, split_heads
from enfold.nn.patches import Patches
from enfold.transformers.configs.sam import SamConfig, SamMaskDecoderConfig, SamPromptEncoderConfig, SamVisionConfig
from enfold.transformers.heads import as_asked
from enfold.transformers.modeling import PreTrainedModel
from enfold.transformers.models.sam_vision import MLP, MapNorm, VisionLayer, VisionNeck
from enfold.transformers.outputs import Layers, ModelOutput

__all__ = [
    "SamConfig",
    "SamMaskDecoderConfig",
    "SamModel",
    "SamPreTrainedModel",
    "SamPromptEncoderConfig",
    "SamVisionConfig",
    "SamVisionModel",
]


@dataclass
class SamVisionEncoderOutput(ModelOutput):
    """The map of an image (B, D, h, w)."""

    image_embeds: Tensor | None = None
    last_hidden_state: Tensor | None = None
    hidden_states: Layers | None = None
    attentions: Layers | None = None


@dataclass
class SamImageSegmentationOutput(ModelOutput):
    """Masks (B, P, masks, 4h, 4w) as logits, and how good the model thinks each is (B, P, masks)."""

    iou_scores: Tensor | None = None
    pred_masks: Tensor | None = None
    vision_hidden_states: Layers | None = None
    vision_attentions: Layers | None = None
    mask_decoder_attentions: Layers | None = None


class SamPreTrainedModel(PreTrainedModel):
    """What all parts of SAM share."""

    config_class: ClassVar[Any] = SamConfig
    base_model_prefix = "sam"
    _supports_sdpa = True
    main_input_name = "pixel_values"
    _no_split_modules = ["VisionLayer"]

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            module.weight.normal_(0.0, self.config.initializer_range)
            if module.bias is not None:
                module.bias.zero_()
        elif isinstance(module, PositionalEmbedding):
            module.positional_embedding.normal_(0.0, module.scale)


class SamVisionEncoder(SamPreTrainedModel):
    """The reader of images."""

    config_class = SamVisionConfig
    _input_embed_layer = "patch_embed"

    def __init__(self, config: SamVisionConfig) -> None:
        super().__init__(config)
        side = config.image_size // config.patch_size
        self.patch_embed = Patches(config.num_channels, config.hidden_size, config.image_size, config.patch_size)
        self.pos_embed = nn.Parameter(torch.zeros(1, side, side, config.hidden_size)) if config.use_abs_pos else None
        self.layers = nn.ModuleList(
            VisionLayer(config, 0 if place in config.global_attn_indexes else config.window_size)
            for place in range(config.num_hidden_layers)
        )
        self.neck = VisionNeck(config)
        self.post_init()

    def forward(
        self,
        pixel_values: Tensor,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        **_: Any,
    ) -> Any:
        """Return the map of images (B, channels, size, size) of the configuration's size."""
        size = self.patch_embed.image_size
        if pixel_values.shape[-2:] != size:
            raise ValueError(f"images of {size[0]} by {size[1]} pixels were expected, not of "
                             f"{pixel_values.shape[-2]} by {pixel_values.shape[-1]}")  # fmt: skip
        record = self.recording(output_attentions, output_hidden_states)
        side = self.config.image_size // self.config.patch_size
        x = self.patch_embed(pixel_values).unflatten(1, (side, side))
        x = x if self.pos_embed is None else x + self.pos_embed
        x = self.encode(self.layers, x, record)
        record.finish(x)
        output = SamVisionEncoderOutput(None, self.neck(x), record.hidden_states, record.attentions)
        return as_asked(output, return_dict, self.config.return_dict)


class SamVisionModel(SamPreTrainedModel):
    """SAM's reader of images alone."""

    config_class = SamVisionConfig
    _input_embed_layer = "vision_encoder.patch_embed"

    def __init__(self, config: SamVisionConfig) -> None:
        super().__init__(config)
        self.vision_encoder = SamVisionEncoder(config)
        self.post_init()

    def forward(self, pixel_values: Tensor, **extra: Any) -> Any:
        """Return the map of images; arguments as the whole model."""
        return self.vision_encoder(pixel_values, **extra)


# --- the prompts


class PositionalEmbedding(nn.Module):
    """Places as waves of random frequencies, drawn once and never trained."""

    def __init__(self, config: SamVisionConfig) -> None:
        super().__init__()
        self.scale = config.scale
        self.positional_embedding = nn.Parameter(torch.zeros(2, config.num_pos_feats), requires_grad=False)

    def forward(self, places: Tensor) -> Tensor:
        """Return (…, 2 · features) for (x, y) between 0 and 1, (…, 2)."""
        waves = 2 * math.pi * ((2 * places - 1).to(self.positional_embedding.dtype) @ self.positional_embedding)
        return torch.cat((waves.sin(), waves.cos()), dim=-1)


class MaskEmbedding(nn.Module):
    """Makes a mask four times smaller, and as wide as the image's map."""

    def __init__(self, config: SamPromptEncoderConfig) -> None:
        super().__init__()
        wide = config.mask_input_channels
        self.act = activation(config.hidden_act)
        self.conv1 = nn.Conv2d(1, wide // 4, kernel_size=2, stride=2)
        self.conv2 = nn.Conv2d(wide // 4, wide, kernel_size=2, stride=2)
        self.conv3 = nn.Conv2d(wide, config.hidden_size, kernel_size=1)
        self.layer_norm1 = MapNorm(wide // 4, config.layer_norm_eps)
        self.layer_norm2 = MapNorm(wide, config.layer_norm_eps)

    def forward(self, masks: Tensor) -> Tensor:
        """Return (B, D, h, w) for (B, 1, 4h, 4w)."""
        x = self.act(self.layer_norm1(self.conv1(masks)))
        return self.conv3(self.act(self.layer_norm2(self.conv2(x))))


class PromptEncoder(nn.Module):
    """Points and boxes as tokens, masks as a map."""

    def __init__(self, whole: SamConfig) -> None:
        super().__init__()
        config = whole.prompt_encoder_config
        self.shared_embedding = PositionalEmbedding(whole.vision_config)
        self.mask_embed = MaskEmbedding(config)
        self.no_mask_embed = nn.Embedding(1, config.hidden_size)
        self.point_embed = nn.ModuleList(
            nn.Embedding(1, config.hidden_size) for _ in range(config.num_point_embeddings)
        )
        self.not_a_point_embed = nn.Embedding(1, config.hidden_size)
        self.side, self.pixels = config.image_embedding_size, config.image_size

    def points(self, points: Tensor, labels: Tensor, alone: bool) -> Tensor:
        """Return (B, P, N, D); prompts without a box end with a token that says there is none."""
        points = points + 0.5  # the centre of a pixel
        if alone:
            points, labels = F.pad(points, (0, 0, 0, 1)), F.pad(labels, (0, 1), value=-1)
        kind = labels[..., None]
        x = self.shared_embedding(points / self.pixels)
        x = torch.where(kind == -1, self.not_a_point_embed.weight, x)
        x = torch.where(kind == -10, torch.zeros_like(x), x)
        for value in (0, 1):  # background, object
            x = torch.where(kind == value, x + self.kinds()[value], x)
        return x

    def kinds(self) -> list[Tensor]:
        """Return what marks a point of the background, one of the object, and two corners of a box, each (1, D)."""
        return [part.get_parameter("weight") for part in self.point_embed]

    def boxes(self, boxes: Tensor) -> Tensor:
        """Return the two corners of each box, (B, P, 2, D)."""
        corners = self.shared_embedding((boxes + 0.5).unflatten(2, (2, 2)) / self.pixels)
        return corners + torch.cat(self.kinds()[2:4])

    def forward(
        self, points: Tensor | None, labels: Tensor | None, boxes: Tensor | None, masks: Tensor | None
    ) -> tuple[Tensor | None, Tensor]:
        """Return tokens (B, P, N, D), or None without points and boxes, and a map (B | 1, D, h, w)."""
        tokens = []
        if points is not None:
            if labels is None:
                raise ValueError("input_points need input_labels: 1 for the object, 0 for the background")
            tokens.append(self.points(points, labels, boxes is None))
        if boxes is not None:
            tokens.append(self.boxes(boxes))
        if masks is not None:
            dense = self.mask_embed(masks)
        else:
            batch = tokens[0].shape[0] if tokens else 1
            dense = self.no_mask_embed.weight[..., None, None].expand(batch, -1, self.side, self.side)
        return torch.cat(tokens, dim=2) if tokens else None, dense


# --- the masks


class Attention(nn.Module):
    """Attention between tokens and pixels, at a smaller width."""

    def __init__(self, config: SamMaskDecoderConfig, downsample: int) -> None:
        super().__init__()
        inner = config.hidden_size // downsample
        if inner % config.num_attention_heads:
            raise ValueError(f"a width of {inner} is no multiple of num_attention_heads {config.num_attention_heads}")
        self.q_proj = nn.Linear(config.hidden_size, inner)
        self.k_proj = nn.Linear(config.hidden_size, inner)
        self.v_proj = nn.Linear(config.hidden_size, inner)
        self.out_proj = nn.Linear(inner, config.hidden_size)
        self.head_dim = inner // config.num_attention_heads

    def forward(self, query: Tensor, key: Tensor, value: Tensor, similarity: Tensor | None = None) -> Tensor:
        """Return (B, P, N, D) for queries (B, P, N, D) and keys (B, P, S, D)."""
        q, k, v = (
            split_heads(layer(x).flatten(0, 1), self.head_dim)
            for layer, x in ((self.q_proj, query), (self.k_proj, key), (self.v_proj, value))
        )
        out, _ = attend(q, k, v, similarity)
        return self.out_proj(merge_heads(out)).unflatten(0, query.shape[:2])


class TwoWayBlock(nn.Module):
    """Tokens look at each other, then at the image; the image looks at the tokens."""

    def __init__(self, config: SamMaskDecoderConfig, first: bool) -> None:
        super().__init__()
        rate, eps = config.attention_downsample_rate, config.layer_norm_eps
        self.self_attn = Attention(config, 1)
        self.layer_norm1 = nn.LayerNorm(config.hidden_size, eps=eps)
        self.cross_attn_token_to_image = Attention(config, rate)
        self.layer_norm2 = nn.LayerNorm(config.hidden_size, eps=eps)
        self.mlp = MLP(config)
        self.layer_norm3 = nn.LayerNorm(config.hidden_size, eps=eps)
        self.layer_norm4 = nn.LayerNorm(config.hidden_size, eps=eps)
        self.cross_attn_image_to_token = Attention(config, rate)
        self.first = first

    def forward(
        self, tokens: Tensor, pixels: Tensor, prompt: Tensor, places: Tensor, similarity: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return tokens (B, P, N, D), pixels (B, P, T, D), and what the pixels took from the tokens."""
        if self.first:
            tokens = self.self_attn(tokens, tokens, tokens)
        else:
            asked = tokens + prompt
            tokens = tokens + self.self_attn(asked, asked, tokens)
        tokens = self.layer_norm1(tokens)
        tokens = self.layer_norm2(
            tokens + self.cross_attn_token_to_image(tokens + prompt, pixels + places, pixels, similarity)
        )
        tokens = self.layer_norm3(tokens + self.mlp(tokens))
        taken = self.cross_attn_image_to_token(pixels + places, tokens + prompt, tokens)
        return tokens, self.layer_norm4(pixels + taken), taken


class TwoWayTransformer(nn.Module):
    """The blocks, and a last look of the tokens at the image."""

    def __init__(self, config: SamMaskDecoderConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(TwoWayBlock(config, place == 0) for place in range(config.num_hidden_layers))
        self.final_attn_token_to_image = Attention(config, config.attention_downsample_rate)
        self.layer_norm_final_attn = nn.LayerNorm(config.hidden_size)

    def forward(
        self, prompt: Tensor, image: Tensor, places: Tensor, similarity: Tensor | None, target: Tensor | None
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Return tokens (B, P, N, D), pixels (B, P, T, D), and what each block's pixels took (B · P, 1, T, D)."""
        pixels, places = (x.flatten(2).transpose(1, 2)[:, None] for x in (image, places))
        pixels = pixels.expand(-1, prompt.shape[1], -1, -1)
        taken: list[Tensor] = []
        if target is not None:  # PerSAM: the target is part of the prompt, and added before every block
            prompt = prompt + target
        tokens = prompt
        for layer in self.layers:
            if target is not None and taken:
                tokens = tokens + target
            tokens, pixels, kept = layer(tokens, pixels, prompt, places, similarity)
            taken.append(kept.flatten(0, 1)[:, None])
        seen = self.final_attn_token_to_image(tokens + prompt, pixels + places, pixels)
        return self.layer_norm_final_attn(tokens + seen), pixels, taken


class FeedForward(nn.Module):
    """Linear layers with ReLU between them."""

    def __init__(self, source: int, hidden: int, target: int, depth: int) -> None:
        super().__init__()
        self.proj_in = nn.Linear(source, hidden)
        self.proj_out = nn.Linear(hidden, target)
        self.layers = nn.ModuleList(nn.Linear(hidden, hidden) for _ in range(depth - 2))

    def forward(self, x: Tensor) -> Tensor:
        """Return (…, target) for (…, source)."""
        x = torch.relu(self.proj_in(x))
        for layer in self.layers:
            x = torch.relu(layer(x))
        return self.proj_out(x)


class MaskDecoder(nn.Module):
    """Masks as the products of tokens and pixels."""

    def __init__(self, config: SamMaskDecoderConfig) -> None:
        super().__init__()
        width, self.masks = config.hidden_size, config.num_multimask_outputs + 1
        self.iou_token = nn.Embedding(1, width)
        self.mask_tokens = nn.Embedding(self.masks, width)
        self.transformer = TwoWayTransformer(config)
        self.upscale_conv1 = nn.ConvTranspose2d(width, width // 4, kernel_size=2, stride=2)
        self.upscale_conv2 = nn.ConvTranspose2d(width // 4, width // 8, kernel_size=2, stride=2)
        self.upscale_layer_norm = MapNorm(width // 4)
        self.output_hypernetworks_mlps = nn.ModuleList(
            FeedForward(width, width, width // 8, 3) for _ in range(self.masks)
        )
        self.iou_prediction_head = FeedForward(width, config.iou_head_hidden_dim, self.masks, config.iou_head_depth)

    def forward(
        self,
        image: Tensor,
        places: Tensor,
        sparse: Tensor | None,
        dense: Tensor,
        several: bool,
        similarity: Tensor | None = None,
        target: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Return masks (B, P, masks, 4h, 4w), scores (B, P, masks), and what each block's pixels took.

        Args:
            image: (B, D, h, w).
            places: (1 | B, D, h, w), the positions of its pixels.
            sparse: (B, P, N, D), the prompts' points and boxes, or None.
            dense: (B | 1, D, h, w), the prompts' mask.
            several: the three masks of different extent, or the one that stands for all.
            similarity: added to the scores of tokens to pixels, broadcastable to (B · P, H, N, T).
            target: added to the tokens, broadcastable to (B, P, N, D).
        """
        batch, _, height, width = image.shape
        prompts = 1 if sparse is None else sparse.shape[1]
        tokens = torch.cat((self.iou_token.weight, self.mask_tokens.weight)).expand(batch, prompts, -1, -1)
        tokens = tokens if sparse is None else torch.cat((tokens, sparse), dim=2)
        tokens, pixels, taken = self.transformer(tokens, image + dense, places, similarity, target)
        pixels = pixels.flatten(0, 1).transpose(1, 2).unflatten(2, (height, width))
        up = F.gelu(self.upscale_layer_norm(self.upscale_conv1(pixels)))
        up = F.gelu(self.upscale_conv2(up)).unflatten(0, (batch, prompts))  # (B, P, D / 8, 4h, 4w)
        filters = [mlp(tokens[:, :, place + 1]) for place, mlp in enumerate(self.output_hypernetworks_mlps)]
        masks = (torch.stack(filters, dim=2) @ up.flatten(3)).unflatten(3, up.shape[3:])
        kept = slice(1, None) if several else slice(0, 1)
        return masks[:, :, kept], self.iou_prediction_head(tokens[:, :, 0])[:, :, kept], taken


class SamModel(SamPreTrainedModel):
    """SAM: an image and prompts to masks."""

    _tied_weights_keys = {
        "prompt_encoder.shared_embedding.positional_embedding": "shared_image_embedding.positional_embedding"
    }
    _input_embed_layer = "vision_encoder.patch_embed"

    def __init__(self, config: SamConfig) -> None:
        super().__init__(config)
        self.shared_image_embedding = PositionalEmbedding(config.vision_config)
        self.vision_encoder = SamVisionEncoder(config.vision_config)
        self.prompt_encoder = PromptEncoder(config)
        self.mask_decoder = MaskDecoder(config.mask_decoder_config)
        self.post_init()

    def get_image_wide_positional_embeddings(self) -> Tensor:
        """Return the positions of the map's pixels, (1, D, h, w)."""
        side = self.config.prompt_encoder_config.image_embedding_size
        table = self.shared_image_embedding.positional_embedding
        places = (torch.arange(side, device=table.device, dtype=table.dtype) + 0.5) / side
        grid = torch.stack(torch.meshgrid(places, places, indexing="xy"), dim=-1)
        return self.shared_image_embedding(grid).permute(2, 0, 1)[None]

    @torch.no_grad()
    def get_image_embeddings(self, pixel_values: Tensor, **extra: Any) -> Tensor:
        """Return the map of images (B, D, h, w), to be given to the model again and again with other prompts."""
        return self.vision_encoder(pixel_values, return_dict=True, **extra).last_hidden_state

    @torch.no_grad()
    def get_prompt_embeddings(
        self,
        input_points: Tensor | None = None,
        input_labels: Tensor | None = None,
        input_boxes: Tensor | None = None,
        input_masks: Tensor | None = None,
    ) -> tuple[Tensor | None, Tensor]:
        """Return prompts as tokens and as a map; arguments as ``forward``."""
        return self.prompt_encoder(input_points, input_labels, input_boxes, input_masks)

    def forward(
        self,
        pixel_values: Tensor | None = None,
        input_points: Tensor | None = None,
        input_labels: Tensor | None = None,
        input_boxes: Tensor | None = None,
        input_masks: Tensor | None = None,
        image_embeddings: Tensor | None = None,
        multimask_output: bool = True,
        attention_similarity: Tensor | None = None,
        target_embedding: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        **_: Any,
    ) -> Any:
        """Return masks for prompts on images.

        Args:
            pixel_values: (B, channels, size, size).
            input_points: (B, P, N, 2), x and y in pixels of ``pixel_values``.
            input_labels: (B, P, N): 1 object, 0 background, -10 padding; the object by default.
            input_boxes: (B, P, 4), left, top, right, bottom.
            input_masks: (B, 1, 4h, 4w), logits of an earlier mask.
            image_embeddings: (B, D, h, w) from ``get_image_embeddings``, instead of ``pixel_values``.
            multimask_output: return three masks a prompt, or one.
            attention_similarity: added to the scores of tokens to pixels (PerSAM).
            target_embedding: added to the tokens (PerSAM).
            output_attentions: return the attention weights of the reader of images.
            output_hidden_states: return its states between the layers.
            return_dict: False returns a tuple.
        """
        if (pixel_values is None) == (image_embeddings is None):
            raise ValueError("one of pixel_values and image_embeddings is needed, and not both")
        if input_points is not None and input_points.dim() != 4:
            raise ValueError(f"input_points are (images, prompts, points, 2), not {tuple(input_points.shape)}")
        if input_boxes is not None and input_boxes.dim() != 3:
            raise ValueError(f"input_boxes are (images, prompts, 4), not {tuple(input_boxes.shape)}")
        if input_points is not None and input_boxes is not None and input_points.shape[1] != input_boxes.shape[1]:
            raise ValueError(
                f"there are {input_points.shape[1]} prompts of points and {input_boxes.shape[1]} boxes: give as many"
            )
        config, states, attentions = self.config, None, None
        if pixel_values is not None:
            seen = self.vision_encoder(pixel_values, output_attentions, output_hidden_states, return_dict=True)
            image_embeddings, states, attentions = seen.last_hidden_state, seen.hidden_states, seen.attentions
        assert image_embeddings is not None
        if input_points is not None and input_points.shape[0] != image_embeddings.shape[0]:
            raise ValueError(
                f"there are {image_embeddings.shape[0]} images and points for {input_points.shape[0]}; several prompts "
                "of one image are (1, prompts, points, 2)"
            )
        if input_points is not None and input_labels is None:
            input_labels = torch.ones_like(input_points[..., 0], dtype=torch.int)
        sparse, dense = self.prompt_encoder(input_points, input_labels, input_boxes, input_masks)
        masks, scores, taken = self.mask_decoder(
            image_embeddings,
            self.get_image_wide_positional_embeddings(),
            sparse,
            dense,
            multimask_output,
            attention_similarity,
            target_embedding,
        )
        wanted = config.output_attentions if output_attentions is None else output_attentions
        output = SamImageSegmentationOutput(scores, masks, states, attentions, tuple(taken) if wanted else None)
        return as_asked(output, return_dict, config.return_dict)
