"""What one Hub exports another imports, whole, checked, and again when there is more."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from hubserver_raw import commit, file, lines
from typer.testing import CliRunner
from xet_raw import shard, xorb

from enfold.cli.hub import app
from enfold.hubserver import EmbeddedHub
from enfold.hubserver.bundle import archive
from enfold.hubserver.bundle.read import load
from enfold.hubserver.bundle.write import export
from enfold.hubserver.errors import HubServerError
from enfold.hubserver.maintenance import check

LARGE, CHUNKS = os.urandom(50_000), [os.urandom(20_000) for _ in range(4)]


def client(hub: EmbeddedHub) -> httpx.Client:
    return httpx.Client(base_url=hub.endpoint, headers={"Authorization": f"Bearer {hub.token}"})


def add_chunks(http: httpx.Client, repo: str, contents: list[bytes]) -> tuple[str, dict[str, Any]]:
    told = http.get(f"/api/models/{repo}/xet-write-token/main").json()
    name, data = xorb(contents)
    with httpx.Client(base_url=told["casUrl"], headers={"Authorization": f"Bearer {told['accessToken']}"}) as cas:
        cas.post(f"/v1/xorbs/default/{name}", content=data).raise_for_status()
        cas.post("/v1/shards", content=shard(contents, [(name, 0, len(contents))])[1]).raise_for_status()
    whole = b"".join(contents)
    values = {"path": "chunks.bin", "algo": "sha256", "oid": hashlib.sha256(whole).hexdigest(), "size": len(whole)}
    return "lfsFile", values


@contextmanager
def filled(folder: Path) -> Iterator[EmbeddedHub]:
    """A Hub with history, branches, tags, a large file, one of chunks, a data set, and a pull request."""
    with EmbeddedHub(folder, durable=False) as hub:
        http = client(hub)
        for body in ({"name": "model", "private": True}, {"name": "data", "type": "dataset", "organization": "guild"}):
            http.post("/api/repos/create", json=body).raise_for_status()
        card = b"---\nlicense: mit\ntags: [shared]\n---\n# A model\n"
        commit(http, "owner/model", file("README.md", card), file("sub/a.txt", b"a" * 40_000)).raise_for_status()
        body = lines(file("large.bin", LARGE), title="a title").replace(
            b'"summary"', b'"description": "more", "summary"'
        )
        headers = {"content-type": "application/x-ndjson"}
        http.post("/api/models/owner/model/commit/main", content=body, headers=headers).raise_for_status()
        commit(http, "owner/model", add_chunks(http, "owner/model", CHUNKS)).raise_for_status()
        http.post("/api/models/owner/model/branch/old", json={"startingPoint": "main"}).raise_for_status()
        http.post("/api/models/owner/model/tag/main", json={"tag": "v1"}).raise_for_status()
        commit(http, "owner/model", ("deletedFile", {"path": "large.bin"})).raise_for_status()
        talk = {"title": "A change", "description": "Please", "pullRequest": True}
        http.post("/api/models/owner/model/discussions", json=talk).raise_for_status()
        yield hub


@pytest.fixture
def source(tmp_path: Path) -> Iterator[EmbeddedHub]:
    with filled(tmp_path / "source") as hub:
        yield hub


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedHub]:
    """What is only read."""
    with filled(tmp_path_factory.mktemp("full")) as hub:
        yield hub


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedHub]:
    """What stays as it is."""
    with EmbeddedHub(tmp_path_factory.mktemp("empty"), durable=False) as hub:
        yield hub


@pytest.fixture
def target(tmp_path: Path) -> Iterator[EmbeddedHub]:
    with EmbeddedHub(tmp_path / "target", durable=False) as hub:
        yield hub


def state(hub: EmbeddedHub) -> dict[str, Any]:
    """What a client sees of everything."""
    http, found = client(hub), dict[str, Any]()
    for kind in ("models", "datasets"):
        for repo in http.get(f"/api/{kind}?full=true").json():
            base = f"/api/{kind}/{repo['id']}"
            found[base] = http.get(f"{base}?blobs=true").json()
            for varying in ("lastModified", "_id", "downloads"):
                del found[base][varying]
            found[base]["refs"] = http.get(f"{base}/refs?include_prs=1").json()
            for branch in found[base]["refs"]["branches"]:
                found[base][branch["name"]] = http.get(f"{base}/commits/{branch['name']}").json()
                for entry in http.get(f"{base}/tree/{branch['name']}?recursive=true").json():
                    if entry["type"] == "file":
                        prefix = "" if kind == "models" else f"{kind}/"
                        address = f"/{prefix}{repo['id']}/resolve/{branch['name']}/{entry['path']}"
                        found[base][entry["path"]] = http.get(address).content
            talks = http.get(f"{base}/discussions").json()
            found[base]["discussions"] = [
                http.get(f"{base}/discussions/{talk['num']}").json() for talk in talks["discussions"]
            ]
    return found


@pytest.mark.parametrize("name", ["bundle.tar", "bundle"])
def test_what_is_exported_is_imported_as_it_was(
    source: EmbeddedHub, target: EmbeddedHub, tmp_path: Path, name: str
) -> None:
    wrote = export(source.hub, tmp_path / name)
    assert wrote.repositories == 2 and wrote.written == wrote.size > 120_000
    took = load(target.hub, tmp_path / name)
    assert took.repositories == ["models/owner/model", "datasets/guild/data"]
    assert (took.objects, took.size) == (wrote.objects, wrote.size)
    assert state(target) == state(source)
    assert state(target)["/api/models/owner/model"]["old"][1]["message"] == "more"
    assert check(target.hub).problems == []
    assert client(target).get("/api/models?filter=license:mit&search=mod").json()[0]["id"] == "owner/model"
    again = load(target.hub, tmp_path / name)
    assert again.repositories == [] and again.objects == 0


def test_a_part_is_chosen_by_name(source: EmbeddedHub, target: EmbeddedHub, tmp_path: Path) -> None:
    export(source.hub, tmp_path / "one.tar", ["guild"])
    assert load(target.hub, tmp_path / "one.tar").repositories == ["datasets/guild/data"]
    export(source.hub, tmp_path / "two.tar", ["owner/model"])
    assert load(target.hub, tmp_path / "two.tar").repositories == ["models/owner/model"]
    with pytest.raises(HubServerError, match="no namespace 'models/none/such'"):
        export(source.hub, tmp_path / "none.tar", ["models/none/such"])


def test_only_what_is_new_goes_the_second_time(source: EmbeddedHub, target: EmbeddedHub, tmp_path: Path) -> None:
    export(source.hub, tmp_path / "first")
    http = client(source)
    commit(http, "owner/model", file("more.bin", os.urandom(40_000))).raise_for_status()
    second = export(source.hub, tmp_path / "second.tar", since=tmp_path / "first/bundle.json")
    assert second.objects == 1 and second.size == 40_000
    with pytest.raises(HubServerError, match="builds on an earlier one"):
        load(target.hub, tmp_path / "second.tar")
    assert state(target) == {}
    load(target.hub, tmp_path / "first")
    assert load(target.hub, tmp_path / "second.tar").repositories == ["models/owner/model"]
    assert state(target) == state(source)


def test_commits_that_only_the_target_has_are_not_lost_unasked(
    source: EmbeddedHub, target: EmbeddedHub, tmp_path: Path
) -> None:
    export(source.hub, tmp_path / "bundle.tar")
    load(target.hub, tmp_path / "bundle.tar")
    http = client(target)
    own = commit(http, "owner/model", file("own.txt", b"own")).json()["commitOid"]
    commit(client(source), "owner/model", file("other.txt", b"other")).raise_for_status()
    export(source.hub, tmp_path / "more.tar")
    with pytest.raises(HubServerError, match="refs/heads/main of owner/model has commits here"):
        load(target.hub, tmp_path / "more.tar")
    assert http.get("/api/models/owner/model").json()["sha"] == own
    load(target.hub, tmp_path / "more.tar", force=True)
    assert http.get("/owner/model/resolve/main/other.txt").text == "other"


@pytest.mark.parametrize("name", ["bundle.tar", "bundle"])
def test_an_interrupted_export_goes_on_where_it_stopped(
    source: EmbeddedHub, target: EmbeddedHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    whole = export(source.hub, tmp_path / "whole.tar")
    real, count = archive._copy, 0

    def stops(source: Any, out: Any, part: str, size: int) -> None:
        nonlocal count
        count += part.startswith(("xorbs/", "blobs/"))
        if count == 2:
            out.write(source.read(100))
            raise OSError("the disk is full")
        real(source, out, part, size)

    with monkeypatch.context() as patch, pytest.raises(OSError, match="full"):
        patch.setattr(archive, "_copy", stops)
        export(source.hub, tmp_path / name)
    if name.endswith(".tar"):
        assert not (tmp_path / name).exists(), "half a bundle has no name"
    done = export(source.hub, tmp_path / name)
    assert 0 < done.written < done.size == whole.size
    load(target.hub, tmp_path / name)
    assert state(target) == state(source)
    if name.endswith(".tar"):
        assert (tmp_path / name).read_bytes() == (tmp_path / "whole.tar").read_bytes()


def test_an_interrupted_import_goes_on_where_it_stopped(
    source: EmbeddedHub, target: EmbeddedHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrote = export(source.hub, tmp_path / "bundle.tar")

    def fails(*arguments: Any, **options: Any) -> None:
        raise OSError("the power is gone")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="power"):
        patch.setattr(target.hub.commits, "describe", fails)
        load(target.hub, tmp_path / "bundle.tar")
    assert state(target) == {}
    took = load(target.hub, tmp_path / "bundle.tar")
    assert wrote.objects > 0 == took.objects
    assert state(target) == state(source)


def rewritten(path: Path, change: Callable[[str, bytes], bytes | None]) -> Path:
    """A copy of a bundle in which parts are changed or (None) left out."""
    target = path.with_name("changed.tar")
    with tarfile.open(path) as old, tarfile.open(target, "w") as new:
        for member in old:
            extracted = old.extractfile(member)
            assert extracted is not None
            data = change(member.name, extracted.read())
            if data is not None:
                entry = tarfile.TarInfo(member.name)
                entry.size = len(data)
                new.addfile(entry, io.BytesIO(data))
    return target


def flipped(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


@pytest.mark.parametrize(
    "change",
    [
        lambda name, data: flipped(data) if name.startswith("xorbs/") else data,
        lambda name, data: flipped(data) if name.startswith("blobs/") else data,
        lambda name, data: data.replace(b'"private": true', b'"private": false') if "repos/" in name else data,
        lambda name, data: None if name.startswith("xorbs/") else data,
        lambda name, data: None if name.startswith("blobs/") else data,
        lambda name, data: None if name.startswith("repos/") else data,
        lambda name, data: None if name == "bundle.json" else data,
        lambda name, data: b"{}" if name == "bundle.json" else data,
        lambda name, data: data.replace(b'"enfold-bundle": 1', b'"enfold-bundle": 9'),
    ],
)
def test_a_damaged_bundle_leaves_the_hub_as_it_was(
    full: EmbeddedHub, target: EmbeddedHub, tmp_path: Path, change: Callable[[str, bytes], bytes | None]
) -> None:
    export(full.hub, tmp_path / "bundle.tar", ["owner/model"])
    with pytest.raises(HubServerError):
        load(target.hub, rewritten(tmp_path / "bundle.tar", change))
    assert state(target) == {}


@pytest.mark.parametrize(
    ("line", "change"),
    [
        ("commit", lambda line: {**line, "oid": "0" * 40}),
        ("tree", lambda line: {**line, "data": "AAAA"}),
        ("blob", lambda line: {**line, "sha256": "0" * 64}),
        ("blob", lambda line: {**line, "oid": "0" * 40}),
        ("blob", lambda line: {**line, "size": 1}),
        ("file", lambda line: {**line, "terms": line["terms"][:0]}),
        ("file", lambda line: {**line, "sha256": "0" * 64}),
        ("repository", lambda line: {**line, "name": "../evil/x"}),
        ("repository", lambda line: {**line, "refs": {"refs/heads/main": "0" * 40}}),
        ("repository", lambda line: {**line, "refs": {"HEAD": "0" * 40}}),
        ("commit", lambda line: {"is": "nonsense"}),
        ("commit", lambda line: None),
        ("tree", lambda line: None),
        ("blob", lambda line: None),
    ],
)
def test_a_forged_bundle_is_refused_though_its_sums_are_right(
    full: EmbeddedHub, empty: EmbeddedHub, tmp_path: Path, line: str, change: Callable[[Any], Any]
) -> None:
    export(full.hub, tmp_path / "bundle", ["owner/model"])
    part = tmp_path / "bundle/repos/000000.jsonl"
    items = [json.loads(text) for text in part.read_text().splitlines()]
    changed = [change(dict(item)) if item["is"] == line else item for item in items]
    part.write_text("".join(json.dumps(item) + "\n" for item in changed if item is not None))
    manifest = json.loads((tmp_path / "bundle/bundle.json").read_text())
    manifest["repositories"][0]["sha256"] = hashlib.sha256(part.read_bytes()).hexdigest()
    (tmp_path / "bundle/bundle.json").write_text(json.dumps(manifest))
    with pytest.raises(HubServerError):
        load(empty.hub, tmp_path / "bundle")
    assert state(empty) == {}


def test_a_signed_bundle_is_believed_and_another_is_not(
    source: EmbeddedHub, target: EmbeddedHub, tmp_path: Path
) -> None:
    keys = []
    for name in ("ours", "theirs"):
        private, public = tmp_path / f"{name}.pem", tmp_path / f"{name}.public.pem"
        subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", private], check=True)
        subprocess.run(["openssl", "pkey", "-in", private, "-pubout", "-out", public], check=True)
        keys.append((private, public))
    (ours, our_public), (_, their_public) = keys
    export(source.hub, tmp_path / "plain.tar")
    export(source.hub, tmp_path / "signed.tar", key=ours)
    for bundle, trusted in (("plain.tar", our_public), ("signed.tar", their_public)):
        with pytest.raises(HubServerError) as refused:
            load(target.hub, tmp_path / bundle, trusted=[trusted])
        assert refused.value.status == 403
    renamed = rewritten(tmp_path / "signed.tar", lambda name, data: data.replace(b'"guild/', b'"other/'))
    with pytest.raises(HubServerError, match="or was changed"):
        load(target.hub, renamed, trusted=[our_public])
    assert state(target) == {} and not list(target.hub.blobs.objects.list())
    load(target.hub, tmp_path / "signed.tar", trusted=[their_public, our_public])
    assert state(target) == state(source)


def test_a_path_in_a_bundle_leads_nowhere(full: EmbeddedHub, empty: EmbeddedHub, tmp_path: Path) -> None:
    export(full.hub, tmp_path / "bundle.tar")
    with pytest.raises(HubServerError, match="does not name"):
        load(empty.hub, rewritten(tmp_path / "bundle.tar", lambda name, data: data) and _with_path(tmp_path))


def _with_path(folder: Path) -> Path:
    with tarfile.open(folder / "changed.tar", "a") as tar:
        entry = tarfile.TarInfo("../../evil")
        entry.size = 1
        tar.addfile(entry, io.BytesIO(b"x"))
    return folder / "changed.tar"


def test_the_commands_carry_a_hub_over(source: EmbeddedHub, tmp_path: Path) -> None:
    source.stop()
    bundle, runner = tmp_path / "all.tar", CliRunner()
    done = runner.invoke(app, ["export", str(bundle), "--data", str(tmp_path / "source")])
    assert done.exit_code == 0 and "2 repositories" in done.output, done.output
    done = runner.invoke(app, ["import", str(bundle), "--data", str(tmp_path / "fresh")])
    assert done.exit_code == 0 and "models/owner/model" in done.output, done.output
    (tmp_path / "no.tar").write_bytes(b"nonsense")
    done = runner.invoke(app, ["import", str(tmp_path / "no.tar"), "--data", str(tmp_path / "fresh")])
    assert done.exit_code == 1 and "is no bundle" in done.output
