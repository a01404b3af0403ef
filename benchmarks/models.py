"""Models beside transformers: first load, decoding, pipelines; equal results first, then interleaved times.

    .venv/bin/python benchmarks/models.py [--pairs 9] [--threads 1]

Each side is a process of its own that keeps its models; the sides take turns, so that a machine that slows down slows
both. A ratio is the peer's time over ours, pair by pair: its median, and the lowest and highest.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# The benchmarks are named after what they measure: `tokenizers.py` beside this file must not hide the library.
sys.path[:] = [path for path in sys.path if Path(path or ".").resolve() != Path(__file__).resolve().parent]

ROOT = Path(__file__).resolve().parent.parent
PEER = ROOT / ".peers" / "models" / "bin" / "python"
TOY = {"vocab_size": 1000, "n_embd": 64, "n_layer": 12, "n_head": 4, "n_positions": 512}
SMALL = {"vocab_size": 30522, "hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12}
SMALL["intermediate_size"] = 1536

Work = Callable[[], Any]


def library(side: str) -> Any:
    """Import one side's library, without messages."""
    import warnings

    warnings.simplefilter("ignore")
    if side == "peer":
        import transformers

        transformers.utils.logging.set_verbosity_error()
        transformers.utils.logging.disable_progress_bar()
        return transformers
    from enfold import transformers
    from enfold.log import set_verbosity

    set_verbosity("error")
    return transformers


def first_load(side: str, folder: str) -> float:
    """Seconds from an empty process to a model with its weights read once."""
    start = time.perf_counter()
    transformers = library(side)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(f"{folder}/small")
    total = sum(float(parameter.sum()) for parameter in model.parameters())
    assert total == total
    return time.perf_counter() - start


def works(side: str, folder: str) -> dict[str, Work]:
    """Return what is timed in a warm process, by name; each returns what both sides must agree on."""
    import torch

    transformers = library(side)
    draw = torch.Generator().manual_seed(0)
    toy = transformers.AutoModelForCausalLM.from_pretrained(f"{folder}/toy")
    small = transformers.AutoModelForSequenceClassification.from_pretrained(f"{folder}/small")
    prompt = torch.randint(0, 1000, (1, 16), generator=draw)
    eight = torch.randint(0, 1000, (8, 16), generator=draw)
    text = torch.randint(1, 30000, (8, 64), generator=draw)
    full = torch.ones_like(text)
    padded = (torch.arange(64) < torch.tensor([64, 10, 20, 30, 40, 50, 60, 64])[:, None]).long()
    one = text[:1, :16]
    greedy = {"max_new_tokens": 128, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}
    drawn = {**greedy, "do_sample": True, "top_k": 50, "top_p": 0.9, "temperature": 0.8}

    def write(ids: torch.Tensor, **options: Any) -> Any:
        torch.manual_seed(0)
        return toy.generate(ids, attention_mask=torch.ones_like(ids), **options).tolist()

    def classify(ids: torch.Tensor, mask: torch.Tensor) -> Any:
        with torch.no_grad():
            return small(input_ids=ids, attention_mask=mask).logits.tolist()

    def again() -> Any:
        model = transformers.AutoModelForSequenceClassification.from_pretrained(f"{folder}/small")
        return [float(model.classifier.weight.sum())]

    label = transformers.pipeline("text-classification", model=f"{folder}/small", device=-1)
    tag = transformers.pipeline("token-classification", model=f"{folder}/tags", device=-1, ignore_labels=[])
    lengths = torch.randint(3, 60, (64,), generator=draw).tolist()
    lines = [" ".join(f"w{word}" for word in torch.randint(0, 30000, (n,), generator=draw)) for n in lengths]

    def labelled(**options: Any) -> Any:
        return [answer["score"] for answer in label(lines, **options)]

    def tagged(**options: Any) -> Any:
        return [[float(token["score"]) for token in answer] for answer in tag(lines, **options)]

    return {
        "toy GPT-2, 128 tokens, greedy": lambda: write(prompt, **greedy),
        "toy GPT-2, 128 tokens, 8 rows": lambda: write(eight, **greedy),
        "toy GPT-2, 128 tokens, sampled": lambda: write(prompt, **drawn),
        "small BERT, 8 x 64, no padding": lambda: classify(text, full),
        "small BERT, 8 x 64, padded": lambda: classify(text, padded),
        "small BERT, 1 x 16": lambda: classify(one, torch.ones_like(one)),
        "small BERT, from_pretrained again": again,
        "label 64 texts of 3 to 60 words": labelled,
        "label 64 texts, batch_size=8": lambda: labelled(batch_size=8),
        "tag 64 texts of 3 to 60 words": tagged,
        "tag 64 texts, batch_size=8": lambda: tagged(batch_size=8),
    }


