"""Features: the columns of a dataset by name, and their Arrow, JSON and YAML forms."""

from __future__ import annotations

import copy
import dataclasses
import json
import re
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from enfold.errors import nearest
from enfold.log import get_logger

from .arrays import Array2D, Array3D, Array4D, Array5D
from .audio import Audio
from .image import Image
from .nested import (
    cast_to_python_objects,
    decode_nested_example,
    encode_nested_example,
    require_decoding,
    require_storage_cast,
    require_storage_embed,
)
from .pdf import Pdf
from .storage import (
    decode_all,
    decoder,
    encode,
    file_type,
    from_arrow,
    is_heavy,
    needs_encoding,
    storage_schema,
    to_arrow,
)
from .translation import Translation, TranslationVariableLanguages
from .types import ClassLabel, Json, LargeList, List, Sequence, Value, dtype_to_arrow
from .video import Video

__all__ = [
    "Features",
    "cast_to_python_objects",
    "decode_nested_example",
    "decoder",
    "encode",
    "encode_nested_example",
    "from_arrow",
    "generate_from_arrow_type",
    "generate_from_dict",
    "get_nested_type",
    "needs_encoding",
    "require_decoding",
    "require_storage_cast",
    "require_storage_embed",
    "storage_schema",
    "string_to_arrow",
    "to_arrow",
]

_METADATA = b"huggingface"
_CLASSES: dict[str, Any] = {
    kind.__name__: kind
    for kind in (
        *(Value, ClassLabel, List, LargeList, Sequence, Translation, TranslationVariableLanguages, Json),
        *(Image, Audio, Video, Pdf, Array2D, Array3D, Array4D, Array5D),
    )
}
# How a class is spelled in the YAML of a card: its name in snake case, a digit beginning no word.
_YAML_NAMES = {
    name: re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    for name in _CLASSES
    if name not in ("Value", "List", "LargeList", "Sequence")
}


