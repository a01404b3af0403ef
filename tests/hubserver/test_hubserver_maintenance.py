"""What is damaged is found, and what nothing refers to goes, and nothing else does."""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hubserver_raw import commit, file
from xet_raw import shard, xorb

from enfold.cli import main
from enfold.hubserver import EmbeddedHub
from enfold.hubserver.database import blob, tree
from enfold.hubserver.maintenance import Collected, check, collect

DAY = 86_400.0
LATER = time.time() + 30 * DAY


@pytest.fixture
def running(tmp_path: Path) -> Iterator[EmbeddedHub]:
    with EmbeddedHub(tmp_path / "data", durable=False) as hub:
        yield hub


@pytest.fixture
def client(running: EmbeddedHub) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=running.endpoint, headers={"Authorization": f"Bearer {running.token}"}) as made:
        made.post("/api/repos/create", json={"name": "kept", "organization": "owner"}).raise_for_status()
        yield made


def put(client: httpx.Client, name: str, path: str, contents: list[bytes]) -> bytes:
    """Upload a file as chunks and commit it; return its content."""
    told = client.get(f"/api/models/{name}/xet-write-token/main").json()
    right = {"Authorization": f"Bearer {told['accessToken']}"}
    xorb_name, data = xorb(contents)
    client.post(f"{told['casUrl']}/v1/xorbs/default/{xorb_name}", content=data, headers=right).raise_for_status()
    _, body = shard(contents, [(xorb_name, 0, len(contents))])
    client.post(f"{told['casUrl']}/v1/shards", content=body, headers=right).raise_for_status()
    whole = b"".join(contents)
    import hashlib

    add = {"path": path, "algo": "sha256", "oid": hashlib.sha256(whole).hexdigest(), "size": len(whole)}
    commit(client, name, ("lfsFile", add)).raise_for_status()
    return whole


def test_a_sound_hub_has_no_problems(running: EmbeddedHub, client: httpx.Client) -> None:
    commit(client, "owner/kept", file("a/b/c.txt", b"c"), file("large.safetensors", os.urandom(100_000)))
    put(client, "owner/kept", "w.bin", [os.urandom(50_000), os.urandom(9_000)])
    found = check(running.hub)
    assert found.problems == [] and (found.commits, found.xorbs) == (3, 1)
    assert found.contents == 4 and found.trees >= 5


def test_everything_that_is_damaged_or_missing_is_named(running: EmbeddedHub, client: httpx.Client) -> None:
    commit(client, "owner/kept", file("x/small.txt", b"small"), file("large.safetensors", os.urandom(100_000)))
    put(client, "owner/kept", "w.bin", [os.urandom(50_000)])
    hub = running.hub
    (large,) = hub.blobs.objects.list()
    (packed,) = hub.xet.objects.list()
    for objects, found in ((hub.blobs.objects, large), (hub.xet.objects, packed)):
        path = objects.source(found.name)
        assert isinstance(path, Path)
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    problems = check(hub).problems
    assert len(problems) == 3 and all("damaged" in problem for problem in problems), problems
    assert check(hub, read=False).problems == []
    hub.blobs.objects.delete(large.name)
    hub.xet.objects.delete(packed.name)
    problems = check(hub, read=False).problems
    assert len(problems) == 2 and all("is missing" in problem for problem in problems), problems
    with hub.database.write() as connection:
        connection.execute(blob.delete().where(blob.c.size == 5))
    assert any(problem.startswith("the file ") and "missing" in problem for problem in check(hub).problems)
    with hub.database.write() as connection:
        connection.execute(tree.delete())
    assert any("folder" in problem and "missing" in problem for problem in check(hub).problems)


def test_what_a_deleted_repository_had_goes_and_what_is_shared_stays(
    running: EmbeddedHub, client: httpx.Client
) -> None:
    client.post("/api/repos/create", json={"name": "gone", "organization": "owner"}).raise_for_status()
    shared, own = os.urandom(100_000), os.urandom(100_000)
    commit(client, "owner/kept", file("s.safetensors", shared), file("k.txt", b"kept"))
    commit(client, "owner/gone", file("s.safetensors", shared), file("o.safetensors", own), file("g.txt", b"gone"))
    whole = put(client, "owner/kept", "w.bin", [os.urandom(50_000)])
    put(client, "owner/gone", "w.bin", [os.urandom(60_000)])
    assert collect(running.hub, now=LATER) == Collected(), "everything is in use"
    client.request("DELETE", "/api/repos/delete", json={"name": "gone", "organization": "owner"}).raise_for_status()
    would = collect(running.hub, now=LATER, dry_run=True)
    gone = collect(running.hub, now=LATER)
    assert gone == would and (gone.contents, gone.xorbs) == (1, 1) and gone.bytes > 160_000
    assert collect(running.hub, now=LATER) == Collected()
    assert check(running.hub).problems == []
    for path, content in {"s.safetensors": shared, "k.txt": b"kept", "w.bin": whole}.items():
        assert client.get(f"/owner/kept/resolve/main/{path}").content == content


