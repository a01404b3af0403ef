"""The Xet store: what the official client uploads is verified, read back in every way, and given to nobody else."""

from __future__ import annotations

import hashlib
import random
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from hubserver_raw import commit
from xet_raw import record, shard, xorb

from enfold.hubserver import EmbeddedHub
from enfold.hubserver.database import Database
from enfold.hubserver.store.objects import Folder
from enfold.hubserver.xet.hashes import from_hex, to_hex
from enfold.hubserver.xet.store import XetStore

CHANCE = random.Random(5)
CONTENTS = [CHANCE.randbytes(size) for size in (8192, 1, 70_000, 131_072, 9_001, 33_000, 8_192)]
FLOATS = struct.pack("<20000f", *(CHANCE.gauss(0, 1) for _ in range(20_000)))  # what sorting by place is good for
CONTENTS.insert(5, FLOATS)
WHOLE = b"".join(CONTENTS)

Rights = Callable[..., httpx.Client]


@pytest.fixture
def rights(http: httpx.Client, embedded: EmbeddedHub) -> Rights:
    """A client of the Xet store, with the right to ``write`` (or ``read``) in a repository."""

    def ask(name: str, right: str = "write", client: httpx.Client = http) -> httpx.Client:
        told = client.get(f"/api/models/{name}/xet-{right}-token/main")
        assert told.status_code == 200, told.text
        assert told.headers["x-xet-cas-url"] == told.json()["casUrl"] == embedded.endpoint + "/cas"
        assert told.headers["x-xet-access-token"] == told.json()["accessToken"]
        assert told.headers["x-xet-token-expiration"] == str(told.json()["exp"])
        token = {"Authorization": f"Bearer {told.json()['accessToken']}"}
        return httpx.Client(base_url=told.json()["casUrl"], headers=token)

    return ask


def upload(cas: httpx.Client, contents: list[bytes] = CONTENTS, repeat: bool = True) -> str:
    """Upload a file of two xorbs, some of whose chunks occur twice; return its Xet hash."""
    half = len(contents) // 2
    (first, one), (second, two) = xorb(contents[:half]), xorb(contents[half:])
    for name, data in ((first, one), (second, two)):
        answer = cas.post(f"/v1/xorbs/default/{name}", content=data)
        assert answer.status_code == 200, answer.text
    terms = [(first, 0, half), (second, 0, len(contents) - half)]
    chunks = list(contents)
    if repeat:
        terms += [(first, 1, 3), (second, 0, 1), (first, 2, 3)]
        chunks += [*contents[1:3], contents[half], contents[2]]
    name, data = shard(chunks, terms)
    answer = cas.post("/v1/shards", content=data)
    assert answer.status_code == 200 and answer.json() == {"result": 1}, answer.text
    return name


REPEATED = WHOLE + CONTENTS[1] + CONTENTS[2] + CONTENTS[4] + CONTENTS[2]


@pytest.fixture
def stored(http: httpx.Client, name: str, rights: Rights) -> tuple[str, str]:
    """A repository with the file ``w.bin``, and the file's Xet hash."""
    xet = upload(rights(name))
    add = {"path": "w.bin", "algo": "sha256", "oid": hashlib.sha256(REPEATED).hexdigest(), "size": len(REPEATED)}
    assert commit(http, name, ("lfsFile", add)).status_code == 200
    return name, xet


