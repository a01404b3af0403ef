"""Programs that are not the server's own: Spaces, readers of foreign files, queries. Each in a folder, confined."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

__all__ = ["Bounds", "Sandbox"]

_CONFINE = Path(__file__).with_name("confine.py")
_FIRST = 200_000  # the number of the first user that a program may become
_USERS = 50_000


@dataclasses.dataclass(frozen=True)
class Bounds:
    """What a program may use.

    Args:
        memory: bytes of data (2 GB).
        file: bytes of the largest file that it writes (1 GB).
        seconds: of the processor; as long as it likes by default.
        processes: how many, threads included (512); only where it has a user of its own.
        network: whether there is one; only root can take it away.
    """

    memory: int = 2 << 30
    file: int = 1 << 30
    seconds: int | None = None
    processes: int = 512
    network: bool = False


class Sandbox:
    """Where such programs run: a folder outside of the server's own, in which each has one.

    Args:
        hidden: folders of the server that they must not see.

    Example:
        >>> sandbox = Sandbox([])
        >>> place = sandbox.place("query")
        >>> sandbox.run([sys.executable, "-I", "-c", "print(6 * 7)"], place, user=1, timeout=20).stdout
        b'42\\n'
        >>> sandbox.close()
    """

    def __init__(self, hidden: Sequence[Path]) -> None:
        self._hidden = [str(path.resolve()) for path in hidden]
        self._folder: Path | None = None
        self._lock = threading.Lock()

    @property
    def separates(self) -> bool:
        """Whether programs get users of their own: only root can give them."""
        return os.geteuid() == 0

    def place(self, name: str) -> Path:
        """Make an empty folder for a program; whatever was there is gone."""
        with self._lock:
            if self._folder is None:
                self._folder = Path(tempfile.mkdtemp(prefix="enfold-hub-"))
                self._folder.chmod(0o711)
        made = self._folder / name
        shutil.rmtree(made, ignore_errors=True)
        (made / "home").mkdir(parents=True)
        return made

    def start(
        self,
        command: Sequence[str],
        place: Path,
        *,
        user: int,
        bounds: Bounds = Bounds(),
        environment: Mapping[str, str] | None = None,
        input: IO[bytes] | int = subprocess.DEVNULL,
        output: IO[bytes] | int = subprocess.PIPE,
        errors: IO[bytes] | int = subprocess.PIPE,
    ) -> subprocess.Popen[bytes]:
        """Start a program in its folder, which becomes its own. It ends with the thread that starts it.

        Args:
            command: the program and its arguments.
            place: its folder.
            user: tells programs apart that must not reach each other's folders.
            bounds: what it may use.
            environment: variables beyond the few that every program gets; the server's own are not passed on.
            input: where its input comes from.
            output: where its output goes.
            errors: where its errors go.
        """
        self.give(place, user)
        number = _FIRST + user % _USERS
        said: dict[str, Any] = {"user": number, "hide": self._hidden, "needed": [sys.base_prefix, sys.prefix]}
        said |= {name: getattr(bounds, name) for name in ("memory", "file", "seconds", "processes", "network")}
        variables = {
            "PATH": f"{os.path.dirname(sys.executable)}:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(place / "home"),
            "TMPDIR": str(place / "home"),
            "LANG": "C.UTF-8",
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "HF_HOME": str(place / "home" / "cache"),
            "OMP_NUM_THREADS": "2",
            **(environment or {}),
        }
        return subprocess.Popen(
            [sys.executable, "-I", str(_CONFINE), json.dumps(said), *command],
            cwd=place,
            env=variables,
            stdin=input,
            stdout=output,
            stderr=errors,
            start_new_session=True,
        )

    def give(self, place: Path, user: int) -> None:
        """Make a folder and what is in it a program's own."""
        number = _FIRST + user % _USERS
        if self.separates:
            for folder, _, files in os.walk(place):
                for path in (folder, *(os.path.join(folder, name) for name in files)):
                    os.chown(path, number, number, follow_symlinks=False)
        place.chmod(0o700)

    def run(
        self,
        command: Sequence[str],
        place: Path,
        *,
        user: int,
        timeout: float,
        bounds: Bounds = Bounds(),
        environment: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a program to its end.

        Raises:
            subprocess.TimeoutExpired: it took longer than ``timeout`` seconds, and is gone.
        """
        process = self.start(command, place, user=user, bounds=bounds, environment=environment)
        try:
            output, errors = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            self.stop(process)
            raise
        return subprocess.CompletedProcess(process.args, process.returncode, output, errors)

    @staticmethod
    def kill(process: subprocess.Popen[bytes]) -> None:
        """Have a program and what it started end, without waiting for it."""
        try:
            os.killpg(process.pid, 9)
        except ProcessLookupError:
            pass

    @staticmethod
    def stop(process: subprocess.Popen[bytes]) -> None:
        """End a program and what it started."""
        Sandbox.kill(process)
        process.communicate() if process.stdout else process.wait()

    def close(self) -> None:
        """Remove the folders."""
        with self._lock:
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)
                self._folder = None