def test_what_is_young_stays(running: EmbeddedHub, client: httpx.Client) -> None:
    """A branch that was deleted by mistake, and an upload that is not committed yet."""
    client.post("/api/models/owner/kept/branch/side", json={}).raise_for_status()
    made = client.post(
        "/api/models/owner/kept/commit/side",
        content=b"".join(_lines(file("w.safetensors", os.urandom(100_000)))),
        headers={"content-type": "application/x-ndjson"},
    ).json()["commitOid"]
    client.delete("/api/models/owner/kept/branch/side").raise_for_status()
    stored = running.hub.blobs.put(os.urandom(200_000))
    assert collect(running.hub) == Collected()
    assert client.get(f"/owner/kept/resolve/{made}/w.safetensors").status_code == 200
    soon = collect(running.hub, now=time.time() + 2 * DAY)
    assert (soon.commits, soon.contents) == (0, 1) and not running.hub.blobs.has(stored.sha256)
    assert collect(running.hub, now=LATER).commits == 1
    assert client.get(f"/owner/kept/resolve/{made}/w.safetensors").status_code == 404
    assert check(running.hub).problems == []


def _lines(*records: Any) -> list[bytes]:
    import json

    both = (("header", {"summary": "x"}), *records)
    return [json.dumps({"key": key, "value": value}).encode() + b"\n" for key, value in both]


def test_a_pull_request_that_was_merged_can_still_be_shown(running: EmbeddedHub, client: httpx.Client) -> None:
    made = client.post(
        "/api/models/owner/kept/commit/main",
        params={"create_pr": "1"},
        content=b"".join(_lines(file("a.txt", b"a"))),
        headers={"content-type": "application/x-ndjson"},
    )
    assert made.status_code == 200
    client.post("/api/models/owner/kept/discussions/1/merge", json={}).raise_for_status()
    collect(running.hub, now=LATER)
    told = client.get("/api/models/owner/kept/discussions/1", params={"diff": "1"}).json()
    assert "+a" in told["diff"] and check(running.hub).problems == []


def test_an_old_content_that_is_uploaded_again_is_young_again(running: EmbeddedHub, client: httpx.Client) -> None:
    content = os.urandom(50_000)
    stored = running.hub.blobs.put(content)
    path = running.hub.blobs.source(stored.sha256)
    assert isinstance(path, Path)
    os.utime(path, (1, 1))
    assert running.hub.blobs.put(content) == stored and path.stat().st_mtime > 1
    os.utime(path, (1, 1))
    assert collect(running.hub).contents == 1 and not path.exists()


def test_any_history_is_sound_after_a_collection(running: EmbeddedHub, client: httpx.Client) -> None:
    chance = random.Random(3)
    for turn in range(60):
        path = f"{chance.choice('abc')}/{chance.randrange(4)}.{chance.choice(['txt', 'safetensors'])}"
        if chance.random() < 0.3 and turn:
            commit(client, "owner/kept", ("deletedFile", {"path": path}))
        else:
            commit(client, "owner/kept", file(path, chance.randbytes(chance.choice([3, 40_000]))))
        if turn % 10 == 0:
            collect(running.hub, now=LATER)
    assert check(running.hub).problems == []
    assert len(client.get("/api/models/owner/kept/commits/main").json()) > 20


def test_the_commands_say_what_they_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with EmbeddedHub(tmp_path / "data", durable=False) as hub:
        httpx.post(
            f"{hub.endpoint}/api/repos/create",
            json={"name": "x", "organization": "owner"},
            headers={"Authorization": f"Bearer {hub.token}"},
        ).raise_for_status()
    run(["hub", "fsck", str(tmp_path / "data")])
    assert "1 commits, 1 folders, 1 contents, 0 xorbs: all is well" in capsys.readouterr().out
    run(["hub", "gc", str(tmp_path / "data"), "--dry-run"])
    assert "would throw away 0 commits" in capsys.readouterr().out
    with EmbeddedHub(tmp_path / "data", durable=False) as hub, hub.hub.database.write() as connection:
        connection.execute(tree.delete())
    assert run(["hub", "fsck", str(tmp_path / "data")]) == 1
    assert "is missing" in capsys.readouterr().out
    assert run(["hub", "gc", str(tmp_path / "none")]) == 2


def run(arguments: list[str]) -> int:
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as ended:
        patch.setattr(sys, "argv", ["enfold", *arguments])
        main()
    return int(ended.value.code or 0)
