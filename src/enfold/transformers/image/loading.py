"""Pictures in every form that people have them in, as Pillow images."""

from __future__ import annotations

import base64
import binascii
import io
import os
from typing import Any

import numpy as np
import PIL.Image
import PIL.ImageOps

from enfold.errors import EnfoldError

__all__ = ["ImageError", "load_image", "load_images"]


class ImageError(EnfoldError, ValueError, OSError):
    """Something is no picture, or cannot be read to its end."""


def load_image(image: Any, timeout: float | None = None) -> PIL.Image.Image:
    """Return a picture as a Pillow image in RGB, turned as its camera was held.

    Args:
        image: a path, a URL, base64 (also ``data:image/…``), the bytes of a file, an array or a tensor (height, width)
            or (height, width, channels), or a Pillow image.
        timeout: seconds to wait for a URL.

    Raises:
        ImageError: no such file, no picture, or a truncated one.

    Example:
        >>> load_image(np.zeros((4, 6), np.uint8)).size
        (6, 4)
    """
    if isinstance(image, str | os.PathLike):
        image = _file(os.fspath(image), timeout)
    if isinstance(image, bytes | bytearray):
        image = _opened(bytes(image), "these bytes are")
    if hasattr(image, "detach"):
        image = image.detach().cpu().numpy()
    if isinstance(image, np.ndarray):
        image = _drawn(image)
    if not isinstance(image, PIL.Image.Image):
        raise ImageError(f"an image is a path, a URL, base64, an array or a Pillow image, not {type(image).__name__}")
    try:
        return PIL.ImageOps.exif_transpose(image).convert("RGB")
    except (OSError, SyntaxError) as error:  # pixels are read now: a truncated file shows itself here
        raise ImageError(f"the image cannot be read to its end: {error}") from error


def load_images(images: Any, timeout: float | None = None) -> Any:
    """Return pictures, alone or in nested lists, as Pillow images; see ``load_image``."""
    if isinstance(images, list | tuple):
        return [load_images(image, timeout) for image in images]
    return load_image(images, timeout)


def _file(place: str, timeout: float | None) -> PIL.Image.Image:
    if place.startswith(("http://", "https://")):
        import httpx

        answer = httpx.get(place, follow_redirects=True, timeout=timeout)
        if answer.status_code != 200:
            raise ImageError(f"{place} answered {answer.status_code}")
        return _opened(answer.content, f"{place} is")
    if os.path.isfile(place):
        with open(place, "rb") as file:
            return _opened(file.read(), f"{place} is")
    text = place.split(",", 1)[1] if place.startswith("data:image/") and "," in place else place
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        shown = place if len(place) < 120 else place[:117] + "…"
        raise ImageError(f"{shown!r} is neither a file that exists, nor a URL, nor base64") from None
    return _opened(content, f"{place[:40]!r} names no file, and as base64 it is")


def _opened(content: bytes, subject: str) -> PIL.Image.Image:
    try:
        return PIL.Image.open(io.BytesIO(content))
    except PIL.UnidentifiedImageError:
        raise ImageError(f"{subject} no image") from None


def _drawn(array: np.ndarray) -> PIL.Image.Image:
    from enfold.transformers.image.transforms import channels_first, to_pil_image

    if array.ndim not in (2, 3):
        raise ImageError(f"an image has two or three dimensions, not {array.ndim}: {array.shape}")
    return to_pil_image(array[None] if array.ndim == 2 else channels_first(array))
