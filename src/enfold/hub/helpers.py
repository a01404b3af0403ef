"""Folders, locks, dates, versions and hashes: what programs of the ecosystem take from `huggingface_hub.utils`."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.metadata
import importlib.util
import io
import itertools
import os
import platform
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar

from enfold.hub import constants
from enfold.hub.checks import is_jinja_available
from enfold.hub.http import pages

if TYPE_CHECKING:
    from filelock import BaseFileLock

__all__ = [
    "SoftTemporaryDirectory",
    "WeakFileLock",
    "capture_output",
    "chunk_iterable",
    "experimental",
    "get_hf_hub_version",
    "get_numpy_version",
    "get_python_version",
    "get_torch_version",
    "git_hash",
    "is_google_colab",
    "is_gradio_available",
    "is_jinja_available",
    "is_notebook",
    "is_numpy_available",
    "is_pillow_available",
    "is_pydantic_available",
    "is_safetensors_available",
    "is_tf_available",
    "is_torch_available",
    "is_xet_available",
    "paginate",
    "parse_datetime",
    "sha_fileobj",
]

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])
_PIECE = 1 << 20  # bytes that are hashed at a time

# ---------------------------------------------------------------------- folders, locks and what is printed


@contextlib.contextmanager
def SoftTemporaryDirectory(
    suffix: str | None = None, prefix: str | None = None, dir: Path | str | None = None, **options: Any
) -> Iterator[Path]:
    """Make a folder that goes with the block; what cannot be removed stays, and is no error.

    Example:
        >>> with SoftTemporaryDirectory() as folder:
        ...     _ = (folder / "x").write_text("x")
        >>> folder.exists()
        False
    """
    said = {"ignore_cleanup_errors": True, **options}
    with tempfile.TemporaryDirectory(suffix=suffix, prefix=prefix, dir=dir, **said) as folder:
        yield Path(folder).resolve()


@contextlib.contextmanager
def WeakFileLock(lock_file: str | Path, *, timeout: float | None = None) -> Iterator[BaseFileLock]:
    """Hold a lock that is a file, which others of the group may wait for, too.

    Args:
        lock_file: the file; it is made.
        timeout: seconds to wait; without end by default.

    Raises:
        filelock.Timeout: somebody else holds it for longer.
    """
    from filelock import FileLock, SoftFileLock

    waiting = -1 if timeout is None else timeout
    lock: BaseFileLock = FileLock(lock_file, mode=0o664)
    try:
        lock.acquire(timeout=waiting)
    except NotImplementedError:  # the file system has no locks
        lock = SoftFileLock(lock_file)
        lock.acquire(timeout=waiting)
    try:
        yield lock
    finally:
        with contextlib.suppress(OSError):
            lock.release()


@contextlib.contextmanager
def capture_output() -> Iterator[io.StringIO]:
    """Keep what is printed in the block.

    Example:
        >>> with capture_output() as output:
        ...     print("hello")
        >>> output.getvalue()
        'hello\\n'
    """
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        yield output


def experimental(fn: F) -> F:
    """Have a function warn that it may change, unless ``HF_HUB_DISABLE_EXPERIMENTAL_WARNING`` is set."""
    name = fn.__qualname__.removesuffix(".__new__")

    @functools.wraps(fn)
    def warned(*args: Any, **options: Any) -> Any:
        if not constants.HF_HUB_DISABLE_EXPERIMENTAL_WARNING:
            said = f"'{name}' is experimental and may change; HF_HUB_DISABLE_EXPERIMENTAL_WARNING=1 says no more of it"
            warnings.warn(said, UserWarning, stacklevel=2)
        return fn(*args, **options)

    return warned  # type: ignore[return-value]


# ---------------------------------------------------------------------- lists, dates and hashes


def chunk_iterable(iterable: Iterable[T], chunk_size: int) -> Iterator[Iterable[T]]:
    """Yield ``chunk_size`` items at a time; the last piece may have fewer.

    Raises:
        ValueError: the size is no whole number above zero.

    Example:
        >>> [list(piece) for piece in chunk_iterable(range(5), chunk_size=2)]
        [[0, 1], [2, 3], [4]]
    """
    if not isinstance(chunk_size, int) or chunk_size <= 0:
        raise ValueError(f"chunk_size is a whole number above zero, not {chunk_size!r}")
    items = iter(iterable)
    for first in items:
        yield itertools.chain((first,), itertools.islice(items, chunk_size - 1))


def parse_datetime(date_string: str) -> datetime:
    """Return a moment as the Hub writes it, with up to nine digits behind the second.

    Raises:
        ValueError: it is written otherwise.

    Example:
        >>> parse_datetime("2022-08-19T07:19:38.123Z")
        datetime.datetime(2022, 8, 19, 7, 19, 38, 123000, tzinfo=datetime.timezone.utc)
    """
    text, dot, fraction = date_string.removesuffix("Z").partition(".")
    good = date_string.endswith("Z") and (fraction.isascii() and fraction.isdigit() if dot else True)
    try:
        moment = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S") if good else None
    except ValueError:
        moment = None
    if moment is None:
        expected = "expected a moment as the Hub writes it, such as 2022-08-19T07:19:38.123Z"
        raise ValueError(f"Cannot parse {date_string!r} as a datetime: {expected}")
    return moment.replace(microsecond=int(f"{fraction:0<6}"[:6]), tzinfo=timezone.utc)


def paginate(path: str, params: Any, headers: dict[str, str], timeout: float | None = None) -> Iterator[Any]:
    """Yield the items of a listing, page by page.

    Args:
        path: the address of the first page.
        params: its query.
        headers: as :func:`~enfold.hub.utils.build_hf_headers` makes them; their token is sent.
        timeout: accepted; requests give up after half a minute without an answer.
    """
    kind, _, token = headers.get("authorization", headers.get("Authorization", "")).partition(" ")
    yield from pages(path, token=token if kind.lower() == "bearer" and token else False, params=params)


def sha_fileobj(fileobj: IO[bytes], chunk_size: int | None = None) -> bytes:
    """Return the SHA-256 of what is left in a file, 32 bytes.

    Example:
        >>> sha_fileobj(io.BytesIO(b"")).hex()[:16]
        'e3b0c44298fc1c14'
    """
    digest = hashlib.sha256()
    while piece := fileobj.read(chunk_size or _PIECE):
        digest.update(piece)
    return digest.digest()


def git_hash(data: bytes) -> str:
    """Return the id that git gives a file with this content.

    Example:
        >>> git_hash(b"")
        'e69de29bb2d1d6434b8b29ae775ad8c2e48c5391'
    """
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


# ---------------------------------------------------------------------- what is installed


def _is_available(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "N/A"


def get_hf_hub_version() -> str:
    """Return the version of `huggingface_hub` whose surface enfold offers."""
    from enfold.hub import __version__

    return __version__


def get_python_version() -> str:
    """Return Python's version."""
    return platform.python_version()


