"""The Hub's API as requests and answers: rights, ranges, redirects, limits, and what it refuses."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from hubserver_raw import commit, file, lines
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from enfold.hubserver import EmbeddedHub
from enfold.hubserver.commits import AddFile
from enfold.hubserver.files import byte_range
from enfold.hubserver.ndjson import CommitBody
from enfold.hubserver.settings import Limits
from enfold.hubserver.store.blobs import BlobStore
from enfold.hubserver.store.objects import Folder, open_source

CONTENT = bytes(range(256)) * 4


@pytest.fixture
def stored(http: httpx.Client, name: str) -> str:
    assert commit(http, name, file("dir/data.txt", CONTENT), file("empty", b"")).status_code == 200
    return name


def test_every_answer_has_a_request_id(http: httpx.Client, anonymous: httpx.Client, stored: str) -> None:
    seen = set()
    for client, address in ((http, f"/{stored}/resolve/main/dir/data.txt"), (anonymous, "/api/none"), (anonymous, "/")):
        answer = client.get(address)
        assert answer.headers["x-content-type-options"] == "nosniff"
        seen.add(answer.headers["x-request-id"])
    assert len(seen) == 3


def test_a_file_is_described_and_sent(anonymous: httpx.Client, stored: str) -> None:
    address = f"/{stored}/resolve/main/dir/data.txt"
    head, got = anonymous.head(address), anonymous.get(address)
    assert got.content == CONTENT and head.content == b""
    for answer in (head, got):
        oid = hashlib.sha1(b"blob %d\0" % len(CONTENT) + CONTENT).hexdigest()
        assert answer.headers["etag"] == f'"{oid}"'
        assert answer.headers["content-length"] == str(len(CONTENT))
        assert len(answer.headers["x-repo-commit"]) == 40
        assert answer.headers["accept-ranges"] == "bytes"
        assert "x-linked-etag" not in answer.headers and "content-encoding" not in answer.headers
    assert anonymous.get(f"/{stored}/resolve/main/empty").content == b""
    assert anonymous.get(address, headers={"if-none-match": got.headers["etag"]}).status_code == 304
    by_commit = anonymous.get(f"/{stored}/resolve/{got.headers['x-repo-commit']}/dir/data.txt")
    assert by_commit.content == CONTENT


@pytest.mark.parametrize(
    ("header", "part"),
    [
        ("bytes=0-0", (0, 1)),
        ("bytes=10-19", (10, 20)),
        ("bytes=1000-", (1000, 1024)),
        ("bytes=1000-5000", (1000, 1024)),
        ("bytes=-24", (1000, 1024)),
        ("bytes=-5000", (0, 1024)),
    ],
)
def test_parts_of_a_file(anonymous: httpx.Client, stored: str, header: str, part: tuple[int, int]) -> None:
    answer = anonymous.get(f"/{stored}/resolve/main/dir/data.txt", headers={"range": header})
    assert answer.status_code == 206
    assert answer.content == CONTENT[part[0] : part[1]]
    assert answer.headers["content-range"] == f"bytes {part[0]}-{part[1] - 1}/1024"


@pytest.mark.parametrize("header", ["bytes=1024-", "bytes=5000-6000", "bytes=-0"])
def test_a_part_behind_the_end_is_refused(anonymous: httpx.Client, stored: str, header: str) -> None:
    answer = anonymous.get(f"/{stored}/resolve/main/dir/data.txt", headers={"range": header})
    assert answer.status_code == 416 and answer.headers["content-range"] == "bytes */1024"


@pytest.mark.parametrize("header", ["bytes=9-3", "lines=1-2", "bytes=a-b", "bytes=0-1,5-6", "bytes=-"])
def test_a_range_that_says_nothing_is_ignored(anonymous: httpx.Client, stored: str, header: str) -> None:
    answer = anonymous.get(f"/{stored}/resolve/main/dir/data.txt", headers={"range": header})
    assert answer.status_code == 200 and answer.content == CONTENT


def test_a_range_of_another_version_sends_the_whole(anonymous: httpx.Client, stored: str) -> None:
    headers = {"range": "bytes=0-9", "if-range": '"other"'}
    assert anonymous.get(f"/{stored}/resolve/main/dir/data.txt", headers=headers).status_code == 200


@given(start=st.integers(0, 50), stop=st.integers(0, 50), size=st.integers(1, 40))
def test_ranges_are_what_slices_are(start: int, stop: int, size: int) -> None:
    content = bytes(range(size))
    if start < size and stop >= start:
        first, last = byte_range(f"bytes={start}-{stop}", size) or (0, 0)
        assert content[first:last] == content[start : stop + 1]


def test_what_is_private_looks_like_what_is_not_there(
    http: httpx.Client, anonymous: httpx.Client, embedded: EmbeddedHub, stored: str
) -> None:
    http.put(f"/api/models/{stored}/settings", json={"private": True})
    stranger = httpx.Client(
        base_url=embedded.endpoint, headers={"Authorization": f"Bearer {embedded.create_user('stranger')}"}
    )
    lfs = {"operation": "download", "objects": [{"oid": "0" * 64, "size": 1}]}
    for path, method, options in [
        ("/api/models/{}", "GET", {}),
        ("/api/models/{}/revision/main", "GET", {}),
        ("/api/models/{}/tree/main", "GET", {}),
        ("/api/models/{}/refs", "GET", {}),
        ("/api/models/{}/commits/main", "GET", {}),
        ("/api/models/{}/auth-check", "GET", {}),
        ("/api/models/{}/discussions", "GET", {}),
        ("/{}/resolve/main/dir/data.txt", "GET", {}),
        ("/{}/resolve/main/dir/data.txt", "HEAD", {}),
        ("/{}/raw/main/dir/data.txt", "GET", {}),
        ("/{}/blob/main/dir/data.txt", "GET", {}),
        ("/{}/tree/main", "GET", {}),
        ("/{}", "GET", {}),
        ("/api/models/{}/paths-info/main", "POST", {"data": {"paths": ["dir"]}}),
        ("/api/models/{}/preupload/main", "POST", {"json": {"files": []}}),
        ("/api/models/{}/commit/main", "POST", {"content": lines(file("x", b"x"))}),
        ("/api/models/{}/branch/b", "POST", {"json": {}}),
        ("/api/models/{}/tag/main", "POST", {"json": {"tag": "t"}}),
        ("/api/models/{}/settings", "PUT", {"json": {"private": False}}),
        ("/{}.git/info/lfs/objects/batch", "POST", {"json": lfs}),
    ]:
        for client, status in ((anonymous, 401), (stranger, 404)):
            answers = [client.request(method, path.format(repo), **options) for repo in (stored, "owner/never-made")]
            assert [answer.status_code for answer in answers] == [status, status], path
            assert {answer.headers["x-error-code"] for answer in answers} == {"RepoNotFound"}
            assert answers[0].text == answers[1].text
    assert stored not in stranger.get("/api/models?limit=1000").text
    assert stored not in anonymous.get("/").text
    assert http.get(f"/{stored}/resolve/main/dir/data.txt").content == CONTENT
    assert "private" in http.get(f"/{stored}/resolve/main/dir/data.txt").headers["cache-control"]


def test_a_wrong_token_is_told_so_even_where_none_is_needed(anonymous: httpx.Client, stored: str) -> None:
    answer = anonymous.get(f"/api/models/{stored}", headers={"Authorization": "Bearer hf_wrong"})
    assert answer.status_code == 401 and "x-error-code" not in answer.headers
    assert answer.json()["error"] == "Invalid credentials in Authorization header"


def test_what_is_missing_says_which_kind_it_is(anonymous: httpx.Client, stored: str) -> None:
    absent = anonymous.get(f"/{stored}/resolve/main/none.txt")
    assert (absent.status_code, absent.headers["x-error-code"]) == (404, "EntryNotFound")
    assert len(absent.headers["x-repo-commit"]) == 40
    for address in (f"/{stored}/resolve/none/x", f"/api/models/{stored}/revision/none"):
        answer = anonymous.get(address)
        assert (answer.status_code, answer.headers["x-error-code"]) == (404, "RevisionNotFound")
    assert anonymous.get(f"/{stored}/resolve/main/dir").headers["x-error-code"] == "EntryNotFound"
    assert anonymous.post(f"/{stored}/resolve/main/dir/data.txt").status_code == 405


def test_a_commit_of_one_repository_is_not_one_of_another(http: httpx.Client, stored: str) -> None:
    http.post("/api/repos/create", json={"name": "owner/elsewhere"})
    sha = http.get(f"/api/models/{stored}").json()["sha"]
    answer = http.get(f"/owner/elsewhere/resolve/{sha}/dir/data.txt")
    assert answer.headers["x-error-code"] == "RevisionNotFound"


def test_other_names_lead_to_the_repository(http: httpx.Client, anonymous: httpx.Client, embedded: EmbeddedHub) -> None:
    http.post("/api/repos/create", json={"name": "gpt2", "organization": "openai-community"})
    commit(http, "openai-community/gpt2", file("config.json", b"{}"))
    embedded.add_alias("gpt2", "openai-community/gpt2")
    moved = anonymous.head("/gpt2/resolve/main/config.json")
    assert moved.status_code == 307 and moved.headers["location"] == "/openai-community/gpt2/resolve/main/config.json"
    assert anonymous.get("/gpt2/resolve/main/config.json", follow_redirects=True).content == b"{}"
    moved = anonymous.get("/api/models/gpt2/revision/main?blobs=true")
    assert moved.headers["location"] == "/api/models/openai-community/gpt2/revision/main?blobs=true"
    for name in ("model", "main", "api-model"):  # words that are in addresses anyway
        embedded.add_alias(name, "openai-community/gpt2")
        moved = anonymous.get(f"/api/models/{name}/revision/main")
        assert moved.headers["location"] == "/api/models/openai-community/gpt2/revision/main"
    assert commit(http, "gpt2", file("a", b"a")).status_code == 200  # writing needs no redirect
    assert anonymous.get("/openai-community/gpt2/resolve/main/a").content == b"a"
    # The other way round: only the short name's partner exists.
    embedded.add_alias("openai-gpt", "owner/other-name")
    embedded.add_alias("old/first", "openai-community/gpt2")
    assert anonymous.get("/old/first/resolve/main/a", follow_redirects=True).content == b"a"
    assert anonymous.get("/openai-gpt/resolve/main/a").status_code == 401
    http.post("/api/repos/create", json={"name": "other-name"})
    assert anonymous.get("/api/models/openai-gpt", follow_redirects=True).json()["id"] == "owner/other-name"


BAD_PATHS = ["../x", "/x", "a//b", "a/../b", ".git/config", "a/.GIT/x", "a\\b", "x\n", "a/./b", "", "x" * 300, "\ud800"]


@pytest.mark.parametrize("path", BAD_PATHS)
def test_a_path_cannot_leave_its_repository(http: httpx.Client, stored: str, path: str) -> None:
    head = http.get(f"/api/models/{stored}").json()["sha"]
    answer = commit(http, stored, file("fine.txt", b"x"), file(path, b"x"))
    assert answer.status_code == 400 and "path" in answer.json()["error"].lower()
    assert http.get(f"/api/models/{stored}").json()["sha"] == head
    body = {"files": [{"path": path, "size": 1, "sample": ""}]}
    assert http.post(f"/api/models/{stored}/preupload/main", content=json.dumps(body)).status_code == 400


@pytest.mark.parametrize(
    "address", ["/static/..%2f..%2fpages.py", "/static/%2e%2e/pages.py", "/lfs-objects/1/..%2f..%2fx"]
)
def test_an_address_cannot_leave_the_store(anonymous: httpx.Client, address: str) -> None:
    assert anonymous.get(address).status_code in {400, 401, 403, 404}


@pytest.mark.parametrize("bad", ["a--b", "..", "x.git", "a b", "-x", "tree", "é", "a" * 97, "x."])
def test_a_name_that_would_not_work_is_refused(http: httpx.Client, bad: str) -> None:
    assert http.post("/api/repos/create", json={"name": bad, "organization": "owner"}).status_code == 400


def test_a_file_and_a_folder_cannot_share_a_name(http: httpx.Client, stored: str) -> None:
    assert commit(http, stored, file("dir", b"x")).status_code == 400
    assert commit(http, stored, file("empty/x", b"x")).status_code == 400
    assert commit(http, stored, ("deletedFile", {"path": "empty"}), file("empty/x", b"x")).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        b"not json\n",
        b"[]\n",
        b'{"key": "file"}\n',
        b'{"key": "file", "value": {"path": "a"}}\n',
        b'{"key": "file", "value": {"path": "a", "content": "%%%", "encoding": "base64"}}\n',
        b'{"key": "file", "value": {"path": "a", "encoding": "base64", "content": "' + b"A" * 200_001 + b'"}}\n',
        b'{"key": "file", "value": {"path": "a", "encoding": "base64", "content": "' + b"A" * 200_000,
        b'{"key": "file", "value": {"path": 3, "content": ""}}\n',
        b'{"key": "nonsense", "value": {"path": "a"}}\n',
        b'{"key": "lfsFile", "value": {"path": "a", "algo": "md5", "oid": "0"}}\n',
    ],
)
def test_a_body_that_makes_no_sense_changes_nothing(http: httpx.Client, stored: str, body: bytes) -> None:
    head = http.get(f"/api/models/{stored}").json()["sha"]
    answer = http.post(f"/api/models/{stored}/commit/main", content=lines(file("x", b"x")) + body)
    assert answer.status_code == 400, answer.text
    assert http.get(f"/api/models/{stored}").json()["sha"] == head


def test_a_stale_parent_is_refused(http: httpx.Client, stored: str) -> None:
    head = http.get(f"/api/models/{stored}").json()["sha"]
    assert commit(http, stored, file("a", b"1"), parent=head).status_code == 200
    answer = commit(http, stored, file("b", b"2"), parent=head)
    assert answer.status_code == 412 and "Please refresh" in answer.json()["error"]
    repeated = commit(http, stored, file("a", b"1"), parent=head)
    assert repeated.json()["commitOid"] == http.get(f"/api/models/{stored}").json()["sha"]
    assert commit(http, stored).status_code == 200  # an empty commit does no harm


def _upload(http: httpx.Client, name: str, content: bytes) -> tuple[str, dict[str, str] | None]:
    oid = hashlib.sha256(content).hexdigest()
    body = {"operation": "upload", "transfers": ["basic"], "objects": [{"oid": oid, "size": len(content)}]}
    answer = http.post(f"/{name}.git/info/lfs/objects/batch", json=body).json()["objects"][0]
    return oid, answer.get("actions", {}).get("upload")


def test_a_large_file_goes_by_lfs(http: httpx.Client, anonymous: httpx.Client, name: str) -> None:
    content = os.urandom(300_000)
    oid, action = _upload(http, name, content)
    assert action is not None
    assert anonymous.put(action["href"], content=content[:-1]).status_code == 422
    assert anonymous.put(action["href"], content=content[:-1] + b"x" * 2).status_code == 413
    assert anonymous.put(action["href"], content=content[:-1] + b"?").status_code == 422
    assert anonymous.put(action["href"], content=content).status_code == 200
    assert commit(http, name, ("lfsFile", {"path": "w.bin", "algo": "sha256", "oid": oid})).status_code == 200
    head = anonymous.head(f"/{name}/resolve/main/w.bin")
    assert head.headers["etag"] == f'"{oid}"' == head.headers["x-linked-etag"]
    assert head.headers["x-linked-size"] == "300000"
    assert anonymous.get(f"/{name}/resolve/main/w.bin", headers={"range": "bytes=299990-"}).content == content[-10:]
    assert _upload(http, name, content)[1] is None
    (entry,) = http.post(f"/api/models/{name}/paths-info/main", data={"paths": ["w.bin"]}).json()
    assert entry["lfs"] == {"oid": oid, "size": 300_000, "pointerSize": 131}
    download = {"operation": "download", "objects": [{"oid": oid, "size": 300_000}]}
    batch = anonymous.post(f"/{name}.git/info/lfs/objects/batch", json=download).json()
    assert anonymous.get(batch["objects"][0]["actions"]["download"]["href"]).content == content


def test_clients_that_leave_it_to_the_hub_send_chunks_if_they_can(http: httpx.Client, name: str) -> None:
    content = os.urandom(1000)
    what = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content)}

    def way(operation: str, *transfers: str) -> str:
        body = {"operation": operation, "transfers": list(transfers), "objects": [what]}
        return str(http.post(f"/{name}.git/info/lfs/objects/batch", json=body).json()["transfer"])

    assert way("upload", "basic", "multipart", "xet") == "xet"
    assert way("upload", "basic", "multipart") == way("download", "basic", "xet") == "basic"
    _, action = _upload(http, name, content)
    assert action is not None and http.put(action["href"], content=content).status_code == 200
    assert way("upload", "basic", "multipart", "xet") == "basic"  # nothing is missing


def test_a_listing_goes_on_behind_any_entry(http: httpx.Client, name: str) -> None:
    paths = ["a.txt", "b/c/d.txt", "b/c/e.txt", "b/f.txt", "b.txt", "g/h.txt", "z.txt", "ß/ö.txt"]
    commit(http, name, *[file(path, path.encode()) for path in paths]).raise_for_status()

    def pages(path: str, limit: int, recursive: bool) -> list[str]:
        found: list[str] = []
        address = f"/api/models/{name}/tree/main{path}?limit={limit}&recursive={recursive}"
        while address:
            answer = http.get(address).raise_for_status()
            assert 0 < len(answer.json()) <= limit
            found += [entry["path"] for entry in answer.json()]
            address = answer.links.get("next", {}).get("url", "")
        return found

    for path in ("", "/b", "/b/c"):
        for recursive in (True, False):
            whole = pages(path, 1000, recursive)
            assert all(pages(path, limit, recursive) == whole for limit in (1, 2, 3))
    assert [path for path in pages("", 2, True) if path.endswith(".txt")] == sorted(
        paths, key=lambda path: path.encode()
    )
    for cursor in ("none", "b/none", "a.txt/x", "/"):
        assert http.get(f"/api/models/{name}/tree/main?recursive=true", params={"cursor": cursor}).status_code == 400


def test_knowing_a_hash_gives_no_right_to_the_content(http: httpx.Client, embedded: EmbeddedHub, name: str) -> None:
    content = os.urandom(1000)
    oid, action = _upload(http, name, content)
    assert action is not None and http.put(action["href"], content=content).status_code == 200
    thief = httpx.Client(
        base_url=embedded.endpoint, headers={"Authorization": f"Bearer {embedded.create_user('thief')}"}
    )
    thief.post("/api/repos/create", json={"name": "loot"})
    stolen = commit(thief, "thief/loot", ("lfsFile", {"path": "x", "algo": "sha256", "oid": oid}))
    assert stolen.status_code == 422
    _, own = _upload(thief, "thief/loot", content)
    assert own is not None  # it must show that it has the content
    assert thief.put(own["href"], content=os.urandom(1000)).status_code == 422


def test_a_signed_address_is_for_one_thing(http: httpx.Client, anonymous: httpx.Client, name: str) -> None:
    content = b"signed"
    _, action = _upload(http, name, content)
    assert action is not None
    href = action["href"]
    other = hashlib.sha256(b"other!").hexdigest()
    parts = urlsplit(href)
    for wrong in (
        href.replace(hashlib.sha256(content).hexdigest(), other),
        href.replace("size=6", "size=7"),
        href.replace("expires=", "expires=9"),
        href.split("?")[0],
        href[:-1] + ("0" if href[-1] != "0" else "1"),
    ):
        assert anonymous.put(wrong, content=b"other!").status_code == 403
    assert anonymous.get(href).status_code == 403
    assert parts.path.startswith("/lfs-objects/")


def test_large_and_binary_files_come_before_the_commit(http: httpx.Client, name: str) -> None:
    files = {
        "files": [
            {"path": "a.txt", "size": 10, "sample": ""},
            {"path": "w.safetensors", "size": 10, "sample": ""},
            {"path": "big.txt", "size": 50_000_000, "sample": ""},
        ]
    }
    answer = http.post(f"/api/models/{name}/preupload/main", json=files)
    assert [item["uploadMode"] for item in answer.json()["files"]] == ["regular", "lfs", "lfs"]


def test_a_weight_file_inside_a_commit_is_stored_as_lfs_all_the_same(http: httpx.Client, name: str) -> None:
    content = os.urandom(500_000)
    assert commit(http, name, file("w.safetensors", content)).status_code == 200
    (entry,) = http.post(f"/api/models/{name}/paths-info/main", data={"paths": ["w.safetensors"]}).json()
    assert entry["lfs"]["oid"] == hashlib.sha256(content).hexdigest()


def test_sizes_are_limited(http: httpx.Client, embedded: EmbeddedHub, name: str, tmp_path: Path) -> None:
    small = replace(Limits(), commit_file=100_000, commit_body=300_000, commit_operations=3)
    store = BlobStore(Folder(tmp_path, durable=False))
    for body, words in [
        (lines(file("a", b"x" * 100_001)), "larger than the 100000"),
        (lines(*[file(str(number), b"x" * 60_000) for number in range(5)]), "commit is larger"),
        (lines(*[file(str(number), b"x") for number in range(4)]), "3 operations"),
    ]:
        parser = CommitBody(store, small)
        with pytest.raises(Exception, match=words):
            parser.feed(body)
            parser.finish()
        parser.close()
        assert not list((tmp_path / "tmp").iterdir())
    too_long = {"files": [{"path": "a", "size": 1, "sample": ""}] * 257}
    assert http.post(f"/api/models/{name}/preupload/main", json=too_long).status_code == 400
    assert http.post("/api/validate-yaml", content=b"x" * 1_100_000).status_code == 413


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_commit_reads_the_same_however_it_is_cut(tmp_path: Path, data: st.DataObject) -> None:
    contents = [*data.draw(st.lists(st.binary(max_size=40), max_size=3)), b"\xff\xfe" * 60_000, b"y" * 120_001]
    body = lines(
        *[file(f"f{number}", content) for number, content in enumerate(contents)], ("deletedFile", {"path": "d"})
    )
    store = BlobStore(Folder(tmp_path, durable=False))
    parser = CommitBody(store, Limits())
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=12)))
    for start, stop in zip([0, *cuts], [*cuts, len(body)], strict=True):
        parser.feed(body[start:stop])
    _, operations = parser.finish()
    added = [item for item in operations if isinstance(item, AddFile)]
    kept = [
        open_source(store.source(item.stored.sha256)).read(1 << 30) if item.data is None else item.data
        for item in added
    ]
    assert kept == contents
    assert [item.sample for item in added] == [content[:512] for content in contents]
    assert len(operations) == len(contents) + 1


def test_metadata_is_checked_before_it_is_taken(http: httpx.Client, name: str) -> None:
    bomb = "a: &a [x, x]\n" + "".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [*{chr(97 + n)}, *{chr(97 + n)}]\n" for n in range(20)
    )
    deep = "a: " + "[" * 100 + "]" * 100
    for front, words in (
        (bomb, "aliases"),
        (deep, "nested"),
        ("a: [", "YAML"),
        ("- a", "mapping"),
        ("tags: x", "tags"),
    ):
        answer = http.post("/api/validate-yaml", json={"content": f"---\n{front}\n---\n", "repoType": "model"})
        assert answer.status_code == 400 and words in answer.json()["errors"][0]["message"]
        assert commit(http, name, file("README.md", f"---\n{front}\n---\n".encode())).status_code == 422
    fine = http.post("/api/validate-yaml", json={"content": "---\nlicense: mit\n---\n", "repoType": "model"})
    assert fine.json() == {"errors": [], "warnings": []}
    assert not_run(http, name)


def not_run(http: httpx.Client, name: str) -> bool:
    front = "x: !!python/object/apply:os.system ['touch /tmp/enfold-yaml-ran']"
    answer = commit(http, name, file("README.md", f"---\n{front}\n---\n".encode()))
    return answer.status_code == 422 and not Path("/tmp/enfold-yaml-ran").exists()


def test_active_content_is_sent_as_what_cannot_run(http: httpx.Client, name: str) -> None:
    commit(http, name, file("x.html", b"<script>"), file("x.svg", b"<svg/>"), file("x.json", b"{}"), file("x.js", b"1"))
    for path in ("x.html", "x.svg", "x.js"):
        for way in ("resolve", "raw"):
            answer = http.get(f"/{name}/{way}/main/{path}")
            assert answer.headers["content-type"].startswith("text/plain")
            assert "sandbox" in answer.headers["content-security-policy"]
    assert "attachment" in http.get(f"/{name}/resolve/main/x.html").headers["content-disposition"]
    assert http.get(f"/{name}/resolve/main/x.json").headers["content-type"] == "application/json"


def test_members_can_be_chosen(http: httpx.Client, stored: str) -> None:
    chosen = http.get(f"/api/models/{stored}?expand=downloads&expand=sha").json()
    assert set(chosen) == {"_id", "id", "downloads", "sha"}
    assert http.get(f"/api/models/{stored}?expand=nonsense").status_code == 400
    assert http.get("/api/models?sort=nonsense").status_code == 400
    assert http.get("/api/models?cursor=%25").status_code == 400
    sizes = http.get(f"/api/models/{stored}?blobs=true").json()["siblings"]
    assert {item["rfilename"]: item["size"] for item in sizes}["dir/data.txt"] == 1024


def test_downloads_are_counted_once_a_file(http: httpx.Client, stored: str) -> None:
    for headers in ({}, {"range": "bytes=5-"}, {"range": "bytes=0-3"}):
        http.get(f"/{stored}/resolve/main/dir/data.txt", headers=headers)
    assert http.get(f"/api/models/{stored}").json()["downloads"] == 2


def test_folders_have_gits_own_ids(http: httpx.Client, name: str, tmp_path: Path) -> None:
    files = {"a.txt": b"a", "a/b.txt": b"b", "a/c/d": b"", "a-b": b"x", "z/é": "ü".encode()}
    files["dir"] = files.pop("a.txt")
    assert commit(http, name, *[file(path, content) for path, content in files.items()]).status_code == 200
    for path, content in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(content)
    (tmp_path / ".gitattributes").write_bytes(http.get(f"/{name}/resolve/main/.gitattributes").content)

    def git(*arguments: str) -> str:
        command = ["git", "-c", "core.autocrlf=false", "-c", "core.quotepath=false", *arguments]
        environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, env=environment).stdout

    git("init", "-q")
    git("add", "-A")
    expected = {}
    for line in git("ls-tree", "-r", "-t", git("write-tree").strip()).splitlines():
        meta, path = line.split("\t")
        expected[path] = meta.split()[2]
    listing = http.get(f"/api/models/{name}/tree/main?recursive=true").json()
    assert {item["path"]: item["oid"] for item in listing} == expected


def test_data_of_an_older_schema_is_taken_over(tmp_path: Path) -> None:
    import sqlite3

    with EmbeddedHub(tmp_path) as hub:
        client = httpx.Client(base_url=hub.endpoint, headers={"Authorization": f"Bearer {hub.token}"})
        client.post("/api/repos/create", json={"name": "old"})
    connection = sqlite3.connect(tmp_path / "hub.sqlite")
    rows = connection.execute("SELECT oid, data FROM blob").fetchall()
    store = BlobStore(Folder(tmp_path / "blobs"))
    assert rows and all(data is not None for _, data in rows)
    for _, data in rows:
        store.put(data)
    connection.executescript("ALTER TABLE blob DROP COLUMN data; UPDATE meta SET value = '1' WHERE key = 'schema'")
    connection.close()
    with EmbeddedHub(tmp_path) as hub:
        got = httpx.get(f"{hub.endpoint}/owner/old/resolve/main/.gitattributes")
        assert got.content == rows[0][1]
    connection = sqlite3.connect(tmp_path / "hub.sqlite")
    connection.executescript("UPDATE meta SET value = '99' WHERE key = 'schema'")
    connection.close()
    with pytest.raises(Exception, match="schema 99"):
        EmbeddedHub(tmp_path)


def test_the_server_loads_no_torch() -> None:
    code = (
        "import sys; from enfold.hubserver import create_app, EmbeddedHub; import enfold.hubserver.embedded; "
        "print({'torch', 'numpy', 'pyarrow'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "set()"


def test_telemetry_goes_nowhere(anonymous: httpx.Client) -> None:
    assert anonymous.head("/api/telemetry/anything/at/all").status_code == 200
    assert json.loads(anonymous.get("/api/nothing").text)["error"]
