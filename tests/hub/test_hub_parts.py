"""Large files go up by Git LFS in parts: several at once, piece by piece, each again when its connection breaks."""

from __future__ import annotations

import io
import random
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from enfold import hub
from enfold.hub import HfApi, commit
from enfold.hubserver import EmbeddedHub
from enfold.hubserver.settings import Limits

PART = 300_000
CONTENT = random.Random(9).randbytes(4 * PART + 77)


@pytest.fixture
def api(tmp_path: Path, hf_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HfApi]:
    limits = Limits(lfs_part=PART, regular_file=1_000)
    with EmbeddedHub(tmp_path / "hub", durable=False, limits=limits) as server:
        for name, value in {"HF_ENDPOINT": server.endpoint, "HF_TOKEN": server.token}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
        api = HfApi()
        api.create_repo("owner/parts")
        yield api


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """For each part that was sent, the lengths of its pieces."""
    found: list[list[int]] = []
    request = commit.http.request

    def seen(method: str, url: str, **options: Any) -> Any:
        body = options.get("content")
        if method == "PUT" and callable(body):

            def counted() -> Iterator[bytes]:
                lengths: list[int] = []
                found.append(lengths)
                for piece in body():
                    lengths.append(len(piece))
                    yield piece

            options["content"] = counted
        return request(method, url, **options)

    monkeypatch.setattr(commit.http, "request", seen)
    return found


@pytest.mark.parametrize("kind", ["path", "bytes", "opened"])
def test_every_part_goes_once_and_in_pieces(
    kind: str, api: HfApi, sent: list[list[int]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commit, "_CHUNK", 70_000)
    path = tmp_path / "large.bin"
    path.write_bytes(b"before" + CONTENT if kind == "opened" else CONTENT)
    source: Any = {"path": path, "bytes": CONTENT, "opened": io.BytesIO(path.read_bytes())}[kind]
    if kind == "opened":
        source.seek(6)  # what comes before is not part of it
    api.upload_file(path_or_fileobj=source, path_in_repo="large.bin", repo_id="owner/parts")
    assert sorted(map(sum, sent)) == [77, *[PART] * 4]
    assert max(max(lengths) for lengths in sent) <= 70_000
    assert Path(hub.hf_hub_download("owner/parts", "large.bin")).read_bytes() == CONTENT


def test_parts_go_at_the_same_time(api: HfApi, monkeypatch: pytest.MonkeyPatch) -> None:
    together = threading.Barrier(4, timeout=20)  # the first piece of none is sent before four are asked for
    part = commit.CommitOperationAdd.part

    def held(self: Any, start: int, length: int) -> Iterator[bytes]:
        if start < 4 * PART:
            together.wait()
        return part(self, start, length)

    monkeypatch.setattr(commit.CommitOperationAdd, "part", held)
    api.upload_file(path_or_fileobj=CONTENT, path_in_repo="large.bin", repo_id="owner/parts")
    assert Path(hub.hf_hub_download("owner/parts", "large.bin")).read_bytes() == CONTENT
