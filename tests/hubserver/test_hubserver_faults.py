"""A full disk, a client that goes away, two writers at once: nothing acknowledged is lost and nothing half is kept."""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from hubserver_raw import commit, file
from sqlalchemy import text
from xet_raw import shard, xorb

from enfold.errors import EnfoldError
from enfold.hubserver import EmbeddedHub
from enfold.hubserver.maintenance import check

_MB = 1_000_000


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of sixteen megabytes."""
    place = tmp_path / "disk"
    place.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(place)], capture_output=True)
    if done.returncode:
        pytest.skip("only root may make a disk of its own for this")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def lfs(http: httpx.Client, name: str, data: bytes) -> httpx.Response:
    what = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data)}
    body = {"operation": "upload", "objects": [what]}
    told = http.post(f"/{name}.git/info/lfs/objects/batch", json=body).raise_for_status().json()
    return httpx.put(told["objects"][0]["actions"]["upload"]["href"], content=data)


def chunks(http: httpx.Client, name: str, contents: list[bytes]) -> httpx.Response:
    told = http.get(f"/api/models/{name}/xet-write-token/main").raise_for_status().json()
    pack, data = xorb(contents)
    with httpx.Client(base_url=told["casUrl"], headers={"Authorization": f"Bearer {told['accessToken']}"}) as cas:
        answer = cas.post(f"/v1/xorbs/default/{pack}", content=data)
        if answer.status_code != 200:
            return answer
        return cas.post("/v1/shards", content=shard(contents, [(pack, 0, len(contents))])[1])


def test_a_full_disk_is_said_and_what_was_kept_stays(disk: Path) -> None:
    kept = os.urandom(_MB)
    with EmbeddedHub(disk / "data") as hub:
        headers = {"Authorization": f"Bearer {hub.token}"}
        with httpx.Client(base_url=hub.endpoint, headers=headers, timeout=30) as http:
            http.post("/api/repos/create", json={"name": "full"}).raise_for_status()
            commit(http, "owner/full", file("kept.bin", kept)).raise_for_status()
            head = http.get("/api/models/owner/full").json()["sha"]
            filler = disk / "filler"
            with filler.open("wb") as out:
                room = os.statvfs(disk)
                out.write(bytes(room.f_bavail * room.f_frsize - 300_000))
            large = os.urandom(2 * _MB)
            tries = [
                lfs(http, "owner/full", large),
                commit(http, "owner/full", file("large.bin", large)),
                chunks(http, "owner/full", [os.urandom(100_000) for _ in range(10)]),
            ]
            for answer in tries:
                assert answer.status_code == 507 and "disk is full" in answer.json()["error"], answer.text
            assert not list((hub.hub.settings.folder / "blobs/tmp").iterdir())
            assert not list((hub.hub.settings.folder / "xorbs/tmp").iterdir())
            small = 0
            while (answer := commit(http, "owner/full", file(f"{small}.txt", os.urandom(20_000)))).status_code == 200:
                head, small = answer.json()["commitOid"], small + 1
                assert small < 100
            assert answer.status_code == 507, "the database's own disk is full too"
            assert http.get("/owner/full/resolve/main/kept.bin").content == kept
            assert http.get("/api/models/owner/full").json()["sha"] == head
            filler.unlink()
            assert commit(http, "owner/full", file("large.bin", large)).status_code == 200
            assert chunks(http, "owner/full", [os.urandom(100_000) for _ in range(3)]).status_code == 200
        assert check(hub.hub).problems == []


def test_a_hub_stops_on_a_full_disk_and_says_why_it_does_not_start_there(disk: Path) -> None:
    filler = disk / "filler"
    with EmbeddedHub(disk / "data") as hub:
        with httpx.Client(base_url=hub.endpoint, headers={"Authorization": f"Bearer {hub.token}"}) as http:
            http.post("/api/repos/create", json={"name": "full"}).raise_for_status()
            commit(http, "owner/full", file("kept.bin", b"kept")).raise_for_status()
            http.get("/owner/full/resolve/main/kept.bin").raise_for_status()  # which is to be counted
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as out:
            while out.write(bytes(4096)):
                pass
    with pytest.raises(EnfoldError, match=r"cannot start.*full"):
        EmbeddedHub(disk / "data")
    filler.unlink()
    with EmbeddedHub(disk / "data") as hub:
        assert httpx.get(f"{hub.endpoint}/owner/full/resolve/main/kept.bin").content == b"kept"
        assert check(hub.hub).problems == []


def test_a_database_that_may_not_grow_says_so(tmp_path: Path) -> None:
    with EmbeddedHub(tmp_path, durable=False) as hub:
        with httpx.Client(base_url=hub.endpoint, headers={"Authorization": f"Bearer {hub.token}"}) as http:
            http.post("/api/repos/create", json={"name": "full"}).raise_for_status()

            def bound(pages: int) -> None:
                # Each connection has its own bound, and the pool has several.
                for connection in [hub.hub.database.engine.connect() for _ in range(8)]:
                    connection.execute(text(f"PRAGMA max_page_count = {pages}"))
                    connection.close()

            with hub.hub.database.read() as connection:
                pages = connection.scalar(text("PRAGMA page_count"))
            bound(pages + 4)
            answers = [commit(http, "owner/full", file(f"{turn}", os.urandom(30_000))) for turn in range(8)]
            assert answers[-1].status_code == 507 and "disk is full" in answers[-1].json()["error"]
            assert http.get("/api/models/owner/full").status_code == 200
            bound(1 << 30)
            assert commit(http, "owner/full", file("a", b"a")).status_code == 200
        assert check(hub.hub).problems == []


@pytest.mark.parametrize("way", ["lfs", "part", "xorb", "shard", "commit"])
def test_a_client_that_goes_away_leaves_nothing(http: httpx.Client, embedded: EmbeddedHub, name: str, way: str) -> None:
    data = os.urandom(400_000)
    method, headers = "POST", {"Authorization": http.headers["authorization"]}
    if way == "lfs":
        what = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data)}
        body = {"operation": "upload", "objects": [what]}
        told = http.post(f"/{name}.git/info/lfs/objects/batch", json=body).json()
        method, address = "PUT", told["objects"][0]["actions"]["upload"]["href"]
    elif way == "part":
        path = f"/lfs-objects/1/{hashlib.sha256(data).hexdigest()}/1"
        query = embedded.hub.signer.query("PUT", path, size=len(data))
        method, address = "PUT", f"{embedded.endpoint}{path}?{query}"
    elif way == "commit":
        address = f"{embedded.endpoint}/api/models/{name}/commit/main"
        data = b'{"key": "file", "value": {"path": "a", "encoding": "base64", "content": "' + b"A" * len(data)
    else:
        told = http.get(f"/api/models/{name}/xet-write-token/main").json()
        headers = {"Authorization": f"Bearer {told['accessToken']}"}
        pack, data = xorb([os.urandom(100_000) for _ in range(4)])
        address = f"{told['casUrl']}/v1/{f'xorbs/default/{pack}' if way == 'xorb' else 'shards'}"
    parts = urlsplit(address)
    temporary = [embedded.hub.settings.folder / kind / "tmp" for kind in ("blobs", "xorbs")]
    before = http.get(f"/api/models/{name}").json()["sha"]

    with socket.create_connection((parts.hostname or "", parts.port or 80)) as line:
        head = f"{method} {parts.path}?{parts.query} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
        head += f"Content-Length: {2 * len(data)}\r\n"
        head += "".join(f"{key}: {value}\r\n" for key, value in headers.items())
        line.sendall(head.encode() + b"\r\n" + data)
        time.sleep(0.05)
    deadline = time.monotonic() + 5
    while any(list(place.iterdir()) for place in temporary) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(list(place.iterdir()) for place in temporary)
    assert http.get(f"/api/models/{name}").json()["sha"] == before


def test_of_two_who_change_the_same_head_one_is_told_to_look_again(
    http: httpx.Client, embedded: EmbeddedHub, name: str
) -> None:
    for turn in range(5):
        head = http.get(f"/api/models/{name}").json()["sha"]
        answers: list[httpx.Response] = []
        ready = threading.Barrier(4)

        def write(number: int, head: str = head, turn: int = turn, ready: threading.Barrier = ready) -> None:
            with httpx.Client(base_url=embedded.endpoint, headers=http.headers) as client:
                ready.wait()
                made = commit(client, name, file("who.txt", f"{turn} {number}".encode()), parent=head)
                answers.append(made)  # noqa: B023

        threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        statuses = sorted(answer.status_code for answer in answers)
        assert statuses == [200, 412, 412, 412]
        won = next(answer.json()["commitOid"] for answer in answers if answer.status_code == 200)
        assert http.get(f"/api/models/{name}").json()["sha"] == won
        assert "Please refresh and try again" in next(answer.text for answer in answers if answer.status_code == 412)
    assert len(http.get(f"/api/models/{name}/commits/main").json()) == 6


@pytest.mark.slow
def test_the_sqlite_that_tensorflow_brings_is_refused_by_name(tmp_path: Path) -> None:
    pytest.importorskip("tensorflow")
    program = "import sys, tensorflow; from enfold.hubserver import EmbeddedHub; EmbeddedHub(sys.argv[1])"
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 1 and "import sqlite3 before tensorflow" in done.stderr
    ours = program.replace("sys, tensorflow;", "sys; from enfold.transformers.frameworks import tensorflow;")
    done = subprocess.run([sys.executable, "-c", ours, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
