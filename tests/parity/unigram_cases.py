"""Texts and recordings for the Unigram parity test; imported by our side and by the peer's alike."""

from __future__ import annotations

import hashlib
import json
import random
import struct
from typing import Any

from parity import tokenizer_cases

# Characters of every class that decides where grapheme clusters end.
JOINERS = "\u0301\u0308\u0300\u0323\u200d\u094d\u093f\u0bbe\u0600\u06dd\u1160\u11a8\ufe0f\U0001f3fb\u20dd\u200c\u0903"
BASES = "aeEoиक뢀각각한\r\n\t \u00a0©™👩🇩🇪ﬁ①½ﷺ㍿ｶﾞが。，！Ａ１￥\u2028\u3000\ufeff\u200b\u00ad\x00\x07\x1f▁￼\ufffdαΐक"


def charsmap(keys: dict[str, str]) -> bytes:
    """A precompiled map with a block of 256 units for every node of its trie."""
    units = [0] * 256
    values = b""
    nodes: dict[bytes, int] = {}

    def block() -> int:
        units.extend([0] * 256)
        return len(units) - 256

    nodes[b""] = block()
    units[0] = nodes[b""] << 10
    for key in sorted(key.encode() for key in keys):
        for length, byte in enumerate(key, 1):
            path = key[:length]
            place = nodes[path[:-1]] ^ byte
            if path not in nodes:
                nodes[path] = block()
                units[place] = (place ^ nodes[path]) << 10 | byte
        units[nodes[key[:-1]] ^ key[-1]] |= 256
        units[nodes[key]] = 1 << 31 | len(values)
        values += keys[key.decode()].encode() + b"\0"
    return struct.pack(f"<I{len(units)}I", 4 * len(units), *units) + values


SMALL = {"a": "bc", "e\u0301": "é", "©": "(c)", "क": "k", "ᅡ": "", "\u0301": "'", "\r": " ", "한": "han", "👩": "w"}


def clusters(count: int, seed: int = 3) -> list[str]:
    """Short runs of bases and joiners."""
    draw = random.Random(seed)
    pool = BASES + JOINERS * 2
    made = []
    for _ in range(count):
        length = draw.randint(1, 12)
        made.append("".join(draw.choice(pool if draw.random() < 0.9 else "xyz 1") for _ in range(length)))
    return made


def code_points() -> list[str]:
    """Every scalar value, a thousand a text, between letters with and without an accent."""
    scalars = [chr(code) for code in range(0x110000) if not 0xD800 <= code <= 0xDFFF]
    chunks = [scalars[at : at + 1000] for at in range(0, len(scalars), 1000)]
    return ["".join(c + ("x", "e\u0301")[at % 2] for at, c in enumerate(chunk)) for chunk in chunks]


def characters(library: Any, normalizer: Any, texts: list[str]) -> list[str]:
    """A digest a text of its normalized characters and their places in the text."""
    tokenizer = library.Tokenizer(library.models.WordLevel({"?": 0}, unk_token="?"))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = library.pre_tokenizers.FixedLength(length=1)
    made = []
    for text, encoding in zip(texts, tokenizer.encode_batch(texts), strict=True):
        row = json.dumps([normalizer.normalize_str(text), [list(span) for span in encoding.offsets]])
        made.append(hashlib.blake2b(row.encode(), digest_size=8).hexdigest())
    return made


def normalized(library: Any, real: bytes) -> dict[str, Any]:
    """What the normalizers make of every character and of many clusters."""
    steps = {
        "real map": library.normalizers.Precompiled(real),
        "small map": library.normalizers.Precompiled(charsmap(SMALL)),
        "nmt": library.normalizers.Nmt(),
    }
    short = clusters(4000)
    made = {f"{name}, clusters": characters(library, step, short) for name, step in steps.items()}
    every = code_points()
    return made | {f"{name}, characters": characters(library, steps[name], every) for name in ("real map", "nmt")}


