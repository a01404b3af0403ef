"""A loop of one's own in place of ours: ``generate(custom_generate=loop)``."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch

from enfold.errors import nearest
from enfold.transformers.generation.config import GenerationError
from enfold.transformers.generation.loops import Run
from enfold.transformers.generation.stopping import MaxLengthCriteria, StoppingCriteriaList

__all__ = ["decoded_by", "named_loop", "own_arguments"]

# Repositories whose loops are here under the fields of GenerationConfig: their code is neither fetched nor needed.
BUILT_IN = (
    "transformers-community/constrained-beam-search",
    "transformers-community/contrastive-search",
    "transformers-community/dola",
    "transformers-community/group-beam-search",
)
# What every loop is given beside the arguments of the model.
GIVEN = ("logits_processor", "stopping_criteria", "generation_config")


def named_loop(custom: Any) -> Callable[..., Any] | None:
    """Return the loop that ``custom_generate`` gives, or None where the built-in ones do it.

    Raises:
        GenerationError: for a repository whose loop is not built in: its code is not run.
    """
    if custom is None or custom in BUILT_IN:
        return None
    if callable(custom):
        loop: Callable[..., Any] = custom
        return loop
    hint = nearest(str(custom), BUILT_IN) or f"; those built in are {', '.join(BUILT_IN)}"
    raise GenerationError(f"custom_generate takes a function; the code of {custom!r} is not run{hint}")


def own_arguments(loop: Callable[..., Any], model: Any, arguments: dict[str, Any]) -> dict[str, Any]:
    """Take the arguments out that the loop names and the model does not, and return them."""
    taken = set(inspect.signature(loop).parameters) - set(inspect.signature(model.forward).parameters)
    return {name: arguments.pop(name) for name in sorted(taken & set(arguments) - {"inputs", "input_ids"})}


def decoded_by(loop: Callable[..., Any], run: Run, **own: Any) -> Any:
    """Return what the loop returns.

    Args:
        loop: called as ``loop(model, input_ids, logits_processor=…, stopping_criteria=…, generation_config=…, …)`` with
            the arguments of the model: ``attention_mask``, ``past_key_values``, ``use_cache`` and what else was given.
        run: the call of ``generate``, made definite.
        own: further arguments, of which a loop gets those that it names.
    """
    config, model = run.config, run.model
    criteria = StoppingCriteriaList([MaxLengthCriteria(config.max_length), *run.criteria])
    mask = run.mask
    if mask is None:
        mask = torch.ones(run.rows, run.embedded or run.prompt, dtype=torch.long, device=run.ids.device)
    inputs = {
        **run.extra,
        "attention_mask" if run.read is None else "decoder_attention_mask": mask,
        "past_key_values": run.cache,
        "use_cache": run.cache is not None,
        **({} if run.embeds is None else {"inputs_embeds": run.embeds}),
        **({} if run.positions is None else {"position_ids": run.positions}),
    }
    given = dict(zip(GIVEN, (run.processors, criteria, config), strict=True))
    named = set(inspect.signature(loop).parameters)
    return loop(model, run.ids, **given, **inputs, **{name: value for name, value in own.items() if name in named})
