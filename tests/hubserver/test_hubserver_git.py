"""A repository can be cloned and fetched by git itself: whole, in part, again; and not by who may not read it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import httpx
import pytest
from hubserver_raw import commit, file

from enfold.hubserver import EmbeddedHub

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")

_numbers = count()


def git(*arguments: str | Path, cwd: Path | None = None, fails: bool = False) -> str:
    clean = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    environment = {**os.environ, **clean}
    done = subprocess.run(["git", *map(str, arguments)], cwd=cwd, capture_output=True, text=True, env=environment)
    assert (done.returncode != 0) == fails, done.stdout + done.stderr
    return done.stderr if fails else done.stdout.strip()


@pytest.fixture(params=["0", "2"])
def protocol(request: pytest.FixtureRequest) -> str:
    return f"protocol.version={request.param}"


@pytest.fixture
def history(http: httpx.Client, name: str) -> str:
    """A repository of eight commits, with folders, a file of every kind and one that is large."""
    large = bytes(range(256)) * 5000
    records = [file("README.md", b"# One\n"), file("a/b/c.txt", b"deep"), file("a/d.txt", b"d"), file("w.bin", large)]
    assert commit(http, name, *records, title="One").status_code == 200
    for number in range(2, 8):
        text = f"# {number}\n".encode() * 200
        assert commit(http, name, file("README.md", text), title=f"Number {number}").status_code == 200
    return name


@pytest.fixture
def address(embedded: EmbeddedHub, history: str) -> str:
    return f"{embedded.endpoint}/{history}"


def test_a_clone_has_every_commit_under_its_id(
    http: httpx.Client, history: str, address: str, protocol: str, tmp_path: Path
) -> None:
    git("-c", protocol, "clone", address, tmp_path / "copy")
    copy = tmp_path / "copy"
    shas = [item["id"] for item in http.get(f"/api/models/{history}/commits/main").json()]
    assert git("log", "--format=%H", cwd=copy).split() == shas and len(shas) == 8
    assert git("branch", "--show-current", cwd=copy) == "main"
    assert (copy / "a/b/c.txt").read_text() == "deep"
    assert git("fsck", "--strict", cwd=copy) == ""
    assert git("status", "--porcelain", cwd=copy) == ""
    pointer = (copy / "w.bin").read_text()
    assert pointer.startswith("version https://git-lfs.github.com/spec/v1\noid sha256:")
    listed = {item["path"]: item["oid"] for item in http.get(f"/api/models/{history}/tree/main?recursive=1").json()}
    assert git("rev-parse", "HEAD:a/b/c.txt", "HEAD:a/b", "HEAD:w.bin", cwd=copy).split() == [
        listed[path] for path in ("a/b/c.txt", "a/b", "w.bin")
    ]


def test_a_fetch_brings_only_what_is_new(
    http: httpx.Client, history: str, address: str, protocol: str, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    git("-c", protocol, "clone", address, copy)
    git("-c", "user.name=a", "-c", "user.email=a@b", "commit", "--allow-empty", "-m", "mine", cwd=copy)
    assert commit(http, history, file("new.txt", b"new"), title="New").status_code == 200
    assert http.post(f"/api/models/{history}/branch/side", json={"startingPoint": "main"}).is_success
    assert http.post(f"/api/models/{history}/tag/main", json={"tag": "v1"}).is_success
    git("-c", protocol, "-c", "fetch.unpackLimit=1", "fetch", cwd=copy)
    assert git("log", "-1", "--format=%s", "origin/side", cwd=copy) == "New"
    assert git("tag", cwd=copy) == "v1"
    packs = sorted((copy / ".git/objects/pack").glob("*.idx"), key=lambda path: path.stat().st_mtime_ns)
    brought = git("verify-pack", "-v", packs[-1], cwd=copy)
    assert sum(" blob " in line or " tree " in line or " commit " in line for line in brought.split("\n")) == 3
    assert git("fsck", "--strict", cwd=copy) == ""


def test_a_shallow_clone_can_be_deepened(address: str, protocol: str, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    git("-c", protocol, "clone", "--depth", "2", address, copy)
    assert git("rev-list", "--count", "HEAD", cwd=copy) == "2"
    git("-c", protocol, "fetch", "--deepen", "2", cwd=copy)
    assert git("rev-list", "--count", "HEAD", cwd=copy) == "4"
    git("-c", protocol, "fetch", "--depth", "3", cwd=copy)
    assert git("rev-list", "--count", "HEAD", cwd=copy) == "3"
    git("-c", protocol, "fetch", "--unshallow", cwd=copy)
    assert git("rev-list", "--count", "HEAD", cwd=copy) == "8"
    assert git("fsck", "--strict", cwd=copy) == ""
    assert not (copy / ".git/shallow").exists()


def test_a_shallow_clone_can_be_cut_by_a_date_or_a_tag(
    http: httpx.Client, history: str, address: str, protocol: str, tmp_path: Path
) -> None:
    shas = [item["id"] for item in http.get(f"/api/models/{history}/commits/main").json()]
    assert http.post(f"/api/models/{history}/tag/{shas[3]}", json={"tag": "old"}).is_success
    git("-c", protocol, "clone", "--shallow-exclude", "old", address, tmp_path / "tag")
    assert git("log", "--format=%H", cwd=tmp_path / "tag").split() == shas[:3]
    git("-c", protocol, "clone", "--shallow-since", "2001-01-01", address, tmp_path / "date")
    assert git("rev-list", "--count", "HEAD", cwd=tmp_path / "date") == "8"


@pytest.mark.parametrize("filter", ["blob:none", "tree:0", "blob:limit=1k", "blob:none --depth=1"])
def test_a_partial_clone_fetches_the_rest_when_it_is_needed(
    address: str, protocol: str, filter: str, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    git("-c", protocol, "clone", *f"--filter={filter}".split(), "--no-checkout", address, copy)
    missing = git("rev-list", "--objects", "--missing=print", "--all", cwd=copy)
    assert sum(line.startswith("?") for line in missing.split("\n")) > 0
    git("-c", protocol, "checkout", "main", cwd=copy)
    assert (copy / "README.md").read_text().startswith("# 7") and (copy / "a/b/c.txt").read_text() == "deep"
    git("-c", protocol, "show", "HEAD", cwd=copy) if "depth" in filter else git(
        "-c", protocol, "log", "-p", "--", "README.md", cwd=copy
    )


def test_pull_requests_are_fetched_by_their_reference(
    http: httpx.Client, history: str, address: str, protocol: str, tmp_path: Path
) -> None:
    from hubserver_raw import lines

    made = http.post(
        f"/api/models/{history}/commit/main?create_pr=1",
        content=lines(file("proposed.txt", b"p"), title="Propose"),
        headers={"content-type": "application/x-ndjson"},
    )
    assert made.status_code == 200
    copy = tmp_path / "copy"
    git("-c", protocol, "clone", address, copy)
    git("-c", protocol, "fetch", "origin", "refs/pr/1:pr", cwd=copy)
    assert git("show", "pr:proposed.txt", cwd=copy) == "p"


def test_private_repositories_need_a_token(embedded: EmbeddedHub, http: httpx.Client, tmp_path: Path) -> None:
    name = f"secret-{next(_numbers)}"
    made = http.post("/api/repos/create", json={"name": name, "organization": "owner", "private": True})
    assert made.status_code == 200
    address = f"{embedded.endpoint}/owner/{name}"
    assert "could not read Username" in git("clone", address, tmp_path / "none", fails=True)
    wrong = address.replace("://", "://me:hf_wrong@")
    assert "Authentication failed" in git("clone", wrong, tmp_path / "wrong", fails=True)
    right = address.replace("://", f"://me:{embedded.token}@")
    git("clone", right, tmp_path / "right")
    assert (tmp_path / "right/.gitattributes").exists()
    stranger = embedded.create_user(f"stranger-{next(_numbers)}")
    other = address.replace("://", f"://me:{stranger}@")
    assert "not found" in git("clone", other, tmp_path / "other", fails=True)
    absent = f"{embedded.endpoint}/owner/absent-{name}"
    assert "could not read Username" in git("clone", absent, tmp_path / "absent", fails=True)


def test_an_object_of_another_repository_is_not_given(
    http: httpx.Client, anonymous: httpx.Client, history: str, name: str
) -> None:
    made = http.post("/api/repos/create", json={"name": f"hidden-{next(_numbers)}", "private": True}).json()["name"]
    assert commit(http, made, file("secret.txt", b"a secret")).status_code == 200
    [secret] = [item for item in http.get(f"/api/models/{made}/tree/main").json() if item["path"] == "secret.txt"]
    wanted = f"want {secret['oid']}\n"
    body = f"0012command=fetch\n0001{len(wanted) + 4:04x}{wanted}0009done\n0000"
    answer = anonymous.post(f"/{history}.git/git-upload-pack", content=body, headers={"git-protocol": "version=2"})
    assert answer.status_code == 200 and b"ERR upload-pack: not our ref" in answer.content
    assert b"PACK" not in answer.content


def test_another_name_leads_to_the_repository(
    embedded: EmbeddedHub, http: httpx.Client, history: str, protocol: str, tmp_path: Path
) -> None:
    other = f"owner/moved-{next(_numbers)}"
    assert http.post("/api/repos/move", json={"fromRepo": history, "toRepo": other, "type": "model"}).is_success
    git("-c", protocol, "clone", f"{embedded.endpoint}/{history}.git", tmp_path / "copy")
    assert git("rev-list", "--count", "HEAD", cwd=tmp_path / "copy") == "8"


def test_a_push_is_refused_with_a_word_of_what_to_do(address: str, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    git("clone", address, copy)
    git("-c", "user.name=a", "-c", "user.email=a@b", "commit", "--allow-empty", "-m", "mine", cwd=copy)
    assert "403" in git("push", cwd=copy, fails=True)


@pytest.mark.skipif(shutil.which("git-lfs") is None, reason="git-lfs is not installed")
def test_git_lfs_brings_the_large_files(address: str, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    git("clone", address, copy)
    git("lfs", "install", "--local", cwd=copy)
    git("lfs", "pull", cwd=copy)
    assert (copy / "w.bin").read_bytes() == bytes(range(256)) * 5000


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"0011command=fetch0000", "nothing is wanted"),
        (b"0012command=fetch2\n0000", "not known"),
        (b"zzzz", "not made of git's packets"),
        (b"0050command=fetch", "in the middle"),
        (b"0012command=fetch\n000fwant nothex", "expected the id"),
        (b"0012command=fetch\n0014deepen abcdefghi", "expected a number"),
    ],
)
def test_what_is_no_request_of_git_is_said(anonymous: httpx.Client, history: str, body: bytes, said: str) -> None:
    answer = anonymous.post(f"/{history}.git/git-upload-pack", content=body, headers={"git-protocol": "version=2"})
    assert said in answer.text, answer.text


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)
    yield
