"""The scores of IndicGLUE, a configuration for each of its data sets."""

from __future__ import annotations

from typing import Any, ClassVar

from enfold.evaluate.tasks import ACCURACY, ACCURACY_AND_F1, Kind, TaskMetric

__all__ = ["IndicGlue"]


def _vectors(predictions: Any, references: Any) -> dict[str, Any]:
    from enfold.evaluate.arrays import table

    return {"said": table(predictions, "predictions").tolist(), "right": table(references, "references").tolist()}


def _found_among_ten(counts: dict[str, Any]) -> dict[str, float]:
    """Return how often the vector of a sentence is among the ten nearest to that of its translation."""
    import numpy as np

    unit = []
    for name in ("said", "right"):
        vectors = np.array(counts[name])
        vectors = vectors - vectors.mean(0)
        unit.append(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
    similar = unit[0] @ unit[1].T
    nearer = (similar > similar.diagonal()[:, None]).sum(1)
    return {"precision@10": float((nearer < 10).mean())}


class IndicGlue(TaskMetric):
    """The scores of one data set of the IndicGLUE benchmark: ``load("indic_glue", "copa")``.

    ``wiki-ner`` gives ``accuracy`` and ``f1``; ``cvit-mkb-clsr``, whose inputs are vectors of sentences and of their
    translations, ``precision@10``; the others ``accuracy``.

    Source: D. Kakwani et al., "IndicNLPSuite: monolingual corpora, evaluation benchmarks and pre-trained multilingual
    language models for Indian languages", 2020.

    Example:
        >>> IndicGlue(config_name="wiki-ner").compute(predictions=[0, 1], references=[0, 1])
        {'accuracy': 1.0, 'f1': 1.0}
    """

    tasks: ClassVar = {
        **dict.fromkeys(("wnli", "copa", "sna", "csqa", "wstp", "inltkh", "bbca"), ACCURACY),
        "cvit-mkb-clsr": Kind({"predictions": ["float32"], "references": ["float32"]}, _vectors, _found_among_ten),
        **dict.fromkeys(("iitp-mr", "iitp-pr", "actsa-sc", "md"), ACCURACY),
        "wiki-ner": ACCURACY_AND_F1,
    }
