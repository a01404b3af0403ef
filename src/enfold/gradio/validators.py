"""Judges for ``validator=``: whether what a visitor gives may be used.

Each takes a value as the function would and returns what :func:`enfold.gradio.validate` does.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

__all__ = ["is_audio_correct_length", "is_video_correct_length"]


def is_audio_correct_length(
    audio: tuple[int, Any] | None, min_length: float | None, max_length: float | None
) -> dict[str, Any]:
    """Judge the length of a sound.

    Args:
        audio: ``(samples a second, array)``, as ``Audio(type="numpy")`` gives it; no sound is right where there is no
            shortest one.
        min_length, max_length: in seconds; None for any.

    Example:
        >>> is_audio_correct_length((8000, [0] * 4000), 1, None)["message"]
        'Audio is too short. It must be at least 1 seconds'
    """
    if min_length is None and max_length is None:
        return _fine()
    rate, samples = audio if audio is not None else (1, ())
    return _judged("Audio", len(samples) / rate, min_length, max_length)


def is_video_correct_length(
    video: str | Path | None, min_length: float | None, max_length: float | None
) -> dict[str, Any]:
    """Judge the length of a film.

    Args:
        video: its file, as ``Video()`` gives it; no film is right where there is no shortest one.
        min_length, max_length: in seconds; None for any.

    Raises:
        EnfoldError: the file is no film.
    """
    if min_length is None and max_length is None:
        return _fine()
    from enfold.gradio.film import film_length

    return _judged("Video", film_length(video) if video is not None else 0.0, min_length, max_length)


def _fine() -> dict[str, Any]:
    return {"__type__": "validate", "is_valid": True}


def _judged(what: str, seconds: float, least: float | None, most: float | None) -> dict[str, Any]:
    if least is not None and seconds < least:
        message = f"{what} is too short. It must be at least {least} seconds"
    elif most is not None and seconds > most:
        message = f"{what} is too long. It must be at most {most} seconds"
    else:
        return _fine()
    return {"__type__": "validate", "is_valid": False, "message": message}
