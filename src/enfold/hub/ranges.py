"""Large files in several ranges at once: one connection seldom fills a line, and a slow range holds up no other.

A file is a row of parts. Each is written to its place in ``<name>.parts.incomplete``, and then noted in
``<name>.done.incomplete``, so that whoever comes later asks only for the others. The hash is computed in order, behind
the first part that is not there yet.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from enfold.hub import constants, http
from enfold.hub.parallel import in_order

__all__ = ["download_parts", "forget"]

PART = 32 << 20  # bytes of a part
_ATTEMPTS = 5  # for a part, each going on where the last one stopped
_PIECE = 1 << 20


class _NoRanges(Exception):
    """The server answers with the whole file."""


def connections() -> int:
    """Return how many ranges come at once: ``HF_XET_NUM_CONCURRENT_RANGE_GETS``, or four; one means none."""
    return constants.seconds("HF_XET_NUM_CONCURRENT_RANGE_GETS", 4)


def download_parts(
    url: str,
    partial: Path,
    size: int,
    *,
    update: Callable[[bytes], None],
    advance: Callable[[int], None],
    token: bool | str | None,
    headers: Mapping[str, str],
    checkpoint: Callable[[], None],
) -> bool:
    """Download ``url`` to ``partial``, several ranges at a time.

    Args:
        url: the file's address.
        partial: where it is made; a beginning that is there already is kept.
        size: bytes of the file.
        update: gets the content in order, for its hash.
        advance: gets the number of bytes that arrived, or were there; negative where the call fails after all.
        token: as everywhere.
        headers: further headers of the requests.
        checkpoint: called now and then; raises when the work is to end.

    Returns:
        False, with nothing done, where the file is too small to be worth it, ``HF_XET_NUM_CONCURRENT_RANGE_GETS`` is 1,
        or the server knows no ranges.
    """
    threads = connections()
    if threads < 2 or size < 2 * PART:
        return False
    data, notes = _beside(partial)
    done = _prepare(partial, data, notes, size)
    parts = range(-(-size // PART))
    noting, counted = threading.Lock(), 0

    def count(arrived: int) -> None:
        nonlocal counted
        with noting:
            counted += arrived
            advance(arrived)

    count(sum(_length(part, size) for part in done))

    def fetch(part: int, stopping: Callable[[], None]) -> None:
        if part in done:
            return

        def go_on() -> None:
            checkpoint()
            stopping()

        _fetch(url, data, part, size, token=token, headers=headers, advance=count, checkpoint=go_on)
        with noting, notes.open("a") as out:
            out.write(f"{part}\n")

    try:
        with data.open("rb", buffering=0) as read:  # ahead of what is there are zeros
            for part in in_order(fetch, parts, threads):
                left = _length(part, size)
                while left:
                    piece = read.read(min(_PIECE, left))
                    checkpoint()
                    update(piece)
                    left -= len(piece)
    except _NoRanges:
        count(-counted)
        forget(partial)
        return False
    except BaseException:
        count(-counted)
        raise
    os.replace(data, partial)
    notes.unlink(missing_ok=True)
    return True


def forget(partial: Path) -> None:
    """Delete the parts of a file that were kept for a later call."""
    for path in _beside(partial):
        path.unlink(missing_ok=True)


def _beside(partial: Path) -> tuple[Path, Path]:
    """Return where the parts of a file are, and where it is noted which are there."""
    name = partial.name.removesuffix(".incomplete")
    return partial.with_name(f"{name}.parts.incomplete"), partial.with_name(f"{name}.done.incomplete")


def _length(part: int, size: int) -> int:
    return min(PART, size - part * PART)


def _prepare(partial: Path, data: Path, notes: Path, size: int) -> set[int]:
    """Make the file that parts are written to, and return which of them it holds."""
    done: set[int] = set()
    if data.exists() and data.stat().st_size == size and notes.exists():
        done = {int(line) for line in notes.read_text().split() if line.isdigit() and int(line) * PART < size}
    elif partial.exists() and partial.stat().st_size <= size:
        done = set(range(partial.stat().st_size // PART))
        os.replace(partial, data)
    else:
        data.unlink(missing_ok=True)
    with data.open("ab") as file:
        file.truncate(size)
    notes.write_text("".join(f"{part}\n" for part in sorted(done)))
    partial.unlink(missing_ok=True)
    return done


def _fetch(
    url: str,
    data: Path,
    part: int,
    size: int,
    *,
    token: bool | str | None,
    headers: Mapping[str, str],
    advance: Callable[[int], None],
    checkpoint: Callable[[], None],
) -> None:
    at, stop = part * PART, part * PART + _length(part, size)
    with data.open("r+b", buffering=0) as file:
        file.seek(at)
        for attempt in range(_ATTEMPTS):
            try:
                asked = {**headers, "range": f"bytes={at}-{stop - 1}"}
                with http.stream(url, token=token, headers=asked) as response:
                    if response.status_code != 206:
                        raise _NoRanges
                    for piece in response.iter_bytes():  # as it arrives: nothing is lost if it breaks
                        checkpoint()
                        piece = piece[: stop - at]
                        file.write(piece)
                        at += len(piece)
                        advance(len(piece))
                if at == stop:
                    return
                raise ConnectionError(f"{url} ended {stop - at} bytes early")
            except Exception as error:
                if attempt + 1 == _ATTEMPTS or not (http.transient(error) or isinstance(error, ConnectionError)):
                    raise
                checkpoint()
                time.sleep(min(0.2 * 2**attempt, 8.0))
