"""Folders, locks, dates and lists that programs of the ecosystem take from the client."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import filelock
import pytest

from enfold import hub
from enfold.hub import HfApi
from enfold.hub.utils import (
    SoftTemporaryDirectory,
    WeakFileLock,
    build_hf_headers,
    chunk_iterable,
    experimental,
    filter_repo_objects,
    logging,
    paginate,
    parse_datetime,
)


def test_a_lock_is_held_by_one(tmp_path: Path) -> None:
    place = tmp_path / "lock"
    with WeakFileLock(place):
        assert stat.S_IMODE(place.stat().st_mode) & 0o600 == 0o600
        with pytest.raises(filelock.Timeout), WeakFileLock(place, timeout=0.01):
            pass
    with WeakFileLock(place, timeout=0.01):
        pass


def test_a_folder_that_is_gone_already_is_no_error() -> None:
    with SoftTemporaryDirectory(prefix="x") as folder:
        folder.rmdir()


@pytest.mark.parametrize(
    ("text", "micro"),
    [
        ("2024-11-16T00:27:02Z", 0),
        ("2024-11-16T00:27:02.1Z", 100_000),
        ("2024-11-16T00:27:02.123456789Z", 123_456),
    ],
)
def test_moments_have_as_many_digits_as_they_have(text: str, micro: int) -> None:
    assert parse_datetime(text).microsecond == micro


@pytest.mark.parametrize(
    "text", ["2024-11-16", "2024-11-16T00:27:02", "2024-11-16T00:27:02.x1Z", "", "2024-11-16T00:27:02.Z"]
)
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="moment"):
        parse_datetime(text)


def test_pieces_hold_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [list(piece) for piece in chunk_iterable("abcd", 2)] == [["a", "b"], ["c", "d"]]
    with pytest.raises(ValueError, match="above zero"):
        list(chunk_iterable("abc", 0))


def test_what_is_experimental_says_so_unless_told_not_to(monkeypatch: pytest.MonkeyPatch) -> None:
    called = experimental(len)
    with pytest.warns(UserWarning, match="'len' is experimental"):
        assert called("abc") == 3
    monkeypatch.setenv("HF_HUB_DISABLE_EXPERIMENTAL_WARNING", "1")
    assert called("abc") == 3


def test_lists_are_followed_page_by_page(api: HfApi, watched: Any) -> None:
    for number in range(3):
        api.create_repo(f"owner/paged-{number}")
    asked = {"author": "owner", "limit": "1", "search": "paged"}
    found = list(paginate(f"{api.endpoint}/api/models", asked, build_hf_headers()))
    assert [item["id"] for item in found] == ["owner/paged-2", "owner/paged-1", "owner/paged-0"]
    assert watched.count("GET", "/api/models") == 3


def test_patterns_are_written_as_either_system_writes_paths() -> None:
    assert filter_repo_objects(["a/b.json", "c.json"], allow_patterns=["a\\*.json"]) == ["a/b.json"]
    with pytest.raises(ValueError, match="key"):
        filter_repo_objects([object()], allow_patterns="*")


def test_entries_are_made_as_the_hub_writes_them() -> None:
    assert hub.RepoFolder(path="a", oid="1").tree_id == "1"
    file = hub.RepoFile(path="a", size=3, oid="1", lfs={"oid": "2", "size": 3, "pointerSize": 9}, xetHash="x")
    assert (file.blob_id, file.lfs.sha256, file.xet_hash) == ("1", "2", "x")


def test_the_log_is_found_where_programs_look_for_it() -> None:
    assert logging.get_logger("x") is hub.logging.get_logger("x")


def test_a_cache_is_a_folder_whatever_systems_put_into_it(tmp_path: Path) -> None:
    snapshots, refs = tmp_path / "models--me--x" / "snapshots", tmp_path / "models--me--x" / "refs"
    (snapshots / "123").mkdir(parents=True)
    refs.mkdir()
    (refs / "main").write_text("123")
    for folder in (tmp_path, snapshots, refs):
        (folder / ".DS_Store").write_bytes(b"\xff")
    found = hub.scan_cache_dir(tmp_path)
    assert not found.warnings
    assert [revision.refs for repo in found.repos for revision in repo.revisions] == [frozenset({"main"})]
    with pytest.raises(ValueError, match="file"):
        hub.scan_cache_dir(refs / "main")
    with pytest.raises(ValueError, match="in its way"):
        hub.cached_assets_path("x", assets_dir=refs / "main")


def test_results_are_results() -> None:
    for wrong in ("0.9", ["accuracy: 0.9"]):
        with pytest.raises(ValueError, match="EvalResult"):
            hub.ModelCardData(model_name="x", eval_results=wrong)
    with pytest.raises(ValueError, match="non-empty"):
        hub.model_index_to_eval_results([])
