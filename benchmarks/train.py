"""Training beside transformers 5.23 and peft 0.21.2, in turns, one thread; equal losses first.

Run with the project's Python: ``python benchmarks/train.py [PAIRS] [ROW…]``. Both sides run the code in ``COMMON``:
the same weights, rows, order and arguments, no dropout. In fp32 their losses must agree to 1e-4 before a row counts; in
bf16 to 2e-2. The time is that of ``train()`` in processor seconds, which other work on the machine disturbs least.

- bert full, bert full bf16: BERT-base, 8 rows of 8 to 128 tokens a batch, all weights;
- llama lora, llama lora bf16: a Llama of SmolLM2-135M's shape, 8 rows a batch of which only the last 40 % is learnt,
  adapters on query and value;
- small full, small lora: two layers of 64, where the loop itself counts;
- minilm lora, minilm lora bf16: six layers of 384, 32 rows of 6 to 40 tokens a batch, adapters on query and value.

Each row is the median ratio (theirs / ours) of interleaved pairs. Two further rows are ours alone:

- epoch: how much of an epoch that is grouped by length is padding, and the share of its time that loading takes;
- overhead: a step of ``Trainer`` over one of a bare loop in torch, both on padded batches, on a BERT of MiniLM's size.
"""

from __future__ import annotations

import functools
import statistics
import sys
import tempfile
from typing import Any

from _turns import Side, paired

ROWS = (
    "bert full", "bert full bf16", "llama lora", "llama lora bf16", "small full", "small lora", "minilm lora",
    "minilm lora bf16",
)  # fmt: skip

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
    "bert": dict(),
    "llama": dict(vocab_size=49152, hidden_size=576, num_hidden_layers=30, num_attention_heads=9,
                  num_key_value_heads=3, intermediate_size=1536, tie_word_embeddings=True),
}
# batch, steps, mean and spread of the lengths' logarithm, shortest, longest
LOADS = {"small": (32, 60, 2.6, 0.3, 6, 40), "minilm": (32, 4, 2.6, 0.3, 6, 40), "bert": (8, 3, 3.4, 0.7, 8, 128),
         "llama": (8, 2, 3.6, 0.6, 10, 160)}


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


def collate(batch):
    """Rows of a language model, filled up on the right; what is filled is not learnt."""
    width = max(len(row["input_ids"]) for row in batch)
    fills = {"input_ids": 0, "attention_mask": 0, "labels": -100}
    return {name: torch.tensor([row[name] + [fill] * (width - len(row[name])) for row in batch])
            for name, fill in fills.items()}


