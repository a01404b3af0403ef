"""Two encoders, one of texts and one of images, that meet in one space: what CLIP and its successors share.

Shapes: B texts, I images, T tokens or patches, H heads, D width, P the width in which they meet.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from enfold.errors import EnfoldError
from enfold.nn.activations import activation
from enfold.nn.attention import Manner, attend, merge_heads, split_heads
from enfold.nn.embedding import Positions
from enfold.nn.losses import classification_loss
from enfold.nn.mask import causal_mask, encoder_mask
from enfold.nn.outputs import ModelOutput
from enfold.nn.patches import resize_positions
from enfold.transformers.heads import as_asked
from enfold.transformers.modeling import PreTrainedModel
from enfold.transformers.outputs import BaseModelOutputWithPooling, ImageClassifierOutput

__all__ = [
    "ContrastiveOutput",
    "ImageClassificationTower",
    "TextEmbeddings",
    "TextTower",
    "TowerAttention",
    "TowerMLP",
    "TowerPreTrainedModel",
    "TwoTowers",
    "VisionEmbeddings",
    "VisionTower",
]


@dataclass
class ContrastiveOutput(ModelOutput):
    """How well they fit, (I, B) and (B, I), both sides' projections, of length 1, and both encoders' outputs."""

    loss: Tensor | None = None
    logits_per_image: Tensor | None = None
    logits_per_text: Tensor | None = None
    text_embeds: Tensor | None = None
    image_embeds: Tensor | None = None
    text_model_output: Any = None
    vision_model_output: Any = None


class TextEmbeddings(nn.Module):
    """Tokens and positions, added."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.token_embedding = nn.Embedding(config.vocab_size, config.hidden_size)
        self.position_embedding = Positions(config.max_position_embeddings, config.hidden_size)

    def forward(self, tokens: Tensor, positions: Tensor) -> Tensor:
        """Return (B, T, D) for embedded tokens (B, T, D) and positions (B | 1, T)."""
        return tokens + self.position_embedding(positions)


