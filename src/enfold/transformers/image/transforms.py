"""What is done to pictures on their way to a model, as functions on arrays; resizing is Pillow's.

Arrays are (channels, height, width) unless a name says otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import PIL.Image

from enfold.errors import EnfoldError

__all__ = [
    "center_crop",
    "channels_first",
    "corners_to_center",
    "ids_of_colours",
    "normalize",
    "pad",
    "rescale",
    "resize",
    "size_dict",
    "target_size",
    "to_array",
    "to_pil_image",
]

Size = Mapping[str, Any]
NEAREST, LANCZOS, BILINEAR, BICUBIC = 0, 1, 2, 3  # Pillow's numbers, as settings hold them


def to_array(image: Any) -> np.ndarray:
    """Return a Pillow image, tensor or nested list as an array; arrays stay as they are."""
    if hasattr(image, "detach"):
        return image.detach().cpu().numpy()
    if not isinstance(image, np.ndarray | PIL.Image.Image | list | tuple) and not hasattr(image, "__array__"):
        from enfold.transformers.image.loading import ImageError

        raise ImageError(f"an image is a Pillow image, an array or a tensor, not {type(image).__name__}")
    return np.asarray(image)


def channels_first(array: np.ndarray, given: str | None = None) -> np.ndarray:
    """Return an array (…, height, width, channels) as (…, channels, height, width); one that is so already stays.

    Args:
        array: three dimensions or more.
        given: ``"channels_first"`` or ``"channels_last"``; by default the side that has 1, 3 or 4 channels.

    Raises:
        EnfoldError: when neither side looks like channels.
    """
    name = str(getattr(given, "value", given)) if given is not None else None
    if name not in (None, "channels_first", "channels_last"):
        raise EnfoldError(f"a channel format is 'channels_first' or 'channels_last', not {name!r}")
    if name is None:
        if array.ndim < 3:
            raise EnfoldError(f"an image has channels, height and width; this one has the shape {array.shape}")
        counts = (1, 3, 4)
        if array.shape[-3] in counts:
            name = "channels_first"
        elif array.shape[-1] in counts:
            name = "channels_last"
        else:
            raise EnfoldError(
                f"the shape {array.shape} does not show where the channels are: pass input_data_format="
                "'channels_first' or 'channels_last'"
            )
    return np.moveaxis(array, -1, -3) if name == "channels_last" else array


def to_pil_image(array: np.ndarray, scale: bool | None = None) -> PIL.Image.Image:
    """Return an array as a Pillow image.

    Args:
        array: (1 | 3 | 4, height, width): whole numbers between 0 and 255, or fractions between 0 and 1.
        scale: whether they are fractions; by default as they look.

    Raises:
        EnfoldError: other numbers.
    """
    if _fractions(array) if scale is None else scale:
        array = rescale(array, 255)
    shown = np.moveaxis(array, 0, -1).astype(np.uint8, copy=False)
    return PIL.Image.fromarray(shown[..., 0] if shown.shape[-1] == 1 else np.ascontiguousarray(shown))


def _fractions(array: np.ndarray) -> bool:
    """Return whether pixels are fractions between 0 and 1 rather than whole numbers up to 255."""
    if array.dtype in (np.uint8, np.bool_):
        return False
    low, high = (float(array.min()), float(array.max())) if array.size else (0.0, 0.0)
    whole = np.allclose(array, array.astype(int))
    if low < 0 or high > (255 if whole else 1):
        raise EnfoldError(
            "pixels are whole numbers between 0 and 255 or fractions between 0 and 1; these lie between "
            f"{low} and {high}"
        )
    return not whole


def resize(image: np.ndarray, size: tuple[int, int], resample: int = BILINEAR) -> np.ndarray:
    """Return an image of another size, computed by Pillow on bytes, with its antialiasing.

    Args:
        image: (channels, height, width): whole numbers between 0 and 255, or fractions between 0 and 1.
        size: height and width.
        resample: Pillow's filter: 0 nearest, 1 Lanczos, 2 bilinear, 3 bicubic.

    Returns:
        uint8, or float32 where the image was given in fractions.

    Example:
        >>> resize(np.zeros((3, 8, 6), np.uint8), (4, 3)).shape
        (3, 4, 3)
    """
    if min(size) < 1:
        raise EnfoldError(f"an image cannot be resized to {size[0]} by {size[1]} pixels")
    fractions = _fractions(image)
    groups = [image] if image.shape[0] in (1, 3, 4) else [channel[None] for channel in image]
    parts = []
    for group in groups:
        drawn = to_pil_image(group, fractions).resize((size[1], size[0]), resample=PIL.Image.Resampling(resample))
        part = np.asarray(drawn)
        parts.append(part[None] if part.ndim == 2 else np.moveaxis(part, -1, 0))
    whole = np.concatenate(parts) if len(parts) > 1 else parts[0]
    return rescale(whole, 1 / 255) if fractions else whole


def rescale(image: np.ndarray, scale: float) -> np.ndarray:
    """Return pixels multiplied by a factor, as float32."""
    return (image.astype(np.float64) * scale).astype(np.float32)


def normalize(image: np.ndarray, mean: float | Sequence[float], std: float | Sequence[float]) -> np.ndarray:
    """Return pixels less a mean, divided by a deviation, each one number or one a channel.

    Raises:
        EnfoldError: as many numbers as the image has no channels.
    """
    if not np.issubdtype(image.dtype, np.floating):
        image = image.astype(np.float32)
    numbers = []
    for name, value in (("image_mean", mean), ("image_std", std)):
        row = np.atleast_1d(np.asarray(value, dtype=image.dtype))
        if len(row) not in (1, image.shape[0]):
            raise EnfoldError(
                f"the image has {image.shape[0]} channels and {name} has {len(row)} numbers; do_convert_rgb=True makes "
                "every image RGB"
            )
        numbers.append(row[:, None, None])
    return (image - numbers[0]) / numbers[1]


def center_crop(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return the middle of an image; where the image is smaller, zeros around it.

    Args:
        image: (channels, height, width).
        size: height and width.
    """
    height, width = image.shape[-2:]
    high, wide = size
    top, left = (height - high) // 2, (width - wide) // 2
    if top < 0 or left < 0:
        grown = (max(high, height), max(wide, width))
        up, before = math.ceil((grown[0] - height) / 2), math.ceil((grown[1] - width) / 2)
        padded = np.zeros((*image.shape[:-2], *grown), image.dtype)
        padded[..., up : up + height, before : before + width] = image
        image, top, left = padded, top + up, left + before
    return image[..., max(0, top) : top + high, max(0, left) : left + wide]


