"""Whisper (Radford et al., 2022, "Robust Speech Recognition via Large-Scale Weak Supervision").

Shapes: B rows, M mel filters, F frames (two a state), S states of the encoder, T tokens written, D width, V words.
"""

from __future__ import annotations

import math
import os
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from enfold.errors import EnfoldError
from enfold.nn.embedding import Positions
from enfold.nn.losses import token_loss
from enfold.nn.spans import random_spans
from enfold.transformers.configs.whisper import WhisperConfig
from enfold.transformers.ctranslate2 import open_whisper
from enfold.transformers.generation.whisper import WhisperGenerationMixin
from enfold.transformers.heads import as_asked
from enfold.transformers.models.bart import DecoderAlone
from enfold.transformers.models.bart_core import BartDecoder, BartEncoderLayer, BartPreTrainedModel
from enfold.transformers.outputs import BaseModelOutput, SequenceClassifierOutput
from enfold.transformers.seq2seq import ConditionalGenerationHead, DecoderHead, EncoderDecoder, encoded, surviving

__all__ = [
    "WhisperConfig",
    "WhisperForAudioClassification",
    "WhisperForCausalLM",
    "WhisperForConditionalGeneration",
    "WhisperModel",
    "WhisperPreTrainedModel",
]


def sinusoids(length: int, width: int) -> Tensor:
    """Return waves (length, width) that tell places apart: sines in the first half of the columns, cosines in the
    second, with wavelengths from 2π to 10000 · 2π."""
    if width % 2:
        raise EnfoldError(f"d_model {width} must be even: half of it are sines, half cosines")
    slow = torch.exp(-math.log(10000.0) / (width // 2 - 1) * torch.arange(width // 2))
    angles = torch.arange(length)[:, None] * slow
    return torch.cat((angles.sin(), angles.cos()), 1)


class WhisperPreTrainedModel(BartPreTrainedModel):
    """What all Whisper models share: BART's layers, normalised before each part, keys without a bias."""

    config_class: ClassVar[Any] = WhisperConfig
    main_input_name = "input_features"
    norm_first = norm_last = True
    norm_embeddings = key_bias = logits_bias = False

    def words(self, count: int) -> nn.Embedding:
        """Return an embedding of ``count`` words."""
        return nn.Embedding(count, self.config.d_model, self.config.pad_token_id)

    def positions(self) -> nn.Module:
        """Return what turns places (B | 1, T) into (B | 1, T, D)."""
        return Positions(self.config.max_target_positions, self.config.d_model)

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, WhisperEncoder):
            table = module.embed_positions.weight
            table.copy_(sinusoids(*table.shape))
        elif isinstance(module, WhisperForAudioClassification) and self.config.use_weighted_layer_sum:
            module.layer_weights.fill_(1.0 / (self.config.encoder_layers + 1))

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: Any, *model_args: Any, **kwargs: Any) -> Any:
        """Return a model with the weights of a folder or repository; see ``PreTrainedModel.from_pretrained``.

        A local folder with CTranslate2's ``model.bin``, as faster-whisper reads it, is read as well.
        """
        source = pretrained_model_name_or_path
        found = open_whisper(source) if isinstance(source, str | os.PathLike) else None
        if found is None:
            return super().from_pretrained(source, *model_args, **kwargs)
        kwargs |= {"config": found.config(), "state_dict": found.state_dict()}
        kwargs.setdefault("generation_config", found.generation_config())
        return super().from_pretrained(None, *model_args, **kwargs)

    def freeze_encoder(self) -> None:
        """Keep the encoder as it is in training."""
        encoder: Any = self.base_model.encoder
        encoder.requires_grad_(False)


