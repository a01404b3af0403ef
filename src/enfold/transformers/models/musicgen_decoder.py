"""MusicGen's decoder: several streams of codes, each a step behind the one before.

Shapes: B rows, Q codebooks, T steps, S states read, D width, V codes.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from enfold.errors import EnfoldError
from enfold.nn.activations import activation
from enfold.nn.attention import Manner
from enfold.nn.losses import token_loss
from enfold.nn.mask import causal_mask, encoder_mask
from enfold.transformers.configs.musicgen import MusicgenDecoderConfig
from enfold.transformers.generation.config import GenerationConfig
from enfold.transformers.generation.guidance import ClassifierFreeGuidanceLogitsProcessor
from enfold.transformers.generation.mixin import GenerationMixin
from enfold.transformers.heads import as_asked
from enfold.transformers.modeling import PreTrainedModel
from enfold.transformers.models.bart_core import BartAttention
from enfold.transformers.outputs import BaseModelOutputWithPastAndCrossAttentions, CausalLMOutputWithCrossAttentions
from enfold.transformers.seq2seq import shift_right, surviving

__all__ = ["MusicgenForCausalLM", "MusicgenModel", "MusicgenPreTrainedModel"]


class MusicgenAttention(BartAttention):
    """BART's attention without biases."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__(width, heads, dropout, key_bias=False)
        self.v_proj = nn.Linear(width, width, bias=False)
        self.q_proj = nn.Linear(width, width, bias=False)
        self.out_proj = nn.Linear(width, width, bias=False)


class MusicgenDecoderLayer(nn.Module):
    """Attention to the codes so far, to the text, then feed-forward; each normalised before."""

    def __init__(self, config: MusicgenDecoderConfig) -> None:
        super().__init__()
        width, shape = config.hidden_size, (config.num_attention_heads, config.attention_dropout)
        self.self_attn = MusicgenAttention(width, *shape)
        self.self_attn_layer_norm = nn.LayerNorm(width)
        self.encoder_attn = MusicgenAttention(width, *shape)
        self.encoder_attn_layer_norm = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, config.ffn_dim, bias=False)
        self.fc2 = nn.Linear(config.ffn_dim, width, bias=False)
        self.final_layer_norm = nn.LayerNorm(width)
        self.act = activation(config.activation_function)
        self.dropout, self.activation_dropout = nn.Dropout(config.dropout), nn.Dropout(config.activation_dropout)

    def forward(
        self,
        x: Tensor,
        mask: Tensor | None,
        causal: bool,
        memory: Tensor | None,
        memory_mask: Tensor | None,
        cache: Any,
        weights: Manner,
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Return (B, T, D) and, with ``weights``, the attention weights to the codes and to the text."""
        attended, shares = self.self_attn(self.self_attn_layer_norm(x), mask, causal, cache, weights)
        x, crossed = x + self.dropout(attended), None
        if memory is not None:
            y = self.encoder_attn_layer_norm(x)
            attended, crossed = self.encoder_attn(y, memory_mask, False, cache, weights, memory)
            x = x + self.dropout(attended)
        y = self.activation_dropout(self.act(self.fc1(self.final_layer_norm(x))))
        return x + self.dropout(self.fc2(y)), shares, crossed


def sinusoids(places: Tensor, width: int) -> Tensor:
    """Return positions (T, D) as cosines and sines of wavelengths from 2 π to 10,000 · 2 π."""
    half = width // 2
    waves = torch.exp(torch.arange(half, device=places.device).float() * -(torch.tensor(10000.0).log() / (half - 1)))
    angles = places.float()[:, None] * waves
    return nn.functional.pad(torch.cat((angles.cos(), angles.sin()), dim=1), (0, width % 2))


class MusicgenPreTrainedModel(PreTrainedModel):
    """What MusicGen's models share."""

    config_class: ClassVar[Any] = MusicgenDecoderConfig
    base_model_prefix = "model"
    _supports_sdpa = True
    _no_split_modules = ["MusicgenDecoderLayer"]
    _keys_to_ignore_on_load_unexpected = [r"embed_positions\.weights$"]

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        std = self.config.initializer_factor
        if isinstance(module, nn.Linear | nn.Embedding):
            module.weight.normal_(0.0, std)


class MusicgenDecoder(MusicgenPreTrainedModel):
    """The layers."""

    def __init__(self, config: MusicgenDecoderConfig) -> None:
        super().__init__(config)
        width = config.hidden_size
        self.embed_tokens = nn.ModuleList(
            nn.Embedding(config.vocab_size + 1, width) for _ in range(config.num_codebooks)
        )  # the last row stands for nothing yet
        self.layers = nn.ModuleList(MusicgenDecoderLayer(config) for _ in range(config.num_hidden_layers))
        self.layer_norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(config.dropout)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        encoder_hidden_states: Tensor | None = None,
        encoder_attention_mask: Tensor | None = None,
        past_key_values: Any = None,
        inputs_embeds: Tensor | None = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        **_: Any,
    ) -> Any:
        """Return the states of every step.

        Args:
            input_ids: (B · Q, T), the first row's codes of every book, then the second's.
            attention_mask: (B, T with the past), 0 for padding.
            encoder_hidden_states: (B, S, D), the text.
            encoder_attention_mask: (B, S), 0 for padding of it.
            past_key_values: keys and values of the steps before.
            inputs_embeds: (B, T, D), instead of ``input_ids``.
            use_cache, output_attentions, output_hidden_states, return_dict: as everywhere.
        """
        if inputs_embeds is None:
            assert input_ids is not None
            codes = input_ids.view(-1, self.config.num_codebooks, input_ids.shape[-1])  # (B, Q, T)
            inputs_embeds = torch.stack([book(codes[:, q]) for q, book in enumerate(self.embed_tokens)]).sum(0)
        cache = self.cache_for(past_key_values, use_cache, crossed=True)
        past, length = 0 if cache is None else cache.get_seq_length(), inputs_embeds.shape[1]
        mask, causal = causal_mask(attention_mask, length, past, device=inputs_embeds.device)
        seen = None if encoder_hidden_states is None else encoder_mask(encoder_attention_mask)
        places = torch.arange(past, past + length, device=inputs_embeds.device)
        x = self.dropout(inputs_embeds + sinusoids(places, inputs_embeds.shape[2]).to(inputs_embeds.dtype))
        record = self.recording(output_attentions, output_hidden_states)
        layers = surviving(self.layers, self.config.layerdrop, self.training)
        x = self.decode(layers, x, record, mask, causal, encoder_hidden_states, seen, cache=cache)
        x = self.layer_norm(x)
        record.finish(x)
        output = BaseModelOutputWithPastAndCrossAttentions(
            x, cache, record.hidden_states, record.attentions, record.cross_attentions
        )
        return as_asked(output, return_dict, self.config.return_dict)


