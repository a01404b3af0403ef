"""Words in scripts without blanks are cut where no merge reaches across; the result is what merging the whole gives."""

from __future__ import annotations

import json
import random
from itertools import pairwise

import pytest
from test_bpe_search import byte_characters, merged

from enfold.tokenizers import Tokenizer

BYTES = byte_characters()
LETTERS = [
    "\u4e2d",
    "\u6587",
    "\u6588",
    "\u5e94",
    "\u306e",
    "\ud55c",
    "\uac00",
    "a",
    "b",
    "\u00e9",
    "\u0416",
    "\U0002070e",
]


def visible(text: str) -> str:
    """Write the bytes of a text as a byte-level tokenizer does."""
    return "".join(BYTES[byte] for byte in text.encode())


def random_merges(generator: random.Random, letters: list[str], count: int) -> list[tuple[str, str]]:
    """Merges of what has become neighbours in random words, so that parts of characters meet as well as whole ones."""
    merges: list[tuple[str, str]] = []
    tries = 0
    while len(merges) < count and tries < 50 * count:
        tries += 1
        parts = merged(visible("".join(generator.choices(letters, k=6))), {pair: at for at, pair in enumerate(merges)})
        if len(parts) > 1:
            merges.append(generator.choice(list(pairwise(parts))))
    return merges


def byte_level(vocabulary: list[str], merges: list[tuple[str, str]], ignore_merges: bool) -> Tokenizer:
    model = {"type": "BPE", "vocab": {token: at for at, token in enumerate(vocabulary)}, "ignore_merges": ignore_merges}
    model["merges"] = [list(pair) for pair in merges]
    pre = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return Tokenizer.from_str(json.dumps({"version": "1.0", "added_tokens": [], "pre_tokenizer": pre, "model": model}))


@pytest.mark.parametrize("ignore_merges", [False, True])
@pytest.mark.parametrize("seed", range(10))
def test_pieces_give_the_tokens_of_the_word(seed: int, ignore_merges: bool) -> None:
    generator = random.Random(seed)
    letters = generator.sample(LETTERS, 5)
    merges = list(dict.fromkeys(random_merges(generator, letters, 20 + 8 * seed)))
    if seed % 3 == 2:  # then merges need what others make later
        generator.shuffle(merges)
    words = ["".join(generator.choices(letters, k=generator.randrange(1, 30))) for _ in range(300)]
    tokens = [left + right for left, right in merges]
    if ignore_merges:  # some words are tokens that merging does not make
        tokens += [visible(word) for word in words[::10]]
    vocabulary = BYTES + list(dict.fromkeys(token for token in tokens if len(token) > 1))
    ranks = {pair: rank for rank, pair in enumerate(merges)}
    ids = {token: at for at, token in enumerate(vocabulary)}
    # Words are not cut before there have been many to cut: what was remembered until then must hold afterwards, too.
    enough = "\u4e2d\u6587" * 2000
    expected = {enough: None} | {word: merged(visible(word), ranks) for word in words}
    if ignore_merges:
        expected |= {word: [visible(word)] for word in words if visible(word) in ids}
    for order in ([*words[:100], enough, *words, *words], [*words[:30], *words]):
        found = byte_level(vocabulary, merges, ignore_merges).encode_arrow(order)["input_ids"].tolist()
        for word, row in zip(order, found, strict=True):
            assert word == enough or [vocabulary[id_] for id_ in row] == expected[word]


def test_a_long_word_is_cut_as_a_short_one() -> None:
    merges = [(visible("\u4e2d")[0], visible("\u4e2d")[1])]
    merges += [(merges[0][0] + merges[0][1], visible("\u4e2d")[2]), (visible("\u4e2d"), visible("\u4e2d"))]
    vocabulary = BYTES + [left + right for left, right in merges]
    tokenizer = byte_level(vocabulary, merges, False)
    for word in ("\u4e2d" * 1001, "\u6587" * 1000, "\u4e2d\u6587" * 500, "a\u4e2d" * 400):
        row = tokenizer.encode_arrow([word])["input_ids"].tolist()[0]
        assert [vocabulary[id_] for id_ in row] == merged(visible(word), {pair: at for at, pair in enumerate(merges)})
