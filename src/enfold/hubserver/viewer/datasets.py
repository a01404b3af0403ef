"""Datasets as the viewer has them: converted once for each state of their files, and read a page at a time."""

from __future__ import annotations

import base64
import dataclasses
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row

from enfold.hubserver import trees
from enfold.hubserver.commits import Commits
from enfold.hubserver.errors import HubServerError
from enfold.hubserver.files import open_content
from enfold.hubserver.sandbox import Bounds, Sandbox
from enfold.hubserver.settings import Settings
from enfold.hubserver.store.contents import Contents
from enfold.log import get_logger

__all__ = ["Datasets", "Prepared", "Split"]

_log = get_logger(__name__)

_HERE = Path(__file__).parent
_ROWS, _BYTES = 1_000_000, 2_000_000_000  # of a split that are converted
_COPIED = 5_000_000_000  # bytes of files that are copied for it, where the store has no files to link to
_FILES = 20_000
_PATIENCE = 600.0  # seconds that a conversion may take
_RETRY = 300.0  # seconds after which one that failed is tried again
_KEPT = 64  # datasets whose conversion is kept
_QUESTION = 10.0  # seconds that a question may take
_ANSWER = 500  # rows of an answer
_SHOWN = frozenset(
    "csv tsv json jsonl ndjson parquet arrow txt gz zip zst bz2 xz tar md yaml yml png jpg jpeg webp gif bmp tiff wav "
    "mp3 flac ogg opus m4a pdf h5 hdf5 xml feather lance geojson".split()
)


