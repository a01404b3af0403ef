"""A Hub that fetches from another what it lacks: the same to a client, checked, kept, and there without the other."""

from __future__ import annotations

import hashlib
import http.server
import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from hubserver_raw import commit, file
from test_hubserver_bundle import add_chunks

from enfold.hubserver import EmbeddedHub, upstream
from enfold.hubserver.bundle.write import export
from enfold.hubserver.errors import HubServerError
from enfold.hubserver.maintenance import check, collect

PEER = Path(__file__).parents[2] / ".peers/models/bin/python"
LARGE, CHUNKS = os.urandom(3_000_000), [os.urandom(20_000) for _ in range(4)]


def client(hub: EmbeddedHub, token: str | None = "") -> httpx.Client:
    headers = {} if token is None else {"Authorization": f"Bearer {token or hub.token}"}
    return httpx.Client(base_url=hub.endpoint, headers=headers, timeout=30)


@pytest.fixture
def origin(tmp_path: Path) -> Iterator[EmbeddedHub]:
    """The other Hub: a model with small, large and chunked files, and a private one."""
    with EmbeddedHub(tmp_path / "origin", durable=False) as hub:
        with client(hub) as http:
            for name in ("model", "secret"):
                body = {"name": name, "organization": "lab", "private": name == "secret"}
                http.post("/api/repos/create", json=body).raise_for_status()
                commit(http, f"lab/{name}", file("README.md", b"---\nlicense: mit\n---\n# Hi\n")).raise_for_status()
            commit(http, "lab/model", file("sub/a.txt", b"text " * 20), file("large.bin", LARGE)).raise_for_status()
            commit(http, "lab/model", add_chunks(http, "lab/model", CHUNKS)).raise_for_status()
            http.post("/api/models/lab/model/branch/other", json={}).raise_for_status()
            http.post("/api/models/lab/model/tag/main", json={"tag": "v1"}).raise_for_status()
        yield hub


@pytest.fixture
def cache(tmp_path: Path, origin: EmbeddedHub) -> Iterator[EmbeddedHub]:
    with EmbeddedHub(tmp_path / "cache", durable=False, upstream=origin.endpoint) as hub:
        yield hub


FILES = {"sub/a.txt": b"text " * 20, "large.bin": LARGE, "chunks.bin": b"".join(CHUNKS)}


def test_what_is_lacking_is_fetched_and_the_same(origin: EmbeddedHub, cache: EmbeddedHub) -> None:
    with client(origin, None) as there, client(cache, None) as here:
        infos = [http.get("/api/models/lab/model?blobs=true").json() for http in (there, here)]
        for info in infos:
            for varying in ("_id", "createdAt", "lastModified", "downloads"):
                del info[varying]
        assert infos[0] == infos[1]
        trees = [http.get("/api/models/lab/model/tree/v1?recursive=true").json() for http in (there, here)]
        for entry in trees[0]:
            entry.pop("xetHash", None)
        assert trees[0] == trees[1]
        refs = [http.get("/api/models/lab/model/refs").json() for http in (there, here)]
        assert refs[0] == refs[1] and {ref["name"] for ref in refs[1]["branches"]} == {"main", "other"}
        for path, data in FILES.items():
            heads = [http.head(f"/lab/model/resolve/main/{path}").headers for http in (there, here)]
            for name in ("etag", "content-length", "x-repo-commit"):
                assert heads[0][name] == heads[1][name], (path, name)
            assert here.get(f"/lab/model/resolve/main/{path}").content == data
            assert here.get(f"/lab/model/resolve/main/{path}", headers={"Range": "bytes=3-9"}).content == data[3:10]
        assert here.get("/api/models?filter=license:mit").json()[0]["id"] == "lab/model"
        assert check(cache.hub).problems == []
        collect(cache.hub, now=time.time() + 30 * 86_400)
        assert here.get("/lab/model/resolve/main/large.bin").content == LARGE
        assert here.get("/lab/model/resolve/other/.gitattributes").status_code == 200
        assert check(cache.hub).problems == []


