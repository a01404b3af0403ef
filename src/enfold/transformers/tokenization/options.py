"""What a caller asks of padding and truncation, settled once into plain values."""

from __future__ import annotations

import enum
from typing import Any, NamedTuple

from enfold.errors import nearest
from enfold.log import get_logger

__all__ = ["UNLIMITED", "Options", "PaddingStrategy", "TensorType", "TruncationStrategy", "settle"]

logger = get_logger(__name__)

# A tokenizer without a limit says so with this number in its configuration.
UNLIMITED = int(1e30)
_LARGE = int(1e20)


class _Named(str, enum.Enum):
    """A string enumeration whose error names the valid values."""

    @classmethod
    def _missing_(cls, value: object) -> Any:
        known = [member.value for member in cls]
        raise ValueError(f"{value!r} is not one of {', '.join(known)}{nearest(str(value), known)}")

    def __str__(self) -> str:
        return str(self.value)


class PaddingStrategy(_Named):
    """How far sequences are padded."""

    LONGEST = "longest"
    MAX_LENGTH = "max_length"
    DO_NOT_PAD = "do_not_pad"


class TruncationStrategy(_Named):
    """Which sequence of a pair gives way."""

    LONGEST_FIRST = "longest_first"
    ONLY_FIRST = "only_first"
    ONLY_SECOND = "only_second"
    DO_NOT_TRUNCATE = "do_not_truncate"


class TensorType(_Named):
    """Which library's arrays are returned."""

    PYTORCH = "pt"
    NUMPY = "np"
    TENSORFLOW = "tf"
    JAX = "jax"


class Options(NamedTuple):
    """Padding and truncation after every default is filled in. ``max_length`` None means unlimited."""

    padding: str
    truncation: str
    max_length: int | None
    stride: int
    multiple: int | None
    padding_side: str
    truncation_side: str

    @property
    def truncates(self) -> bool:
        """Whether anything is cut."""
        return self.truncation != "do_not_truncate" and self.max_length is not None


def settle(
    *,
    padding: bool | str | None,
    truncation: bool | str | None,
    max_length: int | None,
    stride: int,
    pad_to_multiple_of: int | None,
    padding_side: str,
    truncation_side: str,
    model_max_length: int,
    has_pad_token: bool,
    verbose: bool = True,
) -> Options:
    """Return the options of one call, with the ecosystem's rules for what implies what.

    ``max_length`` alone truncates; ``padding=True`` is "longest"; ``truncation=True`` is "longest_first"; a missing
    ``max_length`` is the model's, and where the model has none, "max_length" padding and truncation do nothing.

    Raises:
        ValueError: an unknown strategy or side, padding without a padding token, or a truncation length that padding
            could not keep to a multiple of ``pad_to_multiple_of``.
    """
    for name, side in (("padding_side", padding_side), ("truncation_side", truncation_side)):
        if side not in ("left", "right"):
            raise ValueError(f"{name} is 'left' or 'right', not {side!r}")
    if max_length is not None and not padding and truncation is None:
        if verbose:
            logger.info("max_length is given without truncation: truncating to it; pass truncation=True to say so")
        truncation = "longest_first"
    if padding is True:
        pad = "longest"
    elif not padding:
        pad = "do_not_pad"
    else:
        pad = PaddingStrategy(str(padding)).value
    if truncation is True:
        cut = "longest_first"
    elif not truncation:
        cut = "do_not_truncate"
    else:
        cut = TruncationStrategy(str(truncation)).value
    if max_length is None and (pad == "max_length" or cut != "do_not_truncate"):
        if model_max_length > _LARGE:
            if verbose:
                logger.warning("this tokenizer knows no maximum length: pass max_length to pad or truncate to it")
            pad, cut = ("do_not_pad" if pad == "max_length" else pad), "do_not_truncate"
        else:
            max_length = model_max_length
    if pad != "do_not_pad" and not has_pad_token:
        raise ValueError(
            "padding needs a padding token and this tokenizer has none; set one, such as "
            "tokenizer.pad_token = tokenizer.eos_token, or add one with "
            "tokenizer.add_special_tokens({'pad_token': '[PAD]'})"
        )
    if (
        cut != "do_not_truncate"
        and pad != "do_not_pad"
        and pad_to_multiple_of
        and max_length is not None
        and max_length % pad_to_multiple_of
    ):
        raise ValueError(
            f"truncating to {max_length} tokens and padding to a multiple of {pad_to_multiple_of} contradict each other"
        )
    return Options(pad, cut, max_length, stride, pad_to_multiple_of, padding_side, truncation_side)