class VisionEmbeddings(nn.Module):
    """Patches with their positions, after a class token where the family has one."""

    def __init__(self, config: Any, class_token: bool) -> None:
        super().__init__()
        width, patch = config.hidden_size, config.patch_size
        self.class_embedding = nn.Parameter(torch.zeros(width)) if class_token else None
        self.patch_embedding = nn.Conv2d(config.num_channels, width, patch, stride=patch, bias=not class_token)
        self.position_embedding = nn.Embedding((config.image_size // patch) ** 2 + class_token, width)
        self.image_size, self.patch_size = config.image_size, patch

    def forward(self, pixels: Tensor, interpolate: bool) -> Tensor:
        """Return (I, T, D) for pixels (I, channels, height, width); ``interpolate`` stretches the positions to it."""
        height, width = pixels.shape[-2:]
        x = self.patch_embedding(pixels.to(self.patch_embedding.weight.dtype)).flatten(2).transpose(1, 2)
        special = 0 if self.class_embedding is None else 1
        if self.class_embedding is not None:
            x = torch.cat((self.class_embedding.expand(x.shape[0], 1, -1), x), dim=1)
        table = self.position_embedding.weight[None]
        if interpolate and (height, width) != (self.image_size, self.image_size):
            table = resize_positions(table, (height // self.patch_size, width // self.patch_size), special)
        elif (height, width) != (self.image_size, self.image_size):
            raise ValueError(
                f"the image has {height} × {width} pixels and the model was made for {self.image_size} squared; "
                "interpolate_pos_encoding=True stretches its positions"
            )
        return x + table


class TowerAttention(nn.Module):
    """Attention; both encoders' are alike."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        width, heads = config.hidden_size, config.num_attention_heads
        if width % heads:
            raise EnfoldError(f"hidden_size {width} is no multiple of num_attention_heads {heads}")
        self.k_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.q_proj = nn.Linear(width, width)
        self.out_proj = nn.Linear(width, width)
        self.head_dim, self.drop = width // heads, config.attention_dropout

    def forward(self, x: Tensor, mask: Tensor | None, causal: bool, weights: Manner) -> tuple[Tensor, Tensor | None]:
        """Return (B, T, D) and, with ``weights``, (B, H, T, T)."""
        q, k, v = (split_heads(layer(x), self.head_dim) for layer in (self.q_proj, self.k_proj, self.v_proj))
        dropout = self.drop if self.training else 0.0
        out, shares = attend(q, k, v, mask, causal=causal, dropout=dropout, weights=weights)
        return self.out_proj(merge_heads(out)), shares


class TowerMLP(nn.Module):
    """The feed-forward."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.fc1 = nn.Linear(config.hidden_size, config.intermediate_size)
        self.fc2 = nn.Linear(config.intermediate_size, config.hidden_size)
        self.act = activation(config.hidden_act)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, T, D) for (B, T, D)."""
        return self.fc2(self.act(self.fc1(x)))


class TowerLayer(nn.Module):
    """One layer: attention, then feed-forward, each normalised before."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.self_attn = TowerAttention(config)
        self.layer_norm1 = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.mlp = TowerMLP(config)
        self.layer_norm2 = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, x: Tensor, mask: Tensor | None, causal: bool, weights: Manner) -> tuple[Tensor, Tensor | None]:
        """Return (B, T, D) and, with ``weights``, the attention weights."""
        attended, shares = self.self_attn(self.layer_norm1(x), mask, causal, weights)
        x = x + attended
        return x + self.mlp(self.layer_norm2(x)), shares


class TowerEncoder(nn.Module):
    """The layers."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.layers = nn.ModuleList(TowerLayer(config) for _ in range(config.num_hidden_layers))


class TowerPreTrainedModel(PreTrainedModel):
    """What all models of two towers share."""

    _supports_sdpa = True
    _no_split_modules = ["TextEmbeddings", "TowerLayer", "VisionEmbeddings"]
    _keys_to_ignore_on_load_unexpected = [r"position_ids$"]


class TextTower(TowerPreTrainedModel):
    """The encoder of texts.

    Args:
        config: its numbers.
    """

    causal: ClassVar[bool] = True
    _input_embed_layer = "embeddings.token_embedding"

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.embeddings = TextEmbeddings(config)
        self.encoder = TowerEncoder(config)
        self.final_layer_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.post_init()

    def pool(self, x: Tensor, input_ids: Tensor) -> Tensor:
        """Return (B, D), what stands for each text."""
        return x[:, -1]

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        **_: Any,
    ) -> Any:
        """Return the states of texts.

        Args:
            input_ids: (B, T).
            attention_mask: (B, T), 1 for a token, 0 for padding.
            position_ids: (B | 1, T); 0, 1, … by default.
            output_attentions, output_hidden_states: return what lies between.
            return_dict: False returns a tuple.
        """
        if input_ids is None:
            raise ValueError("input_ids are needed: texts are read at their tokens")
        input_ids = input_ids.view(-1, input_ids.shape[-1])
        length, longest = input_ids.shape[1], self.embeddings.position_embedding.num_embeddings
        if length > longest:
            raise ValueError(f"a text has {length} tokens and the model takes {longest}; truncate it")
        if position_ids is None:
            position_ids = torch.arange(length, device=input_ids.device)[None]
        causal, mask = False, None
        if self.causal:
            mask, causal = causal_mask(attention_mask, length, device=input_ids.device)
        else:
            mask = encoder_mask(attention_mask)
        record = self.recording(output_attentions, output_hidden_states)
        x = self.embeddings(self.embeddings.token_embedding(input_ids), position_ids)
        x = self.encode(self.encoder.layers, x, record, mask, causal)
        record.finish(x)
        x = self.final_layer_norm(x)
        output = BaseModelOutputWithPooling(x, self.pool(x, input_ids), record.hidden_states, record.attentions)
        return as_asked(output, return_dict, self.config.return_dict)


class VisionTower(TowerPreTrainedModel):
    """The encoder of images.

    Args:
        config: its numbers.
    """

    main_input_name = "pixel_values"
    class_token: ClassVar[bool] = True
    first_norm: ClassVar[str | None] = None  # what the checkpoints call the norm before the layers
    _input_embed_layer = "embeddings.patch_embedding"

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.embeddings = VisionEmbeddings(config, self.class_token)
        if self.first_norm is not None:
            self.add_module(self.first_norm, nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps))
        self.encoder = TowerEncoder(config)
        self.post_layernorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.finish_init(config)
        self.post_init()

    def finish_init(self, config: Any) -> None:
        """Make what a family has beside."""

    def read(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the states (I, T, D) as they are given, and (I, D), what stands for each image."""
        return x, self.post_layernorm(x[:, 0])

    def forward(
        self,
        pixel_values: Tensor | None = None,
        interpolate_pos_encoding: bool = False,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        **_: Any,
    ) -> Any:
        """Return the states of images.

        Args:
            pixel_values: (I, channels, height, width).
            interpolate_pos_encoding: stretch the positions to images of another size.
            output_attentions, output_hidden_states: return what lies between.
            return_dict: False returns a tuple.
        """
        if pixel_values is None:
            raise ValueError("pixel_values are needed")
        record = self.recording(output_attentions, output_hidden_states)
        x = self.embeddings(pixel_values, interpolate_pos_encoding)
        x = x if self.first_norm is None else self.get_submodule(self.first_norm)(x)
        x = self.encode(self.encoder.layers, x, record, None, False)
        record.finish(x)
        x, pooled = self.read(x)
        output = BaseModelOutputWithPooling(x, pooled, record.hidden_states, record.attentions)
        return as_asked(output, return_dict, self.config.return_dict)


class TwoTowers(TowerPreTrainedModel):
    """Both encoders, and how well what they read fits.

    A family sets ``text_class`` and ``vision_class``, makes its projections in ``__init__`` and compares in ``compare``
    and ``contrast``.

    Args:
        config: the numbers of both.
    """

    text_class: ClassVar[Any]
    vision_class: ClassVar[Any]
    _input_embed_layer = "text_model"

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.text_model = self.text_class(config.text_config)
        self.vision_model = self.vision_class(config.vision_config)

    def project_text(self, pooled: Tensor) -> Tensor:
        """Return texts where images are."""
        return pooled

    def project_image(self, pooled: Tensor) -> Tensor:
        """Return images where texts are."""
        return pooled

    def compare(self, texts: Tensor, images: Tensor) -> Tensor:
        """Return how well they fit (B, I), for embeddings of length 1."""
        raise NotImplementedError(f"{type(self).__name__} must say how texts and images compare")

    def contrast(self, logits: Tensor) -> Tensor:
        """Return the loss of ``compare``'s result."""
        raise NotImplementedError(f"{type(self).__name__} must say its loss")

    def get_text_features(
        self, input_ids: Tensor | None = None, attention_mask: Tensor | None = None, **options: Any
    ) -> Tensor:
        """Return texts where images are, (B, P), as transformers 4 does; arguments as the text encoder's."""
        return self.project_text(self.text_model(input_ids, attention_mask, return_dict=True, **options).pooler_output)

    def get_image_features(self, pixel_values: Tensor | None = None, **options: Any) -> Tensor:
        """Return images where texts are, (I, P), as transformers 4 does; arguments as the image encoder's."""
        return self.project_image(self.vision_model(pixel_values, return_dict=True, **options).pooler_output)

    def forward(
        self,
        input_ids: Tensor | None = None,
        pixel_values: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        return_loss: bool | None = None,
        interpolate_pos_encoding: bool = False,
        return_dict: bool | None = None,
        **options: Any,
    ) -> Any:
        """Return how well every text fits every image.

        Args:
            input_ids: (B, T).
            pixel_values: (I, channels, height, width).
            attention_mask: (B, T).
            position_ids: (B | 1, T).
            return_loss: return the loss, where the n-th text belongs to the n-th image.
            interpolate_pos_encoding: stretch the positions of patches.
            return_dict: False returns a tuple.
            options: ``output_attentions``, ``output_hidden_states``.
        """
        seen = self.vision_model(
            pixel_values, interpolate_pos_encoding=interpolate_pos_encoding, return_dict=True, **options
        )
        read = self.text_model(input_ids, attention_mask, position_ids, return_dict=True, **options)
        images = F.normalize(self.project_image(seen.pooler_output), dim=-1, eps=0.0)
        texts = F.normalize(self.project_text(read.pooler_output), dim=-1, eps=0.0)
        logits = self.compare(texts, images)
        loss = self.contrast(logits) if return_loss else None
        output = ContrastiveOutput(loss, logits.t(), logits, texts, images, read, seen)
        if self.config.return_dict if return_dict is None else return_dict:
            return output
        return tuple(value.to_tuple() if isinstance(value, ModelOutput) else value for value in output.to_tuple())


class ImageClassificationTower(TowerPreTrainedModel):
    """The encoder of images with one prediction an image, of the mean of its patches.

    Args:
        config: the numbers of both encoders.
    """

    main_input_name = "pixel_values"
    vision_class: ClassVar[Any]
    skipped: ClassVar[int] = 0  # tokens before the patches
    _input_embed_layer = "vision_model"

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        self.vision_model = self.vision_class(config.vision_config)
        width = config.vision_config.hidden_size
        self.classifier = nn.Linear(width, config.num_labels) if config.num_labels else nn.Identity()
        self.post_init()

    def forward(
        self,
        pixel_values: Tensor | None = None,
        labels: Tensor | None = None,
        return_dict: bool | None = None,
        **options: Any,
    ) -> Any:
        """Return logits (I, C); ``labels`` are (I,) classes or numbers, or (I, C) zeros and ones."""
        states = self.vision_model(pixel_values, return_dict=True, **options)
        logits = self.classifier(states.last_hidden_state[:, self.skipped :].mean(1))
        loss = None
        if labels is not None:
            loss, self.config.problem_type = classification_loss(logits, labels, self.config.problem_type)
        output = ImageClassifierOutput(loss, logits, states.hidden_states, states.attentions)
        return as_asked(output, return_dict, self.config.return_dict)
