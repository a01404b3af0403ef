"""Rewards for answers to questions of mathematics.

``math_verify`` judges where it is installed. Without it, answers are compared as numbers, fractions and roots, and else
letter by letter after their LaTeX was brought into one form.
"""

from __future__ import annotations

import importlib.util
import math
import re
import threading
from collections.abc import Callable
from fractions import Fraction
from typing import Any

__all__ = ["accuracy_reward", "get_cosine_scaled_reward", "reasoning_accuracy_reward"]

Note = Callable[[str, list[Any]], None]

_DROPPED = re.compile(
    r"\\(?:left|right|,|;|!|:|quad|displaystyle)|\\text\{[^}]*\}|\\(?:mathrm|operatorname)\{([^}]*)\}|[$\s]|\^?\\circ"
)
_FRACTION = re.compile(r"\\[dt]?frac\{([^{}]+)\}\{([^{}]+)\}|\\[dt]?frac(\d)(\d)")
_NUMBER = re.compile(r"-?\d+(?:,\d{3})*(?:\.\d+)?|-?\.\d+")


def _boxed(text: str) -> str | None:
    """The content of the first ``\\boxed{…}``, braces within it balanced."""
    start = text.find("\\boxed{")
    if start < 0:
        return None
    depth, begin = 1, start + len("\\boxed{")
    for place in range(begin, len(text)):
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        if not depth:
            return text[begin:place]
    return None


def _uniform(answer: str) -> str:
    plain = _DROPPED.sub(lambda found: found[1] or "", answer).replace("\\%", "%").rstrip(".")
    plain = _FRACTION.sub(lambda found: f"({found[1] or found[3]})/({found[2] or found[4]})", plain)
    plain = re.sub(r"\\sqrt(\d)", r"sqrt(\1)", plain).replace("\\sqrt", "sqrt").replace("{", "(").replace("}", ")")
    name, _, value = plain.rpartition("=")
    return value if len(name) <= 2 else plain


def _value(answer: str) -> Fraction | None:
    plain = _uniform(answer)
    percent = plain.endswith("%")
    found = re.fullmatch(r"\(?(-?)\(?([^()/]+)\)?/\(?([^()/]+)\)?\)?", plain.rstrip("%"))
    try:
        if found:
            value = Fraction(found[2].replace(",", "")) / Fraction(found[3].replace(",", ""))
            value = -value if found[1] else value
        else:
            value = Fraction(plain.rstrip("%").replace(",", "").strip("()"))
    except (ValueError, ZeroDivisionError):
        return None
    return value / 100 if percent else value


def _solution(text: str) -> str | None:
    """What a reference says: its boxed answer, what stands between dollars, or its last number."""
    boxed = _boxed(text)
    if boxed is not None:
        return boxed
    inside = re.findall(r"\$+([^$]+)\$+", text)
    if inside:
        return str(inside[-1])
    if _value(text) is not None:
        return text
    numbers = _NUMBER.findall(text)
    return str(numbers[-1]) if numbers else None


def _answer(text: str) -> str | None:
    boxed = _boxed(text)
    if boxed is not None:
        return boxed
    inside = re.findall(r"\$+([^$]+)\$+|\\\((.+?)\\\)|\\\[(.+?)\\\]", text, re.DOTALL)
    return next((part for part in inside[-1] if part), None) if inside else None


def _judged(content: str, solution: str) -> tuple[float | None, str, str]:
    """The reward, and what was read of the solution and of the answer."""
    if importlib.util.find_spec("math_verify") is not None:
        return _verified(content, solution)
    right, said = _solution(solution), _answer(content)
    if right is None:
        return None, "[unparseable]", "[skipped]"
    if said is None:
        return 0.0, right, "[unparseable]"
    values = _value(right), _value(said)
    same = values[0] == values[1] if None not in values else _uniform(right) == _uniform(said)
    return float(same), right, said


def _verified(content: str, solution: str) -> tuple[float | None, str, str]:
    from latex2sympy2_extended import NormalizationConfig
    from math_verify import LatexExtractionConfig, parse, verify

    limits = (10, 5) if threading.current_thread() is threading.main_thread() else (None, None)  # it limits by signals
    right = parse(solution, parsing_timeout=limits[0])
    if not right:
        return None, "[unparseable]", "[skipped]"
    how = LatexExtractionConfig(
        normalization_config=NormalizationConfig(units=True), boxed_match_priority=0, try_extract_without_anchor=False
    )
    said = parse(content, extraction_config=[how], extraction_mode="first_match", parsing_timeout=limits[0])
    reward = float(verify(right, said, timeout_seconds=limits[1]))
    return reward, str(right), str(said) if said else "[unparseable]"