@dataclasses.dataclass(frozen=True)
class Split:
    """A split as it was converted: where its rows are, and what is known of them."""

    config: str
    split: str
    file: Path
    rows: int
    bytes: int
    partial: bool
    features: dict[str, Any]
    columns: list[dict[str, Any]]


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A dataset as it was converted."""

    splits: list[Split]

    def find(self, config: str | None, split: str | None) -> Split:
        """Return the split of these names; the first that fits where one is left out; or raise a 404."""
        for found in self.splits:
            if config in {None, "", found.config} and split in {None, "", found.split}:
                return found
        known = ", ".join(f"{found.config}/{found.split}" for found in self.splits[:20])
        raise HubServerError(404, f"there is no split {config}/{split} here: expected one of {known}")


class Datasets:
    """Converts datasets, and reads what came of it.

    Args:
        settings: where conversions are kept.
        commits: reads small files.
        contents: reads large ones.
        sandbox: where foreign files are read.
    """

    def __init__(self, settings: Settings, commits: Commits, contents: Contents, sandbox: Sandbox) -> None:
        self._folder = settings.folder / "viewer"
        self._commits, self._contents, self._sandbox = commits, contents, sandbox
        self._lock = threading.Lock()
        self._turn = threading.Semaphore(2)
        self._running: set[str] = set()
        self._failed: dict[str, tuple[float, str]] = {}

    def prepared(self, connection: Connection, repo: Row[Any], tree: str) -> Prepared | None:
        """Return a dataset's conversion; None while it is being made, in the background.

        Args:
            connection: a transaction.
            repo: the dataset.
            tree: the tree of its files.

        Raises:
            HubServerError: 422, the files are no dataset that can be shown, and why.
        """
        found = self._ready(tree)
        if found is None:
            with self._lock:
                if tree not in self._running:
                    self._running.add(tree)
                    files = self._files(connection, tree)
                    threading.Thread(target=self._prepare, args=(tree, files, repo.name), daemon=True).start()
        return found

    def wait(self, tree: str, seconds: float) -> Prepared | None:
        """Return a conversion that was begun, as soon as it is there; None when it takes longer than ``seconds``."""
        deadline = time.monotonic() + seconds
        while (found := self._ready(tree)) is None and time.monotonic() < deadline:
            time.sleep(0.05)
        return found

    def _ready(self, tree: str) -> Prepared | None:
        with self._lock:
            moment, problem = self._failed.get(tree, (0.0, ""))
        if problem and time.monotonic() - moment < _RETRY:
            raise HubServerError(422, problem)
        return self._load(tree)

    def _load(self, key: str) -> Prepared | None:
        folder = self._folder / key
        try:
            said = json.loads((folder / "said.json").read_text())
        except FileNotFoundError:
            return None
        os.utime(folder)
        return Prepared([Split(**{**split, "file": folder / split["file"]}) for split in said])

    def _files(self, connection: Connection, tree: str) -> list[tuple[str, Any]]:
        found = [
            (path, entry.oid)
            for path, entry in trees.walk(connection, tree)
            if not entry.folder and path.rsplit(".", 1)[-1].lower() in _SHOWN
        ][:_FILES]
        blobs = self._commits.blobs(connection, [oid for _, oid in found])
        small = [oid for oid, row in blobs.items() if row.size <= 100_000]
        rows: dict[str, Any] = {**blobs, **{oid: self._commits.blob(connection, oid) for oid in small}}
        return [(path, rows[oid]) for path, oid in found]

    # ------------------------------------------------------------------ converting

    def _prepare(self, key: str, files: list[tuple[str, Any]], name: str) -> None:
        try:
            with self._turn:
                self._convert(key, files)
            problem = ""
        except HubServerError as error:
            problem = error.message
        except Exception:
            _log.exception("converting %s failed", name)
            problem = "Converting the files failed inside the Hub; its log says why."
        with self._lock:
            self._running.discard(key)
            self._failed.pop(key, None)
            if problem:
                self._failed[key] = (time.monotonic(), problem)

    def _convert(self, key: str, files: list[tuple[str, Any]]) -> None:
        if not any(path.rsplit("/", 1)[-1] != "README.md" for path, _ in files):
            raise HubServerError(422, "There are no files here yet that hold rows.")
        place = self._sandbox.place(f"viewer-{key}")
        try:
            self._lay(place / "files", files)
            (place / "out").mkdir()
            command = [sys.executable, "-I", str(_HERE / "convert.py"), "files", "out", str(_ROWS), str(_BYTES)]
            bounds = Bounds(memory=6 << 30, file=4 << 30, seconds=int(_PATIENCE))
            offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
            try:
                done = self._sandbox.run(command, place, user=1, timeout=_PATIENCE, bounds=bounds, environment=offline)
            except subprocess.TimeoutExpired:
                raise HubServerError(422, f"Reading the files took longer than {_PATIENCE:.0f} seconds.") from None
            if done.returncode != 0:
                lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
                why = lines[-1][:500] if lines else f"it ended with {done.returncode}"
                raise HubServerError(422, f"The files cannot be read as a dataset: {why.replace(str(place), '')}")
            self._keep(place / "out", key)
        finally:
            shutil.rmtree(place, ignore_errors=True)

    def _lay(self, folder: Path, files: list[tuple[str, Any]]) -> None:
        """Put the files into a folder."""
        copied = 0
        for path, row in files:
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            data = getattr(row, "data", None)
            copied += row.size
            if copied > _COPIED:
                raise HubServerError(422, f"The files are larger than the {_COPIED:,} bytes that can be shown.")
            source = bytes(data) if data is not None else self._contents.source(row.sha256)
            with open_content(source) as reader, target.open("wb") as writer:
                shutil.copyfileobj(reader, writer, 1 << 20)

    def _keep(self, out: Path, key: str) -> None:
        self._folder.mkdir(exist_ok=True)
        fresh = self._folder / f".{key}"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir()
        for file in out.iterdir():
            if not file.is_symlink():
                shutil.copyfile(file, fresh / file.name)
        try:
            fresh.rename(self._folder / key)
        except OSError:  # another server was quicker
            shutil.rmtree(fresh, ignore_errors=True)
        kept = sorted((path for path in self._folder.iterdir()), key=lambda path: path.stat().st_mtime, reverse=True)
        for old in kept[_KEPT:]:
            shutil.rmtree(old, ignore_errors=True)

    # ------------------------------------------------------------------ reading

    def rows(self, split: Split, start: int, count: int) -> list[dict[str, Any]]:
        """Return rows of a split as JSON has them; pictures and sounds as ``{"src": "data:…"}``."""
        import pyarrow.parquet as pq

        found: list[dict[str, Any]] = []
        with pq.ParquetFile(split.file) as file:
            before = 0
            for group in range(file.num_row_groups):
                size = file.metadata.row_group(group).num_rows
                if before + size > start and before < start + count:
                    first = max(start - before, 0)
                    table = file.read_row_group(group).slice(first, start + count - before - first)
                    found += table.to_pylist()
                before += size
        return [{name: _cell(value, split.features.get(name)) for name, value in row.items()} for row in found]

    def ask(self, prepared: Prepared, config: str, question: str) -> dict[str, Any]:
        """Answer a question in SQL, in which the splits of a configuration are tables.

        Returns:
            ``{"columns": [[name, type], …], "rows": [[cell, …], …], "more": bool}``, or ``{"error": …}``.
        """
        tables = {split.split: split for split in prepared.splits if split.config == config}
        place = self._sandbox.place(f"query-{threading.get_ident()}-{time.monotonic_ns()}")
        try:
            files = {}
            for number, (name, split) in enumerate(tables.items()):
                target = place / f"{number}.parquet"
                shutil.copyfile(split.file, target)
                files[name] = target.name
            said = {"tables": files, "question": question, "rows": _ANSWER, "memory": 1000}
            command = [sys.executable, "-I", str(_HERE / "query.py"), json.dumps(said)]
            bounds = Bounds(memory=3 << 30, file=0, seconds=int(_QUESTION) + 2)
            done = self._sandbox.run(command, place, user=2, timeout=_QUESTION, bounds=bounds)
        except subprocess.TimeoutExpired:
            return {"error": f"The question takes longer than {_QUESTION:.0f} seconds."}
        finally:
            shutil.rmtree(place, ignore_errors=True)
        if done.returncode != 0:
            missing = b"No module named 'duckdb'" in done.stderr
            return {"error": "DuckDB is not installed: pip install enfold[viewer]"} if missing else _ended(done)
        return dict(json.loads(done.stdout))


def _ended(done: subprocess.CompletedProcess[bytes]) -> dict[str, Any]:
    last = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
    _log.warning("a question ended with %s: %s", done.returncode, last)
    return {"error": "The question needs more memory or time than there is for one."}


_MAGIC: Sequence[tuple[bytes, str]] = (
    (b"\x89PNG", "image/png"),
    (b"\xff\xd8", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"RIFF", "image/webp"),
)


def _cell(value: Any, feature: Any) -> Any:
    """Return a value as JSON has it."""
    kind = feature.get("_type") if isinstance(feature, dict) else None
    if kind == "Image" and isinstance(value, dict):
        data = value.get("bytes") or b""
        mime = next((mime for magic, mime in _MAGIC if data.startswith(magic)), None)
        if mime is None or len(data) > 1_000_000:
            return {"src": None, "path": value.get("path"), "size": len(data)}
        return {"src": f"data:{mime};base64,{base64.b64encode(data).decode()}", "path": value.get("path")}
    if kind == "Audio" and isinstance(value, dict):
        return {"path": value.get("path"), "size": len(value.get("bytes") or b"")}
    return _plain(value)


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else None
    if isinstance(value, (bytes, bytearray)):
        return base64.b64encode(value).decode()
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return str(value)
