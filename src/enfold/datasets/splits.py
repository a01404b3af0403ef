"""Splits: their names, their sizes, and the language that picks parts of them (``train[:10%]+test``)."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Any

from enfold.errors import nearest

from .errors import UnexpectedSplitsError

__all__ = ["NamedSplit", "Part", "ReadInstruction", "Split", "SplitDict", "SplitInfo", "parse_split"]


class NamedSplit(str):
    """The name of a split, or an instruction made of such names.

    Example:
        >>> NamedSplit("train") + NamedSplit("test")
        NamedSplit('train+test')
    """

    def __repr__(self) -> str:
        return f"NamedSplit({str(self)!r})"

    def __add__(self, other: str) -> NamedSplit:
        return NamedSplit(f"{self!s}+{other!s}")

    def __str__(self) -> str:
        return str.__str__(self)


class Split:
    """The usual names."""

    TRAIN = NamedSplit("train")
    VALIDATION = NamedSplit("validation")
    TEST = NamedSplit("test")
    ALL = NamedSplit("all")

    def __new__(cls, name: str) -> Any:
        return NamedSplit(name)


@dataclass
class SplitInfo:
    """The size of a split.

    Args:
        name: its name.
        num_bytes: the bytes of its Arrow data.
        num_examples: the number of rows.
        dataset_name: the dataset that it belongs to.
    """

    name: str = ""
    num_bytes: int = 0
    num_examples: int = 0
    shard_lengths: list[int] | None = None
    dataset_name: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields that are set."""
        return {key: value for key, value in asdict(self).items() if value is not None}


class SplitDict(dict):
    """Splits by name."""

    def __getitem__(self, key: str) -> SplitInfo:
        if str(key) not in self:
            raise UnexpectedSplitsError(unknown_split(str(key), list(self)))
        return super().__getitem__(str(key))

    def add(self, info: SplitInfo) -> None:
        """Add a split."""
        self[info.name] = info


def unknown_split(name: str, known: list[str]) -> str:
    """Return the message for a split that a dataset does not have."""
    return f"Unknown split {name!r}. Should be one of {known}{nearest(name, known)}"


_PART = re.compile(
    r"^\s*(?P<split>\w[\w.\-]*)"
    r"(?:\[\s*(?P<start>-?\d+)?\s*(?P<start_unit>%)?\s*:\s*(?P<stop>-?\d+)?\s*(?P<stop_unit>%)?\s*\])?"
    r"(?:\((?P<rounding>[\w]+)\))?\s*$"
)


@dataclass(frozen=True)
class Part:
    """One term of an instruction: a split, and which of its rows.

    Args:
        split: the split's name.
        start: where to begin, in rows or percent, or None; negative numbers count from the end.
        stop: where to end, likewise.
        percent: whether the numbers are percent.
        rounding: ``"closest"`` row, or ``"pct1_dropremainder"``: every percent has the same number of rows.
    """

    split: str
    start: int | None = None
    stop: int | None = None
    percent: bool = False
    rounding: str = "closest"

    def rows(self, size: int) -> tuple[int, int]:
        """Return the first row and the one after the last, for a split of ``size`` rows.

        Raises:
            ValueError: a boundary outside of the split.
        """
        if self.percent:
            for number in (self.start, self.stop):
                if number is not None and not -100 <= number <= 100:
                    raise ValueError(f"{number}% is outside of -100% to 100%")
            if self.rounding == "pct1_dropremainder":
                if size < 100:
                    raise ValueError(
                        f"pct1_dropremainder needs a split of at least 100 rows; {self.split!r} has {size}"
                    )
                ends = [None if n is None else n * (size // 100) for n in (self.start, self.stop)]
            else:
                ends = [None if n is None else round(n * size / 100.0) for n in (self.start, self.stop)]
        else:
            ends = [self.start, self.stop]
            for number in ends:
                if number is not None and abs(number) > size:
                    raise ValueError(f"row {number} is outside of split {self.split!r}, which has {size} rows ({self})")
        first = 0 if ends[0] is None else (ends[0] + size if ends[0] < 0 else ends[0])
        last = size if ends[1] is None else (ends[1] + size if ends[1] < 0 else ends[1])
        first, last = max(first, 0), min(max(last, 0), size)
        return first, max(first, last)

    def __str__(self) -> str:
        if self.start is None and self.stop is None:
            return self.split
        unit = "%" if self.percent else ""
        ends = ["" if number is None else f"{number}{unit}" for number in (self.start, self.stop)]
        return f"{self.split}[{ends[0]}:{ends[1]}]"


class ReadInstruction:
    """Which rows of which splits to read, as an object instead of text.

    Args:
        split_name: the split.
        from_: the first row or percent, or None for the beginning.
        to: the row or percent after the last, or None for the end.
        unit: ``"abs"`` (rows) or ``"%"``.
        rounding: ``"closest"`` or ``"pct1_dropremainder"``, for percent.

    Example:
        >>> str(ReadInstruction("train", to=10, unit="%") + ReadInstruction("test"))
        'train[:10%]+test'
    """

    def __init__(
        self,
        split_name: str,
        rounding: str | None = None,
        from_: int | None = None,
        to: int | None = None,
        unit: str | None = None,
    ) -> None:
        if unit not in (None, "abs", "%"):
            raise ValueError(f"unit must be 'abs' or '%', not {unit!r}")
        if rounding not in (None, "closest", "pct1_dropremainder"):
            raise ValueError(f"rounding must be 'closest' or 'pct1_dropremainder', not {rounding!r}")
        self.parts = [Part(str(split_name), from_, to, unit == "%", rounding or "closest")]

    @classmethod
    def from_spec(cls, spec: str) -> ReadInstruction:
        """Return the instruction that a text such as ``"train[:10%]+test"`` stands for."""
        made = cls.__new__(cls)
        made.parts = parse_split(spec)
        return made

    def __add__(self, other: ReadInstruction) -> ReadInstruction:
        made = ReadInstruction.__new__(ReadInstruction)
        made.parts = [*self.parts, *other.parts]
        return made

    def __str__(self) -> str:
        return "+".join(map(str, self.parts))

    def __repr__(self) -> str:
        return f"ReadInstruction({self})"


def parse_split(spec: Any) -> list[Part]:
    """Return the terms of an instruction.

    Args:
        spec: ``"train"``, ``"train[10:20]"``, ``"train[:10%]+test"``, … or a :class:`ReadInstruction`.

    Raises:
        ValueError: the text is no instruction.

    Example:
        >>> [str(part) for part in parse_split("train[:10%]+test[-5:]")]
        ['train[:10%]', 'test[-5:]']
    """
    if isinstance(spec, ReadInstruction):
        return spec.parts
    parts = []
    for term in str(spec).split("+"):
        found = _PART.match(term)
        if not found:
            raise ValueError(f"Unrecognized instruction format: {term!r}; expected such as 'train', 'train[:10%]'")
        start, stop = (None if found[key] is None else int(found[key]) for key in ("start", "stop"))
        units = {found[f"{key}_unit"] == "%" for key in ("start", "stop") if found[key] is not None}
        if len(units) > 1:
            raise ValueError(f"{term!r} mixes rows and percent")
        rounding = found["rounding"] or "closest"
        if rounding not in ("closest", "pct1_dropremainder"):
            raise ValueError(f"unknown rounding {rounding!r}{nearest(rounding, ['closest', 'pct1_dropremainder'])}")
        parts.append(Part(found["split"], start, stop, units == {True}, rounding))
    return parts
