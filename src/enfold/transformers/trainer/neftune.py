"""Noise on embedded words in training (NEFTune)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["noisy_embeddings"]


@contextlib.contextmanager
def noisy_embeddings(model: nn.Module, alpha: float | None) -> Iterator[None]:
    """Add uniform noise to a model's embedded words while the block runs and the model trains.

    Args:
        model: has ``get_input_embeddings``.
        alpha: the noise of (…, T, D) lies within ± alpha / √(T · D); None for none.

    Raises:
        ValueError: the model does not say where its embedding is.

    Source: https://arxiv.org/abs/2310.05914
    """
    if not alpha:
        yield
        return
    embedding = model.get_input_embeddings() if hasattr(model, "get_input_embeddings") else None  # type: ignore[operator]
    if embedding is None:
        raise ValueError(f"neftune_noise_alpha needs get_input_embeddings, which {type(model).__name__} lacks")

    def add(module: nn.Module, _: Any, out: Tensor) -> Tensor:
        if not module.training:
            return out
        most = alpha / (out.shape[-2] * out.shape[-1]) ** 0.5
        return out + torch.zeros_like(out).uniform_(-most, most)

    hook = embedding.register_forward_hook(add)
    try:
        yield
    finally:
        hook.remove()
