"""Reports of a training to other programs, whose packages are stood in for."""

from __future__ import annotations

import importlib.machinery
import sys
import types
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

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


@pytest.fixture
def services(monkeypatch: pytest.MonkeyPatch) -> dict[str, MagicMock]:
    """Stand-ins for packages that keep every call."""
    made = {name: MagicMock(name=name) for name in ("comet_ml", "mlflow", "swanlab", "clearml", "dvclive")}
    for name, module in made.items():
        module.__spec__ = importlib.machinery.ModuleSpec(name, None)
        monkeypatch.setitem(sys.modules, name, module)
    return made


def test_services_get_arguments_numbers_and_an_end(
    tmp_path: Path, services: dict[str, MagicMock], monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow, comet, live = services["mlflow"], services["comet_ml"], services["dvclive"].Live()
    mlflow.active_run.return_value = services["clearml"].Task.current_task.return_value = services["swanlab"].run = None
    mlflow.is_tracking_uri_set.return_value = False
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "file:///runs")
    monkeypatch.setenv("MLFLOW_TAGS", '{"team": "one"}')
    train(tmp_path, report_to=list(services), run_name="first", eval_strategy="steps", eval_steps=2)
    mlflow.set_tracking_uri.assert_called_once_with("file:///runs")
    mlflow.start_run.assert_called_once_with(run_name="first")
    mlflow.set_tags.assert_called_once_with({"team": "one"})
    mlflow.end_run.assert_called_once()
    noted = {name: value for call in mlflow.log_params.call_args_list for name, value in call.args[0].items()}
    assert noted["max_steps"] == 2 and all(len(call.args[0]) <= 100 for call in mlflow.log_params.call_args_list)
    assert mlflow.log_metrics.call_args_list[0].kwargs == {"step": 1}
    assert "loss" in mlflow.log_metrics.call_args_list[0].args[0]
    experiment = comet.start.return_value
    comet.ExperimentConfig.assert_called_once_with(name="first")
    assert experiment.log_parameters.call_args.args[0]["max_steps"] == 2
    assert {"train/loss"} <= set(experiment.log_metrics.call_args_list[0].args[0])
    experiment.end.assert_called_once()
    assert services["swanlab"].init.call_args.kwargs["experiment_name"] == "first"
    assert services["swanlab"].log.call_args_list[0].kwargs == {"step": 1}
    task = services["clearml"].Task.init.return_value
    assert task.get_logger().report_scalar.call_args_list[0].args[:2] == ("loss", "train")
    task.close.assert_called_once()
    assert ("train/loss",) in {call.args[:1] for call in live.log_metric.call_args_list} and live.end.called


def test_a_run_of_the_programs_own_stays_open(tmp_path: Path, services: dict[str, MagicMock]) -> None:
    train(tmp_path, report_to=["mlflow", "clearml"])
    assert not services["mlflow"].start_run.called and not services["mlflow"].end_run.called
    assert not services["clearml"].Task.init.called


def test_unknown_programs_are_refused_with_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not 'wanb'; did you mean 'wandb'"):
        TrainingArguments(str(tmp_path), report_to="wanb")
    with pytest.raises(ValueError, match="'neptune' is not offered"):
        TrainingArguments(str(tmp_path), report_to=["neptune"])
