"""Tokenizers beside the fast ones of the field, in turns: ids, objects, decoding, loading, and the whole call.

Run with the project's Python after ``make peers``: ``python benchmarks/tokenizers.py [--pairs 5] [--only NAME …]
[--corpora NAME …] [--rows NAME …] [--json FILE]``. Vocabularies and texts are real (tests/real_vocabularies.py,
benchmarks/_corpora.py). Every peer runs in a process of its own; before anything is timed, its ids are compared with
those of tokenizers 0.23.3, document by document: a peer is *exact* on a text or it is not, and its rows say so.

- first: a tokenizer just loaded reads its first 3 MB; cold: its first pass over 12 MB, those 3 included; warm: the 3 MB
  again; lines: the 3 MB in rows of about seventy characters, cold and warm. One thread, ids in a buffer (ours: Arrow);
- objects: ``encode_batch`` with ids and offsets of every document read, beside 0.23.3 and beside our ids only;
- decode, load: beside 0.23.3 and 1.0rc;
- threads: ours with two threads against one (wall time);
- call: ``AutoTokenizer(...)(texts, padding, truncation, return_tensors="pt")`` beside transformers.

Figures are medians over interleaved rounds, of processor time (threads: wall time). Slow peers read the first
megabyte only.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != ROOT / "benchmarks"]
sys.path[:0] = [str(ROOT / "tests")]

ENVIRONMENTS = {"tokenizers 0.23": "models", "transformers": "models"}
BPE = ["gigatoken", "tokenizers 1.0rc", "fastokens", "tokie", "kitoken", "tiktoken"]
VOCABULARIES: dict[str, list[str]] = {
    "gpt2": BPE,
    "qwen3": BPE,
    "cl100k": BPE,
    "o200k": BPE,
    "mistral": ["gigatoken", "tokenizers 1.0rc", "fastokens", "tokie", "kitoken"],
    "bert": ["tokie", "tokenizers 1.0rc", "kitoken", "fastokens"],
    "t5": ["tokie", "tokenizers 1.0rc", "kitoken", "fastokens"],
    "xlmr": ["tokie", "tokenizers 1.0rc", "kitoken", "fastokens"],
}
REFERENCE = "tokenizers 0.23"
SLOW = {REFERENCE, "kitoken", "tiktoken"}
CORPORA = ("english", "chinese", "code")
ROWS = ("first", "cold", "warm", "lines cold", "lines warm", "objects", "decode", "load", "threads", "call")
MEGA = 1_000_000


class Worker:
    """A tokenizer in its own process."""

    def __init__(self, name: str, folder: Path, texts: Path, threads: int = 1) -> None:
        environment = ENVIRONMENTS.get(name, "tokenizers")
        python = ROOT / ".peers" / environment / "bin" / "python"
        if name.startswith("enfold"):
            python = Path(sys.executable)
        variables = os.environ | {
            "RAYON_NUM_THREADS": str(threads),
            "TOKENIZERS_PARALLELISM": "true" if threads > 1 else "false",
            "OMP_NUM_THREADS": "1",
            "HF_HUB_OFFLINE": "1",
            "TRANSFORMERS_VERBOSITY": "error",
        }
        script = ROOT / "benchmarks" / "_tokenizer_worker.py"
        self.log = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the worker)
        self.process = subprocess.Popen(
            [python, script, name, folder, texts],
            env=variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
        )
        self._answer()

    def _answer(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            self.log.seek(0)
            errors = [text for text in self.log.read().decode("utf-8", "replace").splitlines() if text.strip()]
            raise RuntimeError(errors[-1] if errors else "it ended without a word")
        return json.loads(line)

    def ask(self, command: str, corpus: str = "", timer: str = "cpu") -> Any:
        """Send one command and return its answer."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps([command, corpus, timer]) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        """End the process."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        self.process.wait()
        self.log.close()


def prepare(folder: Path) -> dict[str, dict[str, float]]:
    """Write the texts file; return the megabytes of every part of every corpus."""
    from _corpora import documents, lines

    texts: dict[str, list[str]] = {}
    for corpus in CORPORA:
        everything = documents(corpus, 12 * MEGA)
        if not everything:
            print(f"no {corpus} text here: its rows are left out")
            continue
        limits = {"short": MEGA, "head": 3 * MEGA}
        size, cuts = 0, {"short": len(everything), "head": len(everything)}
        for index, text in enumerate(everything):
            size += len(text.encode())
            for name, limit in list(limits.items()):
                if size >= limit:
                    cuts[name] = index + 1
                    del limits[name]
        texts[f"{corpus}/short"] = everything[: cuts["short"]]
        texts[f"{corpus}/head"] = everything[: cuts["head"]]
        texts[f"{corpus}/rest"] = everything[cuts["head"] :]
        texts[f"{corpus}/lines"] = lines(everything[: cuts["head"]])
        texts[f"{corpus}/short lines"] = lines(everything[: cuts["short"]])
        texts[f"{corpus}/calls"] = [text[:400] for text in everything[: cuts["head"]]][:1000]
    (folder / "texts.json").write_text(json.dumps(texts), encoding="utf-8")
    return {name: sum(len(text.encode()) for text in part) / 1e6 for name, part in texts.items()}


