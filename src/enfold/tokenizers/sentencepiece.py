"""SentencePiece model files, read without sentencepiece or protobuf and turned into tokenizers."""

from __future__ import annotations

import os
import struct
from typing import Any, NamedTuple

from enfold.errors import EnfoldError
from enfold.tokenizers.added import AddedToken
from enfold.tokenizers.component import Regex
from enfold.tokenizers.tokenizer import Tokenizer

__all__ = ["BadModel", "Piece", "SentencePieceModel", "from_sentencepiece", "merges_of", "read_model"]

# sentencepiece_model.proto, https://github.com/google/sentencepiece/blob/master/src/sentencepiece_model.proto
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
UNIGRAM, BPE, WORD, CHAR = 1, 2, 3, 4
_NAMES = {UNIGRAM: "unigram", BPE: "bpe", WORD: "word", CHAR: "char"}
_TEXTS = {45: ("unk_piece", "<unk>"), 46: ("bos_piece", "<s>"), 47: ("eos_piece", "</s>"), 48: ("pad_piece", "<pad>")}
_IDS = {40: ("unk_id", 0), 41: ("bos_id", 1), 42: ("eos_id", 2), 43: ("pad_id", -1)}
_FLAGS = {3: ("add_dummy_prefix", True), 4: ("remove_extra_whitespaces", True), 5: ("escape_whitespaces", True)}
_MARK = "▁"


class BadModel(EnfoldError, ValueError):
    """Bytes are not a SentencePiece model, or say what no such model can."""


class Piece(NamedTuple):
    """A piece of a vocabulary: its text, its score (a log probability or a rank), what it is (NORMAL, CONTROL …)."""

    text: str
    score: float
    kind: int = NORMAL


class SentencePieceModel(NamedTuple):
    """What a model file says; ids are places in ``pieces``."""

    pieces: list[Piece]
    algorithm: str = "unigram"
    byte_fallback: bool = False
    treat_whitespace_as_suffix: bool = False
    unk_id: int = 0
    bos_id: int = 1
    eos_id: int = 2
    pad_id: int = -1
    unk_piece: str = "<unk>"
    bos_piece: str = "<s>"
    eos_piece: str = "</s>"
    pad_piece: str = "<pad>"
    charsmap: bytes = b""
    add_dummy_prefix: bool = True
    remove_extra_whitespaces: bool = True
    escape_whitespaces: bool = True
    denormalizer_charsmap: bytes = b""
    normalizer_name: str = ""


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value & (1 << 64) - 1, at
    raise IndexError("a number of more than ten bytes")


def _fields(data: bytes) -> list[tuple[int, int | bytes]]:
    """Return (number, value) of each field of a protocol-buffers message, in the order of the bytes."""
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
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
        else:
            raise ValueError(f"wire type {wire}")
        if number == 0 or size > len(data) - at:
            raise ValueError("a field is cut off")
        found.append((number, data[at : at + size]))
        at += size
    return found


def _message(value: int | bytes) -> dict[int, Any]:
    """Return the fields of an inner message; of those that are repeated the last one."""
    if not isinstance(value, bytes):
        raise ValueError("a number where a message belongs")
    return dict(_fields(value))


