"""Perplexity of texts under a causal language model."""

from __future__ import annotations

from typing import Any

from enfold.evaluate.info import MetricInfo
from enfold.evaluate.module import Metric

__all__ = ["Perplexity"]


class Perplexity(Metric):
    """How surprised a causal language model is by each text: the exponential of its mean loss per token.

    Options of ``compute``:
        model_id: a repository or a local folder of a causal language model and its tokenizer.
        batch_size: texts at a time, 16 by default.
        add_start_token: put the beginning-of-sequence token first (the default).
        device: ``"cpu"``, ``"cuda"``, …; CUDA where there is one by default.
        max_length: cut texts to so many tokens.

    ``compute`` gives ``perplexities``, one for each text, and ``mean_perplexity``.

    Source: F. Jelinek et al., "Perplexity — a measure of the difficulty of speech recognition tasks", 1977.
    """

    _takes_arrays = True

    def _info(self) -> MetricInfo:
        return MetricInfo(
            description="How surprised a causal language model is by each text.",
            citation="",
            features={"predictions": "string"},
            inputs_description="model_id, batch_size=16, add_start_token=True, device=None, max_length=None.",
            reference_urls=["https://huggingface.co/docs/transformers/perplexity"],
        )

    def _compute(
        self,
        *,
        predictions: list[str],
        model_id: str = "",
        batch_size: int = 16,
        add_start_token: bool = True,
        device: str | None = None,
        max_length: int | None = None,
    ) -> dict[str, Any]:
        from enfold.evaluate.language_model import perplexities

        return perplexities(
            predictions,
            model_id,
            batch_size=batch_size,
            add_start_token=add_start_token,
            device=device,
            max_length=max_length,
        )
