"""The ecosystem's own tests, on enfold: what the originals pass, enfold passes, but for what the lists leave out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


@pytest.mark.slow
@pytest.mark.peer
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("name", sorted(path.stem for path in HERE.glob("*.toml")))
def test_what_the_originals_pass_enfold_passes(name: str) -> None:
    ran = subprocess.run([sys.executable, "tools/suites.py", name], cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout[-6000:] + ran.stderr[-2000:]
