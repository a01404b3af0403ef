"""What shapes the scores of a call of ``generate``, and what ends its rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from torch import Tensor

from enfold.transformers.generation import processors as shape
from enfold.transformers.generation import source_processors as by_source
from enfold.transformers.generation import stopping
from enfold.transformers.generation.config import GenerationConfig, GenerationError
from enfold.transformers.generation.diversity import HammingDiversityLogitsProcessor
from enfold.transformers.generation.synthid import SynthIDTextWatermarkingConfig
from enfold.transformers.generation.watermarking import WatermarkingConfig

__all__ = ["criteria_for", "processors_for"]


def processors_for(
    model: Any,
    config: GenerationConfig,
    prompt: int,
    ends: Tensor | None,
    mask: Tensor | None,
    source: Tensor | None,
    allowed: Callable[[int, Tensor], list[int]] | None,
    own: Iterable[Any] | None,
) -> shape.LogitsProcessorList:
    """Return the processors in the ecosystem's order, which decides what is drawn under a seed.

    Args:
        model: what writes.
        config: what is asked for.
        prompt: how many tokens the text begins with.
        ends: end tokens, or None.
        mask: (R, T), 0 for padding, or None.
        source: the ids that were read, or those of the prompt; or None.
        allowed: (row, tokens) → the tokens that may follow, or None.
        own: further processors, which come before those of sampling.
    """
    steps = shape.LogitsProcessorList()
    if config.sequence_bias is not None:
        steps.append(shape.SequenceBiasLogitsProcessor(config.sequence_bias))
    if config.diversity_penalty and (config.num_beam_groups or 1) > 1:
        groups = HammingDiversityLogitsProcessor(config.diversity_penalty, config.num_beams, config.num_beam_groups)
        steps.append(groups)
    if config.encoder_repetition_penalty not in (None, 1.0) and source is not None:
        steps.append(by_source.EncoderRepetitionPenaltyLogitsProcessor(config.encoder_repetition_penalty, source))
    if config.repetition_penalty not in (None, 1.0):
        padding = None if mask is None else (mask != 0).int().argmax(1)
        steps.append(shape.RepetitionPenaltyLogitsProcessor(config.repetition_penalty, padding))
    if config.no_repeat_ngram_size:
        steps.append(shape.NoRepeatNGramLogitsProcessor(config.no_repeat_ngram_size))
    if config.encoder_no_repeat_ngram_size and source is not None:
        steps.append(by_source.EncoderNoRepeatNGramLogitsProcessor(config.encoder_no_repeat_ngram_size, source))
    if config.bad_words_ids is not None:
        steps.append(shape.NoBadWordsLogitsProcessor(config.bad_words_ids, ends))
    if config.min_length and ends is not None:
        steps.append(shape.MinLengthLogitsProcessor(config.min_length, ends))
    if config.min_new_tokens and ends is not None:
        steps.append(shape.MinNewTokensLengthLogitsProcessor(prompt, config.min_new_tokens, ends))
    if allowed is not None:
        steps.append(shape.PrefixConstrainedLogitsProcessor(allowed, config.num_beams))
    if config.forced_bos_token_id is not None:
        steps.append(shape.ForcedBOSTokenLogitsProcessor(config.forced_bos_token_id))
    if config.forced_eos_token_id is not None:
        steps.append(shape.ForcedEOSTokenLogitsProcessor(config.max_length, config.forced_eos_token_id))
    if config.remove_invalid_values:
        steps.append(shape.InfNanRemoveLogitsProcessor())
    if config.exponential_decay_length_penalty is not None and ends is not None:
        decay = config.exponential_decay_length_penalty
        steps.append(shape.ExponentialDecayLengthPenalty(decay, ends, prompt))
    if config.suppress_tokens is not None:
        steps.append(shape.SuppressTokensLogitsProcessor(config.suppress_tokens))
    if config.begin_suppress_tokens is not None:
        begin = prompt if prompt > 1 or config.forced_bos_token_id is None else prompt + 1
        steps.append(shape.SuppressTokensAtBeginLogitsProcessor(config.begin_suppress_tokens, begin))
    steps.extend(own or ())
    if config.do_sample:
        # Beams need one token beside the end tokens, to go on with.
        keep = 1 if config.num_beams == 1 else 2 if ends is None else len(ends) + 1
        if config.temperature not in (None, 1.0):
            steps.append(shape.TemperatureLogitsWarper(config.temperature))
        if config.top_h is not None:
            steps.append(shape.TopHLogitsWarper(config.top_h))
        if config.top_k:
            steps.append(shape.TopKLogitsWarper(config.top_k, min_tokens_to_keep=keep))
        if config.top_p is not None and config.top_p < 1.0:
            steps.append(shape.TopPLogitsWarper(config.top_p, min_tokens_to_keep=keep))
        if config.min_p is not None:
            steps.append(shape.MinPLogitsWarper(config.min_p, min_tokens_to_keep=keep))
        if config.typical_p is not None and config.typical_p < 1.0:
            steps.append(shape.TypicalLogitsWarper(config.typical_p, min_tokens_to_keep=keep))
        if config.epsilon_cutoff:
            steps.append(shape.EpsilonLogitsWarper(config.epsilon_cutoff, min_tokens_to_keep=keep))
        if config.eta_cutoff:
            steps.append(shape.EtaLogitsWarper(config.eta_cutoff, min_tokens_to_keep=keep))
    if config.watermarking_config is not None:
        marks = config.watermarking_config
        if isinstance(marks, Mapping):
            marks = (SynthIDTextWatermarkingConfig if "ngram_len" in marks else WatermarkingConfig)(**marks)
        words = model.config.get_text_config(decoder=True).vocab_size
        steps.append(marks.construct_processor(words, model.device))
    if config.renormalize_logits:
        steps.append(shape.LogitNormalization())
    return steps


def criteria_for(
    config: GenerationConfig, ends: Tensor | None, own: Any, tokenizer: Any
) -> stopping.StoppingCriteriaList:
    """Return what ends a row besides the length, which the loop itself counts."""
    criteria = stopping.StoppingCriteriaList()
    if config.max_time is not None:
        criteria.append(stopping.MaxTimeCriteria(config.max_time))
    if config.stop_strings is not None:
        if tokenizer is None:
            raise GenerationError("stop_strings needs the tokenizer too: generate(…, tokenizer=tokenizer)")
        criteria.append(stopping.StopStringCriteria(tokenizer, config.stop_strings))
    if ends is not None:
        criteria.append(stopping.EosTokenCriteria(ends))
    if own is not None:
        criteria.extend(own if isinstance(own, Iterable) else [own])
    return criteria
