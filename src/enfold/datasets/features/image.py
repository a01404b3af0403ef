"""Images: stored as files, seen as Pillow images."""

from __future__ import annotations

import io
import sys
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from enfold.errors import required

from .media import MediaFile

__all__ = ["Image", "encode_array", "encode_image", "is_image"]

# What Pillow makes an image of without loss, written without byte order; wider numbers are narrowed to one of these.
_KINDS = {"b1", "u1", "u2", "i2", "u4", "i4", "f4", "f8"}


def _pillow() -> Any:
    return required("PIL.Image", "reading and writing images", "vision")


def is_image(value: Any) -> bool:
    """Return whether a value is a Pillow image, without loading Pillow for the answer."""
    module = sys.modules.get("PIL.Image")
    return module is not None and isinstance(value, module.Image)


def image_bytes(image: Any) -> bytes:
    """Return an image as a file: of the format that it came in, else PNG, or TIFF where PNG has no such mode."""
    pillow = _pillow()
    pillow.init()
    kind = image.format
    if kind not in pillow.OPEN or kind not in pillow.SAVE:
        kind = "PNG" if image.mode in ("1", "L", "LA", "RGB", "RGBA") else "TIFF"
    buffer = io.BytesIO()
    image.save(buffer, format=kind)
    return buffer.getvalue()


def encode_image(image: Any) -> dict[str, Any]:
    """Return what is stored for a Pillow image: the path of the file that it was opened from, else its bytes."""
    path = getattr(image, "filename", "")
    return {"bytes": None, "path": path} if path else {"bytes": image_bytes(image), "path": None}


def encode_array(array: np.ndarray) -> dict[str, Any]:
    """Return what is stored for an array of pixels, shape (height, width) or (height, width, channels).

    Raises:
        TypeError: pixels of a type that no image has.
    """
    kind = array.dtype
    if array.ndim > 2:
        if kind.kind not in "ui":
            raise TypeError(f"an image of several channels has pixels of uint8, not {kind}")
        wanted = np.dtype("uint8")
    else:
        size = kind.itemsize
        while size and f"{kind.kind}{size}" not in _KINDS:
            size //= 2
        if not size:
            raise TypeError(f"no image has pixels of {kind}")
        wanted = np.dtype(f"{kind.kind}{size}").newbyteorder(kind.byteorder)
    if kind != wanted:
        warnings.warn(f"pixels of {kind} are narrowed to {wanted}, which images can have", stacklevel=2)
    return {"bytes": image_bytes(_pillow().fromarray(array.astype(wanted, copy=False))), "path": None}


@dataclass
class Image(MediaFile):
    """A column of images.

    A value may be a path, bytes, a dict of them, an array of pixels (height, width[, channels]) or a Pillow image;
    rows give Pillow images, turned upright where the file says how.

    Args:
        mode: the mode to convert to, such as ``"RGB"``; the file's own where None.
        decode: give images; else ``{"bytes": …, "path": …}``.

    Example:
        >>> Image(mode="L").flatten()
        Image(mode='L', decode=True)
    """

    mode: str | None = None
    decode: bool = True
    id: str | None = field(default=None, repr=False, compare=False)

    dtype: ClassVar[str] = "PIL.Image.Image"
    _noun: ClassVar[str] = "image"

    def _encode_object(self, value: Any) -> dict[str, Any] | None:
        if isinstance(value, (list, tuple)):
            value = np.array(value)
        if isinstance(value, np.ndarray):
            return encode_array(value)
        if is_image(value):
            return encode_image(value)
        if hasattr(value, "detach") and hasattr(value, "numpy"):
            return encode_array(value.detach().cpu().numpy())
        return None

    def decode_example(self, value: Any, token_per_repo_id: Mapping[str, Any] | None = None) -> Any:
        """Return the Pillow image of a stored value.

        Args:
            value: ``{"bytes": …, "path": …}``; an image is given back as it is.
            token_per_repo_id: the token to read a repository with, by its id.

        Raises:
            ValueError: neither bytes nor a path.
            enfold.errors.MissingExtra: Pillow is not installed.
        """
        self._must_decode()
        if isinstance(value, str):
            value = {"bytes": None, "path": value}
        if value is None or not isinstance(value, Mapping):
            return value
        pillow = _pillow()
        path = value.get("path")
        if value.get("bytes") is None and path is not None and "://" not in path:
            image = pillow.open(path)
        else:
            image = pillow.open(io.BytesIO(self._opened(value, token_per_repo_id)))
        image.load()  # the file is closed now, so that many images can be held
        if image.getexif().get(274) is not None:  # EXIF 2.3, tag Orientation
            import PIL.ImageOps

            image = PIL.ImageOps.exif_transpose(image)
        return image.convert(self.mode) if self.mode and self.mode != image.mode else image

    def _cast_other(self, storage: pa.Array) -> pa.Array:
        kind = storage.type
        if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
            from ..values import arrow_to_list

            return self._of_values([None if row is None else np.array(row) for row in arrow_to_list(storage)])
        return super()._cast_other(storage)
