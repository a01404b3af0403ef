"""ViLT (Kim et al., 2021, "ViLT: Vision-and-Language Transformer Without Convolution or Region Supervision"): one
encoder over the tokens of a text and the patches of an image.

Shapes: B rows, T tokens, S patches and a class token, D width, V words, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from enfold.nn.attention import Manner
from enfold.nn.losses import token_loss
from enfold.nn.mask import encoder_mask
from enfold.nn.outputs import ModelOutput
from enfold.nn.patches import Patches
from enfold.transformers.configs.vilt import ViltConfig
from enfold.transformers.heads import as_asked
from enfold.transformers.modeling import PreTrainedModel
from enfold.transformers.models.bert import BertTransform
from enfold.transformers.models.bert_encoder import BertEmbeddings, BertPooler
from enfold.transformers.models.vit import Attention, Intermediate, Projection
from enfold.transformers.outputs import (
    BaseModelOutputWithPooling,
    MaskedLMOutput,
    SequenceClassifierOutput,
    TokenClassifierOutput,
)

__all__ = [
    "ViltConfig",
    "ViltForImageAndTextRetrieval",
    "ViltForImagesAndTextClassification",
    "ViltForMaskedLM",
    "ViltForQuestionAnswering",
    "ViltForTokenClassification",
    "ViltLayer",
    "ViltModel",
    "ViltPreTrainedModel",
]


@dataclass
class ViltForImagesAndTextClassificationOutput(ModelOutput):
    """Logits (B, C); states and attentions by image."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    hidden_states: list[Any] | None = None
    attentions: list[Any] | None = None