def _text(completion: Any) -> str:
    return completion if isinstance(completion, str) else str(completion[0]["content"])


def accuracy_reward(
    completions: list[Any], solution: list[str], log_extra: Note | None = None, **kwargs: Any
) -> list[float | None]:
    """Return 1 for each completion that says the solution, 0 for others, None where the solution cannot be read.

    Args:
        completions: each a list of one message, or text; the answer is boxed, or the last formula.
        solution: the right answers.
        log_extra: told what was read, as columns of the table of completions.
        kwargs: not looked at.

    Example:
        >>> said = [[{"content": "So it is \\\\boxed{\\\\frac{1}{3}}"}], [{"content": "\\\\boxed{\\\\frac{1}{2}}"}]]
        >>> accuracy_reward(said, ["\\\\frac{1}{3}", "\\\\frac{1}{3}"])
        [1.0, 0.0]
    """
    judged = [_judged(_text(item), right) for item, right in zip(completions, solution, strict=True)]
    _note(log_extra, solution, judged)
    return [reward for reward, *_ in judged]


def reasoning_accuracy_reward(
    completions: list[Any],
    solution: list[str],
    reasoning_delimiters: list[str] | None = None,
    log_extra: Note | None = None,
    **kwargs: Any,
) -> list[float | None]:
    """Return :func:`accuracy_reward` of what follows the reasoning, and 0 where the reasoning does not end.

    Args:
        completions, solution, log_extra, kwargs: as there.
        reasoning_delimiters: texts that end the reasoning; ``</think>`` by default.
    """
    judged: list[tuple[float | None, str, str]] = []
    for item, right in zip(completions, solution, strict=True):
        text = _text(item)
        end = next((mark for mark in reasoning_delimiters or ["</think>"] if mark in text), None)
        open_ended = (0.0, "[incomplete reasoning]", "[incomplete reasoning]")
        judged.append(open_ended if end is None else _judged(text.rsplit(end, 1)[1], right))
    _note(log_extra, solution, judged)
    return [reward for reward, *_ in judged]


def _note(log_extra: Note | None, solution: list[str], judged: list[tuple[float | None, str, str]]) -> None:
    if log_extra is not None:
        log_extra("solution", list(solution))
        log_extra("gold_parsed", [right for _, right, _ in judged])
        log_extra("answer_parsed", [said for *_, said in judged])


class CosineScaledReward:
    """Returns a right answer's reward the higher the shorter it is, and a wrong one's the lower."""

    __name__ = "cosine_scaled_reward"

    def __init__(self, max_len: int, wrong: tuple[float, float], right: tuple[float, float]) -> None:
        self.max_len, self.wrong, self.right = max_len, wrong, right

    def __call__(
        self, completions: list[Any], solution: list[str], completion_ids: list[list[int]], **kwargs: Any
    ) -> list[float | None]:
        found: list[float | None] = []
        for correct, ids in zip(accuracy_reward(completions, solution), completion_ids, strict=True):
            if correct is None:
                found.append(None)
                continue
            long, short = self.right if correct else self.wrong[::-1]
            swing = math.cos(min(len(ids) / self.max_len, 1.0) * math.pi)
            found.append(long + 0.5 * (short - long) * (1 + swing))
        return found


def get_cosine_scaled_reward(
    max_len: int,
    min_value_wrong: float = -1.0,
    max_value_wrong: float = -0.5,
    min_value_correct: float = 0.5,
    max_value_correct: float = 1.0,
) -> CosineScaledReward:
    """Return a reward for right answers that goes with the completion's length along half a cosine.

    Args:
        max_len: tokens at which it reaches its end.
        min_value_wrong, max_value_wrong: of a wrong answer, at length 0 and at the end.
        min_value_correct, max_value_correct: of a right answer, at the end and at length 0.

    Source: https://arxiv.org/abs/2502.03373, appendix C.1
    """
    return CosineScaledReward(max_len, (min_value_wrong, max_value_wrong), (min_value_correct, max_value_correct))
