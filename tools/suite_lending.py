"""What a suite's files need beside the library: small packages, modules that only the peer's wheel has, programs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from peers import PEERS

PACKAGES = PEERS / "suites" / "packages"
HERE = Path(__file__).parent


def packages(needed: Sequence[str]) -> list[str]:
    """Return the folders of pinned packages, each fetched once from the registry into .peers/suites/packages/."""
    folders = []
    for pin in needed:
        folder = PACKAGES / pin
        if not folder.exists():
            command = [sys.executable, "-m", "pip", "install", "-qq", "--no-deps", "--no-compile", "--target", folder]
            subprocess.run([*command, pin], check=True)
        folders.append(str(folder))
    return folders


def modules(lent: Sequence[str], paths: Sequence[str]) -> dict[str, str]:
    """Return the variables that let the drop-in, in child processes too, answer with modules of the peer's wheel.

    Args:
        lent: their names, such as ``accelerate.test_utils``.
        paths: folders that are on ``PYTHONPATH``.
    """
    if not lent:
        return {}
    site = next((PEERS / "models" / "lib").glob("python3*")) / "site-packages"
    places = {name: str(site.joinpath(*name.split("."))) for name in lent}
    return {"SUITE_LENT": json.dumps(places), "PYTHONPATH": os.pathsep.join([str(HERE / "lent"), *paths])}


def programs(names: Sequence[str], ours: bool, scratch: Path) -> str:
    """Return a ``PATH`` on which a library's commands are the peer's, or ours under the same names.

    Args:
        names: the commands.
        ours: whether they are enfold's.
        scratch: a folder for them.
    """
    if not names:
        return os.environ.get("PATH", os.defpath)
    folder = PEERS / "models" / "bin"
    if ours:
        folder = scratch / "bin"
        folder.mkdir()
        for name in names:
            program = folder / name
            program.write_text(
                f'#!/bin/sh\nexec {sys.executable} -c "from enfold.cli import main; main()" run {name} "$@"\n'
            )
            program.chmod(0o755)
    return os.pathsep.join([str(folder), os.environ.get("PATH", os.defpath)])
