"""Models that answer on their pages: loaded in processes of their own when somebody asks, gone when nobody does."""

from __future__ import annotations

import importlib.util
import json
import queue
import select
import shutil
import subprocess
import sys
import threading
import time
from concurrent.futures import Future
from concurrent.futures import TimeoutError as Late
from pathlib import Path
from typing import IO, Any

from sqlalchemy import Connection, Row

from enfold.hubserver import trees
from enfold.hubserver.commits import Commits
from enfold.hubserver.errors import HubServerError
from enfold.hubserver.files import open_content
from enfold.hubserver.sandbox import Bounds, Sandbox
from enfold.hubserver.store.contents import Contents
from enfold.log import get_logger

__all__ = ["TASKS", "Models"]

_log = get_logger(__name__)

#: tasks whose question is one text
TASKS = (
    "text-classification",
    "token-classification",
    "fill-mask",
    "text-generation",
    "text2text-generation",
    "summarization",
    "translation",
)
_NAMES = (".json", ".txt", ".model", ".safetensors", ".jinja")
_BYTES = 1_500_000_000  # of a model's files
_TOGETHER = 2  # models that are loaded at once
_IDLE = 300.0  # seconds after which a model that nobody asks is forgotten
_LOAD, _ANSWER = 120.0, 30.0  # seconds
_WAITING = 8  # questions that may wait for one model
_TEXT = 5_000  # characters of a question


class Models:
    """Asks models, and keeps the ones that were asked lately loaded.

    Args:
        commits: reads small files.
        contents: reads large ones.
        sandbox: where models are run.
    """

    def __init__(self, commits: Commits, contents: Contents, sandbox: Sandbox) -> None:
        self._commits, self._contents, self._sandbox = commits, contents, sandbox
        self._lock = threading.Lock()
        self._workers: dict[str, _Worker] = {}

    def why_not(self, connection: Connection, head: Row[Any], task: str | None) -> str | None:
        """Return why a model cannot be tried on its page; None where it can. Empty where there is nothing to say."""
        if task not in TASKS:
            return ""
        files = self._files(connection, head.tree)
        if "config.json" not in files or not any(path.endswith(".safetensors") for path in files):
            return ""
        if sum(row.size for row in files.values()) > _BYTES:
            return f"Models of more than {_BYTES // 10**6:,} MB are not run here."
        if importlib.util.find_spec("torch") is None:
            return "This Hub runs no models: torch is not installed where it runs (pip install enfold[torch])."
        return None

    def _files(self, connection: Connection, tree: str) -> dict[str, Any]:
        found = {
            name: entry.oid
            for name, entry in trees.read(connection, tree).items()
            if not entry.folder and name.endswith(_NAMES)
        }
        rows = self._commits.blobs(connection, list(found.values()))
        return {name: rows[oid] for name, oid in found.items()}

    def ask(self, connection: Connection, head: Row[Any], task: str, text: str) -> Future[dict[str, Any]]:
        """Ask a model a question; the answer comes as ``{"answer": …}`` or ``{"error": …}``.

        Raises:
            HubServerError: 400, the question is too long; 503, too many wait for this model.
        """
        if not text.strip() or len(text) > _TEXT:
            raise HubServerError(400, f"A question has 1 to {_TEXT:,} characters.")
        with self._lock:
            worker = self._workers.get(head.tree)
            if worker is None or worker.ended.is_set():
                files = self._files(connection, head.tree)
                data = {name: self._commits.blob(connection, row.oid) for name, row in files.items()}
                alive = sorted((one for one in self._workers.values() if not one.ended.is_set()), key=lambda x: x.used)
                for old in alive[: max(len(alive) - _TOGETHER + 1, 0)]:
                    old.stopping.set()
                worker = self._workers[head.tree] = _Worker(self, head.tree, data, task)
            return worker.ask(text)

    def answer(self, asked: Future[dict[str, Any]]) -> dict[str, Any]:
        """Wait for an answer."""
        try:
            return asked.result(_LOAD + _ANSWER)
        except Late:
            return {"error": "The model takes too long."}

    def close(self) -> None:
        """Forget every model."""
        with self._lock:
            workers = list(self._workers.values())
        for worker in workers:
            worker.stopping.set()
        for worker in workers:
            worker.ended.wait(10)


class _Worker:
    """A model's process and the thread that talks with it."""

    def __init__(self, models: Models, key: str, files: dict[str, Any], task: str) -> None:
        self._models, self._key, self._files, self._task = models, key, files, task
        self._asked: queue.Queue[tuple[str, Future[dict[str, Any]]]] = queue.Queue(_WAITING)
        self.used = time.monotonic()
        self.stopping, self.ended = threading.Event(), threading.Event()
        threading.Thread(target=self._live, name=f"model-{key[:10]}", daemon=True).start()

    def ask(self, text: str) -> Future[dict[str, Any]]:
        answer: Future[dict[str, Any]] = Future()
        try:
            self._asked.put_nowait((text, answer))
        except queue.Full:
            raise HubServerError(503, "Too many ask this model at once.", headers={"Retry-After": "5"}) from None
        self.used = time.monotonic()
        return answer

    def _live(self) -> None:
        sandbox, place, process = self._models._sandbox, None, None
        problem = "The model was put away to make room for another. Ask again."
        try:
            place = sandbox.place(f"model-{self._key}")
            self._lay(place / "model")
            process = sandbox.start(
                [sys.executable, "-I", str(Path(__file__).with_name("answer.py")), "model", self._task],
                place,
                user=3,
                bounds=Bounds(memory=6 << 30, file=1 << 20),
                environment={"HF_HUB_OFFLINE": "1"},
                input=subprocess.PIPE,
                errors=subprocess.DEVNULL,
            )
            said = self._read(process, _LOAD)
            if said is None:
                problem = "The model cannot be loaded with what it may use here."
                return
            while not self.stopping.is_set() and time.monotonic() - self.used < _IDLE:
                try:
                    text, answer = self._asked.get(timeout=0.2)
                except queue.Empty:
                    continue
                assert process.stdin is not None
                process.stdin.write(json.dumps(text).encode() + b"\n")
                process.stdin.flush()
                found = self._read(process, _ANSWER)
                if found is None:
                    problem = "The model takes too long, or more memory than it may have."
                    answer.set_result({"error": problem})
                    return
                answer.set_result({**found, "mask": said.get("mask")})
        except Exception:
            _log.exception("a model's process failed")
            problem = "The model's process failed."
        finally:
            self.ended.set()
            if process is not None:
                sandbox.stop(process)
            if place is not None:
                shutil.rmtree(place, ignore_errors=True)
            while not self._asked.empty():
                self._asked.get_nowait()[1].set_result({"error": problem})

    def _lay(self, folder: Path) -> None:
        folder.mkdir()
        for name, row in self._files.items():
            source = bytes(row.data) if row.data is not None else self._models._contents.source(row.sha256)
            with open_content(source) as reader, (folder / name).open("wb") as writer:
                shutil.copyfileobj(reader, writer, 1 << 20)

    def _read(self, process: subprocess.Popen[bytes], seconds: float) -> dict[str, Any] | None:
        """Return the process's next line; None when it ended or takes too long."""
        output: IO[bytes] | None = process.stdout
        assert output is not None
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not self.stopping.is_set():
            if select.select([output], [], [], 0.2)[0]:
                line = output.readline()
                return dict(json.loads(line)) if line else None
        return None
