"""tiktoken's rank files and Mistral's tekken.json, turned into byte-level tokenizers with the same ids."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterable, Mapping
from typing import Any

from enfold import _native
from enfold.errors import EnfoldError, nearest
from enfold.tokenizers.tokenizer import Tokenizer

__all__ = ["PATTERNS", "BadRanks", "from_tekken", "from_tiktoken", "merges_of", "read_ranks"]

_GPT2 = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""
_CL100K = (
    r"""(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"""
    r"""|\s*[\r\n]+|\s+(?!\S)|\s+"""
)
_UPPER, _LOWER = r"\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}", r"\p{Ll}\p{Lm}\p{Lo}\p{M}"
_TAIL = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
_O200K = (
    rf"[^\r\n\p{{L}}\p{{N}}]?[{_UPPER}]*[{_LOWER}]+{_TAIL}|[^\r\n\p{{L}}\p{{N}}]?[{_UPPER}]+[{_LOWER}]*{_TAIL}"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
# How the words of the known encodings are cut.
PATTERNS = {
    "gpt2": _GPT2,
    "r50k_base": _GPT2,
    "p50k_base": _GPT2,
    "p50k_edit": _GPT2,
    "whisper": _GPT2,
    "cl100k_base": _CL100K,
    "o200k_base": _O200K,
    "o200k_harmony": _O200K,
}


class BadRanks(EnfoldError, ValueError):
    """Bytes are not a list of tokens and ranks."""


def _read(source: str | os.PathLike[str] | bytes) -> tuple[str, bytes]:
    if isinstance(source, (bytes, bytearray, memoryview)):
        return "the bytes given", bytes(source)
    with open(source, "rb") as file:
        return repr(os.fspath(source)), file.read()


def read_ranks(source: str | os.PathLike[str] | bytes) -> dict[bytes, int]:
    """Read a rank file: a token in base64 and its rank on every line.

    Args:
        source: the path of a ``.tiktoken`` file, or its bytes.

    Raises:
        BadRanks: a line is something else.

    Example:
        >>> read_ranks(b"YQ== 0\\nYg== 1\\n")
        {b'a': 0, b'b': 1}
    """
    name, data = _read(source)
    ranks: dict[bytes, int] = {}
    for number, line in enumerate(data.splitlines(), 1):
        if not line:
            continue
        try:
            token, rank = line.split()
            # A file of Whisper's has "=" for the empty token.
            ranks[b"" if token == b"=" else base64.b64decode(token, validate=True)] = int(rank)
        except ValueError:
            raise BadRanks(f"{name}, line {number}: expected a token in base64 and its rank") from None
    if not ranks or min(ranks.values()) < 0:
        raise BadRanks(f"{name} holds no ranks" if not ranks else f"{name} has a rank below zero")
    return ranks


def merges_of(ranks: Mapping[bytes, int]) -> list[tuple[bytes, bytes]]:
    """Return the merges that make byte-pair encoding give what joining by rank gives.

    tiktoken joins any two neighbours that spell a token, lowest rank first; so every way to cut a token into two
    tokens is a merge, in the order of the tokens' ranks.

    Args:
        ranks: token → rank.
    """
    found: list[tuple[bytes, bytes]] = []
    for token in sorted(ranks, key=ranks.__getitem__):
        pairs = [(token[:at], token[at:]) for at in range(1, len(token)) if token[:at] in ranks and token[at:] in ranks]
        if len(pairs) > 1:
            pairs.sort(key=lambda pair: (ranks[pair[0]], ranks[pair[1]]))
        found += pairs
    return found


def _make(ranks: Mapping[bytes, int], pattern: str, shift: int, special: Mapping[str, int]) -> Tokenizer:
    alphabet = _native.byte_alphabet()
    missing = [byte for byte in range(256) if bytes([byte]) not in ranks]
    if missing:
        raise BadRanks(f"the byte {missing[0]:#04x} has no rank: texts that hold it could not be encoded")
    # Latin-1 reads a byte as the character of its number.
    table = dict(enumerate(alphabet))
    shown = {token: token.decode("latin-1").translate(table) for token in ranks if token}
    vocab = {text: ranks[token] + shift for token, text in shown.items()}
    merges = [(shown[left], shown[right]) for left, right in merges_of(ranks) if left and right]
    options = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    named = sorted(special.items(), key=lambda item: item[1])
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    spec = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": id, "content": token, **options} for token, id in named],
        "normalizer": None,
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False},
                level,
            ],
        },
        "post_processor": {**level, "trim_offsets": False},
        "decoder": level,
        # A word that is a token is taken whole, as in tiktoken. Special tokens are in the vocabulary for their ids.
        "model": {"type": "BPE", "ignore_merges": True, "vocab": {**vocab, **dict(named)}, "merges": merges},
    }
    return Tokenizer.from_str(json.dumps(spec, ensure_ascii=False))


def from_tiktoken(
    source: str | os.PathLike[str] | bytes | Mapping[bytes, int],
    pattern: str = "cl100k_base",
    special_tokens: Mapping[str, int] | Iterable[str] = (),
) -> Tokenizer:
    """Make the tokenizer of a tiktoken rank file; ids are tiktoken's.

    Args:
        source: the path of a ``.tiktoken`` file, its bytes, or token → rank.
        pattern: how words are cut: the name of an encoding (``PATTERNS``) or a regular expression.
        special_tokens: token → id; or tokens alone, which get the ids after the last rank.

    Raises:
        BadRanks: the source is no such file.
        ValueError: the pattern is neither a known name nor a regular expression.

    Example:
        >>> tokenizer = from_tiktoken("cl100k_base.tiktoken", "cl100k_base", ["<|endoftext|>"])  # doctest: +SKIP
    """
    ranks = source if isinstance(source, Mapping) else read_ranks(source)
    if pattern not in PATTERNS and pattern.replace("_", "").isalnum():
        raise ValueError(f"unknown encoding {pattern!r}{nearest(pattern, PATTERNS)}")
    if not isinstance(special_tokens, Mapping):
        first = max(ranks.values()) + 1
        special_tokens = {token: first + at for at, token in enumerate(special_tokens)}
    return _make(ranks, PATTERNS.get(pattern, pattern), 0, special_tokens)


def from_tekken(source: str | os.PathLike[str] | bytes) -> Tokenizer:
    """Make the tokenizer of a Mistral ``tekken.json``; ids are mistral-common's: special tokens first, then ranks.

    Raises:
        BadRanks: the source is no such file.
    """
    name, data = _read(source)
    try:
        spec: dict[str, Any] = json.loads(data)
        config = spec["config"]
        total, special = int(config["default_vocab_size"]), int(config["default_num_special_tokens"])
        ranks = {base64.b64decode(item["token_bytes"]): int(item["rank"]) for item in spec["vocab"][: total - special]}
        named = {item["token_str"]: int(item["rank"]) for item in spec.get("special_tokens") or ()}
        pattern = config["pattern"]
    except (KeyError, TypeError, ValueError) as error:
        raise BadRanks(f"{name} is not a tekken.json: {error!r}") from None
    if not named:
        named = {token: id for id, token in enumerate(_TEKKEN)}
    named |= {f"<SPECIAL_{id}>": id for id in range(special) if id not in named.values()}
    return _make(ranks, pattern, special, named)


# The special tokens of tekken files that name none.
_TEKKEN = (
    "<unk> <s> </s> [INST] [/INST] [AVAILABLE_TOOLS] [/AVAILABLE_TOOLS] [TOOL_RESULTS] [/TOOL_RESULTS] [TOOL_CALLS] "
    "[IMG] <pad> [IMG_BREAK] [IMG_END] [PREFIX] [MIDDLE] [SUFFIX] [SYSTEM_PROMPT] [/SYSTEM_PROMPT] [TOOL_CONTENT]"
).split(" ")
