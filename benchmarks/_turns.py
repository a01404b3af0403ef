"""Drivers of benchmarks that run one program on both sides: ours, and the peer's in its own environment."""

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


class Side:
    """A process that runs rows on demand: ours, or the peer's in the environment of its own.

    ``program`` finds "ours" or "peer" and a folder as its words; a row comes as a line of JSON, and what it prints
    after "=>" is the answer.
    """

    def __init__(self, program: str, side: str, folder: str) -> None:
        home = ROOT / (".venv" if side == "ours" else ".peers/models")
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "TRANSFORMERS_VERBOSITY": "error", "HF_HUB_OFFLINE": "1"}
        environment |= {"TRL_EXPERIMENTAL_SILENCE": "1", "HF_HOME": str(Path(folder) / f"home-{side}")}
        self.process = subprocess.Popen(
            [home / "bin" / "python", "-c", program, side, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=None if os.environ.get("SHOW") else subprocess.DEVNULL, text=True, env=environment,
        )  # fmt: skip

    def run(self, row: str) -> dict[str, Any]:
        """Run one row and return what the program answers."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps(row) + "\n")
        self.process.stdin.flush()
        for line in self.process.stdout:
            if line.startswith("=>"):
                return json.loads(line[2:])  # type: ignore[no-any-return]
        raise SystemExit("a worker ended; SHOW=1 shows why")

    def close(self) -> None:
        """Let the process end."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def paired(ours: Side, theirs: Side, row: str, pairs: int, check: Callable[[Any, Any], None]) -> None:
    """Run a row on both sides in turns and print the medians of their ``seconds`` and of the ratios.

    ``check`` gets both answers of each pair first, and fails where they differ.
    """
    times = []
    for turn in range(pairs + 1):
        mine, other = ours.run(row), theirs.run(row)
        check(mine, other)
        if turn:  # the first of each warms up
            times.append((mine["seconds"], other["seconds"]))
    ratios = [other / mine for mine, other in times]
    first, second = (statistics.median(column) for column in zip(*times, strict=True))
    print(
        f"{row:<20} ours {first:7.3f} s  theirs {second:7.3f} s  {statistics.median(ratios):5.2f} x  "
        f"({min(ratios):.2f} to {max(ratios):.2f}, {pairs} pairs)",
        flush=True,
    )
