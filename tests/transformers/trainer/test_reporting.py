"""Reports of a training to other programs, whose packages are stood in for."""

from __future__ import annotations

import importlib.machinery
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import torch

from enfold.errors import EnfoldError
from enfold.transformers import Trainer, TrainingArguments
from enfold.transformers.integrations import (
    CodeCarbonCallback,
    TensorBoardCallback,
    WandbCallback,
    get_available_reporting_integrations,
)


class Line(torch.nn.Module):
    """One weight."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        out = self.weight * x
        return {"loss": ((out - labels) ** 2).mean(), "logits": out}


ROWS = [{"x": float(number), "labels": 2.0 * number} for number in range(1, 9)]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What stand-ins for the packages were told."""
    calls: list[Any] = []
    for name in ("wandb", "trackio", "codecarbon"):
        module: Any = types.ModuleType(name)
        module.__spec__ = importlib.machinery.ModuleSpec(name, None)
        module.run = None
        for method in ("init", "log", "finish"):
            setattr(module, method, lambda *a, n=name, m=method, **k: calls.append((n, m, a, k)))
        monkeypatch.setitem(sys.modules, name, module)

    class Tracker:
        def __init__(self, output_dir: str) -> None:
            calls.append(("codecarbon", "made", output_dir))

        def start(self) -> None:
            calls.append(("codecarbon", "start"))

        def stop(self) -> None:
            calls.append(("codecarbon", "stop"))

    sys.modules["codecarbon"].EmissionsTracker = Tracker  # type: ignore[attr-defined]
    return calls


def train(folder: Path, **options: Any) -> None:
    arguments = TrainingArguments(
        str(folder), max_steps=2, logging_steps=1, save_strategy="no", use_cpu=True, **options
    )
    Trainer(Line(), arguments, train_dataset=ROWS, eval_dataset=ROWS).train()


def test_runs_are_opened_fed_and_closed(tmp_path: Path, told: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_PROJECT", "lines")
    train(tmp_path, report_to=["wandb", "trackio"], run_name="first", eval_strategy="steps", eval_steps=2)
    opened = [call for call in told if call[1] == "init"]
    assert [(name, given["project"], given["name"]) for name, _, _, given in opened] == [
        ("wandb", "lines", "first"),
        ("trackio", "huggingface", "first"),
    ]
    logs = [arguments[0] for name, what, arguments, _ in told if (name, what) == ("wandb", "log")]
    assert [log["train/global_step"] for log in logs[:2]] == [1, 2] and "train/loss" in logs[0]
    assert any("eval/loss" in log for log in logs)
    assert told[-1][:2] == ("trackio", "finish")


def test_emissions_are_measured_from_beginning_to_end(tmp_path: Path, told: list[Any]) -> None:
    train(tmp_path, report_to="codecarbon")
    assert told == [("codecarbon", "made", str(tmp_path)), ("codecarbon", "start"), ("codecarbon", "stop")]
    assert "codecarbon" in get_available_reporting_integrations()
    assert isinstance(CodeCarbonCallback(), CodeCarbonCallback)


def test_tensorboard_gets_every_number(tmp_path: Path) -> None:
    class Writer:
        def __init__(self) -> None:
            self.scalars: list[Any] = []
            self.texts: list[str] = []
            self.closed = False

        def add_text(self, name: str, text: str) -> None:
            self.texts.append(name)

        def add_scalar(self, name: str, value: float, step: int) -> None:
            self.scalars.append((name, step))

        def flush(self) -> None: ...

        def close(self) -> None:
            self.closed = True

    writer = Writer()
    arguments = TrainingArguments(str(tmp_path), max_steps=2, logging_steps=1, save_strategy="no", use_cpu=True)
    Trainer(Line(), arguments, train_dataset=ROWS, callbacks=[TensorBoardCallback(writer)]).train()
    assert writer.texts == ["args"] and writer.closed
    assert {("train/loss", 1), ("train/loss", 2)} <= set(writer.scalars)


def test_a_reporter_without_its_package_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    assert "wandb" not in get_available_reporting_integrations()
    with pytest.raises(EnfoldError, match="WandbCallback needs wandb, which is not installed"):
        WandbCallback()
    train(tmp_path, report_to="wandb")
    assert (tmp_path / "log.jsonl").exists() or list(tmp_path.rglob("log.jsonl"))
