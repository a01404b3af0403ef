"""``generate``: what is asked for, made definite once, then one tight loop."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from enfold.errors import nearest
from enfold.log import get_logger
from enfold.nn.cache import Cache, DynamicCache, EncoderDecoderCache
from enfold.nn.rows import writing
from enfold.transformers.generation.assisted import assisted, guesser
from enfold.transformers.generation.caching import compiled_step, new_cache
from enfold.transformers.generation.config import GenerationConfig, GenerationError
from enfold.transformers.generation.constraints import constraints_of
from enfold.transformers.generation.contrastive import contrastive
from enfold.transformers.generation.custom import decoded_by, named_loop, own_arguments
from enfold.transformers.generation.dola import LayerContrast, layers_of
from enfold.transformers.generation.engine.manager import ContinuousMixin, paged
from enfold.transformers.generation.grouped import grouped
from enfold.transformers.generation.guidance import UnbatchedClassifierFreeGuidanceLogitsProcessor
from enfold.transformers.generation.healing import heal_tokens
from enfold.transformers.generation.loops import Run, beams, one_by_one
from enfold.transformers.generation.modes import GenerationMode, mode_of
from enfold.transformers.generation.reading import read, repeated
from enfold.transformers.generation.room import most_to_write
from enfold.transformers.generation.shaping import criteria_for, processors_for

if TYPE_CHECKING:
    from enfold.transformers.modeling import PreTrainedModel

    Base = PreTrainedModel
else:
    Base = object

__all__ = ["GenerationMixin"]

logger = get_logger(__name__)

# Fields of the ecosystem's that nothing here does: said rather than ignored.
ABSENT = ("assistant_ensemble_weight", "speculation_type", "use_mtp")


class GenerationMixin(ContinuousMixin, Base):
    """Gives a model with next-token logits its ``generate``."""

    # An encoder-decoder's decoder_input_ids are put after its start token where they lack it.
    begins_with_start_token = True

    def heal_tokens(self, input_ids: Tensor, tokenizer: Any = None) -> Tensor:
        """Return prompts whose last tokens were chosen again; see :mod:`enfold.transformers.generation.healing`."""
        return heal_tokens(self, input_ids, tokenizer)

    def prepare_inputs_for_generation(
        self,
        input_ids: Tensor,
        past_key_values: Cache | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        position_ids: Tensor | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Return the arguments of the forward pass for the next step.

        Args:
            input_ids: (B, T), the tokens that are not in the cache yet.
            past_key_values: the cache.
            attention_mask: (B, S), or None when nothing is padding.
            inputs_embeds: (B, T, D), for the first step instead of ``input_ids``.
            position_ids: (B | 1, T).
        """
        first = inputs_embeds is not None and (past_key_values is None or past_key_values.get_seq_length() == 0)
        inputs = {"inputs_embeds": inputs_embeds} if first else {"input_ids": input_ids}
        return {
            **inputs,
            "past_key_values": past_key_values,
            "attention_mask": attention_mask,
            "position_ids": position_ids,
            **kwargs,
        }

    def must_read_again(self, filled: int, length: int) -> bool:
        """Return whether the first ``filled`` of ``length`` tokens look otherwise now than when the cache saw them."""
        return False

    @torch.no_grad()
    @writing()
    def generate(
        self,
        inputs: Tensor | Mapping[str, Any] | None = None,
        generation_config: GenerationConfig | None = None,
        logits_processor: Iterable[Any] | None = None,
        stopping_criteria: Iterable[Any] | Any | None = None,
        prefix_allowed_tokens_fn: Callable[[int, Tensor], list[int]] | None = None,
        synced_gpus: bool | None = None,
        assistant_model: Any = None,
        streamer: Any = None,
        negative_prompt_ids: Tensor | None = None,
        negative_prompt_attention_mask: Tensor | None = None,
        custom_generate: Any = None,
        **kwargs: Any,
    ) -> Any:
        """Write on.

        Args:
            inputs: ids (B, T), also as ``input_ids``; or ``inputs_embeds`` (B, T, D), and then only what is new is
                returned. Without either, writing begins with ``bos_token_id``. A dictionary, such as a tokenizer
                returns, counts as its entries. An encoder-decoder reads them, once, and writes from
                ``decoder_start_token_id`` or ``decoder_input_ids`` on; ``encoder_outputs`` says what was read before.
            generation_config: how; None takes the model's. ``kwargs`` override single fields of it.
            logits_processor: further processors, after those that the configuration asks for and before sampling's.
            stopping_criteria: further criteria.
            prefix_allowed_tokens_fn: (row, tokens (T,)) → the tokens that may follow.
            synced_gpus: accepted; rows never wait for another process here.
            assistant_model: a smaller model, which guesses tokens that this one checks together. With other words than
                this model's it needs ``tokenizer`` and ``assistant_tokenizer``.
            streamer: receives the prompt and then each token.
            negative_prompt_ids: (B, T), what ``guidance_scale`` leads away from.
            negative_prompt_attention_mask: (B, T), 0 for padding in them.
            custom_generate: a loop of one's own, called as ``loop(model, input_ids, logits_processor=…,
                stopping_criteria=…, generation_config=…, …)``.
            kwargs: fields of ``GenerationConfig``; ``attention_mask`` (B, T), zeros on the left for padding;
                ``tokenizer`` for ``stop_strings`` and ``token_healing``; further arguments of the forward pass.

        Returns:
            Ids (B · num_return_sequences, T + new), shorter rows filled with ``pad_token_id``; with
            ``return_dict_in_generate=True`` an output with scores and more.

        Raises:
            GenerationError: for arguments that do not fit together, or that nothing here takes.
        """
        if isinstance(inputs, Mapping):
            kwargs, inputs = {**inputs, **kwargs}, None
        tokenizers = [kwargs.pop(name, None) for name in ("tokenizer", "assistant_tokenizer")]
        for name in ("use_model_defaults", "trust_remote_code"):
            kwargs.pop(name, None)
        loop = named_loop(custom_generate)
        own = {} if loop is None else own_arguments(loop, self, kwargs)
        default_length = self._length_is_open(generation_config, kwargs)
        config, rest = (generation_config or GenerationConfig()).filled(self.generation_config, **kwargs)
        self._refuse_unknown(rest)
        for name in ABSENT:
            if getattr(config, name, None):
                raise GenerationError(f"{name} is not available; assistants and prompt lookup are")
        mode = mode_of(config, assistant_model is not None)
        ends = None if config.eos_token_id is None else torch.as_tensor(config.eos_token_id, device=self.device)
        ends = None if ends is None else ends.view(-1)
        pad = config.pad_token_id
        if pad is None and ends is not None:
            pad = int(ends[0])
        embeds, reading = None, None
        if self.config.is_encoder_decoder:
            reading = read(self, inputs, config, rest, lambda given, ids: self._mask(given, ids, pad, ends, left=False))
            ids, mask, source = reading.ids, reading.mask, reading.source
        else:
            ids, embeds = self._prompt(inputs, config, rest)
            given = rest.pop("attention_mask", None)
            if config.token_healing and embeds is None:
                ids, length = heal_tokens(self, ids, tokenizers[0]), ids.shape[1]
                given = given if ids.shape[1] == length else None  # read again, a prompt may have another length
            mask = self._mask(given, ids if embeds is None else None, pad, ends)
            source = ids
        prompt = ids.shape[1]
        self._set_lengths(config, prompt, 0 if embeds is None else embeds.shape[1], default_length, mask)
        count = config.num_beams if config.num_beams > 1 else config.num_return_sequences
        if config.num_beams == 1 and config.num_return_sequences > 1 and not config.do_sample and loop is None:
            raise GenerationError(
                "num_return_sequences > 1 needs do_sample=True or num_beams > 1: greedy has one answer"
            )
        if config.num_return_sequences > config.num_beams > 1:
            raise GenerationError(
                f"num_return_sequences={config.num_return_sequences} exceeds num_beams={config.num_beams}"
            )

        if config.cache_implementation == "paged":
            if embeds is not None or rest or loop is not None:
                raise GenerationError("cache_implementation='paged' writes on from ids alone: it is the engine's")
            told = {"logits_processor": logits_processor, "stopping_criteria": stopping_criteria}
            told |= {"prefix_allowed_tokens_fn": prefix_allowed_tokens_fn, "streamer": streamer}
            return paged(self, ids, mask, config, tokenizers[0], **told)
        if streamer is not None:
            if config.num_beams > 1:
                raise GenerationError("a streamer needs num_beams=1: beams are decided at the end")
            streamer.put(ids.cpu())
        past = rest.pop("past_key_values", None)
        if past is not None and not isinstance(past, Cache):
            past = (DynamicCache if reading is None else EncoderDecoderCache).from_legacy_cache(past)
        position_ids = rest.pop("position_ids", None)
        rest = {name: value for name, value in rest.items() if value is not None}
        if count > 1:
            ids = ids.repeat_interleave(count, 0)
            embeds, mask = (None if x is None else x.repeat_interleave(count, 0) for x in (embeds, mask))
            if past is not None and past.virtual:
                past.batch_repeat_interleave(count)
            rest = {name: repeated(value, count) for name, value in rest.items()}
            negative_prompt_ids = repeated(negative_prompt_ids, count)
            negative_prompt_attention_mask = repeated(negative_prompt_attention_mask, count)
            if position_ids is not None and position_ids.shape[0] > 1:
                position_ids = position_ids.repeat_interleave(count, 0)
        if past is not None and config.cache_implementation is not None:
            raise GenerationError("both past_key_values and cache_implementation were given; they are the same thing")
        guesses = mode is GenerationMode.ASSISTED_GENERATION
        goes_back = guesses or (mode is GenerationMode.CONTRASTIVE_SEARCH and config.low_memory)
        if goes_back and past is None and config.cache_implementation is None:
            config.cache_implementation = "dynamic_full"  # what was tried is taken back, which windows do not allow
        if past is None and config.use_cache:
            ahead = 0 if embeds is None else embeds.shape[1]
            past = new_cache(self, config, prompt + ahead, config.max_length + ahead)
            past = past if reading is None else EncoderDecoderCache(past)
        allowed, further = prefix_allowed_tokens_fn, logits_processor
        processors = processors_for(self, config, prompt, ends, mask, source, allowed, further)
        if config.guidance_scale not in (None, 1):
            guide = UnbatchedClassifierFreeGuidanceLogitsProcessor(
                config.guidance_scale, self, negative_prompt_ids, negative_prompt_attention_mask, config.use_cache
            )
            processors.insert(0, guide)
        contrast = None
        if mode is GenerationMode.DOLA_GENERATION:
            contrast = LayerContrast(self, self._contrasted_layers(config))
            processors.insert(0, contrast)
        run = Run(
            model=self,
            config=config,
            ids=ids,
            embeds=embeds,
            mask=mask,
            positions=position_ids,
            cache=past if config.use_cache else None,
            extra=rest,
            processors=processors,
            criteria=criteria_for(config, ends, stopping_criteria, tokenizers[0]),
            ends=ends,
            pad=0 if pad is None else pad,
            streamer=streamer,
            read=None if reading is None else reading.output,
            given=None if reading is None else reading.given,
            compiled=compiled_step(self, config, past),
        )
        if loop is not None:
            told = {"streamer": streamer, "assistant_model": assistant_model, "synced_gpus": synced_gpus}
            return decoded_by(loop, run, **told, tokenizer=tokenizers[0], assistant_tokenizer=tokenizers[1], **own)
        if guesses:
            return assisted(run, guesser(run, assistant_model, *tokenizers))
        if contrast is not None:
            contrast.run, run.keep["output_hidden_states"] = run, True
        if mode is GenerationMode.CONTRASTIVE_SEARCH:
            return contrastive(run)
        if mode is GenerationMode.CONSTRAINED_BEAM_SEARCH:
            return grouped(run, constraints_of(config.constraints, config.force_words_ids))
        if mode is GenerationMode.GROUP_BEAM_SEARCH:
            return grouped(run)
        return beams(run) if config.num_beams > 1 else one_by_one(run)

    # --- what is asked for, made definite

    def _length_is_open(self, given: GenerationConfig | None, kwargs: dict[str, Any]) -> bool:
        sources = (kwargs.get("max_length"), given and given.max_length, self.generation_config.max_length)
        return all(value is None for value in sources)

    def _contrasted_layers(self, config: GenerationConfig) -> list[int]:
        if self.config.is_encoder_decoder:
            raise GenerationError("dola_layers compares the layers of a decoder alone")
        text = self.config.get_text_config(decoder=True)
        return layers_of(config.dola_layers, text.num_hidden_layers, bool(text.tie_word_embeddings))

    def _refuse_unknown(self, rest: dict[str, Any]) -> None:
        known = set(inspect.signature(self.forward).parameters)
        known |= set(inspect.signature(self.prepare_inputs_for_generation).parameters)
        if self.config.is_encoder_decoder:
            model: Any = self
            known |= set(inspect.signature(model.get_encoder().forward).parameters)
        known |= {"past_key_values", "position_ids", "attention_mask"}
        known |= {"input_ids", "inputs_embeds", "output_attentions", "output_hidden_states"}
        unknown = sorted(set(rest) - known)
        if unknown:
            hints = [f"{name!r}{nearest(name, [*GenerationConfig.FIELDS, *known])}" for name in unknown]
            raise GenerationError(f"generate does not take {', '.join(hints)}")

    def _prompt(
        self, inputs: Tensor | None, config: GenerationConfig, rest: dict[str, Any]
    ) -> tuple[Tensor, Tensor | None]:
        named, embeds = rest.pop("input_ids", None), rest.pop("inputs_embeds", None)
        if inputs is not None and named is not None:
            raise GenerationError("both inputs and input_ids were given; they are the same thing")
        ids = named if inputs is None else inputs
        if ids is not None and ids.dim() != 2:
            raise GenerationError(f"input_ids must be (rows, tokens), not {tuple(ids.shape)}; one row is ids[None]")
        if embeds is not None and ids is None:
            return torch.empty(embeds.shape[0], 0, dtype=torch.long, device=embeds.device), embeds
        if ids is None:
            if config.bos_token_id is None:
                raise GenerationError("nothing to begin with: pass input_ids, or set bos_token_id")
            ids = torch.tensor([[config.bos_token_id]], device=self.device)
        if ids.shape[1] == 0 and embeds is None:
            raise GenerationError("input_ids has no tokens; leave it out to begin with bos_token_id")
        return ids, embeds

    def _mask(
        self, given: Tensor | None, ids: Tensor | None, pad: int | None, ends: Tensor | None, left: bool = True
    ) -> Tensor | None:
        """Return the mask (B, T) as numbers, or None when nothing is padding; ``left`` says where it belongs."""
        if given is None:
            # Padding shows only where its token means nothing else.
            if ids is None or pad is None or (ends is not None and bool((ends == pad).any())):
                return None
            given = (ids != pad).long()
        if given.dim() != 2:
            raise GenerationError(f"attention_mask must be (rows, tokens), not {tuple(given.shape)}")
        if bool(given.all()):
            return None
        if left and not bool(given[:, -1].all()):
            logger.warning("rows end with padding; for writing on, pad on the left: tokenizer.padding_side = 'left'")
        return given

    def _set_lengths(
        self, config: GenerationConfig, prompt: int, embedded: int, default_length: bool, mask: Tensor | None = None
    ) -> None:
        most = most_to_write(self, prompt or embedded, mask)
        if config.max_new_tokens is not None:
            config.max_length = prompt + config.max_new_tokens
        elif default_length:
            config.max_length += prompt
            limit = getattr(self.config, "max_position_embeddings", None)
            if limit is not None:
                config.max_length = min(config.max_length, limit)
        elif embedded and prompt != embedded:
            config.max_length -= embedded
        if config.min_new_tokens is not None:
            config.min_length = prompt + config.min_new_tokens
        if prompt >= config.max_length:
            raise GenerationError(
                f"the prompt has {prompt} tokens and max_length is {config.max_length}: nothing can follow; "
                "set max_new_tokens instead"
            )
        if most is not None and config.max_length > prompt + most:
            logger.warning(
                "max_length is %d, prompt included, and the model has no positions beyond %d: writing ends there",
                config.max_length,
                prompt + most,
            )
            config.max_length = prompt + most

    def compute_transition_scores(
        self,
        sequences: Tensor,
        scores: tuple[Tensor, ...],
        beam_indices: Tensor | None = None,
        normalize_logits: bool = False,
    ) -> Tensor:
        """Return the score of each token that was chosen.

        Args:
            sequences: (B, T) of ``generate``.
            scores: one (B · beams, V) a step.
            beam_indices: (B, steps), which beam each token came from; None without beams.
            normalize_logits: turn scores into logarithms of probabilities first.

        Returns:
            (B, steps).
        """
        stacked = torch.stack(scores)  # (steps, B · beams, V)
        if normalize_logits:
            stacked = stacked.log_softmax(-1)
        steps = stacked.shape[0]
        if beam_indices is None:
            chosen = sequences[:, -steps:]
            return stacked.transpose(0, 1).gather(2, chosen[:, :, None]).squeeze(2)
        width = int((beam_indices >= 0).sum(-1).max())
        beam_indices = beam_indices[:, :width]
        over = beam_indices < 0
        chosen = sequences[:, sequences.shape[1] - width :]
        place = torch.arange(width, device=sequences.device)[None]
        result = stacked[place, beam_indices.clamp(min=0), chosen]
        return result.masked_fill(over, 0.0)
