"""How the ecosystem writes names: of classes and datasets, and of a split's files."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

__all__ = [
    "camelcase_to_snakecase",
    "filename_prefix_for_name",
    "filename_prefix_for_split",
    "filenames_for_dataset_split",
    "filepattern_for_dataset_split",
    "snakecase_to_camelcase",
]


def camelcase_to_snakecase(name: str) -> str:
    """Return a class's name as a dataset's.

    Example:
        >>> camelcase_to_snakecase("HTMLPages2")
        'html_pages2'
    """
    return re.sub(r"(?<=[A-Z])(?=[A-Z][a-z])|(?<=[a-z\d])(?=[A-Z])", "_", name).lower()


def snakecase_to_camelcase(name: str) -> str:
    """Return a dataset's name as a class's; two and more underscores stay.

    Example:
        >>> snakecase_to_camelcase("web_pages__old")
        'WebPages__Old'
    """
    words = re.split(r"(?<!_)_(?!_)|(_{2,})", name)
    return "".join(word.capitalize() for word in words if word)


def filename_prefix_for_name(name: str) -> str:
    """Return what a dataset's files begin with.

    Raises:
        ValueError: a path.
    """
    if os.path.basename(name) != name:
        raise ValueError(f"a dataset's name is no path: {name!r}")
    return camelcase_to_snakecase(name)


def filename_prefix_for_split(name: str, split: str) -> str:
    """Return what a split's files begin with.

    Raises:
        ValueError: a name that is a path, or a split of other than letters, digits, ``_`` and ``.``.

    Example:
        >>> filename_prefix_for_split("Squad", "train")
        'squad-train'
    """
    if not re.fullmatch(r"\w+(\.\w+)*", split):
        raise ValueError(f"{split!r} cannot be the name of a split: letters, digits, '_' and '.' only")
    return f"{filename_prefix_for_name(name)}-{split}"


def filepattern_for_dataset_split(
    dataset_name: str, split: str, data_dir: str, filetype_suffix: str | None = None
) -> str:
    """Return a pattern that a split's files in a folder match."""
    ending = f".{filetype_suffix}" if filetype_suffix else ""
    return os.path.join(data_dir, f"{filename_prefix_for_split(dataset_name, split)}{ending}*")


def filenames_for_dataset_split(
    path: str,
    dataset_name: str,
    split: str,
    filetype_suffix: str | None = None,
    shard_lengths: Sequence[int] | None = None,
) -> list[str]:
    """Return the paths of a split's files in a folder: one, or the numbered ones of several shards.

    Args:
        path: the folder.
        dataset_name: the dataset.
        split: the split.
        filetype_suffix: the files' ending, such as ``"arrow"``.
        shard_lengths: the rows of each shard.
    """
    stem = os.path.join(path, filename_prefix_for_split(dataset_name, split))
    ending = f".{filetype_suffix}" if filetype_suffix else ""
    count = len(shard_lengths or ())
    places = [f"-{number:05d}-of-{count:05d}" for number in range(count)] if count > 1 else [""]
    return [f"{stem}{place}{ending}" for place in places]
