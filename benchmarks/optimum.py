"""ONNX graphs of ours in our own classes, beside a bare onnxruntime session on the same file, and beside optimum.

    .venv/bin/python benchmarks/optimum.py [--pairs 9]

A DistilBERT of its published size (random weights) reads 8 rows of 64 tokens, and a GPT-2 of 6 layers writes 32 tokens
greedily after a prompt of 16. The bare session gets numpy arrays, and in the decoder passes its outputs back as numpy
arrays, which is what its documentation shows. optimum-onnx reads the very same folder, where tools/peers.py has made
its environment. Outputs are compared first (1e-4, equal tokens); times are medians of pairs in turns, on one thread.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
# run beside the packages, not as one of them: this file's own folder must not be searched for imports
import sys

HERE = Path(__file__).resolve().parent
sys.path[:] = [path for path in sys.path if Path(path or ".").resolve() != HERE]

import numpy as np  # noqa: E402
import onnxruntime  # noqa: E402
import torch  # noqa: E402

import enfold.transformers as tf  # noqa: E402
from enfold.optimum.exporters.onnx import onnx_export_from_model  # noqa: E402
from enfold.optimum.onnxruntime import ORTModelForCausalLM, ORTModelForSequenceClassification  # noqa: E402

PEER = HERE.parent / ".peers" / "optimum-onnx" / "bin" / "python"
THEIRS = """
import json, sys, time
import numpy, torch, onnxruntime
torch.set_num_threads(1)
from optimum.onnxruntime import ORTModelForCausalLM, ORTModelForSequenceClassification
folder = sys.argv[1]
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
read = ORTModelForSequenceClassification.from_pretrained(folder + "/encoder", session_options=options)
write = ORTModelForCausalLM.from_pretrained(folder + "/decoder", session_options=options, use_io_binding=True)
given = {name: torch.from_numpy(x) for name, x in numpy.load(folder + "/inputs.npz").items()}
print("ready", flush=True)
for line in sys.stdin:
    start = time.perf_counter()
    if line.strip() == "encoder":
        out = read(input_ids=given["ids"], attention_mask=given["mask"]).logits
    else:
        out = write.generate(given["prompt"], max_new_tokens=32, do_sample=False, pad_token_id=0)
    print(json.dumps([time.perf_counter() - start, out.tolist()]), flush=True)
"""


def bare_encoder(session: Any, ids: np.ndarray, mask: np.ndarray) -> Any:
    """Run the graph as onnxruntime's documentation shows."""
    return session.run(None, {"input_ids": ids, "attention_mask": mask})[0]


def bare_decoder(session: Any, prompt: np.ndarray, count: int) -> Any:
    """Write greedily with a bare session: outputs become inputs as numpy arrays."""
    names = [value.name for value in session.get_outputs()]
    shapes = {value.name: value.shape for value in session.get_inputs() if value.name.startswith("past")}
    past = {name: np.zeros((1, shape[1], 0, shape[3]), np.float32) for name, shape in shapes.items()}
    ids, step = prompt, prompt
    for _ in range(count):
        places = np.arange(ids.shape[1] - step.shape[1], ids.shape[1], dtype=np.int64)[None]
        given = {"input_ids": step, "attention_mask": np.ones_like(ids), "position_ids": places, **past}
        made = dict(zip(names, session.run(None, given), strict=True))
        past = {name.replace("present", "past_key_values"): x for name, x in made.items() if name != "logits"}
        step = made["logits"][:, -1].argmax(-1)[:, None]
        ids = np.concatenate((ids, step), 1)
    return ids


def timed(run: Callable[[], Any]) -> tuple[float, Any]:
    """Return the seconds of a run and what it gives."""
    start = time.perf_counter()
    made = run()
    return time.perf_counter() - start, made


def main() -> None:
    """Write the graphs, compare, time, and print the ratios."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, default=9)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    with tempfile.TemporaryDirectory() as folder:
        encoder = tf.DistilBertForSequenceClassification(tf.DistilBertConfig())
        decoder = tf.GPT2LMHeadModel(tf.GPT2Config(n_layer=6, eos_token_id=None))
        onnx_export_from_model(encoder, f"{folder}/encoder", do_validation=False)
        onnx_export_from_model(decoder, f"{folder}/decoder", do_validation=False)
        ids = torch.randint(5, 30000, (8, 64))
        mask = torch.ones_like(ids)
        mask[::2, 40:] = 0
        prompt = torch.randint(5, 30000, (1, 16))
        np.savez(f"{folder}/inputs.npz", ids=ids.numpy(), mask=mask.numpy(), prompt=prompt.numpy())
        # the bare sessions come first: ours would otherwise have taken the memory that lies together
        bare = {
            name: onnxruntime.InferenceSession(f"{folder}/{name}/model.onnx", options, ["CPUExecutionProvider"])
            for name in ("encoder", "decoder")
        }
        ours = {
            "encoder": ORTModelForSequenceClassification.from_pretrained(f"{folder}/encoder", session_options=options),
            "decoder": ORTModelForCausalLM.from_pretrained(f"{folder}/decoder", session_options=options),
        }
        for model in ours.values():
            model.session.pages.wait()
        mine: dict[str, Callable[[], Any]] = {
            "encoder": lambda: ours["encoder"](input_ids=ids, attention_mask=mask).logits,
            "decoder": lambda: ours["decoder"].generate(prompt, max_new_tokens=32, do_sample=False, pad_token_id=0),
        }
        theirs: dict[str, Callable[[], Any]] = {
            "encoder": lambda: bare_encoder(bare["encoder"], ids.numpy(), mask.numpy()),
            "decoder": lambda: bare_decoder(bare["decoder"], prompt.numpy(), 32),
        }
        table = [("onnxruntime", {name: (lambda name=name: timed(theirs[name])) for name in theirs})]
        peer = None
        if PEER.exists():
            peer = subprocess.Popen(
                [PEER, "-c", THEIRS, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                stderr=None if os.environ.get("SHOW") else subprocess.DEVNULL,
            )  # fmt: skip
            assert peer.stdin is not None and peer.stdout is not None
            while (line := peer.stdout.readline()).strip() != "ready":
                if not line:
                    raise SystemExit("the peer did not start; SHOW=1 shows why")

            def ask(name: str) -> tuple[float, Any]:
                peer.stdin.write(f"{name}\n")
                peer.stdin.flush()
                seconds, made = json.loads(peer.stdout.readline())
                return seconds, np.asarray(made)

            table.append(("optimum-onnx", {name: (lambda name=name: ask(name)) for name in theirs}))
        for label, rows in table:
            for name, other in rows.items():
                pairs = []
                for turn in range(asked.pairs + 1):
                    (spent, made), (elsewhere, expected) = timed(mine[name]), other()
                    np.testing.assert_allclose(np.asarray(made), expected, atol=1e-4, rtol=0, err_msg=name)
                    if turn:  # the first pair warms both sides up
                        pairs.append((spent, elsewhere))
                ratios = [theirs_took / ours_took for ours_took, theirs_took in pairs]
                first, second = (statistics.median(column) for column in zip(*pairs, strict=True))
                print(
                    f"{name:8} ours {first * 1e3:8.1f} ms   {label:12} {second * 1e3:8.1f} ms   "
                    f"{statistics.median(ratios):5.2f} x  ({min(ratios):.2f} to {max(ratios):.2f})",
                    flush=True,
                )
        if peer is not None:
            peer.stdin.close()
            peer.wait()


if __name__ == "__main__":
    main()
