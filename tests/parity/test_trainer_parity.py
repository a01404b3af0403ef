"""A training here follows the ecosystem's step by step: same order of rows, same losses, same learning rates."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from trainer_runs import ADAFACTORS, COMMON, RUNS, rows, train

import enfold.transformers as ours

pytestmark = pytest.mark.peer

PEER = """
import json, os, sys
sys.path.insert(0, sys.argv[2])
import torch, transformers
import trainer_runs as runs
torch.set_num_threads(1)
folder = sys.argv[1]
classes = {
    "bert": (transformers.BertForSequenceClassification, transformers.BertConfig(**runs.BERT)),
    "llama": (transformers.LlamaForCausalLM, transformers.LlamaConfig(**runs.LLAMA)),
}
for kind, (model, config) in classes.items():
    torch.manual_seed(0)
    model(config).save_pretrained(f"{folder}/{kind}")
result = {}
for name, (kind, options) in runs.RUNS.items():
    model = classes[kind][0].from_pretrained(f"{folder}/{kind}")
    args = transformers.TrainingArguments(f"{folder}/out-{name}", **{**runs.COMMON, **options})
    trainer = transformers.Trainer(
        model, args, train_dataset=runs.rows(kind), data_collator=transformers.default_data_collator
    )
    result[name] = runs.train(trainer)
    if name == "plain":
        result["logits"] = trainer.predict(runs.rows(kind)).predictions.tolist()
        result["metrics"] = trainer.evaluate(runs.rows(kind))
        trainer._save_checkpoint(model, None)
metric = [1.0, 0.9, 0.95, 0.8, 0.7, 0.7, 0.7, 0.6, 0.5, 0.55, 0.56, 0.57, 0.58, 0.59, 0.4, 0.3, 0.2, 0.1]
optimizer = lambda: torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
result["schedules"] = {}
special = {"cosine_with_min_lr": {"min_lr": 0.1}, "cosine_warmup_with_min_lr": {"min_lr_rate": 0.1},
           "warmup_stable_decay": {"num_decay_steps": 6}, "cosine_with_restarts": {"num_cycles": 2},
           "polynomial": {"power": 2.0}}
for name in json.loads(sys.argv[3]):
    moved = optimizer()
    schedule = transformers.get_scheduler(name, moved, 4, 20, scheduler_specific_kwargs=special.get(name))
    rates = []
    for _ in range(24):
        rates.append(moved.param_groups[0]["lr"])
        moved.step()
        schedule.step()
    result["schedules"][name] = rates
for name, options in json.loads(sys.argv[4]).items():
    moved = optimizer()
    schedule = transformers.get_scheduler(name, moved, scheduler_specific_kwargs=options)
    result["schedules"][name] = []
    for value in metric:
        schedule.step(value)
        result["schedules"][name].append(moved.param_groups[0]["lr"])
torch.manual_seed(0)
weights = [torch.nn.Parameter(torch.randn(shape)) for shape in ((3, 4), (5,), (2, 3, 4))]
grads = [torch.randn_like(weight) for weight in weights]
result["adafactors"] = []
for options in runs.ADAFACTORS:
    own = [torch.nn.Parameter(weight.detach().clone()) for weight in weights]
    moved = transformers.Adafactor(own, **options)
    for _ in range(3):
        for weight, grad in zip(own, grads):
            weight.grad = grad * 0.1
        moved.step()
    result["adafactors"].append([weight.tolist() for weight in own])
