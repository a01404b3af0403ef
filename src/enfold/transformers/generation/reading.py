"""What comes before the first token of an encoder-decoder: reading once, and the tokens that writing begins with."""

from __future__ import annotations

import inspect
from typing import Any, NamedTuple

import torch
from torch import Tensor

from enfold.nn.outputs import ModelOutput
from enfold.transformers.generation.config import GenerationConfig, GenerationError
from enfold.transformers.outputs import BaseModelOutput

__all__ = ["Reading", "read", "repeated"]


class Reading(NamedTuple):
    """What was read, and how writing begins.

    Attributes:
        ids: the tokens that writing begins with, (B, T).
        mask: (B, T), 0 for padding among them, or None.
        source: the ids that were read, (B, S), or None where they were no ids.
        output: what the encoder said.
        given: the arguments that the encoder was given, mask included; None where it had read before.
    """

    ids: Tensor
    mask: Tensor | None
    source: Tensor | None
    output: Any
    given: dict[str, Any] | None


def read(model: Any, inputs: Tensor | None, config: GenerationConfig, rest: dict[str, Any], mask_of: Any) -> Reading:
    """Run the encoder, unless ``encoder_outputs`` is among the arguments, and make the first tokens.

    Args:
        model: an encoder-decoder.
        inputs: what it reads, also in ``rest`` under the model's ``main_input_name`` or as ``inputs_embeds``.
        config: says what writing begins with, and what to record.
        rest: the arguments of ``generate``; what is used up is taken out, the encoder's mask and output are put in.
        mask_of: (given mask, ids) → the mask of padding, or None.

    Raises:
        GenerationError: where nothing is to be read, or nothing says how to begin.
    """
    main = model.main_input_name
    named, embeds, output = rest.pop(main, None), rest.pop("inputs_embeds", None), rest.pop("encoder_outputs", None)
    if inputs is not None and named is not None:
        raise GenerationError(f"both inputs and {main} were given; they are the same thing")
    inputs = named if inputs is None else inputs
    source = inputs if inputs is not None and not inputs.is_floating_point() and inputs.dim() == 2 else None
    mask = rest.pop("attention_mask", None)
    if source is not None or mask is not None:
        mask = mask_of(mask, source)
    if isinstance(output, tuple | list):
        output = BaseModelOutput(*output[:3])
    encoder = model.get_encoder()
    taken = set(inspect.signature(encoder.forward).parameters)
    options = {
        name: rest.pop(name) for name in sorted(set(rest) & taken) if not name.startswith(("past", "use_", "input_"))
    }
    given: dict[str, Any] | None = None
    if output is None:
        if inputs is None and embeds is None:
            raise GenerationError(f"nothing to read: pass {main}, inputs_embeds or encoder_outputs")
        given = {main: inputs} if embeds is None else {"inputs_embeds": embeds}
        given |= {**options, **({"attention_mask": mask} if "attention_mask" in taken else {})}
        output = encoder(
            **given,
            output_attentions=config.output_attentions,
            output_hidden_states=config.output_hidden_states,
            return_dict=True,
        )
    if mask is not None:
        rest["attention_mask"] = mask
    rest["encoder_outputs"] = output
    rows = output[0].shape[0]
    ids, written = _begin(model, config, rest, rows, output[0].device)
    return Reading(ids, written, source, output, given)


def _begin(
    model: Any, config: GenerationConfig, rest: dict[str, Any], rows: int, device: torch.device
) -> tuple[Tensor, Tensor | None]:
    """Return the first tokens (B, T) and their mask: those given, after the token that writing begins with."""
    given = rest.pop("decoder_input_ids", None)
    if model.main_input_name != "input_ids":
        also = rest.pop("input_ids", None)
        given = also if given is None else given
    mask = rest.pop("decoder_attention_mask", None)
    begins = config.decoder_start_token_id if config.decoder_start_token_id is not None else config.bos_token_id
    if begins is None and given is None:
        raise GenerationError("nothing to begin with: set decoder_start_token_id or bos_token_id, or decoder_input_ids")
    start = None
    if begins is not None:
        start = torch.as_tensor(begins, device=device)
        if start.dim() and start.shape[0] != rows:
            raise GenerationError(f"decoder_start_token_id has {start.shape[0]} tokens for {rows} rows")
        start = start.reshape(-1, 1).expand(rows, 1)
    if given is None:
        assert start is not None
        return start.clone(), mask
    if given.dim() != 2:
        raise GenerationError(f"decoder_input_ids must be (rows, tokens), not {tuple(given.shape)}")
    if start is not None and model.begins_with_start_token and not bool((given[:, :1] == start).any()):
        given = torch.cat((start, given), 1)
        mask = None if mask is None else torch.cat((torch.ones_like(mask[:, :1]), mask), 1)
    return given, mask


def repeated(value: Any, times: int) -> Any:
    """Return a tensor, or an output's tensors, with every row ``times`` times in place; anything else as it is."""
    if isinstance(value, Tensor):
        return value.repeat_interleave(times, 0)
    if isinstance(value, ModelOutput):
        return type(value)(**{name: repeated(part, times) for name, part in value.items()})
    return value