class ViltEmbeddings(nn.Module):
    """Tokens and patches, each with its position and its kind, one after the other."""

    def __init__(self, config: ViltConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.text_embeddings = BertEmbeddings(config)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.patch_embeddings = Patches(config.num_channels, width, config.image_size, config.patch_size)
        self.position_embeddings = nn.Parameter(torch.zeros(1, self.patch_embeddings.num_patches + 1, width))
        self.token_type_embeddings = nn.Embedding(config.modality_type_vocab_size, width)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.longest = config.max_image_length

    def images(self, pixels: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return (B, S, D) and which of them belong to the image, (B, S), for pixels (B, channels, height, width) and
        a mask of pixels (B, height, width); the positions are stretched to each image's own size."""
        patches = self.patch_embeddings
        rows, columns = (side // patch for side, patch in zip(pixels.shape[-2:], patches.patch_size, strict=True))
        real = F.interpolate(mask[:, None].float(), size=(rows, columns))[:, 0].long()  # (B, rows, columns)
        side = [length // patch for length, patch in zip(patches.image_size, patches.patch_size, strict=True)]
        table = self.position_embeddings[:, 1:].transpose(1, 2).view(1, -1, *side)
        places = []
        for height, width in zip(real[:, :, 0].sum(1).tolist(), real[:, 0].sum(1).tolist(), strict=True):
            own = F.interpolate(table, size=(height, width), mode="bilinear", align_corners=True)
            places.append(F.pad(own, (0, columns - width, 0, rows - height)))
        x = patches(pixels) + torch.cat(places).flatten(2).transpose(1, 2)
        real = real.flatten(1)
        if 0 < self.longest < int(real.sum(1).max()):
            x, real = self._fewer(x, real)
        first = (self.cls_token + self.position_embeddings[:, :1]).expand(x.shape[0], -1, -1)
        return self.dropout(torch.cat((first, x), dim=1)), F.pad(real, (1, 0), value=1)

    def _fewer(self, x: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
        """Keep ``max_image_length`` patches of each image: drawn while training, evenly spread otherwise."""
        kept, marks = [], []
        for row, own in zip(x, real, strict=True):
            places = own.nonzero()[:, 0]
            if len(places) > self.longest:
                order = torch.randperm(len(places)) if self.training else torch.arange(len(places))
                step = len(places) / self.longest
                chosen = order[: self.longest] if self.training else order[(order[: self.longest] * step).long()]
                places = places[chosen.to(places.device)]
            kept.append(F.pad(row[places], (0, 0, 0, self.longest - len(places))))
            marks.append(F.pad(own[places], (0, self.longest - len(places))))
        return torch.stack(kept), torch.stack(marks)


class ViltLayer(nn.Module):
    """One layer: attention and feed-forward, each normalised before."""

    def __init__(self, config: ViltConfig) -> None:
        super().__init__()
        self.attention = Attention(config)
        self.intermediate = Intermediate(config)
        self.output = Projection(config.intermediate_size, config.hidden_size, config.hidden_dropout_prob)
        self.layernorm_before = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.layernorm_after = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, x: Tensor, mask: Tensor | None, weights: Manner) -> tuple[Tensor, Tensor | None]:
        """Return (B, T + S, D) and, with ``weights``, the attention weights."""
        attended, shares = self.attention(self.layernorm_before(x), weights, mask)
        x = x + attended
        return x + self.output(self.intermediate(self.layernorm_after(x))), shares


class ViltEncoder(nn.Module):
    """The layers."""

    def __init__(self, config: ViltConfig) -> None:
        super().__init__()
        self.layer = nn.ModuleList(ViltLayer(config) for _ in range(config.num_hidden_layers))


class ViltPreTrainedModel(PreTrainedModel):
    """What all ViLT models share."""

    config_class: ClassVar[Any] = ViltConfig
    base_model_prefix = "vilt"
    _supports_sdpa = True
    _no_split_modules = ["ViltEmbeddings", "ViltLayer"]
    _keys_to_ignore_on_load_unexpected = [r"position_ids$", r"text_embeddings\.token_type_ids$"]


class ViltModel(ViltPreTrainedModel):
    """ViLT without a head.

    Args:
        config: its numbers.
        add_pooling_layer: make ``pooler_output`` too.
    """

    _input_embed_layer = "embeddings.text_embeddings.word_embeddings"

    def __init__(self, config: ViltConfig, add_pooling_layer: bool = True) -> None:
        super().__init__(config)
        self.embeddings = ViltEmbeddings(config)
        self.encoder = ViltEncoder(config)
        self.layernorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.pooler = BertPooler(config) if add_pooling_layer else None
        self.post_init()

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        pixel_values: Tensor | None = None,
        pixel_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        image_embeds: Tensor | None = None,
        image_token_type_idx: int | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        **_: Any,
    ) -> Any:
        """Return the states of every token and every patch.

        Args:
            input_ids: (B, T).
            attention_mask: (B, T), 1 for a token, 0 for padding.
            token_type_ids: (B, T); zeros by default.
            pixel_values: (B, channels, height, width).
            pixel_mask: (B, height, width), 1 for the image, 0 for padding; with ``image_embeds`` one number each.
            inputs_embeds: (B, T, D), instead of ``input_ids``.
            image_embeds: (B, S, D), instead of ``pixel_values``.
            image_token_type_idx: which image this is, 1 by default.
            output_attentions, output_hidden_states: return what lies between.
            return_dict: False returns a tuple.
        """
        given = input_ids if inputs_embeds is None else inputs_embeds
        if given is None or (pixel_values is None) == (image_embeds is None):
            raise ValueError(
                "ViLT reads a text and an image: input_ids or inputs_embeds, and pixel_values or image_embeds"
            )
        shown = pixel_values if image_embeds is None else image_embeds
        assert shown is not None
        rows, length = given.shape[:2]
        if len(shown) != rows:
            raise ValueError(f"{rows} texts and {len(shown)} images were given; they must be equally many")
        kinds, texts = self.embeddings.token_type_embeddings.weight, self.embeddings.text_embeddings
        words = texts.word_embeddings(input_ids) if inputs_embeds is None else inputs_embeds
        places = torch.arange(length, device=given.device)[None]
        segments = torch.zeros_like(places) if token_type_ids is None else token_type_ids
        text = texts(words, places, segments) + kinds[0]
        if image_embeds is None:
            assert pixel_values is not None
            if pixel_mask is None:
                pixel_mask = torch.ones_like(pixel_values[:, 0])
            image, real = self.embeddings.images(pixel_values, pixel_mask)
        else:
            image = image_embeds
            real = torch.ones_like(image[..., 0]) if pixel_mask is None else pixel_mask.flatten(1)
        image = image + kinds[1 if image_token_type_idx is None else image_token_type_idx]
        if attention_mask is None:
            attention_mask = torch.ones(rows, length, device=given.device)
        mask = encoder_mask(torch.cat((attention_mask.to(real.dtype), real), dim=1))
        record = self.recording(output_attentions, output_hidden_states)
        x = self.encode(self.encoder.layer, torch.cat((text, image), dim=1), record, mask)
        record.finish(x)
        x = self.layernorm(x)
        pooled = None if self.pooler is None else self.pooler(x)
        output = BaseModelOutputWithPooling(x, pooled, record.hidden_states, record.attentions)
        return as_asked(output, return_dict, self.config.return_dict)


class MLMHead(nn.Module):
    """The words."""

    def __init__(self, config: ViltConfig) -> None:
        super().__init__()
        self.transform = BertTransform(config)
        self.decoder = nn.Linear(config.hidden_size, config.vocab_size)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, T, V) for (B, T, D)."""
        return self.decoder(self.transform(x))


class ViltForMaskedLM(ViltPreTrainedModel):
    """ViLT that fills masked words."""

    _tied_weights_keys = {"mlm_score.decoder.weight": "vilt.embeddings.text_embeddings.word_embeddings.weight"}
    _old_keys = {r"^mlm_score\.bias$": "mlm_score.decoder.bias"}

    def __init__(self, config: ViltConfig) -> None:
        super().__init__(config)
        self.vilt = ViltModel(config)
        self.mlm_score = MLMHead(config)
        self.post_init()

    def get_output_embeddings(self) -> nn.Module:
        """Return the layer that predicts words."""
        return self.mlm_score.decoder

    def set_output_embeddings(self, value: Any) -> None:
        """Replace the layer that predicts words."""
        self.mlm_score.decoder = value

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        return_dict: bool | None = None,
        **inputs: Any,
    ) -> Any:
        """Return logits of the words (B, T, V); ``labels`` (B, T) are words, or -100 where nothing was masked."""
        states = self.vilt(input_ids, attention_mask, return_dict=True, **inputs)
        length = (inputs["inputs_embeds"] if input_ids is None else input_ids).shape[1]
        logits = self.mlm_score(states.last_hidden_state[:, :length])
        loss = None if labels is None else token_loss(logits, labels)
        output = MaskedLMOutput(loss, logits, states.hidden_states, states.attentions)
        return as_asked(output, return_dict, self.config.return_dict)


def _classifier(width: int, inner: int, classes: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, inner), nn.LayerNorm(inner), nn.GELU(), nn.Linear(inner, classes))


class ViltForQuestionAnswering(ViltPreTrainedModel):
    """ViLT that answers questions about an image, out of a list of answers."""

    def __init__(self, config: ViltConfig) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        self.vilt = ViltModel(config)
        self.classifier = _classifier(config.hidden_size, 2 * config.hidden_size, config.num_labels)
        self.post_init()

    def forward(self, *args: Any, labels: Tensor | None = None, return_dict: bool | None = None, **inputs: Any) -> Any:
        """Return logits (B, C); ``labels`` (B, C) say how right each answer is, 0 to 1; inputs as ``ViltModel``'s."""
        states = self.vilt(*args, return_dict=True, **inputs)
        logits = self.classifier(states.pooler_output)
        loss = None if labels is None else F.binary_cross_entropy_with_logits(logits, labels) * labels.shape[1]
        output = SequenceClassifierOutput(loss, logits, states.hidden_states, states.attentions)
        return as_asked(output, return_dict, self.config.return_dict)


class ViltForImageAndTextRetrieval(ViltPreTrainedModel):
    """ViLT that says how well a text and an image fit."""

    def __init__(self, config: ViltConfig) -> None:
        super().__init__(config)
        self.vilt = ViltModel(config)
        self.rank_output = nn.Linear(config.hidden_size, 1)
        self.post_init()

    def forward(self, *args: Any, return_dict: bool | None = None, **inputs: Any) -> Any:
        """Return logits (B, 1); inputs as ``ViltModel``'s. There is no published loss for labels."""
        if inputs.pop("labels", None) is not None:
            raise ValueError("ViltForImageAndTextRetrieval has no loss of its own: compute it from the logits")
        states = self.vilt(*args, return_dict=True, **inputs)
        logits = self.rank_output(states.pooler_output)
        output = SequenceClassifierOutput(None, logits, states.hidden_states, states.attentions)
        return as_asked(output, return_dict, self.config.return_dict)


class ViltForImagesAndTextClassification(ViltPreTrainedModel):
    """ViLT that compares several images with a text."""

    def __init__(self, config: ViltConfig) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        self.vilt = ViltModel(config)
        width = config.hidden_size * config.num_images
        self.classifier = _classifier(width, width, config.num_labels)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        pixel_values: Tensor | None = None,
        pixel_mask: Tensor | None = None,
        labels: Tensor | None = None,
        return_dict: bool | None = None,
        **inputs: Any,
    ) -> Any:
        """Return logits (B, C).

        Args:
            input_ids, attention_mask, token_type_ids: (B, T).
            pixel_values: (B, images, channels, height, width).
            pixel_mask: (B, images, height, width).
            labels: (B,), classes.
            return_dict: False returns a tuple.
            inputs: as ``ViltModel``.
        """
        assert pixel_values is not None
        pixel_values = pixel_values[:, None] if pixel_values.dim() == 4 else pixel_values
        if pixel_values.shape[1] != self.config.num_images:
            raise ValueError(f"{pixel_values.shape[1]} images a text were given, {self.config.num_images} expected")
        seen = [
            self.vilt(
                input_ids,
                attention_mask,
                token_type_ids,
                pixel_values[:, index],
                None if pixel_mask is None else pixel_mask[:, index],
                image_token_type_idx=index + 1,
                return_dict=True,
                **inputs,
            )
            for index in range(self.config.num_images)
        ]
        logits = self.classifier(torch.cat([states.pooler_output for states in seen], dim=-1))
        loss = None if labels is None else token_loss(logits, labels)
        states = [one.hidden_states for one in seen] if seen[0].hidden_states is not None else None
        attentions = [one.attentions for one in seen] if seen[0].attentions is not None else None
        output = ViltForImagesAndTextClassificationOutput(loss, logits, states, attentions)
        return as_asked(output, return_dict, self.config.return_dict)


class ViltForTokenClassification(ViltPreTrainedModel):
    """ViLT with one prediction a token of the text."""

    def __init__(self, config: ViltConfig) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        self.vilt = ViltModel(config, add_pooling_layer=False)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        return_dict: bool | None = None,
        **inputs: Any,
    ) -> Any:
        """Return logits (B, T, C); ``labels`` (B, T) are classes, or -100 where there is none."""
        states = self.vilt(input_ids, attention_mask, return_dict=True, **inputs)
        length = (inputs["inputs_embeds"] if input_ids is None else input_ids).shape[1]
        logits = self.classifier(self.dropout(states.last_hidden_state[:, :length]))
        loss = None if labels is None else token_loss(logits, labels)
        output = TokenClassifierOutput(loss, logits, states.hidden_states, states.attentions)
        return as_asked(output, return_dict, self.config.return_dict)
