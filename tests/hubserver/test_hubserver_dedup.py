"""Whoever has a chunk that the Hub has too is told so, and learns nothing of chunks they may not read."""

from __future__ import annotations

import os
import struct
import subprocess
import time
from collections.abc import Sequence
from itertools import count
from pathlib import Path

import httpx
import pytest
from blake3 import blake3
from sqlalchemy import select
from xet_raw import shard, xorb

from enfold.hubserver import EmbeddedHub
from enfold.hubserver import database as db
from enfold.hubserver.maintenance import collect
from enfold.hubserver.store.objects import LEASE
from enfold.hubserver.xet.dedup import is_telling
from enfold.hubserver.xet.hashes import chunk_hash, from_hex, to_hex

PEER = Path(__file__).parents[2] / ".peers/models/bin/python"
_numbers = count()


class Person:
    """Somebody who uploads chunks."""

    def __init__(self, hub: EmbeddedHub) -> None:
        self.name = f"sharer{next(_numbers)}"
        self.http = httpx.Client(
            base_url=hub.endpoint, headers={"Authorization": f"Bearer {hub.create_user(self.name)}"}
        )

    def make(self, name: str, *, private: bool = False, gated: str | None = None) -> str:
        self.http.post("/api/repos/create", json={"name": name, "private": private}).raise_for_status()
        if gated:
            self.http.put(f"/api/models/{self.name}/{name}/settings", json={"gated": gated}).raise_for_status()
        return f"{self.name}/{name}"

    def cas(self, repo: str) -> httpx.Client:
        told = self.http.get(f"/api/models/{repo}/xet-write-token/main").raise_for_status().json()
        return httpx.Client(base_url=told["casUrl"], headers={"Authorization": f"Bearer {told['accessToken']}"})

    def upload(self, repo: str, contents: Sequence[bytes], parts: Sequence[tuple[int, int]] = ()) -> str:
        """Send a xorb, and a file for each of the parts (first chunk, one behind the last); return the xorb."""
        name, data = xorb(contents)
        with self.cas(repo) as cas:
            cas.post(f"/v1/xorbs/default/{name}", content=data).raise_for_status()
            for first, last in parts or [(0, len(contents))]:
                body = shard(contents[first:last], [(name, first, last)])[1]
                cas.post("/v1/shards", content=body).raise_for_status()
        return name

    def ask(self, repo: str, content: bytes) -> httpx.Response:
        with self.cas(repo) as cas:
            return cas.get(f"/v1/chunks/default/{to_hex(chunk_hash(content))}")


@pytest.fixture
def ann(embedded: EmbeddedHub) -> Person:
    return Person(embedded)


@pytest.fixture
def bob(embedded: EmbeddedHub) -> Person:
    return Person(embedded)


def fresh(number: int = 5) -> list[bytes]:
    return [os.urandom(9_000 + index) for index in range(number)]


def parse(data: bytes) -> tuple[bytes, bytes, list[tuple[bytes, int, int]], tuple[int, int]]:
    """Return the key, the xorb, its chunks (hash, start, size), and when the answer was made and expires."""
    footer = struct.Struct("<9Q32s2Q6Q4Q")
    fields = footer.unpack(data[-footer.size :])
    assert struct.unpack_from("<2Q", data, 32) == (2, footer.size) and fields[0] == 1
    assert fields[-1] == len(data) - footer.size
    at = fields[2]
    name, _, number, content, _ = struct.unpack_from("<32sIIII", data, at)
    entries = [struct.unpack_from("<32sIIII", data, at + 48 * (index + 1)) for index in range(number)]
    assert sum(entry[2] for entry in entries) == content
    table = [struct.unpack_from("<QII", data, fields[7] + 16 * index) for index in range(fields[8])]
    assert [word for word, _, _ in table] == sorted(word for word, _, _ in table)
    assert all(int.from_bytes(entries[place][0][:8], "little") == word for word, _, place in table)
    return fields[9], name, [entry[:3] for entry in entries], fields[10:12]


def recognised(data: bytes, contents: Sequence[bytes]) -> list[int]:
    key, _, entries, _ = parse(data)
    mine = {blake3(chunk_hash(content), key=key).digest(): index for index, content in enumerate(contents)}
    return [mine[digest] for digest, _, _ in entries if digest in mine]