def serve(side: str, folder: str, threads: int) -> None:
    """Answer lines on standard input: ``check NAME`` with the result, ``time NAME`` with seconds."""
    import torch

    torch.set_num_threads(threads)
    table = works(side, folder)
    print(json.dumps(list(table)), flush=True)
    for line in sys.stdin:
        verb, _, name = line.strip().partition(" ")
        start = time.perf_counter()
        result = table[name]()
        seconds = time.perf_counter() - start
        print(json.dumps(result if verb == "check" else seconds), flush=True)


def close(ours: Any, theirs: Any, tolerance: float = 1e-4) -> bool:
    """Return whether two nested lists agree: integers exactly, numbers to a tolerance."""
    if isinstance(ours, list):
        return len(ours) == len(theirs) and all(close(*pair, tolerance) for pair in zip(ours, theirs, strict=True))
    return ours == theirs if isinstance(ours, int) else abs(ours - theirs) <= tolerance * max(1.0, abs(theirs))


def report(name: str, ours: list[float], theirs: list[float]) -> None:
    """Print the medians and the ratio of the pairs."""
    ratios = sorted(b / a for a, b in zip(ours, theirs, strict=True))
    print(
        f"{name:36} ours {1e3 * statistics.median(ours):9.2f} ms   peer {1e3 * statistics.median(theirs):9.2f} ms"
        f"   ratio {statistics.median(ratios):6.2f}  ({ratios[0]:.2f} … {ratios[-1]:.2f}, n={len(ratios)})",
        flush=True,
    )


def main() -> None:
    """Make the checkpoints, check the results, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--loads", type=int, default=5, help="pairs of fresh processes for the first load")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", default="", help="rows whose names hold this")
    parser.add_argument("--serve", nargs=2, metavar=("SIDE", "FOLDER"), help=argparse.SUPPRESS)
    parser.add_argument("--first", nargs=2, metavar=("SIDE", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.first:
        print(first_load(*options.first))
        return
    if options.serve:
        serve(*options.serve, options.threads)
        return
    import torch

    from enfold.transformers import (
        BertConfig,
        BertForSequenceClassification,
        BertForTokenClassification,
        BertTokenizer,
        GPT2Config,
        GPT2LMHeadModel,
    )

    pythons = {"ours": sys.executable, "peer": str(PEER)}
    with tempfile.TemporaryDirectory() as folder:
        torch.manual_seed(0)
        GPT2LMHeadModel(GPT2Config(**TOY, initializer_range=0.2)).save_pretrained(f"{folder}/toy")
        words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"w{word}" for word in range(30517))]
        for name, kind in (("small", BertForSequenceClassification), ("tags", BertForTokenClassification)):
            kind(BertConfig(**SMALL)).save_pretrained(f"{folder}/{name}")
            BertTokenizer(words).save_pretrained(f"{folder}/{name}")
        times: dict[str, list[float]] = {"ours": [], "peer": []}
        for turn in range(options.loads + 1):
            for side, python in pythons.items():
                done = subprocess.run(
                    [python, __file__, "--first", side, folder], capture_output=True, text=True, check=True
                )
                if turn:  # the first fills the file cache
                    times[side].append(float(done.stdout.strip().splitlines()[-1]))
        report("import and first from_pretrained", times["ours"], times["peer"])

        servers = {
            side: subprocess.Popen(
                [python, __file__, "--threads", str(options.threads), "--serve", side, folder],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            for side, python in pythons.items()
        }

        def ask(side: str, line: str) -> Any:
            process = servers[side]
            assert process.stdin is not None and process.stdout is not None
            if line:
                process.stdin.write(line + "\n")
                process.stdin.flush()
            return json.loads(process.stdout.readline())

        names = [ask(side, "") for side in servers]
        for name in names[0]:
            if options.only not in name:
                continue
            if not close(ask("ours", f"check {name}"), ask("peer", f"check {name}")):
                sys.exit(f"{name}: the results differ; no time is reported")
            times = {side: [] for side in servers}
            for turn in range(options.pairs):
                for side in servers if turn % 2 else reversed(servers):
                    times[side].append(ask(side, f"time {name}"))
            report(name, times["ours"], times["peer"])
        for process in servers.values():
            process.terminate()


if __name__ == "__main__":
    main()
