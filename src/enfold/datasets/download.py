"""Fetching files for builders: how, how often, and with what checks; and the manager that a builder is given."""

from __future__ import annotations

import contextlib
import enum
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import IO, Any

from .builders.archives import extract, is_archive, is_zip, tar_members

__all__ = [
    "DownloadConfig",
    "DownloadManager",
    "DownloadMode",
    "StreamingDownloadManager",
    "VerificationMode",
]


class DownloadMode(enum.Enum):
    """What is made again.

    ``REUSE_DATASET_IF_EXISTS`` uses what there is, ``REUSE_CACHE_IF_EXISTS`` makes the tables again from files that are
    there, ``FORCE_REDOWNLOAD`` fetches the files, too.
    """

    REUSE_DATASET_IF_EXISTS = "reuse_dataset_if_exists"
    REUSE_CACHE_IF_EXISTS = "reuse_cache_if_exists"
    FORCE_REDOWNLOAD = "force_redownload"


class VerificationMode(enum.Enum):
    """What is checked once a dataset is made."""

    ALL_CHECKS = "all_checks"
    BASIC_CHECKS = "basic_checks"
    NO_CHECKS = "no_checks"


@dataclass
class DownloadConfig:
    """How files are fetched.

    Args:
        cache_dir: where they are kept; ``HF_DATASETS_CACHE`` where None.
        force_download: fetch what is there already.
        local_files_only: use the network for nothing.
        token: the token for the Hub.
        num_proc, max_retries, proxies, user_agent, extract_compressed_file, force_extract, delete_extracted,
            extract_on_the_fly, use_etag, storage_options, download_desc, disable_tqdm, resume_download: accepted for
            compatibility.
    """

    cache_dir: str | None = None
    force_download: bool = False
    resume_download: bool = False
    local_files_only: bool = False
    proxies: dict[str, str] | None = None
    user_agent: str | None = None
    extract_compressed_file: bool = False
    force_extract: bool = False
    delete_extracted: bool = False
    extract_on_the_fly: bool = False
    use_etag: bool = True
    num_proc: int | None = None
    max_retries: int = 1
    token: str | bool | None = None
    storage_options: dict[str, Any] = field(default_factory=dict)
    download_desc: str | None = None
    disable_tqdm: bool = False

    def copy(self) -> DownloadConfig:
        """Return a copy that shares nothing with the original."""
        import copy

        return copy.deepcopy(self)


