"""Pipelines beside transformers and openvino: 1,000 real texts of mixed length, and whole processes.

    .venv/bin/python benchmarks/pipelines.py [--turns 3] [--texts 1000] [--threads 1] [--only label]

``label`` rows classify paragraphs of English web text with a DistilBERT of its published size, weights drawn and a
vocabulary trained on the texts; scores are compared first. Whole processes are beside one that only imports torch:
from ``pipeline`` to a first answer, and from a folder of 0.4 and 1.5 GB to a tokenizer and a model, with the weights in
the system's file cache (warm) or dropped from it (cold), and the peak of memory after one forward pass. All have their
modules compiled to bytecode, as after an installation. Times are of the processor on one thread and of the clock on
several.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:] = [path for path in sys.path if Path(path or ".").resolve() != HERE]

PEER = HERE.parent / ".peers" / "runtimes" / "bin" / "python"
BUDGET = 2048  # tokens a batch for openvino, as ours
LIMIT = 512  # tokens a text
LARGE = {"vocab_size": 60000, "hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16,
         "intermediate_size": 4096}  # fmt: skip
FOLDERS = {"0.4 GB": {}, "1.5 GB": LARGE}
ROWS: dict[str, tuple[str, dict[str, Any]]] = {
    "label, defaults, fp32": ("float32", {}),
    "label, batch_size=32, fp32": ("float32", {"batch_size": 32}),
    "label, defaults, bf16": ("bfloat16", {}),
    "label, batch_size=32, bf16": ("bfloat16", {"batch_size": 32}),
}
OPENVINO = "openvino bf16, sorted"

Job = Callable[[], list[float]]


def texts(count: int) -> list[str]:
    """Return paragraphs of 20 to 1,500 characters."""
    sys.path.insert(0, str(HERE))
    import _corpora

    sys.path.pop(0)
    lines = [line for text in _corpora.documents("english", 6_000_000) for line in text.split("\n")]
    fit = [line for line in lines if 20 < len(line) < 1500]
    return random.Random(0).sample(fit, count)


def jobs(side: str, folder: str) -> dict[str, Job]:
    """Return what is timed, by name; each returns a score for every text."""
    import torch

    if side == "ours":
        from enfold import transformers
    else:
        import transformers
    lines = json.loads(Path(folder, "texts.json").read_text())
    place = f"{folder}/distilbert"

    def label(dtype: str, **options: Any) -> Job:
        model = transformers.AutoModelForSequenceClassification.from_pretrained(place, dtype=getattr(torch, dtype))
        tokenizer = transformers.AutoTokenizer.from_pretrained(place)
        pipe = transformers.pipeline("text-classification", model=model, tokenizer=tokenizer, device=-1)
        return lambda: [each["score"] for each in pipe(lines, truncation=True, max_length=LIMIT, **options)]

    made = {name: label(dtype, **options) for name, (dtype, options) in ROWS.items()}
    return made if side == "ours" else {**made, OPENVINO: openvino_job(place, lines)}


def openvino_job(place: str, lines: list[str]) -> Job:
    """Return the same work on openvino in bfloat16: tokenized at once, sorted by length, batched by tokens."""
    import openvino
    import torch
    import transformers

    model = transformers.AutoModelForSequenceClassification.from_pretrained(place, attn_implementation="eager").eval()

    class Masked(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, input_ids: Any, attention_mask: Any) -> Any:
            away = (1.0 - attention_mask[:, None, None, :].float()) * torch.finfo(torch.float32).min
            return self.model(input_ids=input_ids, attention_mask=away).logits

    ids, mask = torch.randint(1, 3000, (2, 16)), torch.ones(2, 16, dtype=torch.long)
    mask[1, 9:] = 0
    file = f"{place}/model.onnx"
    axes = {name: {0: "rows", 1: "tokens"} for name in ("input_ids", "attention_mask")}
    torch.onnx.export(Masked(), (ids, mask), file, dynamo=False, opset_version=17, input_names=list(axes),
                      output_names=["logits"], dynamic_axes=axes)  # fmt: skip
    hints = {"INFERENCE_PRECISION_HINT": "bf16", "INFERENCE_NUM_THREADS": torch.get_num_threads(), "NUM_STREAMS": 1}
    compiled = openvino.Core().compile_model(file, "CPU", hints)
    tokenizer = transformers.AutoTokenizer.from_pretrained(place)

    def run() -> list[float]:
        rows = tokenizer(lines, truncation=True, max_length=LIMIT)["input_ids"]
        scores = [0.0] * len(rows)
        order = sorted(range(len(rows)), key=lambda row: -len(rows[row]))
        while order:
            size = max(1, BUDGET // len(rows[order[0]]))
            batch, order = order[:size], order[size:]
            given = tokenizer.pad({"input_ids": [rows[row] for row in batch]}, return_tensors="np")
            logits = compiled({"input_ids": given["input_ids"], "attention_mask": given["attention_mask"]})[0]
            shares = torch.softmax(torch.from_numpy(logits), -1).max(-1).values.tolist()
            for row, share in zip(batch, shares, strict=True):
                scores[row] = share
        return scores

    return run


def serve(side: str, folder: str, threads: int) -> None:
    """Answer lines on standard input: ``check NAME`` with the scores, ``time NAME`` with seconds."""
    import torch

    warnings.simplefilter("ignore")
    torch.set_num_threads(threads)
    answers, sys.stdout = sys.stdout, sys.stderr
    table = jobs(side, folder)
    clock = time.process_time if threads == 1 else time.perf_counter
    for line in sys.stdin:
        verb, _, name = line.strip().partition(" ")
        start = clock()
        scores = table[name]()
        print(json.dumps(scores if verb == "check" else clock() - start), file=answers, flush=True)


# What a fresh process runs; the answer is on its last line: seconds of the processor that the forward pass took (or 0),
# and the peak of memory in bytes.
WHOLE = """
import sys, time
side, what, folder, threads = sys.argv[1:]
spent = 0.0
import torch
torch.set_num_threads(int(threads))
if side != "torch":
    if side == "peer":
        import transformers
    else:
        from enfold import transformers
    if what == "answer":
        pipe = transformers.pipeline("text-classification", model=folder, device=-1)
        pipe("A first text."); start = time.process_time(); pipe("A first text."); spent = time.process_time() - start
    else:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        model = transformers.AutoModel.from_pretrained(folder)
        if what == "memory":
            with torch.inference_mode():
                model(**tokenizer("A first text.", return_tensors="pt"))
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(spent, int(peak.split()[1]) * 1024)
"""


def drop(folder: str) -> None:
    """Let the system forget what a folder's files hold."""
    for file in Path(folder).iterdir():
        with file.open("rb") as opened:
            os.fsync(opened.fileno())
            os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def whole(side: str, what: str, folder: str, threads: int) -> tuple[float, float]:
    """Return seconds and peak bytes of a fresh process; a second forward pass, which only measures, is taken off."""
    python = PEER if side == "peer" else sys.executable
    compiled = {"PYTHONPYCACHEPREFIX": str(Path(folder).parent / "bytecode"), "PYTHONDONTWRITEBYTECODE": ""}
    command = [python, "-c", WHOLE, side, what, folder, str(threads)]
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | compiled)
    if done.returncode:
        sys.exit(done.stderr)
    after, spent = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter() - start
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    forward, peak = map(float, done.stdout.split()[-2:])
    return (used if threads == 1 else spent) - 2 * forward, peak


