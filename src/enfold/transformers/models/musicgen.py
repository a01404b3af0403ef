"""MusicGen (Copet et al., 2023, "Simple and Controllable Music Generation"): a text encoder, a decoder of codes, and a
codec that makes sound of them.

Shapes: B rows, Q codebooks, T steps, S tokens of text, D width, C channels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from enfold.errors import EnfoldError
from enfold.nn.outputs import ModelOutput
from enfold.transformers.auto import AutoModel, AutoModelForTextEncoding
from enfold.transformers.configs.musicgen import MusicgenConfig, MusicgenDecoderConfig
from enfold.transformers.generation.config import GenerationConfig
from enfold.transformers.generation.mixin import GenerationMixin
from enfold.transformers.heads import as_asked
from enfold.transformers.models.musicgen_decoder import MusicgenForCausalLM, MusicgenModel, MusicgenPreTrainedModel
from enfold.transformers.outputs import BaseModelOutput, Seq2SeqLMOutput
from enfold.transformers.seq2seq import shift_right

__all__ = [
    "MusicgenConfig",
    "MusicgenDecoderConfig",
    "MusicgenForCausalLM",
    "MusicgenForConditionalGeneration",
    "MusicgenModel",
    "MusicgenPreTrainedModel",
]


@dataclass
class MusicgenUnconditionalInput(ModelOutput):
    """What ``generate`` takes to make music of nothing."""

    encoder_outputs: tuple[Tensor] | None = None
    attention_mask: Tensor | None = None
    guidance_scale: float | None = None


class MusicgenForConditionalGeneration(MusicgenPreTrainedModel, GenerationMixin):
    """MusicGen.

    Args:
        config: the numbers of all three parts; made of the parts' own where None.
        text_encoder, audio_encoder, decoder: the parts; blank ones by default.
    """

    config_class: ClassVar[Any] = MusicgenConfig
    base_model_prefix = "encoder_decoder"
    _input_embed_layer = "text_encoder"

    def __init__(
        self, config: Any = None, text_encoder: Any = None, audio_encoder: Any = None, decoder: Any = None
    ) -> None:
        parts = {"text_encoder": text_encoder, "audio_encoder": audio_encoder, "decoder": decoder}
        if config is None:
            missing = [name for name, part in parts.items() if part is None]
            if missing:
                raise EnfoldError(f"without a configuration all three parts are needed; missing: {', '.join(missing)}")
            config = MusicgenConfig(**{name: part.config for name, part in parts.items()})
        super().__init__(config)
        self.text_encoder = text_encoder or AutoModelForTextEncoding.from_config(config.text_encoder)
        self.audio_encoder = audio_encoder or AutoModel.from_config(config.audio_encoder)
        self.decoder = decoder or MusicgenForCausalLM(config.decoder)
        for name in parts:
            setattr(config, name, getattr(self, name).config)
        crossed, width = config.decoder.cross_attention_hidden_size, config.text_encoder.hidden_size
        if crossed not in (None, width):
            raise EnfoldError(f"decoder.cross_attention_hidden_size is {crossed} and the text encoder's width {width}")
        self.enc_to_dec_proj = None
        if crossed is None and width != config.decoder.hidden_size:
            self.enc_to_dec_proj = nn.Linear(width, config.decoder.hidden_size)
        self.post_init()

    @classmethod
    def from_sub_models_pretrained(
        cls,
        text_encoder_pretrained_model_name_or_path: Any = None,
        audio_encoder_pretrained_model_name_or_path: Any = None,
        decoder_pretrained_model_name_or_path: Any = None,
        **kwargs: Any,
    ) -> Any:
        """Put three models of their own repositories together.

        Args:
            text_encoder_pretrained_model_name_or_path, audio_encoder_pretrained_model_name_or_path,
            decoder_pretrained_model_name_or_path: folders or repository ids.
            kwargs: arguments of a part's ``from_pretrained`` after ``text_encoder_``, ``audio_encoder_`` or
                ``decoder_``; the rest are values of the whole's configuration.
        """
        own: dict[str, dict[str, Any]] = {"text_encoder": {}, "audio_encoder": {}, "decoder": {}}
        for name in list(kwargs):
            part = next((part for part in own if name.startswith(f"{part}_")), None)
            if part is not None:
                own[part][name.removeprefix(f"{part}_")] = kwargs.pop(name)
        places: dict[str, tuple[Any, Any]] = {
            "text_encoder": (AutoModelForTextEncoding, text_encoder_pretrained_model_name_or_path),
            "audio_encoder": (AutoModel, audio_encoder_pretrained_model_name_or_path),
            "decoder": (MusicgenForCausalLM, decoder_pretrained_model_name_or_path),
        }
        parts = {}
        for name, (reader, place) in places.items():
            given = own[name].pop("model", None)
            if given is None and place is None:
                raise ValueError(f"where is the {name}? Pass {name}_pretrained_model_name_or_path or {name}_model")
            parts[name] = reader.from_pretrained(place, **own[name]) if given is None else given
        config = MusicgenConfig(**{name: part.config for name, part in parts.items()}, **kwargs)
        return cls(config, **parts)

    def get_encoder(self, modality: str | None = None) -> nn.Module:
        """Return the text encoder, or the codec for ``modality="audio"``."""
        return self.audio_encoder if modality == "audio" else self.text_encoder

    def get_output_embeddings(self) -> nn.Module | None:
        """Return the layers that predict codes."""
        return self.decoder.get_output_embeddings()

    def resize_token_embeddings(self, *_: Any, **__: Any) -> Any:
        """Raise EnfoldError: the parts have embeddings of their own."""
        raise EnfoldError("resize the parts instead: model.text_encoder.resize_token_embeddings(…)")

    def freeze_text_encoder(self) -> None:
        """Leave the text encoder as it is while training."""
        self.text_encoder.requires_grad_(False)

    def freeze_audio_encoder(self) -> None:
        """Leave the codec as it is while training."""
        self.audio_encoder.requires_grad_(False)

    def memory(self, states: Tensor, mask: Tensor | None) -> Tensor:
        """Return what the decoder looks at, (B, S, D), for the text's states; padding is zero."""
        states = states if self.enc_to_dec_proj is None else self.enc_to_dec_proj(states)
        return states if mask is None else states * mask[..., None]

    def codes(self, sound: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Any]:
        """Return codes (B · Q, T) of sound (B, C, S), and how loud it was; two channels take turns."""
        channels = self.config.decoder.audio_channels
        if sound.shape[1] != channels and channels == 2:
            raise ValueError(f"sound of two channels was expected, not of {sound.shape[1]}")
        sides = [sound[:, index : index + 1] for index in range(2)] if channels == 2 else [sound]
        read = [self.audio_encoder.encode(side, padding_mask=mask, return_dict=True) for side in sides]
        codes = torch.stack([one.audio_codes for one in read], dim=3).flatten(2, 3)  # (N, B, Q, T)
        if len(codes) != 1:
            raise ValueError(f"the codec cut the sound into {len(codes)} chunks; MusicGen needs chunk_length_s=None")
        return codes[0].flatten(0, 1), read[0].audio_scales

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        input_values: Tensor | None = None,
        padding_mask: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        decoder_attention_mask: Tensor | None = None,
        encoder_outputs: Any = None,
        past_key_values: Any = None,
        inputs_embeds: Tensor | None = None,
        decoder_inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        return_dict: bool | None = None,
        **options: Any,
    ) -> Any:
        """Return next-code logits (B · Q, T, V).

        Args:
            input_ids, attention_mask, inputs_embeds: the text (B, S); or ``encoder_outputs``, what was read before.
            input_values, padding_mask: sound (B, C, samples), whose codes are read where no others are given.
            decoder_input_ids: codes (B · Q, T); or ``decoder_inputs_embeds`` (B, T, D).
            decoder_attention_mask: (B, T).
            past_key_values, use_cache, return_dict: as everywhere.
            labels: (B, T, Q), codes, and -100 or padding where there is none.
            options: ``output_attentions``, ``output_hidden_states``.
        """
        if encoder_outputs is None:
            encoder_outputs = self.text_encoder(
                input_ids, attention_mask=attention_mask, inputs_embeds=inputs_embeds, return_dict=True, **options
            )
        elif not hasattr(encoder_outputs, "last_hidden_state"):
            encoder_outputs = BaseModelOutput(*encoder_outputs)
        own = self.config.decoder
        if decoder_input_ids is None and decoder_inputs_embeds is None:
            if labels is not None:
                start = own.bos_token_id if own.decoder_start_token_id is None else own.decoder_start_token_id
                decoder_input_ids = shift_right(labels.transpose(1, 2).flatten(0, 1), own.pad_token_id, start)
            elif input_values is not None:
                decoder_input_ids, _ = self.codes(input_values, padding_mask)
            else:
                raise ValueError("the decoder needs decoder_input_ids, labels or input_values")
        written = self.decoder(
            decoder_input_ids,
            decoder_attention_mask,
            self.memory(encoder_outputs.last_hidden_state, attention_mask),
            attention_mask,
            past_key_values,
            decoder_inputs_embeds,
            labels,
            use_cache,
            return_dict=True,
            **options,
        )
        output = Seq2SeqLMOutput(
            loss=written.loss,
            logits=written.logits,
            past_key_values=written.past_key_values,
            decoder_hidden_states=written.hidden_states,
            decoder_attentions=written.attentions,
            cross_attentions=written.cross_attentions,
            encoder_last_hidden_state=encoder_outputs.last_hidden_state,
            encoder_hidden_states=encoder_outputs.hidden_states,
            encoder_attentions=encoder_outputs.attentions,
        )
        return as_asked(output, return_dict, self.config.return_dict)

    def get_unconditional_inputs(self, num_samples: int = 1) -> MusicgenUnconditionalInput:
        """Return what ``generate(**inputs)`` takes to make ``num_samples`` pieces of nothing."""
        states = torch.zeros(num_samples, 1, self.config.text_encoder.hidden_size, device=self.device, dtype=self.dtype)
        mask = torch.zeros(num_samples, 1, dtype=torch.long, device=self.device)
        return MusicgenUnconditionalInput((states,), mask, 1.0)

    @torch.no_grad()
    def generate(  # type: ignore[override]
        self,
        inputs: Tensor | None = None,
        generation_config: GenerationConfig | None = None,
        logits_processor: Any = None,
        stopping_criteria: Any = None,
        synced_gpus: bool | None = None,
        streamer: Any = None,
        **kwargs: Any,
    ) -> Any:
        """Make music.

        Args:
            inputs: the text's ids (B, S), also as ``input_ids``; or ``encoder_outputs``.
            generation_config, logits_processor, stopping_criteria, synced_gpus, streamer: as everywhere.
            kwargs: fields of ``GenerationConfig`` (``guidance_scale``, ``max_new_tokens``: codes, some fifty a second);
                ``attention_mask`` (B, S); ``input_values`` and ``padding_mask``, sound to go on from.

        Returns:
            Sound (B, C, samples), or with ``return_dict_in_generate=True`` an output whose ``sequences`` it is.
        """
        config, rest = (generation_config or GenerationConfig()).filled(self.generation_config, **kwargs)
        ids = rest.pop("input_ids", None) if inputs is None else inputs
        mask, read = rest.pop("attention_mask", None), rest.pop("encoder_outputs", None)
        if read is None and ids is None:
            raise ValueError("MusicGen needs a text (input_ids), or model.get_unconditional_inputs()")
        if ids is not None and mask is None and config.pad_token_id is not None:
            mask = torch.ones_like(ids)
        states = self.text_encoder(ids, attention_mask=mask, return_dict=True)[0] if read is None else read[0]
        rows, own = len(states), self.config.decoder
        start = own.bos_token_id if config.decoder_start_token_id is None else config.decoder_start_token_id
        codes = torch.full((rows * own.num_codebooks, 1), start, device=states.device)
        sound, shown = rest.pop("input_values", None), rest.pop("padding_mask", None)
        given, scales = rest.pop("decoder_input_ids", None), None
        if sound is not None:
            given, scales = self.codes(sound, shown)
        if given is not None:
            codes = given if (given[:, 0] == start).any() else torch.cat((codes, given), dim=1)
        memory = self.memory(states, mask)
        if config.guidance_scale is not None and config.guidance_scale > 1:
            memory = torch.cat((memory, self.memory(torch.zeros_like(states), None if mask is None else mask * 0)))
            mask = None if mask is None else torch.cat((mask, torch.zeros_like(mask)))
        config.pad_token_id = own.pad_token_id
        found = self.decoder.generate(
            codes,
            config,
            logits_processor,
            stopping_criteria,
            streamer=streamer,
            encoder_hidden_states=memory,
            encoder_attention_mask=mask,
            **rest,
        )
        written = (found if isinstance(found, Tensor) else found.sequences)[None]  # (1, B, Q, T)
        sides = [written[:, :, index::2] for index in range(2)] if own.audio_channels == 2 else [written]
        made = [self.audio_encoder.decode(side, scales or [None], return_dict=True).audio_values for side in sides]
        music = torch.cat(made, dim=1)
        if isinstance(found, Tensor):
            return music
        found.sequences = music
        return found