def test_the_first_chunk_of_a_file_finds_those_behind_it(ann: Person, bob: Person) -> None:
    contents = fresh()
    name = ann.upload(ann.make("public"), contents)
    answer = bob.ask(bob.make("own"), contents[0])
    assert answer.status_code == 200
    key, found, entries, (made, expires) = parse(answer.content)
    assert to_hex(found) == name and key != bytes(32)
    assert recognised(answer.content, contents) == [0, 1, 2, 3, 4]
    assert [size for _, _, size in entries] == [len(content) for content in contents]
    assert abs(made - time.time()) < 60 and 0 < expires - time.time() < LEASE
    assert not any(chunk_hash(content) in answer.content for content in contents), "no hash is there as it is"
    assert parse(bob.ask(f"{bob.name}/own", contents[0]).content)[0] != key, "each answer has a key of its own"


def test_chunks_that_were_found_need_not_be_sent(ann: Person, bob: Person) -> None:
    contents = fresh()
    name = ann.upload(ann.make("public"), contents)
    repo = bob.make("own")
    mine = fresh(1)[0]
    own = xorb([mine])
    with bob.cas(repo) as cas:
        cas.post(f"/v1/xorbs/default/{own[0]}", content=own[1]).raise_for_status()
        body = shard([*contents[1:4], mine], [(name, 1, 4), (own[0], 0, 1)])[1]
        assert cas.post("/v1/shards", content=body).status_code == 200


@pytest.mark.parametrize("shut", ["private", "gated", "another's upload that became no file"])
def test_what_the_caller_may_not_read_is_unknown(ann: Person, bob: Person, shut: str) -> None:
    contents = fresh()
    if shut == "private":
        ann.upload(ann.make("shut", private=True), contents)
    elif shut == "gated":
        ann.upload(ann.make("shut", gated="manual"), contents)
    else:
        name, data = xorb(contents)
        with ann.cas(ann.make("shut")) as cas:
            cas.post(f"/v1/xorbs/default/{name}", content=data).raise_for_status()
    repo = bob.make("own")
    answers = [bob.ask(repo, content) for content in (contents[0], os.urandom(100))]
    assert [answer.status_code for answer in answers] == [404, 404]
    if shut != "another's upload that became no file":
        assert ann.ask(f"{ann.name}/shut", contents[0]).status_code == 200


def test_who_was_let_in_is_told(ann: Person, bob: Person) -> None:
    contents = fresh()
    gated = ann.make("gated", gated="auto")
    ann.upload(gated, contents)
    repo = bob.make("own")
    assert bob.ask(repo, contents[0]).status_code == 404
    bob.http.post(f"/{gated}/ask-access").raise_for_status()
    assert bob.ask(repo, contents[0]).status_code == 200


def test_chunks_of_private_files_in_a_xorb_of_public_ones_are_not_shown(ann: Person, bob: Person) -> None:
    contents = fresh(6)
    secret = ann.make("secret", private=True)
    name = ann.upload(secret, contents, parts=[(0, 6)])
    public = ann.make("public")
    with ann.cas(public) as cas:
        cas.post("/v1/shards", content=shard(contents[2:4], [(name, 2, 4)])[1]).raise_for_status()
    answer = bob.ask(bob.make("own"), contents[2])
    assert recognised(answer.content, contents) == [2, 3]
    assert bob.ask(f"{bob.name}/own", contents[0]).status_code == 404, "though it is the first of a file"
    assert recognised(ann.ask(public, contents[0]).content, contents) == [0, 1, 2, 3, 4, 5]


def test_a_fine_grained_token_finds_only_what_is_public(embedded: EmbeddedHub, ann: Person) -> None:
    from enfold.hubserver.viewers import Scopes

    contents, repo = fresh(), ann.make("own", private=True)
    ann.upload(repo, contents)
    scopes = Scopes.read({"scoped": [{"type": "model", "name": repo, "rights": ["repo.write"]}]})
    secret = embedded.hub.tokens.create(ann.name, role="fineGrained", scopes=scopes)
    ann.http.headers["Authorization"] = f"Bearer {secret}"
    assert ann.ask(repo, contents[0]).status_code == 404


