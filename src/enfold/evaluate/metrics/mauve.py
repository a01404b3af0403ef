"""MAUVE: how far generated texts lie from written ones, as two distributions over clusters of their embeddings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from enfold.evaluate.errors import EvaluationError
from enfold.evaluate.info import MetricInfo
from enfold.evaluate.module import Metric

__all__ = ["Mauve"]

ALMOST = 1e-6  # mixtures of the two distributions reach from here to 1 less this
BATCH = 8


class Mauve(Metric):
    """The area under the divergence curve of two sets of texts: 1 where they are alike, near 0 where they are not.

    Texts are embedded by a language model (the last layer at the last token), the embeddings are cut into clusters by
    k-means, and the shares of both sets in the clusters are compared.

    Options of ``compute``:
        p_features, q_features: embeddings of predictions and references to use, float of shape (texts, width).
        p_tokens, q_tokens: token numbers of the texts, a list for each.
        num_buckets: the number of clusters; ``"auto"`` is a tenth of the smaller set.
        pca_max_data: fit the principal components to so many embeddings; -1 is all.
        kmeans_explained_var: keep so many components that they explain this share of the variance, 0.9 by default.
        kmeans_num_redo, kmeans_max_iter: how often k-means starts anew (the best counts), and its steps at most.
        featurize_model_name: the language model, gpt2-large by default.
        device_id: the number of a GPU; the processor by default.
        max_text_length: tokens of a text that are read, 1024 by default.
        divergence_curve_discretization_size: mixtures on the curve, 25 by default.
        mauve_scaling_factor: what divergences are multiplied by, 5 by default.
        verbose: accepted for the ecosystem's sake.
        seed: of the clusters' first centres.

    ``compute`` gives a namespace with ``mauve``, ``frontier_integral`` (0 for alike), ``p_hist``, ``q_hist``,
    ``divergence_curve`` of shape (mixtures + 2, 2) and ``num_buckets``; ``mauve_star`` and ``frontier_integral_star``
    come from histograms with half a text more in every cluster. Other implementations of k-means start from other
    centres, so that scores of texts differ a little from theirs.

    Source: K. Pillutla et al., "MAUVE: measuring the gap between neural text and human text using divergence
    frontiers", NeurIPS 2021; L. Liu et al., "Divergence frontiers for generative models", NeurIPS 2021.

    Example:
        >>> near, far = [[0.0, 1.0]] * 20, [[1.0, 0.0]] * 20
        >>> texts = {"predictions": [""] * 20, "references": [""] * 20}
        >>> float(Mauve().compute(**texts, p_features=near, q_features=near).mauve)
        1.0
        >>> round(float(Mauve().compute(**texts, p_features=near, q_features=far).mauve), 3)
        0.004
    """

    _takes_arrays = True

    def _info(self) -> MetricInfo:
        return MetricInfo(
            description="How far generated texts lie from written ones, as distributions over clusters.",
            citation="@inproceedings{pillutla-etal:mauve:neurips2021, title={MAUVE: Measuring the Gap Between Neural "
            "Text and Human Text using Divergence Frontiers}, author={Pillutla, Krishna and others}, "
            "booktitle={NeurIPS}, year={2021}}",
            features={"predictions": "string", "references": "string"},
            inputs_description="p_features, q_features, p_tokens, q_tokens, num_buckets='auto', pca_max_data=-1, "
            "kmeans_explained_var=0.9, kmeans_num_redo=5, kmeans_max_iter=500, featurize_model_name='gpt2-large', "
            "device_id=-1, max_text_length=1024, divergence_curve_discretization_size=25, mauve_scaling_factor=5, "
            "seed=25.",
            reference_urls=["https://arxiv.org/abs/2102.01454"],
        )

    def _compute(
        self,
        *,
        predictions: list[str],
        references: list[str],
        p_features: Any = None,
        q_features: Any = None,
        p_tokens: Sequence[Sequence[int]] | None = None,
        q_tokens: Sequence[Sequence[int]] | None = None,
        num_buckets: int | str = "auto",
        pca_max_data: int = -1,
        kmeans_explained_var: float = 0.9,
        kmeans_num_redo: int = 5,
        kmeans_max_iter: int = 500,
        featurize_model_name: str = "gpt2-large",
        device_id: int = -1,
        max_text_length: int = 1024,
        divergence_curve_discretization_size: int = 25,
        mauve_scaling_factor: float = 5,
        verbose: bool = True,
        seed: int = 25,
    ) -> SimpleNamespace:
        import numpy as np

        if not isinstance(num_buckets, int) and num_buckets != "auto":
            raise EvaluationError(f"num_buckets is a number of clusters or 'auto', not {num_buckets!r}")
        if not 0 < kmeans_explained_var < 1:
            raise EvaluationError(f"kmeans_explained_var lies between 0 and 1, not {kmeans_explained_var}")
        sides = []
        embed = _Embedder(featurize_model_name, device_id, max_text_length)
        for features, tokens, texts in ((p_features, p_tokens, predictions), (q_features, q_tokens, references)):
            side = embed(texts, tokens) if features is None else np.asarray(features, np.float64)
            if side.ndim != 2 or not len(side):
                raise EvaluationError(f"embeddings have the shape (texts, width), not {side.shape}")
            sides.append(side)
        generated, written = sides
        count = max(2, round(min(map(len, sides)) / 10)) if isinstance(num_buckets, str) else num_buckets
        everything = np.concatenate([written, generated])
        if not 1 <= count <= len(everything):
            raise EvaluationError(f"num_buckets is between 1 and the {len(everything)} texts, not {count}")
        random = np.random.RandomState(seed)
        points = _components(everything, kmeans_explained_var, pca_max_data, random)
        labels = _clusters(points, count, kmeans_num_redo, kmeans_max_iter, random)
        q_counts, p_counts = (np.bincount(part, minlength=count) for part in np.split(labels, [len(written)]))
        p, q = p_counts / p_counts.sum(), q_counts / q_counts.sum()
        smooth_p, smooth_q = ((one + 0.5) / (one.sum() + count / 2) for one in (p_counts, q_counts))
        mixtures = np.linspace(ALMOST, 1 - ALMOST, divergence_curve_discretization_size)
        curve = _curve(p, q, mixtures, mauve_scaling_factor)
        return SimpleNamespace(
            p_hist=p,
            q_hist=q,
            divergence_curve=curve,
            mauve=_area(curve),
            frontier_integral=_frontier_integral(p, q),
            mauve_star=_area(_curve(smooth_p, smooth_q, mixtures, mauve_scaling_factor)),
            frontier_integral_star=_frontier_integral(smooth_p, smooth_q),
            num_buckets=count,
        )


class _Embedder:
    """A language model's last layer at the last token of each text."""

    def __init__(self, name: str, device_id: int, room: int) -> None:
        self._name, self._device_id, self._room = name, device_id, room
        self._parts: tuple[Any, Any] | None = None

    def __call__(self, texts: list[str], tokens: Sequence[Sequence[int]] | None) -> Any:
        """Return float64 of shape (texts, width); empty texts are left out.

        Raises:
            EvaluationError: there are no texts.
        """
        from enfold.evaluate.language_model import device_of

        device = device_of("cpu" if self._device_id < 0 else f"cuda:{self._device_id}")
        import torch

        from enfold.transformers import AutoModel, AutoTokenizer

        if self._parts is None:
            tokenizer = AutoTokenizer.from_pretrained(self._name)
            self._parts = tokenizer, AutoModel.from_pretrained(self._name).to(device).eval()
        tokenizer, model = self._parts
        if tokens is None:
            tokens = [tokenizer(text, truncation=True, max_length=self._room)["input_ids"] for text in texts if text]
        rows = [torch.as_tensor(row).reshape(-1).tolist() for row in tokens]
        if not rows:
            raise EvaluationError("mauve needs texts that are not empty")
        found = []
        for begin in range(0, len(rows), BATCH):
            batch = rows[begin : begin + BATCH]
            width = max(map(len, batch))
            ids = torch.tensor([row + [0] * (width - len(row)) for row in batch], device=device)
            mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in batch], device=device)
            with torch.no_grad():
                states = model(input_ids=ids, attention_mask=mask).last_hidden_state.double()  # (texts, tokens, width)
            found += [state[len(row) - 1].cpu() for state, row in zip(states, batch, strict=True)]
        return torch.stack(found).numpy()