def model_of(size):
    base = f"{folder}/{size}"
    llama = size == "llama"
    kind = transformers.LlamaForCausalLM if llama else transformers.BertForSequenceClassification
    if side == "ours" and not os.path.isdir(base):
        torch.manual_seed(0)
        still = {} if llama else {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
        config = transformers.LlamaConfig if llama else transformers.BertConfig
        kind(config(**SIZES[size], **still)).save_pretrained(base)
    return kind.from_pretrained(base, dtype=torch.float32)


def rows_of(size, batches=None):
    batch, steps, mean, spread, least, most = LOADS[size]
    random = np.random.default_rng(0)
    lengths = np.clip(random.lognormal(mean, spread, batch * (batches or steps)).astype(int), least, most)
    rows = []
    for n in lengths:
        ids = random.integers(5, SIZES[size].get("vocab_size", 30522), n).tolist()
        row = {"input_ids": ids, "attention_mask": [1] * int(n)}
        learnt = int(n * 0.4)
        rows.append({**row, "labels": [-100] * (int(n) - learnt) + ids[int(n) - learnt:]} if size == "llama"
                    else {**row, "label": int(n % 2)})
    return rows, batch, steps


def trainer_of(row, **more):
    size, kind, *half = row.split()
    model = model_of(size)
    if kind == "lora":
        torch.manual_seed(1)
        task = {"task_type": "CAUSAL_LM", "target_modules": ["q_proj", "v_proj"]} if size == "llama" else {
            "task_type": "SEQ_CLS"}
        model = peft.get_peft_model(model, peft.LoraConfig(r=16, lora_alpha=32, **task))
    rows, batch, steps = rows_of(size, more.pop("batches", None))
    args = transformers.TrainingArguments(
        f"{folder}/out-{side}", per_device_train_batch_size=batch, num_train_epochs=1, save_strategy="no",
        logging_steps=more.pop("logging_steps", max(steps // 4, 1)),
        learning_rate=1e-3 if size in ("small", "minilm") else 5e-5,
        bf16=bool(half), report_to="none", use_cpu=True, disable_tqdm=True, **more,
    )
    collator = collate if size == "llama" else transformers.DataCollatorWithPadding(Tokenizer())
    trainer = transformers.Trainer(model, args, collator, train_dataset=rows, callbacks=[])
    trainer.remove_callback(transformers.PrinterCallback)
    return trainer


def run(row):
    trainer = trainer_of(row)
    begun = time.process_time()
    trainer.train()
    spent = time.process_time() - begun
    return {"seconds": spent, "loss": [log["loss"] for log in trainer.state.log_history if "loss" in log]}


def epoch(row):
    """An epoch grouped by length: the share of padding of 400 batches, and of time spent waiting for 30 of them."""
    from enfold.datasets import Dataset

    grouped = dict(train_sampling_strategy="group_by_length")
    trainer = trainer_of("minilm full", batches=400, **grouped)
    trainer.train_dataset = Dataset.from_list(trainer.train_dataset)
    real = width = 0
    for batch in trainer.get_train_dataloader():
        real, width = real + int(batch["attention_mask"].sum()), width + batch["attention_mask"].numel()
    trainer = trainer_of("minilm full", batches=30, **grouped)
    trainer.train_dataset = Dataset.from_list(trainer.train_dataset)
    begun = time.perf_counter()
    trainer.train()
    return {"padding": 1 - real / width, "loading": trainer.timings["data"] / (time.perf_counter() - begun)}


def overhead(row):
    """Seconds a step of the trainer takes over one of a bare loop with the same batches."""
    spent, transformers.Trainer._packs = [], False  # both compute the padded batch
    for bare in (False, True):
        trainer = trainer_of("minilm full", batches=8, logging_steps=1000)
        if not bare:
            begun = time.process_time()
            trainer.train()
            spent.append(time.process_time() - begun)
            continue
        batches = list(trainer.get_train_dataloader())
        model, optimizer = trainer.model.train(), trainer.create_optimizer()
        schedule = trainer.create_scheduler(len(batches), optimizer)
        begun = time.process_time()
        for batch in batches:
            loss = model(**batch)["loss"]
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
        spent.append(time.process_time() - begun)
    transformers.Trainer._packs = True
    return {"ratio": spent[0] / spent[1], "seconds": spent}


OTHERS = {"epoch": epoch, "overhead": overhead}
for line in sys.stdin:
    print("=>" + json.dumps(OTHERS.get(json.loads(line), run)(json.loads(line))), flush=True)
'''


def alone(ours: Side, row: str, rounds: int) -> None:
    """Print a row that has no peer."""
    found = [ours.run(row) for _ in range(rounds + 1)][1:]  # the first warms up
    if row == "overhead":
        ratios = [one["ratio"] for one in found]
        print(
            f"{row:<20} trainer / bare loop {statistics.median(ratios):.3f}  ({min(ratios):.3f} to {max(ratios):.3f})"
        )
        return
    padding, loading = (statistics.median(one[name] for one in found) for name in ("padding", "loading"))
    print(f"{row:<20} padding {padding:.1%}, loading {loading:.2%} of the time")


def same(row: str, limit: float, mine: dict[str, Any], other: dict[str, Any]) -> None:
    """Fail where the losses of both sides differ by more than ``limit``."""
    worst = max(abs(a - b) for a, b in zip(mine["loss"], other["loss"], strict=True))
    assert worst <= limit, f"{row}: losses differ by {worst}"


def main() -> None:
    """Print one line a row."""
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 9
    rows = sys.argv[2:] or [*ROWS, "epoch", "overhead"]
    with tempfile.TemporaryDirectory() as folder:
        ours = Side(COMMON, "ours", folder)
        theirs = None
        for row in rows:
            if row in ("epoch", "overhead"):
                alone(ours, row, min(pairs, 5))
                continue
            theirs = theirs or Side(COMMON, "peer", folder)
            limit = 2e-2 if "bf16" in row else 1e-4
            paired(ours, theirs, row, pairs, functools.partial(same, row, limit))


if __name__ == "__main__":
    main()
