"""Downloads: the shared cache's layout, resuming, checking, working without a network, and never leaving the folder."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from enfold import hub
from enfold.hub import HfApi
from enfold.hub.errors import (
    EntryNotFoundError,
    FileMetadataError,
    HFValidationError,
    HubUnreachable,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from enfold.web.server import BackgroundServer

BIG = bytes(range(256)) * 12_000  # 3 MB: large enough to be an LFS object


@pytest.fixture
def filled(api: HfApi, repo_id: str, tmp_path: Path) -> str:
    folder = tmp_path / "source"
    (folder / "sub" / "deep").mkdir(parents=True)
    (folder / "config.json").write_text('{"model_type": "bert"}')
    (folder / "model.safetensors").write_bytes(BIG)
    (folder / "sub" / "deep" / "naïve name.txt").write_text("ä")
    (folder / "empty.txt").touch()
    api.upload_folder(repo_id=repo_id, folder_path=folder)
    return repo_id


def test_the_cache_is_laid_out_as_the_ecosystem_shares_it(filled: str, cache: Path) -> None:
    path = Path(hub.hf_hub_download(filled, "model.safetensors"))
    folder = cache / f"models--{filled.replace('/', '--')}"
    commit = (folder / "refs" / "main").read_text()
    assert path == folder / "snapshots" / commit / "model.safetensors"
    assert path.is_symlink() and not os.path.isabs(os.readlink(path))
    assert path.resolve() == (folder / "blobs" / hashlib.sha256(BIG).hexdigest()).resolve()
    assert path.read_bytes() == BIG
    config = Path(hub.hf_hub_download(filled, "config.json")).resolve()
    content = config.read_bytes()
    assert config.name == hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    with pytest.raises(EntryNotFoundError, match=r"has no file 'nothing\.json'"):
        hub.hf_hub_download(filled, "nothing.json")
    assert (folder / ".no_exist" / commit / "nothing.json").exists()
    assert hub.try_to_load_from_cache(filled, "config.json") == str(folder / "snapshots" / commit / "config.json")
    assert hub.try_to_load_from_cache(filled, "nothing.json") is hub._CACHED_NO_EXIST
    assert hub.try_to_load_from_cache(filled, "other.json") is None
    assert (cache / "CACHEDIR.TAG").exists()
    assert not list(folder.rglob("*.incomplete"))


def test_a_cached_commit_needs_no_request(filled: str, watched: Any) -> None:
    commit = HfApi().model_info(filled).sha
    first = hub.hf_hub_download(filled, "config.json", revision=commit)
    watched.requests.clear()
    assert hub.hf_hub_download(filled, "config.json", revision=commit) == first
    assert watched.requests == []


def test_a_cached_branch_needs_one_head_request(filled: str, watched: Any) -> None:
    hub.hf_hub_download(filled, "model.safetensors")
    watched.requests.clear()
    hub.hf_hub_download(filled, "model.safetensors")
    assert [method for method, _, _ in watched.requests] == ["HEAD"]


def test_a_broken_download_goes_on_where_it_stopped(filled: str, watched: Any) -> None:
    broken = iter([0.5, 0.5])
    watched.disturb = lambda method, path: next(broken, None) if method == "GET" and "resolve" in path else None
    path = hub.hf_hub_download(filled, "model.safetensors")
    assert Path(path).read_bytes() == BIG
    ranges = [headers.get("range") for method, path, headers in watched.requests if method == "GET"]
    assert ranges[0] is None and len(ranges) == 3
    starts = [int(text.removeprefix("bytes=").rstrip("-")) for text in ranges[1:]]
    assert 0 < starts[0] < starts[1] < len(BIG)


def test_a_stopped_download_is_continued_by_the_next_call(filled: str, watched: Any, cache: Path) -> None:
    etag = hashlib.sha256(BIG).hexdigest()
    blobs = cache / f"models--{filled.replace('/', '--')}" / "blobs"
    blobs.mkdir(parents=True)
    (blobs / f"{etag}.incomplete").write_bytes(BIG[:1_000_000])
    assert Path(hub.hf_hub_download(filled, "model.safetensors")).read_bytes() == BIG
    assert [headers["range"] for method, _, headers in watched.requests if method == "GET"] == ["bytes=1000000-"]


def test_a_damaged_beginning_is_noticed_and_fetched_again(filled: str, watched: Any, cache: Path) -> None:
    etag = hashlib.sha256(BIG).hexdigest()
    blobs = cache / f"models--{filled.replace('/', '--')}" / "blobs"
    blobs.mkdir(parents=True)
    (blobs / f"{etag}.incomplete").write_bytes(b"x" * 1_000_000)
    assert Path(hub.hf_hub_download(filled, "model.safetensors")).read_bytes() == BIG
    assert watched.count("GET", "resolve") == 2


def test_a_busy_hub_is_asked_again(filled: str, watched: Any) -> None:
    answers = iter([503, 429, 408])
    watched.disturb = lambda method, path: next(answers, None) if method == "HEAD" else None
    assert Path(hub.hf_hub_download(filled, "config.json")).exists()
    assert watched.count("HEAD", "resolve") == 4


def test_many_threads_fetch_a_file_once(filled: str, watched: Any) -> None:
    with ThreadPoolExecutor(8) as pool:
        paths = set(pool.map(lambda _: hub.hf_hub_download(filled, "model.safetensors"), range(8)))
    assert len(paths) == 1
    assert watched.count("GET", "resolve") == 1


def test_offline_mode_uses_the_cache_and_says_why_it_cannot(
    filled: str, watched: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = hub.hf_hub_download(filled, "config.json")
    with pytest.raises(EntryNotFoundError):
        hub.hf_hub_download(filled, "absent.json")
    watched.requests.clear()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert hub.hf_hub_download(filled, "config.json") == path
    with pytest.raises(LocalEntryNotFoundError, match="offline mode"):
        hub.hf_hub_download(filled, "model.safetensors")
    with pytest.raises(LocalEntryNotFoundError, match="not in the repository"):
        hub.hf_hub_download(filled, "absent.json")
    with pytest.raises(OfflineModeIsEnabled):
        HfApi().model_info(filled)
    assert hub.find_file(filled, "tokenizer.json", required=False) is None
    assert watched.requests == []


def test_a_commit_that_was_read_once_asks_nobody_again(filled: str, api: HfApi, watched: Any) -> None:
    commit = api.model_info(filled).sha
    for name, there in (("config.json", True), ("vocab.txt", False)):
        first = hub.find_file(filled, name, revision=commit, required=False)
        watched.requests.clear()
        assert hub.find_file(filled, name, revision=commit, required=False) == first and (first is not None) == there
        assert watched.requests == []
    hub.find_file(filled, "vocab.txt", required=False)
    assert watched.requests != [], "a branch may have got it since"


def test_a_hub_that_is_down_leaves_the_cache_usable(
    filled: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = hub.hf_hub_download(filled, "config.json")
    folder = hub.snapshot_download(filled, allow_patterns="*.json")
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert hub.hf_hub_download(filled, "config.json") == path
    assert hub.snapshot_download(filled) == folder
    with pytest.raises(LocalEntryNotFoundError, match="cannot be reached"):
        hub.hf_hub_download(filled, "model.safetensors")
    with pytest.raises(HubUnreachable, match="HF_ENDPOINT"):
        HfApi().model_info(filled)
    assert issubclass(HubUnreachable, OSError)


def test_a_new_commit_shares_unchanged_contents(filled: str, api: HfApi, watched: Any) -> None:
    old = hub.snapshot_download(filled)
    api.upload_file(path_or_fileobj=b"{}", path_in_repo="config.json", repo_id=filled)
    watched.requests.clear()
    new = hub.snapshot_download(filled)
    assert new != old
    assert watched.count("GET", "resolve") == 1
    assert (Path(new) / "config.json").read_text() == "{}"
    assert (Path(old) / "config.json").read_text() != "{}"
    assert (Path(new) / "model.safetensors").resolve() == (Path(old) / "model.safetensors").resolve()


def test_snapshots_take_patterns_and_hold_every_file(filled: str) -> None:
    folder = Path(hub.snapshot_download(filled, ignore_patterns=["*.safetensors", ".git*"]))
    found = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    assert found == ["config.json", "empty.txt", "sub/deep/naïve name.txt"]
    folder = Path(hub.snapshot_download(filled, allow_patterns="sub/"))
    assert (folder / "sub" / "deep" / "naïve name.txt").read_text() == "ä"


def test_a_local_folder_holds_plain_files_and_follows_the_hub(
    filled: str, api: HfApi, tmp_path: Path, cache: Path
) -> None:
    target = tmp_path / "here"
    path = Path(hub.hf_hub_download(filled, "sub/deep/naïve name.txt", local_dir=target))
    assert path == target / "sub" / "deep" / "naïve name.txt" and not path.is_symlink()
    hub.snapshot_download(filled, local_dir=target)
    assert (target / "model.safetensors").read_bytes() == BIG
    assert not cache.exists()
    api.upload_file(path_or_fileobj=b"{}", path_in_repo="config.json", repo_id=filled)
    before = (target / "model.safetensors").stat().st_mtime_ns
    hub.snapshot_download(filled, local_dir=target)
    assert (target / "config.json").read_text() == "{}"
    assert (target / "model.safetensors").stat().st_mtime_ns == before


def test_force_download_replaces_what_was_cached(filled: str) -> None:
    path = Path(hub.hf_hub_download(filled, "config.json"))
    path.resolve().write_text("damaged")
    assert "model_type" in Path(hub.hf_hub_download(filled, "config.json", force_download=True)).read_text()


def test_a_branch_with_a_slash_can_be_downloaded(filled: str, api: HfApi, cache: Path) -> None:
    api.create_branch(filled, branch="work/one")
    api.upload_file(path_or_fileobj=b"other", path_in_repo="config.json", repo_id=filled, revision="work/one")
    assert Path(hub.hf_hub_download(filled, "config.json", revision="work/one")).read_text() == "other"
    assert (cache / f"models--{filled.replace('/', '--')}" / "refs" / "work" / "one").is_file()
    assert "model_type" in Path(hub.hf_hub_download(filled, "config.json")).read_text()


def test_errors_name_what_is_missing(filled: str) -> None:
    with pytest.raises(HFValidationError, match="which file"):
        hub.hf_hub_download(filled)
    with pytest.raises(RevisionNotFoundError):
        hub.hf_hub_download(filled, "config.json", revision="nowhere")
    with pytest.raises(RepositoryNotFoundError) as caught:
        hub.hf_hub_download("owner/no-such-thing", "config.json")
    assert caught.value.response is not None and caught.value.response.status_code == 404
    assert caught.value.request_id and caught.value.request_id in str(caught.value)
    for name in ("a/b/c", "a--b", "x.git", "-x", "../etc"):
        with pytest.raises(HFValidationError):
            hub.hf_hub_download(name, "config.json")


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../x", "a\\..\\x", "C:/x", "a//b", "a\0b"])
def test_a_file_name_cannot_leave_the_folder(filled: str, name: str) -> None:
    with pytest.raises(HFValidationError):
        hub.hf_hub_download(filled, name)


@pytest.mark.parametrize("evil", ["../../evil.txt", "/tmp/evil.txt", "a/../../../evil.txt"])
def test_a_listing_cannot_lead_out_of_the_cache(
    evil: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    sha = "1" * 40

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        if "/tree/" in scope["path"]:
            body: Any = [{"type": "file", "path": evil, "size": 4, "oid": "2" * 40}]
        elif "/revision/" in scope["path"]:
            body = {"id": "a/b", "sha": sha}
        else:
            body = "evil"
        data = json.dumps(body).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x-repo-commit", sha.encode())]})
        await send({"type": "http.response.body", "body": data})

    with BackgroundServer(app, lifespan="off") as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        with pytest.raises(HFValidationError):
            hub.snapshot_download("a/b")
    assert not list(tmp_path.rglob("evil*")) and not Path("/tmp/evil.txt").exists()


@pytest.mark.parametrize("etag", ["../../x", "a/b", "", "..", "a..b/../.."])
def test_an_etag_cannot_name_a_path(etag: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        headers = [(b"x-repo-commit", b"1" * 40), (b"etag", f'"{etag}"'.encode()), (b"content-length", b"4")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else b"evil"})

    with BackgroundServer(app, lifespan="off") as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        with pytest.raises(FileMetadataError, match="ETag"):
            hub.hf_hub_download("a/b", "c.txt")


def test_the_token_stays_with_the_hub_it_is_for(filled: str, server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []
    content = b"from elsewhere"
    etag = hashlib.sha256(content).hexdigest()

    async def elsewhere(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            seen.append(any(name == b"authorization" for name, _ in scope["headers"]))
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"14")]})
            await send({"type": "http.response.body", "body": content})

    with BackgroundServer(elsewhere, lifespan="off") as other:

        async def app(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "http":
                headers = [
                    (b"location", f"{other.url}/blob".encode()),
                    (b"x-repo-commit", b"1" * 40),
                    (b"x-linked-etag", f'"{etag}"'.encode()),
                    (b"x-linked-size", b"14"),
                ]
                await send({"type": "http.response.start", "status": 302, "headers": headers})
                await send({"type": "http.response.body", "body": b""})

        with BackgroundServer(app, lifespan="off") as front:
            monkeypatch.setenv("HF_ENDPOINT", front.url)
            assert Path(hub.hf_hub_download("a/b", "c.txt")).read_bytes() == content
    assert seen == [False]


def test_find_file_looks_into_folders_and_repositories(filled: str, api: HfApi, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    (folder / "sub").mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "sub" / "x.txt").write_text("x")
    assert hub.find_file(folder, "config.json") == str(folder / "config.json")
    assert hub.find_file(str(folder), "x.txt", subfolder="sub") == str(folder / "sub" / "x.txt")
    assert hub.find_file(folder, "vocab.txt", required=False) is None
    with pytest.raises(OSError, match=r"did you mean 'config\.json'"):
        hub.find_file(folder, "confg.json")
    found = hub.find_file(filled, "config.json")
    assert found is not None and Path(found).exists()
    assert hub.find_file(filled, "vocab.txt", required=False) is None
    with pytest.raises(OSError, match=r"has no file 'vocab\.txt'"):
        hub.find_file(filled, "vocab.txt")
    with pytest.raises(RevisionNotFoundError, match="nowhere"):
        hub.find_file(filled, "config.json", revision="nowhere", required=False)
    api.create_repo("google-bert/bert-base-uncased", exist_ok=True)
    with pytest.raises(RepositoryNotFoundError, match=r"did you mean 'google-bert/bert-base-uncased'\? For") as caught:
        hub.find_file("bert-base-uncase", "config.json", required=False)
    assert isinstance(caught.value, OSError) and "bert-base-uncase" in str(caught.value)
    with pytest.raises(OSError, match="neither a folder"):
        hub.find_file("./no/such/folder", "config.json")


def test_the_cache_can_be_scanned_and_pruned(filled: str, api: HfApi) -> None:
    old = hub.snapshot_download(filled)
    api.upload_file(path_or_fileobj=b"{}", path_in_repo="config.json", repo_id=filled)
    new = hub.snapshot_download(filled)
    found = hub.scan_cache_dir()
    (repo,) = found.repos
    assert (repo.repo_id, repo.repo_type, len(repo.revisions)) == (filled, "model", 2)
    assert repo.refs["main"].snapshot_path.samefile(new) and repo.size_on_disk < 2 * len(BIG)
    plan = found.delete_revisions(Path(old).name)
    plan.execute()
    assert plan.expected_freed_size == len('{"model_type": "bert"}')
    assert not Path(old).exists() and (Path(new) / "model.safetensors").read_bytes() == BIG
    hub.scan_cache_dir().delete_revisions(Path(new).name).execute()
    assert not hub.scan_cache_dir().repos


def test_importing_the_client_loads_nothing_heavy() -> None:
    code = (
        "import sys; import enfold.hub as hub; hub.HfApi; hub.hf_hub_download; hub.ModelCard; hub.snapshot_download; "
        "hub.find_file; hub.utils.HfHubHTTPError; "
        "print(sorted({'httpx', 'torch', 'numpy', 'yaml', 'jinja2', 'pyarrow', 'fsspec'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_settings_are_read_when_they_are_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from enfold.hub import constants

    api = HfApi()
    monkeypatch.setenv("HF_ENDPOINT", "http://one/")
    assert api.endpoint == "http://one" == constants.ENDPOINT
    monkeypatch.setenv("HF_ENDPOINT", "http://two")
    assert api.endpoint == "http://two"
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "other"))
    assert str(tmp_path / "other") == constants.HF_HUB_CACHE
    with pytest.raises(AttributeError, match="did you mean 'HF_HUB_CACHE'"):
        constants.HF_HUB_CACH


def test_an_argument_that_never_was_is_refused(filled: str) -> None:
    assert hub.hf_hub_download(filled, "config.json", resume_download=True, proxies=None)
    with pytest.raises(TypeError, match="did you mean 'revision'"):
        hub.hf_hub_download(filled, "config.json", revison="main")
    with pytest.raises(TypeError, match="did you mean 'allow_patterns'"):
        hub.snapshot_download(filled, allow_pattern="*.json")
    with pytest.raises(TypeError, match="allow_pattern"):
        hub.upload_folder(repo_id=filled, folder_path=".", allow_pattern="*")


SNAPSHOT = """
import sys
import time
from enfold.hub import snapshot_download
print("ready", flush=True)
try:
    print(snapshot_download(sys.argv[1], max_workers=4))
