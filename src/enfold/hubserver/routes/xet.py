"""The Xet protocol: rights for a repository, xorbs and shards in, the making of files and parts of xorbs out.

Source: Xet protocol specification, "CAS API"; the addresses are those that the official client asks for.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sqlalchemy import select
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from enfold.hubserver import database as db
from enfold.hubserver.errors import HubServerError
from enfold.hubserver.files import FileContent, byte_range
from enfold.hubserver.routes.call import Call, Routes
from enfold.hubserver.store.blobs import StoredBlob
from enfold.hubserver.xet.dedup import answer
from enfold.hubserver.xet.hashes import from_hex, to_hex
from enfold.hubserver.xet.shards import SHARD_LIMIT, read_shard
from enfold.hubserver.xet.store import StoredFile

__all__ = ["cas", "repository"]

repository, cas = Routes(), Routes()

_CHECKED_AT_ONCE = 4  # files of a shard that are read back to compute their SHA-256
_SPACES = ("default", "default-merkledb")


# ---------------------------------------------------------------------- rights


@repository.add("GET", "xet-write-token")
def write_token(call: Call) -> Response:
    """Give the right to upload into a repository for an hour."""
    return _token(call, "write")


@repository.add("GET", "xet-read-token")
def read_token(call: Call) -> Response:
    """Give the right to read a repository's files for an hour."""
    return _token(call, "read")


def _token(call: Call, right: str) -> Response:
    with call.hub.database.read() as connection:
        row = call.contributed(connection) if right == "write" else call.readable(connection)
    # A fine-grained token opens no namespace as a whole, so its chunks are compared with what is public.
    own = call.viewer is not None and call.viewer.role != "fineGrained"
    account = call.viewer.account_id if call.viewer is not None and own else 0
    token, expires = call.hub.signer.token(f"{right}.{row.id}.{account}")
    address = f"{call.base}/cas"
    headers = {"X-Xet-Cas-Url": address, "X-Xet-Access-Token": token, "X-Xet-Token-Expiration": str(expires)}
    return JSONResponse({"casUrl": address, "accessToken": token, "exp": expires}, headers=headers)


def _repo_id(call: Call, *rights: str) -> int:
    """Return the repository that the request's token is for."""
    return _granted(call, *rights)[0]


def _granted(call: Call, *rights: str) -> tuple[int, int]:
    """Return the repository that the request's token is for, and whose token it is."""
    kind, _, token = call.request.headers.get("authorization", "").partition(" ")
    words = call.hub.signer.words(token.strip() if kind.lower() == "bearer" else "..").split(".")
    right = words[0]
    if right not in rights:
        raise HubServerError(403, f"this token is to {right or 'do nothing'}: ask for one to {rights[0]}")
    return int(words[1]), int(words[2]) if len(words) > 2 else 0


# ---------------------------------------------------------------------- in


@cas.add("POST", "v1/xorbs")
async def put_xorb(call: Call) -> Response:
    """Take a xorb, chunk by chunk; every one of them is hashed before the xorb is acknowledged."""
    repo_id, name = _repo_id(call, "write"), _last(call)
    if await run_in_threadpool(call.hub.xet.renew, name):
        async for _ in call.request.stream():
            pass
        return JSONResponse({"was_inserted": False})
    announced = call.request.headers.get("content-length", "")
    namespace = await run_in_threadpool(_require_room, call, repo_id, int(announced) if announced.isdigit() else 0)
    upload = call.hub.xet.upload(name, namespace)
    with upload:
        await call.pour(upload.feed)
        return JSONResponse({"was_inserted": await run_in_threadpool(upload.finish)})


def _require_room(call: Call, repo_id: int, more: int) -> str:
    """Return whose a repository is, when it may hold so many more bytes."""
    with call.hub.database.read() as connection:
        row = connection.execute(select(db.repo.c.namespace).where(db.repo.c.id == repo_id)).one_or_none()
        if row is None:
            raise HubServerError(404, "the repository was deleted meanwhile", code="RepoNotFound")
        call.hub.quota.require(connection, row.namespace, more)
        return str(row.namespace)


@cas.add("GET", "v1/chunks")
def known_chunk(call: Call) -> Response:
    """Say where a chunk is, if it is in a file that the caller may read."""
    _, account_id = _granted(call, "write")
    name = to_hex(from_hex(_last(call)))
    with call.hub.database.read() as connection:
        found = answer(connection, name, account_id)
    if found is None or not call.hub.xet.renew(found[0]):
        raise HubServerError(404, f"no chunk {name} is known")
    return Response(found[1], media_type="application/octet-stream")


@cas.add("POST", "v1/shards")
async def put_shard(call: Call) -> Response:
    """Take the making of files: the repository may refer to them from then on."""
    repo_id = _repo_id(call, "write")
    body = bytearray()
    async for piece in call.request.stream():
        body += piece
        if len(body) > SHARD_LIMIT:
            raise HubServerError(413, f"a shard has at most {SHARD_LIMIT} bytes")

    def register() -> None:
        listed = read_shard(bytes(body))
        with ThreadPoolExecutor(max(1, min(_CHECKED_AT_ONCE, len(listed)))) as pool:
            files = list(pool.map(call.hub.xet.check, listed))
        limit = call.hub.settings.limits.lfs_file
        for file in files:
            if file.size > limit:
                raise HubServerError(413, f"a file of {file.size} bytes is larger than the {limit} this Hub accepts")
        with call.hub.database.write() as connection:
            if connection.scalar(select(db.repo.c.id).where(db.repo.c.id == repo_id)) is None:
                raise HubServerError(404, "the repository was deleted meanwhile", code="RepoNotFound")
            for file in files:
                call.hub.xet.add(connection, file)
                call.hub.commits.grant(connection, repo_id, StoredBlob(file.sha256, file.size))

    await run_in_threadpool(register)
    return JSONResponse({"result": 1})


