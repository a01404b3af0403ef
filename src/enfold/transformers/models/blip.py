"""BLIP (Li et al., 2022, "BLIP: Bootstrapping Language-Image Pre-training"): an encoder of images that texts look at.

Shapes: B rows, T tokens, S patches and a class token, D width, P the width in which texts and images meet.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from enfold.nn.attention import Manner, attend, merge_heads
from enfold.nn.outputs import ModelOutput
from enfold.nn.patches import resize_positions
from enfold.transformers.configs.blip import BlipConfig, BlipTextConfig, BlipVisionConfig
from enfold.transformers.generation.mixin import GenerationMixin
from enfold.transformers.heads import as_asked
from enfold.transformers.modeling import PreTrainedModel
from enfold.transformers.models.blip_text import BlipTextLMHeadModel, BlipTextModel
from enfold.transformers.models.clip import CLIPModel
from enfold.transformers.models.two_towers import ContrastiveOutput, TowerMLP
from enfold.transformers.outputs import BaseModelOutputWithPooling

__all__ = [
    "BlipConfig",
    "BlipForConditionalGeneration",
    "BlipForImageTextRetrieval",
    "BlipForQuestionAnswering",
    "BlipModel",
    "BlipPreTrainedModel",
    "BlipTextConfig",
    "BlipTextModel",
    "BlipVisionConfig",
    "BlipVisionModel",
]


@dataclass
class BlipForConditionalGenerationModelOutput(ModelOutput):
    """Next-word logits (B, T, V), and the image encoder's states, also as image_embeds (B, S, D)."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    image_embeds: Tensor | None = None
    last_hidden_state: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None


@dataclass
class BlipTextVisionModelOutput(ModelOutput):
    """The loss of an answer, and the image encoder's states, also as image_embeds (B, S, D)."""

    loss: Tensor | None = None
    image_embeds: Tensor | None = None
    last_hidden_state: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None


@dataclass
class BlipImageTextMatchingModelOutput(ModelOutput):
    """How well texts and images fit: itm_score (B, 2), no and yes, or (images, texts) cosines."""

    itm_score: Tensor | None = None
    loss: Tensor | None = None
    image_embeds: Tensor | None = None
    last_hidden_state: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    vision_pooler_output: Tensor | None = None
    attentions: tuple[Tensor, ...] | None = None
    question_embeds: Tensor | None = None


