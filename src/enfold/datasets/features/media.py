"""What images, recordings, videos and documents share: a file is stored as its bytes, its path, or both."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

__all__ = ["MEDIA", "MediaFile", "MediaType", "media_array", "read_media"]

#: how a file is stored: its content, or where it is; a path beside bytes is a name that tells the kind of file
MEDIA = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def read_media(path: str, token_per_repo_id: Mapping[str, Any] | None = None) -> bytes:
    """Return the content of a stored path.

    Args:
        path: a path on this machine, ``hf://…``, or any address that fsspec opens (also ``zip://member::archive``).
        token_per_repo_id: the token to read a repository with, by its id.

    Raises:
        FileNotFoundError: there is no such file.
    """
    if "://" not in path:
        with open(path, "rb") as file:
            return file.read()
    import fsspec

    options: dict[str, Any] = {}
    address = path.split("::")[-1]
    if address.startswith("hf://datasets/") and token_per_repo_id:
        repo_id = "/".join(address[len("hf://datasets/") :].split("/")[:2]).split("@")[0]
        if token_per_repo_id.get(repo_id) is not None:
            options = (
                {"hf": {"token": token_per_repo_id[repo_id]}} if "::" in path else {"token": token_per_repo_id[repo_id]}
            )
    with fsspec.open(path, "rb", **options) as file:
        return file.read()


def media_array(contents: pa.Array, paths: pa.Array, missing: pa.Array | None) -> pa.Array:
    """Return the stored form of files, from their contents and paths."""
    return pa.StructArray.from_arrays(
        [contents.cast(pa.binary()), paths.cast(pa.string())], fields=list(MEDIA), mask=missing
    )


class MediaFile:
    """A feature whose stored value is a file.

    Decoding is dear, so that rows are decoded when they are looked at, and the rows of a batch in several threads.
    """

    #: decoded one by one when needed, not for rows that are only read ahead
    heavy: ClassVar[bool] = True
    #: the type of the values as the ecosystem names it
    pa_type: ClassVar[pa.DataType] = MEDIA
    _noun: ClassVar[str] = "file"
    decode: bool

    def __call__(self) -> pa.DataType:
        return MEDIA

    def encode_example(self, value: Any) -> dict[str, Any] | None:
        """Return what is stored for a value.

        Args:
            value: a path, the file's bytes, a dict with ``bytes`` or ``path``, or what this feature decodes to.

        Raises:
            ValueError: a dict with neither bytes nor a path.
            TypeError: a value of another kind.
        """
        if value is None:
            return None
        if isinstance(value, str):
            return {"bytes": None, "path": value}
        if isinstance(value, Path):
            return {"bytes": None, "path": str(value.absolute())}
        if isinstance(value, (bytes, bytearray, memoryview)):
            return {"bytes": bytes(value), "path": None}
        own = self._encode_object(value)
        if own is not None:
            return own
        if not isinstance(value, Mapping):
            raise TypeError(
                f"{type(self).__name__} stores a path, bytes or a dict of them, not a {type(value).__name__}"
            )
        content, path = value.get("bytes"), value.get("path")
        if path is not None and os.path.isabs(path) and os.path.isfile(path):
            return {"bytes": None, "path": os.fspath(path)}  # the content is there already: nothing is stored twice
        if content is None and path is None:
            raise ValueError(f"a stored {self._noun} needs 'bytes' or 'path'; there is neither in {dict(value)}")
        return {"bytes": content, "path": path}

    def _encode_object(self, value: Any) -> dict[str, Any] | None:
        """Return what is stored for an object of the kind that this feature decodes to; None for all others."""
        return None

    def _opened(self, value: Mapping[str, Any], token_per_repo_id: Mapping[str, Any] | None) -> bytes:
        """Return the content of a stored file."""
        content, path = value.get("bytes"), value.get("path")
        if content is not None:
            return content
        if path is None:
            raise ValueError(f"a stored {self._noun} needs 'bytes' or 'path', but both are missing")
        return read_media(path, token_per_repo_id)

    def _must_decode(self) -> None:
        if not self.decode:
            name = type(self).__name__
            raise RuntimeError(f"decoding is switched off for this feature; use {name}(decode=True)")

    def flatten(self) -> Any:
        """Return the fields of the stored form where nothing is decoded, else the feature itself."""
        from .types import Value

        return self if self.decode else {"bytes": Value("binary"), "path": Value("string")}

    def cast_storage(self, storage: pa.Array) -> pa.Array:
        """Return a column of paths, of bytes, or of structs with one or both, in this feature's stored form.

        Raises:
            ValueError: a column of another type.
        """
        kind = storage.type
        if isinstance(kind, pa.BaseExtensionType):
            return self.cast_storage(storage.storage)
        missing = storage.is_null() if storage.null_count else None
        size = len(storage)
        if pa.types.is_null(kind):
            return pa.nulls(size, MEDIA)
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            return media_array(pa.nulls(size, pa.binary()), storage, missing)
        if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
            return media_array(storage, pa.nulls(size, pa.string()), missing)
        if pa.types.is_struct(kind):
            names = [kind.field(i).name for i in range(kind.num_fields)]
            if "bytes" in names or "path" in names:
                children = dict(zip(names, storage.flatten(), strict=True))
                contents = children.get("bytes", pa.nulls(size, pa.binary()))
                return media_array(contents, children.get("path", pa.nulls(size, pa.string())), missing)
        return self._cast_other(storage)

    def _cast_other(self, storage: pa.Array) -> pa.Array:
        raise ValueError(f"a column of {storage.type} does not hold {self._noun}s: expected paths, bytes or both")

    def _of_values(self, values: list[Any]) -> pa.Array:
        return pa.array([self.encode_example(value) for value in values], MEDIA)

    def embed_storage(
        self,
        storage: pa.Array,
        token_per_repo_id: Mapping[str, Any] | None = None,
        local_files: bool = True,
        remote_files: bool = True,
    ) -> pa.Array:
        """Return the stored form with the content of files in the place of their paths.

        Args:
            storage: the stored form.
            token_per_repo_id: the token to read a repository with, by its id.
            local_files: read files of this machine.
            remote_files: read files behind an address.

        Returns:
            Structs whose path is the file's name alone where the content was put in.
        """
        storage = self.cast_storage(storage)
        wanted: Callable[[str], bool] = lambda path: remote_files if "://" in path else local_files  # noqa: E731
        contents, paths = [], []
        for value in storage.to_pylist():
            content, path = (value["bytes"], value["path"]) if value is not None else (None, None)
            if content is None and path is not None and wanted(path):
                content = read_media(path, token_per_repo_id)
            contents.append(content)
            paths.append(os.path.basename(path) if path is not None and wanted(path) else path)
        missing = storage.is_null() if storage.null_count else None
        return media_array(pa.array(contents, pa.binary()), pa.array(paths, pa.string()), missing)


class MediaType(pa.ExtensionType):
    """Marks a column that was made of decoded values, until its feature is known; never written to a file.

    Args:
        feature: the name of the feature's class, such as ``"Image"``.
    """

    def __init__(self, feature: str) -> None:
        self.feature = feature
        super().__init__(MEDIA, f"enfold.{feature.lower()}")

    def __arrow_ext_serialize__(self) -> bytes:
        return self.feature.encode()

    @classmethod
    def __arrow_ext_deserialize__(cls, storage_type: pa.DataType, serialized: bytes) -> MediaType:
        return cls(serialized.decode())
