"""Long words are tokenized by searching; the result is what merging gives."""

from __future__ import annotations

import json
import random
from itertools import pairwise

import pytest

from enfold.tokenizers import Tokenizer


def byte_characters() -> list[str]:
    """Return the visible character of every byte."""
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = iter(range(256, 512))
    return [chr(byte) if byte in visible else chr(next(hidden)) for byte in range(256)]


def merged(word: str, ranks: dict[tuple[str, str], int]) -> list[str]:
    """Merge the lowest rank first, leftmost among equals."""
    parts = list(word)
    while len(parts) > 1:
        rank, at = min((ranks.get(pair, len(ranks)), at) for at, pair in enumerate(pairwise(parts)))
        if rank == len(ranks):
            break
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
    return parts


@pytest.mark.parametrize("seed", range(12))
def test_a_search_finds_what_merging_makes(seed: int) -> None:
    generator = random.Random(seed)
    letters = "abc" if seed % 2 else "ab"
    tokens = list(letters)
    merges: list[tuple[str, str]] = []
    while len(merges) < 60:
        pair = generator.choice(tokens), generator.choice(tokens)
        if len(pair[0] + pair[1]) > 9 or pair in merges:
            continue
        merges.append(pair)
        if pair[0] + pair[1] not in tokens:
            tokens.append(pair[0] + pair[1])
    if seed % 3 == 1:  # then merges need what others make later
        generator.shuffle(merges)
    vocabulary = byte_characters() + [token for token in tokens if len(token) > 1]
    model = {
        "type": "BPE",
        "vocab": {token: at for at, token in enumerate(vocabulary)},
        "merges": [list(pair) for pair in merges],
    }
    tokenizer = Tokenizer.from_str(
        json.dumps(
            {"version": "1.0", "model": model, "added_tokens": []}
            | {
                "pre_tokenizer": {
                    "type": "ByteLevel",
                    "add_prefix_space": False,
                    "trim_offsets": True,
                    "use_regex": True,
                }
            }
        )
    )
    ranks = {pair: rank for rank, pair in enumerate(merges)}
    words = ["".join(generator.choices(letters, k=generator.randrange(24, 70))) for _ in range(1600)]
    words += [letter * length for letter in letters for length in (24, 63, 64, 65, 500)]
    # The search is used once there has been enough text for it.
    tokenizer.encode_arrow(["".join(generator.choices(letters, k=4000))] * 140, fields=["input_ids"])
    found = tokenizer.encode_arrow(words, fields=["input_ids"])["input_ids"].tolist()
    again = tokenizer.encode_arrow(words[-400:], fields=["input_ids"])["input_ids"].tolist()
    assert again == found[-400:]
    for word, ids in list(zip(words, found, strict=True))[-400:]:
        assert [vocabulary[id] for id in ids] == merged(word, ranks)
