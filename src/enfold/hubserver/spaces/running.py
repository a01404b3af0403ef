"""Spaces that run: started when somebody comes, stopped when nobody does, and what they say on the way."""

from __future__ import annotations

import collections
import dataclasses
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row

from enfold.hubserver import trees
from enfold.hubserver.commits import Commits
from enfold.hubserver.errors import HubServerError
from enfold.hubserver.files import open_content
from enfold.hubserver.sandbox import Bounds, Sandbox
from enfold.hubserver.settings import Settings
from enfold.hubserver.spaces.packages import Packages
from enfold.hubserver.spaces.values import SpaceValues
from enfold.hubserver.store.contents import Contents
from enfold.hubserver.views import timestamp

__all__ = ["Running", "Space", "address_of_space"]

_START = 180.0  # seconds that a program has until it listens
_LINES = 2_000  # of its log that are kept
_FILES, _BYTES = 5_000, 2_000_000_000  # of a repository that are laid into its folder
_TOGETHER = 8  # programs that run at once; the one that was used longest ago makes room
_USER = 100  # the first of their users
_LINE = 4_000  # bytes of a line of the log


def address_of_space(name: str) -> str:
    """Return the path below which a Space's program answers."""
    return f"/spaces/{name}/run"


@dataclasses.dataclass
class Space:
    """A program, from its start to its end.

    Args:
        repo_id: the repository.
        name: its id.
        commit: the commit that runs.
        stage: "BUILDING", "APP_STARTING", "RUNNING", "SLEEPING", "STOPPED" or "RUNTIME_ERROR", as clients know them.
        port: where it listens.
        used: when somebody was there last.
        open: how many answers are under way.
        sockets: how many of them are web sockets.
        log: its last lines, with the moment of each.
        problem: why it does not run.
    """

    repo_id: int
    name: str
    commit: str
    stage: str = "BUILDING"
    port: int = 0
    used: float = dataclasses.field(default_factory=time.monotonic)
    open: int = 0
    sockets: int = 0
    log: collections.deque[tuple[float, str]] = dataclasses.field(
        default_factory=lambda: collections.deque(maxlen=_LINES)
    )
    lines: int = 0
    problem: str = ""
    ended: threading.Event = dataclasses.field(default_factory=threading.Event)
    stopping: threading.Event = dataclasses.field(default_factory=threading.Event)

    def say(self, text: str) -> None:
        """Add a line to the log."""
        self.log.append((time.time(), text))
        self.lines += 1

    def lines_after(self, number: int) -> tuple[int, list[str]]:
        """Return how many lines there were, and those after ``number`` as the log's stream has them."""
        count, kept = self.lines, list(self.log)
        fresh = kept[max(len(kept) - (count - number), 0) :] if count > number else []
        return count, [f"{timestamp(moment)} {text}" for moment, text in fresh]


