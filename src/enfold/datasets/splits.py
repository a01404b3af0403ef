"""Splits: their names, their sizes, and the language that picks parts of them (``train[:10%]+test``)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from enfold.errors import nearest

from .errors import UnexpectedSplitsError

__all__ = [
    "NamedSplit",
    "NamedSplitAll",
    "Part",
    "ReadInstruction",
    "Split",
    "SplitBase",
    "SplitDict",
    "SplitGenerator",
    "SplitInfo",
    "SubSplitInfo",
    "parse_split",
    "percent",
]


class percent:
    """What ``subsplit`` takes a slice of a split by: ``percent[:50]``."""

    def __class_getitem__(cls, piece: slice) -> slice:
        if not isinstance(piece, slice):
            raise ValueError(f"percent is indexed by a slice, such as percent[:50], not by {piece!r}")
        return piece


class SplitBase(str):
    """A split, a part of one, or several after each other: the text of an instruction that ``load_dataset`` takes."""

    def __add__(self, other: str) -> NamedSplit:
        return NamedSplit(f"{self!s}+{other!s}")

    def __str__(self) -> str:
        return str.__str__(self)

    def subsplit(
        self,
        arg: int | slice | list[int] | None = None,
        k: int | None = None,
        percent: slice | None = None,
        weighted: list[int] | None = None,
    ) -> Any:
        """Return a part of the split, or a tuple of parts that cover it.

        Args:
            arg: any of the other three, told by its type.
            k: how many equal parts.
            percent: one part: ``percent[-20:]`` is the last fifth.
            weighted: the proportions of the parts; what does not divide goes to the last.

        Raises:
            ValueError: none of them or several; more parts than percents.

        Example:
            >>> Split.TRAIN.subsplit(weighted=[3, 1])
            (NamedSplit('train[0%:75%]'), NamedSplit('train[75%:100%]'))
        """
        if sum(value is not None for value in (arg, k, percent, weighted)) != 1:
            raise ValueError("subsplit takes exactly one of k, percent and weighted")
        given: Any = next(value for value in (arg, k, percent, weighted) if value is not None)
        if isinstance(given, slice):
            return self._slice(given)
        weights = [1] * given if isinstance(given, int) else list(given)
        if not 0 < len(weights) <= 100 or min(weights) < 0 or not sum(weights):
            raise ValueError(f"subsplit makes 1 to 100 parts of positive weights, not {given!r}")
        sizes = [100 * weight // sum(weights) for weight in weights]
        starts = [sum(sizes[:number]) for number in range(len(sizes))]
        return tuple(self._slice(slice(*ends)) for ends in zip(starts, [*starts[1:], 100], strict=True))

    def _slice(self, piece: slice) -> NamedSplit:
        terms = parse_split(self)
        if any(term.start is not None or term.stop is not None for term in terms):
            raise ValueError(f"{str(self)!r} is a part already; take a part of whole splits")
        return NamedSplit("+".join(str(Part(term.split, piece.start, piece.stop, True)) for term in terms))

    def get_read_instruction(self, split_dict: Mapping[str, SplitInfo]) -> ReadInstruction:
        """Return which rows of a dataset's splits these are."""
        return ReadInstruction.from_spec(self)


class NamedSplit(SplitBase):
    """The name of a split, or an instruction made of such names.

    Example:
        >>> NamedSplit("train") + NamedSplit("test")
        NamedSplit('train+test')
    """

    def __repr__(self) -> str:
        return f"NamedSplit({str(self)!r})"


class NamedSplitAll(NamedSplit):
    """All splits of a dataset after each other."""

    def __new__(cls, name: str = "all") -> NamedSplitAll:
        return super().__new__(cls, name)

    def __repr__(self) -> str:
        return "NamedSplitAll()"

    def get_read_instruction(self, split_dict: Mapping[str, SplitInfo]) -> ReadInstruction:
        """Return all rows of a dataset's splits."""
        return ReadInstruction.from_spec("+".join(split_dict))


class Split:
    """The usual names."""

    TRAIN = NamedSplit("train")
    VALIDATION = NamedSplit("validation")
    TEST = NamedSplit("test")
    ALL = NamedSplitAll()

    def __new__(cls, name: str) -> Any:
        return NamedSplitAll() if name == "all" else NamedSplit(name)


@dataclass
class SplitInfo:
    """The size of a split.

    Args:
        name: its name.
        num_bytes: the bytes of its Arrow data.
        num_examples: the number of rows.
        shard_lengths: the rows of each of its Arrow files, where it has several.
        original_shard_lengths: the rows of each of the files that it was made of.
        dataset_name: the dataset that it belongs to.
    """

    name: str = ""
    num_bytes: int = 0
    num_examples: int = 0
    shard_lengths: list[int] | None = None
    original_shard_lengths: list[int] | None = None
    # programs that read dataset_infos.json as it was once written want this field, also where it says nothing
    dataset_name: str | None = field(default=None, metadata={"include_in_asdict_even_if_is_default": True})

    def to_dict(self) -> dict[str, Any]:
        """Return the fields that are set."""
        return {key: value for key, value in asdict(self).items() if value is not None}