class WhisperEncoder(WhisperPreTrainedModel):
    """The part that hears."""

    _input_embed_layer = "conv1"

    def __init__(self, config: WhisperConfig) -> None:
        super().__init__(config)
        width = config.d_model
        self.conv1 = nn.Conv1d(config.num_mel_bins, width, kernel_size=3, padding=1)
        self.conv2 = nn.Conv1d(width, width, kernel_size=3, stride=2, padding=1)
        self.embed_positions = nn.Embedding(config.max_source_positions, width)
        self.embed_positions.requires_grad_(False)
        self.layers = nn.ModuleList(
            BartEncoderLayer(config, norm_first=True, key_bias=False) for _ in range(config.encoder_layers)
        )
        self.layer_norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(config.dropout)
        self.post_init()

    def forward(
        self,
        input_features: Tensor,
        attention_mask: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        **_: Any,
    ) -> Any:
        """Return the states (B, S, D) of spectrograms (B, M, F); silence needs no mask.

        Raises:
            EnfoldError: for spectrograms of another length than the model's.
        """
        frames = 2 * self.embed_positions.num_embeddings
        if input_features.shape[-1] != frames:
            raise EnfoldError(
                f"Whisper hears {frames} frames at a time, not {input_features.shape[-1]}: pad them to this length, "
                "as WhisperFeatureExtractor does by default"
            )
        record = self.recording(output_attentions, output_hidden_states)
        # Spectrograms come in single precision, whatever the weights are in.
        x = input_features.to(self.conv1.weight.dtype)
        x = F.gelu(self.conv2(F.gelu(self.conv1(x)))).transpose(1, 2)  # (B, S, D)
        x = self.dropout(x + self.embed_positions.weight)
        x = self.encode(surviving(self.layers, self.config.encoder_layerdrop, self.training), x, record, None)
        x = self.layer_norm(x)
        record.finish(x)
        output = BaseModelOutput(x, record.hidden_states, record.attentions)
        return as_asked(output, return_dict, self.config.return_dict)


class WhisperDecoder(BartDecoder, WhisperPreTrainedModel):
    """The part that writes."""

    main_input_name = "input_ids"


class WhisperModel(EncoderDecoder, WhisperPreTrainedModel):
    """Whisper without a head."""

    _input_embed_layer = "decoder.embed_tokens"

    def __init__(self, config: WhisperConfig) -> None:
        super().__init__(config)
        self.encoder = WhisperEncoder(config)
        self.decoder = WhisperDecoder(config)
        self.post_init()

    def decoder_inputs(
        self, input_ids: Tensor | None, decoder_input_ids: Tensor | None, decoder_inputs_embeds: Tensor | None
    ) -> Tensor | None:
        """Return what the decoder is given: sound is no text to begin with."""
        return decoder_input_ids

    def run(
        self,
        inputs: Tensor | None = None,
        attention_mask: Tensor | None = None,
        *more: Any,
        decoder_position_ids: Tensor | None = None,
        **named: Any,
    ) -> Any:
        """Hear, unless ``encoder_outputs`` says what was heard, and write; see ``EncoderDecoder.run``."""
        if inputs is not None and self.training and self.config.apply_spec_augment:
            inputs = self.augmented(inputs, attention_mask)
        return super().run(inputs, None, *more, position_ids=decoder_position_ids, **named)

    def augmented(self, features: Tensor, attention_mask: Tensor | None) -> Tensor:
        """Return spectrograms (B, M, F) with spans of frames and of filters silenced (SpecAugment)."""
        config, (rows, filters, frames) = self.config, features.shape
        if config.mask_time_prob > 0:
            real = None if attention_mask is None else attention_mask.sum(-1).tolist()
            share, length, least = config.mask_time_prob, config.mask_time_length, config.mask_time_min_masks
            hidden = torch.from_numpy(random_spans((rows, frames), share, length, lengths=real, least=least))
            features = features.masked_fill(hidden.to(features.device)[:, None], 0.0)
        if config.mask_feature_prob > 0:
            share, length, least = config.mask_feature_prob, config.mask_feature_length, config.mask_feature_min_masks
            hidden = torch.from_numpy(random_spans((rows, filters), share, length, least=least))
            features = features.masked_fill(hidden.to(features.device)[:, :, None], 0.0)
        return features

    def forward(
        self,
        input_features: Tensor | None = None,
        attention_mask: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        *inputs: Any,
        return_dict: bool | None = None,
        **named: Any,
    ) -> Any:
        """Return the decoder's states (B, T, D) for spectrograms (B, M, F); arguments as ``EncoderDecoder.run``, and
        ``decoder_position_ids`` (B | 1, T)."""
        output = self.run(input_features, attention_mask, decoder_input_ids, *inputs, **named)
        return as_asked(output, return_dict, self.config.return_dict)


class _WithWords(WhisperPreTrainedModel):
    """A layer that predicts tokens, which shares their embeddings."""

    _tied_weights_keys = {"proj_out.weight": "model.decoder.embed_tokens.weight"}
    proj_out: nn.Linear

    def get_output_embeddings(self) -> nn.Module:
        """Return the layer that predicts tokens."""
        return self.proj_out

    def set_output_embeddings(self, value: Any) -> None:
        """Replace the layer that predicts tokens."""
        self.proj_out = value

    def read(self, states: Tensor) -> Tensor:
        """Return words' logits (B, T, V)."""
        return self.proj_out(states)


