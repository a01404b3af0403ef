"""Many small files in one answer: what a Hub of ours offers beside a request for each, which costs more than they do.

``POST /api/models/<id>/small-files/<commit>`` with ``{"paths": […]}`` is answered by the contents in that order, each
behind its length in four bytes (big-endian); a length of all ones stands for a file that has to be asked for by itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from enfold.hub import constants, http
from enfold.hub.errors import HfHubHTTPError
from enfold.hub.types import RepoFile

__all__ = ["batches", "fetch_batch"]

LARGEST = 32_000  # bytes of a small file
FEWEST = 16  # fewer of them are asked for one by one
_FILES, _BYTES = 500, 4_000_000  # of one answer
_ABSENT = 0xFFFFFFFF


def batches(files: Iterable[RepoFile]) -> list[list[RepoFile]]:
    """Return the small ones among some files, as many to a list as one answer may hold; none where they are few."""
    small = [file for file in files if file.lfs is None and file.size <= LARGEST]
    if len(small) < FEWEST:
        return []
    made: list[list[RepoFile]] = [[]]
    room = _BYTES
    for file in small:
        if len(made[-1]) == _FILES or file.size > room:
            made.append([])
            room = _BYTES
        made[-1].append(file)
        room -= file.size
    return made


def fetch_batch(
    repo_id: str,
    kind: str,
    commit: str,
    files: Sequence[RepoFile],
    *,
    token: bool | str | None,
    headers: Mapping[str, str],
    endpoint: str | None,
    checkpoint: Callable[[], None],
) -> Iterator[tuple[RepoFile, bytes]]:
    """Yield the files of one answer with their contents, each checked against its id; others are not yielded.

    A Hub that has no such address, or is busy, yields nothing.
    """
    base = (endpoint or constants.endpoint()).rstrip("/")
    url = f"{base}/api/{kind}s/{repo_id}/small-files/{commit}"
    said = {"paths": [file.path for file in files]}
    try:
        body = http.request("POST", url, token=token, headers=headers, json=said, attempts=1).content
    except Exception as error:
        if not (isinstance(error, HfHubHTTPError) or http.transient(error)):
            raise
        return  # what is lacking is asked for file by file, which says what is wrong
    place = 0
    for file in files:
        checkpoint()
        length = int.from_bytes(body[place : place + 4], "big")
        place += 4
        if length == _ABSENT:
            continue
        data = body[place : place + length]
        place += length
        if hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest() == file.blob_id:
            yield file, data
