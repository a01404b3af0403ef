"""Several real processes over gloo, started by torch's own launcher."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

LAUNCHER = ["-m", "torch.distributed.run", "--standalone"]


def together(
    script: str | Path, *arguments: str, processes: int = 2, restarts: int = 0, timeout: float = 180
) -> subprocess.CompletedProcess[str]:
    """Run a script in ``processes`` processes that know of each other; assert that all of them end well."""
    command = [sys.executable, *LAUNCHER, f"--nproc-per-node={processes}", f"--max-restarts={restarts}"]
    done = subprocess.run([*command, str(script), *arguments], capture_output=True, text=True, timeout=timeout)
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-6000:]}"
    return done
