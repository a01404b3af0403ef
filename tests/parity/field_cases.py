"""Documents with one field missing or of another kind, and what a tokenizer made of each gives; run by both sides."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

BYTES = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}
REPLACE = {"type": "Replace", "pattern": {"String": "a"}, "content": "b"}
PIECE = {"Sequence": {"id": "A", "type_id": 0}}
FLAGS = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
PADDING = {"direction": "Right", "pad_to_multiple_of": None, "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]"}
PARTS: dict[str, list[dict[str, Any]]] = {
    "normalizer": [
        {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None}
        | {"lowercase": True},
        {"type": "Strip", "strip_left": True, "strip_right": True},
        {"type": "NFC"},
        {"type": "Prepend", "prepend": "a"},
        {"type": "Precompiled", "precompiled_charsmap": ""},
        REPLACE,
    ],
    "pre_tokenizer": [
        BYTES,
        {"type": "Split", "pattern": {"Regex": "a"}, "behavior": "Removed", "invert": False},
        {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True},
        {"type": "Punctuation", "behavior": "Isolated"},
        {"type": "Digits", "individual_digits": True},
        {"type": "CharDelimiterSplit", "delimiter": " "},
        {"type": "FixedLength", "length": 2},
        {"type": "Sequence", "pretokenizers": [{"type": "Whitespace"}]},
    ],
    "post_processor": [
        {"type": "TemplateProcessing", "single": [PIECE], "pair": [PIECE, {"Sequence": {"id": "B", "type_id": 1}}]}
        | {"special_tokens": {"x": {"id": "x", "ids": [1], "tokens": ["x"]}}},
        {"type": "BertProcessing", "sep": ["s", 1], "cls": ["c", 0]},
        {"type": "Sequence", "processors": []},
        BYTES,
    ],
    "decoder": [
        BYTES,
        REPLACE,
        {"type": "WordPiece", "prefix": "##", "cleanup": True},
        {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True},
        {"type": "BPEDecoder", "suffix": "</w>"},
        {"type": "CTC", "pad_token": "<pad>", "word_delimiter_token": "|", "cleanup": True},
        {"type": "Strip", "content": "q", "start": 1, "stop": 1},
    ],
    "model": [
        {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None}
        | {"end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False}
        | {"vocab": {"a": 0, "b": 1, "ab": 2}, "merges": [["a", "b"]]},
        {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##"}
        | {"max_input_chars_per_word": 100, "vocab": {"a": 0, "[UNK]": 1}},
        {"type": "WordLevel", "vocab": {"a": 0, "[UNK]": 1}, "unk_token": "[UNK]"},
        {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0.0], ["a", -1.0]], "byte_fallback": False},
    ],
    "truncation": [{"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0}],
    "padding": [{"strategy": "BatchLongest", **PADDING}, {"strategy": {"Fixed": 4}, **PADDING}],
    "added_tokens": [{"id": 3, "content": "x", **FLAGS}],
}
OTHERS: list[Any] = [None, True, 3, -3, 1.5, "x", "", [], {}, ["a"], [["a", "b", "c"]], 2**70, {"a": "b"}]
OTHERS += [[["a"], 1], [["a", "q"]], ["a b"], {"String": "a"}, {"Fixed": 2}, {"Fixed": -2}]


def documents() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each document under a name that says what is wrong with it."""
    model = {"type": "WordLevel", "vocab": {"a": 0, "b": 1, "[UNK]": 2}, "unk_token": "[UNK]"}
    base: dict[str, Any] = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": []}
    base |= {"normalizer": None, "pre_tokenizer": {"type": "Whitespace"}, "post_processor": None, "decoder": None}
    base |= {"model": model}
    for part, variants in PARTS.items():
        for number, variant in enumerate(variants):
            name = f"{part} {variant.get('type', number)}"

            def put(changed: dict[str, Any], part: str = part) -> dict[str, Any]:
                return {**base, part: [changed] if part == "added_tokens" else changed}

            yield name, put(variant)
            yield f"{name} and more", put({**variant, "zork": 1})
            for field in variant:
                if field == "type":
                    continue
                yield f"{name} without {field}", put({key: value for key, value in variant.items() if key != field})
                for other in OTHERS:
                    yield f"{name} {field}={other!r}", put({**variant, field: other})


def results(tokenizer: Any) -> dict[str, Any]:
    """Return the ids and the text that each document leads to, or that it is refused."""
    made: dict[str, Any] = {}
    for name, document in documents():
        try:
            loaded = tokenizer.from_str(json.dumps(document))
        except BaseException:  # the peer's panics are no Exception
            made[name] = "refused"
            continue
        try:
            ids = loaded.encode("a b zz").ids
            made[name] = [ids, loaded.decode(ids)]
            if "=" not in name:
                made[name].append(json.loads(loaded.to_str()))
        except BaseException:
            made[name] = "no encoding"
    return made
