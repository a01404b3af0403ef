"""BLEU as sacrebleu reports it: with tokens, smoothing and percent as in shared tasks."""

from __future__ import annotations

import math
from typing import Any

from enfold.errors import MissingExtra, nearest
from enfold.evaluate.counting import Counting
from enfold.evaluate.errors import EvaluationError
from enfold.evaluate.info import MetricInfo
from enfold.evaluate.module import Metric

__all__ = ["Sacrebleu"]

SMOOTHING = {"none": None, "floor": 0.1, "add-k": 1.0, "exp": None}
OURS = ("13a", "none", "char", "intl", "zh")
THEIRS = ("ja-mecab", "ko-mecab", "flores101", "flores200", "spm")  # need dictionaries or models: sacrebleu has them
ORDER = 4


class Sacrebleu(Counting, Metric):
    """BLEU of a corpus in percent, comparable between publications.

    Every prediction is a text; its reference is a text or a list of texts.

    Options of ``compute``:
        smooth_method: ``"exp"`` (the default), ``"floor"``, ``"add-k"`` or ``"none"``.
        smooth_value: of floor (0.1 by default) and add-k (1).
        force: accepted for the ecosystem's sake; texts that look tokenized are not complained about.
        lowercase: compare in lower case.
        tokenize: ``"13a"`` (the default), ``"intl"``, ``"zh"``, ``"char"`` or ``"none"``; ``"ja-mecab"``,
            ``"ko-mecab"``, ``"flores101"``, ``"flores200"`` and ``"spm"`` need the package sacrebleu.
        use_effective_order: leave orders out for which there are no n-grams; for single sentences.

    ``compute`` gives ``score``, ``counts``, ``totals`` and ``precisions`` (lists over orders), ``bp``, ``sys_len`` and
    ``ref_len``.

    Source: M. Post, "A call for clarity in reporting BLEU scores", WMT 2018.

    Example:
        >>> round(Sacrebleu().compute(predictions=["hello there general"], references=[["hello there general"]])["bp"])
        1
    """

    def _info(self) -> MetricInfo:
        return MetricInfo(
            description="BLEU of a corpus in percent, with standard tokens.",
            citation='@inproceedings{post-2018-call, title = "A Call for Clarity in Reporting {BLEU} Scores", author = '
            '"Post, Matt", booktitle = "WMT", year = "2018", url = "https://aclanthology.org/W18-6319"}',
            features=[
                {"predictions": "string", "references": ["string"]},
                {"predictions": "string", "references": "string"},
            ],
            inputs_description="smooth_method='exp', smooth_value, force, lowercase, tokenize, use_effective_order.",
            reference_urls=["https://aclanthology.org/W18-6319/"],
        )

    def _count(
        self,
        *,
        predictions: list[str],
        references: list[Any],
        force: bool = False,
        lowercase: bool = False,
        tokenize: str | None = None,
    ) -> dict[str, Any]:
        from enfold.evaluate.text.bleu import corpus_counts
        from enfold.evaluate.text.pairs import groups_of

        groups, said = groups_of(references), predictions
        if lowercase:
            said, groups = [text.lower() for text in said], [[text.lower() for text in group] for group in groups]
        return corpus_counts(_cut(tokenize or "13a", said, groups), ORDER)

    def _score(
        self,
        counts: dict[str, Any],
        *,
        smooth_method: str = "exp",
        smooth_value: float | None = None,
        use_effective_order: bool = False,
    ) -> dict[str, Any]:
        if smooth_method not in SMOOTHING:
            raise EvaluationError(f"smooth_method is one of {', '.join(SMOOTHING)}, not {smooth_method!r}")
        matches: list[float] = counts["matches"].tolist()
        possible: list[float] = counts["possible"].tolist()
        said, closest = counts["said"], counts["closest"]
        penalty = 1.0
        if said < closest:
            penalty = math.exp(1 - closest / said) if said else 0.0
        score, precisions = 0.0, [0.0] * ORDER
        if any(matches):
            value = SMOOTHING[smooth_method] if smooth_value is None else smooth_value
            precisions, orders = _smoothed(matches, possible, smooth_method, value)
            used = precisions[: orders if use_effective_order else ORDER]
            if min(used) > 0:
                score = penalty * math.exp(sum(map(math.log, used)) / len(used))
            else:  # sacrebleu takes the logarithm of nothing for -9999999999
                score = 0.0
        return {
            "score": score,
            "counts": matches,
            "totals": possible,
            "precisions": precisions,
            "bp": penalty,
            "sys_len": said,
            "ref_len": closest,
        }


def _smoothed(matches: list[float], possible: list[float], method: str, value: float | None) -> tuple[list[float], int]:
    """Return precisions in percent and the number of orders that occur; add-k changes the counts as well."""
    precisions, halved, orders = [0.0] * ORDER, 1.0, ORDER
    for order in range(ORDER):
        if method == "add-k" and order:
            matches[order] += value or 0.0
            possible[order] += value or 0.0
        if not possible[order]:
            return precisions, orders if order == 0 else order
        if matches[order]:
            precisions[order] = 100.0 * matches[order] / possible[order]
        elif method == "exp":
            halved *= 2
            precisions[order] = 100.0 / (halved * possible[order])
        elif method == "floor":
            precisions[order] = 100.0 * (value or 0.0) / possible[order]
    return precisions, orders


def _cut(tokenize: str, said: list[str], groups: list[list[str]]) -> Any:
    from enfold.evaluate.text import bleu
    from enfold.evaluate.text.pairs import TextPairs

    if tokenize == "13a":  # a hyphen and line break at the end are none within a text
        return bleu.cut_13a([text.rstrip() for text in said], [[text.rstrip() for text in group] for group in groups])
    if tokenize == "none":
        return TextPairs(said, groups)
    if tokenize == "char":
        return bleu.cut_by(lambda text: "".join(text.split()), said, groups)
    if tokenize in ("intl", "zh"):
        split = bleu.tokens_international if tokenize == "intl" else bleu.tokens_zh
        return bleu.cut_by(lambda text: split(text.rstrip()), said, groups)
    if tokenize not in THEIRS:
        known = (*OURS, *THEIRS)
        raise EvaluationError(
            f"there is no tokenizer {tokenize!r}{nearest(tokenize, known)}; there are {', '.join(known)}"
        )
    try:
        from sacrebleu.metrics import BLEU
    except ImportError:
        raise MissingExtra(f"tokenize={tokenize!r} of sacrebleu", "evaluate") from None
    tokenizer = BLEU(tokenize=tokenize).tokenizer
    return bleu.cut_by(lambda text: tokenizer(text.rstrip()).split(), said, groups)
