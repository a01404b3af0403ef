"""Whatever bytes come, the parsers say what is wrong with them in one way, quickly, and nothing else happens.

``HUBSERVER_FUZZ=100000 pytest tests/hubserver/test_hubserver_fuzz.py`` tries more of them.
"""

from __future__ import annotations

import base64
import io
import json
import os
import random
import struct
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from xet_raw import record, shard, xorb

from enfold.hubserver import EmbeddedHub
from enfold.hubserver.bundle.read import load
from enfold.hubserver.errors import HubServerError
from enfold.hubserver.files import byte_range
from enfold.hubserver.gitobjects import decode_tree
from enfold.hubserver.metadata import CardError, facts_of_config, read_card, tags_of
from enfold.hubserver.ndjson import CommitBody
from enfold.hubserver.settings import Limits
from enfold.hubserver.signing import Signer
from enfold.hubserver.store.blobs import BlobStore
from enfold.hubserver.store.objects import Folder
from enfold.hubserver.viewers import Scopes
from enfold.hubserver.xet.shards import read_shard
from enfold.hubserver.xet.xorbs import XorbReader

ROUNDS = int(os.environ.get("HUBSERVER_FUZZ", "1500"))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)


def mutants(seeds: list[bytes], words: list[bytes], rounds: int = ROUNDS) -> Iterator[bytes]:
    """Yield the seeds changed in a few places: bits, bytes, numbers at the edges of their types, parts moved, words."""
    chance = random.Random(11)
    edges = [0, 1, 127, 128, 255, 256, 65535, 1 << 16, (1 << 24) - 1, (1 << 31) - 1, 1 << 31, (1 << 32) - 1]
    for _ in range(rounds):
        data = bytearray(chance.choice(seeds))
        for _ in range(chance.choice([1, 1, 1, 2, 3, 8])):
            at = chance.randrange(len(data) + 1)
            way = chance.randrange(8)
            if way == 0 and data:
                data[at % len(data)] ^= 1 << chance.randrange(8)
            elif way == 1:
                data[at : at + 1] = bytes([chance.randrange(256)])
            elif way == 2:
                del data[at : at + chance.choice([1, 4, 48, 1000])]
            elif way == 3:
                data[at:at] = data[: chance.choice([1, 8, 48])]
            elif way == 4:
                data[at : at + 4] = struct.pack("<I", chance.choice(edges))
            elif way == 5:
                data[at:at] = chance.choice(words)
            elif way == 6:
                del data[at:]
            else:
                other = chance.choice(seeds)
                data[at:] = other[chance.randrange(len(other) + 1) :]
        yield bytes(data)


def try_all(
    cases: Iterator[bytes], parse: Callable[[bytes], Any], expected: type[Exception] = HubServerError, slow: float = 1.0
) -> None:
    """Parse every case: it works, or it raises what is expected, and never takes long."""
    worked = failed = 0
    for case in cases:
        began = time.process_time()
        try:
            parse(case)
            worked += 1
        except expected as error:
            failed += 1
            assert not isinstance(error, HubServerError) or error.status in {400, 413, 422}
        except Exception as error:
            raise AssertionError(f"{case[:2000]!r} raises {error!r}") from error
        assert time.process_time() - began < slow, case[:2000]
    assert worked and failed, "the changes neither spare everything nor spoil everything"


# ---------------------------------------------------------------------- commits


@pytest.fixture(scope="module")
def blobs(tmp_path_factory: pytest.TempPathFactory) -> BlobStore:
    return BlobStore(Folder(tmp_path_factory.mktemp("blobs"), durable=False))


def _commit() -> bytes:
    values: list[tuple[str, dict[str, Any]]] = [
        ("header", {"summary": "s", "description": "d", "parentCommit": "0" * 40}),
        ("file", {"path": "a.txt", "encoding": "base64", "content": base64.b64encode(b"hello" * 10).decode()}),
        ("file", {"path": "b.txt", "encoding": "utf-8", "content": "text"}),
        ("file", {"path": "c.bin", "encoding": "base64", "content": base64.b64encode(bytes(60_000)).decode()}),
        ("lfsFile", {"path": "d.bin", "algo": "sha256", "oid": "0" * 64, "size": 7}),
        ("deletedFile", {"path": "e"}),
        ("deletedFolder", {"path": "f/"}),
        ("copyFile", {"path": "g", "srcPath": "a.txt", "srcRevision": "main"}),
    ]
    return b"".join(json.dumps({"key": key, "value": value}).encode() + b"\n" for key, value in values)


def _read_commit(blobs: BlobStore, data: bytes, cuts: list[int]) -> Any:
    body = CommitBody(blobs, Limits(commit_file=100_000, commit_body=1_000_000))
    try:
        for start, stop in zip([0, *cuts], [*cuts, len(data)], strict=True):
            body.feed(data[start:stop])
        return body.finish()
    finally:
        body.close()


def test_bodies_of_commits(blobs: BlobStore) -> None:
    words = [
        b'"',
        b"\\",
        b"\n",
        b"{",
        b"}",
        b"null",
        b'"content": "',
        b"\xff",
        b"\xed\xa0\x80",
        b"-1",
        b"1e999",
        b"NaN",
    ]
    words += [b"\\ud800", b'"key": []', b'"path": {}', b'"size": "x"', b"[" * 2000]
    try_all(mutants([_commit()], words), lambda data: _read_commit(blobs, data, []))
    assert not list(blobs.objects.temporary.iterdir())