def exact(found: str, expected: str) -> tuple[int, int]:
    """Return how many rows have equal digests, and how many there are."""
    a, b = base64.b64decode(found), base64.b64decode(expected)
    rows = len(b) // 8
    return sum(a[i * 8 : i * 8 + 8] == b[i * 8 : i * 8 + 8] for i in range(rows)), rows


def turns(
    ours: Worker, theirs: Worker, command: str, part: str, count: int, timer: str = "cpu"
) -> tuple[list[float], list[float]]:
    """Run one command on both sides in turns; return the seconds of each."""
    here, there = [], []
    for _ in range(count):
        here.append(ours.ask(command, part, timer))
        there.append(theirs.ask(command, part, timer))
    return here, there


class Table:
    """Prints rows as they come and keeps them for ``--json``."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def row(
        self, what: str, peer: str, unit: str, ours: list[float], theirs: list[float], amount: float, note: str
    ) -> None:
        """Add one comparison; ``amount`` is what one run handles, in the unit before "/s", or 0 for milliseconds."""
        ratio = statistics.median(b / a for a, b in zip(ours, theirs, strict=True))

        def shown(seconds: list[float]) -> float:
            middle = statistics.median(seconds)
            return amount / middle if amount else middle * 1e3

        self.rows.append(
            {"row": what, "peer": peer, "unit": unit, "ours": shown(ours), "theirs": shown(theirs), "ratio": ratio}
            | {"note": note}
        )
        figures = f"{shown(ours):9.1f}{shown(theirs):9.1f} {unit:6}{ratio:8.2f} x"
        print(f"{what:30}{peer:20}{figures}  {note}", flush=True)


def encode_rows(
    table: Table, name: str, ours: Worker, peers: dict[str, Worker], corpus: str, size: dict[str, float], rounds: int
) -> None:
    """Time ids only: first, cold, warm, and lines cold and warm."""
    for peer, worker in peers.items():
        head, rest = (f"{corpus}/short", "") if peer in SLOW else (f"{corpus}/head", f"{corpus}/rest")
        rows = f"{corpus}/short lines" if peer in SLOW else f"{corpus}/lines"
        spent: dict[str, tuple[list[float], list[float]]] = {}
        for _ in range(3 if peer in SLOW else rounds):
            for side, subject in enumerate((ours, worker)):
                run = {}
                subject.ask("load")
                run["first"] = subject.ask("encode", head)
                if rest and size[rest]:
                    run["cold"] = run["first"] + subject.ask("encode", rest)
                run["warm"] = min(subject.ask("encode", head) for _ in range(2))
                subject.ask("load")
                run["lines cold"] = subject.ask("encode", rows)
                run["lines warm"] = min(subject.ask("encode", rows) for _ in range(2))
                for row, seconds in run.items():
                    spent.setdefault(row, ([], []))[side].append(seconds)
        for row, (here, there) in spent.items():
            amount = size[rows] if row.startswith("lines") else size[head] + (size[rest] if row == "cold" else 0)
            table.row(f"{name} {corpus} {row}", peer, "MB/s", here, there, amount, notes.get((name, corpus, peer), ""))


notes: dict[tuple[str, str, str], str] = {}  # where a peer's ids differ


def compare(name: str, corpus: str, reference: Worker, ours: Worker, peers: dict[str, Worker]) -> None:
    """Check every tokenizer's ids against the reference's; ours must be equal."""
    for part in ("short", "short lines"):
        expected = reference.ask("digests", f"{corpus}/{part}")
        same, rows = exact(ours.ask("digests", f"{corpus}/{part}"), expected)
        assert same == rows, f"{name}, {corpus}, {part}: {rows - same} of {rows} rows differ from {REFERENCE}"
        for peer, worker in peers.items():
            same, rows = exact(worker.ask("digests", f"{corpus}/{part}"), expected)
            if same != rows:
                notes[name, corpus, peer] = f"not exact: {same} of {rows} {'lines' if 'lines' in part else 'documents'}"


def main() -> None:
    """Time everything that was asked for and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=5, help="interleaved rounds (default 5)")
    parser.add_argument("--only", nargs="*", default=list(VOCABULARIES), choices=list(VOCABULARIES))
    parser.add_argument("--corpora", nargs="*", default=list(CORPORA), choices=list(CORPORA))
    parser.add_argument("--rows", nargs="*", default=list(ROWS), choices=list(ROWS))
    parser.add_argument("--peers", nargs="*", help="these peers only")
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    options = parser.parse_args()
    import real_vocabularies

    table = Table()
    with tempfile.TemporaryDirectory() as temporary:
        sys.path.insert(0, str(ROOT / "benchmarks"))
        size = prepare(Path(temporary))
        sys.path.remove(str(ROOT / "benchmarks"))
        texts = Path(temporary, "texts.json")
        corpora = [corpus for corpus in options.corpora if f"{corpus}/head" in size]
        for name in options.only:
            if name not in real_vocabularies.NAMES:
                print(f"{name}: its package cannot be had here")
                continue
            measure(table, name, real_vocabularies.folder(name), texts, size, corpora, options)
    if options.json:
        options.json.write_text(json.dumps(table.rows, indent=1))


