"""The scores of TREC: rankings of documents against judgments of their relevance."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from enfold.evaluate.errors import EvaluationError
from enfold.evaluate.info import MetricInfo
from enfold.evaluate.module import Metric

__all__ = ["TrecEval"]

DEPTHS = (5, 10, 15, 20, 30, 100, 200, 500, 1000)
DEEPEST = 1000
DEEPEST_FOR_MAP = 10000
LEAST_MAP = 0.00001  # what a query that found nothing counts in the geometric mean

#: query → document → relevance
Judgments = dict[int, dict[str, int]]
#: query → documents, the best first
Ranking = dict[int, list[str]]


class TrecEval(Metric):
    """One ranking of documents for each query, against judgments: the summary of the program trec_eval.

    The prediction is one run, ``{"query": […], "q0": […], "docid": […], "rank": […], "score": […], "system": […]}``,
    the reference one set of judgments, ``{"query": […], "q0": […], "docid": […], "rel": […]}``: columns of one row for
    each document. Documents are ranked by score, of equal scores the greater name first; for NDCG they are taken as
    they come.

    ``compute`` gives ``runid``, ``num_ret``, ``num_rel``, ``num_rel_ret``, ``num_q``, ``map``, ``gm_map``, ``bpref``,
    ``Rprec``, ``recip_rank``, and ``P@`` and ``NDCG@`` 5, 10, 15, 20, 30, 100, 200, 500 and 1000: means over queries.

    Source: E. Voorhees and D. Harman, "TREC: experiment and evaluation in information retrieval", 2005; the conventions
    are those of TrecTools (J. Palotti, H. Scells and G. Zuccon, SIGIR 2019).

    Example:
        >>> run = {"query": [0, 0], "q0": ["q0"] * 2, "docid": ["doc_2", "doc_1"], "rank": [0, 1]}
        >>> run |= {"score": [1.5, 1.2], "system": ["test"] * 2}
        >>> qrel = {"query": [0], "q0": ["0"], "docid": ["doc_1"], "rel": [2]}
        >>> float(TrecEval().compute(predictions=[run], references=[qrel])["P@5"])
        0.2
    """

    _takes_arrays = True

    def _info(self) -> MetricInfo:
        shared: dict[str, Any] = {"query": ["int64"], "q0": ["string"], "docid": ["string"]}
        return MetricInfo(
            description="Rankings of documents against judgments of their relevance: precision, MAP, NDCG and others.",
            citation="@inproceedings{palotti2019, author = {Palotti, Joao and Scells, Harrisen and Zuccon, Guido}, "
            "title = {TrecTools: an open-source Python library for Information Retrieval practitioners involved in "
            "TREC-like campaigns}, series = {SIGIR'19}, year = {2019}}",
            features={
                "predictions": {**shared, "rank": ["int64"], "score": ["float"], "system": ["string"]},
                "references": {**shared, "rel": ["int64"]},
            },
            homepage="https://github.com/joaopalotti/trectools",
        )

    def _compute(self, *, predictions: list[Any], references: list[Any]) -> dict[str, Any]:
        import numpy as np

        if len(predictions) > 1 or len(references) > 1:
            raise EvaluationError(
                f"trec_eval compares one run with one set of judgments, not {len(predictions)} with {len(references)}"
            )
        run, judged = predictions[0], references[0]
        given: Ranking = defaultdict(list)
        ranked: dict[int, list[tuple[float, str]]] = defaultdict(list)
        for query, document, score in zip(run["query"], run["docid"], run["score"], strict=True):
            given[query].append(document)
            ranked[query].append((score, document))
        order = {query: [name for _, name in sorted(rows, reverse=True)] for query, rows in ranked.items()}
        relevance: Judgments = defaultdict(dict)
        for query, document, value in zip(judged["query"], judged["docid"], judged["rel"], strict=True):
            relevance[query][document] = value

        wanted = {query: sum(value > 0 for value in found.values()) for query, found in relevance.items()}
        precision = {query: _average_precision(order[query], relevance.get(query, {})) for query in order}
        # a query with relevant documents that the run leaves out has no average precision, and no geometric mean either
        means = [precision.get(query, math.nan) or LEAST_MAP for query in sorted({*order, *_positive(wanted)})]
        means = [math.nan if math.isnan(value) else value for value in means]

        def mean(values: Iterable[float]) -> Any:
            return np.float64(sum(value for value in values if not math.isnan(value)) / len(order))

        hits = {query: [relevance.get(query, {}).get(name, 0) > 0 for name in names] for query, names in order.items()}
        result: dict[str, Any] = {
            "runid": run["system"][0],
            "num_ret": np.int64(len(run["docid"])),
            "num_rel": np.int64(sum(wanted.values())),
            "num_rel_ret": np.int64(sum(map(sum, hits.values()))),
            "num_q": len(order),
            "map": mean(precision.values()),
            "gm_map": np.float64(math.exp(sum(map(math.log, means)) / len(means))),
            "bpref": mean(_preference(order[query], relevance.get(query, {})) for query in order),
            "Rprec": mean(
                sum(found[: min(wanted.get(query, 0), DEEPEST)]) / wanted[query] if wanted.get(query) else math.nan
                for query, found in hits.items()
            ),
            "recip_rank": mean(1 / (1 + found.index(True)) if any(found[:DEEPEST]) else 0 for found in hits.values()),
        }
        for depth in DEPTHS:
            result[f"P@{depth}"] = mean(sum(found[:depth]) / depth for found in hits.values())
        for depth in DEPTHS:
            result[f"NDCG@{depth}"] = mean(_gain(given[query], relevance.get(query, {}), depth) for query in order)
        return result


def _positive(wanted: dict[int, int]) -> list[int]:
    return [query for query, count in wanted.items() if count]


def _average_precision(ranking: list[str], relevance: dict[str, int]) -> float:
    """Return the mean over relevant documents of the precision down to each; nan without any."""
    relevant = {name for name, value in relevance.items() if value > 0}
    found, total = 0, 0.0
    for rank, name in enumerate(ranking[:DEEPEST_FOR_MAP], 1):
        if name in relevant:
            found += 1
            total += found / rank
    return total / len(relevant) if relevant else math.nan


def _preference(ranking: list[str], relevance: dict[str, int]) -> float:
    """Return how seldom a document that was judged irrelevant stands before a relevant one (bpref)."""
    relevant = sum(value > 0 for value in relevance.values())
    compared = min(relevant, len(relevance) - relevant)
    before, total = 0, 0.0
    for name in [name for name in ranking if name in relevance][:DEEPEST]:
        if relevance[name] == 0:
            before += 1
        elif compared:
            total += (1 - min(before, relevant) / compared) / relevant
    return total


def _gain(ranking: list[str], relevance: dict[str, int], depth: int) -> float:
    """Return the relevance of the first documents, less by their rank's logarithm, as a share of the best ranking's."""
    best = sorted((value for value in relevance.values() if value > 0), reverse=True)
    if not best:
        return math.nan

    def total(values: Iterable[int]) -> float:
        return sum(max(value, 0) / math.log2(rank + 1) for rank, value in enumerate(values, 1))

    return total(relevance.get(name, 0) for name in ranking[:depth]) / total(best[:depth])
