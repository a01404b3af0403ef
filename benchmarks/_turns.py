"""The driver of benchmarks that run one program on both sides: ours here, the peer's in its own environment."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


def beside(write: Callable[[str], Any], worker: str, common: str, maker: str, rows: Sequence[str], pairs: int) -> None:
    """Time both sides in turns, results compared first, and print a table.

    ``write(folder)`` makes the files that both read; ``worker`` is the peer's program, and ``maker`` the class in
    ``common`` whose ``run(name)`` gives the seconds of one of ``rows`` and what came out of it.
    """
    folder = tempfile.mkdtemp(prefix="enfold-benchmark-")
    write(folder)
    os.environ.update({"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"})
    peer = subprocess.Popen(
        [ROOT / ".peers" / "models" / "bin" / "python", "-c", worker, folder],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        env={**os.environ, "HF_HOME": os.path.join(folder, "peer")},
    )  # fmt: skip
    assert peer.stdin is not None and peer.stdout is not None
    import pyarrow as pa

    pa.set_cpu_count(1)
    os.environ["HF_HOME"] = os.path.join(folder, "ours")
    # run beside the packages, not as one of them: this file's own folder must not be searched for imports
    sys.path[:] = [path for path in sys.path if Path(path or ".").resolve() != Path(__file__).resolve().parent]
    import enfold.datasets as ours

    scope: dict[str, Any] = {}
    exec(compile(common, "common", "exec"), scope)
    subject = scope[maker](ours, folder)
    assert peer.stdout.readline().strip() == "ready", "the peer did not start: run `make peers`"
    print(f"{'':18}{'ours ms':>10}{'peer ms':>10}{'ratio':>8}   ({pairs} pairs)")
    for name in rows:
        mine, theirs = [], []
        for turn in range(pairs + 1):
            spent, found = subject.run(name)
            peer.stdin.write(name + "\n")
            peer.stdin.flush()
            other, expected = json.loads(peer.stdout.readline())
            assert found == expected, f"{name}: the results differ"
            if turn:  # the first pair warms both sides up
                mine.append(spent)
                theirs.append(other)
        ratio = statistics.median(b / a for a, b in zip(mine, theirs, strict=True))
        print(
            f"{name:18}{statistics.median(mine) * 1e3:10.1f}{statistics.median(theirs) * 1e3:10.1f}{ratio:7.1f}x",
            flush=True,
        )
    peer.stdin.close()
    peer.wait()
    shutil.rmtree(folder, ignore_errors=True)
