"""CLAP (Wu et al., 2023, "Large-scale Contrastive Language-Audio Pretraining"): texts and sounds in one space.

Shapes: B texts, R recordings, T tokens, D width, P the width in which they meet.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from enfold.nn.activations import activation
from enfold.nn.losses import token_loss
from enfold.nn.outputs import ModelOutput
from enfold.transformers.configs.clap import ClapAudioConfig, ClapConfig, ClapTextConfig
from enfold.transformers.heads import as_asked
from enfold.transformers.modeling import PreTrainedModel
from enfold.transformers.models.bert_encoder import BertEmbeddings
from enfold.transformers.models.clap_audio import ClapAudioEncoder, ClapAudioSelfAttention
from enfold.transformers.models.roberta import RobertaModel
from enfold.transformers.outputs import BaseModelOutputWithPooling

__all__ = [
    "ClapAudioConfig",
    "ClapAudioModel",
    "ClapAudioModelWithProjection",
    "ClapConfig",
    "ClapModel",
    "ClapPreTrainedModel",
    "ClapTextConfig",
    "ClapTextModel",
    "ClapTextModelWithProjection",
]


@dataclass
class ClapTextModelOutput(ModelOutput):
    """Texts where sounds are, (B, P), and the encoder's states."""

    text_embeds: Tensor | None = None
    last_hidden_state: Tensor | None = None
    hidden_states: Any = None
    attentions: Any = None


@dataclass
class ClapAudioModelOutput(ModelOutput):
    """Sounds where texts are, (R, P), and the encoder's states."""

    audio_embeds: Tensor | None = None
    last_hidden_state: Tensor | None = None
    hidden_states: Any = None
    attentions: Any = None


@dataclass
class ClapOutput(ModelOutput):
    """How well they fit, (R, B) and (B, R), both sides' projections, of length 1, and both encoders' outputs."""

    loss: Tensor | None = None
    logits_per_audio: Tensor | None = None
    logits_per_text: Tensor | None = None
    text_embeds: Tensor | None = None
    audio_embeds: Tensor | None = None
    text_model_output: Any = None
    audio_model_output: Any = None


class ClapProjection(nn.Module):
    """Where an encoder's reading goes: two layers."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.linear1 = nn.Linear(config.hidden_size, config.projection_dim)
        self.linear2 = nn.Linear(config.projection_dim, config.projection_dim)
        self.act = activation(config.projection_hidden_act)

    def forward(self, x: Tensor) -> Tensor:
        """Return (…, P) for (…, D)."""
        return self.linear2(self.act(self.linear1(x)))


class ClapTextEmbeddings(BertEmbeddings):
    """RoBERTa's embeddings, with the two constants that CLAP's files hold beside them."""

    def __init__(self, config: Any) -> None:
        super().__init__(config, padding_position=config.pad_token_id)
        places = torch.arange(config.max_position_embeddings)[None]
        self.register_buffer("position_ids", places)
        self.register_buffer("token_type_ids", torch.zeros_like(places))


class ClapPreTrainedModel(PreTrainedModel):
    """What all CLAP models share."""

    config_class: ClassVar[Any] = ClapConfig
    base_model_prefix = "clap"
    _supports_sdpa = True
    _no_split_modules = ["BertLayer", "ClapAudioLayer", "ClapAudioPatches", "ClapTextEmbeddings"]

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        config, factor = self.config, self.config.initializer_factor
        if isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=0.02 * factor)
        elif isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.normal_(module.weight, std=factor * (config.hidden_size * 2 * config.num_hidden_layers) ** -0.5)
            if module.bias is not None:
                module.bias.zero_()
        elif isinstance(module, ClapAudioSelfAttention):
            module.relative_position_bias_table.zero_()
            side = round(module.relative_position_index.shape[0] ** 0.5)
            module.relative_position_index.copy_(module.distances(side))
        elif isinstance(module, ClapTextEmbeddings):
            module.get_buffer("position_ids").copy_(torch.arange(config.max_position_embeddings)[None])
            module.get_buffer("token_type_ids").zero_()
        elif isinstance(module, ClapModel):
            for scale in (module.logit_scale_a, module.logit_scale_t):
                scale.fill_(math.log(config.logit_scale_init_value))
        else:
            super()._init_weights(module)


class ClapTextModel(ClapPreTrainedModel, RobertaModel):
    """CLAP's text encoder; arguments and results are those of ``RobertaModel``."""

    config_class: ClassVar[Any] = ClapTextConfig

    def make_embeddings(self, config: Any) -> BertEmbeddings:
        """Return the embeddings."""
        return ClapTextEmbeddings(config)


class ClapAudioModel(ClapPreTrainedModel):
    """CLAP's audio encoder.

    Args:
        config: its numbers.
    """

    config_class = ClapAudioConfig
    main_input_name = "input_features"
    _input_embed_layer = "audio_encoder.patch_embed.proj"

    def __init__(self, config: ClapAudioConfig) -> None:
        super().__init__(config)
        self.audio_encoder = ClapAudioEncoder(config)
        self.post_init()

    def forward(
        self,
        input_features: Tensor | None = None,
        is_longer: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        **_: Any,
    ) -> Any:
        """Return the states of recordings, (R, D, mels, time), and their mean, (R, D).

        Args:
            input_features: (R, channels, time, mels), what ``ClapFeatureExtractor`` makes.
            is_longer: (R, 1), True where the recording was cut into pieces, which a model with fusion puts together.
            output_attentions: return the weights of each stage's last layer.
            output_hidden_states: return the states between the stages, (R, D, h, w).
            return_dict: False returns a tuple.
        """
        if input_features is None:
            raise ValueError("input_features are needed")
        record = self.recording(output_attentions, output_hidden_states)
        features = input_features.to(self.audio_encoder.patch_embed.proj.weight.dtype)
        states, pooled = self.audio_encoder(features, is_longer, record)
        output = BaseModelOutputWithPooling(states, pooled, record.hidden_states, record.attentions)
        return as_asked(output, return_dict, self.config.return_dict)


