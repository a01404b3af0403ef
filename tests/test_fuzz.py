"""What the fuzzers found before is run again under the sanitizers: nothing breaks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))

import fuzz  # noqa: E402


@pytest.mark.slow
@pytest.mark.parametrize("name", ["regex", "tokenizer"])
def test_the_corpus_runs_without_a_fault(name: str) -> None:
    try:
        fuzz.compiler()
    except SystemExit as error:
        pytest.skip(str(error))
    count = len(list((ROOT / "tests" / "fuzz_corpus" / name).iterdir()))
    command = [sys.executable, str(ROOT / "tools" / "fuzz.py"), name, "--replay"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stderr.count("Executed") == count > 0


def test_an_object_is_made_again_when_a_file_that_it_includes_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "native").mkdir()
    source, header = tmp_path / "native" / "a.cpp", tmp_path / "native" / "a.hpp"
    source.write_text('#include "a.hpp"\n')
    header.write_text("")
    made: list[list[str]] = []

    def compile(command: list[str], check: bool) -> None:
        made.append(command)
        target = Path(command[command.index("-o") + 1])
        target.write_text("")
        Path(command[command.index("-MF") + 1]).write_text(f"{target}: {source} \\\n  {header}\n")

    monkeypatch.setattr(fuzz, "ROOT", tmp_path)
    monkeypatch.setattr(fuzz, "BUILD", tmp_path / "build")
    monkeypatch.setattr(fuzz.subprocess, "run", compile)
    for _ in range(2):
        fuzz.compiled("clang++", source)
    assert len(made) == 1
    later = os.path.getmtime(fuzz.compiled("clang++", source)) + 5
    os.utime(header, (later, later))
    fuzz.compiled("clang++", source)
    assert len(made) == 2
