"""The ways of decoding, and which one a configuration asks for."""

from __future__ import annotations

from enum import Enum

from enfold.transformers.generation.config import GenerationConfig, GenerationError

__all__ = ["GenerationMode", "mode_of"]


class GenerationMode(str, Enum):
    """The ways of decoding."""

    CONTRASTIVE_SEARCH = "contrastive_search"
    GREEDY_SEARCH = "greedy_search"
    SAMPLE = "sample"
    ASSISTED_GENERATION = "assisted_generation"
    DOLA_GENERATION = "dola_generation"
    BEAM_SEARCH = "beam_search"
    BEAM_SAMPLE = "beam_sample"
    CONSTRAINED_BEAM_SEARCH = "constrained_beam_search"
    GROUP_BEAM_SEARCH = "group_beam_search"


def mode_of(config: GenerationConfig, guesses: bool = False) -> GenerationMode:
    """Return the way of decoding that a configuration asks for.

    Args:
        config: the fields; what is None counts as its default.
        guesses: whether something guesses tokens ahead besides the configuration's own fields.

    Raises:
        GenerationError: for fields that ask for two ways at once.

    Example:
        >>> mode_of(GenerationConfig(num_beams=4, num_beam_groups=2, diversity_penalty=1.0)).value
        'group_beam_search'
    """
    beams, groups, sample = config.num_beams or 1, config.num_beam_groups or 1, config.do_sample is True
    top = GenerationConfig.DEFAULTS["top_k"] if config.top_k is None else config.top_k
    contrasts = config.penalty_alpha is not None and config.penalty_alpha > 0 and top > 1
    guesses = guesses or config.prompt_lookup_num_tokens is not None or config.assistant_early_exit is not None
    constrained = config.constraints is not None or config.force_words_ids is not None
    if beams % groups or groups > beams:
        raise GenerationError(f"num_beams={beams} must be a multiple of num_beam_groups={groups}")
    if constrained:
        if beams == 1 or groups > 1 or sample:
            raise GenerationError("constraints and force_words_ids need num_beams > 1, one group and do_sample=False")
        mode = GenerationMode.CONSTRAINED_BEAM_SEARCH
    elif groups > 1:
        if sample:
            raise GenerationError("num_beam_groups > 1 needs do_sample=False: groups of beams do not draw")
        if not config.diversity_penalty or config.diversity_penalty < 0:
            raise GenerationError("num_beam_groups > 1 needs diversity_penalty > 0: groups would all write the same")
        mode = GenerationMode.GROUP_BEAM_SEARCH
    elif beams > 1:
        mode = GenerationMode.BEAM_SAMPLE if sample else GenerationMode.BEAM_SEARCH
    elif contrasts and not sample:
        mode = GenerationMode.CONTRASTIVE_SEARCH
    else:
        mode = GenerationMode.SAMPLE if sample else GenerationMode.GREEDY_SEARCH
    plain = mode in (GenerationMode.SAMPLE, GenerationMode.GREEDY_SEARCH)
    for asked, way, name in (
        (guesses, GenerationMode.ASSISTED_GENERATION, "an assistant, prompt_lookup_num_tokens or assistant_early_exit"),
        (config.dola_layers is not None, GenerationMode.DOLA_GENERATION, "dola_layers"),
    ):
        if asked and not plain:
            raise GenerationError(
                f"{name} goes with greedy search and sampling, not with {mode.value.replace('_', ' ')}"
            )
        mode = way if asked else mode
    if guesses and config.dola_layers is not None:
        raise GenerationError("dola_layers and guessing ahead do not go together: the guesses are of the last layer")
    return mode
