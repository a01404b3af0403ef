"""Dataclasses filled from a command line, a mapping, JSON or YAML: ``HfArgumentParser``."""

from __future__ import annotations

import dataclasses
import enum
import json
import os
import sys
import types
import typing
from argparse import SUPPRESS, ArgumentDefaultsHelpFormatter, ArgumentParser, ArgumentTypeError
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal, Union

from enfold.errors import nearest

__all__ = ["DataClass", "DataClassType", "HfArg", "HfArgumentParser", "make_choice_type_function", "string_to_bool"]

DataClass = Any
DataClassType = Any

_TRUE, _FALSE = ("yes", "true", "t", "y", "1"), ("no", "false", "f", "n", "0")


def string_to_bool(v: bool | str) -> bool:
    """Return the truth that a word says.

    Raises:
        argparse.ArgumentTypeError: it is none of yes, true, t, y, 1, no, false, f, n and 0.

    Example:
        >>> string_to_bool("Yes")
        True
    """
    if isinstance(v, bool):
        return v
    if v.lower() not in (*_TRUE, *_FALSE):
        raise ArgumentTypeError(f"expected one of {', '.join((*_TRUE, *_FALSE))}, got {v!r}")
    return v.lower() in _TRUE


def make_choice_type_function(choices: Iterable[Any]) -> Callable[[str], Any]:
    """Return a function from a choice's text to the choice; other texts stay as they are.

    Example:
        >>> make_choice_type_function([1, 2])("2")
        2
    """
    known = {str(choice): choice for choice in choices}
    return lambda text: known.get(text, text)


def HfArg(
    *,
    aliases: str | list[str] | None = None,
    help: str | None = None,
    default: Any = dataclasses.MISSING,
    default_factory: Any = dataclasses.MISSING,
    metadata: dict[str, Any] | None = None,
    **kwargs: Any,
) -> Any:
    """Return a dataclass field with what a command line says of it.

    Args:
        aliases: other names, such as ``"-e"``.
        help: what ``--help`` prints.
        default, default_factory: as of ``dataclasses.field``; without either the option is required.
        metadata: further arguments of ``add_argument``.
        kwargs: further arguments of ``dataclasses.field``.
    """
    about = {**(metadata or {}), **({} if aliases is None else {"aliases": aliases})}
    if help is not None:
        about["help"] = help
    return dataclasses.field(metadata=about, default=default, default_factory=default_factory, **kwargs)