class Features(dict):
    """The columns of a dataset: name → feature.

    Args:
        columns: a mapping, or pairs, of names and features (:class:`Value`, :class:`ClassLabel`, :class:`List`, a
            dict of features for a struct).

    Raises:
        TypeError: a value is not a feature.

    Example:
        >>> features = Features({"text": Value("string"), "label": ClassLabel(names=["neg", "pos"])})
        >>> features.arrow_schema.names
        ['text', 'label']
    """

    def __init__(self, *columns: Any, **more: Any) -> None:
        super().__init__(*columns, **more)
        for name, feature in self.items():
            if isinstance(feature, str):
                raise TypeError(f"column {name!r}: {feature!r} is no feature; Value({feature!r}) is one")
            if not callable(feature) and not isinstance(feature, (dict, list, tuple)):
                raise TypeError(f"column {name!r}: {feature!r} is no feature")
            if isinstance(feature, (list, tuple)):
                self[name] = List(feature[0])

    @property
    def type(self) -> pa.DataType:
        """The Arrow struct type of one row."""
        return file_type(dict(self))

    @property
    def arrow_schema(self) -> pa.Schema:
        """The Arrow schema of the columns; its metadata holds the features, under the key ``huggingface``."""
        fields = [(name, file_type(feature)) for name, feature in self.items()]
        return pa.schema(fields, metadata={_METADATA: json.dumps({"info": {"features": self.to_dict()}})})

    @classmethod
    def from_arrow_schema(cls, pa_schema: pa.Schema) -> Features:
        """Return the features of an Arrow schema: those that its metadata names, as far as they fit its types."""
        inferred = {field.name: from_arrow(field.type) for field in pa_schema}
        stored = (pa_schema.metadata or {}).get(_METADATA)
        if stored is not None:
            described = (json.loads(stored).get("info") or {}).get("features") or {}
            for name, form in described.items():
                if name not in inferred:
                    continue
                try:
                    feature = _from_dict(form)
                    if pa.schema([(name, to_arrow(feature))]).equals(
                        storage_schema(pa.schema([pa_schema.field(name).remove_metadata()]))
                    ):
                        inferred[name] = feature
                except (KeyError, TypeError, ValueError) as error:
                    get_logger(__name__).warning("column %r is read as plain Arrow: %s", name, error)
        return cls(inferred)

    def to_dict(self) -> dict[str, Any]:
        """Return the form that is stored in ``dataset_info.json`` and in Arrow metadata."""
        return {name: _to_dict(feature) for name, feature in self.items()}

    @classmethod
    def from_dict(cls, dic: Mapping[str, Any]) -> Features:
        """Return the features that :meth:`to_dict` wrote."""
        return cls({name: _from_dict(inner) for name, inner in dic.items()})

    def to_yaml_list(self) -> list[dict[str, Any]]:
        """Return the form that stands in the YAML header of a dataset card."""
        return _yaml_fields(self)

    _to_yaml_list = to_yaml_list

    @classmethod
    def from_yaml_list(cls, form: list[dict[str, Any]]) -> Features:
        """Return the features that a card's YAML header describes."""
        return cls(_from_yaml_fields(form))

    _from_yaml_list = from_yaml_list

    def encode_example(self, example: Mapping[str, Any]) -> dict[str, Any]:
        """Return a row as it is stored."""
        return {name: encode(feature, example.get(name)) for name, feature in self.items()}

    def encode_batch(self, batch: Mapping[str, Any]) -> dict[str, list[Any]]:
        """Return columns of a batch as they are stored.

        Raises:
            ValueError: the batch's columns are not those of the features.
        """
        if set(batch) != set(self):
            raise ValueError(f"the columns {sorted(batch)} are not those of the features {sorted(self)}")
        return {name: [encode(self[name], value) for value in column] for name, column in batch.items()}

    def encode_column(self, column: Any, column_name: str) -> list[Any]:
        """Return the values of one column as they are stored."""
        feature = self._feature(column_name)
        return [encode(feature, value) for value in column]

    def decode_example(self, example: Mapping[str, Any], token_per_repo_id: Any = None) -> dict[str, Any]:
        """Return a stored row as users see it.

        Args:
            example: the row.
            token_per_repo_id: the token to read files of a repository with, by its id.
        """
        found = {name: decoder(self[name], token_per_repo_id) for name in example if name in self}
        return {name: change(value) if (change := found.get(name)) else value for name, value in example.items()}

    def decode_batch(self, batch: Mapping[str, Any], token_per_repo_id: Any = None) -> dict[str, list[Any]]:
        """Return stored columns of a batch as users see them."""
        return {name: self.decode_column(column, name, token_per_repo_id) for name, column in batch.items()}

    def decode_column(self, column: Any, column_name: str, token_per_repo_id: Any = None) -> list[Any]:
        """Return the stored values of one column as users see them; files are decoded in several threads."""
        feature = self._feature(column_name)
        change = decoder(feature, token_per_repo_id)
        return list(column) if change is None else decode_all(change, list(column), is_heavy(feature))

    def _feature(self, name: str) -> Any:
        if name not in self:
            raise KeyError(f"there is no column {name!r}{nearest(name, self)}")
        return self[name]

    def copy(self) -> Features:
        """Return a copy that shares nothing with the original."""
        return copy.deepcopy(self)

    def flatten(self, max_depth: int = 16) -> Features:
        """Return features in which the fields of a struct are columns of their own, named ``struct.field``."""
        current: dict[str, Any] = dict(self)
        for _ in range(max_depth):
            flat: dict[str, Any] = {}
            for name, feature in current.items():
                if hasattr(feature, "flatten"):
                    feature = feature.flatten()
                if isinstance(feature, dict):
                    flat.update({f"{name}.{inner}": value for inner, value in feature.items()})
                else:
                    flat[name] = feature
            if flat.keys() == current.keys():
                break
            current = flat
        return Features(current)

    def reorder_fields_as(self, other: Features) -> Features:
        """Return these features with the fields, on every level, in the order of ``other``.

        Raises:
            ValueError: the two do not have the same fields.
        """

        def reorder(mine: Any, theirs: Any, place: str) -> Any:
            if isinstance(theirs, dict) and isinstance(mine, dict):
                if set(mine) != set(theirs):
                    raise ValueError(
                        f"the fields of {place or 'the features'} differ: {sorted(mine)}, {sorted(theirs)}"
                    )
                return {name: reorder(mine[name], theirs[name], f"{place}.{name}".strip(".")) for name in theirs}
            if isinstance(theirs, (List, LargeList)) and type(mine) is type(theirs):
                changed = copy.copy(mine)
                changed.feature = reorder(mine.feature, theirs.feature, f"{place}[]")
                return changed
            return mine

        return Features(reorder(dict(self), dict(other), ""))

    def __reduce__(self) -> Any:
        return (Features.from_dict, (self.to_dict(),))

    def __deepcopy__(self, memo: dict[int, Any]) -> Features:
        return Features({name: copy.deepcopy(feature, memo) for name, feature in self.items()})


