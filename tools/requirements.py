"""Print what to install from pyproject.toml: ``python tools/requirements.py EXTRA… `` (``build`` = the build system's).

pip can only resolve a project's extras by building it, which would isolate the build from the environment that is
being made; listing the requirements lets `make` install them first and build once, without isolation.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path


def read(path: Path) -> dict[str, object]:
    """Parse a TOML file; before Python 3.11 with the parser that pip carries."""
    try:
        import tomllib
    except ModuleNotFoundError:
        from pip._vendor import tomli as tomllib  # type: ignore[no-redef]
    return tomllib.loads(path.read_text())


def requirements(extras: list[str]) -> list[str]:
    """Return the base requirements and those of ``extras``, an extra that names others of our own expanded."""
    settings: dict = read(Path(__file__).resolve().parent.parent / "pyproject.toml")
    optional: dict[str, list[str]] = settings["project"]["optional-dependencies"]
    wanted, queue, seen = list(settings["project"]["dependencies"]), list(extras), set()
    while queue:
        extra = queue.pop(0)
        if extra in seen:
            continue
        seen.add(extra)
        for line in settings["build-system"]["requires"] if extra == "build" else optional[extra]:
            own = re.fullmatch(r"enfold\[(.+)\]", line)
            queue.extend(own[1].split(",")) if own else wanted.append(line)
    return sorted(set(wanted))


if __name__ == "__main__":
    print("\n".join([*requirements(sys.argv[1:]), *(["cmake>=3.20", "ninja"] if "build" in sys.argv else [])]))