class Running:
    """The programs of Spaces.

    Args:
        settings: whether they run, and when they are stopped.
        commits: reads small files.
        contents: reads large ones.
        sandbox: where they run.
        values: what they find in their environments.
    """

    def __init__(
        self, settings: Settings, commits: Commits, contents: Contents, sandbox: Sandbox, values: SpaceValues
    ) -> None:
        self._settings, self._commits, self._contents, self._sandbox = settings, commits, contents, sandbox
        self._values = values
        self.packages = Packages(sandbox, allowed=settings.space_packages)
        self._lock = threading.Lock()
        self._spaces: dict[int, Space] = {}

    def why_not(self) -> str | None:
        """Return why programs do not run on this Hub; None where they do."""
        if self._settings.spaces is None:
            return "This Hub runs no programs. Whoever runs it can let them in: enfold hub serve --spaces separate"
        if self._settings.spaces == "separate" and not self._sandbox.separates:
            return (
                "Only a Hub that runs as root can give programs users of their own. Where all who may write are "
                "trusted with the server's files, this will do: enfold hub serve --spaces trusted"
            )
        return None

    def find(self, repo_id: int) -> Space | None:
        """Return what is known of a Space's program."""
        with self._lock:
            return self._spaces.get(repo_id)

    def all(self) -> list[Space]:
        """Return every program that was started, by name."""
        with self._lock:
            return sorted(self._spaces.values(), key=lambda space: space.name)

    def start(self, connection: Connection, repo: Row[Any], head: Row[Any], card: dict[str, Any]) -> Space:
        """Return a Space's program, started if it is not running, or runs another commit, or failed another.

        Args:
            connection: a transaction.
            repo: the repository.
            head: the commit to run.
            card: its metadata: ``app_file`` names the program.
        """
        with self._lock:
            found = self._spaces.get(repo.id)
            if found is not None and found.commit == head.oid and found.stage not in {"SLEEPING", "STOPPED"}:
                found.used = time.monotonic()
                return found
            others = [one for one in self._spaces.values() if not one.ended.is_set() and one is not found]
            space = self._spaces[repo.id] = Space(repo.id, repo.name, head.oid)
        for one in sorted(others, key=lambda one: one.used)[: max(len(others) - _TOGETHER + 1, 0)]:
            one.stopping.set()
        try:
            problem = self.why_not()
            if problem is not None:
                raise HubServerError(503, problem)
            files = self._files(connection, head.tree)
            values = self._values.environment(connection, repo.id)
            program = str(card.get("app_file") or "app.py")
            if program not in {path for path, _ in files}:
                raise HubServerError(404, f"There is no {program} to run; the card's app_file names another.")
        except HubServerError as error:
            space.stage, space.problem = "NO_APP_FILE" if error.status == 404 else "STOPPED", error.message
            space.ended.set()
            return space
        if found is not None:
            found.stopping.set()
        before = found.ended if found is not None else None
        target = (space, files, program, values, before)
        threading.Thread(target=self._live, args=target, name=f"space-{repo.name}", daemon=True).start()
        return space

    def stop(self, repo_id: int, *, stage: str = "STOPPED") -> Space | None:
        """End a Space's program."""
        space = self.find(repo_id)
        if space is not None:
            space.stopping.set()
            space.ended.wait(10)
            space.stage = stage
        return space

    def restart(self, repo_id: int) -> None:
        """Forget a Space's program, so that it is started anew when somebody comes."""
        self.stop(repo_id)
        with self._lock:
            self._spaces.pop(repo_id, None)

    def close(self) -> None:
        """End every program."""
        with self._lock:
            spaces = list(self._spaces.values())
        for space in spaces:
            space.stopping.set()
        for space in spaces:
            space.ended.wait(10)

    # ------------------------------------------------------------------ a program's life

    def _files(self, connection: Connection, tree: str) -> list[tuple[str, Any]]:
        found = [(path, entry.oid) for path, entry in trees.walk(connection, tree) if not entry.folder]
        if len(found) > _FILES:
            raise HubServerError(422, f"A Space that runs has at most {_FILES:,} files.")
        blobs = [(path, self._commits.blob(connection, oid)) for path, oid in found]
        if sum(row.size for _, row in blobs) > _BYTES:
            raise HubServerError(422, f"A Space that runs has at most {_BYTES:,} bytes of files.")
        return blobs

    def _live(
        self,
        space: Space,
        files: list[tuple[str, Any]],
        program: str,
        values: dict[str, str],
        before: threading.Event | None,
    ) -> None:
        """Start the program, wait for its end or bring it about. It ends with this thread."""
        place: Path | None = None
        process = None
        try:
            if before is not None:
                before.wait(15)
            place = self._sandbox.place(f"space-{space.repo_id}")
            space.say(f"===== {space.name} at {space.commit[:10]} =====")
            self._lay(place / "app", files)
            user = _USER + space.repo_id
            packages = self.packages.install(space.repo_id, place, user, space.say, space.stopping)
            space.stage = "APP_STARTING"
            process = self._begin(space, place, program, values, packages)
            threading.Thread(target=self._listen, args=(space, process), daemon=True).start()
            self._watch(space, process)
        except Exception as error:
            space.stage, space.problem = "RUNTIME_ERROR", str(error)
        finally:
            if process is not None:
                self._end(process)
            if place is not None:
                shutil.rmtree(place, ignore_errors=True)
            space.ended.set()

    def _lay(self, folder: Path, files: list[tuple[str, Any]]) -> None:
        for path, row in files:
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            source = bytes(row.data) if row.data is not None else self._contents.source(row.sha256)
            with open_content(source) as reader, target.open("wb") as writer:
                shutil.copyfileobj(reader, writer, 1 << 20)

    def _begin(
        self, space: Space, place: Path, program: str, values: dict[str, str], packages: Path | None
    ) -> subprocess.Popen[bytes]:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            space.port = free.getsockname()[1]
        environment = {
            **values,
            "GRADIO_SERVER_NAME": "127.0.0.1",
            "GRADIO_SERVER_PORT": str(space.port),
            "GRADIO_ROOT_PATH": address_of_space(space.name),
            "GRADIO_ANALYTICS_ENABLED": "False",
            "SPACE_ID": space.name,
            "SPACE_AUTHOR_NAME": space.name.split("/")[0],
            "SPACE_REPO_NAME": space.name.rpartition("/")[2],
            "SYSTEM": "spaces",
        }
        code = "import os, runpy, sys; os.chdir('app'); own = sys.argv.pop(1); sys.argv = sys.argv[1:]; "
        code += "sys.path[:0] = [os.getcwd(), own] if own else [os.getcwd()]; "
        code += "import enfold.dropin; enfold.dropin.install(); runpy.run_path(sys.argv[0], run_name='__main__')"
        return self._sandbox.start(
            [sys.executable, "-I", "-c", code, str(packages or ""), program],
            place,
            user=_USER + space.repo_id,
            bounds=Bounds(memory=self._settings.space_memory, network=True),
            environment=environment,
            output=subprocess.PIPE,
            errors=subprocess.STDOUT,
        )

    def _listen(self, space: Space, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        while line := process.stdout.readline(_LINE):
            space.say(line.decode("utf-8", "replace").rstrip("\r\n"))

    def _watch(self, space: Space, process: subprocess.Popen[bytes]) -> None:
        begin = time.monotonic()
        while not space.stopping.wait(0.1 if space.stage == "APP_STARTING" else 0.5):
            now = time.monotonic()
            if process.poll() is not None:
                space.stage, space.problem = "RUNTIME_ERROR", f"It ended with the code {process.returncode}."
                space.say(f"===== ended with {process.returncode} =====")
                return
            if space.stage == "APP_STARTING":
                if _answers(space.port):
                    space.stage, space.used = "RUNNING", now
                elif now - begin > _START:
                    space.stage = "RUNTIME_ERROR"
                    space.problem = f"It did not listen within {_START:.0f} seconds: does it call launch()?"
                    return
            elif space.open == 0 and now - space.used > self._settings.space_idle:
                space.stage = "SLEEPING"
                space.say("===== stopped, since nobody was there =====")
                return
        if space.stage != "RUNTIME_ERROR":
            space.stage = "STOPPED"

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        for signal in (15, 9):
            try:
                os.killpg(process.pid, signal)
                process.wait(3)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                continue
        process.wait()


def _answers(port: int) -> bool:
    with socket.socket() as tried:
        tried.settimeout(0.5)
        return tried.connect_ex(("127.0.0.1", port)) == 0
