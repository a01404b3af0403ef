"""Encoding, decoding and loading beside tokenizers 0.23.3, in turns, with real BERT, GPT-2 and Llama-kind vocabularies.

Run with the project's Python: ``python benchmarks/tokenizers.py [PAIRS [THREADS]]``. The text is Python's own library:
code and English in pieces of 4,000 characters. Both sides must give the same ids before anything is timed.

- flat: a column of texts to flat Arrow buffers, against the peer's ``encode_batch_fast`` and a list of ids a row;
  *cold* rows read text that the tokenizer, made anew, has not seen, *warm* rows the same text again;
- lists: the same, with ours made into Python lists too;
- lines: flat, one row a line;
- objects: ``encode_batch`` with offsets on both sides, and a list of ids a row;
- decode and load: as they say.

Each row is the median ratio of at least nine interleaved pairs. Both sides use THREADS threads (default 2).
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
NAMES = {
    "bert": "google-bert/bert-base-uncased",
    "gpt2": "openai-community/gpt2",
    "llama": "meta-llama/Llama-2-7b-hf",
}
ROWS = ("flat cold", "flat warm", "lists", "lines", "objects", "decode", "load")
SLICE = 1_000_000  # characters a run

# What both sides have in common: the text, and how a run is told to the peer.
COMMON = """
import hashlib, json, sys, time
from pathlib import Path

def read(library, size):
    texts, count = [], 0
    for path in sorted(Path(library).rglob("*.py")):
        if "site-packages" in path.parts:
            continue
        text = path.read_text(encoding="utf-8", errors="ignore")
        texts += [text[i : i + 4000] for i in range(0, len(text), 4000)]
        count += len(text)
        if count > size:
            break
    return texts

def cut(texts, size):
    slices, part, count = [], [], 0
    for text in texts:
        part.append(text)
        count += len(text)
        if count >= size:
            slices.append(part)
            part, count = [], 0
    return slices

def lines(texts):
    return [line for text in texts for line in text.split("\\n") if line.strip()]

def digest(rows):
    made = hashlib.sha256()
    for row in rows:
        made.update(repr(list(row)).encode())
    return made.hexdigest()
"""

WORKER = (
    COMMON
    + """
from tokenizers import Tokenizer

path, library, size, slice_size = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
slices = cut(read(library, size), slice_size)

def fresh():
    made = Tokenizer.from_file(path)
    made.no_padding()
    made.no_truncation()
    return made

tokenizer = fresh()
ids = [e.ids for e in tokenizer.encode_batch_fast(slices[0])]
short = lines(slices[0])
print("ready", digest(ids), digest([e.ids for e in tokenizer.encode_batch_fast(short)]), flush=True)
for line in sys.stdin:
    name, turn = json.loads(line)
    texts = slices[1 + turn % (len(slices) - 1)] if name == "flat cold" else short if name == "lines" else slices[0]
    used = fresh() if name == "flat cold" else tokenizer
    start = time.perf_counter()
    if name == "load":
        fresh()
    elif name == "decode":
        used.decode_batch(ids)
    elif name == "objects":
        [e.ids for e in used.encode_batch(texts)]
    else:
        [e.ids for e in used.encode_batch_fast(texts)]
    print(time.perf_counter() - start, flush=True)
"""
)


def ours(path: str, slices: list[list[str]], tools: dict[str, Any]) -> tuple[Callable[[str, int], float], list[str]]:
    """Return a function that times one run of a row, and the digests of our ids."""
    from enfold.tokenizers import Tokenizer

    def fresh() -> Tokenizer:
        made = Tokenizer.from_file(path)
        made.no_padding()
        made.no_truncation()
        return made

    tokenizer = fresh()
    short = tools["lines"](slices[0])
    ids = tokenizer.encode_arrow(slices[0])["input_ids"].tolist()

    def run(name: str, turn: int) -> float:
        texts = slices[1 + turn % (len(slices) - 1)] if name == "flat cold" else short if name == "lines" else slices[0]
        used = fresh() if name == "flat cold" else tokenizer
        start = time.perf_counter()
        if name == "load":
            fresh()
        elif name == "decode":
            used.decode_batch(ids)
        elif name == "objects":
            [encoding.ids for encoding in used.encode_batch(texts)]
        else:
            made = used.encode_arrow(texts, fields=["input_ids"])["input_ids"]
            if name == "lists":
                made.tolist()
        return time.perf_counter() - start

    return run, [tools["digest"](ids), tools["digest"](tokenizer.encode_arrow(short)["input_ids"])]


def main(pairs: int, threads: int) -> None:
    """Time both sides in turns and print a table."""
    os.environ |= {"RAYON_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "true"}
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != Path(__file__).parent]
    tools: dict[str, Any] = {}
    exec(COMMON, tools)
    library, size = sysconfig.get_paths()["stdlib"], SLICE * (pairs + 4)
    slices = tools["cut"](tools["read"](library, size), SLICE)
    megabytes = {"lines": sum(len(line.encode()) for line in tools["lines"](slices[0])) / 1e6}
    print(f"{pairs} pairs, {threads} threads, {len(slices)} slices of {SLICE / 1e6:.0f} M characters")
    print(f"{'':18}{'ours':>12}{'peer':>12}{'ratio':>9}")
    for name, repository in NAMES.items():
        path = ROOT / ".cache" / "fixture_hub" / "models" / repository / "tokenizer.json"
        if not path.exists():
            print(f"{name}: {path.relative_to(ROOT)} is missing: run `make test` once to have it written")
            continue
        command = [ROOT / ".peers" / "models" / "bin" / "python", "-c", WORKER, path, library, str(size), str(SLICE)]
        peer = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert peer.stdin is not None and peer.stdout is not None
        ready, *digests = peer.stdout.readline().split() or ["", ""]
        assert ready == "ready", "the peer did not start: run `make peers`"
        run, mine = ours(str(path), slices, tools)
        assert mine == digests, f"{name}: the ids differ"
        for row in ROWS:
            ratios, here, there = [], [], []
            for turn in range(pairs + 1):
                spent = run(row, turn)
                peer.stdin.write(json.dumps([row, turn]) + "\n")
                peer.stdin.flush()
                theirs = float(peer.stdout.readline())
                if turn:  # the first pair warms both sides up
                    ratios.append(theirs / spent)
                    amount = megabytes.get(row, sum(len(text.encode()) for text in slices[0]) / 1e6)
                    here.append(spent * 1e3 if row == "load" else amount / spent)
                    there.append(theirs * 1e3 if row == "load" else amount / theirs)
            unit = "ms  " if row == "load" else "MB/s"
            shown = [f"{statistics.median(values):7.1f} {unit}" for values in (here, there)]
            print(f"{name + ' ' + row:18}{shown[0]:>12}{shown[1]:>12}{statistics.median(ratios):8.1f}x", flush=True)
        peer.stdin.close()
        peer.wait()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 9, int(sys.argv[2]) if len(sys.argv) > 2 else 2)