class ClapModel(ClapPreTrainedModel):
    """CLAP: both encoders, and how well what they read and hear fits.

    Args:
        config: the numbers of both.
    """

    _input_embed_layer = "text_model"

    def __init__(self, config: ClapConfig) -> None:
        super().__init__(config)
        self.logit_scale_a = nn.Parameter(torch.tensor(math.log(config.logit_scale_init_value)))
        self.logit_scale_t = nn.Parameter(torch.tensor(math.log(config.logit_scale_init_value)))
        self.text_model = ClapTextModel(config.text_config)
        self.text_projection = ClapProjection(config.text_config)
        self.audio_model = ClapAudioModel(config.audio_config)
        self.audio_projection = ClapProjection(config.audio_config)
        self.post_init()

    def get_text_features(self, input_ids: Tensor | None = None, attention_mask: Any = None, **options: Any) -> Tensor:
        """Return texts where sounds are, (B, P), of length 1, as transformers 4 does."""
        read = self.text_model(input_ids, attention_mask, return_dict=True, **options)
        return F.normalize(self.text_projection(read.pooler_output), dim=-1)

    def get_audio_features(self, input_features: Tensor | None = None, is_longer: Any = None, **options: Any) -> Tensor:
        """Return sounds where texts are, (R, P), of length 1, as transformers 4 does."""
        heard = self.audio_model(input_features, is_longer, return_dict=True, **options)
        return F.normalize(self.audio_projection(heard.pooler_output), dim=-1)

    def forward(
        self,
        input_ids: Tensor | None = None,
        input_features: Tensor | None = None,
        is_longer: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        return_loss: bool | None = None,
        return_dict: bool | None = None,
        **options: Any,
    ) -> Any:
        """Return how well every text fits every recording.

        Args:
            input_ids: (B, T).
            input_features: (R, channels, time, mels).
            is_longer: (R, 1), as ``ClapAudioModel`` takes it.
            attention_mask: (B, T).
            position_ids: (B, T); counted from ``pad_token_id`` + 1 by default.
            return_loss: return the loss, where the n-th text belongs to the n-th recording.
            return_dict: False returns a tuple.
            options: ``output_attentions``, ``output_hidden_states``.
        """
        heard = self.audio_model(input_features, is_longer, return_dict=True, **options)
        read = self.text_model(input_ids, attention_mask, position_ids=position_ids, return_dict=True, **options)
        sounds = F.normalize(self.audio_projection(heard.pooler_output), dim=-1, eps=0.0)
        texts = F.normalize(self.text_projection(read.pooler_output), dim=-1, eps=0.0)
        by_text = texts @ sounds.t() * self.logit_scale_t.exp()
        by_sound = sounds @ texts.t() * self.logit_scale_a.exp()
        loss = None
        if return_loss:
            own = torch.arange(len(texts), device=by_text.device)
            loss = (token_loss(by_text, own) + token_loss(by_sound.t(), own)) / 2
        output = ClapOutput(loss, by_sound, by_text, texts, sounds, read, heard)
        if self.config.return_dict if return_dict is None else return_dict:
            return output
        return tuple(value.to_tuple() if isinstance(value, ModelOutput) else value for value in output.to_tuple())


class ClapTextModelWithProjection(ClapPreTrainedModel):
    """CLAP's text encoder with its projection."""

    config_class = ClapTextConfig
    _input_embed_layer = "text_model"

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.text_model = ClapTextModel(config)
        self.text_projection = ClapProjection(config)
        self.post_init()

    def forward(self, input_ids: Tensor | None = None, return_dict: bool | None = None, **options: Any) -> Any:
        """Return texts where sounds are, (B, P); further arguments as ``ClapTextModel``'s."""
        read = self.text_model(input_ids, return_dict=True, **options)
        made = self.text_projection(read.pooler_output)
        output = ClapTextModelOutput(made, read.last_hidden_state, read.hidden_states, read.attentions)
        return as_asked(output, return_dict, self.config.return_dict)


class ClapAudioModelWithProjection(ClapPreTrainedModel):
    """CLAP's audio encoder with its projection."""

    config_class = ClapAudioConfig
    main_input_name = "input_features"
    _input_embed_layer = "audio_model"

    def __init__(self, config: ClapAudioConfig) -> None:
        super().__init__(config)
        self.audio_model = ClapAudioModel(config)
        self.audio_projection = ClapProjection(config)
        self.post_init()

    def forward(self, input_features: Tensor | None = None, return_dict: bool | None = None, **options: Any) -> Any:
        """Return sounds where texts are, (R, P); further arguments as ``ClapAudioModel``'s."""
        heard = self.audio_model(input_features, return_dict=True, **options)
        made = self.audio_projection(heard.pooler_output)
        output = ClapAudioModelOutput(made, heard.last_hidden_state, heard.hidden_states, heard.attentions)
        return as_asked(output, return_dict, self.config.return_dict)