def pad(image: np.ndarray, size: tuple[int, int], value: float = 0) -> np.ndarray:
    """Return an image with pixels added below and on the right.

    Args:
        image: (…, height, width).
        size: height and width to reach.
        value: of the added pixels.

    Raises:
        EnfoldError: when the image is larger than that.
    """
    down, right = size[0] - image.shape[-2], size[1] - image.shape[-1]
    if down < 0 or right < 0:
        raise EnfoldError(
            f"an image of {image.shape[-2]} by {image.shape[-1]} pixels cannot be padded to {size[0]} by {size[1]}"
        )
    around = [(0, 0)] * (image.ndim - 2) + [(0, down), (0, right)]
    return np.pad(image, around, constant_values=value) if down or right else image


# --- sizes


FORMS = (
    {"height", "width"},
    {"shortest_edge"},
    {"shortest_edge", "longest_edge"},
    {"longest_edge"},
    {"max_height", "max_width"},
)


def size_dict(size: Any, square: bool = True, longest: int | None = None) -> dict[str, int]:
    """Return a size as a dictionary: ``height`` and ``width``, ``shortest_edge`` and ``longest_edge``, or
    ``max_height`` and ``max_width``.

    Args:
        size: a dictionary, a number, or (height, width).
        square: a number is both sides, not the shortest one.
        longest: the longest side that a shortest one may lead to.

    Raises:
        EnfoldError: other keys.

    Example:
        >>> size_dict(224), size_dict(224, square=False)
        ({'height': 224, 'width': 224}, {'shortest_edge': 224})
    """
    if isinstance(size, int | float):
        if square:
            return {"height": int(size), "width": int(size)}
        return {"shortest_edge": int(size)} | ({} if longest is None else {"longest_edge": longest})
    if isinstance(size, list | tuple):
        return {"height": size[0], "width": size[1]}
    found = {name: value for name, value in dict(size).items() if value is not None}
    if set(found) not in FORMS:
        forms = "; ".join(" and ".join(sorted(form)) for form in FORMS)
        raise EnfoldError(f"a size has the keys {forms}; this one has {', '.join(sorted(found)) or 'none'}")
    return found


def target_size(given: tuple[int, int], size: Size) -> tuple[int, int]:
    """Return the height and width that an image of (height, width) is resized to.

    Args:
        given: of the image.
        size: see ``size_dict``.

    Example:
        >>> target_size((480, 640), {"shortest_edge": 240}), target_size((480, 640), {"longest_edge": 320})
        ((240, 320), (240, 320))
    """
    height, width = given
    if "height" in size:
        return size["height"], size["width"]
    if "max_height" in size:
        scale = min(size["max_height"] / height, size["max_width"] / width)
        return int(height * scale), int(width * scale)
    if "shortest_edge" not in size:
        scale = size["longest_edge"] / max(height, width)
        return int(height * scale + 0.5), int(width * scale + 0.5)
    short = size["shortest_edge"]
    exact: float = short
    if "longest_edge" in size and max(given) / min(given) * short > size["longest_edge"]:
        exact = size["longest_edge"] * float(min(given)) / float(max(given))
        short = round(exact)
    elif "longest_edge" not in size:
        long = int(short * max(given) / min(given))
        return (long, short) if width <= height else (short, long)
    if short == min(height, width):
        return height, width
    if width < height:
        return int(exact * height / width), short
    return short, int(exact * width / height)


# --- boxes and colours


def corners_to_center(boxes: np.ndarray) -> np.ndarray:
    """Return boxes (N, 4) given as left, top, right, bottom by their centre, width and height."""
    low, high = boxes[:, :2], boxes[:, 2:]
    return np.concatenate([(low + high) / 2, high - low], axis=1)


def ids_of_colours(colours: np.ndarray) -> np.ndarray:
    """Return the numbers (height, width) that a panoptic picture (height, width, 3) holds in base 256."""
    wide = colours.astype(np.int64)
    return wide[..., 0] + 256 * wide[..., 1] + 256 * 256 * wide[..., 2]