def test_an_answer_keeps_what_it_names(embedded: EmbeddedHub, ann: Person, bob: Person) -> None:
    contents, repo = fresh(), ann.make("public")
    name = ann.upload(repo, contents)
    table = db.xorb

    def made() -> float:
        with embedded.hub.database.read() as connection:
            return float(connection.execute(select(table.c.created).where(table.c.hash == name)).scalar_one())

    with embedded.hub.database.write() as connection:
        connection.execute(table.update().where(table.c.hash == name).values(created=time.time() - 2 * LEASE))
    assert bob.ask(bob.make("own"), contents[0]).status_code == 200
    assert time.time() - made() < 60
    ann.http.request("DELETE", "/api/repos/delete", json={"name": "public"}).raise_for_status()
    collect(embedded.hub)
    assert made(), "a client was told of it"
    with bob.cas(f"{bob.name}/own") as cas:
        assert cas.post("/v1/shards", content=shard(contents, [(name, 0, 5)])[1]).status_code == 200


def test_a_token_to_read_asks_for_no_chunks(ann: Person) -> None:
    repo = ann.make("own")
    told = ann.http.get(f"/api/models/{repo}/xet-read-token/main").json()
    headers = {"Authorization": f"Bearer {told['accessToken']}"}
    assert httpx.get(f"{told['casUrl']}/v1/chunks/default/{'0' * 64}", headers=headers).status_code == 403
    with ann.cas(repo) as cas:
        assert cas.get("/v1/chunks/default/nonsense").status_code == 400
        assert cas.get(f"/v1/chunks/default-merkledb/{'0' * 64}").status_code == 404


def test_one_chunk_in_a_thousand_is_listed_besides_the_first() -> None:
    assert is_telling(from_hex("f" * 48 + "0" * 16)) and not is_telling(from_hex("f" * 64))
    telling = sum(is_telling(chunk_hash(str(number).encode())) for number in range(50_000))
    assert 20 < telling < 90


@pytest.mark.peer
def test_the_official_client_sends_no_chunk_that_is_here(embedded: EmbeddedHub, tmp_path: Path) -> None:
    ann, bob = Person(embedded), Person(embedded)
    data = os.urandom(4_000_000)
    (tmp_path / "model.safetensors").write_bytes(data)
    (tmp_path / "changed.safetensors").write_bytes(data[:1_000_000] + b"7 bytes" + data[1_000_000:])
    code = """
import sys
from huggingface_hub import HfApi, hf_hub_download
repo, name = sys.argv[1:]
HfApi().create_repo(repo, exist_ok=True)
HfApi().upload_file(path_or_fileobj=name, path_in_repo=name, repo_id=repo)
assert open(hf_hub_download(repo, name), "rb").read() == open(name, "rb").read()
"""

    def xorbs() -> set[str]:
        with embedded.hub.database.read() as connection:
            return set(connection.scalars(select(db.xorb.c.hash)))

    def upload(person: Person, name: str) -> dict[bytes, int]:
        """Return the chunks that came, and how long each is."""
        environment = {
            "HF_ENDPOINT": embedded.endpoint,
            "HF_TOKEN": person.http.headers["authorization"].removeprefix("Bearer "),
            "HF_HOME": str(tmp_path / person.name / name),  # nothing of earlier uploads is known there
            "PATH": "/usr/bin",
        }
        before = xorbs()
        command = [PEER, "-c", code, f"{person.name}/one", name]
        run = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=tmp_path, timeout=60)
        assert run.returncode == 0, run.stdout + run.stderr
        return {digest: size for xorb in xorbs() - before for digest, size in embedded.hub.xet.chunks(xorb).nodes()}

    first = upload(ann, "model.safetensors")
    assert sum(first.values()) == len(data)
    assert not upload(bob, "model.safetensors")
    changed = upload(bob, "changed.safetensors")
    # How many chunks it takes until they end where they did before depends on the bytes.
    assert 0 < sum(changed.values()) < len(data) / 2 and not changed.keys() & first.keys()
