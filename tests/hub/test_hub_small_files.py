"""Many small files come in few answers from a Hub of ours, and one by one from others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from enfold import hub
from enfold.hub import CommitOperationAdd, HfApi, small_files
from enfold.hub.types import parse_entry

COUNT = 40


@pytest.fixture
def many(repo_id: str, api: HfApi) -> str:
    """Forty small files in two folders, two of them equal, one empty, and a larger one."""
    made = {f"{number % 2}/ä {number}.txt": f"text {number // 2 * 2}".encode() for number in range(COUNT)}
    made |= {"empty.txt": b"", "large.txt": b"l" * (small_files.LARGEST + 1)}
    operations = [CommitOperationAdd(path, data) for path, data in made.items()]
    api.create_commit(repo_id, operations, commit_message="many")
    return repo_id


def check(folder: str) -> None:
    for number in range(COUNT):
        file = Path(folder) / str(number % 2) / f"ä {number}.txt"
        assert file.read_text() == f"text {number // 2 * 2}"
    assert (Path(folder) / "empty.txt").read_bytes() == b""
    assert (Path(folder) / "large.txt").stat().st_size == small_files.LARGEST + 1


@pytest.mark.parametrize("local", [False, True])
def test_small_files_come_together(many: str, watched: Any, tmp_path: Path, local: bool) -> None:
    where = {"local_dir": tmp_path / "here"} if local else {}
    folder = hub.snapshot_download(many, **where)
    check(folder)
    assert watched.count("POST", "/small-files/") == 1
    assert watched.count("GET", "/resolve/") == 1, "the large one"
    hub.snapshot_download(many, **where)
    assert watched.count("POST", "/small-files/") == 1, "all of them are there"


def test_where_they_do_not_come_together_they_come_one_by_one(many: str, watched: Any) -> None:
    watched.disturb = lambda method, path: 404 if "/small-files/" in path else None
    check(hub.snapshot_download(many))
    assert watched.count("GET", "/resolve/") > COUNT // 2, "two are equal"


def test_what_arrives_damaged_is_asked_for_again(many: str, watched: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    real = small_files.http.request

    def damaged(method: str, url: str, **options: Any) -> Any:
        answer = real(method, url, **options)
        if "/small-files/" in url:
            answer._content = answer.content[:4] + b"?" + answer.content[5:]
        return answer

    monkeypatch.setattr(small_files.http, "request", damaged)
    check(hub.snapshot_download(many))
    assert watched.count("GET", "/resolve/") == 2, "the large one, and the damaged one"


def test_answers_hold_so_many_files_and_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(small_files, "_FILES", 20)
    monkeypatch.setattr(small_files, "_BYTES", 100)

    def file(number: int, size: int) -> Any:
        return parse_entry({"type": "file", "path": f"{number}.txt", "size": size, "oid": "0" * 40})

    assert [len(batch) for batch in small_files.batches([file(number, 1) for number in range(50)])] == [20, 20, 10]
    assert [len(batch) for batch in small_files.batches([file(number, 30) for number in range(20)])] == [3] * 6 + [2]
    assert small_files.batches([file(number, 1) for number in range(small_files.FEWEST - 1)]) == []