def _components(features: Any, share: float, most: int, random: Any) -> Any:
    """Return the first principal components of unit vectors, so many that they explain a share of the variance."""
    import numpy as np

    size = np.linalg.norm(features, axis=1, keepdims=True)
    unit = features / np.where(size > 0, size, 1)
    sample = unit[random.choice(len(unit), most, replace=False)] if 0 < most < len(unit) else unit
    middle = sample.mean(0)
    _, spread, axes = np.linalg.svd(sample - middle, full_matrices=False)
    explained = np.cumsum(spread**2)
    kept = int(np.searchsorted(explained, share * explained[-1])) + 1
    return (unit - middle) @ axes[:kept].T


def _clusters(points: Any, count: int, tries: int, steps: int, random: Any) -> Any:
    """Return the cluster of each point by k-means (S. Lloyd, 1982), the best of several tries.

    The first centres are points drawn far from each other (k-means++, D. Arthur and S. Vassilvitskii, 2007).
    """
    import numpy as np

    sizes = (points**2).sum(1)

    def away(centres: Any) -> Any:  # squared distances, of shape (points, centres)
        return np.maximum(sizes[:, None] - 2 * points @ centres.T + (centres**2).sum(1), 0)

    best, least = None, math.inf
    for _ in range(max(tries, 1)):
        chosen = [random.randint(len(points))]
        for _ in range(count - 1):
            chances = away(points[chosen]).min(1)
            total = chances.sum()
            chosen.append(random.choice(len(points), p=chances / total if total else None))
        centres, labels = points[chosen], None
        for _ in range(steps):
            nearest = away(centres).argmin(1)
            if labels is not None and (nearest == labels).all():
                break
            labels = nearest
            filled = np.bincount(labels, minlength=count)
            sums = np.stack([np.bincount(labels, column, count) for column in points.T], axis=1)
            centres = np.where(filled[:, None] > 0, sums / np.maximum(filled, 1)[:, None], centres)
        cost = float(away(centres).min(1).sum())
        if cost < least:
            best, least = labels, cost
    return best


