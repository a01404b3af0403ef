"""Streams of sound and film: what a generator gave piece by piece, as a playlist that grows (HLS, RFC 8216).

A function that yields values for ``Audio(streaming=True)`` or ``Video(streaming=True)`` gives pieces. Clients are told
one address, of a playlist with all pieces so far; the same pieces are to be had as one file. Pieces stay in the format
that they were given in, for nothing here encodes sound or film.
"""

from __future__ import annotations

import math
import os
import secrets
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, Response, StreamingResponse

from enfold.gradio.components.base import Component
from enfold.gradio.files import (
    FileData,
    FileRules,
    InvalidPathError,
    current_rules,
    is_url,
    keep_file,
    received,
    with_address,
)
from enfold.gradio.lengths import joined, length_of

if TYPE_CHECKING:
    from starlette.requests import Request as HTTPRequest

    from enfold.gradio.functions import BlockFunction
    from enfold.gradio.jobs import Job
    from enfold.gradio.sessions import Sessions

__all__ = ["MediaStream", "Playlists", "has_streams", "streamed"]

PIECES = 10_000  # of one stream; when there are more, the oldest leave
UNKNOWN = 1.0  # seconds a piece is said to last whose headers do not tell
KINDS = {
    ".wav": "audio/wav",
    ".mp3": "audio/mpeg",
    ".aac": "audio/aac",
    ".m4a": "audio/mp4",
    ".flac": "audio/flac",
    ".ogg": "audio/ogg",
    ".opus": "audio/ogg",
    ".ts": "video/mp2t",
    ".mp4": "video/mp4",
    ".webm": "video/webm",
    ".mov": "video/quicktime",
}
FILMS = frozenset({".ts", ".mp4", ".webm", ".mov"})  # whose pieces have clocks of their own
SAFE = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
}


class Piece(NamedTuple):
    """A piece of a stream: the how manieth it is, its name in the playlist, the kept file and how long it lasts."""

    number: int
    name: str
    path: str
    seconds: float


class MediaStream:
    """What one output of one call has given so far.

    Args:
        place: where its playlist is, below ``/gradio_api/stream/``.
        kind: "audio" or "video".
        limit: pieces kept at most.

    Example:
        >>> stream = MediaStream("session/run/1/playlist.m3u8", "audio")
        >>> stream.end()
        >>> print(stream.playlist().splitlines()[-1])
        #EXT-X-ENDLIST
    """

    def __init__(self, place: str, kind: str, limit: int = PIECES) -> None:
        self.place, self.kind, self.limit = place, kind, limit
        self.pieces: dict[str, Piece] = {}
        self.ended = False
        self.target = 1
        self.whole: str | None = None  # all pieces as one kept file, once somebody asked for it
        self._count = 0
        self._name = {"audio": "audio-stream.mp3", "video": "video-stream.mp4"}[kind]

    def take(self, value: FileData | None) -> FileData:
        """Add a file, unless it is None, and return the stream as it travels. From any thread, one at a time.

        Raises:
            InvalidPathError: visitors may not read the file.
            Error: its address is not public, or not there.
        """
        name = self._name
        if value is not None:
            path = _local(value)
            suffix = Path(path).suffix.lower()
            if self.kind == "video":
                name = f"video-stream{suffix}"
            elif not is_url(value["path"]):
                name = value["orig_name"] or f"audio-stream{suffix}"
            self._add(path, suffix if suffix in KINDS else ".bin")
        session, rest = self.place.split("/", 1) if "/" in self.place else (self.place, "")
        url = f"/gradio_api/stream/{quote(session, safe='')}/{rest}"
        return FileData(path=self.place, url=url, orig_name=name, is_stream=True)

    def _add(self, path: str, suffix: str) -> None:
        if self.ended:
            return
        seconds = length_of(path) or UNKNOWN
        self.target = max(self.target, math.ceil(seconds))
        piece = Piece(self._count, secrets.token_hex(16) + suffix, path, seconds)
        self._count += 1
        self.pieces[piece.name] = piece
        while len(self.pieces) > self.limit:
            del self.pieces[next(iter(self.pieces))]

    def end(self) -> None:
        """Nothing comes any more."""
        self.ended = True

    def playlist(self) -> str:
        """The playlist of the pieces there are, from the first one on."""
        ended, pieces = self.ended, list(self.pieces.values())  # in this order: what is called ended is whole
        first = pieces[0].number if pieces else 0
        lines = ["#EXTM3U", "#EXT-X-VERSION:4", f"#EXT-X-TARGETDURATION:{self.target}"]
        lines.append(f"#EXT-X-MEDIA-SEQUENCE:{first}")
        if first == 0:  # a player hears it from the beginning, however far the function has run ahead
            lines += ["#EXT-X-PLAYLIST-TYPE:EVENT", "#EXT-X-START:TIME-OFFSET=0"]
        elif self.kind == "video":
            lines.append(f"#EXT-X-DISCONTINUITY-SEQUENCE:{first - 1}")
        for piece in pieces:
            if self.kind == "video" and piece.number:
                lines.append("#EXT-X-DISCONTINUITY")
            lines += [f"#EXTINF:{piece.seconds:.6f},", piece.name]
        return "\n".join([*lines, *(["#EXT-X-ENDLIST"] if ended else []), ""])


