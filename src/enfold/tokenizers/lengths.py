"""How long encodings are: truncation and padding."""

from __future__ import annotations

import json
import operator
from typing import Any

from enfold.tokenizers.parts import Parts
from enfold.tokenizers.spelling import renamed

__all__ = ["Lengths", "padding_spec", "shown_padding", "shown_truncation", "truncation_spec"]

_STRATEGIES = {"longest_first": "LongestFirst", "only_first": "OnlyFirst", "only_second": "OnlySecond"}
_DIRECTIONS = {"right": "Right", "left": "Left"}
_PADDING = ("length", "pad_to_multiple_of", "pad_id", "pad_token", "pad_type_id", "direction")


def truncation_spec(given: dict[str, Any] | None) -> dict[str, Any] | None:
    """The settings of enable_truncation as tokenizer.json has them."""
    if given is None:
        return None
    return {
        "direction": _DIRECTIONS[given["direction"]],
        "max_length": given["max_length"],
        "strategy": _STRATEGIES[given["strategy"]],
        "stride": given["stride"],
    }


def padding_spec(given: dict[str, Any] | None) -> dict[str, Any] | None:
    """The settings of enable_padding as tokenizer.json has them."""
    if given is None:
        return None
    return {
        "strategy": "BatchLongest" if given["length"] is None else {"Fixed": given["length"]},
        "direction": _DIRECTIONS[given["direction"]],
        "pad_to_multiple_of": given["pad_to_multiple_of"],
        "pad_id": given["pad_id"],
        "pad_type_id": given["pad_type_id"],
        "pad_token": given["pad_token"],
    }


def shown_truncation(given: dict[str, Any] | None) -> str:
    """The settings of enable_truncation as the repr of a tokenizer has them."""
    spec = truncation_spec(given)
    return "None" if spec is None else f"TruncationParams({_fields(spec)})"


def shown_padding(given: dict[str, Any] | None) -> str:
    """The settings of enable_padding as the repr of a tokenizer has them."""
    spec = padding_spec(given)
    if spec is None:
        return "None"
    if isinstance(spec["strategy"], dict):
        spec["strategy"] = f"Fixed({spec['strategy']['Fixed']})"
    spec["pad_token"] = json.dumps(spec["pad_token"], ensure_ascii=False)
    return f"PaddingParams({_fields(spec)})"


def _fields(spec: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in spec.items())


def _count(name: str, value: int) -> None:
    if operator.index(value) < 0:
        raise OverflowError(f"{name} must not be negative, but is {value}")


class Lengths(Parts):
    """What makes encodings shorter or longer."""

    def enable_truncation(
        self, max_length: int, stride: int = 0, strategy: str = "longest_first", direction: str = "right"
    ) -> None:
        """Cut encodings from now on.

        Args:
            max_length: how many tokens remain, special ones included.
            stride: how many tokens the parts that were cut off share with the one before.
            strategy: of a pair cut "longest_first", "only_first" or "only_second".
            direction: the end that is cut off, "right" or "left".

        Raises:
            ValueError: the stride leaves no room, or a name is unknown.
        """
        if strategy not in _STRATEGIES:
            raise ValueError(
                f"Unknown `strategy`: `{strategy}`. Use one of `longest_first`, `only_first`, or `only_second`"
            )
        if direction not in _DIRECTIONS:
            raise ValueError(f"Unknown `direction`: `{direction}`. Use one of `left` or `right`")
        _count("max_length", max_length)
        _count("stride", stride)
        added = self._sync().num_special_tokens(False)
        if max_length >= added and stride > max_length - added:
            raise ValueError(
                f"tokenizer stride set to {stride}, which is greater than or equal to its effective max length of "
                f"{max_length - added} (= {max_length} original max length - {added} added special tokens), "
            )
        given = {"max_length": max_length, "stride": stride, "strategy": strategy, "direction": direction}
        self._core.set_truncation(json.dumps(truncation_spec(given)))

    def no_truncation(self) -> None:
        """Cut nothing from now on."""
        self._core.set_truncation("null")

    @property
    def truncation(self) -> dict[str, Any] | None:
        """The settings of enable_truncation, or None."""
        found = self._core.truncation
        return (
            None if found is None else dict(zip(("max_length", "stride", "strategy", "direction"), found, strict=True))
        )

    @renamed(max_length="length")
    def enable_padding(
        self,
        direction: str = "right",
        pad_id: int = 0,
        pad_type_id: int = 0,
        pad_token: str = "[PAD]",
        length: int | None = None,
        pad_to_multiple_of: int | None = None,
    ) -> None:
        """Fill encodings up from now on.

        Args:
            direction: the end that is filled, "right" or "left".
            pad_id: the id to fill with.
            pad_type_id: its type id.
            pad_token: its text.
            length: the length in tokens; None for the longest of the batch. ``max_length`` is an older name.
            pad_to_multiple_of: round the length up to a multiple of this.
        """
        if direction not in _DIRECTIONS:
            raise ValueError(f"Unknown `direction`: `{direction}`. Use one of `left` or `right`")
        for name, value in (("pad_id", pad_id), ("pad_type_id", pad_type_id), ("length", length or 0)):
            _count(name, value)
        given = {
            "length": length,
            "pad_to_multiple_of": pad_to_multiple_of,
            "pad_id": pad_id,
            "pad_token": pad_token,
            "pad_type_id": pad_type_id,
            "direction": direction,
        }
        self._core.set_padding(json.dumps(padding_spec(given)))

    def no_padding(self) -> None:
        """Fill nothing from now on."""
        self._core.set_padding("null")

    @property
    def padding(self) -> dict[str, Any] | None:
        """The settings of enable_padding, or None."""
        found = self._core.padding
        return None if found is None else dict(zip(_PADDING, found, strict=True))