def test_a_commit_means_the_same_however_it_arrives(blobs: BlobStore) -> None:
    chance = random.Random(5)
    for data in mutants([_commit()], [b'"', b"\n", b"\\"], ROUNDS // 10):
        if any(line.count(b'"content"') > 1 for line in data.split(b"\n")):
            continue  # which of two members of one name counts is nobody's promise
        outcomes = []
        for count in (0, 1, 5):
            try:
                cuts = sorted(chance.randrange(len(data) + 1) for _ in range(count))
                outcomes.append(repr(_read_commit(blobs, data, cuts)))
            except HubServerError:
                outcomes.append("refused")
        assert len(set(outcomes)) == 1, (data[:2000], outcomes)


# ---------------------------------------------------------------------- chunks


CHUNKS = [bytes([index]) * 3000 + os.urandom(500) for index in range(5)]


def test_shards() -> None:
    name = xorb(CHUNKS)[0]
    seeds = [shard(CHUNKS, [(name, 0, 5)])[1], shard(CHUNKS[:3], [(name, 0, 1), (name, 1, 3)])[1]]
    try_all(mutants(seeds, [b"\xff" * 32, bytes(48), struct.pack("<II", 3 << 30, 1 << 31)]), read_shard)


def test_xorbs() -> None:
    chance = random.Random(3)

    def parse(data: bytes) -> bytes:
        reader, at = XorbReader(), 0
        while at < len(data):
            step = chance.choice([1, 7, 1000, 1 << 20])
            reader.feed(data[at : at + step])
            at += step
        assert reader.size <= 64 << 20
        return reader.finish()

    seeds = [xorb(CHUNKS)[1], record(b"x" * 100, 1), record(bytes(131_072), 2)]
    try_all(mutants(seeds, [b"XETBLOB", bytes([0, 255, 255, 255, 1, 255, 255, 255])]), parse)


# ---------------------------------------------------------------------- what people write


def test_cards() -> None:
    seeds = [
        b"---\nlicense: mit\ntags: [a, b]\nmodel-index:\n- name: x\n  results:\n  - task: {type: t}\n---\n# Hello\n",
        b"---\nlicense: [mit, apache-2.0]\ndatasets:\n- a/b\ndate: 2020-01-01\nx: !!binary aGk=\n---\n",
        '---\nlanguage: zh\ntags:\n- 中文\n- "\\u0041"\n---\nText'.encode(),
    ]
    words = [
        b"&a ",
        b"*a",
        b"<<: *a",
        b"!!python/object:os.system ",
        b"? ",
        b": ",
        b"- ",
        b"{" * 60,
        b"\t",
        b"%YAML 9\n",
    ]
    words += [
        b"!!float .nan",
        b"!!timestamp 99999-01-01",
        b"1e400",
        b"\x00",
        b"\xc2\x85",
        b"---\n",
        b"|\n ",
        b"!!set {a}",
    ]

    def parse(data: bytes) -> None:
        card = read_card(data.decode("utf-8", "replace"))
        json.dumps(card)
        for kind in ("models", "datasets"):
            assert all(isinstance(tag, str) for tag in tags_of(kind, card, {}))

    try_all(mutants(seeds, words), parse, CardError)


@settings(max_examples=150, deadline=None)
@given(JSON)
def test_configurations_and_cards_of_any_shape(value: Any) -> None:
    facts = facts_of_config(json.dumps(value).encode())
    card = value if isinstance(value, dict) else {"tags": value, "datasets": value, "language": value}
    json.dumps([facts, tags_of("models", card, facts)])


@settings(max_examples=150, deadline=None)
@given(JSON)
def test_scopes_of_any_shape(value: Any) -> None:
    try:
        scopes = Scopes.read(value)
    except HubServerError as error:
        assert error.status == 400
    else:
        assert Scopes.loads(scopes.dumps()) == scopes


# ---------------------------------------------------------------------- headers, tokens, trees, bundles


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60) | st.from_regex(r"bytes=\d{0,30}-\d{0,30}", fullmatch=True), st.integers(0, 10**12))
def test_ranges_of_any_form(header: str, size: int) -> None:
    try:
        found = byte_range(header, size)
    except HubServerError as error:
        assert error.status == 416
    else:
        assert found is None or 0 <= found[0] < found[1] <= size


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=80), st.dictionaries(st.sampled_from(["expires", "size", "signature"]), st.text(max_size=80)))
def test_tokens_and_addresses_that_nobody_signed(text: str, query: dict[str, str]) -> None:
    signer = Signer(b"secret")
    for call in (lambda: signer.words(text), lambda: signer.check("GET", text, query)):
        with pytest.raises(HubServerError) as refused:
            call()
        assert refused.value.status in {401, 403}


def test_trees() -> None:
    seed = b"".join(b"100644 name%d\0" % index + bytes(20) for index in range(5)) + b"40000 folder\0" + bytes(20)
    try_all(mutants([seed], [b"\0", b"40000 ", b"/", b"\xff"]), decode_tree, ValueError)


def test_bundles(tmp_path: Path, embedded: EmbeddedHub, http: httpx.Client) -> None:
    from enfold.hubserver.bundle.write import export

    assert http.post("/api/repos/create", json={"name": "fuzzed"}).status_code == 200
    export(embedded.hub, tmp_path / "seed.tar", ["owner/fuzzed"])
    seed = (tmp_path / "seed.tar").read_bytes().rstrip(b"\0") + bytes(1024)
    with tarfile.open(fileobj=io.BytesIO(seed)) as tar:
        assert tar.getnames()[0] == "bundle.json"
    path = tmp_path / "mutant.tar"

    def parse(data: bytes) -> None:
        path.write_bytes(data)
        load(embedded.hub, path)

    words = [b'"is": ', b"null", b"repos/../../x", b"xorbs/", b"\0", b"9" * 400, b"{}"]
    try_all(mutants([seed], words, ROUNDS // 5), parse, slow=5.0)
    assert http.get("/api/models/owner/fuzzed").status_code == 200
