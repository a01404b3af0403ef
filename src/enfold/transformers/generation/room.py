"""How much a model with learned positions can write after a prompt."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from enfold.nn.embedding import Positions
from enfold.transformers.generation.config import GenerationError

__all__ = ["most_to_write"]


def most_to_write(model: Any, prompt: int, mask: Tensor | None = None) -> int | None:
    """Return how many tokens can follow a prompt; None where positions are computed, which never end.

    The last of them is not read again and needs no position: after a prompt that fills the table there is one.

    Args:
        model: what writes; of an encoder-decoder, its decoder counts.
        prompt: its tokens.
        mask: (B, T), 0 for padding, which takes no position.

    Raises:
        GenerationError: the prompt is longer than the table of positions.
    """
    writer = model.get_decoder() if model.config.is_encoder_decoder else model
    room = min((part.room for part in writer.modules() if isinstance(part, Positions)), default=None)
    if room is None:
        return None
    used = prompt if mask is None else int(mask.sum(1).max())
    if used > room:
        raise GenerationError(
            f"the prompt has {used} tokens and the model has positions for {room}: cut it, with truncation=True and "
            f"max_length={room} for the tokenizer"
        )
    return room - used + 1
