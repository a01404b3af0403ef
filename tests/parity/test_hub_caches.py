"""Our client and the official ones share a cache: what one wrote the other finds, and the layouts are the same."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from enfold import hub
from enfold.hub import HfApi
from enfold.hub.shared import SharedStore
from enfold.hubserver import EmbeddedHub

pytestmark = pytest.mark.peer

FILES = {"config.json": b"{}", "sub/notes.txt": b"notes", "model.safetensors": bytes(range(256)) * 20_000}
# Downloads into the cache that HF_HUB_CACHE names, and says what it makes of it.
PEER = r"""
import json, os, sys
from huggingface_hub import hf_hub_download, scan_cache_dir, snapshot_download, try_to_load_from_cache
said = {}
for repo_id in ("first/model", "second/model"):
    snapshot_download(repo_id)
hf_hub_download("first/model", "config.json", revision="v1")
try:
    hf_hub_download("first/model", "none.txt")
except Exception:
    pass
os.environ["HF_HUB_OFFLINE"] = "1"
if len(sys.argv) > 1:
    os.environ["HF_HUB_CACHE"] = sys.argv[1]
found = scan_cache_dir(os.environ["HF_HUB_CACHE"])
said["scan"] = sorted([x.repo_id, x.size_on_disk, x.nb_files, sorted(x.refs)] for x in found.repos)
said["total"], said["warnings"] = found.size_on_disk, [str(x) for x in found.warnings]
said["read"] = open(hf_hub_download("second/model", "model.safetensors", cache_dir=os.environ["HF_HUB_CACHE"],
                                    local_files_only=True), "rb").read()[:4].hex()
said["absent"] = type(try_to_load_from_cache("first/model", "none.txt", cache_dir=os.environ["HF_HUB_CACHE"])).__name__
plan = found.delete_revisions(*[r.commit_hash for x in found.repos if x.repo_id == "first/model" for r in x.revisions])
said["freed"] = plan.expected_freed_size
plan.execute()
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedHub]:
    root = tmp_path_factory.mktemp("caches")
    with EmbeddedHub(root / "hub", durable=False) as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_ENDPOINT", server.endpoint)
        patch.setenv("HF_TOKEN", server.token)
        patch.delenv("HF_HUB_DISABLE_XET", raising=False)
        api = HfApi()
        for name, content in FILES.items():
            path = root / "folder" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        for repo_id in ("first/model", "second/model"):
            api.create_repo(repo_id)
            api.upload_folder(repo_id=repo_id, folder_path=root / "folder")
        # Two histories that are the same have the same commits.
        api.upload_file(path_or_fileobj=b"2", path_in_repo="z.txt", repo_id="second/model")
        api.create_tag("first/model", tag="v1")
        yield server


def _variables(server: EmbeddedHub, cache: Path) -> dict[str, str]:
    return {
        "HF_ENDPOINT": server.endpoint,
        "HF_TOKEN": server.token,
        "HF_HUB_CACHE": str(cache),
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_XET": "0",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    }


def _ours(server: EmbeddedHub, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in _variables(server, cache).items():
        monkeypatch.setenv(name, value)
    for repo_id in ("first/model", "second/model"):
        hub.snapshot_download(repo_id)
    hub.hf_hub_download("first/model", "config.json", revision="v1")
    with pytest.raises(OSError, match="no file"):
        hub.hf_hub_download("first/model", "none.txt")


def _layout(cache: Path) -> dict[str, str]:
    """Return path → what is there: a link's target, a file's bytes, or nothing for a folder."""
    found = {}
    for path in cache.rglob("*"):
        name = path.relative_to(cache).as_posix()
        if path.is_symlink():
            found[name] = "-> " + os.readlink(path)
        elif path.is_file():
            found[name] = path.read_bytes().hex() if path.name != "CACHEDIR.TAG" else "tag"
        else:
            found[name] = ""
    return found


def test_both_write_the_same_cache(
    running: EmbeddedHub, peer: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, theirs = tmp_path / "mine", tmp_path / "theirs"
    _ours(running, mine, monkeypatch)
    # A copy keeps theirs whole: the script deletes a repository of the cache that it is given at the end.
    said = peer(PEER, mine, variables=_variables(running, theirs))
    ours_left = _layout(mine)
    _ours(running, again := tmp_path / "again", monkeypatch)
    assert _layout(again) == _layout(theirs)
    store = next(path for path in _layout(theirs) if path.startswith("blobs/") and len(path.split("/")[-1]) == 64)
    refs = (theirs / f"{store}.refs").read_text().splitlines()
    assert [line.split("/")[0] for line in refs] == ["models--first--model", "models--second--model"]

    # What the official client makes of the cache that ours wrote.
    size = sum(map(len, FILES.values()))
    assert [row[0] for row in said["scan"]] == ["first/model", "second/model"] and not said["warnings"]
    assert said["scan"][0][3] == ["main", "v1"] and said["read"] == "00010203" and said["absent"] == "object"
    assert said["scan"][0][1] >= size
    # It deletes one repository; the other keeps the content that both share.
    assert said["freed"] < 10_000
    assert not any(path.startswith("models--first--model/") for path in ours_left)
    assert f"{store}" in ours_left


def test_ours_reads_measures_and_clears_a_cache_of_the_official_client(
    running: EmbeddedHub, peer: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, spare = tmp_path / "cache", tmp_path / "spare"
    spare.mkdir()
    for name, value in _variables(running, spare).items():
        monkeypatch.setenv(name, value)
    _ours(running, spare, monkeypatch)
    peer(PEER, spare, variables=_variables(running, cache))
    monkeypatch.setenv("HF_HUB_CACHE", str(cache))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    found = hub.scan_cache_dir()
    assert sorted(item.repo_id for item in found.repos) == ["first/model", "second/model"] and not found.warnings
    each = {item.repo_id: item.size_on_disk for item in found.repos}
    assert found.size_on_disk < sum(each.values()) - 5_000_000, "a shared content counts once"
    assert hub.try_to_load_from_cache("first/model", "none.txt") is hub._CACHED_NO_EXIST
    assert [file.path for file in hub.get_cached_repo_tree("second/model")][-1] == "z.txt"
    assert Path(hub.hf_hub_download("first/model", "model.safetensors")).read_bytes() == FILES["model.safetensors"]

    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    whole = hub.HfApi().verify_repo_checksums("second/model")
    assert (whole.checked_count, whole.mismatches, whole.missing_paths, whole.extra_paths) == (5, [], [], [])
    first, second = (
        [item.commit_hash for repo in found.repos if repo.repo_id == name for item in repo.revisions]
        for name in ("first/model", "second/model")
    )
    plan = found.delete_revisions(*first)
    assert plan.expected_freed_size < 10_000, "the other repository still leads to the large file"
    plan.execute()
    store = SharedStore(cache)
    assert len(store.contents()) == 1
    rest = hub.scan_cache_dir()
    plan = rest.delete_revisions(*second)
    assert plan.expected_freed_size > 5_000_000
    plan.execute()
    assert store.contents() == [] and hub.scan_cache_dir().size_on_disk == 0


def test_a_content_of_another_repository_is_taken_only_with_its_sha256(
    running: EmbeddedHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    for name, value in _variables(running, cache).items():
        monkeypatch.setenv(name, value)
    hub.snapshot_download("first/model")
    store = SharedStore(cache)
    content = store.contents()[0]
    content.chmod(0o644)
    content.write_bytes(b"x" * content.stat().st_size)  # not what its name says
    path = Path(hub.hf_hub_download("second/model", "model.safetensors"))
    assert path.read_bytes() == FILES["model.safetensors"]