def report(name: str, times: dict[str, list[float]], unit: float = 1.0) -> None:
    """Print the median of ours and the ratio of each peer to it, turn by turn."""
    line = f"{name:44} ours {statistics.median(times['ours']) / unit:7.2f}"
    for side, values in times.items():
        if side != "ours":
            ratios = sorted(b / a for a, b in zip(times["ours"], values, strict=True))
            line += f"   {side} {statistics.median(ratios):.2f} ({ratios[0]:.2f}-{ratios[-1]:.2f})"
    print(line, flush=True)


def label_rows(folder: str, options: argparse.Namespace) -> None:
    """Compare the scores, then let the sides take turns."""
    servers = {
        side: subprocess.Popen(
            [python, __file__, "--threads", str(options.threads), "--serve", side, folder], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )
        for side, python in {"ours": sys.executable, "transformers": str(PEER)}.items()
    }  # fmt: skip

    def ask(side: str, line: str) -> Any:
        process = servers[side]
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(line + "\n")
        process.stdin.flush()
        return json.loads(process.stdout.readline())

    for name, (dtype, _) in ROWS.items():
        if options.only not in name:
            continue
        peers = [("transformers", name), *([("transformers", OPENVINO)] if name.endswith("defaults, bf16") else [])]
        mine = ask("ours", f"check {name}")
        for side, row in peers:
            far = max(abs(a - b) for a, b in zip(mine, ask(side, f"check {row}"), strict=True))
            if far > (1e-4 if dtype == "float32" else 2e-2):
                sys.exit(f"{name}: scores of {row} differ by {far:.2g}; no time is reported")
        times: dict[str, list[float]] = {"ours": [], **{row if row == OPENVINO else side: [] for side, row in peers}}
        for _ in range(options.turns):
            times["ours"].append(ask("ours", f"time {name}"))
            for side, row in peers:
                times[row if row == OPENVINO else side].append(ask(side, f"time {row}"))
        report(f"{name} (s)", times)
    for process in servers.values():
        process.terminate()