except KeyboardInterrupt:
    print("stopped")
    sys.exit(130)
"""


def test_ctrl_c_stops_at_once_and_leaves_nothing_broken(api: HfApi, repo_id: str, server: Any, cache: Path) -> None:
    contents = {f"part-{number}.bin": os.urandom(12_000_000) for number in range(4)}
    operations = [hub.CommitOperationAdd(name, content) for name, content in contents.items()]
    api.create_commit(repo_id, operations, commit_message="Large files")
    process = subprocess.Popen(
        [sys.executable, "-c", SNAPSHOT, repo_id], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    blobs = cache / f"models--{repo_id.replace('/', '--')}" / "blobs"
    deadline = time.monotonic() + 20
    while not list(blobs.glob("*.incomplete")) and time.monotonic() < deadline:
        time.sleep(0.001)
    process.send_signal(signal.SIGINT)
    begin = time.monotonic()
    out, errors = process.communicate(timeout=20)
    assert process.returncode == 130 and "stopped" in out and "Traceback" not in errors
    assert time.monotonic() - begin < 5
    assert len([path for path in blobs.iterdir() if len(path.name) == 64]) < 4
    folder = Path(hub.snapshot_download(repo_id))
    assert all((folder / name).read_bytes() == content for name, content in contents.items())
    assert not list(blobs.glob("*.incomplete"))
