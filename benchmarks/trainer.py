"""Training steps beside transformers 5.23 and peft 0.21.2, in turns, one thread.

Run with the project's Python: ``python benchmarks/trainer.py [PAIRS] [ROW…]``. Both sides run the code in ``COMMON``:
the same weights, rows, order and arguments. In fp32 their losses must agree to 1e-4 before a row counts; in bf16 to
2e-2. The time is that of ``train()`` in processor seconds, which other work on the machine disturbs least.

- small full, small lora: two layers of 64, where the loop itself counts;
- minilm lora, minilm lora bf16: six layers of 384, 32 rows of 6 to 40 tokens a batch, adapters on query and value.

Each row is the median ratio (theirs / ours) of at least nine interleaved pairs.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
ROWS = ("small full", "small lora", "minilm lora", "minilm lora bf16")

COMMON = '''
import json, os, sys, time
import numpy as np, torch
torch.set_num_threads(1)
side, folder = sys.argv[1], sys.argv[2]
if side == "ours":
    import enfold.transformers as transformers, enfold.peft as peft
else:
    import transformers, peft
    transformers.logging.set_verbosity_error()

SIZES = {
    "small": dict(vocab_size=1000, hidden_size=64, num_hidden_layers=2, num_attention_heads=2, intermediate_size=128),
    "minilm": dict(vocab_size=30522, hidden_size=384, num_hidden_layers=6, num_attention_heads=12,
                   intermediate_size=1536),
}


class Tokenizer:
    """What a padding collator asks for, the same on both sides."""

    pad_token_id, pad_token_type_id, padding_side = 0, 0, "right"
    model_input_names = ["input_ids", "attention_mask"]

    def pad(self, features, padding=True, max_length=None, pad_to_multiple_of=None, return_tensors="pt", **kwargs):
        width = max(len(row["input_ids"]) for row in features)
        out = {name: [list(row[name]) + [0] * (width - len(row[name])) for row in features]
               for name in self.model_input_names}
        out["label"] = [row["label"] for row in features]
        return {name: torch.tensor(value) for name, value in out.items()}


def run(row):
    size, kind, *half = row.split()
    base = f"{folder}/{size}"
    if side == "ours" and not os.path.isdir(base):
        torch.manual_seed(0)
        transformers.BertForSequenceClassification(transformers.BertConfig(**SIZES[size])).save_pretrained(base)
    model = transformers.BertForSequenceClassification.from_pretrained(base)
    if kind == "lora":
        torch.manual_seed(1)
        model = peft.get_peft_model(model, peft.LoraConfig(task_type="SEQ_CLS", r=16, lora_alpha=32))
    steps = 60 if size == "small" else 4
    random = np.random.default_rng(0)
    lengths = np.clip(random.normal(14, 4, 32 * steps).astype(int), 6, 40)
    rows = [{"input_ids": random.integers(5, SIZES[size]["vocab_size"], n).tolist(), "attention_mask": [1] * int(n),
             "label": int(n % 2)} for n in lengths]
    args = transformers.TrainingArguments(
        f"{folder}/out-{side}", per_device_train_batch_size=32, num_train_epochs=1, save_strategy="no",
        logging_steps=max(steps // 4, 1), learning_rate=1e-3, bf16=bool(half), report_to="none", use_cpu=True,
        disable_tqdm=True,
    )
    tokenizer = Tokenizer()
    trainer = transformers.Trainer(
        model, args, transformers.DataCollatorWithPadding(tokenizer), train_dataset=rows,
        callbacks=[]
    )
    trainer.remove_callback(transformers.PrinterCallback)
    begun = time.process_time()
    trainer.train()
    spent = time.process_time() - begun
    return {"seconds": spent, "loss": [log["loss"] for log in trainer.state.log_history if "loss" in log]}


for line in sys.stdin:
    print("=>" + json.dumps(run(json.loads(line))), flush=True)
'''


class Side:
    """A worker process that runs rows on demand."""

    def __init__(self, python: Path, side: str, folder: str) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "TRANSFORMERS_VERBOSITY": "error"}
        command = [str(python), "-c", COMMON, side, folder]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )

    def run(self, row: str) -> dict[str, Any]:
        """Run one row and return its time and losses."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps(row) + "\n")
        self.process.stdin.flush()
        for line in self.process.stdout:
            if line.startswith("=>"):
                return json.loads(line[2:])
        raise SystemExit(f"a worker ended: {' '.join(map(str, self.process.args[:1]))}")  # type: ignore[index]


def main() -> None:
    """Print one line a row."""
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 9
    rows = sys.argv[2:] or ROWS
    with tempfile.TemporaryDirectory() as folder:
        ours = Side(ROOT / ".venv" / "bin" / "python", "ours", folder)
        theirs = Side(ROOT / ".peers" / "models" / "bin" / "python", "theirs", folder)
        for row in rows:
            ratios, times = [], []
            for pair in range(pairs + 1):
                mine, other = ours.run(row), theirs.run(row)
                limit = 2e-2 if "bf16" in row else 1e-4
                worst = max(abs(a - b) for a, b in zip(mine["loss"], other["loss"], strict=True))
                assert worst <= limit, f"{row}: losses differ by {worst}"
                if pair:  # the first of each warms up
                    ratios.append(other["seconds"] / mine["seconds"])
                    times.append((mine["seconds"], other["seconds"]))
            mine_s, other_s = (statistics.median(column) for column in zip(*times, strict=True))
            ratio = statistics.median(ratios)
            print(
                f"{row:<20} ours {mine_s:7.3f} s  theirs {other_s:7.3f} s  {ratio:5.2f} x  ({pairs} pairs)", flush=True
            )


if __name__ == "__main__":
    main()
