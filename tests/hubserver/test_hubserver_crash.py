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
from xet_raw import shard, xorb

from enfold.hubserver import EmbeddedHub
from enfold.hubserver.commits import Commits
from enfold.hubserver.hub import Hub
from enfold.hubserver.maintenance import check
from enfold.hubserver.settings import Settings

# A process that has imported everything, and forks a server for every line it reads: a start takes milliseconds.
SERVE = """
import os, sys, time
import enfold.hubserver.embedded, uvicorn, uvicorn.protocols.http.h11_impl
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        hub = enfold.hubserver.embedded.EmbeddedHub(sys.argv[1])
        print(os.getpid(), hub.endpoint, hub.token, flush=True)
        time.sleep(600)
    os.waitpid(child, 0)
    print("ended", flush=True)
"""


class _Server:
    """A server that is started and killed again and again."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-c", SERVE, str(folder)]
        self._parent = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self._running = 0

    def _read(self) -> str:
        assert self._parent.stdout is not None
        return self._parent.stdout.readline()

    def start(self) -> httpx.Client:
        assert self._parent.stdin is not None
        self._parent.stdin.write("start\n")
        number, endpoint, token = self._read().split()
        self._running = int(number)
        return httpx.Client(base_url=endpoint, headers={"Authorization": f"Bearer {token}"}, timeout=10)

    def kill(self) -> None:
        os.kill(self._running, signal.SIGKILL)
        self._running = 0
        assert self._read() == "ended\n"

    def stop(self) -> None:
        if self._running:
            os.kill(self._running, signal.SIGKILL)
        self._parent.kill()
        self._parent.wait()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[_Server]:
    made = _Server(tmp_path / "data")
    yield made
    made.stop()


class _Writer(threading.Thread):
    """Commits to one repository without pause, by every way of uploading in turn, until the server is gone.

    Every commit changes both files, so that a mixture of two would show.
    """

    def __init__(self, client: httpx.Client, repo: str, number: int) -> None:
        super().__init__()
        self.client, self.repo, self.number = client, repo, number
        self.acknowledged: list[tuple[int, str]] = []

    @staticmethod
    def contents(number: int) -> dict[str, bytes]:
        return {
            "number.txt": str(number).encode(),
            "big.safetensors": hashlib.sha256(str(number).encode()).digest() * 4000,
        }

    def run(self) -> None:
        while True:
            small, big = self.contents(self.number).values()
            try:
                way = (self.inline, self.by_lfs, self.by_chunks)[self.number % 3]
                answer = commit(self.client, self.repo, file("number.txt", small), way(big))
                answer.raise_for_status()
            except httpx.TransportError:
                return
            self.acknowledged.append((self.number, answer.json()["commitOid"]))
            self.number += 1

    def inline(self, big: bytes) -> tuple[str, dict[str, Any]]:
        return file("big.safetensors", big)

    def by_lfs(self, big: bytes) -> tuple[str, dict[str, Any]]:
        what = {"oid": hashlib.sha256(big).hexdigest(), "size": len(big)}
        body = {"operation": "upload", "objects": [what]}
        told = self.client.post(f"/{self.repo}.git/info/lfs/objects/batch", json=body).raise_for_status().json()
        for action in [item["actions"]["upload"] for item in told["objects"] if "actions" in item]:
            httpx.put(action["href"], content=big, timeout=10).raise_for_status()
        return "lfsFile", {"path": "big.safetensors", "algo": "sha256", **what}

    def by_chunks(self, big: bytes) -> tuple[str, dict[str, Any]]:
        told = self.client.get(f"/api/models/{self.repo}/xet-write-token/main").raise_for_status().json()
        contents = [big[at : at + 40_000] for at in range(0, len(big), 40_000)]
        name, data = xorb(contents)
        with httpx.Client(headers={"Authorization": f"Bearer {told['accessToken']}"}, timeout=10) as cas:
            cas.post(f"{told['casUrl']}/v1/xorbs/default/{name}", content=data).raise_for_status()
            body = shard(contents, [(name, 0, len(contents))])[1]
            cas.post(f"{told['casUrl']}/v1/shards", content=body).raise_for_status()
        add = {"path": "big.safetensors", "algo": "sha256", "oid": hashlib.sha256(big).hexdigest(), "size": len(big)}
        return "lfsFile", add


@pytest.mark.parametrize("rounds", [50, pytest.param(1000, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])])
def test_a_killed_server_loses_nothing_it_acknowledged(server: _Server, tmp_path: Path, rounds: int) -> None:
    chance = random.Random(7)
    names = ("owner/one", "owner/two")
    numbers = dict.fromkeys(names, 0)
    client = server.start()
    for name in names:
        client.post("/api/repos/create", json={"name": name}).raise_for_status()
    for turn in range(rounds):
        writers = [_Writer(client, name, numbers[name]) for name in names]
        for writer in writers:
            writer.start()
        while turn % 2 and not any(writer.acknowledged for writer in writers):
            time.sleep(0.002)
        time.sleep(chance.uniform(0, 0.1))
        server.kill()
        for writer in writers:
            writer.join()
        if turn % 25 == 24:
            hub = Hub(Settings(tmp_path / "data"))
            assert check(hub).problems == []
            hub.close()
        client = server.start()
        for writer in writers:
            numbers[writer.repo] = _found(client, writer) + 1
    assert sum(numbers.values()) >= rounds / 2, "there was something to lose"


def _found(client: httpx.Client, writer: _Writer) -> int:
    """Return the number of the head after checking that it is whole and that nothing acknowledged is missing."""
    head = client.get(f"/api/models/{writer.repo}").json()["sha"]
    text = client.get(f"/{writer.repo}/resolve/main/number.txt")
    if text.status_code == 404:
        assert not writer.acknowledged and writer.number == 0
        return -1
    found = int(text.text)
    for path, data in writer.contents(found).items():
        assert client.get(f"/{writer.repo}/resolve/main/{path}").content == data
    assert found in {writer.number - 1, writer.number}
    if writer.acknowledged:
        number, oid = writer.acknowledged[-1]
        assert found == number + 1 or (found == number and head == oid)
        history = {item["id"] for item in client.get(f"/api/models/{writer.repo}/commits/main").json()}
        assert {oid for _, oid in writer.acknowledged[-20:]} <= history
    return found


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
