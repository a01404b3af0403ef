"""An alignment training here follows the ecosystem's step by step: same losses, same measures, same gradients."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import trl_runs
from trl_runs import LLAMA, RUNS, TEMPLATE, WORDS

import enfold.datasets
import enfold.peft
import enfold.transformers
import enfold.trl
import enfold.trl.online_dpo
import enfold.trl.ppo
from enfold.tokenizers import Tokenizer, models, pre_tokenizers

pytestmark = pytest.mark.peer


def _answers(model: Any, prompts: list[list[int]], settings: Any) -> list[list[int]]:
    return trl_runs.answers(prompts, settings.max_new_tokens, placed=False)


class _Turns:
    """Two answers to each prompt, in two calls."""

    def __init__(self) -> None:
        self.first: list[list[int]] = []

    def __call__(self, model: Any, prompts: list[list[int]], settings: Any) -> list[list[int]]:
        both = trl_runs.answers(prompts * 2, settings.max_new_tokens)
        self.first = [] if self.first else both[: len(prompts)]
        return self.first or both[len(prompts) :]


OURS = SimpleNamespace(
    torch=torch,
    trl=enfold.trl,
    transformers=enfold.transformers,
    datasets=enfold.datasets,
    peft=enfold.peft,
    experimental=lambda kind: enfold.trl,
    draw=lambda home: (setattr(enfold.trl.ppo, "write", _answers), setattr(enfold.trl.online_dpo, "write", _Turns())),
)
PEER = """
import importlib, json, sys
sys.path.insert(0, sys.argv[2])
from types import SimpleNamespace
import torch, transformers, datasets, peft, trl
import trl_runs
torch.set_num_threads(1)
datasets.disable_progress_bars()
names = {"OnlineDPO": "online_dpo", "NashMD": "nash_md"}
def draw(home):
    "PPO's answers are given, not drawn."
    if "ppo" not in home.__name__:
        return
    module = importlib.import_module("trl.experimental.ppo.ppo_trainer")
    def generation(model, queries, size, pad, config):
        width = queries.shape[1]
        asked = [[token for token in row if token != pad] for row in queries.tolist()]
        given = trl_runs.answers(asked, config.max_new_tokens, False)
        rows = [ids + [pad] * (config.max_new_tokens - len(ids)) for ids in given]
        whole = torch.cat([queries, torch.tensor(rows)], 1)
        logits = module.forward(model, whole, pad).logits[:, width - 1 : -1] / (config.temperature + 0.0)
        return whole, logits
    module.batch_generation = generation
def padded(trainer, prompts):
    ids = trainer.processing_class(prompts * 2)["input_ids"]
    def rows(lists, left):
        width = max(map(len, lists))
        gaps = [[0] * (width - len(row)) for row in lists]
        made = [gap + row if left else row + gap for row, gap in zip(lists, gaps)]
        mask = [gap + [1] * len(row) if left else [1] * len(row) + gap for row, gap in zip(lists, gaps)]
        return torch.tensor(made), torch.tensor(mask)
    return (*rows(ids, True), *rows(trl_runs.answers(ids, 6), False), None)
