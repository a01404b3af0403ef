"""Accuracy on MATH: answers in LaTeX that are written alike once their spelling is made uniform."""

from __future__ import annotations

import re

from enfold.evaluate.counting import Counting
from enfold.evaluate.info import MetricInfo
from enfold.evaluate.module import Metric

__all__ = ["CompetitionMath"]

BEFORE_UNITS = (
    *((text, "") for text in ("\n", "\\!")),
    ("\\\\", "\\"),
    ("tfrac", "frac"),
    ("dfrac", "frac"),
    *((text, "") for text in ("\\left", "\\right", "^{\\circ}", "^\\circ", "\\$")),
)
UNIT = "\\text{ "
AFTER_UNITS = (("\\%", ""), ("%", ""), (" .", " 0."), ("{.", "{0."))


class CompetitionMath(Counting, Metric):
    """The share of answers that equal their reference, with one spelling of fractions, roots, units and signs.

    Source: D. Hendrycks et al., "Measuring mathematical problem solving with the MATH dataset", 2021.

    Example:
        >>> CompetitionMath().compute(predictions=["1/2"], references=["\\\\frac{1}{2}"])
        {'accuracy': 1.0}
    """

    _counts_early = True

    def _info(self) -> MetricInfo:
        return MetricInfo(
            description="The share of answers in LaTeX that equal their reference once spelled uniformly.",
            citation="@article{hendrycksmath2021, title={Measuring Mathematical Problem Solving With the MATH "
            "Dataset}, author={Dan Hendrycks and others}, journal={arXiv preprint arXiv:2103.03874}, year={2021}}",
            features={"predictions": "string", "references": "string"},
            homepage="https://github.com/hendrycks/math",
        )

    def _count(self, *, predictions: list[str], references: list[str]) -> dict[str, int]:
        return {"right": sum(map(equal, predictions, references)), "all": len(predictions)}

    def _score(self, counts: dict[str, int]) -> dict[str, float]:
        return {"accuracy": counts["right"] / counts["all"]}


def equal(said: str, right: str) -> bool:
    """Return whether two answers are the same; where one cannot be read, whether they are the same letter by letter."""
    try:
        return spelled(said) == spelled(right)
    except ValueError:
        return said == right


def spelled(answer: str) -> str:
    """Return an answer in the uniform spelling.

    Raises:
        ValueError: a root or fraction is of nothing, or there are two units.

    Example:
        >>> spelled("x = .5 \\\\text{ cm}"), spelled("\\\\sqrt3"), spelled("\\\\dfrac12")
        ('\\\\frac{1}{2}', '\\\\sqrt{3}', '\\\\frac{1}{2}')
    """
    for old, new in BEFORE_UNITS:
        answer = answer.replace(old, new)
    answer, *units = answer.split(UNIT)
    if len(units) > 1:
        raise ValueError("two units")
    for old, new in AFTER_UNITS:
        answer = answer.replace(old, new)
    if answer.startswith("."):
        answer = f"0{answer}"
    name, *values = answer.split("=")
    if len(values) == 1 and len(name) <= 2:
        answer = values[0]
    if re.search(r"\\sqrt(\\sqrt|$)", answer):
        raise ValueError("a root of nothing")
    answer = re.sub(r"\\sqrt([^{])", r"\\sqrt{\1}", answer).replace(" ", "")
    short = re.search(r"\\frac([^{\\]?|\\(?!frac))(?=\\frac|$)", answer)  # the first with less than two characters
    if short and not short[1]:
        raise ValueError("a fraction of nothing")
    if not short:  # else its denominator is missing, and all fractions stay as they are
        answer = re.sub(r"\\frac([^{])(\{|.)", _braced, answer)
    if answer == "0.5":
        return "\\frac{1}{2}"
    whole = re.fullmatch(r"(0|-?[1-9][0-9]*)/(0|-?[1-9][0-9]*)", answer)
    return f"\\frac{{{whole[1]}}}{{{whole[2]}}}" if whole else answer


def _braced(fraction: re.Match[str]) -> str:
    above, below = fraction.groups()
    return f"\\frac{{{above}}}" + (below if below == "{" else f"{{{below}}}")