def _curve(p: Any, q: Any, mixtures: Any, scale: float) -> Any:
    """Return exp(-scale · divergence) of both distributions from each of their mixtures, with the two ends."""
    import numpy as np

    def divergence(one: Any, other: Any) -> float:
        occurs = one > 0
        return float((one[occurs] * np.log(one[occurs] / other[occurs])).sum())

    mixed = [weight * p + (1 - weight) * q for weight in mixtures]
    inner = [(divergence(q, both), divergence(p, both)) for both in mixed]
    return np.exp(-scale * np.array([(0.0, math.inf), *inner, (math.inf, 0.0)]))


def _area(curve: Any) -> Any:
    """Return the mean of the areas under the curve, seen from either axis."""
    import numpy as np

    areas = []
    for one, other in (curve.T, curve.T[::-1]):
        order = np.lexsort((-other, one))
        areas.append(abs(np.trapezoid(other[order], one[order])))
    return np.float64(sum(areas) / 2)


def _frontier_integral(p: Any, q: Any) -> float:
    """Return the integral of the divergences along the frontier, from 0 for equal distributions to 1."""
    total = 0.0
    for one, other in zip(p.tolist(), q.tolist(), strict=True):
        if one and other:
            if abs(one - other) > 1e-8:
                total += (one + other) / 2 - one * other * math.log(one / other) / (one - other)
        else:
            total += (one + other) / 2
    return total
