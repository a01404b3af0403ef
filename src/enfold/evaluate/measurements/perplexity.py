"""Perplexity of texts under a causal language model."""

from __future__ import annotations

from enfold.evaluate.info import MeasurementInfo
from enfold.evaluate.language_model import PerplexityModule
from enfold.evaluate.module import Measurement

__all__ = ["Perplexity"]


class Perplexity(PerplexityModule, Measurement):
    """The perplexity of ``data``, texts, under a causal language model: see `PerplexityModule`."""

    _input = "data"
    _information = MeasurementInfo
