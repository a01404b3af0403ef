"""TER: the edits that turn a translation into its reference, shifts of phrases among them."""

from __future__ import annotations

import re
from typing import Any

from enfold.evaluate.counting import Counting
from enfold.evaluate.info import MetricInfo
from enfold.evaluate.module import Metric
from enfold.evaluate.text.mteval import RULES, unescaped

__all__ = ["Ter"]

# Punctuation of Chinese and Japanese, wide forms among it.
ASIAN_PUNCTUATION = (
    r"\u3001\u3002\u3008-\u3011\u3014-\u301f\u30fb\uff01\uff02\uff08\uff09\uff0c\uff0e\uff1a\uff1b\uff1f\uff61-\uff65"
)
# Radicals, strokes, enclosed and compatibility forms, ideographs: one token each. Kana stay together.
ASIAN = re.compile(
    rf"[{ASIAN_PUNCTUATION}\u2e80-\u2eff\u31c0-\u31ef\u3200-\u4dbf\u4e00-\u9fff\uf900-\ufaff\ufe30-\ufe4f]"
)
POSSESSIVE = re.compile("'s(?= |$)")


class Ter(Counting, Metric):
    """The words to insert, delete, substitute and the phrases to shift, divided by the reference's words, in percent.

    Every prediction is a text; its reference is a text or a list of texts: the fewest edits count, and the mean length.

    Options of ``compute``:
        normalized: split off punctuation first.
        ignore_punct: remove punctuation first.
        support_zh_ja_chars: with either of them, treat Chinese and Japanese characters and punctuation as well.
        case_sensitive: do not lower the texts first.

    ``compute`` gives ``score``, ``num_edits`` and ``ref_length``.

    Source: M. Snover et al., "A study of translation edit rate with targeted human annotation", AMTA 2006; the rules
    of Tercom as in sacrebleu.

    Example:
        >>> Ter().compute(predictions=["sat the cat"], references=[["the cat sat"]])
        {'score': 33.33333333333333, 'num_edits': 1, 'ref_length': 3.0}
    """

    def _info(self) -> MetricInfo:
        return MetricInfo(
            description="The edits that turn a translation into its reference, shifts of phrases among them.",
            citation='@inproceedings{snover-etal-2006-study, title = "A Study of Translation Edit Rate with Targeted '
            'Human Annotation", author = "Snover, Matthew and others", booktitle = "AMTA", year = "2006"}',
            features=[
                {"predictions": "string", "references": ["string"]},
                {"predictions": "string", "references": "string"},
            ],
            inputs_description="normalized, ignore_punct, support_zh_ja_chars, case_sensitive: all False.",
            reference_urls=["https://aclanthology.org/2006.amta-papers.25/"],
        )

    def _count(
        self,
        *,
        predictions: list[str],
        references: list[Any],
        normalized: bool = False,
        ignore_punct: bool = False,
        support_zh_ja_chars: bool = False,
        case_sensitive: bool = False,
    ) -> dict[str, Any]:
        import numpy as np

        from enfold.evaluate.text.pairs import TextPairs, groups_of

        def prepared(text: str) -> str:
            text = text.rstrip()
            if not case_sensitive:
                text = text.lower()
            if normalized:
                text = _normalized(text, support_zh_ja_chars)
            if ignore_punct:
                dropped = ASIAN_PUNCTUATION if support_zh_ja_chars else ""
                text = re.sub(f'[.,?:;!"(){dropped}]', "", text)
            return text

        groups = [[prepared(text) for text in group] for group in groups_of(references)]
        if normalized:
            # sacrebleu normalizes references once more, which finds an 's that an ideograph was set apart from
            groups = [[prepared(text) for text in group] for group in groups]
        pairs = TextPairs([prepared(text) for text in predictions], groups)
        edits = int(np.minimum.reduceat(pairs.translation_edits(), pairs.starts).sum())
        length = float(sum((np.add.reduceat(pairs.lengths()[1], pairs.starts) / pairs.counts).tolist()))
        return {"edits": edits, "length": length}

    def _score(self, counts: dict[str, Any]) -> dict[str, Any]:
        edits, length = counts["edits"], counts["length"]
        score = edits / length if length else float(edits > 0)
        return {"score": 100 * score, "num_edits": edits, "ref_length": length}


def _normalized(text: str, asian: bool) -> str:
    """Set punctuation apart, as Tercom's normalizer does: by the rules of mteval, with ``'s`` a token of its own."""
    text = unescaped(text.replace("\n-", "").replace("\n", " "))
    symbols, *numbers = RULES
    text = symbols[0].sub(symbols[1], f" {text} ")
    text = POSSESSIVE.sub(" 's", text)
    for pattern, replacement in numbers:
        text = pattern.sub(replacement, text)
    return ASIAN.sub(r" \g<0> ", text) if asian else text
