"""The models with one graph, made from the table of heads: ``ORTModelForMaskedLM`` and its like.

Example:
    >>> from enfold.optimum.onnxruntime import ORTModelForSequenceClassification  # doctest: +SKIP
    >>> model = ORTModelForSequenceClassification.from_pretrained(
    ...     "distilbert/distilbert-base-uncased-finetuned-sst-2-english", export=True)  # doctest: +SKIP
    >>> model(**tokenizer("I love this movie!", return_tensors="pt")).logits.shape  # doctest: +SKIP
    torch.Size([1, 2])
"""

from __future__ import annotations

from enfold.optimum.onnxruntime.model import ORTModel
from enfold.optimum.runtimes.heads import classes

globals().update(classes("ORT", ORTModel, __name__))