# Vocabularies small enough for ties, holes and fallbacks to happen all the time.
MODELS: dict[str, dict[str, Any]] = {
    "ties": {"unk_id": 0, "vocab": [["<unk>", 0]] + [[p, -1.0 * len(p)] for p in "a b c ab bc abc ba aa ▁ ▁a".split()]},
    "holes": {
        "unk_id": 1,
        "vocab": [["ab", -1.5], ["u", -7.25], ["bab", -2.5], ["▁", -1], ["é中", -3], ["<0x62>", -9]],
    },
    "bytes": {
        "unk_id": 0,
        "byte_fallback": True,
        "vocab": [["<unk>", 0], ["▁", -2], ["ab", -3.25], ["中", -4]]
        + [[f"<0x{byte:02X}>", -20] for byte in range(256)],
    },
    "some bytes": {
        "unk_id": 0,
        "byte_fallback": True,
        "vocab": [["<unk>", 0], ["a", -1], ["<0x62>", -5], ["<0x63>", -5]],
    },
    "twice": {"unk_id": 2, "vocab": [["a", -1], ["b", -2], ["?", 0], ["a", -9], ["ab", -8], ["", -1]]},
}


def small_file(model: dict[str, Any], tagged: bool = True) -> str:
    """A tokenizer.json around a model."""
    made: dict[str, Any] = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": None,
    }
    made["pre_tokenizer"] = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
    made |= {"post_processor": None, "decoder": None, "model": ({"type": "Unigram"} if tagged else {}) | model}
    return json.dumps(made)


def small_models(library: Any, count: int) -> dict[str, Any]:
    """What small models make of short texts."""
    draw = random.Random(5)
    texts = ["".join(draw.choice("aabbc ué中x▁?<>unk") for _ in range(draw.randint(0, 14))) for _ in range(count)]
    made: dict[str, Any] = {}
    for name, model in MODELS.items():
        for tagged in (True, False):
            tokenizer = library.Tokenizer.from_str(small_file(model, tagged))
            made[f"{name}, {tagged}"] = [tokenizer_cases.record(encoding) for encoding in tokenizer.encode_batch(texts)]
        made[f"{name}, file"] = tokenizer.to_str()
        made[f"{name}, vocabulary"] = sorted(tokenizer.get_vocab().items())
        made[f"{name}, words"] = [
            [[token.id, token.value, list(token.offsets)] for token in tokenizer.model.tokenize(text)]
            for text in texts[:500]
        ]
        made[f"{name}, shown"] = repr(tokenizer.model)
    return made


BLANKS = {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}
RIGHT = {"type": "Strip", "strip_left": False, "strip_right": True}
QUOTES = [{"type": "Replace", "pattern": {"String": mark}, "content": '"'} for mark in ("``", "''")]


def pipelines(real: str) -> dict[str, str]:
    """Vocabularies with ties and holes, after the normalizers that families of models have."""
    mapped = {"type": "Precompiled", "precompiled_charsmap": real}
    both = {"type": "Strip", "strip_left": True, "strip_right": True}
    steps: dict[str, list[dict[str, Any]]] = {
        "nothing": [],
        "t5": [mapped, RIGHT, BLANKS | {"content": "▁"}],
        "deberta": [both, mapped, BLANKS],
        "trimmed late": [mapped, BLANKS, both],
        "marks then trimmed": [mapped, BLANKS | {"content": "▁"}, both],
        "left only": [{"type": "NFKC"}, both | {"strip_right": False}],
        "albert": [*QUOTES, {"type": "NFKD"}, {"type": "StripAccents"}, {"type": "Lowercase"}, mapped, BLANKS],
        "nmt": [{"type": "Nmt"}, {"type": "NFC"}, BLANKS],
        "blanks replaced": [{"type": "Replace", "pattern": {"String": " "}, "content": "b"}, mapped],
    }
    pieces = '▁ ▁a a ab b ▁ab c ▁c é ▁é ee e \' " ▁" aa ▁▁ 中 文 ▁中 x ,'.split(" ")
    vocab = [["<unk>", 0.0]] + [[piece, -1.5 * len(piece)] for piece in pieces]
    made = {}
    for name, normalizers in steps.items():
        for scheme in ("always", "first", "never"):
            file = json.loads(small_file({"unk_id": 0, "vocab": vocab}))
            file["normalizer"] = {"type": "Sequence", "normalizers": normalizers} if normalizers else None
            file["pre_tokenizer"]["prepend_scheme"] = scheme
            options = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
            file["added_tokens"] = [{"id": 30, "content": "<x>", **options}]
            made[f"{name}, {scheme}"] = json.dumps(file)
    return made


