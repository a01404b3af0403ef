"""Alignment training beside trl 1.16, in turns, one thread, float32; equal losses first.

Run with the project's Python: ``python benchmarks/trl.py [PAIRS] [ROW…]``. Both sides run the code in ``COMMON``: a
Llama of six layers of 384 and 32 thousand words, adapters on query and value, rows of log-normal lengths of which the
last 40 % is an answer, 8 rows a batch (4 pairs for DPO). The peer is tuned: no recomputed activations, no half
precision that this row's other side does not use. The time is that of ``train()`` in processor seconds.

- sft: prompts and completions, padded by the peer; sft flat: its rows put one after another (``padding_free``);
- sft chat: whole texts, where every word is learnt;
- dpo: the reference is the model without its adapter;
- grpo: 2 prompts of 64 tokens, 8 drawn completions of 64 tokens each; losses are compared on given completions.

Each row is the median ratio (theirs / ours) of interleaved pairs.
"""

from __future__ import annotations

import functools
import itertools
import sys
import tempfile
from typing import Any

from _turns import Side, paired

flat = itertools.chain.from_iterable
ROWS = ("sft", "sft flat", "sft chat", "dpo", "grpo")

COMMON = '''
import json, os, sys, time
import numpy as np, torch
torch.set_num_threads(1)
side, folder = sys.argv[1], sys.argv[2]
if side == "ours":
    import enfold.transformers as transformers, enfold.peft as peft, enfold.trl as trl, enfold.datasets as datasets
else:
    import transformers, peft, trl, datasets
    transformers.logging.set_verbosity_error()
    datasets.disable_progress_bars()

SHAPE = dict(vocab_size=32000, hidden_size=384, num_hidden_layers=6, num_attention_heads=6, num_key_value_heads=2,
             intermediate_size=1024, max_position_embeddings=512, tie_word_embeddings=True, pad_token_id=0,
             eos_token_id=1, bos_token_id=2)
random = np.random.default_rng(0)
LENGTHS = np.clip(random.lognormal(3.9, 0.6, 64).astype(int), 12, 200)
ROWS = [(random.integers(5, 32000, int(n * 0.6)).tolist(), random.integers(5, 32000, n - int(n * 0.6)).tolist(),
         random.integers(5, 32000, max(int(n * 0.3), 2)).tolist()) for n in LENGTHS]


def model_of():
    if side == "ours" and not os.path.isdir(f"{folder}/llama"):
        torch.manual_seed(0)
        transformers.LlamaForCausalLM(transformers.LlamaConfig(**SHAPE)).save_pretrained(f"{folder}/llama")
    model = transformers.LlamaForCausalLM.from_pretrained(f"{folder}/llama", dtype=torch.float32)
    torch.manual_seed(1)
    lora = peft.LoraConfig(r=16, lora_alpha=32, task_type="CAUSAL_LM", target_modules=["q_proj", "v_proj"])
    return peft.get_peft_model(model, lora)


def tokenizer_of():
    """As many words as the model has, each its number."""
    if side == "ours" and not os.path.isdir(f"{folder}/words"):
        from enfold.tokenizers import Tokenizer, models, pre_tokenizers
        words = {"<pad>": 0, "<end>": 1, "<unk>": 2, **{f"w{place}": place for place in range(3, 32000)}}
        made = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
        made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        transformers.PreTrainedTokenizerFast(tokenizer_object=made, unk_token="<unk>", pad_token="<pad>",
                                             eos_token="<end>").save_pretrained(f"{folder}/words")
    return transformers.AutoTokenizer.from_pretrained(f"{folder}/words")


def rollout(prompts, trainer):
    ids = [[int(word[1:]) for word in prompt.split()] for prompt in prompts]
    given = np.random.default_rng(2).integers(5, 32000, (len(ids), 64)).tolist()
    return {"prompt_ids": ids, "completion_ids": given, "logprobs": None}


def reward(completions, completion_ids, **kwargs):
    return [float(sum(token % 2 for token in ids)) for ids in completion_ids]


def trainer_of(row, given=False):
    kind, *how = row.split()
    common = dict(per_device_train_batch_size=8, max_steps=4, learning_rate=1e-3, logging_steps=1, save_strategy="no",
                  report_to="none", use_cpu=True, disable_tqdm=True, bf16=False, gradient_checkpointing=False,
                  output_dir=f"{folder}/out-{side}")
    options, extra = {}, {}
    if kind == "sft":
        flat = "flat" in how and side == "peer"
        options = dict(max_length=None, padding_free=flat, completion_only_loss=None)
        whole = "chat" in how
        data = [{"input_ids": p + c, "labels": p + c if whole else [-100] * len(p) + c} for p, c, _ in ROWS[:32]]
    elif kind == "dpo":
        options = dict(per_device_train_batch_size=4, max_length=None)
        texts = [[" ".join(f"w{token}" for token in part) for part in row] for row in ROWS[:16]]
        data = [{"prompt": p + " ", "chosen": c, "rejected": r} for p, c, r in texts]
    else:
        options = dict(per_device_train_batch_size=16, max_steps=2, num_generations=8, max_completion_length=64,
                       generation_kwargs={"min_new_tokens": 64})
        data = [{"prompt": " ".join(f"w{token}" for token in (p * 8)[:64])} for p, _, _ in ROWS[:8]]
        extra = dict(reward_funcs=[reward], **({"rollout_func": rollout} if given else {}))
    name = {"sft": "SFT", "dpo": "DPO", "grpo": "GRPO"}[kind]
    args = getattr(trl, name + "Config")(**{**common, **options})
    trainer = getattr(trl, name + "Trainer")(
        model=model_of(), args=args, train_dataset=datasets.Dataset.from_list(data), processing_class=tokenizer_of(),
        **extra)
    trainer.remove_callback(transformers.PrinterCallback)
    return trainer


def losses(trainer):
    names = ("loss", "grad_norm", "rewards/margins")
    return [[log[name] for name in names if name in log] for log in trainer.state.log_history if "loss" in log]


def run(row):
    compared = None
    if row == "grpo":
        shown = trainer_of(row, given=True)
        shown.train()
        compared = losses(shown)
    trainer = trainer_of(row)
    begun = time.process_time()
    trainer.train()
    spent = time.process_time() - begun
    return {"seconds": spent, "loss": compared or losses(trainer)}


for line in sys.stdin:
    print("=>" + json.dumps(run(json.loads(line))), flush=True)
'''


def same(row: str, mine: dict[str, Any], other: dict[str, Any]) -> None:
    """Fail where the losses of both sides differ by more than 0.2 %."""
    for a, b in zip(flat(mine["loss"]), flat(other["loss"]), strict=True):
        assert abs(a - b) <= 2e-3 * max(1.0, abs(b)), f"{row}: {mine['loss']} against {other['loss']}"


def main() -> None:
    """Print one line a row."""
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    rows = sys.argv[2:] or list(ROWS)
    with tempfile.TemporaryDirectory() as folder:
        ours = Side(COMMON, "ours", folder)
        theirs = Side(COMMON, "peer", folder)
        for row in rows:
            paired(ours, theirs, row, pairs, functools.partial(same, row))
        for side in (ours, theirs):
            side.close()


if __name__ == "__main__":
    main()
