"""Encoders of their published size beside transformers, torch.compile, onnxruntime and openvino, at each precision.

    .venv/bin/python benchmarks/encoders.py [--turns 9] [--threads 1] [--only "BERT-base, 8"]

Weights are drawn once and read by both sides. The graphs of onnxruntime (fused by its own optimizer) and openvino carry
the mask: every peer must first give our numbers for a batch with padding. Then all take turns on batches without any,
times are of the processor on one thread and of the clock on several, and a ratio is the peer's over ours, turn by turn.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

sys.path[:] = [path for path in sys.path if Path(path or ".").resolve() != Path(__file__).resolve().parent]

PEER = Path(__file__).resolve().parent.parent / ".peers" / "runtimes" / "bin" / "python"
ENCODERS = {"BERT-base": "BertModel", "DistilBERT": "DistilBertModel"}
ROWS, LENGTH = (1, 8, 32), 128
# precision → who is compared with whom; how far apart the states may be, as a share of their size
SIDES = {
    "fp32": ["enfold", "transformers", "torch.compile", "onnxruntime", "openvino"],
    "bf16": ["enfold", "transformers", "torch.compile", "openvino"],
    "int8": ["enfold", "onnxruntime", "enfold fp32"],
}
TOLERANCE = {"fp32": 1e-5, "bf16": 2e-2, "int8": 0.1}

Encoder = Callable[[Any, Any], Any]  # ids and mask (B, T), int64 → states (B, T, D)


def load(transformers: Any, folder: str, name: str, precision: str, **options: Any) -> Encoder:
    """Return a model of ours or of transformers."""
    import torch

    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    model = getattr(transformers, ENCODERS[name]).from_pretrained(f"{folder}/{name}", dtype=dtype, **options).eval()
    return lambda ids, mask: model(input_ids=ids, attention_mask=mask).last_hidden_state


def ours(folder: str, name: str, side: str, precision: str) -> Encoder:
    """Return our encoder."""
    from enfold import transformers

    options: Any = {"quantization_config": transformers.TorchAoConfig("int8")} if precision == "int8" else {}
    return load(transformers, folder, name, precision, **({} if side.endswith("fp32") else options))


def graph(folder: str, name: str, kind: str) -> str:
    """Return an ONNX file of the encoder: as traced, ``fused``, or fused and in ``int8``; made once."""
    import torch
    import transformers

    path = Path(folder) / f"{name}-{kind}.onnx"
    if path.exists():
        return str(path)
    if kind == "traced":
        kind_of = getattr(transformers, ENCODERS[name])
        model = kind_of.from_pretrained(f"{folder}/{name}", attn_implementation="eager").eval()

        class Masked(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.model = model

            def forward(self, input_ids: Any, attention_mask: Any) -> Any:
                away = (1.0 - attention_mask[:, None, None, :].float()) * torch.finfo(torch.float32).min
                return self.model(input_ids=input_ids, attention_mask=away).last_hidden_state

        ids, mask = torch.randint(1, 30000, (2, 16)), torch.ones(2, 16, dtype=torch.long)
        mask[1, 9:] = 0
        names = ["input_ids", "attention_mask", "states"]
        axes = {each: {0: "rows", 1: "tokens"} for each in names}
        torch.onnx.export(
            Masked(), (ids, mask), path, dynamo=False, opset_version=17, input_names=names[:2],
            output_names=names[2:], dynamic_axes=axes,
        )  # fmt: skip
    elif kind == "fused":
        from onnxruntime.transformers import optimizer

        made = optimizer.optimize_model(
            graph(folder, name, "traced"), model_type="bert", num_heads=12, hidden_size=768, opt_level=0
        )
        print(name, made.get_fused_operator_statistics(), file=sys.stderr)
        made.save_model_to_file(str(path))
    else:
        from onnxruntime.quantization import QuantType, quantize_dynamic

        quantize_dynamic(
            graph(folder, name, "fused"), path, weight_type=QuantType.QInt8, per_channel=True,
            extra_options={"DefaultTensorType": 1},
        )  # fmt: skip
    return str(path)


def theirs(folder: str, name: str, side: str, precision: str) -> Encoder:
    """Return a peer's encoder."""
    import torch

    threads = torch.get_num_threads()
    if side == "onnxruntime":
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        file = graph(folder, name, "int8" if precision == "int8" else "fused")
        session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        return lambda ids, mask: session.run(None, {"input_ids": ids.numpy(), "attention_mask": mask.numpy()})[0]
    if side == "openvino":
        import openvino

        hints = {"INFERENCE_PRECISION_HINT": precision.replace("fp", "f"), "INFERENCE_NUM_THREADS": threads}
        compiled = openvino.Core().compile_model(graph(folder, name, "traced"), "CPU", {**hints, "NUM_STREAMS": 1})
        return lambda ids, mask: compiled({"input_ids": ids.numpy(), "attention_mask": mask.numpy()})[0]
    import transformers

    encoder = load(transformers, folder, name, precision)
    return torch.compile(encoder) if side == "torch.compile" else encoder


