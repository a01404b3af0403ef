"""OVModelFor… beside openvino on the same graph, and beside optimum-intel; BetterTransformer beside transformers.

    .venv/bin/python benchmarks/openvino.py [--pairs 9] [--only decoder]

Results are compared first; then both sides take turns, and a ratio is the other side's time over ours, turn by turn:
its median, lowest and highest. optimum-intel runs where tools/peers.py has made its environment.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
HERE = Path(__file__).resolve().parent
# The benchmarks are named after what they measure: `openvino.py` must not hide the library.
sys.path[:] = [path for path in sys.path if Path(path or ".").resolve() != HERE]

PEERS = HERE.parent / ".peers"
PEER, INTEL = (PEERS / name / "bin" / "python" for name in ("models", "optimum-intel"))
ONE = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1}
EXACT = {"INFERENCE_PRECISION_HINT": "f32", "KV_CACHE_PRECISION": "f32"}
ENCODER = {"vocab_size": 30522, "hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12}
ENCODER["intermediate_size"] = 1536
DECODER = {"vocab_size": 32000, "hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 6}
DECODER |= {"num_key_value_heads": 6, "intermediate_size": 1024, "max_position_embeddings": 512}
NEW, PROMPT = 64, 16

Work = Callable[[], Any]


def inputs() -> tuple[Any, Any, Any]:
    """Return ids (8, 64), a mask with padding, and a prompt (1, 16)."""
    import torch

    draw = torch.Generator().manual_seed(0)
    ids = torch.randint(1, 30000, (8, 64), generator=draw)
    lengths = torch.tensor([64, 10, 20, 30, 8, 12, 60, 16])[:, None]
    return ids, (torch.arange(64) < lengths).long(), torch.randint(1, 30000, (1, PROMPT), generator=draw)


def models(library: Any, folder: str) -> dict[str, Work]:
    """Return the works of a library with optimum-intel's classes."""
    ids, mask, prompt = inputs()
    options = {"ov_config": {**ONE, **EXACT}}
    encoder = library.OVModelForSequenceClassification.from_pretrained(f"{folder}/encoder", **options)
    decoder = library.OVModelForCausalLM.from_pretrained(f"{folder}/decoder", **options)

    def write(**more: Any) -> Any:
        made = decoder.generate(prompt, max_new_tokens=NEW, do_sample=False, eos_token_id=None, pad_token_id=0, **more)
        return made.tolist()

    return {
        "encoder, 8 x 64": lambda: encoder(input_ids=ids, attention_mask=mask).logits.tolist(),
        "encoder, 1 x 16": lambda: encoder(input_ids=prompt, attention_mask=prompt * 0 + 1).logits.tolist(),
        "decoder, 64 tokens": write,
    }


def bare(folder: str) -> dict[str, Work]:
    """Return the same works on openvino alone: its requests and a loop that takes the likeliest word."""
    import numpy as np
    import openvino

    core = openvino.Core()
    properties = {**ONE, **EXACT, "PERFORMANCE_HINT": "LATENCY"}
    ids, mask, prompt = (tensor.numpy() for tensor in inputs())
    encoder = core.compile_model(f"{folder}/encoder/openvino_model.xml", "CPU", properties).create_infer_request()
    decoder = core.compile_model(f"{folder}/decoder/openvino_model.xml", "CPU", properties).create_infer_request()

    def classify(rows: Any, seen: Any) -> Any:
        given = {"input_ids": rows, "attention_mask": seen, "token_type_ids": np.zeros_like(rows)}
        return encoder.infer(given, share_inputs=True)["logits"].tolist()

    def write() -> Any:
        decoder.reset_state()
        text, given = prompt, prompt
        order = np.zeros(1, dtype=np.int32)
        for _ in range(NEW):
            length = text.shape[1]
            places = np.arange(length - given.shape[1], length)[None]
            asked = {"input_ids": given, "attention_mask": np.ones((1, length), np.int64), "position_ids": places}
            logits = decoder.infer({**asked, "beam_idx": order}, share_inputs=True)["logits"]
            given = logits[:, -1].argmax(-1)[None]
            text = np.concatenate((text, given), 1)
        return text.tolist()

    return {
        "encoder, 8 x 64": lambda: classify(ids, mask),
        "encoder, 1 x 16": lambda: classify(prompt, np.ones_like(prompt)),
        "decoder, 64 tokens": write,
    }


