"""The body of a commit, read as it arrives: file contents go to the store piece by piece, never whole into memory.

A body is lines of JSON. A line that holds a file is ``{"key": "file", "value": {"content": "<base64>", "path": …}}``:
once a line grows long, its ``content`` is cut out, decoded and stored while the rest of the line stays small.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
import re
from typing import Any

from enfold.hubserver.commits import AddFile, AddLfs, Copy, Delete, Header, Operation, inline_file
from enfold.hubserver.errors import HubServerError
from enfold.hubserver.settings import Limits
from enfold.hubserver.store.blobs import BlobStore, BlobWriter, StoredBlob

__all__ = ["CommitBody"]

_LONG = 1 << 16
_CONTENT = re.compile(rb'"content"\s*:\s*"')
_SAMPLE = 512


class _Base64Sink:
    """Decodes base64 as it comes, into the store."""

    def __init__(self, writer: BlobWriter) -> None:
        self.writer = writer
        self.sample = b""
        self._rest = self._escape = b""

    def feed(self, text: bytes, last: bool = False) -> None:
        text = self._escape + text
        self._escape = b"\\" if text.endswith(b"\\") and not last else b""
        text = text[: len(text) - len(self._escape)]
        text = self._rest + text.replace(b"\\/", b"/")  # JSON may write "/" so; base64 needs no other escape
        cut = len(text) if last else len(text) - len(text) % 4
        self._rest = text[cut:]
        try:
            data = base64.b64decode(text[:cut], validate=True)
        except binascii.Error as error:
            raise HubServerError(400, f"the content of a file is not base64: {error}") from None
        if len(self.sample) < _SAMPLE:
            self.sample = (self.sample + data)[:_SAMPLE]
        self.writer.write(data)


class CommitBody:
    """A parser that is fed the pieces of a commit's body.

    Args:
        blobs: where contents go.
        limits: sizes.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from enfold.hubserver.store.objects import Folder
        >>> body = CommitBody(BlobStore(Folder(Path(tempfile.mkdtemp()))), Limits())
        >>> body.feed(b'{"key": "header", "value": {"summary": "Hi"}}\\n')
        >>> body.finish()[0].summary
        'Hi'
    """

    def __init__(self, blobs: BlobStore, limits: Limits) -> None:
        self._blobs, self._limits = blobs, limits
        self._line = bytearray()
        self._stack = contextlib.ExitStack()
        self._sink: _Base64Sink | None = None
        self._content: tuple[StoredBlob, bytes] | None = None
        self._total = 0
        self.header = Header()
        self.operations: list[Operation] = []

    def feed(self, data: bytes | memoryview) -> None:
        """Take the next piece of the body."""
        data = bytes(data)
        self._total += len(data)
        if self._total > self._limits.commit_body:
            raise HubServerError(
                413, f"the commit is larger than the {self._limits.commit_body} bytes that this Hub accepts"
            )
        at = 0
        while at < len(data):
            if self._sink is not None:
                end = data.find(b'"', at)
                self._sink.feed(data[at:] if end < 0 else data[at:end], last=end >= 0)
                if end < 0:
                    return
                self._close_sink()
                at = end
            newline = data.find(b"\n", at)
            stop = len(data) if newline < 0 else newline
            self._line += data[at:stop]
            at = stop + 1
            if newline >= 0:
                self._end_line()
            elif len(self._line) > _LONG and self._content is None:
                self._open_sink()
                if self._sink is not None:
                    # What followed the opening quote is base64 (maybe with its end): feed it like the rest.
                    data, self._pending, at = self._pending, b"", 0

    _pending = b""

    def _open_sink(self) -> None:
        found = _CONTENT.search(self._line)
        if found is None:
            if len(self._line) > self._limits.json_body:
                raise HubServerError(413, "a line of the commit is too long")
            return
        self._pending = bytes(self._line[found.end() :])
        del self._line[found.end() :]
        writer = self._stack.enter_context(
            self._blobs.writer(limit=self._limits.commit_file, what="a file in the commit's body")
        )
        self._sink = _Base64Sink(writer)

    def _close_sink(self) -> None:
        assert self._sink is not None
        self._content = (self._sink.writer.finish(), self._sink.sample)
        self._stack.close()
        self._sink = None

    def _end_line(self) -> None:
        line, self._line = bytes(self._line), bytearray()
        if not line.strip():
            return
        try:
            record = json.loads(line)
            key, value = record["key"], record["value"]
            if not isinstance(value, dict):
                raise TypeError
        except (ValueError, KeyError, TypeError):
            raise HubServerError(400, 'each line of a commit is a JSON object with "key" and "value"') from None
        try:
            self._take(key, value)
        except (KeyError, TypeError, ValueError) as error:
            raise HubServerError(400, f"the line with the key {key!r} lacks or misuses a member: {error}") from None
        self._content = None
        if len(self.operations) > self._limits.commit_operations:
            raise HubServerError(413, f"a commit may hold {self._limits.commit_operations} operations at most")

    def _take(self, key: str, value: dict[str, Any]) -> None:
        if key == "header":
            parent = value.get("parentCommit")
            self.header = Header(
                str(value.get("summary") or ""),
                str(value.get("description") or ""),
                None if parent is None else str(parent),
            )
        elif key == "file":
            if self._content is not None:
                self.operations.append(AddFile(_text(value, "path"), *self._content))
            else:
                self.operations.append(self._short_file(value))
        elif key == "lfsFile":
            if value.get("algo", "sha256") != "sha256":
                raise HubServerError(400, f"LFS objects are named by sha256, not {value['algo']!r}")
            size = value.get("size")
            self.operations.append(
                AddLfs(_text(value, "path"), _text(value, "oid"), None if size is None else int(size))
            )
        elif key in {"deletedFile", "deletedFolder", "deletedEntry"}:
            self.operations.append(Delete(_text(value, "path"), key == "deletedFolder"))
        elif key == "copyFile":
            self.operations.append(Copy(_text(value, "path"), _text(value, "srcPath"), value.get("srcRevision")))
        else:
            raise HubServerError(400, f"unknown operation {key!r} in a commit")

    def _short_file(self, value: dict[str, Any]) -> AddFile:
        path, content = _text(value, "path"), _text(value, "content")
        if value.get("encoding", "utf-8") == "base64":
            try:
                data = base64.b64decode(content, validate=True)
            except binascii.Error as error:
                raise HubServerError(400, f"the content of a file is not base64: {error}") from None
        else:
            data = content.encode()
        if len(data) <= self._limits.inline_file:
            return inline_file(path, data)
        with self._blobs.writer(limit=self._limits.commit_file, what="a file in the commit's body") as writer:
            writer.write(data)
            return AddFile(path, writer.finish(), data[:_SAMPLE])

    def finish(self) -> tuple[Header, list[Operation]]:
        """Return the header and the operations of the whole body."""
        if self._sink is not None:
            raise HubServerError(400, "the commit's body ends inside a file")
        self._end_line()
        return self.header, self.operations

    def close(self) -> None:
        """Discard what was not finished."""
        self._stack.close()


def _text(value: dict[str, Any], name: str) -> str:
    found = value[name]
    if not isinstance(found, str):
        raise TypeError(f"{name} must be a string")
    return found
