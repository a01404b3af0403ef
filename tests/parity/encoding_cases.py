"""Recordings of encodings and decodings for the parity test; imported by our side and by the peer's alike."""

from __future__ import annotations

import copy
import random
from typing import Any

from parity.tokenizer_cases import record, texts

EXTRA = [
    "👩‍👩‍👧 family 🇩🇪🇫🇷 flags 👍🏽 skin",
    "e\u0301 a\u0308\u0323 \u0301alone q\u0307\u0323\u0300",
    "مرحبا بالعالم שלום עולם \u202eright to left\u202c",
    "中文，标点。日本語の「括弧」と句読点、한국어 문장.",
    "tab\tcontrol\x00\x01\x7f\x80\u200b\ufeff\u2028end",
    "def f(x):\n    return x ** 2  # naïve café\n\n\nclass A: pass",
    "<|endoftext|>middle<|endoftext|> </s>x<s> [SEP] [MASK]mask [CLS]",
    "ﬁ ½ ① Ⅷ ㍿ ﷺ ＡＢＣ　全角",
    "  leading and trailing   ",
    "word " * 40,
]


def attempt(call: Any) -> Any:
    """The value of a call, or the name of what it raised."""
    try:
        return call()
    except Exception as error:
        return type(error).__name__


def given(count: int, seed: int) -> list[str]:
    """Texts in many scripts, with all that makes offsets hard."""
    return EXTRA + texts(count, seed)


def look_ups(encoding: Any) -> list[Any]:
    """What the methods of an encoding say about every token, word and character, and beyond them."""
    made: list[Any] = []
    for sequence in (0, 1):
        for index in range(0, len(encoding) + 3, 2):
            for name in ("char_to_token", "char_to_word", "word_to_chars", "word_to_tokens"):
                made.append(attempt(lambda n=name, i=index, s=sequence: getattr(encoding, n)(i, s)))
    for index in range(len(encoding) + 2):
        for name in ("token_to_chars", "token_to_word", "token_to_sequence"):
            made.append(attempt(lambda n=name, i=index: getattr(encoding, n)(i)))
    for bad in (-1, 2**70, "a", 1.0):
        for name in ("char_to_token", "token_to_chars", "word_to_chars", "token_to_sequence"):
            made.append(attempt(lambda n=name, b=bad: getattr(encoding, n)(b)))
    return made


def changed(encoding: Any, merge: Any) -> list[Any]:
    """Encodings after padding, truncation, merging, naming, copying."""
    made = []
    for left in ("left", "right"):
        one = copy.deepcopy(encoding)
        one.pad(len(one) + 3, direction=left, pad_id=7, pad_type_id=1, pad_token="<p>")
        made.append(record(one))
        one = copy.deepcopy(encoding)
        one.truncate(4, 1, left)
        made.append(record(one))
    for growing in (True, False):
        made.append(record(merge([encoding, encoding], growing)))
    one = copy.deepcopy(encoding)
    one.set_sequence_id(1)
    # Not token_to_sequence: the peer takes one of the two sequences at random then.
    made.append([one.sequence_ids, one.n_sequences])
    return made


def encodings(tokenizer: Any, merge: Any, count: int) -> dict[str, Any]:
    """Everything that encodings of one vocabulary say."""
    tokenizer.no_padding()
    tokenizer.no_truncation()
    rows = given(count, 21)
    made: dict[str, Any] = {"single": [record(one) for one in tokenizer.encode_batch(rows)]}
    made["bare"] = [record(tokenizer.encode(row, add_special_tokens=False)) for row in rows[:60]]
    pairs = list(zip(rows[:80], rows[40:120], strict=True))
    made["pairs"] = [record(one) for one in tokenizer.encode_batch(pairs)]
    made["words"] = [record(tokenizer.encode(row.split() or ["x"], is_pretokenized=True)) for row in rows[:40]]
    made["look-ups"] = [look_ups(tokenizer.encode(*pair)) for pair in pairs[:20]]
    made["changed"] = [changed(tokenizer.encode(row), merge) for row in rows[:20] if len(row) > 20]
    tokenizer.enable_padding(direction="left", pad_id=3, pad_type_id=1, pad_token="<pad>", pad_to_multiple_of=8)
    made["padded"] = [record(one) for one in tokenizer.encode_batch(rows[:30] + pairs[:10])]
    tokenizer.no_padding()
    # Windows that reach over the whole text: the peer stops reading once it has enough for the first.
    tokenizer.enable_truncation(400, stride=2)
    made["short enough"] = [record(one) for one in tokenizer.encode_batch(pairs[:40])]
    for direction in ("right", "left"):
        tokenizer.enable_truncation(9, stride=2, direction=direction)
        made["cut " + direction] = [record(one)[:9] for one in tokenizer.encode_batch(rows[:80])]
    tokenizer.no_truncation()
    return made


def decodings(tokenizer: Any, stream: Any, count: int) -> dict[str, Any]:
    """Texts of random ids, whole and token by token."""
    draw = random.Random(5)
    size = tokenizer.get_vocab_size()
    rows = [[draw.randrange(size + 3) for _ in range(draw.randint(0, 12))] for _ in range(count)]
    rows += [tokenizer.encode(text).ids for text in given(60, 22)]
    made: dict[str, Any] = {}
    for skip in (True, False):
        made[f"batch {skip}"] = tokenizer.decode_batch(rows, skip_special_tokens=skip)
        made[f"one {skip}"] = [tokenizer.decode(row, skip_special_tokens=skip) for row in rows[:50]]
        steps = []
        for row in rows[: count // 2] + rows[-60:]:
            cut = draw.randint(0, len(row) // 2)
            one = stream(row[:cut], skip) if cut else stream(skip_special_tokens=skip)
            given_out: list[Any] = []
            at = cut
            while at < len(row):
                width = draw.choice((1, 1, 1, 2))
                part = row[at] if width == 1 else row[at : at + width]
                given_out.append(attempt(lambda o=one, p=part: o.step(tokenizer, p)))
                at += width
                if draw.random() < 0.1:
                    one = copy.deepcopy(one)
            steps.append(given_out)
        made[f"stream {skip}"] = steps
    return made