class HfArgumentParser(ArgumentParser):
    """A command line whose options are the fields of dataclasses.

    Every field is an option ``--name`` (and ``--other-name`` for ``other_name``); a truth may be given without a value,
    and one that is True by default has ``--no_name``. A class with older spellings of its fields, as
    ``TrainingArguments`` has, takes those too. Further options can be added with ``add_argument``.

    Args:
        dataclass_types: one dataclass, or several; ``_argument_group_name`` puts its options into a group of that name.
        kwargs: as of ``argparse.ArgumentParser``.

    Example:
        >>> from dataclasses import dataclass
        >>> @dataclass
        ... class Job:
        ...     rate: float = 0.1
        ...     names: list[str] = HfArg(default_factory=list)
        >>> HfArgumentParser(Job).parse_args_into_dataclasses(["--rate", "0.5", "--names", "a", "b"])
        (Job(rate=0.5, names=['a', 'b']),)
    """

    dataclass_types: list[Any]

    def __init__(self, dataclass_types: Any = None, **kwargs: Any) -> None:
        super().__init__(**{"formatter_class": ArgumentDefaultsHelpFormatter, **kwargs})
        if dataclass_types is None:
            dataclass_types = []
        elif dataclasses.is_dataclass(dataclass_types) or not isinstance(dataclass_types, Iterable):
            dataclass_types = [dataclass_types]
        self.dataclass_types = list(dataclass_types)
        for kind in self.dataclass_types:
            self._add_dataclass_arguments(kind)
        # Other spellings come last, and give way to fields of other classes.
        self._renamed: dict[str, Any] = {}
        for kind in self.dataclass_types:
            for old, (name, truth) in _spellings(kind).items():
                if f"--{old}" not in self._option_string_actions:
                    self._renamed[old] = kind
                    _add(self, old, bool if truth else _hints(kind)[name], {"help": SUPPRESS}, [], None)

    def _add_dataclass_arguments(self, dtype: Any) -> None:
        group: Any = self
        if hasattr(dtype, "_argument_group_name"):
            group = self.add_argument_group(dtype._argument_group_name)
        hints = _hints(dtype)
        for field in _fields(dtype):
            about = dict(field.metadata)
            other = about.pop("aliases", [])
            _add(group, field.name, hints[field.name], about, [other] if isinstance(other, str) else list(other), field)

    def parse_args_into_dataclasses(
        self,
        args: list[str] | None = None,
        return_remaining_strings: bool = False,
        look_for_args_file: bool = True,
        args_filename: str | os.PathLike[str] | None = None,
        args_file_flag: str | None = None,
    ) -> tuple[Any, ...]:
        """Fill the dataclasses from a command line.

        Args:
            args: its words; those of the process by default.
            return_remaining_strings: return what no option takes, instead of refusing it.
            look_for_args_file: read words from a file of the program's name ending in ``.args`` first.
            args_filename: that file's name, if it is another.
            args_file_flag: an option that names such files; what comes later wins.

        Returns:
            An object of each dataclass in order; a namespace of further options if there are any; the remaining words
            if they are asked for.

        Raises:
            ValueError: words that no option takes.
        """
        files = [Path(args_filename)] if args_filename else []
        if not files and look_for_args_file and sys.argv:
            files = [Path(sys.argv[0]).with_suffix(".args")]
        words = list(sys.argv[1:] if args is None else args)
        if args_file_flag:
            first = ArgumentParser(add_help=False)
            first.add_argument(args_file_flag, action="append", dest="files", default=[])
            found, words = first.parse_known_args(words)
            files += [Path(name) for name in found.files]
        said = [word for path in files if path.exists() for word in path.read_text(encoding="utf-8").split()]
        namespace, rest = self.parse_known_args([*said, *words])
        values = vars(namespace)
        made = []
        for kind in self.dataclass_types:
            given = {}
            for field in _fields(kind):
                value = values.pop(field.name)
                if not _is_default(field, value):
                    given[field.name] = value
            own = [old for old, owner in self._renamed.items() if owner is kind and old in values]
            given.update({old: values.pop(old) for old in own})
            made.append(kind(**given))
        if values:
            made.append(namespace)
        if return_remaining_strings:
            return (*made, rest)
        if rest:
            known = list(self._option_string_actions)
            hint = next((nearest(word, known) for word in rest if word.startswith("-")), "")
            raise ValueError(f"no option takes {' '.join(rest)}{hint}")
        return tuple(made)

    def parse_dict(self, args: dict[str, Any], allow_extra_keys: bool = False) -> tuple[Any, ...]:
        """Fill the dataclasses from a mapping.

        Args:
            args: field → value.
            allow_extra_keys: leave out keys that are no field, instead of refusing them.

        Raises:
            ValueError: a key is no field.
        """
        made, left = [], dict(args)
        known: list[str] = []
        for kind in self.dataclass_types:
            own = [*(field.name for field in _fields(kind)), *_spellings(kind)]
            known += own
            made.append(kind(**{name: args[name] for name in own if name in args}))
            left = {name: value for name, value in left.items() if name not in own}
        if left and not allow_extra_keys:
            hint = nearest(next(iter(left)), known)
            raise ValueError(f"no field is called {', '.join(map(repr, sorted(left)))}{hint}")
        return tuple(made)

    def parse_json_file(self, json_file: str | os.PathLike[str], allow_extra_keys: bool = False) -> tuple[Any, ...]:
        """Fill the dataclasses from a JSON file; see :meth:`parse_dict`."""
        return self.parse_dict(json.loads(Path(json_file).read_text(encoding="utf-8")), allow_extra_keys)

    def parse_yaml_file(self, yaml_file: str | os.PathLike[str], allow_extra_keys: bool = False) -> tuple[Any, ...]:
        """Fill the dataclasses from a YAML file; see :meth:`parse_dict`."""
        import yaml

        return self.parse_dict(yaml.safe_load(Path(yaml_file).read_text(encoding="utf-8")) or {}, allow_extra_keys)