def _signed(value: Any) -> int:
    """Return a varint as the int32 that it stands for."""
    value = int(value) & (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value


def read_model(source: str | os.PathLike[str] | bytes) -> SentencePieceModel:
    """Read a model file.

    Args:
        source: the path of a ``.model`` file, or its bytes.

    Raises:
        BadModel: the bytes are not such a model.
        OSError: the file cannot be read.

    Example:
        >>> read_model(b"\\n\\x09\\n\\x02hi\\x15\\x00\\x00\\x80\\xbf").pieces
        [Piece(text='hi', score=-1.0, kind=1)]
    """
    if isinstance(source, (bytes, bytearray, memoryview)):
        name, data = "the bytes given", bytes(source)
    else:
        name = repr(os.fspath(source))
        with open(source, "rb") as file:
            data = file.read()
    try:
        return _model(data)
    except (IndexError, KeyError, TypeError, ValueError, AttributeError, struct.error) as error:
        reason = f": {error}" if isinstance(error, BadModel) else ""
        raise BadModel(f"{name} is not a SentencePiece model{reason}") from None


def _model(data: bytes) -> SentencePieceModel:
    pieces: list[Piece] = []
    trainer: dict[int, Any] = {}
    normalizer: dict[int, Any] = {}
    denormalizer: dict[int, Any] = {}
    for number, value in _fields(data):
        if number == 1:
            parts = _message(value)
            kind = parts.get(3, NORMAL)
            score = struct.unpack("<f", parts[2])[0] if 2 in parts else 0.0
            if score != score or kind not in range(NORMAL, BYTE + 1):
                raise BadModel(f"piece {len(pieces)} has no proper score or kind")
            pieces.append(Piece(parts[1].decode("utf-8"), score, kind))
        elif number == 2:
            trainer |= _message(value)
        elif number == 3:
            normalizer |= _message(value)
        elif number == 5:
            denormalizer |= _message(value)
    if not pieces:
        raise BadModel("it has no pieces")
    algorithm = trainer.get(3, UNIGRAM)
    if algorithm not in _NAMES:
        raise BadModel(f"its algorithm has the number {algorithm}")
    said: dict[str, Any] = {
        name: trainer[number].decode("utf-8") if number in trainer else text for number, (name, text) in _TEXTS.items()
    }
    said |= {name: _signed(trainer.get(number, id)) for number, (name, id) in _IDS.items()}
    said |= {name: bool(normalizer.get(number, flag)) for number, (name, flag) in _FLAGS.items()}
    unknown = [id for id, piece in enumerate(pieces) if piece.kind == UNKNOWN]
    if unknown:
        said["unk_id"] = unknown[0]
    return SentencePieceModel(
        pieces,
        _NAMES[algorithm],
        byte_fallback=bool(trainer.get(35, 0)),
        treat_whitespace_as_suffix=bool(trainer.get(24, 0)),
        charsmap=bytes(normalizer.get(2, b"")),
        denormalizer_charsmap=bytes(denormalizer.get(2, b"")),
        normalizer_name=normalizer.get(1, b"").decode("utf-8"),
        **said,
    )


def merges_of(pieces: list[tuple[str, float]], skip: frozenset[str] = frozenset()) -> list[tuple[str, str]]:
    """Return the merges behind the pieces of a SentencePiece BPE, first things first.

    SentencePiece joins whichever two neighbours spell the piece with the highest score, so every way to cut a piece in
    two is a merge of that piece's rank.

    Args:
        pieces: (text, score) in the order of the ids.
        skip: pieces that no merge may make or use.
    """
    ids = {text: id for id, (text, _) in enumerate(pieces)}
    usable = ids.keys() - skip
    found: list[tuple[float, int, int, str, str]] = []
    for text, score in dict(pieces).items():
        if text in skip:
            continue
        pairs = [(text[:at], text[at:]) for at in range(1, len(text)) if text[:at] in usable and text[at:] in usable]
        pairs.sort(key=lambda pair: (ids[pair[0]], ids[pair[1]]))
        found += [(-score, -len(left), -len(right), left, right) for left, right in pairs]
    found.sort(key=lambda item: item[:3])
    return [(left, right) for *_, left, right in found]


def from_sentencepiece(source: str | os.PathLike[str] | bytes | SentencePieceModel) -> Tokenizer:
    """Make the tokenizer that a SentencePiece model file describes.

    Ids are the model's own; no special tokens are put around a text. The unknown piece and control pieces become
    special added tokens and user-defined pieces plain ones, all found in the text as given.

    Args:
        source: the path of a ``.model`` file, its bytes, or what ``read_model`` returned.

    Raises:
        BadModel: the bytes are not such a model, or it marks spaces at the end of words.

    Example:
        >>> tokenizer = from_sentencepiece("tokenizer.model")  # doctest: +SKIP
        >>> tokenizer.encode("Hello world").tokens  # doctest: +SKIP
        ['▁Hello', '▁world']
    """
    from enfold.tokenizers import decoders, models, normalizers, pre_tokenizers

    model = source if isinstance(source, SentencePieceModel) else read_model(source)
    if model.treat_whitespace_as_suffix:
        raise BadModel("the model marks spaces at the end of words, which no tokenizer.json can say")
    vocab = [(piece.text, piece.score) for piece in model.pieces]
    ids = {text: id for id, (text, _) in enumerate(vocab)}
    unk = model.pieces[model.unk_id].text if 0 <= model.unk_id < len(vocab) else model.unk_piece
    core: models.Model
    if model.algorithm == "unigram":
        core = models.Unigram(vocab, model.unk_id, model.byte_fallback)
    elif model.algorithm == "word":
        core = models.WordLevel(ids, unk_token=unk)
    else:
        # Nothing is joined into what only names something.
        apart = frozenset(piece.text for piece in model.pieces if piece.kind in (CONTROL, UNKNOWN, BYTE))
        merges = merges_of(vocab, apart) if model.algorithm == "bpe" else []
        core = models.BPE(ids, merges, unk_token=unk, fuse_unk=True, byte_fallback=model.byte_fallback)
    made = Tokenizer(core)
    defined = [piece.text for piece in model.pieces if piece.kind == USER_DEFINED]
    # Words are cut where the pieces are: before marks, if no piece has one inside.
    cut = model.algorithm == "word" or (
        model.algorithm == "unigram" and all(_MARK not in text[1:] for text, _ in vocab)
    )
    steps: list[normalizers.Normalizer] = []
    if model.charsmap:
        steps.append(normalizers.Precompiled(model.charsmap))
    if not model.escape_whitespaces:
        pass
    elif cut:
        if model.remove_extra_whitespaces:
            steps += [normalizers.Strip(not model.add_dummy_prefix, True), normalizers.Replace(Regex(" {2,}"), _MARK)]
        # A mark goes before the text, not before what follows a piece that was found in it.
        scheme = "never" if not model.add_dummy_prefix else "first" if defined else "always"
        made.pre_tokenizer = pre_tokenizers.Metaspace(_MARK, scheme, cut)
    else:
        if model.remove_extra_whitespaces:
            steps += [normalizers.Strip(True, True), normalizers.Replace(Regex(" {2,}"), " ")]
        if model.add_dummy_prefix:
            steps.append(normalizers.Prepend(_MARK))
        steps.append(normalizers.Replace(" ", _MARK))
    if steps:
        made.normalizer = normalizers.Sequence(steps) if len(steps) > 1 else steps[0]
    if model.escape_whitespaces:
        back: list[decoders.Decoder] = [decoders.Replace(_MARK, " "), decoders.ByteFallback(), decoders.Fuse()]
        made.decoder = decoders.Sequence([*back, decoders.Strip(" ", 1, 0)] if model.add_dummy_prefix else back)
    else:
        made.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    special = [piece.text for piece in model.pieces if piece.kind in (CONTROL, UNKNOWN)]
    made.add_special_tokens([AddedToken(text, normalized=False, special=True) for text in special])
    made.add_tokens([AddedToken(text, normalized=False, special=False) for text in defined])
    return made