class DownloadManager:
    """Fetches and unpacks what a builder asks for; a list or dict of addresses gives a list or dict of paths.

    Args:
        dataset_name: the dataset's name.
        data_dir: the folder that the user gave, as ``manual_dir``.
        download_config: how to fetch.
        base_path: the folder that relative paths start at.
        record_checksums: accepted for compatibility.

    Example:
        >>> import tempfile, pathlib
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> _ = (folder / "a.txt").write_text("x")
        >>> paths = DownloadManager(base_path=str(folder)).download({"train": ["a.txt"]})
        >>> pathlib.Path(paths["train"][0]).read_text()
        'x'
    """

    is_streaming = False

    def __init__(
        self,
        dataset_name: str | None = None,
        data_dir: str | None = None,
        download_config: DownloadConfig | None = None,
        base_path: str | None = None,
        record_checksums: bool = False,
    ) -> None:
        self.dataset_name = dataset_name
        self.download_config = download_config or DownloadConfig()
        self._data_dir, self._base = data_dir, base_path or os.getcwd()
        self.downloaded_paths: dict[str, str] = {}
        self.extracted_paths: dict[str, str] = {}

    @property
    def manual_dir(self) -> str | None:
        """The folder that the user gave."""
        return self._data_dir

    @property
    def downloaded_size(self) -> int:
        """Bytes of the files that were fetched."""
        return sum(os.path.getsize(path) for path in self.downloaded_paths.values() if os.path.isfile(path))

    def download(self, url_or_urls: Any) -> Any:
        """Return the paths of addresses, or of paths relative to the builder's folder.

        Raises:
            FileNotFoundError: there is no such file.
        """
        return _map(self._fetch, url_or_urls)

    def _fetch(self, address: Any) -> str:
        from .data_files import LocalTree, resolve

        address = os.fspath(address)
        files = resolve(
            {"train": [address]},
            LocalTree(self._base),
            "",
            self.download_config.token,
            self.download_config.storage_options,
        )["train"]
        path = os.path.abspath(files[0].fetch())
        self.downloaded_paths[address] = path
        return path

    def download_custom(self, url_or_urls: Any, custom_download: Callable[[str, str], Any]) -> Any:
        """Return the paths of what a function fetched; it is given an address and the path to write to."""
        import hashlib

        from .config import datasets_cache

        folder = os.path.join(self.download_config.cache_dir or datasets_cache(), "downloads")
        os.makedirs(folder, exist_ok=True)

        def fetch(address: str) -> str:
            path = os.path.join(folder, hashlib.sha256(address.encode()).hexdigest())
            if self.download_config.force_download or not os.path.exists(path):
                temporary = f"{path}.{os.getpid()}.tmp"
                custom_download(address, temporary)
                os.replace(temporary, path)
            self.downloaded_paths[address] = path
            return path

        return _map(fetch, url_or_urls)

    def extract(self, path_or_paths: Any, num_proc: Any = None) -> Any:
        """Return the folders of unpacked archives, or the paths of unpacked files."""
        return _map(self._unpack, path_or_paths)

    def _unpack(self, path: str) -> str:
        made = path
        if is_archive(path):
            files = extract(path)
            made = os.path.commonpath([os.path.dirname(file) for file in files]) if files else path
            marker = os.sep + "extracted" + os.sep
            if marker in made:  # the folder of the archive, not the only one in it
                root, rest = made.split(marker, 1)
                made = root + marker + rest.split(os.sep)[0]
        else:
            made = _unpacked(path)
        self.extracted_paths[path] = made
        return made

    def download_and_extract(self, url_or_urls: Any) -> Any:
        """Return the paths of what was fetched and unpacked."""
        return self.extract(self.download(url_or_urls))

    def get_recorded_sizes_checksums(self) -> dict[str, dict[str, Any]]:
        """Return the size and SHA-256 of every file that was fetched."""
        from .utils.info_utils import get_size_checksum_dict

        return {address: get_size_checksum_dict(path) for address, path in self.downloaded_paths.items()}

    def iter_archive(self, path_or_buf: Any) -> Iterator[tuple[str, IO[bytes]]]:
        """Yield the files of an archive: name and an open file.

        Args:
            path_or_buf: the archive's path, or the archive as an open file, such as one in an archive.
        """
        import shutil
        import tempfile
        import zipfile

        with contextlib.ExitStack() as stack:
            source: Any = path_or_buf
            if hasattr(path_or_buf, "read"):
                # what is in an archive can be read once only, and zip files are read from their end
                source = stack.enter_context(tempfile.TemporaryFile())
                shutil.copyfileobj(path_or_buf, source)
                source.seek(0)
            else:
                source = os.fspath(path_or_buf)
            if is_zip(source):
                archive = stack.enter_context(zipfile.ZipFile(source))
                for member in archive.infolist():
                    if not member.is_dir():
                        with archive.open(member) as file:
                            yield member.filename, file
                return
            for name, _, content in tar_members(source):
                if not name.rsplit("/", 1)[-1].startswith((".", "__")):
                    yield name, content

    def iter_files(self, paths: Any) -> Iterator[str]:
        """Yield the files of folders, sorted; a file is itself."""
        for path in [paths] if isinstance(paths, (str, os.PathLike)) else paths:
            path = os.fspath(path)
            if os.path.isfile(path):
                yield path
            for place, folders, files in os.walk(path):
                folders[:] = sorted(name for name in folders if not name.startswith((".", "__")))
                for name in sorted(files):
                    if not name.startswith((".", "__")):
                        yield os.path.join(place, name)

    def delete_extracted_files(self) -> None:
        """Remove what was unpacked."""
        import shutil

        for source, made in self.extracted_paths.items():
            if os.path.isfile(made) and made != source:
                os.unlink(made)
            elif made != source:
                shutil.rmtree(made, ignore_errors=True)
        self.extracted_paths = {}

    def manage_extracted_files(self) -> None:
        """Remove what was unpacked, where the configuration asks for that."""
        if self.download_config.delete_extracted:
            self.delete_extracted_files()


class StreamingDownloadManager(DownloadManager):
    """The manager that a builder is given when its rows are streamed: it fetches what is asked for, when it is."""

    is_streaming = True


def _map(function: Callable[[Any], Any], value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _map(function, item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_map(function, item) for item in value]
    return function(value)


def _unpacked(path: str) -> str:
    """Return the path of a packed file's content, or the path itself where it is not packed."""
    from .builders.opened import CODECS, read_bytes
    from .config import datasets_cache

    ending = os.path.splitext(path)[1]
    if ending not in (*CODECS, ".xz"):
        return path
    import hashlib

    found = os.stat(path)
    key = hashlib.sha256(f"{os.path.realpath(path)}:{found.st_size}:{found.st_mtime_ns}".encode()).hexdigest()
    target = os.path.join(datasets_cache(), "downloads", "extracted", key)
    if not os.path.exists(target):
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(f"{target}.{os.getpid()}.tmp", "wb") as file:
            file.write(read_bytes(path))
        os.replace(file.name, target)
    return target
