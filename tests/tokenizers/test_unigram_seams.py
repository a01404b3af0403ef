"""Unigram cuts words in scripts without blanks where no piece lies; the result is the best way through the whole."""

from __future__ import annotations

import random

import pytest

from enfold.tokenizers import Tokenizer
from enfold.tokenizers.models import Unigram
from enfold.tokenizers.normalizers import Replace, Sequence
from enfold.tokenizers.pre_tokenizers import Metaspace

LETTERS = ["\u4e2d", "\u6587", "\u6588", "\u5e94", "\u306e", "\ud55c", "a", ",", "\u00e9", "\U0002070e"]


def best(word: str, scores: dict[str, float]) -> list[str]:
    """The way with the highest sum: of equal ones the first found, from the left, the shortest piece first."""
    unknown = min(scores.values()) - 10
    ways: list[tuple[float, int, str] | None] = [(0.0, 0, "")] + [None] * len(word)

    def offer(begin: int, end: int, score: float, piece: str) -> None:
        start, known = ways[begin], ways[end]
        assert start is not None
        if known is None or start[0] + score > known[0]:
            ways[end] = (start[0] + score, begin, piece)

    for begin in range(len(word)):
        for end in range(begin + 1, len(word) + 1):
            if word[begin:end] in scores:
                offer(begin, end, scores[word[begin:end]], word[begin:end])
        if word[begin] not in scores:
            offer(begin, begin + 1, unknown, "<unk>")
    made, at = [], len(word)
    while at:
        step = ways[at]
        assert step is not None
        made.append(step[2])
        at = step[1]
    made.reverse()
    return [piece for i, piece in enumerate(made) if piece != "<unk>" or i == 0 or made[i - 1] != "<unk>"]


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(8))
def test_parts_give_the_best_way_through_the_word(seed: int, ties: bool) -> None:
    generator = random.Random(seed)
    letters = generator.sample(LETTERS, 6)
    pieces = {"<unk>", "\u2581"} | set(generator.sample(letters, 4))
    while len(pieces) < 14 + seed:
        pieces.add("".join(generator.choices(letters, k=generator.randrange(2, 4))))
        pieces.add("\u2581" + "".join(generator.choices(letters, k=generator.randrange(1, 3))))
    # With few different scores many ways score the same, up to rounding.
    scores = {piece: -generator.randrange(1, 9) / 10 if ties else -generator.random() * 9 for piece in sorted(pieces)}
    tokenizer = Tokenizer(Unigram(list(scores.items()), unk_id=list(scores).index("<unk>")))
    tokenizer.pre_tokenizer = Metaspace(prepend_scheme="always")
    texts = [
        " ".join("".join(generator.choices(letters, k=generator.randrange(1, 40))) for _ in range(3))
        for _ in range(300)
    ]
    names = list(scores)
    for text, row in zip(texts * 2, tokenizer.encode_arrow(texts * 2)["input_ids"].tolist(), strict=True):
        assert [names[id_] for id_ in row] == [
            piece for word in text.split(" ") for piece in best("\u2581" + word, scores)
        ]


def test_a_word_that_normalizing_makes_is_not_taken_for_raw_text_that_reads_the_same() -> None:
    pieces = {
        "<unk>": 0.0,
        "\u2581": -1.0,
        "\u2581b": -2.0,
        "\u2581c": -2.5,
        "c": -3.0,
        "b": -3.5,
        "x": -4.0,
        "\u2581x": -4.5,
    }
    tokenizer = Tokenizer(Unigram(list(pieces.items()), unk_id=0))
    tokenizer.normalizer = Sequence([Replace("b", "c"), Replace("a", "b"), Replace("\n", " ")])
    tokenizer.pre_tokenizer = Metaspace(prepend_scheme="always")
    words = [
        " a",
        " b",
        "\n a",
        "\n b",
        "\n        x",
        " xxxxxxxxxxxxxxxxxx",
        "\n xxxxxxxxxxxxxxxxxx",
        "    ",
        "\u2581b",
        "\n\u2581a",
    ]
    generator = random.Random(0)
    texts = ["".join(generator.choices(words, k=9)) for _ in range(400)]
    assert tokenizer.encode_arrow(texts)["input_ids"].tolist() == [tokenizer.encode(text).ids for text in texts]
