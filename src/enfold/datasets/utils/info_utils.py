"""Whether what was made is what was described: splits and their sizes, files and their checksums."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from typing import Any

from enfold.log import get_logger

from .. import config
from ..download import VerificationMode
from ..errors import (
    ExpectedMoreDownloadedFilesError,
    ExpectedMoreSplitsError,
    NonMatchingChecksumError,
    NonMatchingSplitsSizesError,
    UnexpectedDownloadedFileError,
    UnexpectedSplitsError,
)

__all__ = ["VerificationMode", "get_size_checksum_dict", "is_small_dataset", "verify_checksums", "verify_splits"]

logger = get_logger(__name__)
_ANYWAY = "pass verification_mode='no_checks' to take them as they are"


def verify_splits(expected_splits: Mapping[str, Any] | None, recorded_splits: Mapping[str, Any]) -> None:
    """Check that splits are those of a description, with as many rows.

    Args:
        expected_splits: name → :class:`SplitInfo`, as described; None where nothing is said.
        recorded_splits: name → :class:`SplitInfo`, as made.

    Raises:
        ExpectedMoreSplitsError: a split is missing.
        UnexpectedSplitsError: a split is not described.
        NonMatchingSplitsSizesError: a split has another number of rows.

    Example:
        >>> from enfold.datasets import SplitInfo
        >>> verify_splits({"train": SplitInfo("train", 8, 1)}, {"train": SplitInfo("train", 8, 1)})
    """
    if expected_splits is None:
        return
    missing, more = _apart(expected_splits, recorded_splits)
    if missing:
        raise ExpectedMoreSplitsError(f"the description has the splits {missing}, which are not there; {_ANYWAY}")
    if more:
        raise UnexpectedSplitsError(f"there are the splits {more}, which the description does not have; {_ANYWAY}")
    wrong = [
        f"{name!r} has {recorded_splits[name].num_examples} rows, not {split.num_examples}"
        for name, split in expected_splits.items()
        if split.num_examples != recorded_splits[name].num_examples
    ]
    if wrong:
        raise NonMatchingSplitsSizesError(f"not what the description says: {', '.join(wrong)}; {_ANYWAY}")


def verify_checksums(
    expected_checksums: Mapping[str, Any] | None,
    recorded_checksums: Mapping[str, Any],
    verification_name: str | None = None,
) -> None:
    """Check that files are those of a description.

    Args:
        expected_checksums: address → size and checksum, as described; None where nothing is said.
        recorded_checksums: address → size and checksum, as fetched.
        verification_name: what the files are, for the message.

    Raises:
        ExpectedMoreDownloadedFilesError: a file is missing.
        UnexpectedDownloadedFileError: a file is not described.
        NonMatchingChecksumError: a file has another content.
    """
    if expected_checksums is None:
        return
    missing, more = _apart(expected_checksums, recorded_checksums)
    if missing:
        raise ExpectedMoreDownloadedFilesError(f"the description has the files {missing}, which were not fetched")
    if more:
        raise UnexpectedDownloadedFileError(f"the files {more} were fetched, which the description does not have")
    wrong = [name for name, said in expected_checksums.items() if said != recorded_checksums[name]]
    if wrong:
        what = f" of {verification_name}" if verification_name else ""
        raise NonMatchingChecksumError(f"the files{what} changed since they were described: {wrong}; {_ANYWAY}")


def _apart(expected: Mapping[str, Any], found: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Return the names that are only in the one, and only in the other."""
    return [name for name in expected if name not in found], [name for name in found if name not in expected]


def get_size_checksum_dict(path: str, record_checksum: bool = True) -> dict[str, Any]:
    """Return a file's size in bytes and its SHA-256, or None for it."""
    digest = hashlib.sha256()
    if record_checksum:
        with open(path, "rb") as file:
            while piece := file.read(1 << 20):
                digest.update(piece)
    return {"num_bytes": os.path.getsize(path), "checksum": digest.hexdigest() if record_checksum else None}


def is_small_dataset(dataset_size: int | None) -> bool:
    """Return whether a dataset of so many bytes is kept in memory (``HF_DATASETS_IN_MEMORY_MAX_SIZE``)."""
    return dataset_size is not None and dataset_size < config.in_memory_max_size()