def _to_dict(feature: Any) -> Any:
    if isinstance(feature, dict):
        return {name: _to_dict(inner) for name, inner in feature.items()}
    if isinstance(feature, (list, tuple)):
        feature = List(feature[0])
    out: dict[str, Any] = {}
    if isinstance(feature, ClassLabel):
        out["names"] = list(feature.names)
    else:
        # what differs from what the class takes when nothing is said
        for item in dataclasses.fields(feature):
            value = getattr(feature, item.name)
            if value != item.default and item.name != "id":
                plain = list(value) if isinstance(value, (list, tuple)) else value
                out[item.name] = _to_dict(value) if item.name == "feature" else plain
    return {**out, "_type": type(feature).__name__}


def _from_dict(form: Any) -> Any:
    if isinstance(form, list):
        return List(_from_dict(form[0]))
    if not isinstance(form.get("_type"), str):
        return {name: _from_dict(inner) for name, inner in form.items()}
    options = {name: value for name, value in form.items() if name != "_type"}
    kind = form["_type"]
    if kind not in _CLASSES:
        raise ValueError(f"unknown feature {kind!r}{nearest(kind, _CLASSES)}")
    if "feature" in options:
        options["feature"] = _from_dict(options["feature"])
    if kind == "ClassLabel" and options.get("names"):
        options.pop("num_classes", None)
    return _CLASSES[kind](**options)


# what `datasets` calls these functions
generate_from_dict, generate_from_arrow_type = _from_dict, from_arrow
get_nested_type, string_to_arrow = to_arrow, dtype_to_arrow


# ---- the YAML form ---------------------------------------------------------------------------------------------------
# A column is {"name": …} and one of: dtype (a name, or {snake_case class: options}), list/large_list (the item: a dtype
# or the fields of a struct), struct (fields). The older "sequence" of fields is a struct of lists.


def _yaml_fields(fields: Mapping[str, Any]) -> list[dict[str, Any]]:
    out = []
    for name, feature in fields.items():
        form = _yaml(feature)
        out.append({"name": name, **(form if isinstance(form, dict) and _is_composite(form) else {"dtype": form})})
    return out


def _is_composite(form: dict[str, Any]) -> bool:
    return bool({"list", "large_list", "struct", "sequence"} & set(form))


def _yaml(feature: Any) -> Any:
    if isinstance(feature, dict):
        return {"struct": _yaml_fields(feature)}
    if isinstance(feature, (list, tuple)):
        feature = List(feature[0])
    if isinstance(feature, (List, LargeList)):
        inner = _yaml(feature.feature)
        if isinstance(feature.feature, dict):
            inner = inner["struct"]
        out: dict[str, Any] = {"list" if isinstance(feature, List) else "large_list": inner}
        if isinstance(feature, List) and feature.length != -1:
            out["length"] = feature.length
        return out
    if isinstance(feature, Value):
        return feature.dtype
    if isinstance(feature, ClassLabel):
        return {"class_label": {"names": {str(number): name for number, name in enumerate(feature.names)}}}
    options = {name: value for name, value in _to_dict(feature).items() if name != "_type"}
    name = _YAML_NAMES[type(feature).__name__]
    return {name: options} if options else name


def _from_yaml_fields(form: list[dict[str, Any]]) -> dict[str, Any]:
    return {field["name"]: _from_yaml({k: v for k, v in field.items() if k != "name"}) for field in form}


def _from_yaml(form: Any) -> Any:
    if isinstance(form, str):
        classes = {name: kind for kind, name in _YAML_NAMES.items()}
        return _CLASSES[classes[form]]() if form in classes else Value(form)
    if isinstance(form, list):
        return _from_yaml_fields(form)
    if "dtype" in form:
        return _from_yaml(form["dtype"])
    if "struct" in form:
        return _from_yaml_fields(form["struct"])
    lists: tuple[tuple[str, Any], ...] = (("list", List), ("large_list", LargeList), ("sequence", Sequence))
    for key, list_kind in lists:
        if key in form:
            length = {"length": form["length"]} if form.get("length", -1) != -1 else {}
            return list_kind(_from_yaml(form[key]), **length)
    (name, options), *_ = form.items()
    options = dict(options or {})
    if name == "class_label":
        names = options.get("names")
        if isinstance(names, dict):
            options["names"] = [names[key] for key in sorted(names, key=int)]
        if options.get("names"):
            options.pop("num_classes", None)
        return ClassLabel(**options)
    for kind, snake in _YAML_NAMES.items():
        if snake == name:
            return _CLASSES[kind](**options)
    raise ValueError(f"unknown feature {name!r} in the card{nearest(name, _YAML_NAMES.values())}")
