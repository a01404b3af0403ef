"""What components with pictures share: from payload to array, Pillow image or path, and back."""

from __future__ import annotations

import base64
import io
import warnings
from pathlib import Path
from typing import Any
from urllib.parse import quote

from enfold.gradio.components.options import WatermarkOptions
from enfold.gradio.files import FileData, ImageData, cached, is_url, keep_bytes, received, served

__all__ = ["pixels", "read", "save", "shown", "watermarked"]

_ORIENTATION = 274  # the EXIF tag of how the camera was held


def _pillow() -> Any:
    try:
        import PIL.Image
    except ImportError:
        from enfold.errors import MissingExtra

        raise MissingExtra("pictures", extra="vision") from None
    return PIL.Image


def is_picture(value: Any) -> bool:
    """Whether a value is a Pillow image."""
    return type(value).__module__.split(".")[0] == "PIL"


def is_array(value: Any) -> bool:
    """Whether a value is an array of numpy."""
    return type(value).__module__.split(".")[0] == "numpy" and hasattr(value, "shape")


def pixels(array: Any) -> Any:
    """Turn an array, (height, width) or (height, width, channels), of bytes, or numbers in [0, 1], into a picture."""
    import numpy as np

    array = np.asarray(array)
    if array.ndim == 3 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.dtype == bool:
        array = array.astype(np.uint8) * 255
    elif np.issubdtype(array.dtype, np.floating):
        array = (np.clip(array, 0.0, 1.0) * 255 + 0.5).astype(np.uint8)
    elif array.dtype != np.uint8:
        if array.size and (array.min() < 0 or array.max() > 255):
            warnings.warn("pixel values outside 0 to 255 are cut off", stacklevel=3)
        array = np.clip(array, 0, 255).astype(np.uint8)
    return _pillow().fromarray(array)


def save(value: Any, format: str = "webp", name: str = "image") -> str:
    """Keep a picture or array as a file of this format (PNG where Pillow cannot write it); returns its path."""
    picture = pixels(value) if is_array(value) else value
    for kind in (format, "png"):
        buffer = io.BytesIO()
        options: dict[str, Any] = {"lossless": True} if kind.lower() == "webp" else {}
        try:
            drawn = picture if kind.lower() not in {"jpeg", "jpg"} or picture.mode == "RGB" else picture.convert("RGB")
            drawn.save(buffer, format="JPEG" if kind.lower() == "jpg" else kind, **options)
        except (KeyError, ValueError, OSError):
            continue
        return keep_bytes(buffer.getvalue(), f"{name}.{kind.lower()}")
    raise ValueError(f"a picture of mode {picture.mode} cannot be written as {format}")


def read(payload: Any, *, type: str, image_mode: str | None, refuse: Any) -> Any:
    """Turn a payload into an array, a Pillow image or a path.

    Args:
        payload: what the page or a client sent.
        type: "numpy", "pil" or "filepath".
        image_mode: the mode it is converted to, such as "RGB"; as it is when None.
        refuse: makes the error for what is wrong.
    """
    if payload is None:
        return None
    url = payload.get("url") if isinstance(payload, dict) else None
    if isinstance(url, str) and url.startswith("data:") and not payload.get("path"):
        path = keep_bytes(_decoded(url, refuse), f"image.{_suffix(url)}")
    else:
        found = received(payload, refuse)
        if found is None:
            return None
        path = found
    name = Path(payload.get("orig_name") or path)
    suffix = name.suffix.lower().lstrip(".") or "webp"
    if suffix == "svg":
        if type == "filepath":
            return path
        raise refuse("drawings (SVG) are not accepted here")
    try:
        picture = _pillow().open(path)
        if type == "filepath" and image_mode in (None, picture.mode):
            return path
        if picture.getexif().get(_ORIENTATION, 1) != 1:
            from PIL import ImageOps

            picture = ImageOps.exif_transpose(picture)
        if suffix != "gif" and image_mode is not None:
            picture = picture.convert(image_mode)
        picture.load()
    except (OSError, ValueError, SyntaxError, _pillow().DecompressionBombError) as error:
        raise refuse(f"this is not a picture that can be read ({error.__class__.__name__})") from None
    if type == "pil":
        return picture
    if type == "numpy":
        import numpy as np

        return np.array(picture)
    return save(picture, "jpeg" if suffix in {"jpg", "jpeg"} else suffix, name.stem)


def shown(value: Any, *, format: str, watermark: WatermarkOptions | None = None) -> ImageData | None:
    """Turn what a function returned (array, Pillow image, path or address) into a payload."""
    if value is None:
        return None
    if isinstance(value, ImageData):
        return value
    if isinstance(value, FileData):
        return ImageData(**value)
    if isinstance(value, (str, Path)):
        if str(value).lower().endswith(".svg") and not is_url(value):
            kept = cached(value)
            drawing = Path(kept["path"]).read_text("utf-8")
            return ImageData(url=f"data:image/svg+xml,{quote(drawing)}", orig_name=Path(value).name)
        if watermark is None or watermark.watermark is None:
            entry = cached(value, ImageData, orig_name=None if is_url(value) else Path(value).name)
            assert isinstance(entry, ImageData)
            return entry
        value = _pillow().open(cached(value)["path"])
    elif not is_array(value) and not is_picture(value):
        raise ValueError(
            f"a picture is a path, an address, an array or a Pillow image, not a {value.__class__.__name__}"
        )
    if watermark is not None and watermark.watermark is not None:
        value = watermarked(value, watermark)
    path = save(value, format)
    made = served(path, ImageData, orig_name=Path(path).name)
    assert isinstance(made, ImageData)
    return made


def watermarked(value: Any, options: WatermarkOptions) -> Any:
    """Put a mark on a picture: five pixels from a corner, or at a pixel."""
    base = (pixels(value) if is_array(value) else value).convert("RGBA")
    given = options.watermark
    mark = pixels(given) if is_array(given) else given if is_picture(given) else _pillow().open(given)
    mark = mark.convert("RGBA")
    at, edge = options.position, 5
    if isinstance(at, str):
        right, bottom = base.width - mark.width - edge, base.height - mark.height - edge
        at = (edge if at.endswith("left") else right, edge if at.startswith("top") else bottom)
    base.alpha_composite(mark, (max(0, at[0]), max(0, at[1])))
    return base.convert("RGB")


def _suffix(url: str) -> str:
    kind = url[5:].split(";")[0].split(",")[0].rpartition("/")[2].lower()
    return {"svg+xml": "svg", "jpeg": "jpg"}.get(kind, kind if kind.isalnum() else "png")


def _decoded(url: str, refuse: Any) -> bytes:
    head, _, body = url.partition(",")
    try:
        if head.endswith(";base64"):
            return base64.b64decode(body, validate=True)
        from urllib.parse import unquote_to_bytes

        return unquote_to_bytes(body)
    except ValueError:
        raise refuse("the picture's data: address cannot be read") from None