def test_a_file_of_chunks_is_read_like_any_other(http: httpx.Client, stored: tuple[str, str]) -> None:
    name, xet = stored
    address = f"/{name}/resolve/main/w.bin"
    head = http.head(address)
    assert head.headers["x-xet-hash"] == xet and head.headers["x-linked-size"] == str(len(REPEATED))
    assert head.headers["content-length"] == str(len(REPEATED)) and "xet-auth" in head.headers["link"]
    assert http.get(head.headers["x-xet-refresh-route"]).status_code == 200
    assert http.get(address).content == REPEATED
    chance = random.Random(1)
    for _ in range(60):
        start = chance.randrange(len(REPEATED))
        stop = min(start + chance.choice([1, 2, 5000, 200_000, 10**9]), len(REPEATED))
        part = http.get(address, headers={"Range": f"bytes={start}-{stop - 1}"})
        assert part.status_code == 206 and part.content == REPEATED[start:stop]
    (entry,) = http.post(f"/api/models/{name}/paths-info/main", data={"paths": ["w.bin"]}).json()
    assert entry["xetHash"] == xet and entry["lfs"]["oid"] == hashlib.sha256(REPEATED).hexdigest()
    objects = [{"oid": entry["lfs"]["oid"], "size": entry["size"]}]
    batch = http.post(f"/{name}.git/info/lfs/objects/batch", json={"operation": "download", "objects": objects})
    assert http.get(batch.json()["objects"][0]["actions"]["download"]["href"]).content == REPEATED


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_reconstruction_names_every_part_once(
    stored: tuple[str, str], rights: Rights, version: str, anonymous: httpx.Client
) -> None:
    name, xet = stored
    cas = rights(name, "read")
    chance = random.Random(2)
    for _ in range(25):
        start = chance.choice([0, chance.randrange(len(REPEATED))])
        stop = min(start + chance.choice([1, 40_000, 10**9]), len(REPEATED))
        told = cas.get(f"/{version}/reconstructions/{xet}", headers={"Range": f"bytes={start}-{stop - 1}"}).json()
        content = b""
        for term in told["terms"]:
            content += _term(anonymous, told, term)
        skip = told["offset_into_first_range"]
        assert content[skip : skip + stop - start] == REPEATED[start:stop]
        assert len(content) - skip - (stop - start) < 131_072, "no more than the rest of one chunk"
    behind = {"Range": f"bytes={len(REPEATED)}-"}
    assert cas.get(f"/{version}/reconstructions/{xet}", headers=behind).status_code == 416
    assert cas.get(f"/{version}/reconstructions/{'0' * 64}").status_code == 404


def _term(client: httpx.Client, told: dict[str, Any], term: dict[str, Any]) -> bytes:
    """Read a term as a client does: from the one place that has its chunks."""
    from enfold.hubserver.xet.xorbs import unpack

    first, last = term["range"]["start"], term["range"]["end"]
    places = []
    for place in (told.get("fetch_info") or told["xorbs"])[term["hash"]]:
        chunks, where = (
            (place["range"], place["url_range"])
            if "range" in place
            else (place["ranges"][0]["chunks"], place["ranges"][0]["bytes"])
        )
        if chunks["start"] <= first and last <= chunks["end"]:
            places.append((place["url"], chunks, where))
    ((url, chunks, where),) = places
    answer = client.get(url, headers={"Range": f"bytes={where['start']}-{where['end']}"})
    assert answer.status_code == 206
    contents, at = [], 0
    while at < len(answer.content):
        stop = at + 8 + int.from_bytes(answer.content[at + 1 : at + 4], "little")
        contents.append(unpack(answer.content[at:stop]))
        at = stop
    assert len(contents) == chunks["end"] - chunks["start"]
    content = b"".join(contents[first - chunks["start"] : last - chunks["start"]])
    assert len(content) == term["unpacked_length"]
    return content


def test_a_part_is_given_to_the_letter(stored: tuple[str, str], rights: Rights, anonymous: httpx.Client) -> None:
    """Who may read one file must not read its neighbours in a xorb, which may be of another repository."""
    name, xet = stored
    told = rights(name, "read").get(f"/v2/reconstructions/{xet}", headers={"Range": "bytes=8192-8192"}).json()
    ((place,),) = told["xorbs"].values()
    where = place["ranges"][0]["bytes"]
    assert where["start"] > 0
    own = {"Range": f"bytes={where['start']}-{where['end']}"}
    assert anonymous.get(place["url"], headers=own).status_code == 206
    assert anonymous.get(place["url"]).content == anonymous.get(place["url"], headers=own).content
    for wrong in (f"bytes=0-{where['end']}", f"bytes={where['start']}-{where['end'] + 1}"):
        assert anonymous.get(place["url"], headers={"Range": wrong}).status_code == 403
    begin, end = where["start"], where["end"] + 1
    for url in (
        place["url"].replace(f"/{begin}-{end}", f"/0-{end}"),
        place["url"].replace("expires=", "expires=9"),
        place["url"].split("?")[0],
    ):
        assert anonymous.get(url).status_code == 403


