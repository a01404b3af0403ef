"""Run the ecosystem's own test suites on enfold, as a program of the ecosystem would run, and on the peer itself.

    .venv/bin/python tools/suites.py peft [tests/test_hub_features.py …] [-k EXPRESSION] [--ours]

A library's source archive is fetched from the package registry into .peers/suites/ and only its tests are unpacked:
they stay outside the repository. ``tests/suites/NAME.toml`` says which files run, in which environment, and which cases
are left out, each with its reason; a folder ``tests/suites/NAME/`` holds what its files import and the archive lacks.
Where tests speak to a Hub, ours stands for it, on both sides.

A case counts when it passes with the library's own wheel on this machine, where there is no network and no GPU; it must
then pass on enfold too. What the peer passes is remembered until a file or the peer changes. The exit status is 1 when
a case fails that counts and is not left out, or when all that a line leaves out pass.
"""

from __future__ import annotations

import argparse
import contextlib
import fnmatch
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import suite_hub
import suite_lending
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
        only: file → expression of pytest's ``-k`` that says which of its cases run at all.
        out: reason → patterns of cases (``tests/file.py::Class::case``, with ``*``) that enfold does not pass.
        absent: module → names that its files import and enfold has not; whoever uses one fails.
        marks: which of its cases run, as pytest's ``-m`` takes it.
        hub: its tests speak to a Hub: ``address`` is the one for which ours stands, on both sides, with ``users`` and
            ``organisations``.
        needs: pinned packages that its files import.
        lent: modules of the peer's wheel that stand under our drop-in too, such as its helpers for tests.
        programs: commands of the library that its files start.
    """

    package: str
    files: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)
    only: dict[str, str] = field(default_factory=dict)
    out: dict[str, list[str]] = field(default_factory=dict)
    absent: dict[str, list[str]] = field(default_factory=dict)
    marks: str = ""
    hub: dict[str, Any] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    lent: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()

    def reason(self, case: str) -> str:
        """Return why a case is left out, or nothing."""
        return next((why for why, cases in self.out.items() if any(_is_like(case, one) for one in cases)), "")

    def patterns(self) -> list[str]:
        """Return what names the cases that are left out."""
        return [pattern for cases in self.out.values() for pattern in cases]


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
    more = {key: value for key, value in said.items() if key not in ("package", "files", "out")}
    return Suite(said["package"], tuple(said["files"]), out=out, **more)


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
        tests = Path(scratch) / top / "tests"
        if any("\nfrom ." in file.read_text(errors="replace") for file in tests.glob("*.py")):
            (tests / "__init__.py").touch()  # which an archive may leave out
        (Path(scratch) / top).rename(folder)
    return folder


def lend(name: str, folder: Path) -> None:
    """Lay our helper modules of a suite beside its unpacked tests, ``fixtures.py`` as their ``conftest.py``."""
    for path in (LISTS / name).glob("*.py"):
        shutil.copyfile(path, folder / "tests" / ("conftest.py" if path.name == "fixtures.py" else path.name))


def run(suite: Suite, folder: Path, files: list[str], ours: bool) -> dict[str, str]:
    """Run files of a suite, on enfold or on the peer: case → passed, failed or skipped."""
    with contextlib.ExitStack() as stack:
        scratch = stack.enter_context(tempfile.TemporaryDirectory())
        written = Path(scratch) / "cases.json"
        environment = suite.environment
        if suite.hub:
            address = stack.enter_context(suite_hub.serving(suite.hub))
            folder = suite_hub.rewritten(folder, Path(scratch), {suite.hub["address"]: address})
            environment = environment | {"HF_ENDPOINT": address, "SUITE_HUB": address}
        tests = [
            "-q", "--no-header", "--tb=short", "-p", REPORT, "-p", "no:cacheprovider", "--import-mode=prepend",
            "-o", "addopts=", "-W", "ignore", f"--timeout={SECONDS}", f"--basetemp={scratch}/tmp",
            f"--rootdir={folder}", *(["-m", suite.marks] if suite.marks else []),
        ]  # fmt: skip
        chosen = [suite.only[name] for name in files if name in suite.only]
        command = [
            *_python(ours),
            *tests,
            *(["-k", " and ".join(f"({one})" for one in chosen)] if chosen else []),
            *files,
        ]
        paths = [str(Path(__file__).parent), *suite_lending.packages(suite.needs)]
        here = os.environ | COMMON | environment | {
            "PYTHONPATH": os.pathsep.join(paths), "SUITE_CASES": str(written), "HF_HOME": f"{scratch}/home",
            "PATH": suite_lending.programs(suite.programs, ours, Path(scratch)),
        }  # fmt: skip
        if ours:
            here["SUITE_ABSENT"] = json.dumps(suite.absent)
            here |= suite_lending.modules(suite.lent, paths)
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
    recipe += json.dumps([suite.only.get(name, ""), suite.needs]).encode()
    if suite.hub:
        recipe += json.dumps([suite.hub, suite.marks]).encode() + suite_hub.fingerprint()
    helpers = sorted((LISTS / suite.package).glob("*.py"))
    recipe += b"".join(path.read_bytes() for path in helpers)
    known = folder / "passed" / f"{hashlib.sha256(recipe).hexdigest()[:16]}.json"
    if not known.exists():
        cases = [case for case, outcome in run(suite, folder, [name], ours=False).items() if outcome == "passed"]
        known.parent.mkdir(exist_ok=True)
        known.write_text(json.dumps(sorted(cases)))
    return set(json.loads(known.read_text()))


def _is_stale(pattern: str, asked: set[str], passed: set[str]) -> bool:
    """Return whether all cases that a pattern leaves out pass."""
    out = {case for case in asked if _is_like(case, pattern)}
    return bool(out) and out <= passed


def compare(suite: Suite, folder: Path, files: list[str]) -> bool:
    """Run files on both sides, tell what differs, and return whether nothing does that is not listed."""
    good = True
    for name in files:
        asked = passed_by_peer(suite, folder, name)
        got = run(suite, folder, [name], ours=True)
        passed = {case for case in asked if got.get(case) == "passed"}
        listed = {case for case in asked if suite.reason(case)}
        wrong = sorted(asked - passed - listed)
        stale = [pattern for pattern in suite.patterns() if _is_stale(pattern, asked, passed)]
        print(
            f"{name}: the peer passes {len(asked)}, enfold {len(passed)}, left out {len(listed - passed)}", flush=True
        )
        for case in wrong:
            print(f"  {got.get(case, 'not found')}: {case}")
        for pattern in stale:
            print(f"  left out, but passes: {pattern}")
        good &= not wrong and not stale
    return good


def main(arguments: list[str] | None = None) -> None:
    """Run what the command line says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("name", help="a list in tests/suites/")
    parser.add_argument("files", nargs="*", help="files of the suite; all that its list names by default")
    parser.add_argument("-k", metavar="EXPRESSION", help="which cases of these files, as pytest has it")
    parser.add_argument("--ours", action="store_true", help="only run them on enfold, whatever the peer does")
    asked = parser.parse_args(arguments)
    suite = read(asked.name)
    folder = unpacked(suite.package)
    lend(asked.name, folder)
    files = asked.files or list(suite.files)
    if asked.k:
        suite = replace(suite, only=dict.fromkeys(files, asked.k))
    if asked.ours:
        run(suite, folder, files, ours=True)
        return
    sys.exit(0 if compare(suite, folder, files) else 1)


if __name__ == "__main__":
    main()
