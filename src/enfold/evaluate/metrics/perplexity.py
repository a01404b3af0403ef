"""Perplexity of texts under a causal language model."""

from __future__ import annotations

from enfold.evaluate.info import MetricInfo
from enfold.evaluate.language_model import PerplexityModule
from enfold.evaluate.module import Metric

__all__ = ["Perplexity"]


class Perplexity(PerplexityModule, Metric):
    """The perplexity of ``predictions``, texts, under a causal language model: see `PerplexityModule`."""

    _input = "predictions"
    _information = MetricInfo