def measure(
    table: Table, name: str, folder: Path, texts: Path, size: dict[str, float], corpora: list[str], options: Any
) -> None:
    """All rows of one vocabulary."""
    rounds = options.pairs
    ours, reference = Worker("enfold", folder, texts), Worker(REFERENCE, folder, texts)
    peers: dict[str, Worker] = {}
    for peer in VOCABULARIES[name]:
        if options.peers and peer not in options.peers:
            continue
        try:
            peers[peer] = Worker(peer, folder, texts)
        except RuntimeError as error:
            print(f"{name}: {peer} cannot load it: {str(error)[:100]}")
    for corpus in corpora:
        for peer in list(peers):
            try:
                peers[peer].ask("digests", f"{corpus}/short lines")
            except RuntimeError as error:
                print(f"{name} {corpus}: {peer} failed: {str(error)[:100]}")
                del peers[peer]
        compare(name, corpus, reference, ours, peers)
        if set(options.rows) & set(ROWS[:5]):
            encode_rows(table, name, ours, {**peers, REFERENCE: reference}, corpus, size, rounds)
        part = f"{corpus}/short"
        if "objects" in options.rows:
            here, ids, there = [], [], []
            for _ in range(rounds):
                here.append(ours.ask("objects", part))
                there.append(reference.ask("objects", part))
                ids.append(ours.ask("encode", part))
            table.row(f"{name} {corpus} objects", REFERENCE, "MB/s", here, there, size[part], "ids and offsets read")
            table.row(f"{name} {corpus} objects", "our ids only", "MB/s", here, ids, size[part], "")
        if "decode" in options.rows:
            for worker in (ours, reference, *peers.values()):
                worker.ask("ids", part)
            text = reference.ask("decoded")
            assert ours.ask("decoded") == text, f"{name}, {corpus}: the decoded texts differ"
            for peer in (REFERENCE, "tokenizers 1.0rc"):
                worker = reference if peer == REFERENCE else peers.get(peer)
                if worker is None:
                    continue
                note = "" if worker.ask("decoded") == text else "not the same text"
                pairs = turns(ours, worker, "decode", part, rounds)
                table.row(f"{name} {corpus} decode", peer, "MB/s", *pairs, size[part], note)
        if "threads" in options.rows and f"{corpus}/rest" in size:
            two = Worker("enfold", folder, texts, threads=2)
            for worker in (ours, two):
                worker.ask("encode", f"{corpus}/head")
            pairs = turns(two, ours, "encode", f"{corpus}/head", 2 * rounds, "wall")
            table.row(
                f"{name} {corpus} threads", "ours, one thread", "MB/s", *pairs, size[f"{corpus}/head"], "wall time"
            )
            two.close()
    if "load" in options.rows:
        for peer in (REFERENCE, "tokenizers 1.0rc"):
            worker = reference if peer == REFERENCE else peers.get(peer)
            if worker is not None:
                pairs = turns(ours, worker, "load", "", 2 * rounds)
                table.row(f"{name} load", peer, "ms", *pairs, 0, "")
    for worker in (ours, reference, *peers.values()):
        worker.close()
    settings = folder / "tokenizer_config.json"
    if "call" in options.rows and settings.exists() and json.loads(settings.read_text()).get("pad_token"):
        us, them = Worker("enfold.transformers", folder, texts), Worker("transformers", folder, texts)
        for corpus in corpora:
            part = f"{corpus}/calls"
            same, rows = exact(us.ask("digests", part), them.ask("digests", part))
            note = "" if same == rows else f"{rows - same} of {rows} rows differ"
            pairs = turns(us, them, "encode", part, rounds)
            table.row(f"{name} {corpus} call", "transformers 5.23", "MB/s", *pairs, size[part], note)
        us.close()
        them.close()


if __name__ == "__main__":
    main()