@dataclass
class SplitGenerator:
    """A split, and the arguments that its rows are generated with.

    Args:
        name: the split's name.
        gen_kwargs: arguments of ``_generate_examples`` or ``_generate_tables``.
    """

    name: str
    gen_kwargs: dict[str, Any] = field(default_factory=dict)


@dataclass
class SubSplitInfo:
    """The size of a part of a split.

    Args:
        num_examples: the number of rows.
    """

    num_examples: int


class SplitDict(dict):
    """The sizes of a dataset's splits by name.

    Args:
        entries: what a dict is made of.
        dataset_name: the dataset's name, which splits that are added get.

    Example:
        >>> splits = SplitDict.from_split_dict([SplitInfo("train", num_examples=100)])
        >>> splits["train"].num_examples, splits["train[:10%]"].num_examples
        (100, 10)
    """

    def __init__(self, *entries: Any, dataset_name: str | None = None, **more: Any) -> None:
        super().__init__(*entries, **more)
        self.dataset_name = dataset_name

    def __getitem__(self, key: str) -> Any:
        if str(key) in self:
            return super().__getitem__(str(key))
        parts = parse_split("+".join(self) if str(key) == "all" else key)
        for part in parts:
            if part.split not in self:
                raise UnexpectedSplitsError(unknown_split(part.split, list(self)))
        ends = [part.rows(self[part.split].num_examples) for part in parts]
        return SubSplitInfo(sum(last - first for first, last in ends))

    def __setitem__(self, key: str, value: SplitInfo) -> None:
        if str(key) != value.name:
            raise ValueError(f"the split {value.name!r} cannot have the name {str(key)!r}")
        super().__setitem__(str(key), value)

    def add(self, split_info: SplitInfo) -> None:
        """Add a split.

        Raises:
            ValueError: there is one of that name.
        """
        if split_info.name in self:
            raise ValueError(f"Split {split_info.name} already present")
        split_info.dataset_name = split_info.dataset_name or self.dataset_name
        self[split_info.name] = split_info

    @property
    def total_num_examples(self) -> int:
        """The number of rows of all splits."""
        return sum(split.num_examples for split in self.values())

    @classmethod
    def from_split_dict(cls, split_infos: Any, dataset_name: str | None = None) -> SplitDict:
        """Return the splits that a list, or a dict by name, describes; fields of other programs are passed over."""
        known = {item.name for item in fields(SplitInfo)}
        made = cls(dataset_name=dataset_name)
        for entry in split_infos.values() if isinstance(split_infos, Mapping) else split_infos:
            given = asdict(entry) if isinstance(entry, SplitInfo) else entry
            made.add(SplitInfo(**{name: given[name] for name in given if name in known}))
        return made

    def to_split_dict(self) -> list[SplitInfo]:
        """Return copies of the splits as a list."""
        return [replace(split, name=name) for name, split in self.items()]

    def to_yaml_list(self) -> list[dict[str, Any]]:
        """Return the form that the YAML header of a card holds under ``splits``."""
        return [
            {"name": name, "num_bytes": split.num_bytes, "num_examples": split.num_examples}
            for name, split in self.items()
        ]

    @classmethod
    def from_yaml_list(cls, yaml_data: list[dict[str, Any]]) -> SplitDict:
        """Return the splits that a card's YAML header holds."""
        return cls.from_split_dict(yaml_data)

    _to_yaml_list, _from_yaml_list = to_yaml_list, from_yaml_list

    def copy(self) -> SplitDict:
        """Return a copy that shares nothing with the original."""
        return SplitDict.from_split_dict(self, self.dataset_name)

    def __reduce__(self) -> Any:
        return (SplitDict.from_split_dict, (self.to_split_dict(), self.dataset_name))


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
        """Return the first row and the one after the last, for a split of ``size`` rows; a slice is cut to the split.

        Raises:
            ValueError: a share of more than all of it.
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

    def to_spec(self) -> str:
        """Return the text that :meth:`from_spec` reads."""
        return "+".join(
            str(part) + (f"({part.rounding})" if part.percent and part.rounding != "closest" else "")
            for part in self.parts
        )

    def to_absolute(self, name2len: Mapping[str, int]) -> list[Part]:
        """Return the terms with their first and last rows in numbers.

        Args:
            name2len: the rows of each split.

        Raises:
            ValueError: a split that is not among them, or a row outside of one.
        """
        for part in self.parts:
            if part.split not in name2len:
                raise ValueError(unknown_split(part.split, list(name2len)))
        return [Part(part.split, *part.rows(name2len[part.split])) for part in self.parts]

    def __add__(self, other: ReadInstruction) -> ReadInstruction:
        made = ReadInstruction.__new__(ReadInstruction)
        made.parts = [*self.parts, *other.parts]
        return made

    def __str__(self) -> str:
        return self.to_spec()

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