def test_other_names_of_a_repository_lead_to_its_copy(origin: EmbeddedHub, cache: EmbeddedHub) -> None:
    origin.add_alias("model", "lab/model")
    with client(origin) as there, client(cache, None) as here:
        there.post("/api/repos/create", json={"name": "old", "organization": "lab"}).raise_for_status()
        commit(there, "lab/old", file("a.txt", b"a")).raise_for_status()
        there.post("/api/repos/move", json={"fromRepo": "lab/old", "toRepo": "lab/new"}).raise_for_status()
        here.follow_redirects = True
        for asked, name, path in (("model", "lab/model", "sub/a.txt"), ("lab/old", "lab/new", "a.txt")):
            assert here.get(f"/api/models/{asked}").json()["id"] == name
            assert here.get(f"/{asked}/resolve/main/{path}").content == FILES.get(path, b"a")
            assert here.get(f"/api/models/{name}").json()["sha"] == there.get(f"/api/models/{name}").json()["sha"]
        assert {found["id"] for found in here.get("/api/models").json()} == {"lab/model", "lab/new"}
        assert here.get("/api/models/unknown").status_code == 401
        origin.stop()
        assert here.get("/model/resolve/main/sub/a.txt").status_code == 200


def test_a_copy_stays_when_its_original_moves(
    origin: EmbeddedHub, cache: EmbeddedHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    with client(origin) as there, client(cache, None) as here:
        here.get("/api/models/lab/model").raise_for_status()
        there.post("/api/repos/move", json={"fromRepo": "lab/model", "toRepo": "lab/moved"}).raise_for_status()
        new = commit(there, "lab/moved", file("new.txt", b"new")).json()["commitOid"]
        assert here.get(f"/lab/model/resolve/{new}/new.txt").text == "new"
        assert here.get("/api/models/lab/model").json()["sha"] == new
        assert here.get("/lab/model/resolve/main/sub/a.txt").content == FILES["sub/a.txt"]


def test_nobody_learns_of_a_private_repository_by_another_name_of_the_upstreams(
    origin: EmbeddedHub, cache: EmbeddedHub
) -> None:
    origin.add_alias("model", "lab/model")
    with client(cache) as here:
        here.post("/api/repos/create", json={"name": "model", "organization": "lab", "private": True})
    with client(cache, None) as anybody:
        assert anybody.get("/api/models/model").status_code == 401
        assert anybody.get("/model/resolve/main/README.md").status_code == 401


def test_what_was_fetched_is_there_without_the_other(origin: EmbeddedHub, cache: EmbeddedHub) -> None:
    with client(cache, None) as here:
        sha = here.get("/api/models/lab/model").json()["sha"]
        assert here.get("/lab/model/resolve/main/large.bin").content == LARGE
        origin.stop()
        assert here.get("/api/models/lab/model").json()["sha"] == sha
        assert here.get("/lab/model/resolve/main/large.bin").content == LARGE
        assert here.get(f"/lab/model/resolve/{sha}/large.bin").content == LARGE
        assert here.get("/lab/model").status_code == 200
        missing = here.get("/lab/model/resolve/main/sub/a.txt", headers={"Range": "bytes=0-3"})
        assert missing.status_code == 504 and "cannot be reached" in missing.json()["error"]
        assert here.get("/api/models/lab/unknown").status_code == 504


def test_a_branch_is_served_as_it_was_while_it_is_asked_whether_it_moved(
    origin: EmbeddedHub, cache: EmbeddedHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    with client(origin) as there, client(cache, None) as here:
        old = here.get("/api/models/lab/model").json()["sha"]
        new = commit(there, "lab/model", file("new.txt", b"new")).json()["commitOid"]
        assert here.get("/api/models/lab/model").json()["sha"] == old, "it is fresh"
        monkeypatch.setattr(upstream, "FRESH", 0.0)
        assert here.get("/api/models/lab/model").json()["sha"] == old
        deadline = time.monotonic() + 10
        while here.get("/api/models/lab/model").json()["sha"] != new and time.monotonic() < deadline:
            time.sleep(0.02)
        assert here.get("/lab/model/resolve/main/new.txt").text == "new"
        assert here.get(f"/lab/model/resolve/{old}/large.bin").status_code == 200, "the old commit stays"


def test_a_commit_that_is_named_is_fetched_at_once(origin: EmbeddedHub, cache: EmbeddedHub) -> None:
    with client(origin) as there, client(cache, None) as here:
        here.get("/api/models/lab/model").raise_for_status()
        new = commit(there, "lab/model", file("new.txt", b"new")).json()["commitOid"]
        assert here.get(f"/lab/model/resolve/{new}/new.txt").text == "new"
        assert here.get(f"/lab/model/resolve/{'0' * 40}/new.txt").status_code == 404


def test_several_ask_at_once_and_it_is_fetched_once(origin: EmbeddedHub, cache: EmbeddedHub) -> None:
    got: list[bytes] = []

    def download() -> None:
        with client(cache, None) as here:
            got.append(here.get("/lab/model/resolve/main/large.bin").content)

    threads = [threading.Thread(target=download) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == [LARGE] * 6
    with client(origin) as there:
        assert there.get("/api/models/lab/model").json()["downloads"] <= 2, "the card, and the file"


def test_what_is_private_there_is_not_here(origin: EmbeddedHub, cache: EmbeddedHub, tmp_path: Path) -> None:
    for token in ("", None):
        with client(cache, token) as here:
            assert here.get("/api/models/lab/secret").status_code in {401, 404}
    settings = {"upstream": origin.endpoint, "upstream_token": origin.token}
    with EmbeddedHub(tmp_path / "insider", durable=False, **settings) as insider:
        with client(insider, None) as anybody, client(insider) as owner:
            assert owner.get("/api/models/lab/secret").json()["private"] is True
            assert owner.get("/lab/secret/resolve/main/README.md").status_code == 200
            assert anybody.get("/api/models/lab/secret").status_code == 401
            assert anybody.get("/lab/secret/resolve/main/README.md").status_code == 401
            assert anybody.get("/api/models?author=lab").json() == []
        assert origin.token not in repr(insider.hub.settings)


def test_ones_own_repositories_are_ones_own(origin: EmbeddedHub, cache: EmbeddedHub) -> None:
    with client(cache) as here:
        here.post("/api/repos/create", json={"name": "model", "organization": "mine"}).raise_for_status()
        assert commit(here, "mine/model", file("a", b"a")).status_code == 200
        here.get("/api/models/lab/model").raise_for_status()
        refused = commit(here, "lab/model", file("a", b"a"))
        assert refused.status_code == 403 and "change it there" in refused.json()["error"]
        cloned = here.get("/lab/model.git/info/refs?service=git-upload-pack")
        assert cloned.status_code == 400 and "clone it from there" in cloned.text
        with pytest.raises(HubServerError, match="no repository of its own"):
            export(cache.hub, cache.hub.settings.folder / "bundle", ["lab/model"])
        # The same name, private here: nobody learns of it by what the upstream has.
        here.post("/api/repos/create", json={"name": "secret", "organization": "lab", "private": True})
    with client(cache, None) as anybody:
        assert anybody.get("/api/models/lab/secret").status_code == 401


def test_another_content_than_was_announced_is_not_kept(origin: EmbeddedHub, cache: EmbeddedHub) -> None:
    with client(cache, None) as here:
        here.get("/api/models/lab/model").raise_for_status()
        large = origin.hub.blobs.source(hashlib.sha256(LARGE).hexdigest())
        assert isinstance(large, Path)
        large.write_bytes(LARGE[:-1] + b"x")
        with pytest.raises(httpx.RemoteProtocolError):
            here.get("/lab/model/resolve/main/large.bin")
        refused = here.get("/lab/model/resolve/main/large.bin", headers={"Range": "bytes=0-9"})
        assert refused.status_code == 502 and "another content" in refused.json()["error"]
        large.write_bytes(LARGE)
        assert here.get("/lab/model/resolve/main/large.bin").content == LARGE


@contextmanager
def fake(answers: dict[str, tuple[int, dict[str, str], Any]]) -> Iterator[tuple[str, list[tuple[str, str | None]]]]:
    """An upstream that answers as it is told; yield its address, and what it was asked with which token."""
    asked: list[tuple[str, str | None]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append((self.path, self.headers.get("Authorization")))
            status, headers, body = answers.get(self.path.partition("?")[0], (404, {}, {}))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *arguments: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()


SHA = "1" * 40
OID = hashlib.sha1(b"blob 3\0abc").hexdigest()
REPO: dict[str, tuple[int, dict[str, str], Any]] = {
    "/api/models/lab/m/revision/main": (200, {}, {"id": "lab/m", "sha": SHA}),
    f"/api/models/lab/m/tree/{SHA}": (200, {}, [{"type": "file", "path": "a", "oid": OID, "size": 3}]),
    "/api/models/lab/m/refs": (200, {}, {"branches": [{"ref": "refs/heads/main", "targetCommit": SHA}]}),
    f"/lab/m/resolve/{SHA}/a": (200, {}, b"abc"),
}


def test_no_callers_token_reaches_the_upstream(tmp_path: Path) -> None:
    with fake(REPO) as (address, asked), EmbeddedHub(tmp_path, durable=False, upstream=address) as hub:
        with client(hub) as here:
            assert here.get("/lab/m/resolve/main/a").content == b"abc"
        assert asked and {token for _, token in asked} == {None}
        asked.clear()
        settings = {"upstream": address, "upstream_token": "hf_ours"}
        with EmbeddedHub(tmp_path / "two", durable=False, **settings) as two, client(two) as here:
            here.get("/lab/m/resolve/main/a").raise_for_status()
        assert {token for _, token in asked} == {"Bearer hf_ours"}


def test_a_redirect_leads_neither_inside_nor_takes_the_token_along(tmp_path: Path) -> None:
    with fake({"/a": (200, {}, b"abc"), "/inside": (200, {}, b"abc")}) as (elsewhere, met):
        leads = {**REPO, f"/lab/m/resolve/{SHA}/a": (302, {"Location": f"{elsewhere}/inside"}, b"")}
        with fake(leads) as (address, _):
            settings = {"upstream": address, "upstream_token": "hf_ours"}
            with EmbeddedHub(tmp_path, durable=False, **settings) as hub, client(hub) as here:
                answer = here.get("/lab/m/resolve/main/a", headers={"Range": "bytes=0-1"})
        assert answer.status_code == 502 and "inside this network" in answer.json()["error"]
        assert met == []


@pytest.mark.parametrize(
    "change",
    [
        {"/api/models/lab/m/revision/main": (200, {}, b"nonsense")},
        {"/api/models/lab/m/revision/main": (200, {}, {"id": "lab/m"})},
        {"/api/models/lab/m/revision/main": (200, {}, {"id": "../../etc", "sha": SHA})},
        {"/api/models/lab/m/revision/main": (500, {}, {})},
        {f"/api/models/lab/m/tree/{SHA}": (200, {}, [{"type": "file", "path": "../a", "oid": OID, "size": 3}])},
        {"/api/models/lab/m/revision/main": (302, {"Location": "/api/models/lab/m/revision/main"}, b"")},
    ],
)
def test_an_upstream_that_answers_nonsense_changes_nothing(tmp_path: Path, change: dict[str, Any]) -> None:
    with (
        fake({**REPO, **change}) as (address, _),
        EmbeddedHub(tmp_path, durable=False, upstream=address) as hub,
        client(hub) as here,
    ):
        assert 400 <= here.get("/api/models/lab/m").status_code < 600
        assert here.get("/api/models?author=lab").json() == []


def test_an_upstream_has_an_address() -> None:
    for address in ("ftp://hub.invalid", "https://user:password@hub.invalid", "hub.invalid"):
        with pytest.raises(HubServerError, match="no address of a Hub"):
            upstream.Upstream(address, None, **dict.fromkeys(_PARTS))  # type: ignore[arg-type]


_PARTS = ("database", "accounts", "repositories", "commits", "blobs", "limits")


@pytest.mark.peer
def test_the_official_client_takes_the_cache_for_the_hub(cache: EmbeddedHub, tmp_path: Path) -> None:
    code = """
import pathlib, sys
from huggingface_hub import HfApi, snapshot_download
folder = pathlib.Path(snapshot_download("lab/model", revision="v1"))
print(sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()))
print(HfApi().model_info("lab/model").sha == folder.name)
"""
    environment = {"HF_ENDPOINT": cache.endpoint, "HF_HOME": str(tmp_path / "home"), "PATH": "/usr/bin"}
    run = subprocess.run([PEER, "-c", code], env=environment, capture_output=True, text=True, timeout=60)
    assert run.stdout.splitlines() == [
        "['.gitattributes', 'README.md', 'chunks.bin', 'large.bin', 'sub/a.txt']",
        "True",
    ], run.stdout + run.stderr
