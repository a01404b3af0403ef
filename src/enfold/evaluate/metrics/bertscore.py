"""BERTScore: tokens matched by the similarity of their contextual embeddings."""

from __future__ import annotations

import math
import os
from collections import Counter
from typing import Any

from enfold.evaluate.counting import Counting
from enfold.evaluate.errors import EvaluationError
from enfold.evaluate.info import MetricInfo
from enfold.evaluate.module import Metric

__all__ = ["Bertscore"]

LANGUAGES = {
    "en": "roberta-large",
    "en-sci": "allenai/scibert_scivocab_uncased",
    "zh": "bert-base-chinese",
    "tr": "dbmdz/bert-base-turkish-cased",
}


class Bertscore(Counting, Metric):
    """Precision, recall and F1 of tokens, each matched with the most similar one of the other side.

    Every prediction is a text; its reference is a text or a list of texts, of which the best counts.

    Options of ``compute``:
        lang: the texts' language, such as ``"en"``, which chooses the model.
        model_type: a repository or a local folder of an encoder and its tokenizer.
        num_layers: the layer whose embeddings are compared; for known models the one their authors recommend, else
            the last.
        idf: weigh tokens by how rare they are among the references.
        batch_size: texts at a time, 64 by default.
        device: ``"cpu"``, ``"cuda"``, …; CUDA where there is one by default.
        rescale_with_baseline, baseline_path: rescale by a file of baselines (``LAYER,P,R,F``), which has to be given.
        use_fast_tokenizer: read the first word of a text as bert_score does with a fast tokenizer: for RoBERTa and
            GPT-2 as if it stood within a word. Published scores are not computed so.
        verbose, nthreads: accepted for the ecosystem's sake.
        all_layers: not offered; ask for one layer after the other.

    ``compute`` gives ``precision``, ``recall`` and ``f1``, lists over examples, and ``hashcode``.

    Source: T. Zhang et al., "BERTScore: evaluating text generation with BERT", ICLR 2020.
    """

    def _info(self) -> MetricInfo:
        return MetricInfo(
            description="Tokens matched by the similarity of their contextual embeddings.",
            citation="@inproceedings{bert-score, title={BERTScore: Evaluating Text Generation with BERT}, "
            "author={Tianyi Zhang and others}, booktitle={ICLR}, year={2020}}",
            features=[
                {"predictions": "string", "references": ["string"]},
                {"predictions": "string", "references": "string"},
            ],
            inputs_description="lang or model_type, num_layers, idf=False, batch_size=64, device, baseline_path.",
            reference_urls=["https://arxiv.org/abs/1904.09675"],
        )

    def _adds_up(self, *, idf: bool = False, **options: Any) -> bool:
        return not idf  # how rare a token is, all references tell

    def _count(
        self,
        *,
        predictions: list[str],
        references: list[Any],
        lang: str | None = None,
        model_type: str | None = None,
        num_layers: int | None = None,
        verbose: bool = False,
        idf: bool = False,
        device: str | None = None,
        batch_size: int = 64,
        nthreads: int = 4,
        all_layers: bool = False,
        rescale_with_baseline: bool = False,
        baseline_path: str | None = None,
        use_fast_tokenizer: bool = False,
    ) -> dict[str, Any]:
        """Return the scores of each example, and what they are computed with."""
        from enfold.evaluate.embeddings import Embedder
        from enfold.evaluate.language_model import device_of
        from enfold.evaluate.text.pairs import groups_of

        if all_layers:
            raise EvaluationError("all_layers gives a score for each layer: use num_layers=… for each instead")
        model_type = _model(lang, model_type)
        groups = groups_of(references)
        right = [text for group in groups for text in group]
        embedder = Embedder(model_type, num_layers, device_of(device), batch_size, blank=not use_fast_tokenizer)
        weights = _rarity([embedder.ids(text) for text in right], embedder.special) if idf else None
        mine, theirs = embedder(predictions, weights), embedder(right, weights)
        scores = []
        place = 0
        for said, group in zip(mine, groups, strict=True):
            rows = [_of_pair(said, theirs[place + number]) for number in range(len(group))]
            place += len(group)
            scores.append(tuple(max(row[kind] for row in rows) for kind in range(3)))
        columns = [[row[kind] for row in scores] for kind in range(3)]
        if rescale_with_baseline:
            low = _baseline(baseline_path, embedder.layer)
            columns = [
                [(value - base) / (1 - base) for value in column] for column, base in zip(columns, low, strict=True)
            ]
        return {"precision": columns[0], "recall": columns[1], "f1": columns[2], "layers": [embedder.layer]}

    def _score(
        self,
        counts: dict[str, Any],
        *,
        lang: str | None = None,
        model_type: str | None = None,
        idf: bool = False,
        rescale_with_baseline: bool = False,
        use_fast_tokenizer: bool = False,
    ) -> dict[str, Any]:
        from enfold.evaluate import __version__

        code = f"{_model(lang, model_type)}_L{counts['layers'][0]}{'_idf' if idf else '_no-idf'}"
        code += f"_version={__version__}(enfold){'-custom-rescaled' if rescale_with_baseline else ''}"
        code += "_fast-tokenizer" if use_fast_tokenizer else ""
        return {**{name: counts[name] for name in ("precision", "recall", "f1")}, "hashcode": code}


def _model(lang: str | None, model_type: str | None) -> str:
    if model_type is None and lang is None:
        raise EvaluationError("bertscore needs lang='en' (or another language), or model_type=…")
    return model_type or LANGUAGES.get((lang or "").lower(), "bert-base-multilingual-cased")


def _of_pair(said: tuple[Any, Any], right: tuple[Any, Any]) -> tuple[float, float, float]:
    """Return precision, recall and F1 of one pair: means of each token's best similarity, by weight."""
    similar = said[0] @ right[0].T  # (said tokens, right tokens)
    # special tokens match each other like all others; by default they have no weight
    totals = float(said[1].sum()), float(right[1].sum())
    if not all(totals):
        return 0.0, 0.0, 0.0
    precision = float((similar.amax(1) * said[1]).sum()) / totals[0]
    recall = float((similar.amax(0) * right[1]).sum()) / totals[1]
    total = precision + recall
    return precision, recall, 2 * precision * recall / total if total else 0.0


def _rarity(rows: list[list[int]], special: set[int]) -> dict[int, float]:
    """Return the weight of each token: log((N + 1) / (texts with it + 1)); under -1 that of tokens in no text."""
    counts = Counter(token for row in rows for token in set(row))
    weights = {token: math.log((len(rows) + 1) / (count + 1)) for token, count in counts.items()}
    return {-1: math.log(len(rows) + 1), **weights, **dict.fromkeys(special, 0.0)}


def _baseline(path: str | None, layer: int) -> tuple[float, float, float]:
    if path is None or not os.path.isfile(path):
        raise EvaluationError(
            "rescale_with_baseline needs baseline_path=…, a file with the columns LAYER,P,R,F: bert_score's "
            "repository has them for many models"
        )
    with open(path, encoding="utf-8") as file:
        for line in file.read().splitlines()[1:]:
            number, *values = line.split(",")
            if int(number) == layer:
                return float(values[0]), float(values[1]), float(values[2])
    raise EvaluationError(f"{path} has no baseline for layer {layer}")