@cas.add("POST", "v1/telemetry")
def telemetry(call: Call) -> Response:
    """Take a client's figures, and keep nothing of them."""
    return Response(status_code=200)


# ---------------------------------------------------------------------- out


@cas.add("GET", "v1/reconstructions")
@cas.add("GET", "v2/reconstructions")
def reconstruction(call: Call) -> Response:
    """Say which parts of which xorbs make up a file, or a range of it, and where they can be had."""
    repo_id = _repo_id(call, "read")  # who may propose to a gated repository may not read it for that
    file = call.hub.xet.find(hash=_last(call))
    with call.hub.database.read() as connection:
        owned = file is not None and connection.scalar(
            select(db.repo_lfs.c.size).where(db.repo_lfs.c.repo_id == repo_id, db.repo_lfs.c.sha256 == file.sha256)
        )
    if file is None or owned is None or owned is False:
        raise HubServerError(404, "the repository has no such file")
    span = byte_range(call.request.headers.get("range"), file.size) or (0, file.size)
    if file.size == 0 or span[0] >= file.size:
        raise HubServerError(416, f"the range begins behind the end of the file ({file.size} bytes)")
    skip, parts = _parts(call, file, *span)
    first_version = not call.request.url.path.startswith("/cas/v2/")
    terms = [
        {"hash": xorb, "unpacked_length": size, "range": {"start": first, "end": last}}
        for xorb, first, last, size in parts
    ]
    places: dict[str, list[dict[str, Any]]] = {}
    for xorb, first, last in _merged(parts):
        begin, end = call.hub.xet.chunks(xorb).span(first, last)
        path = f"/cas/v1/parts/default/{xorb}/{begin}-{end}"
        url = f"{call.base}{path}?{call.hub.signer.query('GET', path, size=end - begin)}"
        chunks, where = {"start": first, "end": last}, {"start": begin, "end": end - 1}
        if first_version:
            place: dict[str, Any] = {"url": url, "range": chunks, "url_range": where}
        else:
            place = {"url": url, "ranges": [{"chunks": chunks, "bytes": where}]}
        places.setdefault(xorb, []).append(place)
    name = "fetch_info" if first_version else "xorbs"
    return JSONResponse({"offset_into_first_range": skip, "terms": terms, name: places})


Part = tuple[str, int, int, int]  # a xorb, its first chunk, one behind its last, and the bytes of content


def _parts(call: Call, file: StoredFile, start: int, stop: int) -> tuple[int, Sequence[Part]]:
    """Return the parts that hold a range of a file, and how many bytes of the first come before the range."""
    parts: list[Part] = []
    skip, at = 0, 0
    for term in file.terms:
        if at < stop and at + term.size > start:
            ends = call.hub.xet.chunks(term.xorb).ends(term.start, term.stop)
            kept = [index for index, end in enumerate(ends) if at + end > start and at + _begin(ends, index) < stop]
            if not parts:
                skip = start - at - _begin(ends, kept[0])
            size = ends[kept[-1]] - _begin(ends, kept[0])
            parts.append((term.xorb, term.start + kept[0], term.start + kept[-1] + 1, size))
        at += term.size
    return skip, parts


def _merged(parts: Sequence[Part]) -> list[tuple[str, int, int]]:
    """Return the ranges of chunks that parts need, each chunk once: a client reads every term from one of them."""
    merged: list[tuple[str, int, int]] = []
    for xorb, first, last in sorted((xorb, first, last) for xorb, first, last, _ in parts):
        if merged and merged[-1][0] == xorb and first <= merged[-1][2]:
            merged[-1] = (xorb, merged[-1][1], max(last, merged[-1][2]))
        else:
            merged.append((xorb, first, last))
    return merged


def _begin(ends: Sequence[int], index: int) -> int:
    return ends[index - 1] if index else 0


@cas.add("GET", "v1/parts")
def get_part(call: Call) -> Response:
    """Send a part of a xorb from a signed address, which is for no other part of it."""
    name, bounds = call.rest[-2:]
    size = call.hub.signer.check("GET", call.request.url.path, call.request.query_params)
    numbers = re.fullmatch(r"(\d+)-(\d+)", bounds)
    if numbers is None:
        raise HubServerError(400, f"Invalid part {bounds!r}")
    begin, end = map(int, numbers.groups())
    objects, name = call.hub.xet.objects, call.hub.xet.name(name)
    found = objects.find(name)
    total = found.size if found is not None else 0
    span = byte_range(call.request.headers.get("range"), total) or (begin, end)
    if span[0] < begin or span[1] > end or size != end - begin:
        raise HubServerError(403, f"this address is for the bytes {begin} to {end - 1} alone")
    headers = {"Accept-Ranges": "bytes", "Cache-Control": "private"}
    return FileContent(objects.source(name), total, span=span, headers=headers, media_type="application/octet-stream")


def _last(call: Call) -> str:
    """Return the hash at the end of an address, which comes behind the name of a hash space."""
    if len(call.rest) == 1 or (len(call.rest) == 2 and call.rest[0] in _SPACES):
        return call.rest[-1]
    raise HubServerError(404, f"expected an address that ends in a hash, behind one of {', '.join(_SPACES)}")
