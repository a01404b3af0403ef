"""Rewards that need no model."""

from __future__ import annotations

import pytest

from enfold.trl.rewards import (
    accuracy_reward,
    get_cosine_scaled_reward,
    get_repetition_penalty_reward,
    get_soft_overlong_punishment,
    reasoning_accuracy_reward,
    think_format_reward,
)


def said(*texts: str) -> list[list[dict[str, str]]]:
    return [[{"role": "assistant", "content": text}] for text in texts]


@pytest.mark.parametrize(
    ("answer", "solution", "reward"),
    [
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}", 1.0),
        (r"\boxed{0.5}", r"$\frac{1}{2}$", 1.0),
        (r"so \boxed{\dfrac12}", "0.5", 1.0),
        (r"\boxed{63}", "The answer is 63.", 1.0),
        (r"\boxed{64}", "The answer is 63.", 0.0),
        (r"\boxed{1,000}", "1000", 1.0),
        (r"\boxed{x = 7}", "7", 1.0),
        (r"\boxed{\sqrt{2}}", r"\boxed{\sqrt2}", 1.0),
        ("It is 63.", "63", 0.0),
        (r"\boxed{3}", "nobody knows", None),
    ],
)
def test_answers_are_compared_as_numbers(answer: str, solution: str, reward: float | None) -> None:
    assert accuracy_reward(said(answer), [solution]) == [reward]


def test_only_what_follows_the_reasoning_counts() -> None:
    texts = said(r"<think>\boxed{1}</think>\boxed{2}", r"<think>\boxed{2}", r"<think></think>\boxed{1}")
    notes: dict[str, list[str]] = {}
    found = reasoning_accuracy_reward(
        texts, ["2", "2", "2"], log_extra=lambda name, values: notes.update({name: values})
    )
    assert found == [1.0, 0.0, 0.0]
    assert notes["answer_parsed"] == ["2", "[incomplete reasoning]", "1"]


def test_shorter_right_answers_are_worth_more() -> None:
    reward = get_cosine_scaled_reward(max_len=10)
    right, wrong = r"\boxed{1}", r"\boxed{2}"
    values = reward(said(right, right, wrong, wrong), ["1"] * 4, [[0] * 1, [0] * 9, [0] * 1, [0] * 99])
    assert values[0] > values[1] > 0 > values[3] > values[2]  # type: ignore[operator]
    assert values[3] == pytest.approx(-0.5)


def test_reasoning_is_marked_once_and_first() -> None:
    texts = said(
        "<think>a</think>b", "<think>a\nb</think>", "a <think>b</think>", "<think><think>a</think>b", "<think>a"
    )
    assert think_format_reward(texts) == [1.0, 1.0, 0.0, 0.0, 0.0]


def test_lengths_and_repetitions_are_punished() -> None:
    ids = [[1] * length for length in (80, 90, 100, 101)]
    assert get_soft_overlong_punishment(100, 20)(ids) == [0.0, -0.5, -1.0, -1.0]
    assert get_repetition_penalty_reward(2)([[1, 2, 3], [5] * 5, [7]]) == [0.0, -0.75, 0.0]
    with pytest.raises(ValueError, match="may not be positive"):
        get_repetition_penalty_reward(max_penalty=1.0)
