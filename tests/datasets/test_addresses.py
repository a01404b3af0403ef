"""Files behind addresses: members of archives, file systems with arguments, and content that changes."""

from __future__ import annotations

import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from enfold.datasets import load_dataset


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)


def column(files: Any, streaming: bool = False, **options: Any) -> list[int]:
    rows = load_dataset("csv", data_files=files, split="train", streaming=streaming, **options)
    return [row["a"] for row in rows]


@pytest.mark.parametrize("streaming", [False, True])
def test_members_of_an_archive_have_addresses_and_patterns(tmp_path: Path, streaming: bool) -> None:
    path = tmp_path / "packed.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number in (1, 2):
            archive.writestr(f"in/{number}.csv", f"a\n{number}\n")
        archive.writestr("in/notes.txt", "no table")
    assert column(f"zip://in/2.csv::{path}", streaming) == [2]
    assert column(f"zip://in/*.csv::{path}", streaming) == [1, 2]
    assert column([f"zip://in/1.csv::{path}", f"zip://in/*.csv::{path}"], streaming) == [1, 1, 2]
    with pytest.raises(FileNotFoundError, match="Unable to find"):
        column(f"zip://in/3.csv::{path}", streaming)


@pytest.mark.parametrize("streaming", [False, True])
def test_addresses_of_files_on_this_machine(tmp_path: Path, streaming: bool) -> None:
    (tmp_path / "a b.csv").write_text("a\n1\n")
    assert column((tmp_path / "a b.csv").as_uri(), streaming) == [1]
    assert column(f"file://{tmp_path}/a*.csv", streaming) == [1]
    with pytest.raises(FileNotFoundError, match=r"did you mean 'a b\.csv'"):
        column(f"file://{tmp_path}/ab.csv", streaming)


class Locked(MemoryFileSystem):
    """A file system that wants to be told a word."""

    protocol = "locked"
    cachable = False

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return super()._strip_protocol(path.replace("locked://", "memory://"))

    def __init__(self, word: str = "", **options: Any) -> None:
        super().__init__(**options)
        if word != "sesame":
            raise PermissionError("the word is wrong")


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("options", [{"word": "sesame"}, {"locked": {"word": "sesame"}, "other": {"x": 1}}])
def test_file_systems_are_given_their_arguments(streaming: bool, options: dict[str, Any]) -> None:
    fsspec.register_implementation("locked", Locked, clobber=True)
    fsspec.filesystem("memory").pipe("/closed/a.csv", b"a\n7\n")
    for files in ("locked://closed/a.csv", "locked://closed/*.csv"):
        assert column(files, streaming, storage_options=options) == [7]
        with pytest.raises(PermissionError, match="the word is wrong"):
            column(files, streaming)


def test_a_file_that_changed_behind_its_address_is_read_again() -> None:
    system = fsspec.filesystem("memory")
    for number in (1, 2):
        system.pipe("/changing/a.csv", f"a\n{number}\n".encode())
        assert column("memory://changing/a.csv") == [number]


class Page(BaseHTTPRequestHandler):
    content, asked = b"", [""]

    def do_HEAD(self) -> None:
        self.asked.append(self.command)
        self.send_response(200)
        self.send_header("ETag", str(hash(Page.content)))
        self.send_header("Content-Length", str(len(Page.content)))
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        self.wfile.write(Page.content)

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture
def address() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/a.csv"
    server.shutdown()
    server.server_close()


def test_a_page_is_fetched_once_until_it_changes(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in (1, 2):
        Page.content = f"a\n{number}\n".encode()
        Page.asked.clear()
        assert column(address) == column(address) == [number]
        assert Page.asked.count("GET") == 1
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    Page.asked.clear()
    assert column(address) == [2] and not Page.asked