class MusicgenModel(MusicgenPreTrainedModel):
    """The decoder without its heads."""

    _input_embed_layer = "decoder.embed_tokens"

    def __init__(self, config: MusicgenDecoderConfig) -> None:
        super().__init__(config)
        self.decoder = MusicgenDecoder(config)
        self.post_init()

    def forward(self, *args: Any, **options: Any) -> Any:
        """Return the states of every step; arguments as ``MusicgenDecoder``'s."""
        return self.decoder(*args, **options)


class MusicgenForCausalLM(MusicgenPreTrainedModel, GenerationMixin):
    """The decoder, which writes codes."""

    def __init__(self, config: MusicgenDecoderConfig) -> None:
        super().__init__(config)
        self.model = MusicgenModel(config)
        self.num_codebooks = config.num_codebooks
        self.lm_heads = nn.ModuleList(
            nn.Linear(config.hidden_size, config.vocab_size, bias=False) for _ in range(config.num_codebooks)
        )
        self.post_init()

    def get_output_embeddings(self) -> nn.Module:
        """Return the layers that predict codes."""
        return self.lm_heads

    def set_output_embeddings(self, value: Any) -> None:
        """Replace the layers that predict codes."""
        self.lm_heads = value

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        encoder_hidden_states: Tensor | None = None,
        encoder_attention_mask: Tensor | None = None,
        past_key_values: Any = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        return_dict: bool | None = None,
        **extra: Any,
    ) -> Any:
        """Return next-code logits (B · Q, T, V); ``labels`` are (B, T, Q), and -100 or padding where there is none."""
        config = self.config
        if labels is not None and input_ids is None and inputs_embeds is None:
            shifted = shift_right(labels.transpose(1, 2).flatten(0, 1), config.pad_token_id, config.bos_token_id)
            input_ids = shifted  # (B · Q, T)
        extra.pop("logits_to_keep", None)
        states = self.model(
            input_ids,
            attention_mask,
            encoder_hidden_states,
            encoder_attention_mask,
            past_key_values,
            inputs_embeds,
            use_cache,
            return_dict=True,
            **extra,
        )
        logits = torch.stack([head(states.last_hidden_state) for head in self.lm_heads], dim=1)  # (B, Q, T, V)
        loss = None
        if labels is not None:
            wanted = labels.masked_fill(labels == config.pad_token_id, -100)
            own = logits[:, :, -labels.shape[1] :]
            loss = torch.stack([token_loss(own[:, q], wanted[..., q]) for q in range(config.num_codebooks)]).mean()
        output = CausalLMOutputWithCrossAttentions(
            loss,
            logits.flatten(0, 1),
            states.past_key_values,
            states.hidden_states,
            states.attentions,
            states.cross_attentions,
        )
        return as_asked(output, return_dict, config.return_dict)

    # --- writing

    def build_delay_pattern_mask(
        self, input_ids: Tensor, pad_token_id: int, max_length: int | None = None
    ) -> tuple[Tensor, Tensor]:
        """Set every codebook a step behind the one before (left and right channels together).

        Args:
            input_ids: (B · Q, T), codes to go on from.
            pad_token_id: stands where a book has nothing yet, or nothing more.
            max_length: L, steps in all.

        Returns:
            ``(ids, pattern)``: the codes up to the first step that is open, and (B · Q, L), what stands at each place,
            -1 where a code is to be written.

        Source: Copet et al., 2023, "Simple and Controllable Music Generation", section 2.2.
        """
        length = self.generation_config.max_length if max_length is None else max_length
        codes = input_ids.view(-1, self.num_codebooks, input_ids.shape[-1])
        given, together = codes.shape[-1], self.config.audio_channels
        steps = self.num_codebooks // together
        pattern = codes.new_full((len(codes), self.num_codebooks, length), -1)
        if length < 2 * steps - 1:
            return input_ids, pattern.flatten(0, 1)
        for q in range(self.num_codebooks):
            late = q // together
            pattern[:, q, late : given + late] = codes[:, q, : length - late]
            pattern[:, q, : late + 1] = pad_token_id
            pattern[:, q, length - steps + 1 + late :] = pad_token_id
        still_open = (pattern[:, 0] == -1).any(0).nonzero()
        first = int(still_open[0]) if len(still_open) else given
        return pattern[..., :first].flatten(0, 1), pattern.flatten(0, 1)

    @staticmethod
    def apply_delay_pattern_mask(input_ids: Tensor, decoder_pad_token_mask: Tensor) -> Tensor:
        """Return ids (B · Q, T) with what the pattern (B · Q, L) says, where it is not -1."""
        pattern = decoder_pad_token_mask[..., : input_ids.shape[-1]]
        return torch.where(pattern == -1, input_ids, pattern)

    def prepare_inputs_for_generation(  # type: ignore[override]
        self,
        input_ids: Tensor,
        past_key_values: Any = None,
        delay_pattern_mask: Tensor | None = None,
        guided: bool = False,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Return the arguments of the forward pass for the next step: codes as the pattern has them, twice under
        guidance."""
        if delay_pattern_mask is not None:
            first = 0 if past_key_values is None else int(past_key_values.get_seq_length())
            pattern = delay_pattern_mask[:, first : first + input_ids.shape[1]]
            input_ids = torch.where(pattern == -1, input_ids, pattern)
        if guided:
            input_ids = input_ids.repeat(2, 1)
        for name in ("inputs_embeds", "position_ids"):
            kwargs.pop(name, None)
        return {"input_ids": input_ids, "past_key_values": past_key_values, **kwargs}

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
        """Write codes.

        Args:
            inputs: (B · Q, T), codes to go on from, a start code first; also as ``input_ids``.
            generation_config, logits_processor, stopping_criteria, synced_gpus, streamer: as everywhere.
            kwargs: as everywhere; under ``guidance_scale`` above 1 ``encoder_hidden_states`` hold every row twice, with
                its text and without.

        Returns:
            Codes (B, Q, steps).

        Raises:
            EnfoldError: for beams, which several streams of codes do not have.
        """
        config, rest = (generation_config or GenerationConfig()).filled(self.generation_config, **kwargs)
        if config.num_beams > 1 or config.num_return_sequences > 1:
            raise EnfoldError("MusicGen writes one sound a row, without beams: num_beams=1, num_return_sequences=1")
        ids = rest.pop("input_ids", None) if inputs is None else inputs
        start = config.bos_token_id if config.decoder_start_token_id is None else config.decoder_start_token_id
        if ids is None:
            ids = torch.full((self.num_codebooks, 1), start, device=self.device)
        given = ids.shape[1]
        length = given + config.max_new_tokens if config.max_new_tokens else config.max_length
        if not config.max_new_tokens and length == 20:
            length += given  # nobody asked for a length
        ids, pattern = self.build_delay_pattern_mask(ids, config.pad_token_id, length)
        processors = list(logits_processor or ())
        scale, config.guidance_scale = config.guidance_scale, 1.0
        guided = scale is not None and scale > 1
        if guided:
            processors.append(ClassifierFreeGuidanceLogitsProcessor(scale))
        config.max_new_tokens = length - ids.shape[1]
        found = super().generate(
            ids,
            config,
            processors,
            stopping_criteria,
            streamer=streamer,
            delay_pattern_mask=pattern,
            guided=guided,
            attention_mask=torch.ones_like(ids),  # the start code is padding's, and yet is looked at
            **rest,
        )
        written = found if isinstance(found, Tensor) else found.sequences
        codes = self.apply_delay_pattern_mask(written, pattern)
        codes = codes[codes != config.pad_token_id].view(len(written) // self.num_codebooks, self.num_codebooks, -1)
        if isinstance(found, Tensor):
            return codes
        found.sequences = codes
        return found
