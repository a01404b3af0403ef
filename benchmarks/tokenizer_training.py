"""Training of tokenizers beside tokenizers 0.23.3 and gigabpe, in turns, on Python's own library.

Run with the project's Python: ``python benchmarks/tokenizer_training.py [PAIRS [THREADS [MEGABYTES]]]``. Every run is a
process of its own that reads one text file and trains: nothing is warm. Before anything is timed the vocabularies and
merges must be equal (a WordPiece's ids depend on a hash map's order in the peer: its tokens alone are compared by
number). Printed are the medians of PAIRS interleaved pairs: seconds on both sides, their ratio, and the peak memory.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
ROWS = {
    "bpe": ["models", "tokenizers"],
    "wordpiece": ["models"],
    "unigram": ["models"],
}  # row → the peers' environments

WORKER = """
import hashlib, json, sys, time
kind, path, library = sys.argv[1:4]
if library == "gigabpe":
    import gigabpe
    start, cpu = time.perf_counter(), time.process_time()
    vocab, merges = gigabpe.train_bpe([path], vocab_size=30000, pretokenizer="bytelevel", threads=int(sys.argv[4]))
    made = (time.perf_counter() - start, time.process_time() - cpu)
    result = [list(pair) for pair in merges]
else:
    import importlib
    names = ("models", "trainers", "normalizers", "pre_tokenizers")
    lib = {name: importlib.import_module(f"{library}.{name}") for name in names}
    models, trainers, pre = lib["models"], lib["trainers"], lib["pre_tokenizers"]
    if kind == "bpe":
        model, tool, trainer = models.BPE(), pre.ByteLevel(add_prefix_space=False), trainers.BpeTrainer
        options = {"vocab_size": 30000}
    elif kind == "wordpiece":
        model, tool, trainer = models.WordPiece(unk_token="[UNK]"), pre.BertPreTokenizer(), trainers.WordPieceTrainer
        options = {"vocab_size": 30000, "special_tokens": ["[UNK]"]}
    else:
        model, tool, trainer = models.Unigram(), pre.Metaspace(), trainers.UnigramTrainer
        options = {"vocab_size": 8000, "special_tokens": ["<unk>"], "unk_token": "<unk>"}
    tokenizer = importlib.import_module(library).Tokenizer(model)
    tokenizer.pre_tokenizer = tool
    if kind == "wordpiece":
        tokenizer.normalizer = lib["normalizers"].BertNormalizer()
    start, cpu = time.perf_counter(), time.process_time()
    tokenizer.train([path], trainer(show_progress=False, **options))
    made = (time.perf_counter() - start, time.process_time() - cpu)
    spec = json.loads(tokenizer.to_str())["model"]
    result = spec["merges"] if kind == "bpe" else len(spec["vocab"]) if kind == "wordpiece" else sorted(
        piece for piece, _ in spec["vocab"])
digest = hashlib.sha256(json.dumps(result).encode()).hexdigest()
peak = next(int(line.split()[1]) / 1024 for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps([*made, peak, digest]))
"""


def write_text(path: Path, size: int) -> None:
    """Write about ``size`` bytes of Python's library, documentation within code, into one file."""
    parts, count = [], 0
    for source in sorted(Path(sysconfig.get_paths()["stdlib"]).rglob("*.py")):
        if count > size:
            break
        try:
            text = source.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        parts.append(text)
        count += len(text)
    path.write_text("".join(parts), encoding="utf-8")


def run(python: Path | str, kind: str, path: Path, library: str, threads: int) -> Any:
    """Return (wall seconds, processor seconds, peak MB, digest of the result) of one training."""
    environment = {**os.environ, "RAYON_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "true"}
    command = [str(python), "-c", WORKER, kind, str(path), library, str(threads)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, cwd=path.parent)
    return json.loads(done.stdout.splitlines()[-1])


def training(pairs: int = 9, threads: int = 1, megabytes: int = 20) -> None:
    """Time every row against every peer and print a table; slow peers get three pairs."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "text.txt"
        write_text(path, megabytes * 1_000_000)
        print(f"{path.stat().st_size / 1e6:.1f} MB, {threads} thread(s)")
        for kind, environments in ROWS.items():
            for environment in environments:
                python = ROOT / ".peers" / environment / "bin" / "python"
                library = "tokenizers" if environment == "models" else "gigabpe"
                count = 3 if kind == "unigram" else pairs
                ours, theirs = [], []
                for _ in range(count):
                    ours.append(run(sys.executable, kind, path, "enfold.tokenizers", threads))
                    theirs.append(run(python, kind, path, library, threads))
                    if ours[-1][3] != theirs[-1][3]:
                        sys.exit(f"{kind}: the result differs from {library}'s")
                wall = statistics.median(b[0] / a[0] for a, b in zip(ours, theirs, strict=True))
                cpu = statistics.median(b[1] / a[1] for a, b in zip(ours, theirs, strict=True))
                seconds = [statistics.median(row[1] for row in side) for side in (ours, theirs)]
                print(
                    f"{kind:10} {library:10} {wall:6.2f} x wall  {cpu:6.2f} x processor  ({seconds[0]:.2f} s and "
                    f"{seconds[1]:.2f} s)  peak {ours[0][2]:.0f} MB and {theirs[0][2]:.0f} MB",
                    flush=True,
                )


if __name__ == "__main__":
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != Path(__file__).parent]
    training(*map(int, sys.argv[1:]))