def test_a_repository_shows_only_what_it_was_given(
    http: httpx.Client, stored: tuple[str, str], rights: Rights, embedded: EmbeddedHub, anonymous: httpx.Client
) -> None:
    name, xet = stored
    http.post("/api/repos/create", json={"name": "other-xet", "organization": "owner"})
    assert rights("owner/other-xet", "read").get(f"/v2/reconstructions/{xet}").status_code == 404
    add = {"path": "w.bin", "algo": "sha256", "oid": hashlib.sha256(REPEATED).hexdigest(), "size": len(REPEATED)}
    assert commit(http, "owner/other-xet", ("lfsFile", add)).status_code == 422, "knowing a hash is no right"
    assert anonymous.get(f"/api/models/{name}/xet-write-token/main").status_code == 401
    stranger = httpx.Client(
        base_url=embedded.endpoint, headers={"Authorization": f"Bearer {embedded.create_user('stranger')}"}
    )
    assert stranger.get(f"/api/models/{name}/xet-write-token/main").status_code == 403
    http.put(f"/api/models/{name}/settings", json={"private": True})
    assert stranger.get(f"/api/models/{name}/xet-read-token/main").status_code == 404
    assert anonymous.get(f"/api/models/{name}/xet-read-token/main").status_code == 401


def test_a_token_does_one_thing_for_one_repository(stored: tuple[str, str], rights: Rights) -> None:
    name, xet = stored
    reader = rights(name, "read")
    new, data = xorb([b"new" * 5000])
    assert reader.post(f"/v1/xorbs/default/{new}", content=data).status_code == 403
    assert reader.post("/v1/shards", content=b"").status_code == 403
    right = reader.headers["Authorization"]
    for token in ("", "Bearer x", "Bearer ..", right.replace("read", "write"), right[:-1] + "x", right + ".0"):
        wrong = httpx.Client(base_url=reader.base_url, headers={"Authorization": token})
        assert wrong.get(f"/v2/reconstructions/{xet}").status_code == 401, token


def test_only_a_xorb_with_its_own_name_is_taken(rights: Rights, name: str, embedded: EmbeddedHub) -> None:
    cas = rights(name)
    contents = [CHANCE.randbytes(20_000) for _ in range(3)]
    new, data = xorb(contents)
    cases = {
        "another hash": data[: len(record(contents[0]))],
        "ends inside": data[:-1],
        "no chunks": b"",
        "scheme": record(contents[0])[:4] + b"\x07" + record(contents[0])[5:],
        "announces": record(contents[0], 1, size=20_001),
        "LZ4": record(contents[0])[:4] + b"\x01" + record(contents[0])[5:],
        "at most 131072": record(bytes(200_000), 1),
        "has 131073": record(bytes(16_000_000), 1, size=131_072),  # a bomb: unpacked no further than a chunk may go
    }
    for words, body in cases.items():
        answer = cas.post(f"/v1/xorbs/default/{new}", content=body)
        expected = "has the hash" if words == "another hash" else words
        assert answer.status_code == 400 and expected in answer.json()["error"], (words, answer.text)
    assert cas.post("/v1/xorbs/default/xyz", content=data).status_code == 400
    assert cas.post(f"/v1/xorbs/elsewhere/{new}", content=data).status_code == 404
    many = record(b"x") * 8193
    assert cas.post(f"/v1/xorbs/default/{new}", content=many).status_code == 413
    assert cas.post(f"/v1/xorbs/default/{new}", content=data + b"XETBLOB\0an index").json() == {"was_inserted": True}
    assert cas.post(f"/v1/xorbs/default/{new}", content=data).json() == {"was_inserted": False}
    assert not list(embedded.hub.xet.objects.temporary.iterdir())