def fast(side: str, folder: str) -> dict[str, Work]:
    """Return BetterTransformer's work, or that of transformers with its eager attention."""
    import torch

    torch.set_num_threads(1)
    ids, mask, _ = inputs()
    if side == "transformers":
        import transformers

        options: Any = {"attn_implementation": "eager"}
    else:
        from enfold import transformers

        options = {}
    model = transformers.AutoModelForSequenceClassification.from_pretrained(f"{folder}/weights", **options).eval()
    if side == "fast":
        from enfold.optimum.bettertransformer import BetterTransformer

        model = BetterTransformer.transform(model)

    def classify(rows: Any, seen: Any) -> Any:
        with torch.inference_mode():
            return model(input_ids=rows, attention_mask=seen).logits.tolist()

    return {
        "BetterTransformer, 8 x 64, padded": lambda: classify(ids, mask),
        "BetterTransformer, 8 x 64, full": lambda: classify(ids, torch.ones_like(mask)),
    }


def serve(side: str, folder: str) -> None:
    """Answer lines on standard input: ``check NAME`` with the result, ``time NAME`` with seconds of the processor."""
    answers, sys.stdout = sys.stdout, sys.stderr
    if side in ("transformers", "fast"):
        table = fast(side, folder)
    elif side == "bare":
        table = bare(folder)
    elif side == "optimum-intel":
        import optimum.intel

        table = models(optimum.intel, folder)
    else:
        from enfold.optimum import intel

        table = models(intel, folder)
    for line in sys.stdin:
        verb, _, name = line.rstrip("\n").partition(" ")
        start = time.process_time()
        result = table[name]()
        seconds = time.process_time() - start
        print(json.dumps(result if verb == "check" else seconds), file=answers, flush=True)


class Side:
    """A process of its own."""

    def __init__(self, python: Any, side: str, folder: str) -> None:
        self.process = subprocess.Popen(
            [python, __file__, "--serve", side, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=None if os.environ.get("SHOW") else subprocess.DEVNULL, text=True,
        )  # fmt: skip

    def ask(self, verb: str, name: str) -> Any:
        """Return the answer to one line."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(f"{verb} {name}\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("a side ended; SHOW=1 shows why")
        return json.loads(line)


def close(mine: Any, other: Any) -> bool:
    """Return whether nested lists agree: integers exactly, numbers to 1e-4."""
    if isinstance(mine, list):
        return len(mine) == len(other) and all(close(*pair) for pair in zip(mine, other, strict=True))
    return bool(mine == other) if isinstance(mine, int) else abs(mine - other) <= 1e-4


def main() -> None:
    """Write the graphs, compare the results, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--only", default="")
    parser.add_argument("--serve", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(*options.serve)
        return
    import torch

    from enfold import transformers
    from enfold.optimum.exporters.openvino import export_from_model

    with tempfile.TemporaryDirectory() as folder:
        torch.manual_seed(0)
        encoder = transformers.BertForSequenceClassification(transformers.BertConfig(**ENCODER)).eval()
        decoder = transformers.LlamaForCausalLM(transformers.LlamaConfig(**DECODER)).eval()
        encoder.save_pretrained(f"{folder}/weights")
        if not options.only.startswith("Better"):
            export_from_model(encoder, f"{folder}/encoder")
            export_from_model(decoder, f"{folder}/decoder")
        graphs = ["encoder, 8 x 64", "encoder, 1 x 16", "decoder, 64 tokens"]
        padded = ["BetterTransformer, 8 x 64, padded", "BetterTransformer, 8 x 64, full"]
        sides = [("ours", "bare", sys.executable, graphs), ("fast", "transformers", PEER, padded)]
        if INTEL.exists():
            sides.insert(1, ("ours", "optimum-intel", INTEL, graphs))
        for mine, other, python, names in sides:
            names = [name for name in names if options.only in name]
            if not names:
                continue
            ours, theirs = Side(sys.executable, mine, folder), Side(python, other, folder)
            for name in names:
                if not close(ours.ask("check", name), theirs.ask("check", name)):
                    raise SystemExit(f"{name}: {other} gives something else")
                pairs = [(ours.ask("time", name), theirs.ask("time", name)) for _ in range(options.pairs)]
                ratios = sorted(second / first for first, second in pairs)
                first, second = (1e3 * statistics.median(column) for column in zip(*pairs, strict=True))
                print(
                    f"{name:34} ours {first:8.2f} ms   {other:13} {second:8.2f} ms   ratio "
                    f"{statistics.median(ratios):5.2f}  ({ratios[0]:.2f} … {ratios[-1]:.2f}, n={len(ratios)})",
                    flush=True,
                )
            for side in (ours, theirs):
                assert side.process.stdin is not None
                side.process.stdin.close()
                side.process.wait()


if __name__ == "__main__":
    main()
