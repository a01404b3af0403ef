"""The snippets of every page run, a page in one process; ``pytest tests/docs -k tutorial`` runs some of them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from docs.pages import ROOT, fences, is_slow, pages

RUNNER = Path(__file__).with_name("run_page.py")


def parameters() -> list[Any]:
    """The pages that have something to run."""
    found = []
    for page in pages():
        text = page.read_text(encoding="utf-8")
        if any(fence.runs for fence in fences(text)):
            marks = [pytest.mark.slow] if is_slow(text) else []
            found.append(pytest.param(page, id=str(page.relative_to(ROOT)), marks=marks))
    return found


@pytest.mark.parametrize("page", parameters())
def test_the_snippets_of(page: Path, fixture_hub: Any, tmp_path: Path) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    environment = fixture_hub.environment(
        tmp_path / "hf_home",
        CUDA_VISIBLE_DEVICES="",
        PATH=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        PYTHONUNBUFFERED="1",
    )
    done = subprocess.run(
        [sys.executable, RUNNER, page],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,  # the runner ends itself before
    )
    assert done.returncode == 0, f"\n{done.stderr[-8000:]}"
