"""Whatever stops a commit, the old head or the whole new one is what the next start finds."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hubserver_raw import commit, file

from enfold.hubserver import EmbeddedHub
from enfold.hubserver.commits import Commits

SERVE = """
import sys, time
from enfold.hubserver import EmbeddedHub
hub = EmbeddedHub(sys.argv[1])
print(hub.endpoint, hub.token, flush=True)
time.sleep(600)
"""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Any]:
    running: list[subprocess.Popen[str]] = []

    def run() -> tuple[subprocess.Popen[str], httpx.Client]:
        process = subprocess.Popen(
            [sys.executable, "-c", SERVE, str(tmp_path / "data")], stdout=subprocess.PIPE, text=True
        )
        running.append(process)
        assert process.stdout is not None
        endpoint, token = process.stdout.readline().split()
        return process, httpx.Client(base_url=endpoint, headers={"Authorization": f"Bearer {token}"}, timeout=10)

    yield run
    for process in running:
        process.kill()
        process.wait()


def _contents(number: int) -> dict[str, bytes]:
    """Every commit changes both files, so that a mixture would show."""
    big = hashlib.sha256(str(number).encode()).digest() * 4000
    return {"number.txt": str(number).encode(), "big.safetensors": big}


def _write(client: httpx.Client, acknowledged: list[tuple[int, str]], begin: int, stop: threading.Event) -> None:
    number = begin
    while not stop.is_set():
        try:
            answer = commit(client, "owner/crash", *[file(path, data) for path, data in _contents(number).items()])
            answer.raise_for_status()
        except httpx.TransportError:
            return
        acknowledged.append((number, answer.json()["commitOid"]))
        number += 1


def test_a_killed_server_loses_nothing_it_acknowledged(start: Any, tmp_path: Path) -> None:
    chance = random.Random(7)
    acknowledged: list[tuple[int, str]] = []
    number = 0
    process, client = start()
    client.post("/api/repos/create", json={"name": "owner/crash"}).raise_for_status()
    for _ in range(4):
        stop = threading.Event()
        writer = threading.Thread(target=_write, args=(client, acknowledged, number, stop))
        before = len(acknowledged)
        writer.start()
        while len(acknowledged) < before + 2:
            time.sleep(0.005)
        time.sleep(chance.uniform(0, 0.12))
        os.kill(process.pid, signal.SIGKILL)
        writer.join()
        process.wait()
        process, client = start()
        head = client.get("/api/models/owner/crash").json()["sha"]
        found = int(client.get("/owner/crash/resolve/main/number.txt").text)
        last = acknowledged[-1][0]
        assert found in {last, last + 1}
        assert head == acknowledged[-1][1] or found == last + 1
        for path, data in _contents(found).items():
            assert client.get(f"/owner/crash/resolve/main/{path}").content == data
        history = {item["id"] for item in client.get("/api/models/owner/crash/commits/main").json()}
        assert {oid for _, oid in acknowledged[-20:]} <= history
        number = found + 1
    assert len(acknowledged) >= 8


@pytest.mark.parametrize("place", ["_describe", "_check_card", "_changes"])
def test_an_error_inside_a_commit_leaves_the_old_head(
    http: httpx.Client, embedded: EmbeddedHub, name: str, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    assert commit(http, name, file("a.txt", b"old")).status_code == 200
    before = http.get(f"/api/models/{name}?blobs=true").json()

    def fails(*arguments: Any, **options: Any) -> Any:
        raise OSError("the disk is gone")

    with monkeypatch.context() as patch:
        patch.setattr(Commits, place, fails)
        answer = commit(http, name, file("a.txt", b"new"), file("b.txt", b"b"))
        assert answer.status_code == 500 and "the disk is gone" not in answer.text
        assert answer.headers["x-request-id"] in answer.text
    assert http.get(f"/api/models/{name}?blobs=true").json() == before
    assert commit(http, name, file("a.txt", b"new")).status_code == 200


def test_an_upload_that_stops_in_the_middle_leaves_nothing(
    http: httpx.Client, embedded: EmbeddedHub, name: str
) -> None:
    def half() -> Iterator[bytes]:
        yield b'{"key": "header", "value": {"summary": "s"}}\n'
        yield b'{"key": "file", "value": {"path": "a", "encoding": "base64", "content": "' + b"A" * 1_000_000
        raise ConnectionError("the client is gone")

    before = http.get(f"/api/models/{name}").json()["sha"]
    with pytest.raises(ConnectionError):
        http.post(f"/api/models/{name}/commit/main", content=half())
    deadline = time.monotonic() + 5
    temporary = embedded.hub.settings.folder / "blobs" / "tmp"
    while list(temporary.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not list(temporary.iterdir())
    assert http.get(f"/api/models/{name}").json()["sha"] == before


def test_writers_at_once_make_one_history(http: httpx.Client, embedded: EmbeddedHub, name: str) -> None:
    heads: list[str] = []

    def write(number: int) -> None:
        with httpx.Client(base_url=embedded.endpoint, headers=http.headers) as client:
            for turn in range(5):
                answer = commit(
                    client, name, file(f"{number}/{turn}.txt", b"x"), file(f"last-{number}", str(turn).encode())
                )
                heads.append(answer.json()["commitOid"])

    threads = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    history = http.get(f"/api/models/{name}/commits/main").json()
    assert len(history) == 31 and set(heads) <= {item["id"] for item in history}
    paths = [item["path"] for item in http.get(f"/api/models/{name}/tree/main?recursive=true").json()]
    assert sum(path.endswith(".txt") for path in paths) == 30


def test_a_restart_finds_everything_again(tmp_path: Path) -> None:
    with EmbeddedHub(tmp_path / "again") as hub:
        first = httpx.Client(base_url=hub.endpoint, headers={"Authorization": f"Bearer {hub.token}"})
        first.post("/api/repos/create", json={"name": "owner/kept"})
        commit(first, "owner/kept", file("a", b"kept"))
        lasting, session = hub.create_lasting_token(), hub.token
        assert hub.has_lasting_token()
        hub.stop()
        hub.stop()
    with EmbeddedHub(tmp_path / "again") as hub:
        assert httpx.get(f"{hub.endpoint}/owner/kept/resolve/main/a").text == "kept"
        who = f"{hub.endpoint}/api/whoami-v2"
        assert httpx.get(who, headers={"Authorization": f"Bearer {lasting}"}).json()["name"] == "owner"
        assert httpx.get(who, headers={"Authorization": f"Bearer {session}"}).status_code == 401
