"""A Postgres of the tests' own, in a folder of theirs."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def postgres() -> Iterator[str]:
    """Start a server that listens on a socket in a temporary folder alone; yield ``postgresql://…/{name}?…``, in which
    a database's name is to be filled in.

    Without the programs a developer's test is skipped and CI fails. Postgres refuses to run as root, so root becomes
    the user "postgres" for it, whom the package makes.
    """
    programs = _programs()
    if programs is None:
        message = "Postgres is not installed: `make postgres`"
        if os.environ.get("CI", "").lower() in ("1", "true", "yes"):
            pytest.fail(message)
        pytest.skip(message)
    user = "postgres" if os.getuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="enfold-postgres-"))
    if user is not None:
        shutil.chown(folder, user)

    def run(*command: str) -> None:
        done = subprocess.run(command, user=user, capture_output=True, text=True, cwd=folder, env={"LC_ALL": "C"})
        assert done.returncode == 0, done.stdout + done.stderr

    data = str(folder / "data")
    try:
        run(f"{programs}/initdb", "-D", data, "-U", "hub", "-A", "trust", "--no-sync", "-E", "UTF8", "--no-locale")
        options = f"-c listen_addresses='' -c unix_socket_directories='{folder}' -c fsync=off -c max_connections=200"
        run(f"{programs}/pg_ctl", "-D", data, "-w", "-l", f"{folder}/log", "-o", options, "start")
        try:
            yield f"postgresql://hub@/{{name}}?host={folder}"
        finally:
            run(f"{programs}/pg_ctl", "-D", data, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _programs() -> Path | None:
    """Return the folder of ``initdb`` and ``pg_ctl``: the newest of Debian's, or what the path has."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    program = shutil.which("initdb")
    return None if program is None else Path(program).parent
