"""Fifty adapters on one model beside peft 0.21.2, in turns, one thread.

Run with the project's Python: ``python benchmarks/adapters.py [PAIRS] [ROW…]``. Both sides run the code in ``COMMON``
on the same files: a Llama of 30 layers of 576 and 50 adapters of rank 8 on its queries and values.
Logits must agree to 1e-4 before a row counts. The time is processor seconds, which other work disturbs least.

- load 50: put all adapters beside each other, from their folders;
- switch: use each of the 50 in turn, without computing;
- merge: put ten of them into the weights and take them out again, one after the other;
- mixed: one batch of eight rows, each with an adapter of its own, 16 tokens long.

Each row is the median ratio (theirs / ours) of the interleaved pairs.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ROWS = ("load 50", "switch", "merge", "mixed")

COMMON = """
import json, sys, time, warnings
warnings.simplefilter("ignore")
side, folder = sys.argv[1], sys.argv[2]
import torch
torch.set_num_threads(1)
if side == "ours":
    import enfold.transformers as transformers, enfold.peft as peft
else:
    import transformers, peft
    transformers.logging.set_verbosity_error()

NAMES = [f"a{index}" for index in range(50)]
IDS = torch.randint(3, 1000, (8, 16), generator=torch.Generator().manual_seed(0))


class Subject:
    def __init__(self):
        self.base = transformers.LlamaForCausalLM.from_pretrained(f"{folder}/base").eval()
        self.model = None

    def load(self):
        model = peft.PeftModel.from_pretrained(self.base, f"{folder}/{NAMES[0]}", NAMES[0])
        for name in NAMES[1:]:
            model.load_adapter(f"{folder}/{name}", name)
        return model.eval()

    @torch.no_grad()
    def run(self, row):
        if row == "load 50":
            if self.model is not None:
                self.base = self.model.unload()
            start = time.process_time()
            self.model = self.load()
            spent = time.process_time() - start
            self.model.set_adapter(NAMES[-1])
            return spent, self.sample()
        if self.model is None:
            self.model = self.load()
        model = self.model
        if row == "switch":
            start = time.process_time()
            for name in NAMES:
                model.set_adapter(name)
            return time.process_time() - start, self.sample()
        if row == "merge":
            start = time.process_time()
            for name in NAMES[:10]:
                model.set_adapter(name)
                model.merge_adapter()
                model.unmerge_adapter()
            return time.process_time() - start, self.sample()
        start = time.process_time()
        logits = model(input_ids=IDS, adapter_names=NAMES[:8]).logits
        return time.process_time() - start, logits[:, -1, :5].tolist()

    def sample(self):
        return self.model(input_ids=IDS[:1]).logits[0, -1, :20].tolist()


subject = Subject()
if side == "theirs":
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(subject.run(line.strip())), flush=True)
"""


def write(folder: str) -> None:
    """Write the model and its adapters."""
    import torch

    import enfold.peft as peft
    import enfold.transformers as transformers

    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=1000,
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=30,
        num_attention_heads=9,
        num_key_value_heads=3,
    )
    model = transformers.LlamaForCausalLM(config)
    model.save_pretrained(f"{folder}/base")
    adapted = peft.get_peft_model(
        model, peft.LoraConfig(r=8, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    )
    for index in range(50):
        with torch.no_grad():
            for part in adapted.parameters():
                if part.requires_grad:
                    part.normal_(0.0, 0.02)
        adapted.save_pretrained(f"{folder}/a{index}")


def main() -> None:
    pairs = int(sys.argv[1]) if sys.argv[1:] and sys.argv[1].isdigit() else 9
    rows = [row for row in ROWS if row in sys.argv[1:]] or list(ROWS)
    os.environ.update({"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"})
    sys.path[:] = [path for path in sys.path if Path(path or ".").resolve() != Path(__file__).resolve().parent]
    with tempfile.TemporaryDirectory(prefix="enfold-adapters-") as folder:
        write(folder)
        peer = subprocess.Popen(
            [ROOT / ".peers" / "models" / "bin" / "python", "-c", COMMON, "theirs", folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert peer.stdin is not None and peer.stdout is not None
        sys.argv = ["adapters", "ours", folder]
        scope: dict[str, object] = {}
        exec(compile(COMMON, "common", "exec"), scope)
        subject = scope["subject"]
        assert peer.stdout.readline().strip() == "ready", "the peer did not start: run `make peers`"
        print(f"{'':10}{'ours ms':>10}{'peer ms':>10}{'ratio':>8}   ({pairs} pairs)")
        for row in rows:
            mine, theirs = [], []
            for turn in range(pairs + 1):
                spent, found = subject.run(row)  # type: ignore[attr-defined]
                peer.stdin.write(row + "\n")
                peer.stdin.flush()
                other, expected = json.loads(peer.stdout.readline())
                flat = [
                    [value for part in given for value in (part if isinstance(part, list) else [part])]
                    for given in (found, expected)
                ]
                worst = max(abs(a - b) for a, b in zip(*flat, strict=True))
                assert worst < 1e-4, f"{row}: the results differ by {worst}"
                if turn:  # the first pair warms both sides up
                    mine.append(spent)
                    theirs.append(other)
            ratio = statistics.median(b / a for a, b in zip(mine, theirs, strict=True))
            own, others = statistics.median(mine) * 1e3, statistics.median(theirs) * 1e3
            print(f"{row:10}{own:10.1f}{others:10.1f}{ratio:7.1f}x", flush=True)
        peer.stdin.close()
        peer.wait()


if __name__ == "__main__":
    main()