def test_only_a_file_that_is_what_it_says_is_taken(rights: Rights, name: str, stored: tuple[str, str]) -> None:
    cas = rights(name)
    contents = [CHANCE.randbytes(20_000) for _ in range(3)]
    new, data = xorb(contents)
    missing = shard(contents, [(new, 0, 3)])[1]
    assert "upload it first" in cas.post("/v1/shards", content=missing).json()["error"]
    cas.post(f"/v1/xorbs/default/{new}", content=data)
    other, _ = xorb(CONTENTS[: len(CONTENTS) // 2])
    cases = {
        "verification hash": shard(contents, [(new, 0, 3)], proofs=[bytes(32)])[1],
        # the chunks of a stranger's xorb, referred to without knowing them
        "is wrong": shard(contents[:1], [(other, 0, 1)])[1],
        "3 chunks": shard(contents, [(new, 0, 4)])[1],
        "not 2 to 1": shard(contents, [(new, 2, 1)])[1],
        "SHA-256": shard(contents, [(new, 0, 3)], sha256=bytes(32))[1],
        "have not": shard(contents, [(new, 0, 3)], sizes=[5])[1],
        "not a Xet shard": b"x" * 100,
        "ends in the middle": missing[:-96],
        "has not so many": missing[:84] + b"\xff\xff\xff\x7f" + missing[88:],
        "version 3": missing[:32] + b"\x03" + missing[33:],
        "no verification": missing[:80] + bytes(4) + missing[84:],
        "not made of": missing[:48] + bytes(32) + missing[80:],
    }
    for words, body in cases.items():
        answer = cas.post("/v1/shards", content=body)
        assert answer.status_code == 400 and words in answer.json()["error"], (words, answer.text)
    assert cas.post("/v1/shards", content=missing).json() == {"result": 1}
    assert cas.post("/v1/shards", content=missing).json() == {"result": 1}


def test_one_file_may_be_had_by_two_repositories(http: httpx.Client, stored: tuple[str, str], rights: Rights) -> None:
    """Who knows the chunks of a xorb may build on it without sending them again."""
    http.post("/api/repos/create", json={"name": "second-xet", "organization": "owner"})
    cas = rights("owner/second-xet")
    first, _ = xorb(CONTENTS[: len(CONTENTS) // 2])
    chunks = [CONTENTS[2], CONTENTS[1]]
    name, data = shard(chunks, [(first, 2, 3), (first, 1, 2)])
    assert cas.post("/v1/shards", content=data).status_code == 200
    content = b"".join(chunks)
    add = {"path": "w.bin", "algo": "sha256", "oid": hashlib.sha256(content).hexdigest(), "size": len(content)}
    assert commit(http, "owner/second-xet", ("lfsFile", add)).status_code == 200
    assert http.get("/owner/second-xet/resolve/main/w.bin").content == content
    assert http.head("/owner/second-xet/resolve/main/w.bin").headers["x-xet-hash"] == name


def test_a_cut_upload_leaves_nothing(tmp_path: Path) -> None:
    place = Folder(tmp_path / "xorbs", durable=False)
    store = XetStore(place, Database(f"sqlite:///{tmp_path}/db", durable=False))
    name, data = xorb(CONTENTS)
    with pytest.raises(KeyboardInterrupt), store.upload(name) as writer:
        writer.feed(data[:1000])
        raise KeyboardInterrupt
    assert not list(place.temporary.iterdir()) and not store.has(name)
    with store.upload(name) as writer:
        for at in range(0, len(data), 777):
            writer.feed(data[at : at + 777])
        assert writer.finish()
    assert store.has(name) and place.source(store.name(name)).read_bytes() == data


def test_hashes_are_written_as_the_protocol_does() -> None:
    text = to_hex(bytes(range(32)))
    assert text == "07060504030201000f0e0d0c0b0a090817161514131211101f1e1d1c1b1a1918"
    assert from_hex(text) == bytes(range(32))
