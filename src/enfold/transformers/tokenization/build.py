"""Core tokenizers from vocabulary files: vocab.txt, vocab.json with merges.txt, tokenizer.model."""

from __future__ import annotations

import json
import os
import struct
from typing import Any

from enfold.errors import EnfoldError
from enfold.tokenizers import Tokenizer

__all__ = ["byte_level_bpe", "read_merges", "read_sentencepiece", "read_vocabulary", "sentencepiece_bpe", "word_piece"]


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


def word_piece(
    vocab: dict[str, int], unk: str, sep: str, cls: str, lower: bool, chinese: bool, accents: bool | None
) -> Tokenizer:
    """Return BERT's tokenizer: words at spaces and punctuation, WordPiece, ``[CLS] A [SEP] B [SEP]``."""
    from enfold.tokenizers import decoders, models, normalizers, pre_tokenizers, processors

    core = Tokenizer(models.WordPiece(vocab, unk_token=unk))
    core.normalizer = normalizers.BertNormalizer(
        clean_text=True, handle_chinese_chars=chinese, strip_accents=accents, lowercase=lower
    )
    core.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    core.decoder = decoders.WordPiece(prefix="##")
    if cls in vocab and sep in vocab:
        core.post_processor = processors.TemplateProcessing(
            single=f"{cls}:0 $A:0 {sep}:0",
            pair=f"{cls}:0 $A:0 {sep}:0 $B:1 {sep}:1",
            special_tokens=[(cls, vocab[cls]), (sep, vocab[sep])],
        )
    return core


def byte_level_bpe(vocab: dict[str, int], merges: list[tuple[str, str]], add_prefix_space: bool) -> Tokenizer:
    """Return GPT-2's tokenizer: its word pattern over bytes, then BPE; no special tokens around."""
    from enfold.tokenizers import decoders, models, pre_tokenizers, processors

    core = Tokenizer(
        models.BPE(vocab, merges, dropout=None, continuing_subword_prefix="", end_of_word_suffix="", fuse_unk=False)
    )
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=add_prefix_space)
    core.decoder = decoders.ByteLevel()
    core.post_processor = processors.ByteLevel(trim_offsets=False)
    return core


def sentencepiece_bpe(
    vocab: dict[str, int], merges: list[tuple[str, str]], unk: str, add_prefix_space: bool = True
) -> Tokenizer:
    """Return Llama's tokenizer: spaces as ``▁``, BPE that falls back to bytes."""
    from enfold.tokenizers import decoders, models, normalizers

    core = Tokenizer(models.BPE(vocab, merges, unk_token=unk, fuse_unk=True, byte_fallback=True))
    steps: list[Any] = [normalizers.Replace(" ", "▁")]
    core.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), *steps] if add_prefix_space else steps)
    tail = [decoders.Strip(content=" ", left=1)] if add_prefix_space else []
    core.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), *tail])
    return core


# What a piece is, in SentencePiece's model files (sentencepiece_model.proto: ModelProto.SentencePiece.Type).
_CONTROL, _USER, _UNKNOWN = 3, 4, 2


def read_sentencepiece(path: str | os.PathLike[str]) -> tuple[dict[str, int], list[tuple[str, str]], list[str]]:
    """Read a SentencePiece BPE model file (protocol buffers: field 1 of ModelProto repeats the pieces).

    Returns:
        Piece → id; the merges that build the pieces, best first; the pieces that are control or unknown symbols.

    Raises:
        BadVocabulary: the file is not such a model.
    """
    with open(path, "rb") as file:
        data = file.read()
    vocab: dict[str, int] = {}
    scores: dict[str, float] = {}
    controls: list[str] = []
    try:
        for field, value in _fields(data):
            if field != 1 or not isinstance(value, bytes):
                continue
            parts = dict(_fields(value))
            piece = parts[1].decode("utf-8")  # type: ignore[union-attr]
            kind = parts.get(3, 1)
            scores[piece] = struct.unpack("<f", parts[2])[0] if 2 in parts else 0.0  # type: ignore[arg-type]
            vocab[piece] = len(vocab)
            if kind in (_CONTROL, _UNKNOWN):
                controls.append(piece)
    except (IndexError, KeyError, struct.error, UnicodeDecodeError, AttributeError) as error:
        raise BadVocabulary(f"{os.fspath(path)!r} is not a SentencePiece model") from error
    if not vocab:
        raise BadVocabulary(f"{os.fspath(path)!r} is not a SentencePiece model: it has no pieces")
    # A piece may be joined from any two pieces that spell it; those with the highest score are joined first.
    merges = []
    for piece, score in scores.items():
        cuts = [(piece[:cut], piece[cut:]) for cut in range(1, len(piece))]
        pairs = [(a, b) for a, b in cuts if a in vocab and b in vocab]
        pairs.sort(key=lambda pair: (vocab[pair[0]], vocab[pair[1]]))
        merges += [(score, pair) for pair in pairs]
    merges.sort(key=lambda item: -item[0])
    return vocab, [pair for _, pair in merges], controls


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
