"""Reading vocabulary files: vocab.txt, vocab.json with merges.txt, SentencePiece models."""

from __future__ import annotations

import json
import os
import struct
from typing import Any, NamedTuple

from enfold.errors import EnfoldError
from enfold.tokenizers import AddedToken

__all__ = ["BadVocabulary", "Pieces", "merges_of", "read_merges", "read_sentencepiece", "read_vocabulary"]


class BadVocabulary(EnfoldError, ValueError):
    """A vocabulary file is not what its name promises."""


def read_vocabulary(vocab: str | os.PathLike[str] | dict[str, int] | list[str]) -> dict[str, int]:
    """Return token → id from vocab.txt (a token a line), vocab.json, a list or a dictionary."""
    if isinstance(vocab, dict):
        return vocab
    if isinstance(vocab, list):
        return {token: id for id, token in enumerate(vocab)}
    with open(vocab, encoding="utf-8") as file:
        if os.fspath(vocab).endswith(".json"):
            return json.load(file)
        return {line.rstrip("\n"): id for id, line in enumerate(file)}


def read_merges(merges: str | os.PathLike[str] | list[Any]) -> list[tuple[str, str]]:
    """Return the pairs of merges.txt: two pieces a line, after an optional ``#version`` line."""
    if isinstance(merges, list):
        return [tuple(pair.split(" ")) if isinstance(pair, str) else tuple(pair) for pair in merges]  # type: ignore[misc]
    with open(merges, encoding="utf-8") as file:
        lines = [line.rstrip("\n") for line in file]
    if lines and lines[0].startswith("#version"):
        del lines[0]
    pairs = [tuple(line.split(" ")) for line in lines if line.strip()]
    wrong = next((pair for pair in pairs if len(pair) != 2), None)
    if wrong is not None:
        raise BadVocabulary(f"{os.fspath(merges)!r} has a line that is not two pieces: {' '.join(wrong)!r}")
    return pairs  # type: ignore[return-value]


# What a piece is, in SentencePiece's model files (sentencepiece_model.proto: ModelProto.SentencePiece.Type).
UNKNOWN, CONTROL, USER_DEFINED = 2, 3, 4


class Pieces(NamedTuple):
    """What a SentencePiece model file holds.

    ``pieces`` are (text, score) by id and ``kinds`` their types; ``algorithm`` is 1 for Unigram and 2 for BPE.
    """

    pieces: list[tuple[str, float]]
    kinds: list[int]
    algorithm: int = 1
    unk_id: int = 0
    unk_piece: str = "<unk>"
    byte_fallback: bool = False
    charsmap: bytes = b""

    def added(self) -> list[AddedToken]:
        """Return the control and user-defined symbols, which are found in the text before the model sees it."""
        return [
            AddedToken(text, normalized=False, special=kind == CONTROL)
            for (text, _), kind in zip(self.pieces, self.kinds, strict=True)
            if kind in (CONTROL, USER_DEFINED)
        ]


def read_sentencepiece(path: str | os.PathLike[str]) -> Pieces:
    """Read a SentencePiece model file (protocol buffers, message ModelProto of sentencepiece_model.proto).

    Raises:
        BadVocabulary: the file is not such a model.
    """
    with open(path, "rb") as file:
        data = file.read()
    pieces: list[tuple[str, float]] = []
    kinds: list[int] = []
    trainer: dict[int, Any] = {}
    normalizer: dict[int, Any] = {}
    try:
        for field, value in _fields(data):
            if not isinstance(value, bytes):
                continue
            if field == 1:
                parts: dict[int, Any] = dict(_fields(value))
                score = struct.unpack("<f", parts[2])[0] if 2 in parts else 0.0
                pieces.append((parts[1].decode("utf-8"), score))
                kinds.append(parts.get(3, 1))
            elif field == 2:
                trainer = dict(_fields(value))
            elif field == 3:
                normalizer = dict(_fields(value))
        made = Pieces(
            pieces,
            kinds,
            algorithm=trainer.get(3, 1),
            unk_id=trainer.get(40, 0),
            unk_piece=trainer.get(45, b"<unk>").decode("utf-8"),
            byte_fallback=bool(trainer.get(35, 0)),
            charsmap=normalizer.get(2, b""),
        )
    except (IndexError, KeyError, struct.error, UnicodeDecodeError, AttributeError) as error:
        raise BadVocabulary(f"{os.fspath(path)!r} is not a SentencePiece model") from error
    if not pieces:
        raise BadVocabulary(f"{os.fspath(path)!r} is not a SentencePiece model: it has no pieces")
    return made


def merges_of(pieces: list[tuple[str, float]]) -> list[tuple[str, str]]:
    """Return the merges that build the pieces of a SentencePiece BPE, best first.

    A piece may be joined from any two pieces that spell it; those with the highest score are joined first.
    """
    ids = {text: id for id, (text, _) in enumerate(pieces)}
    found = []
    for text, score in dict(pieces).items():
        cuts = [(text[:cut], text[cut:]) for cut in range(1, len(text))]
        pairs = [(left, right) for left, right in cuts if left in ids and right in ids]
        pairs.sort(key=lambda pair: (ids[pair[0]], ids[pair[1]]))
        found += [(-score, -len(left), -len(right), (left, right)) for left, right in pairs]
    found.sort(key=lambda item: item[:3])
    return [pair for *_, pair in found]


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
        shift += 7


def _fields(data: bytes) -> list[tuple[int, int | bytes]]:
    """Return (number, value) of each field of a protocol-buffers message."""
    found: list[tuple[int, int | bytes]] = []
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, at = _varint(data, at)
            found.append((number, value))
            continue
        if wire == 2:
            size, at = _varint(data, at)
        else:
            size = {1: 8, 5: 4}[wire]
        found.append((number, data[at : at + size]))
        at += size
    return found