def blank_texts(count: int) -> list[str]:
    """Short texts full of blanks, other white space, marks, accents and things that vanish."""
    draw = random.Random(13)
    pool = [
        "a",
        "b",
        "ab",
        " ",
        " ",
        "  ",
        "▁",
        "\u00a0",
        "\n",
        "\r\n",
        "\t",
        "\u0301",
        "e\u0301",
        "é",
        "中文",
        "\u0600",
        "'",
    ]
    pool += [
        "\u200b",
        "\x07",
        "``",
        "''",
        "Ａ",
        "<x>",
        "\u3000",
        "\u00a8",
        "c",
        "，",
        "\ufeff",
        "\u200d",
        "\u2028",
        "x",
        "İ",
        "ﬁ",
    ]
    return ["".join(draw.choice(pool) for _ in range(draw.randint(0, 12))) for _ in range(count)]


def errors(library: Any) -> dict[str, bool]:
    """Which of these the library refuses."""
    unigram, precompiled = library.models.Unigram, library.normalizers.Precompiled
    bad = {
        "unk_id beyond": lambda: unigram([("a", 0.0)], 1),
        "no vocabulary": lambda: unigram([], 0),
        "no unk": lambda: unigram([("a", 0.0)]).tokenize("b"),
        "unk not needed": lambda: unigram([("a", 0.0)]).tokenize("aa"),
        "empty model": lambda: unigram(),
        "empty map": lambda: precompiled(b""),
        "short map": lambda: precompiled(b"\x04\0\0"),
        "cut map": lambda: precompiled(b"\xff\xff\0\0abcd"),
        "not UTF-8": lambda: precompiled(charsmap(SMALL) + b"\xff\xfe"),
        "a tuple short": lambda: library.Tokenizer.from_str(small_file({"vocab": [["a"]]})),
        "an object": lambda: library.Tokenizer.from_str(small_file({"vocab": {"a": 1}})),
    }
    made = {}
    for name, act in bad.items():
        try:
            act()
            made[name] = False
        except Exception:
            made[name] = True
    return made


def whole(library: Any, files: dict[str, str], count: int) -> dict[str, list[Any]]:
    """What whole pipelines make of the blank texts."""
    texts = blank_texts(count)
    made = {}
    for name, file in files.items():
        encodings = library.Tokenizer.from_str(file).encode_batch(texts)
        made[name] = [
            [each.ids, [list(span) for span in each.offsets], each.word_ids, each.tokens] for each in encodings
        ]
    return made


def numbers(library: Any) -> str:
    """A file with scores of every size, read and written."""
    draw = random.Random(7)
    scores = [-draw.random() * 10 ** draw.randint(-9, 18) for _ in range(4000)]
    scores += [struct.unpack("<f", struct.pack("<f", score))[0] for score in scores] + [0.0, -0.0, 1e16, 1e15, 5e-324]
    vocab = [[f"t{index}", score] for index, score in enumerate(scores)]
    return library.Tokenizer.from_str(small_file({"unk_id": None, "vocab": vocab})).to_str()


def real(tokenizer: Any, count: int) -> dict[str, Any]:
    """What a real vocabulary makes of texts of many scripts."""
    tokenizer.no_padding()
    tokenizer.no_truncation()
    texts = tokenizer_cases.texts(count) + clusters(count // 2, 11)
    encodings = tokenizer.encode_batch(texts)
    return {
        "rows": [tokenizer_cases.record(encoding) for encoding in encodings],
        "decoded": [tokenizer.decode(encoding.ids) for encoding in encodings],
    }
