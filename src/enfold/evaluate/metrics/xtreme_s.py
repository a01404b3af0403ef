"""The scores of XTREME-S, a configuration for each of its data sets."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, ClassVar

from enfold.errors import nearest
from enfold.evaluate.counting import taken
from enfold.evaluate.errors import OptionError
from enfold.evaluate.metrics.sacrebleu import Sacrebleu
from enfold.evaluate.metrics.wer import edit_counts, error_rate
from enfold.evaluate.tasks import ACCURACY, ACCURACY_AND_MEAN_F1, Kind, TaskMetric

__all__ = ["XtremeS"]

TEXTS = {"predictions": "string", "references": "string"}


def _bare(texts: list[str]) -> list[str]:
    """Return the texts as their characters are counted: runs of white space as one blank, none at the ends."""
    return [re.sub(r"\s\s+", " ", text).strip() for text in texts]


def _errors(
    predictions: list[str], references: list[str], wer_kwargs: dict[str, Any] | None = None
) -> dict[str, dict[str, int]]:
    letters = [_bare(predictions), _bare(references)]
    if (wer_kwargs or {}).get("concatenate_texts"):
        letters = [["".join(texts)] for texts in letters]
    return {
        "wer": edit_counts(predictions, references, "spaces"),
        "cer": edit_counts(letters[0], letters[1], "characters"),
    }


def _sacrebleu(options: dict[str, Any] | None) -> Sacrebleu:
    """Return the metric, if it has these options."""
    module = Sacrebleu()
    known = module._option_names()
    for name in options or {}:
        if name not in known:
            raise OptionError(f"bleu_kwargs: sacrebleu has no option {name!r}{nearest(name, known)}")
    return module


def _bleu_counts(predictions: list[str], references: list[str], bleu_kwargs: dict[str, Any] | None = None) -> Any:
    given = {**(bleu_kwargs or {}), "predictions": predictions, "references": references}
    return _sacrebleu(bleu_kwargs)._counts(given)


def _bleu(counts: Any, bleu_kwargs: dict[str, Any] | None = None) -> dict[str, float]:
    return {"bleu": _sacrebleu(bleu_kwargs)._scored(counts, bleu_kwargs or {})["score"]}


ERROR_RATES = Kind(TEXTS, _errors, lambda counts: {name: error_rate(found) for name, found in counts.items()})
BLEU = Kind(TEXTS, _bleu_counts, _bleu)
MEAN_F1 = replace(
    ACCURACY_AND_MEAN_F1,
    score=lambda counts: dict(sorted(ACCURACY_AND_MEAN_F1.score(counts).items(), reverse=True)),
)


class XtremeS(TaskMetric):
    """The scores of one data set of the XTREME-S benchmark of speech: ``load("xtreme_s", "mls")``.

    ``mls``, ``voxpopuli``, ``fleurs-asr`` and ``babel`` give ``wer`` and ``cer``; ``covost2`` gives ``bleu``, that of
    the metric sacrebleu; ``fleurs-lang_id`` ``accuracy``; ``minds14`` the mean ``f1`` of classes and ``accuracy``.

    Options of ``compute``:
        bleu_kwargs: options of the metric sacrebleu.
        wer_kwargs: options of the metrics wer and cer.

    Source: A. Conneau et al., "XTREME-S: evaluating cross-lingual speech representations", 2022.

    Example:
        >>> XtremeS(config_name="mls").compute(predictions=["it's sunny"], references=["it is sunny"])["wer"]
        0.6666666666666666
    """

    tasks: ClassVar = {
        **dict.fromkeys(("fleurs-asr", "mls", "voxpopuli", "babel"), ERROR_RATES),
        "covost2": BLEU,
        "fleurs-lang_id": ACCURACY,
        "minds14": MEAN_F1,
    }

    def _adds_up(self, *, wer_kwargs: dict[str, Any] | None = None, **options: Any) -> bool:
        return not (wer_kwargs or {}).get("concatenate_texts")

    def _count(  # type: ignore[override]
        self,
        *,
        predictions: Any,
        references: Any,
        bleu_kwargs: dict[str, Any] | None = None,
        wer_kwargs: dict[str, Any] | None = None,
    ) -> Any:
        count = self.tasks[self.config_name].count
        return count(predictions, references, **taken(count, {"bleu_kwargs": bleu_kwargs, "wer_kwargs": wer_kwargs}))

    def _score(self, counts: Any, *, bleu_kwargs: dict[str, Any] | None = None) -> dict[str, Any]:  # type: ignore[override]
        score = self.tasks[self.config_name].score
        return score(counts, **taken(score, {"bleu_kwargs": bleu_kwargs}))
