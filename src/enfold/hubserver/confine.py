"""Run a command with no more than it needs: ``python -I confine.py '{"user": 200001, …}' command …``.

This file is a program of its own: it changes what the process may do and then becomes the command. Where it runs as
root, the command gets a user of its own, sees neither the server's folders nor (unless it may) a network; elsewhere it
stays the server's user. Limits of memory, processor time and file sizes hold in both cases.

Source: credentials(7), mount_namespaces(7), prctl(2) and getrlimit(2) of Linux.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import sys
from typing import Any

_NEWNS, _NEWNET, _NEWIPC = 0x20000, 0x40000000, 0x08000000
_BIND, _REC, _PRIVATE = 0x1000, 0x4000, 0x40000
_NO_NEW_PRIVS, _DUMPABLE, _PDEATHSIG = 38, 4, 1
_NOBODY = 65_534

_libc = ctypes.CDLL(None, use_errno=True)


def _call(name: str, *arguments: Any) -> None:
    if getattr(_libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def _mount(source: str, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    encoded = [None if text is None else text.encode() for text in (source, target, kind)]
    _call("mount", *encoded, ctypes.c_ulong(flags), None if data is None else data.encode())


def _hide(folders: list[str], needed: list[str]) -> None:
    """Put nothing where the folders are, and keep what is needed reachable where a closed folder is on the way."""
    _call("unshare", _NEWNS)
    _mount("none", "/", None, _REC | _PRIVATE)
    for path in needed:
        for parent in _parents(path):
            if not os.stat(parent).st_mode & 0o001:
                handle = os.open(path, os.O_PATH)
                _mount("tmpfs", parent, "tmpfs", 0, "mode=0711,size=1m")
                os.makedirs(path, mode=0o755, exist_ok=True)
                _mount(f"/proc/self/fd/{handle}", path, None, _BIND | _REC)
                os.close(handle)
                break
    for folder in folders:
        if os.path.isdir(folder):
            _mount("tmpfs", folder, "tmpfs", 0, "mode=0700,size=4k")
    _mount("proc", "/proc", "proc", 0, "hidepid=2")  # the server's arguments may name its database's password


def _parents(path: str) -> list[str]:
    parts = os.path.realpath(path).split("/")
    return ["/".join(parts[:count]) for count in range(2, len(parts))]


def _become(user: int) -> None:
    os.setgroups([])
    try:
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    except OSError:  # a container whose users end before that number
        os.setresgid(_NOBODY, _NOBODY, _NOBODY)
        os.setresuid(_NOBODY, _NOBODY, _NOBODY)


def _limit(kind: int, value: int | None) -> None:
    if value is not None:
        _, most = resource.getrlimit(kind)
        value = value if most == resource.RLIM_INFINITY else min(value, most)
        resource.setrlimit(kind, (value, value))


def main(said: dict[str, Any], command: list[str]) -> None:
    """Give up what the command does not need, and become it.

    Args:
        said: ``user`` (a number), ``hide`` and ``needed`` (folders), ``network`` (whether there is one), and the limits
            ``memory`` and ``file`` (bytes), ``seconds`` (of the processor), ``processes``.
        command: the program's path and its arguments.
    """
    root = os.geteuid() == 0
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_DATA, said.get("memory"))
    _limit(resource.RLIMIT_FSIZE, said.get("file"))
    _limit(resource.RLIMIT_CPU, said.get("seconds"))
    _limit(resource.RLIMIT_NOFILE, 1024)
    if root:
        for isolate in (
            lambda: _hide(said.get("hide", []), said.get("needed", [])),
            lambda: _call("unshare", _NEWIPC | (0 if said.get("network") else _NEWNET)),
        ):
            try:
                isolate()
            except OSError as error:  # a container that may not: its own user protects the files still
                print(f"confine: {error}", file=sys.stderr)
        _limit(resource.RLIMIT_NPROC, said.get("processes"))
        _become(said["user"])
    _libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0)
    _libc.prctl(_PDEATHSIG, 9, 0, 0, 0)
    os.umask(0o077)
    os.execve(command[0], command, dict(os.environ))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]), sys.argv[2:])
