"""Values on all levels of a feature: what `datasets` offers beside the methods of ``Features``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .image import encode_image, is_image
from .storage import decoder, encode, holds_files
from .types import LargeList, List

__all__ = [
    "cast_to_python_objects",
    "decode_nested_example",
    "encode_nested_example",
    "require_decoding",
    "require_storage_cast",
    "require_storage_embed",
]

require_storage_embed = holds_files


def encode_nested_example(schema: Any, obj: Any, level: int = 0) -> Any:
    """Return a value as a feature stores it.

    Args:
        schema: the feature, or a dict or list of features.
        obj: the value.
        level: accepted for compatibility.
    """
    return encode(schema, obj)


def decode_nested_example(schema: Any, obj: Any, token_per_repo_id: Any = None) -> Any:
    """Return a stored value as users see it: images opened, recordings decoded, JSON read.

    Args:
        schema: the feature, or a dict or list of features.
        obj: the stored value.
        token_per_repo_id: the token to read files of a repository with, by its id.
    """
    change = decoder(schema, token_per_repo_id)
    return obj if change is None else change(obj)


def _anywhere(feature: Any, test: Callable[[Any], bool]) -> bool:
    """Return whether a feature passes a test, on any level."""
    if isinstance(feature, dict):
        return any(_anywhere(inner, test) for inner in feature.values())
    if isinstance(feature, (List, LargeList, list, tuple)):
        return _anywhere(feature[0] if isinstance(feature, (list, tuple)) else feature.feature, test)
    return test(feature)


def require_decoding(feature: Any, ignore_decode_attribute: bool = False) -> bool:
    """Return whether stored values are not yet what users see, on any level.

    Args:
        feature: the feature.
        ignore_decode_attribute: count files that are set to stay as they are, too.
    """
    if not ignore_decode_attribute:
        return decoder(feature) is not None
    return _anywhere(feature, lambda one: hasattr(one, "decode_example"))


def require_storage_cast(feature: Any) -> bool:
    """Return whether a feature takes other forms of its values into its columns, such as a label's name."""
    return _anywhere(feature, lambda one: hasattr(one, "cast_storage"))


def cast_to_python_objects(obj: Any, only_1d_for_numpy: bool = False, optimize_list_casting: bool = True) -> Any:
    """Return nested data without tensors, frames and images: lists, dicts, numpy arrays and encoded files instead.

    Args:
        obj: the data.
        only_1d_for_numpy: make arrays of several dimensions lists of their rows.
        optimize_list_casting: accepted for compatibility.

    Example:
        >>> import torch
        >>> cast_to_python_objects({"a": (torch.tensor([2, 3]), None)})
        {'a': [array([2, 3]), None]}
    """
    if isinstance(obj, dict):
        return {key: cast_to_python_objects(value, only_1d_for_numpy) for key, value in obj.items()}
    if isinstance(obj, (list, tuple)):
        return [cast_to_python_objects(value, only_1d_for_numpy) for value in obj]
    if isinstance(obj, np.ndarray):
        if obj.ndim == 0:
            return obj[()]
        return obj if not only_1d_for_numpy or obj.ndim == 1 else [cast_to_python_objects(row, True) for row in obj]
    if hasattr(obj, "detach") and hasattr(obj, "cpu"):  # torch
        return cast_to_python_objects(obj.detach().cpu().numpy(), only_1d_for_numpy)
    if type(obj).__module__.startswith("pandas."):
        return cast_to_python_objects(_of_pandas(obj), only_1d_for_numpy)
    if is_image(obj):
        return encode_image(obj)
    if hasattr(obj, "__array__") and hasattr(obj, "shape") and not isinstance(obj, np.generic):  # jax, tensorflow
        return cast_to_python_objects(np.asarray(obj), only_1d_for_numpy)
    return obj


def _of_pandas(obj: Any) -> Any:
    kind = type(obj).__name__
    if kind == "DataFrame":
        return {name: obj[name].tolist() for name in obj.columns}
    if kind == "Timestamp":
        return obj.to_pydatetime()
    if kind == "Timedelta":
        return obj.to_pytimedelta()
    return obj.tolist()
