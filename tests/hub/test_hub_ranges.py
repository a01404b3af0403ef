"""A large file comes in several ranges at once, and goes on from what is there."""

from __future__ import annotations

import hashlib
import random
import threading
from pathlib import Path
from typing import Any

import pytest

from enfold import hub
from enfold.hub import HfApi, ranges

PART = 200_000
CONTENT = random.Random(5).randbytes(5 * PART + 12_345)
ETAG = hashlib.sha256(CONTENT).hexdigest()
RANGES = [f"bytes={start}-{min(start + PART, len(CONTENT)) - 1}" for start in range(0, len(CONTENT), PART)]


@pytest.fixture
def large(api: HfApi, repo_id: str, watched: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """A repository with a file of six parts."""
    monkeypatch.setattr(ranges, "PART", PART)
    api.upload_file(path_or_fileobj=CONTENT, path_in_repo="large.bin", repo_id=repo_id)
    watched.requests.clear()
    return repo_id


def asked(watched: Any) -> list[str | None]:
    return [headers.get("range") for method, path, headers in watched.requests if method == "GET" and "resolve" in path]


def blobs(cache: Path, repo_id: str) -> Path:
    folder = cache / f"models--{repo_id.replace('/', '--')}" / "blobs"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def test_every_range_is_asked_for_once(large: str, watched: Any, cache: Path) -> None:
    path = Path(hub.hf_hub_download(large, "large.bin"))
    assert path.read_bytes() == CONTENT
    assert sorted(map(str, asked(watched))) == sorted(RANGES)
    assert not list(cache.rglob("*.incomplete"))


def test_ranges_come_at_the_same_time(large: str) -> None:
    together = threading.Barrier(3, timeout=20)  # none of the first three is asked for before all are
    stream = hub.http.stream

    def held(url: str, **options: Any) -> Any:
        if options["headers"]["range"] in RANGES[:3]:
            together.wait()
        return stream(url, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranges.http, "stream", held)
        assert Path(hub.hf_hub_download(large, "large.bin")).read_bytes() == CONTENT


def test_a_broken_range_goes_on_where_it_stopped(large: str, watched: Any) -> None:
    broken = iter([0.5])
    watched.disturb = lambda method, path: next(broken, None) if method == "GET" and "resolve" in path else None
    assert Path(hub.hf_hub_download(large, "large.bin")).read_bytes() == CONTENT
    again = set(map(str, asked(watched))) - set(RANGES)
    assert len(again) == 1 and len(asked(watched)) == len(RANGES) + 1
    first, last = map(int, again.pop().removeprefix("bytes=").split("-"))
    assert last - first + 1 < PART


def test_the_next_call_asks_only_for_what_is_not_there(
    large: str, watched: Any, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranges, "_ATTEMPTS", 1)
    monkeypatch.setenv("HF_XET_NUM_CONCURRENT_RANGE_GETS", "2")
    stream, full = hub.http.stream, RANGES[3]

    def refused(url: str, **options: Any) -> Any:
        if dict(options.get("headers") or {}).get("range") == full:
            raise OSError("the disk is full")
        return stream(url, **options)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(OSError, match="the disk is full"):
        patch.setattr(ranges.http, "stream", refused)
        hub.hf_hub_download(large, "large.bin")
    came = set(map(str, asked(watched)))
    assert set(RANGES[:3]) <= came
    watched.requests.clear()
    assert Path(hub.hf_hub_download(large, "large.bin")).read_bytes() == CONTENT
    assert full in asked(watched) and not set(RANGES[:3]) & set(map(str, asked(watched)))
    assert not list(cache.rglob("*.incomplete"))


def test_the_beginning_that_one_connection_left_is_kept(large: str, watched: Any, cache: Path) -> None:
    (blobs(cache, large) / f"{ETAG}.incomplete").write_bytes(CONTENT[: 2 * PART + 7])
    assert Path(hub.hf_hub_download(large, "large.bin")).read_bytes() == CONTENT
    assert sorted(map(str, asked(watched))) == sorted(RANGES[2:])


def test_damaged_parts_are_noticed_and_fetched_again(large: str, watched: Any, cache: Path) -> None:
    (blobs(cache, large) / f"{ETAG}.incomplete").write_bytes(b"x" * (2 * PART))
    assert Path(hub.hf_hub_download(large, "large.bin")).read_bytes() == CONTENT
    assert len(asked(watched)) == len(RANGES) - 2 + len(RANGES)


def test_a_server_without_ranges_sends_the_whole(
    large: str, watched: Any, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("enfold.hubserver.routes.content.byte_range", lambda header, size: None)
    assert Path(hub.hf_hub_download(large, "large.bin")).read_bytes() == CONTENT
    assert asked(watched)[-1] is None
    assert not list(cache.rglob("*.incomplete"))


def test_one_connection_asks_for_no_range(large: str, watched: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_XET_NUM_CONCURRENT_RANGE_GETS", "1")
    assert Path(hub.hf_hub_download(large, "large.bin")).read_bytes() == CONTENT
    assert asked(watched) == [None]