class WhisperForConditionalGeneration(WhisperGenerationMixin, ConditionalGenerationHead, _WithWords):
    """Whisper that writes down what was said, in the language itself or in English."""

    def __init__(self, config: WhisperConfig) -> None:
        super().__init__(config)
        self.model = WhisperModel(config)
        self.proj_out = nn.Linear(config.d_model, config.vocab_size, bias=False)
        self.max_target_positions = config.max_target_positions
        self.post_init()

    def forward(  # type: ignore[override]
        self,
        input_features: Tensor | None = None,
        attention_mask: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        decoder_attention_mask: Tensor | None = None,
        encoder_outputs: Any = None,
        past_key_values: Any = None,
        decoder_inputs_embeds: Tensor | None = None,
        decoder_position_ids: Tensor | None = None,
        labels: Tensor | None = None,
        **named: Any,
    ) -> Any:
        """Return next-token logits (B, T, V) for spectrograms (B, M, F); see ``ConditionalGenerationHead.forward``."""
        most = self.max_target_positions
        if labels is not None and labels.shape[1] > most:
            raise EnfoldError(f"labels have {labels.shape[1]} tokens; the model writes {most} at most")
        return super().forward(
            input_features,
            attention_mask,
            decoder_input_ids,
            decoder_attention_mask,
            encoder_outputs,
            past_key_values,
            None,
            decoder_inputs_embeds,
            labels,
            decoder_position_ids=decoder_position_ids,
            **named,
        )


class WhisperDecoderAlone(DecoderAlone, WhisperPreTrainedModel):
    """The decoder under the name that it has beside the encoder."""

    decoder_kind: ClassVar[type[BartDecoder]] = WhisperDecoder


class WhisperForCausalLM(DecoderHead, _WithWords):
    """Whisper's decoder alone, a draft for assisted decoding; ``encoder_outputs`` says what was heard."""

    main_input_name = "input_ids"

    def __init__(self, config: WhisperConfig) -> None:
        config.is_encoder_decoder = False
        super().__init__(config)
        self.model = WhisperDecoderAlone(config)
        self.proj_out = nn.Linear(config.d_model, config.vocab_size, bias=False)
        self.post_init()

    def forward(  # type: ignore[override]
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        encoder_outputs: Any = None,
        *inputs: Any,
        **named: Any,
    ) -> Any:
        """Return next-token logits (B, T, V); arguments as ``DecoderHead.forward``, with ``encoder_outputs``."""
        heard = named.pop("encoder_hidden_states", None)
        if encoder_outputs is not None:
            heard = encoder_outputs if isinstance(encoder_outputs, Tensor) else encoded(encoder_outputs)[0]
        named = dict(zip(("past_key_values", "inputs_embeds", "labels"), inputs, strict=False)) | named
        return super().forward(input_ids, attention_mask, heard, **named)


class WhisperForAudioClassification(WhisperPreTrainedModel):
    """Whisper's encoder with one prediction a recording."""

    _input_embed_layer = "encoder"

    def __init__(self, config: WhisperConfig) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        self.encoder = WhisperEncoder(config)
        if config.use_weighted_layer_sum:
            states = config.encoder_layers + 1
            self.layer_weights = nn.Parameter(torch.full((states,), 1.0 / states))
        self.projector = nn.Linear(config.d_model, config.classifier_proj_size)
        self.classifier = nn.Linear(config.classifier_proj_size, config.num_labels)
        self.post_init()

    def forward(
        self,
        input_features: Tensor | None = None,
        encoder_outputs: Any = None,
        labels: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        **_: Any,
    ) -> Any:
        """Return logits (B, C) for spectrograms (B, M, F); ``labels`` are (B,) classes."""
        weighted = self.config.use_weighted_layer_sum
        if encoder_outputs is None:
            encoder_outputs = self.encoder(
                input_features,
                output_attentions=output_attentions,
                output_hidden_states=True if weighted else output_hidden_states,
                return_dict=True,
            )
        heard = encoded(encoder_outputs)
        x = heard.last_hidden_state
        if weighted:
            shares = self.layer_weights.softmax(-1)
            x = torch.einsum("l,lbsd->bsd", shares, torch.stack(heard.hidden_states))  # type: ignore[arg-type]
        logits = self.classifier(self.projector(x).mean(1))
        loss = None if labels is None else token_loss(logits, labels)
        output = SequenceClassifierOutput(loss, logits, heard.get("hidden_states"), heard.get("attentions"))
        return as_asked(output, return_dict, self.config.return_dict)
