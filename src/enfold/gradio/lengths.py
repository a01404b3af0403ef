"""How long a piece of sound or film is, read from its own headers, and how pieces of one format become one file.

WAV says it in its chunks, FLAC in its STREAMINFO (RFC 9639), Ogg in its last page (RFC 3533, 7845); MPEG audio
(ISO/IEC 11172-3) and AAC in ADTS (ISO/IEC 14496-3) are counted frame by frame; MPEG-TS (ISO/IEC 13818-1) says when each
picture is shown.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from enfold.errors import EnfoldError
from enfold.gradio.film import film_length

__all__ = ["joined", "length_of", "sound_suffix"]

CHUNK = 1 << 18
PLAIN = frozenset({".mp3", ".aac", ".ts", ".ogg", ".opus"})  # formats whose files may stand one after the other
_AAC_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
# Kilobits a second by MPEG version (1, or 2 and 2.5) and layer (I, II, III).
_RATES = {
    (1, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 3): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_WRAP = 2**33  # moments in MPEG-TS begin again here


class Wav(NamedTuple):
    """Where the samples of a WAV file lie: its ``fmt`` chunk, and the place and size of its data in bytes."""

    format: bytes
    at: int
    size: int


def sound_suffix(body: bytes) -> str:
    """The ending for a sound file with these contents: of .wav, .flac, .ogg, .m4a, .aac and .mp3.

    Example:
        >>> sound_suffix(bytes.fromhex("fff15080")), sound_suffix(bytes.fromhex("fffb9000"))
        ('.aac', '.mp3')
    """
    for at, mark, suffix in ((0, b"RIFF", ".wav"), (0, b"fLaC", ".flac"), (0, b"OggS", ".ogg"), (4, b"ftyp", ".m4a")):
        if body[at : at + 4] == mark:
            return suffix
    return ".aac" if len(body) > 1 and body[0] == 0xFF and body[1] & 0xF6 == 0xF0 else ".mp3"


def length_of(path: str | Path) -> float | None:
    """The length of a sound or film in seconds; None when its headers do not tell.

    Args:
        path: a WAV, FLAC, Ogg, MP3, AAC (ADTS), MPEG-TS, MP4, QuickTime or WebM file.
    """
    with open(path, "rb") as file:
        head = file.read(12)
        size = os.fstat(file.fileno()).st_size
        if head[4:8] == b"ftyp" or head[:4] == b"\x1a\x45\xdf\xa3":
            try:
                return film_length(path)
            except EnfoldError:
                return None
        if size < 12:
            return None
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as body:
            try:
                return _reader(head)(body)
            except (struct.error, IndexError, ValueError, ZeroDivisionError):  # cut off or not what it looks like
                return None


def _reader(head: bytes) -> Callable[[mmap.mmap], float | None]:
    known = {b"RIFF": _wav_length, b"fLaC": _flac, b"OggS": _ogg}
    return known.get(head[:4]) or (_transport if head[:1] == b"\x47" else _frames)


def joined(paths: Sequence[str | Path]) -> tuple[int, Iterator[bytes]]:
    """Pieces as one file: WAV with one header, formats made of frames one after the other.

    Returns:
        How many bytes there are, and the bytes.

    Raises:
        ValueError: the pieces are of several formats, or of one whose files cannot be put together.
    """
    suffixes = sorted({Path(path).suffix.lower() for path in paths})
    if suffixes == [".wav"]:
        return _joined_wav(paths)
    if len(suffixes) != 1 or (suffixes[0] not in PLAIN and len(paths) > 1):
        raise ValueError(f"pieces of {' and '.join(suffixes)} do not make one file; WAV, MP3, AAC, Ogg and MPEG-TS do")
    spans = [(path, 0, os.path.getsize(path)) for path in paths]
    return sum(size for _, _, size in spans), _read(spans)


def _joined_wav(paths: Sequence[str | Path]) -> tuple[int, Iterator[bytes]]:
    spans, formats = [], set()
    for path in paths:
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as body:
            try:
                wav = _wav(body)
            except struct.error:
                raise ValueError(f"{Path(path).name} is not a WAV file that can be read") from None
        spans.append((path, wav.at, wav.size))
        formats.add(wav.format)
    if len(formats) != 1:
        raise ValueError("the pieces differ in their samples a second, channels or kind of samples")
    (format,) = formats
    size = sum(size for _, _, size in spans)
    told = 20 + len(format) + size + size % 2
    head = b"RIFF" + struct.pack("<I", min(told, 2**32 - 1)) + b"WAVEfmt " + struct.pack("<I", len(format)) + format
    head += b"data" + struct.pack("<I", min(size, 2**32 - 1))

    def read() -> Iterator[bytes]:
        yield head
        yield from _read(spans)
        yield bytes(size % 2)

    return len(head) + size + size % 2, read()


def _read(spans: Sequence[tuple[str | Path, int, int]]) -> Iterator[bytes]:
    for path, at, left in spans:
        with open(path, "rb") as file:
            file.seek(at)
            while left and (body := file.read(min(left, CHUNK))):
                left -= len(body)
                yield body


def _wav(body: mmap.mmap) -> Wav:
    format, at = b"", 12
    while at + 8 <= len(body):
        kind, size = struct.unpack_from("<4sI", body, at)
        at += 8
        if kind == b"fmt ":
            format = body[at : at + size + size % 2]
        elif kind == b"data":
            if len(format) < 16:
                break
            return Wav(format, at, min(size, len(body) - at))  # a header written before its data may say too much
        at += size + size % 2
    raise struct.error("no data")


def _wav_length(body: mmap.mmap) -> float:
    wav = _wav(body)
    return wav.size / int(struct.unpack_from("<I", wav.format, 8)[0])


def _flac(body: mmap.mmap) -> float | None:
    word = int.from_bytes(body[18:26], "big")  # rate 20, channels 3, bits 5, samples 36
    return (word & (2**36 - 1)) / (word >> 44) or None


def _ogg(body: mmap.mmap) -> float | None:
    first = body[27 + body[26] : 27 + body[26] + 64]
    if first[:8] == b"OpusHead":
        rate, skip = 48000, struct.unpack_from("<H", first, 10)[0]
    elif first[:7] == b"\x01vorbis":
        rate, skip = struct.unpack_from("<I", first, 12)[0], 0
    else:
        return None
    last = struct.unpack_from("<q", body, body.rfind(b"OggS") + 6)[0]
    return float(last - skip) / rate if last > skip else None


def _frames(body: mmap.mmap) -> float | None:
    """The length of MPEG audio or ADTS, of all frames from the first to the end or to what is no frame."""
    at = 0
    if body[:3] == b"ID3":
        size = body[6] << 21 | body[7] << 14 | body[8] << 7 | body[9]
        at = 10 + size + (10 if body[5] & 16 else 0)
    total = 0.0
    while at + 7 <= len(body) and body[at] == 0xFF and body[at + 1] & 0xE0 == 0xE0:
        size, seconds = _adts(body, at) if body[at + 1] & 0xF6 == 0xF0 else _mpeg(body, at)
        if not size:
            break
        # A first frame may hold a table about the others in place of sound.
        if total or not any(mark in body[at : at + 48] for mark in (b"Xing", b"Info")):
            total += seconds
        at += size
    return total or None


def _adts(body: mmap.mmap, at: int) -> tuple[int, float]:
    rate = _AAC_RATES[body[at + 2] >> 2 & 15]
    size = (body[at + 3] & 3) << 11 | body[at + 4] << 3 | body[at + 5] >> 5
    return size, 1024 * ((body[at + 6] & 3) + 1) / rate


def _mpeg(body: mmap.mmap, at: int) -> tuple[int, float]:
    version, layer, bits = body[at + 1] >> 3 & 3, 4 - (body[at + 1] >> 1 & 3), body[at + 2]
    if version == 1 or layer == 4 or bits >> 2 & 3 == 3 or bits >> 4 == 15:
        return 0, 0.0
    rate = (44100, 48000, 32000)[bits >> 2 & 3] >> {3: 0, 2: 1, 0: 2}[version]
    samples = 384 if layer == 1 else 576 if layer == 3 and version != 3 else 1152
    speed, more = _RATES[1 if version == 3 else 2, layer][bits >> 4] * 1000, bits >> 1 & 1
    size = (12 * speed // rate + more) * 4 if layer == 1 else samples // 8 * speed // rate + more
    return (size if speed else 0), samples / rate


def _transport(body: mmap.mmap) -> float | None:
    """The length of MPEG-TS: from the first moment to the last of its longest part, and a picture more."""
    moments: dict[int, list[int]] = {}
    for at in range(0, len(body) - 187, 188):
        number = (body[at + 1] & 31) << 8 | body[at + 2]
        inside = at + 4 + (body[at + 4] + 1 if body[at + 3] & 32 else 0)
        begins = body[at] == 0x47 and body[at + 1] & 64 and body[at + 3] & 16 and inside + 14 <= at + 188
        if not begins or body[inside : inside + 3] != b"\0\0\1" or not body[inside + 7] & 128:
            continue
        a, b, c, d, e = body[inside + 9 : inside + 14]
        moments.setdefault(number, []).append((a >> 1 & 7) << 30 | b << 22 | c >> 1 << 15 | d << 7 | e >> 1)
    lengths = []
    for told in moments.values():
        away = [(moment - told[0] + _WRAP // 2) % _WRAP - _WRAP // 2 for moment in told]
        if len(away) > 1:
            lengths.append((max(away) - min(away)) / 90000 * len(away) / (len(away) - 1))
    return max(lengths, default=0.0) or None
