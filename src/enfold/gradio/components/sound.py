"""Sound as arrays of 16-bit samples, read from files and written to WAV."""

from __future__ import annotations

import io
import wave
from pathlib import Path
from typing import Any

__all__ = ["read_sound", "to_int16", "write_sound"]


def to_int16(data: Any) -> Any:
    """Samples of any number type as 16-bit ones; floating ones are scaled so that the loudest fills the range.

    Example:
        >>> import numpy as np
        >>> to_int16(np.array([0.0, 0.25, -0.5])).tolist()
        [0, 16383, -32767]
    """
    import numpy as np

    data = np.asarray(data)
    if np.issubdtype(data.dtype, np.floating):
        peak = float(np.abs(data).max()) if data.size else 0.0
        return (data / (peak or 1.0) * 32767).astype(np.int16)
    if data.dtype == np.int16:
        return data
    wide = data.astype(np.int64)
    if data.dtype == np.int32:
        return (data / 65538).astype(np.int16)
    if data.dtype == np.uint16:
        return (wide - 32768).astype(np.int16)
    if data.dtype == np.uint8:
        return (wide * 257 - 32768).astype(np.int16)
    if data.dtype == np.int8:
        return (wide * 256).astype(np.int16)
    raise ValueError(f"samples of type {data.dtype} are not sound; use int16 or floating point numbers")


def read_sound(path: str) -> tuple[int, Any]:
    """Read a sound file.

    Returns:
        Samples a second, and 16-bit samples, (samples,) or (samples, channels).

    Raises:
        ValueError: it is not a sound file that can be read.
        MissingExtra: soundfile is needed for a format other than 16-bit WAV, and not installed.
    """
    import numpy as np

    if Path(path).suffix.lower() == ".wav":
        try:
            with wave.open(path, "rb") as file:
                if file.getsampwidth() == 2:
                    data = np.frombuffer(file.readframes(file.getnframes()), "<i2")
                    channels = file.getnchannels()
                    return file.getframerate(), data.reshape(-1, channels) if channels > 1 else data
        except (wave.Error, EOFError):
            pass  # not plain PCM: soundfile knows more
    try:
        import soundfile
    except ImportError:
        from enfold.errors import MissingExtra

        raise MissingExtra("sounds that are not 16-bit WAV", extra="audio") from None
    try:
        samples, rate = soundfile.read(path, dtype="int16")
    except (RuntimeError, OSError) as error:
        raise ValueError(f"this is not a sound that can be read ({error})") from None
    return int(rate), samples


def write_sound(rate: int, data: Any, format: str = "wav") -> bytes:
    """A sound file's bytes: WAV, or what soundfile can write ("mp3", "flac", "ogg")."""
    samples = to_int16(data)
    if samples.ndim == 2 and samples.shape[0] < samples.shape[1] and samples.shape[0] <= 8:
        samples = samples.T  # channels came first, as in torch
    buffer = io.BytesIO()
    if format.lower() == "wav":
        with wave.open(buffer, "wb") as file:
            file.setnchannels(1 if samples.ndim == 1 else samples.shape[1])
            file.setsampwidth(2)
            file.setframerate(int(rate))
            file.writeframes(samples.astype("<i2").tobytes())
        return buffer.getvalue()
    try:
        import soundfile
    except ImportError:
        from enfold.errors import MissingExtra

        raise MissingExtra(f"sounds in {format} format", extra="audio") from None
    soundfile.write(buffer, samples, int(rate), format=format.upper())
    return buffer.getvalue()