def get_numpy_version() -> str:
    """Return NumPy's version, or "N/A"."""
    return _version("numpy")


def get_torch_version() -> str:
    """Return PyTorch's version, or "N/A"."""
    return _version("torch")


def is_gradio_available() -> bool:
    """Say whether demos can be served: enfold has its own."""
    return True


def is_numpy_available() -> bool:
    """Say whether NumPy is installed."""
    return _is_available("numpy")


def is_pillow_available() -> bool:
    """Say whether Pillow is installed."""
    return _is_available("PIL")


def is_pydantic_available() -> bool:
    """Say whether pydantic is installed."""
    return _is_available("pydantic")


def is_safetensors_available() -> bool:
    """Say whether safetensors is installed."""
    return _is_available("safetensors")


def is_tf_available() -> bool:
    """Say whether TensorFlow is installed."""
    return _is_available("tensorflow")


def is_torch_available() -> bool:
    """Say whether PyTorch is installed."""
    return _is_available("torch")


def is_xet_available() -> bool:
    """Say whether large files can go by Xet: not without hf_xet, and not when ``HF_HUB_DISABLE_XET`` is set."""
    return os.environ.get("HF_HUB_DISABLE_XET", "0") in {"", "0"} and _is_available("hf_xet")


def _shell() -> str:
    try:
        return str(type(get_ipython()).__module__)  # type: ignore[name-defined]
    except NameError:
        return ""


def is_notebook() -> bool:
    """Say whether this runs in a notebook."""
    return any(_shell().startswith(name) for name in ("ipykernel", "google.colab"))


def is_google_colab() -> bool:
    """Say whether this runs in Google Colab."""
    return _shell().startswith("google.colab")