def _fields(kind: Any) -> list[dataclasses.Field[Any]]:
    return [field for field in dataclasses.fields(kind) if field.init]


def _hints(kind: Any) -> dict[str, Any]:
    try:
        return typing.get_type_hints(kind)
    except NameError as error:
        raise RuntimeError(
            f"the types of {kind.__name__} cannot be resolved ({error}): define it, and what it names, in a module"
        ) from error


def _spellings(kind: Any) -> dict[str, tuple[str, bool]]:
    """Other names of a class's fields → the field, and whether the other name takes a truth."""
    found = getattr(kind, "other_names", None)
    return dict(found()) if found is not None else {}


def _is_default(field: dataclasses.Field[Any], value: Any) -> bool:
    if field.default is not dataclasses.MISSING:
        return type(value) is type(field.default) and bool(value == field.default)
    return field.default_factory is not dataclasses.MISSING and bool(value == field.default_factory())


def _add(
    group: Any, name: str, hint: Any, about: dict[str, Any], other: list[str], field: dataclasses.Field[Any] | None
) -> None:
    """Add the option of a field, or without one the option of another spelling, which is absent unless it is given."""
    options = [f"--{name}", *([f"--{name.replace('_', '-')}"] if "_" in name else []), *other]
    given: dict[str, Any] = {**about, **_reading(hint)}
    truth = given.pop("truth", False)
    if field is None:
        given["default"] = SUPPRESS
    elif field.default is not dataclasses.MISSING:
        given["default"] = field.default
    elif field.default_factory is not dataclasses.MISSING:
        given["default"] = field.default_factory()
    elif hint is bool:
        given["default"] = False
    else:
        given["required"] = True
    if truth:
        given.update(nargs="?", const=True)
    group.add_argument(*options, **given)
    if field is not None and field.default is True and truth:
        against = {**about, "action": "store_false", "dest": name, "default": True}
        group.add_argument(f"--no_{name}", f"--no-{name.replace('_', '-')}", **against)


def _reading(hint: Any) -> dict[str, Any]:
    """Return the arguments of ``add_argument`` that read a type from words."""
    origin, inside = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType):
        kinds = [kind for kind in inside if kind is not type(None)]
        if len(kinds) == 1:
            return _reading(kinds[0])
        if bool not in kinds:  # a word and one other type, as the ecosystem's parser chooses between them
            second = inside[1] if inside[1] is not type(None) else inside[0]
            return _reading(second if len(kinds) < len(inside) else next(kind for kind in kinds if kind is not str))
        readers = [_reading(kind)["type"] for kind in kinds if typing.get_origin(kind) not in (list, tuple)]
        return {"type": _first_of(sorted(readers, key=lambda reader: reader is str)), "truth": True}
    if origin is Literal or (isinstance(hint, type) and issubclass(hint, enum.Enum)):
        choices = list(inside) if origin is Literal else [item.value for item in hint]
        return {"choices": choices, "type": make_choice_type_function(choices)}
    if hint is bool:
        return {"type": string_to_bool, "truth": True}
    if (origin or hint) in (list, tuple):
        kinds = [kind for kind in inside if kind is not Ellipsis] or [str]
        return {"nargs": "+", **{key: value for key, value in _reading(kinds[0]).items() if key != "truth"}}
    if (origin or hint) is dict:
        return {"type": json.loads}
    return {"type": str if hint is Any else hint}


def _first_of(readers: list[Callable[[str], Any]]) -> Callable[[str], Any]:
    """Return a function that reads a word by the first of several that can."""

    def read(text: str) -> Any:
        for reader in readers:
            try:
                return reader(text)
            except (ValueError, TypeError, ArgumentTypeError):
                continue
        raise ArgumentTypeError(f"{text!r} cannot be read")

    return read
