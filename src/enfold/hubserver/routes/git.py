"""``git clone`` and ``git fetch``: git's smart HTTP protocol, versions 0 and 2, for reading.

Source: https://git-scm.com/docs/http-protocol, https://git-scm.com/docs/pack-protocol and
https://git-scm.com/docs/protocol-v2
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Iterator
from typing import Any

from sqlalchemy import Connection, Row
from starlette.responses import Response, StreamingResponse

from enfold.hubserver.errors import HubServerError
from enfold.hubserver.packs import Asked, History, Plan, pack, plan
from enfold.hubserver.repositories import MAIN
from enfold.hubserver.routes.call import Call, Routes

__all__ = ["git"]

git = Routes()

_FLUSH, _DELIMITER = b"0000", b"0001"
_OID = re.compile(r"[0-9a-f]{40}")
_BODY = 16_000_000  # bytes of a request once it is unpacked: some 300,000 commits that somebody has
_PIECE = 65_515  # bytes of a pack in one packet
_CAPABILITIES = (
    "multi_ack_detailed side-band-64k no-progress shallow deepen-since deepen-not deepen-relative filter "
    "allow-tip-sha1-in-want allow-reachable-sha1-in-want object-format=sha1 agent=enfold"
)


def _packet(text: str | bytes) -> bytes:
    data = text.encode() if isinstance(text, str) else text
    return b"%04x" % (len(data) + 4) + data


def _packets(data: bytes) -> Iterator[bytes | None]:
    """Yield the packets of a request without their line ends; None for a flush, an empty one for a delimiter."""
    position = 0
    while position < len(data):
        try:
            length = int(data[position : position + 4], 16)
        except ValueError:
            raise HubServerError(400, "the request is not made of git's packets") from None
        if length < 4:
            yield None if length == 0 else b""
            position += 4
        else:
            if position + length > len(data):
                raise HubServerError(400, "the request ends in the middle of a packet")
            yield data[position + 4 : position + length].removesuffix(b"\n")
            position += length


def _second(call: Call) -> bool:
    return "version=2" in call.request.headers.get("git-protocol", "").split(":")


def _readable(call: Call, connection: Connection) -> Row[Any]:
    """Return the repository; who is refused without a token is asked for one, as git does at a terminal."""
    try:
        row = call.readable(connection)
        if call.hub.repositories.mirrors and call.hub.repositories.is_mirror(connection, row.id):
            raise HubServerError(400, f"{row.name} is a copy of an upstream Hub's: clone it from there")
        return row
    except HubServerError as error:
        if error.status == 401:
            error.headers["WWW-Authenticate"] = 'Basic realm="Hub: your name, and a token as the password"'
        raise


def _answer(kind: str, body: Iterable[bytes]) -> Response:
    headers = {"Cache-Control": "no-cache, max-age=0, must-revalidate"}
    return StreamingResponse(body, media_type=f"application/x-git-upload-pack-{kind}", headers=headers)


@git.add("GET HEAD", "info/refs")
def advertise(call: Call) -> Response:
    """Say what there is to fetch (version 0), or what can be asked (version 2)."""
    service = call.query("service")
    if service != "git-upload-pack":
        raise HubServerError(403, "this Hub is read with git and written with its API: `enfold hub upload`")
    with call.hub.database.read() as connection:
        repo = _readable(call, connection)
        refs = _refs(call, connection, repo)
    if _second(call):
        words = ("version 2", "agent=enfold", "ls-refs=unborn", "fetch=shallow filter", "object-format=sha1")
        return _answer("advertisement", [*(_packet(word + "\n") for word in words), _FLUSH])
    lines = [f"{oid} {name}" for name, oid, _ in refs] or [f"{'0' * 40} capabilities^{{}}"]
    lines[0] += f"\0{_CAPABILITIES}" + (f" symref=HEAD:{MAIN}" if refs and refs[0][2] else "")
    packets = [_packet("# service=git-upload-pack\n"), _FLUSH, *(_packet(line + "\n") for line in lines), _FLUSH]
    return _answer("advertisement", packets)


def _refs(call: Call, connection: Connection, repo: Row[Any]) -> list[tuple[str, str, str | None]]:
    """Return ``(name, commit, what it stands for)`` of the references, HEAD first."""
    refs: list[tuple[str, str, str | None]] = [
        (row.name, row.commit, None) for row in call.hub.repositories.refs(connection, repo.id)
    ]
    return [("HEAD", oid, MAIN) for name, oid, _ in refs if name == MAIN] + refs


@git.add("POST", "git-receive-pack")
def receive(call: Call) -> Response:
    """Refuse a push, and say what to do instead."""
    raise HubServerError(403, "this Hub is read with git and written with its API: `enfold hub upload`")


@git.add("POST", "git-upload-pack")
def upload(call: Call) -> Response:
    """Answer what a client of git asks."""
    body = _unpacked(call)
    with call.hub.database.read() as connection:
        repo = _readable(call, connection)
        try:
            if _second(call):
                return _answer("result", _second_version(call, connection, repo, body))
            return _answer("result", _first_version(call, connection, repo, body))
        except HubServerError as error:
            if error.status != 400:
                raise
            return _answer("result", [_packet(f"ERR {error.message}\n")])


def _unpacked(call: Call) -> bytes:
    if call.request.headers.get("content-encoding") not in {"gzip", "x-gzip"}:
        return call.body
    unpack = zlib.decompressobj(wbits=31)
    try:
        data = unpack.decompress(call.body, _BODY)
    except zlib.error:
        raise HubServerError(400, "the body is not gzip") from None
    if unpack.unconsumed_tail:
        raise HubServerError(413, f"the body is larger than {_BODY} bytes")
    return data


# ---------------------------------------------------------------------- what is asked


def _take(asked: Asked, line: str) -> bool:
    """Note one line of a request; say whether it was about what is wanted."""
    word, _, value = line.partition(" ")
    if word in {"want", "have", "shallow"}:
        oid = value[:40]
        if not _OID.fullmatch(oid):
            raise HubServerError(400, f"{word} {oid!r}: expected the id of an object")
        if word == "shallow":
            asked.shallow.add(oid)
        else:
            (asked.wants if word == "want" else asked.haves).append(oid)
    elif word in {"deepen", "deepen-since"}:
        if not (value.isascii() and value.isdigit() and len(value) < 12):
            raise HubServerError(400, f"{word} {value!r}: expected a number")
        if word == "deepen":
            asked.depth = int(value)
        else:
            asked.since = int(value)
    elif word == "deepen-not":
        asked.without.append(value)
    elif word == "deepen-relative":
        asked.relative = True
    elif word == "filter":
        asked.filter = value
    else:
        return False
    return True


def _finish(call: Call, connection: Connection, repo: Row[Any], asked: Asked) -> None:
    """Put commits in place of the names of branches and tags."""
    asked.without = [str(call.hub.repositories.revision(connection, repo.id, name).oid) for name in asked.without]


def _first_version(call: Call, connection: Connection, repo: Row[Any], body: bytes) -> Iterable[bytes]:
    asked, history = Asked(), History(connection, repo.id)
    capabilities: set[str] = set()
    done, reading = False, "wants"
    answer = bytearray()
    for packet in _packets(body):
        if packet is None:
            if reading == "wants":
                reading = "haves"
                _finish(call, connection, repo, asked)
                if asked.deepens:
                    answer += _cuts(plan(connection, call.hub.commits, history, asked)) + _FLUSH
            else:
                answer += _packet(f"ACK {asked.haves[-1]} ready\n") if history.enough(asked) else b""
                answer += _packet("NAK\n")
            continue
        line = packet.decode("utf-8", "replace")
        if not asked.wants and line.startswith("want "):
            capabilities = set(line[45:].split())
            line = line[:45]
            asked.relative = "deepen-relative" in capabilities
        if line == "done":
            done = True
            break
        _take(asked, line)
        if line.startswith("have ") and asked.haves[-1] in history.commits:
            answer += _packet(f"ACK {asked.haves[-1]} common\n")
    if not asked.wants:
        raise HubServerError(400, "nothing is wanted")
    if not done:
        return [bytes(answer)]
    common = history.common(asked)
    answer += _packet(f"ACK {common[-1]}\n" if common else "NAK\n")
    made = plan(connection, call.hub.commits, history, asked)
    return _with_pack(call, repo, made, [bytes(answer)], "no-progress" not in capabilities)


def _second_version(call: Call, connection: Connection, repo: Row[Any], body: bytes) -> Iterable[bytes]:
    lines = [packet.decode("utf-8", "replace") for packet in _packets(body) if packet]
    command = next((line for line in lines if line.startswith("command=")), "")
    if command == "command=ls-refs":
        return _list_refs(_refs(call, connection, repo), lines)
    if command != "command=fetch":
        raise HubServerError(400, f"{command!r} is not known here: expected command=ls-refs or command=fetch")
    asked, history = Asked(), History(connection, repo.id)
    for line in lines:
        _take(asked, line)
    _finish(call, connection, repo, asked)
    if not asked.wants:
        raise HubServerError(400, "nothing is wanted")
    answer = bytearray()
    if "done" not in lines:
        common = history.common(asked)
        answer += _packet("acknowledgments\n")
        answer += b"".join(_packet(f"ACK {oid}\n") for oid in common) or _packet("NAK\n")
        if not history.enough(asked):
            return [bytes(answer), _FLUSH]
        answer += _packet("ready\n") + _DELIMITER
    made = plan(connection, call.hub.commits, history, asked)
    if asked.deepens:
        answer += _packet("shallow-info\n") + _cuts(made) + _DELIMITER
    answer += _packet("packfile\n")
    return _with_pack(call, repo, made, [bytes(answer)], "no-progress" not in lines)


def _list_refs(refs: list[tuple[str, str, str | None]], lines: list[str]) -> list[bytes]:
    prefixes = tuple(line.removeprefix("ref-prefix ") for line in lines if line.startswith("ref-prefix "))
    answer = []
    for name, oid, target in refs:
        if not prefixes or name.startswith(prefixes):
            more = f" symref-target:{target}" if target and "symrefs" in lines else ""
            answer.append(_packet(f"{oid} {name}{more}\n"))
    return [*answer, _FLUSH]


# ---------------------------------------------------------------------- what is sent


def _cuts(made: Plan) -> bytes:
    lines = [*(f"shallow {oid}" for oid in made.shallow), *(f"unshallow {oid}" for oid in made.unshallow)]
    return b"".join(_packet(line + "\n") for line in lines)


def _with_pack(call: Call, repo: Row[Any], made: Plan, before: list[bytes], progress: bool) -> Iterator[bytes]:
    """Yield what comes before, and the pack in packets of the first band; the second has a word for the terminal."""
    yield from before
    if progress:
        yield _packet(b"\2" + f"Sending {len(made)} objects\n".encode())
    for piece in pack(call.hub.database, call.hub.commits, repo.id, made):
        for start in range(0, len(piece), _PIECE):
            yield _packet(b"\1" + piece[start : start + _PIECE])
    yield _FLUSH