def serve(who: str, folder: str, threads: int) -> None:
    """Answer lines ``VERB<TAB>NAME<TAB>SIDE<TAB>PRECISION<TAB>ROWS`` with states (check) or seconds (time)."""
    import torch

    warnings.simplefilter("ignore")
    torch.set_num_threads(threads)
    answers, sys.stdout = sys.stdout, sys.stderr
    make = cache(ours if who == "ours" else theirs)
    clock = time.process_time if threads == 1 else time.perf_counter
    for line in sys.stdin:
        verb, name, side, precision, rows = line.rstrip("\n").split("\t")
        draw = torch.Generator().manual_seed(1)
        ids = torch.randint(1, 30000, (int(rows), LENGTH), generator=draw)
        mask = torch.ones_like(ids)
        if verb == "check":
            mask = (torch.arange(LENGTH) < torch.randint(9, LENGTH, (int(rows), 1), generator=draw)).long()
        encoder = make(folder, name, side, precision)
        with torch.inference_mode():
            start = clock()
            states = encoder(ids, mask)
            seconds = clock() - start
        if verb == "check":
            kept = torch.as_tensor(states).float()[mask.bool()]
            print(json.dumps(kept.flatten().tolist()), file=answers, flush=True)
        else:
            print(json.dumps(seconds), file=answers, flush=True)


def main() -> None:
    """Draw the weights, compare the states, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", default="", help="rows whose names hold this, such as 'BERT-base, 8 x 128, fp32'")
    parser.add_argument("--skip", default="", help="peers to leave out, comma between them")
    parser.add_argument("--serve", nargs=2, metavar=("WHO", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(*options.serve, options.threads)
        return
    import torch

    from enfold import transformers

    with tempfile.TemporaryDirectory() as folder:
        torch.manual_seed(0)
        for name, kind in ENCODERS.items():
            made = getattr(transformers, kind)
            made(made.config_class()).save_pretrained(f"{folder}/{name}")
        command = [__file__, "--threads", str(options.threads), "--serve"]
        servers = {
            who: subprocess.Popen(
                [python, *command, who, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL, text=True,
            )
            for who, python in {"ours": sys.executable, "peer": str(PEER)}.items()
        }  # fmt: skip

        def ask(verb: str, side: str, *row: Any) -> Any:
            process = servers["ours" if side.startswith("enfold") else "peer"]
            assert process.stdin is not None and process.stdout is not None
            process.stdin.write("\t".join([verb, row[0], side, *map(str, row[1:])]) + "\n")
            process.stdin.flush()
            return json.loads(process.stdout.readline())

        def off(side: str, *row: Any) -> float:
            mine, other = torch.tensor(ask("check", "enfold", *row)), torch.tensor(ask("check", side, *row))
            return float((mine - other).norm() / other.norm())

        skipped = options.skip.split(",")
        for precision, everyone in SIDES.items():
            for name in ENCODERS:
                sides = [side for side in everyone if side not in skipped]
                for rows in ROWS:
                    title = f"{name}, {rows} x {LENGTH}, {precision}"
                    if options.only not in title:
                        continue
                    for side in sides[1:]:
                        if (distance := off(side, name, precision, 2)) > TOLERANCE[precision]:
                            sys.exit(f"{title}: {side} differs from us by {distance:.2g}; no time is reported")
                    times: dict[str, list[float]] = {side: [] for side in sides}
                    for turn in range(options.turns + 1):
                        for side in sides if turn % 2 else reversed(sides):
                            seconds = ask("time", side, name, precision, rows)
                            if turn:  # the first compiles
                                times[side].append(seconds)
                    print(f"{title:32} enfold {1e3 * statistics.median(times['enfold']):8.1f} ms", end="")
                    for side in sides[1:]:
                        ratios = sorted(b / a for a, b in zip(times["enfold"], times[side], strict=True))
                        middle = statistics.median(ratios)
                        print(f"   {side} {middle:.2f} ({ratios[0]:.2f}-{ratios[-1]:.2f})", end="")
                    print(flush=True)
        for process in servers.values():
            process.terminate()


if __name__ == "__main__":
    main()
