"""The models with one graph, made from the table of heads: ``OVModelForMaskedLM`` and its like.

Example:
    >>> from enfold.optimum.intel import OVModelForSequenceClassification  # doctest: +SKIP
    >>> model = OVModelForSequenceClassification.from_pretrained(
    ...     "distilbert/distilbert-base-uncased-finetuned-sst-2-english", export=True)  # doctest: +SKIP
    >>> model(**tokenizer("I love this movie!", return_tensors="pt")).logits.shape  # doctest: +SKIP
    torch.Size([1, 2])
"""

from __future__ import annotations

from enfold.optimum.intel import WITHOUT
from enfold.optimum.intel.openvino.modeling_base import OVBaseModel
from enfold.optimum.runtimes.heads import classes

globals().update(classes("OV", OVBaseModel, __name__, WITHOUT))
