"""What can go wrong with a dataset: each error names the file, line, column or split, and the nearest valid one."""

from __future__ import annotations

from enfold.errors import EnfoldError

__all__ = [
    "CacheWriteError",
    "ChecksumVerificationError",
    "ColumnNotFoundError",
    "DataFilesNotFoundError",
    "DatasetBuildError",
    "DatasetGenerationCastError",
    "DatasetGenerationError",
    "DatasetNotFoundError",
    "DatasetsError",
    "DefunctDatasetError",
    "EmptyDatasetError",
    "ExpectedMoreDownloadedFilesError",
    "ExpectedMoreSplitsError",
    "FileFormatError",
    "FileNotFoundDatasetsError",
    "HubUnreachableError",
    "ManualDownloadError",
    "MapOutputError",
    "NonMatchingChecksumError",
    "NonMatchingSplitsSizesError",
    "SplitsVerificationError",
    "UnexpectedDownloadedFileError",
    "UnexpectedSplitsError",
    "WorkerDiedError",
]


class DatasetsError(EnfoldError):
    """The root of the errors of this package."""


class FileNotFoundDatasetsError(DatasetsError, FileNotFoundError):
    """Something that a dataset is read from does not exist."""


class DataFilesNotFoundError(FileNotFoundDatasetsError):
    """A folder, a repository or a pattern holds no data file that can be read."""


class EmptyDatasetError(DataFilesNotFoundError):
    """A folder or a repository holds no file at all."""


class DatasetNotFoundError(FileNotFoundDatasetsError):
    """There is neither a folder nor a repository of that name, or it may not be read with this token."""


class HubUnreachableError(DatasetsError, ConnectionError):
    """A dataset is not on this machine, and the Hub that has it cannot be reached."""


class DatasetBuildError(DatasetsError):
    """A dataset could not be built from its files."""


class DatasetGenerationError(DatasetBuildError, ValueError):
    """A data file holds something that cannot be read: the message names the file and the line."""


class DatasetGenerationCastError(DatasetGenerationError):
    """A data file's columns do not fit the features of the dataset."""


class ManualDownloadError(DatasetBuildError):
    """Files that the user has to fetch were not given: ``data_dir`` says where they are."""


class FileFormatError(DatasetBuildError):
    """A file is of another format than its name says."""


class DefunctDatasetError(DatasetsError):
    """A dataset is no longer offered by those who made it."""


class ChecksumVerificationError(DatasetsError):
    """Files are others than those that the dataset was described with."""


class UnexpectedDownloadedFileError(ChecksumVerificationError):
    """A file was fetched that the description does not have."""


class ExpectedMoreDownloadedFilesError(ChecksumVerificationError):
    """A file of the description was not fetched."""


class NonMatchingChecksumError(ChecksumVerificationError):
    """A file has another content than when it was described."""


class SplitsVerificationError(DatasetsError):
    """Splits are others than the card, or the builder, says."""


class UnexpectedSplitsError(SplitsVerificationError, ValueError):
    """A split was asked for that the dataset does not have, or was made and is not described."""


class ExpectedMoreSplitsError(SplitsVerificationError):
    """A split that is described was not made."""


class NonMatchingSplitsSizesError(SplitsVerificationError):
    """A split has another number of rows than its description says."""


class ColumnNotFoundError(DatasetsError, KeyError, ValueError):
    """A column was named that the dataset does not have."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class MapOutputError(DatasetsError, TypeError, ValueError):
    """A function given to ``map`` or ``filter`` returned something that cannot become columns."""


class WorkerDiedError(DatasetsError, RuntimeError):
    """A worker process of ``map`` or ``filter`` ended before its rows were done; the message names them."""


class CacheWriteError(DatasetsError, OSError):
    """A file of the cache could not be written, because the disk is full or its folder is closed to this user."""