def main() -> None:
    """Make the folders, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--texts", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", default="", help="rows whose names hold this: label, whole, memory …")
    parser.add_argument("--serve", nargs=2, metavar=("SIDE", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(*options.serve, options.threads)
        return
    import torch

    from enfold import transformers

    with tempfile.TemporaryDirectory() as folder:
        torch.manual_seed(0)
        lines = texts(max(options.texts, 1000))
        special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
        tokenizer = transformers.BertTokenizerFast(special).train_new_from_iterator(lines, 30522)
        Path(folder, "texts.json").write_text(json.dumps(lines[: options.texts]))
        transformers.DistilBertForSequenceClassification(transformers.DistilBertConfig()).save_pretrained(
            f"{folder}/distilbert"
        )
        tokenizer.save_pretrained(f"{folder}/distilbert")
        if any(options.only in name for name in ROWS):
            label_rows(folder, options)

        rows = {"whole process, first answer (s)": ("answer", "distilbert")}
        for size, numbers in FOLDERS.items():
            for state in ("warm", "cold"):
                rows[f"whole process, {size} to a model, {state} (s)"] = ("ready", size)
            rows[f"memory over torch's, {size} (of the weights)"] = ("memory", size)
            if any(options.only in name for name in rows if size in name):
                transformers.BertModel(transformers.BertConfig(**numbers)).save_pretrained(f"{folder}/{size}")
                tokenizer.save_pretrained(f"{folder}/{size}")
        for name, (what, place) in rows.items():
            if options.only not in name:
                continue
            times: dict[str, list[float]] = {"ours": [], "transformers": [], "import torch": []}
            sides = list(zip(times, ("ours", "peer", "torch"), strict=True))
            for turn in range(options.turns + 1):
                for side, who in sides if turn % 2 else reversed(sides):
                    if "cold" in name:
                        drop(f"{folder}/{place}")
                    seconds, peak = whole(who, what, f"{folder}/{place}", options.threads)
                    if turn:  # the first fills the file cache
                        times[side].append(peak if what == "memory" else seconds)
            if what == "memory":
                bare = statistics.median(times.pop("import torch"))
                weights = sum(file.stat().st_size for file in Path(folder, place).glob("*.safetensors"))
                report(name, {side: [peak - bare for peak in peaks] for side, peaks in times.items()}, weights)
            else:
                report(name, times)
                bare = times.pop("import torch")
                line = f"  of it beyond import torch{' and a forward' * (what == 'answer')} (s)"
                for side, spent in times.items():
                    more = sorted(a - b for a, b in zip(spent, bare, strict=True))
                    line += f"   {side} {statistics.median(more):.2f} ({more[0]:.2f} to {more[-1]:.2f})"
                print(line, flush=True)


if __name__ == "__main__":
    main()
