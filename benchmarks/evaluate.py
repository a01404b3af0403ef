"""Metrics on 1,000 texts and loading a module, beside rouge_score, sacrebleu, jiwer and evaluate, in turns.

Run with the project's Python: ``python benchmarks/evaluate.py [PAIRS [ROW …]]``. Both sides compute the same texts, and
their results are compared. Each row is the median ratio of at least nine interleaved pairs, in processor time, one
thread; the spread is that of the ratios, from the tenth to the ninetieth of a hundred.
``TEXTS=10000`` in the environment takes more texts; ter takes a tenth of them.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent

WORKER = '''
import json, os, sys, tempfile, time
import evaluate
import jiwer
from rouge_score import rouge_scorer
from sacrebleu.metrics import BLEU, CHRF, TER

said, right = json.loads(sys.stdin.readline())
scorer = rouge_scorer.RougeScorer(["rouge1", "rouge2", "rougeL", "rougeLsum"], use_stemmer=True)
plain = rouge_scorer.RougeScorer(["rouge1", "rouge2", "rougeL"])
script = os.path.join(tempfile.mkdtemp(), "same.py")
with open(script, "w") as file:
    file.write("""
import datasets
import evaluate
class Same(evaluate.Metric):
    def _info(self):
        features = datasets.Features({"predictions": datasets.Value("int32"), "references": datasets.Value("int32")})
        return evaluate.MetricInfo(description="", citation="", features=features)
    def _compute(self, predictions, references):
        return {}
""")
rows = {
    "rouge": lambda: sum(scorer.score(b, a)["rougeL"].fmeasure for a, b in zip(said, right)) / len(said),
    "rouge-plain": lambda: sum(plain.score(b, a)["rougeL"].fmeasure for a, b in zip(said, right)) / len(said),
    "bleu": lambda: BLEU(smooth_method="none").corpus_score(said, [right]).score / 100,
    "sacrebleu": lambda: BLEU().corpus_score(said, [right]).score,
    "chrf": lambda: CHRF().corpus_score(said, [right]).score,
    "chrf++": lambda: CHRF(word_order=2).corpus_score(said, [right]).score,
    "ter": lambda: TER().corpus_score(said[: len(said) // 10], [right[: len(said) // 10]]).score,
    "wer": lambda: jiwer.wer(right, said),
    "cer": lambda: jiwer.cer(right, said),
    "load": lambda: len(evaluate.load(script)),
}
print("ready", flush=True)
for line in sys.stdin:
    start = time.process_time()
    value = rows[line.strip()]()
    print(json.dumps([time.process_time() - start, float(value)]), flush=True)
'''


def texts(count: int, seed: int) -> tuple[list[str], list[str]]:
    """Return predictions and references that share much of their wording, as summaries do."""
    rng = random.Random(seed)
    words = ["".join(rng.choices("abcdefghilmnoprstuvy", k=rng.randint(2, 9))) for _ in range(3000)]
    right = [rng.choices(words[:400], k=rng.randint(20, 60)) for _ in range(count)]
    said = [[word if rng.random() < 0.7 else rng.choice(words) for word in text] for text in right]
    return [" ".join(text) for text in said], [" ".join(text) for text in right]


def main(pairs: int, names: list[str]) -> None:
    """Time both sides in turns, on the named rows or all, and print a table."""
    said, right = texts(int(os.environ.get("TEXTS", "1000")), 0)
    home = {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    peer = subprocess.Popen(
        [ROOT / ".peers" / "models" / "bin" / "python", "-c", WORKER],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env={**os.environ, **home},
    )  # fmt: skip
    assert peer.stdin is not None and peer.stdout is not None
    peer.stdin.write(json.dumps([said, right]) + "\n")
    peer.stdin.flush()
    assert peer.stdout.readline().strip() == "ready", "the peer did not start: run `make peers`"

    from enfold.evaluate import load

    def rouge() -> float:
        scores = load("rouge").compute(predictions=said, references=right, use_stemmer=True, use_aggregator=False)
        return sum(scores["rougeL"]) / len(said)

    def plain() -> float:
        kinds = ["rouge1", "rouge2", "rougeL"]
        scores = load("rouge").compute(predictions=said, references=right, rouge_types=kinds, use_aggregator=False)
        return sum(scores["rougeL"]) / len(said)

    def score(name: str, **options: Any) -> float:
        return load(name).compute(predictions=said, references=right, **options)["score"]

    tenth = len(said) // 10
    rows: dict[str, Callable[[], Any]] = {
        "rouge": rouge,
        "rouge-plain": plain,
        "bleu": lambda: load("bleu").compute(predictions=said, references=right)["bleu"],
        "sacrebleu": lambda: score("sacrebleu"),
        "chrf": lambda: score("chrf"),
        "chrf++": lambda: score("chrf", word_order=2),
        "ter": lambda: load("ter").compute(predictions=said[:tenth], references=right[:tenth])["score"],
        "wer": lambda: load("wer").compute(predictions=said, references=right),
        "cer": lambda: load("cer").compute(predictions=said, references=right),
        "load": lambda: len(load("rouge")),
    }
    print(f"{'':12}{'ours ms':>10}{'peer ms':>10}{'ratio':>8}{'spread':>14}   ({len(said)} texts, {pairs} pairs)")
    for name in names or rows:
        run = rows[name]
        ours, theirs = [], []
        for turn in range(pairs + 1):
            start = time.process_time()
            value = run()
            mine = time.process_time() - start
            peer.stdin.write(name + "\n")
            peer.stdin.flush()
            spent, expected = json.loads(peer.stdout.readline())
            assert abs(value - expected) < 1e-9, f"{name}: {value} here, {expected} there"
            if turn:  # the first pair warms both sides up
                ours.append(mine)
                theirs.append(spent)
        ratios = sorted(b / a for a, b in zip(ours, theirs, strict=True))
        low, high = ratios[len(ratios) // 10], ratios[-1 - len(ratios) // 10]
        medians = (statistics.median(ours) * 1e3, statistics.median(theirs) * 1e3)
        print(
            f"{name:12}{medians[0]:10.1f}{medians[1]:10.1f}{statistics.median(ratios):7.1f}x{low:7.1f}–{high:.1f}",
            flush=True,
        )
    peer.stdin.close()
    peer.wait()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 9, sys.argv[2:])