class BlipVisionEmbeddings(nn.Module):
    """Patches with their positions, after a class token."""

    def __init__(self, config: BlipVisionConfig) -> None:
        super().__init__()
        width, patch = config.hidden_size, config.patch_size
        self.class_embedding = nn.Parameter(torch.zeros(1, 1, width))
        self.patch_embedding = nn.Conv2d(3, width, patch, stride=patch)
        self.position_embedding = nn.Parameter(torch.zeros(1, (config.image_size // patch) ** 2 + 1, width))
        self.patch_size = patch

    def forward(self, pixels: Tensor, interpolate: bool) -> Tensor:
        """Return (B, S, D) for pixels (B, 3, height, width); ``interpolate`` stretches the positions to it."""
        x = self.patch_embedding(pixels.to(self.patch_embedding.weight.dtype))
        table: Tensor = self.position_embedding
        if interpolate:
            table = resize_positions(table, (x.shape[2], x.shape[3]))
        x = torch.cat((self.class_embedding.expand(x.shape[0], -1, -1), x.flatten(2).transpose(1, 2)), dim=1)
        return x + table[:, : x.shape[1]]


class BlipAttention(nn.Module):
    """Attention, its three projections in one matrix."""

    def __init__(self, config: BlipVisionConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.qkv = nn.Linear(width, 3 * width)
        self.projection = nn.Linear(width, width)
        self.heads, self.drop = config.num_attention_heads, config.attention_dropout

    def forward(self, x: Tensor, weights: Manner) -> tuple[Tensor, Tensor | None]:
        """Return (B, S, D) and, with ``weights``, (B, H, S, S)."""
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # (B, H, S, d) each
        out, shares = attend(q, k, v, dropout=self.drop if self.training else 0.0, weights=weights)
        return self.projection(merge_heads(out)), shares


class BlipEncoderLayer(nn.Module):
    """One layer: attention, then feed-forward, each normalised before."""

    def __init__(self, config: BlipVisionConfig) -> None:
        super().__init__()
        self.self_attn = BlipAttention(config)
        self.layer_norm1 = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.mlp = TowerMLP(config)
        self.layer_norm2 = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, x: Tensor, weights: Manner) -> tuple[Tensor, Tensor | None]:
        """Return (B, S, D) and, with ``weights``, the attention weights."""
        attended, shares = self.self_attn(self.layer_norm1(x), weights)
        x = x + attended
        return x + self.mlp(self.layer_norm2(x)), shares


class BlipEncoder(nn.Module):
    """The layers."""

    def __init__(self, config: BlipVisionConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(BlipEncoderLayer(config) for _ in range(config.num_hidden_layers))


class BlipPreTrainedModel(PreTrainedModel):
    """What all BLIP models share."""

    config_class: ClassVar[Any] = BlipConfig
    base_model_prefix = "blip"
    _supports_sdpa = True
    _no_split_modules = ["BlipEncoderLayer", "BlipTextLayer"]
    _keys_to_ignore_on_load_unexpected = [r"position_ids$"]

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, BlipVisionEmbeddings):
            std = getattr(self.config, "vision_config", self.config).initializer_range
            nn.init.trunc_normal_(module.position_embedding, std=std)
            nn.init.trunc_normal_(module.class_embedding, std=std)


class BlipVisionModel(BlipPreTrainedModel):
    """BLIP's encoder of images."""

    config_class = BlipVisionConfig
    main_input_name = "pixel_values"
    _input_embed_layer = "embeddings"

    def __init__(self, config: BlipVisionConfig) -> None:
        super().__init__(config)
        self.embeddings = BlipVisionEmbeddings(config)
        self.encoder = BlipEncoder(config)
        self.post_layernorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.post_init()

    def forward(
        self,
        pixel_values: Tensor | None = None,
        interpolate_pos_encoding: bool = False,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        **_: Any,
    ) -> Any:
        """Return the states of patches (B, S, D) and that of the class token (B, D).

        Args:
            pixel_values: (B, 3, height, width).
            interpolate_pos_encoding: stretch the positions to images of another size.
            output_attentions, output_hidden_states: return what lies between.
            return_dict: False returns a tuple.
        """
        if pixel_values is None:
            raise ValueError("pixel_values are needed")
        record = self.recording(output_attentions, output_hidden_states)
        x = self.encode(self.encoder.layers, self.embeddings(pixel_values, interpolate_pos_encoding), record)
        record.finish(x)
        x = self.post_layernorm(x)
        pooled = self.post_layernorm(x[:, 0])  # normalised twice, as it was trained
        output = BaseModelOutputWithPooling(x, pooled, record.hidden_states, record.attentions)
        return as_asked(output, return_dict, self.config.return_dict)


class BlipModel(BlipPreTrainedModel):
    """BLIP as CLIP: how well texts and images fit."""

    _input_embed_layer = "text_model"

    def __init__(self, config: BlipConfig) -> None:
        super().__init__(config)
        self.text_model = BlipTextModel(config.text_config)
        self.vision_model = BlipVisionModel(config.vision_config)
        self.visual_projection = nn.Linear(config.vision_config.hidden_size, config.projection_dim, bias=False)
        self.text_projection = nn.Linear(config.text_config.hidden_size, config.projection_dim, bias=False)
        self.logit_scale = nn.Parameter(torch.tensor(config.logit_scale_init_value))
        self.post_init()

    def get_text_features(self, *args: Any, **options: Any) -> Tensor:
        """Return texts where images are, (B, P)."""
        return self.text_projection(self.text_model(*args, **options, return_dict=True).pooler_output)

    def get_image_features(self, *args: Any, **options: Any) -> Tensor:
        """Return images where texts are, (B, P)."""
        return self.visual_projection(self.vision_model(*args, **options, return_dict=True).pooler_output)

    def get_multimodal_features(
        self, input_ids: Tensor, pixel_values: Tensor, attention_mask: Tensor | None = None, **options: Any
    ) -> Tensor:
        """Return texts that looked at their images, (B, P)."""
        seen = self.vision_model(pixel_values, return_dict=True, **options).last_hidden_state
        return self.get_text_features(input_ids, attention_mask, encoder_hidden_states=seen)

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
        """Return how well every text fits every image; arguments as ``CLIPModel``'s."""
        seen = self.vision_model(pixel_values, interpolate_pos_encoding, return_dict=True, **options)
        read = self.text_model(input_ids, attention_mask, position_ids, return_dict=True, **options)
        images = F.normalize(self.visual_projection(seen.pooler_output), dim=-1, eps=0.0)
        texts = F.normalize(self.text_projection(read.pooler_output), dim=-1, eps=0.0)
        logits = (texts @ images.t()) * self.logit_scale.exp()
        loss = CLIPModel.contrast(self, logits) if return_loss else None  # type: ignore[arg-type]
        output = ContrastiveOutput(loss, logits.t(), logits, texts, images, read, seen)
        return as_asked(output, return_dict, self.config.return_dict)


_TIED = {
    "text_decoder.cls.predictions.decoder.weight": "text_decoder.bert.embeddings.word_embeddings.weight",
    "text_decoder.cls.predictions.decoder.bias": "text_decoder.cls.predictions.bias",
}


class BlipForConditionalGeneration(BlipPreTrainedModel, GenerationMixin):
    """BLIP that describes an image, after a prompt or without."""

    main_input_name = "pixel_values"
    _tied_weights_keys = _TIED
    _input_embed_layer = "text_decoder"

    def __init__(self, config: BlipConfig) -> None:
        super().__init__(config)
        self.vision_model = BlipVisionModel(config.vision_config)
        self.text_decoder = BlipTextLMHeadModel(config.text_config)
        self.post_init()

    def forward(
        self,
        pixel_values: Tensor,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        interpolate_pos_encoding: bool = False,
        logits_to_keep: int | Tensor = 0,
        return_dict: bool | None = None,
        **options: Any,
    ) -> Any:
        """Return next-word logits (B, T, V); ``labels`` (B, T) are the ids themselves, or -100."""
        seen = self.vision_model(pixel_values, interpolate_pos_encoding, return_dict=True, **options)
        written = self.text_decoder(
            input_ids,
            attention_mask,
            encoder_hidden_states=seen.last_hidden_state,
            labels=labels,
            logits_to_keep=logits_to_keep,
            return_dict=True,
        )
        x = seen.last_hidden_state
        output = BlipForConditionalGenerationModelOutput(
            written.loss, written.logits, x, x, seen.hidden_states, seen.attentions
        )
        return as_asked(output, return_dict, self.config.return_dict)

    @torch.no_grad()
    def generate(  # type: ignore[override]
        self,
        pixel_values: Tensor,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        interpolate_pos_encoding: bool = False,
        **generate_kwargs: Any,
    ) -> Any:
        """Describe images.

        Args:
            pixel_values: (B, 3, height, width).
            input_ids: (B, T), a prompt with its special tokens at both ends, of which the last is taken off.
            attention_mask: (B, T).
            interpolate_pos_encoding: stretch the positions of patches.
            generate_kwargs: as everywhere.

        Returns:
            Ids (B, T + new), prompt and description.
        """
        text, seen = (
            self.config.text_config,
            self.vision_model(pixel_values, interpolate_pos_encoding, return_dict=True),
        )
        if input_ids is None:
            prompt = torch.full((len(pixel_values), 1), text.bos_token_id, device=pixel_values.device)
        else:
            prompt = torch.as_tensor(input_ids, device=pixel_values.device)[:, :-1].clone()
            prompt[:, 0] = text.bos_token_id
        return self.text_decoder.generate(
            prompt,
            attention_mask=None if attention_mask is None else attention_mask[:, :-1],
            encoder_hidden_states=seen.last_hidden_state,
            **{"eos_token_id": text.sep_token_id, "pad_token_id": text.pad_token_id, **generate_kwargs},
        )


class BlipForQuestionAnswering(BlipPreTrainedModel, GenerationMixin):
    """BLIP that answers questions about an image in its own words."""

    _tied_weights_keys = _TIED
    _input_embed_layer = "text_encoder"

    def __init__(self, config: BlipConfig) -> None:
        super().__init__(config)
        self.vision_model = BlipVisionModel(config.vision_config)
        self.text_encoder = BlipTextModel(config.text_config, add_pooling_layer=False)
        self.text_decoder = BlipTextLMHeadModel(config.text_config)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor,
        pixel_values: Tensor,
        decoder_input_ids: Tensor | None = None,
        decoder_attention_mask: Tensor | None = None,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        interpolate_pos_encoding: bool = False,
        return_dict: bool | None = None,
        **options: Any,
    ) -> Any:
        """Return the loss of an answer, ``labels`` (B, L), or run ``decoder_input_ids`` (B, L) through the model.

        Args:
            input_ids: (B, T), the question.
            pixel_values: (B, 3, height, width).
            decoder_input_ids, decoder_attention_mask: (B, L), the answer; ``labels`` by default.
            attention_mask: (B, T).
            labels: (B, L), words, or -100.
            interpolate_pos_encoding: stretch the positions of patches.
            return_dict: False returns a tuple.
            options: ``output_attentions``, ``output_hidden_states``.
        """
        if labels is None and decoder_input_ids is None:
            raise ValueError("pass labels or decoder_input_ids; to have a question answered call generate")
        seen = self.vision_model(pixel_values, interpolate_pos_encoding, return_dict=True, **options)
        x = seen.last_hidden_state
        question = self.text_encoder(input_ids, attention_mask, encoder_hidden_states=x, return_dict=True)
        # The decoder sees a question's padding too, as in transformers 4 and 5.
        answered = self.text_decoder(
            labels if decoder_input_ids is None else decoder_input_ids,
            decoder_attention_mask,
            encoder_hidden_states=question.last_hidden_state,
            labels=labels,
            return_dict=True,
        )
        output = BlipTextVisionModelOutput(answered.loss, x, x, seen.hidden_states, seen.attentions)
        return as_asked(output, return_dict, self.config.return_dict)

    @torch.no_grad()
    def generate(  # type: ignore[override]
        self,
        input_ids: Tensor,
        pixel_values: Tensor,
        attention_mask: Tensor | None = None,
        interpolate_pos_encoding: bool = False,
        **generate_kwargs: Any,
    ) -> Any:
        """Answer questions: ids (B, new) that begin with the decoder's first token; arguments as ``forward``'s."""
        text, seen = (
            self.config.text_config,
            self.vision_model(pixel_values, interpolate_pos_encoding, return_dict=True),
        )
        question = self.text_encoder(
            torch.as_tensor(input_ids, device=pixel_values.device),
            attention_mask,
            encoder_hidden_states=seen.last_hidden_state,
            return_dict=True,
        ).last_hidden_state
        return self.text_decoder.generate(
            torch.full((len(question), 1), text.bos_token_id, device=question.device),
            encoder_hidden_states=question,
            **{"eos_token_id": text.sep_token_id, "pad_token_id": text.pad_token_id, **generate_kwargs},
        )


class BlipForImageTextRetrieval(BlipPreTrainedModel):
    """BLIP that says whether a text and an image belong together."""

    _input_embed_layer = "text_encoder"

    def __init__(self, config: BlipConfig) -> None:
        super().__init__(config)
        width = config.image_text_hidden_size
        self.vision_model = BlipVisionModel(config.vision_config)
        self.text_encoder = BlipTextModel(config.text_config, add_pooling_layer=False)
        self.vision_proj = nn.Linear(config.vision_config.hidden_size, width)
        self.text_proj = nn.Linear(config.text_config.hidden_size, width)
        self.itm_head = nn.Linear(config.text_config.hidden_size, 2)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor,
        pixel_values: Tensor,
        use_itm_head: bool | None = True,
        attention_mask: Tensor | None = None,
        interpolate_pos_encoding: bool = False,
        return_dict: bool | None = None,
        **options: Any,
    ) -> Any:
        """Return itm_score: (B, 2), no and yes for each pair, or without ``use_itm_head`` (images, texts) cosines."""
        seen = self.vision_model(pixel_values, interpolate_pos_encoding, return_dict=True, **options)
        x = seen.last_hidden_state
        read = self.text_encoder(
            input_ids, attention_mask, encoder_hidden_states=x if use_itm_head else None, return_dict=True
        ).last_hidden_state
        if use_itm_head:
            score = self.itm_head(read[:, 0])
        else:
            image = F.normalize(self.vision_proj(x[:, 0]), dim=-1)
            score = image @ F.normalize(self.text_proj(read[:, 0]), dim=-1).t()
        output = BlipImageTextMatchingModelOutput(
            itm_score=score,
            last_hidden_state=x,
            hidden_states=seen.hidden_states,
            attentions=seen.attentions,
            question_embeds=read,
        )
        return as_asked(output, return_dict, self.config.return_dict)