def _local(value: FileData) -> str:
    """The kept file of a value, taken from its address where it has only one."""
    rules = current_rules.get() or FileRules()
    if is_url(value["path"]):
        return str(received(dict(value)))
    found = rules.readable(str(value["path"]))
    if found is None:
        raise InvalidPathError(f"{value['path']} may not be shown")
    return str(found)


def has_streams(fn: BlockFunction) -> bool:
    """Whether values of a generator are pieces for one of its outputs."""
    return fn.is_generator and any(_streams(block) for block in fn.outputs)


def _streams(block: Any) -> bool:
    return isinstance(block, Component) and block.takes_pieces and bool(block.__dict__.get("streaming"))


def streamed(job: Job, data: list[Any]) -> list[Any]:
    """Put a generator's values into the streams of those outputs that are streams, which travel in their place."""
    if not job.streams:
        return data
    shown = list(data)
    for at, (block, value) in enumerate(zip(job.fn.outputs, data, strict=True)):
        if not _streams(block) or not (value is None or isinstance(value, FileData)):
            continue
        stream = job.media.get(block._id)
        if stream is None:
            if not job.media:
                job.run = secrets.token_hex(16)
                job.session.keep_run(job.run, job.media)
            place = f"{job.session.hash}/{job.run}/{block._id}/playlist.m3u8"
            stream = job.media[block._id] = MediaStream(place, block.type_name)
        shown[at] = with_address(stream.take(value), job.root)
        if job.finished:
            stream.end()
    return shown


class Playlists:
    """The routes of streams.

    Args:
        sessions: the visitors, with the streams of each.
        rules: which files may be read.
    """

    def __init__(self, sessions: Sessions, rules: FileRules) -> None:
        self.sessions, self.rules = sessions, rules

    def _stream(self, request: HTTPRequest) -> MediaStream:
        asked = request.path_params
        session = self.sessions.get(asked["session"])
        runs = (session.runs if session is not None else None) or {}
        stream = runs.get(asked["run"], {}).get(asked["component"])
        if stream is None:
            raise HTTPException(404, "there is no such stream")
        return stream

    async def playlist(self, request: HTTPRequest) -> Response:
        """The pieces so far."""
        headers = {"Cache-Control": "no-store", **SAFE}
        return Response(self._stream(request).playlist(), media_type="application/vnd.apple.mpegurl", headers=headers)

    async def piece(self, request: HTTPRequest) -> Response:
        """One piece, as it was given."""
        piece = self._stream(request).pieces.get(request.path_params["name"])
        found = self.rules.readable(piece.path) if piece is not None else None
        if piece is None or found is None:
            raise HTTPException(404, "there is no such piece")
        return _file(found, Path(piece.name), "private, max-age=86400")

    async def whole(self, request: HTTPRequest) -> Response:
        """All pieces as one file; while more come, those so far."""
        stream = self._stream(request)
        ended, pieces = stream.ended, list(stream.pieces.values())
        paths = [path for piece in pieces if (path := self.rules.readable(piece.path)) is not None]
        if not paths or len(paths) != len(pieces):
            raise HTTPException(404, "this stream has no pieces" if not pieces else "pieces of this stream are gone")
        name = Path(f"{stream.kind}-stream{paths[0].suffix}")
        try:
            if not ended:
                size, body = await run_in_threadpool(joined, paths)
                headers = {"Content-Length": str(size), "Cache-Control": "no-store", **SAFE}
                return StreamingResponse(body, media_type=_kind(name), headers=headers)
            kept = self.rules.readable(stream.whole) if stream.whole else None
            if kept is None:
                stream.whole = await run_in_threadpool(self._with_rules, _kept, paths, name.name)
                kept = Path(stream.whole)
        except ValueError as error:
            raise HTTPException(409, str(error)) from None
        return _file(kept, name, "no-store")

    def _with_rules(self, call: Callable[..., str], *arguments: Any) -> str:
        token = current_rules.set(self.rules)
        try:
            return call(*arguments)
        finally:
            current_rules.reset(token)


def _kept(paths: list[Path], name: str) -> str:
    """Keep all pieces as one file; returns its path."""
    _, body = joined(paths)
    handle, temporary = tempfile.mkstemp()
    try:
        with os.fdopen(handle, "wb") as file:
            file.writelines(body)
        return keep_file(temporary, name)
    finally:
        os.unlink(temporary)


def _kind(name: Path) -> str:
    return KINDS.get(name.suffix.lower(), "application/octet-stream")


def _file(path: Path, name: Path, cache: str) -> Response:
    headers = {"Cache-Control": cache, **SAFE}
    shown = "inline" if name.suffix.lower() in KINDS else "attachment"
    return FileResponse(
        path, media_type=_kind(name), filename=name.name, content_disposition_type=shown, headers=headers
    )
