"""Reading vocabulary files: vocab.txt, vocab.json with merges.txt, SentencePiece models."""

from __future__ import annotations

import json
import os
from typing import Any, NamedTuple

from enfold.errors import EnfoldError
from enfold.tokenizers import AddedToken
from enfold.tokenizers.sentencepiece import CONTROL, UNKNOWN, USER_DEFINED, BadModel, merges_of, read_model

__all__ = [
    "CONTROL",
    "UNKNOWN",
    "USER_DEFINED",
    "BadVocabulary",
    "Pieces",
    "merges_of",
    "read_merges",
    "read_sentencepiece",
    "read_vocabulary",
]


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
    try:
        model = read_model(path)
    except BadModel as error:
        raise BadVocabulary(str(error)) from error
    return Pieces(
        [(piece.text, piece.score) for piece in model.pieces],
        [piece.kind for piece in model.pieces],
        algorithm={"unigram": 1, "bpe": 2, "word": 3, "char": 4}[model.algorithm],
        unk_id=model.unk_id,
        unk_piece=model.unk_piece,
        byte_fallback=model.byte_fallback,
        charsmap=model.charsmap,
    )
