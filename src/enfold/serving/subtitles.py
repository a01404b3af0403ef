"""What was said and when, as subtitles.

Formats: SubRip (https://www.matroska.org/technical/subtitles.html#srt-subtitles) and WebVTT
(https://www.w3.org/TR/webvtt1/).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["as_srt", "as_vtt"]


def as_srt(segments: Iterable[Mapping[str, Any]]) -> str:
    """Return segments ``{"start", "end", "text"}`` (seconds) as SubRip.

    Example:
        >>> print(as_srt([{"start": 0.0, "end": 1.5, "text": " Hello."}]))
        1
        00:00:00,000 --> 00:00:01,500
        Hello.
        <BLANKLINE>
    """
    parts = (
        f"{number}\n{_clock(each['start'], ',')} --> {_clock(each['end'], ',')}\n{_line(each['text'])}\n"
        for number, each in enumerate(segments, 1)
    )
    return "\n".join(parts)


def as_vtt(segments: Iterable[Mapping[str, Any]]) -> str:
    """Return segments ``{"start", "end", "text"}`` (seconds) as WebVTT.

    Example:
        >>> print(as_vtt([{"start": 61.0, "end": 62.25, "text": " Fish & chips."}]))
        WEBVTT
        <BLANKLINE>
        00:01:01.000 --> 00:01:02.250
        Fish &amp; chips.
        <BLANKLINE>
    """
    parts = ["WEBVTT\n"]
    for each in segments:
        text = _line(each["text"]).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        parts.append(f"{_clock(each['start'], '.')} --> {_clock(each['end'], '.')}\n{text}\n")
    return "\n".join(parts)


def _clock(seconds: float, point: str) -> str:
    whole = round(seconds * 1000)
    minutes, rest = divmod(whole, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{rest // 1000:02}{point}{rest % 1000:03}"


def _line(text: str) -> str:
    return " ".join(text.split()).replace("-->", "->")  # an arrow or an empty line would end the text