side = SimpleNamespace(
    draw=draw, padded=padded,
    torch=torch, trl=trl, transformers=transformers, datasets=datasets, peft=peft,
    experimental=lambda kind: importlib.import_module("trl.experimental." + names.get(kind, kind.lower())),
)
older = trl.__version__ == "1.12.0"
wanted = [name for name, (kind, *_) in trl_runs.RUNS.items() if (kind in trl_runs.OLDER) == older]
print(json.dumps({name: trl_runs.run(side, sys.argv[1], name) for name in wanted}))
"""
# What depends on the clock or on how operations are counted.
PEERS = Path(__file__).resolve().parents[2] / ".peers"
OTHERWISE = ("runtime", "per_second", "total_flos", "seconds", "mem_", "step_time", "eps")


@pytest.fixture(autouse=True)
def writers(monkeypatch: pytest.MonkeyPatch) -> None:
    """What writes for our trainers, put back after a test that gave the answers itself."""
    for module in (enfold.trl.ppo, enfold.trl.online_dpo):
        monkeypatch.setattr(module, "write", module.write)  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer of few words, with a chat template, and two models of random weights."""
    root = tmp_path_factory.mktemp("alignment")
    words = Tokenizer(models.WordLevel({word: place for place, word in enumerate(WORDS)}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = enfold.transformers.PreTrainedTokenizerFast(
        tokenizer_object=words, unk_token="[UNK]", pad_token="[PAD]", eos_token="[END]"
    )
    tokenizer.chat_template = TEMPLATE
    config = enfold.transformers.LlamaConfig(**LLAMA)
    torch.manual_seed(0)
    enfold.transformers.LlamaForCausalLM(config).save_pretrained(root / "llama")
    enfold.transformers.LlamaForCausalLM(config).save_pretrained(root / "llama-teacher")
    judge = enfold.transformers.LlamaConfig(**LLAMA, num_labels=1)
    enfold.transformers.LlamaForSequenceClassification(judge).save_pretrained(root / "judge")
    for name in ("llama", "judge"):
        tokenizer.save_pretrained(root / name)
    return root


GOLDEN = Path(__file__).with_name("trl_golden.json")
Logs = list[dict[str, float]]


def rounded(logs: Logs) -> Logs:
    """What is compared of a training's logs, to six digits."""
    kept = [{k: v for k, v in log.items() if not any(part in k for part in OTHERWISE)} for log in logs]
    return [{k: float(f"{v:.6g}") for k, v in log.items()} for log in kept]


@pytest.fixture(scope="module")
def theirs() -> dict[str, Logs]:
    """What the ecosystem's own trainers logged; the slow test below makes it again."""
    return json.loads(GOLDEN.read_text())  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", RUNS)
def test_a_training_logs_what_the_peers_logs(name: str, theirs: dict[str, Logs], folder: Path) -> None:
    ours = trl_runs.run(OURS, str(folder), name)
    assert len(ours) == len(theirs[name])
    for mine, right in zip(ours, theirs[name], strict=True):
        wanted = dict(right)
        if RUNS[name][0] in ("ORPO", "CPO", "BCO"):  # these count the logits of prompts and gaps too
            wanted = {key: value for key, value in wanted.items() if not key.startswith(("logits/", "num_tokens"))}
        if RUNS[name][0] == "OnlineDPO":  # whose sums are ones over gaps too
            gaps = ("objective/entropy", "objective/kl", "objective/non_score_reward", "objective/rlhf_reward")
            wanted = {key: value for key, value in wanted.items() if key not in gaps}
        if RUNS[name][0] == "PPO":  # whose entropy is one of gaps too
            wanted.pop("policy/entropy_avg", None)
        if name == "dpo-precomputed" and right.get("step") == 1:  # margins of nothing but rounding
            wanted.pop("rewards/accuracies")
        there = {key: mine.get(key) for key in wanted}
        assert there == pytest.approx(wanted, abs=2e-4, rel=2e-4, nan_ok=True), f"step {right.get('step')}"


@pytest.mark.slow
def test_what_is_compared_with_is_what_the_peers_log(peer: Callable[..., Any], folder: Path) -> None:
    runs, older = Path(trl_runs.__file__).parent, next((PEERS / "ppo").glob("lib/*/site-packages"))
    found = peer(PEER, folder, runs, timeout=600)
    # the older version reads the other wheels of the same environment
    found |= peer(PEER, folder, runs, timeout=600, variables={"PYTHONPATH": str(older)})
    found = {name: rounded(logs) for name, logs in found.items()}
    if os.environ.get("WRITE_GOLDEN"):
        lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(found[name])}" for name in RUNS)
        GOLDEN.write_text(f"{{\n{lines}\n}}\n")
    stored = json.loads(GOLDEN.read_text())
    assert set(stored) == set(found)
    for name, logs in found.items():
        for log, kept in zip(logs, stored[name], strict=True):
            assert log == pytest.approx(kept, abs=1e-4, rel=1e-4, nan_ok=True), name
