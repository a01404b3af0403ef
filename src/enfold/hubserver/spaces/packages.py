"""What a Space's ``requirements.txt`` names, installed for that Space alone where the operator allows it.

pip runs confined, as the Space's own user, and puts everything into a folder that only this Space's program looks into;
neither the Hub's packages nor other Spaces' change. What was installed stays until the file says something else.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

from enfold.hubserver.errors import HubServerError
from enfold.hubserver.sandbox import Bounds, Sandbox

__all__ = ["Packages"]

_FILE = "requirements.txt"
_PATIENCE = 900.0  # seconds for an installation
_MEMORY = 4 << 30
_CODE = (
    "import os, runpy, sys; os.chdir('app'); "
    "sys.argv = ['pip', 'install', '--target', sys.argv[1], '--no-input', '--no-cache-dir', "
    "'--disable-pip-version-check', '--no-warn-script-location', '--progress-bar', 'off', '-r', 'requirements.txt']; "
    "runpy.run_module('pip', run_name='__main__')"
)


class Packages:
    """The packages of all Spaces.

    Args:
        sandbox: where they are installed.
        allowed: whether they may be.
    """

    def __init__(self, sandbox: Sandbox, *, allowed: bool) -> None:
        self._sandbox, self.allowed = sandbox, allowed
        self._known: dict[int, tuple[str, Path]] = {}
        self._lock = threading.Lock()

    def install(
        self, repo_id: int, place: Path, user: int, say: Callable[[str], None], stopping: threading.Event
    ) -> Path | None:
        """Install what the program in ``place`` asks for, and return the folder; None where it asks for nothing.

        Args:
            repo_id: the Space.
            place: the Space's folder, with its files in ``app``.
            user: as whom its programs run.
            say: gets the lines that pip writes.
            stopping: set when it is to end.

        Raises:
            HubServerError: 422, pip could not install it, or took too long.
        """
        wanted = place / "app" / _FILE
        if not wanted.is_file() or not wanted.read_bytes().strip():
            return None
        if not self.allowed:
            say(f"{_FILE} is not installed: this Hub has only its own packages (enfold hub serve --space-packages)")
            return None
        digest = hashlib.sha256(wanted.read_bytes()).hexdigest()
        with self._lock:
            known = self._known.pop(repo_id, None)
        if known is None or known[0] != digest:
            folder = self._sandbox.place(f"packages-{repo_id}")
            self._sandbox.give(folder, user)
            say(f"===== installing {_FILE} =====")
            self._run(place, folder, user, say, stopping)
            known = digest, folder
        with self._lock:
            self._known[repo_id] = known
        return known[1]

    def forget(self, repo_id: int) -> None:
        """Have a Space's packages installed anew when its program starts next."""
        with self._lock:
            self._known.pop(repo_id, None)

    def _run(self, place: Path, folder: Path, user: int, say: Callable[[str], None], stopping: threading.Event) -> None:
        process = self._sandbox.start(
            [sys.executable, "-I", "-c", _CODE, str(folder)],
            place,
            user=user,
            bounds=Bounds(memory=_MEMORY, network=True),
            output=subprocess.PIPE,
            errors=subprocess.STDOUT,
        )
        assert process.stdout is not None
        reader = threading.Thread(target=_read, args=(process.stdout, say), daemon=True)
        reader.start()
        begin = time.monotonic()
        while process.poll() is None and time.monotonic() - begin < _PATIENCE and not stopping.wait(0.1):
            pass
        late = process.poll() is None and not stopping.is_set()
        if process.poll() is None:
            self._sandbox.kill(process)
        code = process.wait()
        reader.join(5)
        if late:
            raise HubServerError(422, f"Its {_FILE} was not installed within {_PATIENCE:.0f} seconds.")
        if code:
            raise HubServerError(422, f"Its {_FILE} could not be installed; the log says why.")


def _read(stream: IO[bytes], say: Callable[[str], None]) -> None:
    while line := stream.readline(4_000):
        say(line.decode("utf-8", "replace").rstrip("\r\n"))