print(json.dumps(result))
"""
METRICS = [1.0, 0.9, 0.95, 0.8, 0.7, 0.7, 0.7, 0.6, 0.5, 0.55, 0.56, 0.57, 0.58, 0.59, 0.4, 0.3, 0.2, 0.1]
FOLLOWING: dict[str, dict[str, Any]] = {
    "greedy": {"patience": 1, "factor": 0.8, "cooldown": 1, "warmup": 1, "smooth": True, "window_size": 2},
    "reduce_lr_on_plateau": {"patience": 1, "factor": 0.5},
}
RESUME = """
import json, sys
sys.path.insert(0, sys.argv[2])
import torch, transformers
import trainer_runs as runs
torch.set_num_threads(1)
folder, checkpoint = sys.argv[1], sys.argv[3]
model = transformers.BertForSequenceClassification.from_pretrained(f"{folder}/bert")
args = transformers.TrainingArguments(f"{folder}/theirs-resumed", **{**runs.COMMON, **runs.RUNS["plain"][1]})
trainer = transformers.Trainer(
    model, args, train_dataset=runs.rows("bert"), data_collator=transformers.default_data_collator
)
trainer.train(resume_from_checkpoint=checkpoint)
loaded = transformers.BertForSequenceClassification.from_pretrained(checkpoint)
print(json.dumps({
    "loss": [log["loss"] for log in trainer.state.log_history if "loss" in log],
    "rate": [log["learning_rate"] for log in trainer.state.log_history if "loss" in log],
    "labels": loaded.config.num_labels,
}))
"""
SCHEDULES = [kind.value for kind in ours.SchedulerType if kind.value not in FOLLOWING]
SPECIAL: dict[str, dict[str, Any]] = {
    "cosine_with_min_lr": {"min_lr": 0.1},
    "cosine_warmup_with_min_lr": {"min_lr_rate": 0.1},
    "warmup_stable_decay": {"num_decay_steps": 6},
    "cosine_with_restarts": {"num_cycles": 2},
    "polynomial": {"power": 2.0},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("trainer")


@pytest.fixture(scope="module")
def theirs(peer: Callable[..., Any], folder: Path) -> Any:
    return peer(PEER, folder, Path(__file__).parent, SCHEDULES, FOLLOWING)


@pytest.fixture(scope="module")
def make(folder: Path, theirs: Any) -> Callable[..., Any]:
    def build(name: str, **more: Any) -> Any:
        kind, options = RUNS[name]
        loader = ours.BertForSequenceClassification if kind == "bert" else ours.LlamaForCausalLM
        model = loader.from_pretrained(folder / kind)
        args = ours.TrainingArguments(str(folder / f"ours-{name}"), **{**COMMON, **options, **more})
        return ours.Trainer(model, args, train_dataset=rows(kind), data_collator=ours.default_data_collator)

    return build


@pytest.mark.parametrize("name", RUNS)
def test_loss_curve_follows_step_by_step(name: str, theirs: Any, make: Callable[..., Any]) -> None:
    torch.set_num_threads(1)
    mine, other = train(make(name)), theirs[name]
    assert mine["step"] == other["step"]
    assert mine["rate"] == pytest.approx(other["rate"], rel=1e-9, abs=1e-15)
    assert mine["epoch"] == pytest.approx(other["epoch"])
    assert mine["loss"] == pytest.approx(other["loss"], abs=1e-5)
    assert mine["norm"] == pytest.approx(other["norm"], rel=1e-4)
    assert mine["train_loss"] == pytest.approx(other["train_loss"], abs=1e-5)


@pytest.mark.parametrize("name", SCHEDULES)
def test_learning_rates_are_the_same(name: str, theirs: Any) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
    schedule = ours.get_scheduler(name, optimizer, 4, 20, SPECIAL.get(name))
    rates = []
    for _ in range(24):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates == pytest.approx(theirs["schedules"][name], rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("name", FOLLOWING)
def test_learning_rates_follow_a_metric_alike(name: str, theirs: Any) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
    schedule = ours.get_scheduler(name, optimizer, scheduler_specific_kwargs=FOLLOWING[name])
    rates = []
    for value in METRICS:
        schedule.step(value)
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates == pytest.approx(theirs["schedules"][name], rel=1e-12)
    assert len(set(rates)) > 2


@pytest.mark.parametrize("case", range(len(ADAFACTORS)))
def test_adafactor_moves_weights_alike(case: int, theirs: Any) -> None:
    torch.manual_seed(0)
    weights = [torch.nn.Parameter(torch.randn(shape)) for shape in ((3, 4), (5,), (2, 3, 4))]
    grads = [torch.randn_like(weight) for weight in weights]
    optimizer = ours.Adafactor(weights, **ADAFACTORS[case])
    for _ in range(3):
        for weight, grad in zip(weights, grads, strict=True):
            weight.grad = grad * 0.1
        optimizer.step()
    for weight, other in zip(weights, theirs["adafactors"][case], strict=True):
        torch.testing.assert_close(weight.detach(), torch.tensor(other), atol=1e-6, rtol=1e-5)


def test_trained_model_predicts_and_evaluates_the_same(theirs: Any, make: Callable[..., Any]) -> None:
    trainer = make("plain")
    trainer.train()
    predicted = trainer.predict(rows("bert"))
    torch.testing.assert_close(torch.tensor(predicted.predictions), torch.tensor(theirs["logits"]), atol=1e-4, rtol=0)
    metrics = trainer.evaluate(rows("bert"))
    assert set(theirs["metrics"]) <= set(metrics)
    assert metrics["eval_loss"] == pytest.approx(theirs["metrics"]["eval_loss"], abs=1e-5)


def test_reads_a_checkpoint_that_the_ecosystem_wrote(folder: Path, theirs: Any, make: Callable[..., Any]) -> None:
    trainer = make("plain", max_steps=16)
    checkpoint = next((folder / "out-plain").glob("checkpoint-*"))
    output = trainer.train(resume_from_checkpoint=str(checkpoint))
    assert output.global_step == 16
    done = [log["loss"] for log in trainer.state.log_history if "loss" in log]
    assert done[: theirs["plain"]["step"]] == pytest.approx(theirs["plain"]["loss"])
    assert len(done) == 16


def test_the_ecosystem_goes_on_from_a_checkpoint_written_here(
    folder: Path, theirs: Any, make: Callable[..., Any], peer: Callable[..., Any]
) -> None:
    torch.set_num_threads(1)
    trainer = make("plain", save_strategy="steps", save_steps=5)
    trainer.train()
    checkpoint = folder / "ours-plain" / "checkpoint-5"
    assert not list(checkpoint.glob("*.bin"))
    other = peer(RESUME, folder, Path(__file__).parent, checkpoint)
    # dropout too: the random states are read as well
    assert other["loss"] == pytest.approx(theirs["plain"]["loss"], abs=1e-5)
    assert other["rate"] == pytest.approx(theirs["plain"]["rate"], rel=1e-9, abs=1e-15)
    assert other["labels"] == 3
