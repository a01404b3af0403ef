"""Example tensors for a model, with which its graphs are traced."""

from __future__ import annotations

import inspect
import math
from typing import Any

import torch
from torch import Tensor

__all__ = [
    "BEFORE",
    "CHOICES",
    "LENGTH",
    "READ",
    "ROWS",
    "arguments_of",
    "images",
    "recordings",
    "spectrograms",
    "takes",
    "words",
]

# The dimensions of an example: all different, and neither 0 nor 1, so that none is taken for another or for fixed.
ROWS, LENGTH, BEFORE, READ, CHOICES = 2, 5, 7, 11, 3


def arguments_of(model: Any) -> list[str]:
    """Return the names of what a model takes; a head that passes on whatever it is given takes what its model does."""
    arguments = inspect.signature(model.forward).parameters
    names = [name for name, one in arguments.items() if one.kind not in (one.VAR_KEYWORD, one.VAR_POSITIONAL)]
    if any(one.kind is one.VAR_POSITIONAL for one in arguments.values()) and model.base_model is not model:
        names += [name for name in arguments_of(model.base_model) if name not in names]
    return names


def takes(model: Any, name: str) -> bool:
    """Return whether the model, or what it passes its arguments on to, takes one of this name."""
    return name in arguments_of(model) and name in arguments_of(model.base_model)


def words(model: Any, shape: tuple[int, ...], encoder: bool = False) -> Tensor:
    """Return ids that are words of the model: counted on, ending with its end token where it has one."""
    config = model.config
    text: Any = getattr(config, "encoder", None) if encoder else getattr(config, "decoder", None)
    text = text if hasattr(text, "vocab_size") else config.get_text_config()
    ids = (torch.arange(math.prod(shape)) % max(text.vocab_size - 4, 1) + 3).clamp(max=text.vocab_size - 1).view(shape)
    end = getattr(text, "eos_token_id", None)
    end = end[0] if isinstance(end, list) else end
    if end is not None and end < text.vocab_size:
        ids[..., -1] = end
    return ids


def images(model: Any) -> tuple[Tensor, dict[int, str]]:
    """Return images (B, channels, height, width) and their free dimensions."""
    config = model.config
    for name in ("vision_config", "encoder"):
        config = getattr(config, name, None) or config
    size = getattr(config, "image_size", None)
    free = {0: "batch_size"}
    if size is None:
        size, free = 64, {0: "batch_size", 2: "height", 3: "width"}
    height, width = size if isinstance(size, list | tuple) else (size, size)
    if 2 in free:
        width += 32
    channels = getattr(config, "num_channels", 3)
    return torch.linspace(-1, 1, ROWS * channels * height * width).view(ROWS, channels, height, width), free


def recordings(config: Any) -> Tensor:
    """Return recordings (B, samples), long enough for a few frames."""
    hop = math.prod(getattr(config, "conv_stride", (320,)))
    return torch.linspace(-1, 1, ROWS * hop * 33).sin().view(ROWS, -1)


def spectrograms(config: Any) -> Tensor:
    """Return spectrograms of the size that a model takes."""
    if hasattr(config, "max_source_positions"):
        return torch.linspace(-1, 1, ROWS * config.num_mel_bins * 2 * config.max_source_positions).view(
            ROWS, config.num_mel_bins, -1
        )
    sound = getattr(config, "audio_config", config)
    frames = sound.spec_size * (sound.spec_size // sound.num_mel_bins)
    return torch.linspace(-1, 1, ROWS * frames * sound.num_mel_bins).view(ROWS, 1, frames, -1)
