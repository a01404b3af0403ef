"""Finding where numbers overflow: the report, tracing, and the Trainer's ``debug``."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parent / "trainer"))

from trainer_small import Net, trainer

from enfold.transformers import debug_utils
from enfold.transformers.debug_utils import (
    DebugOption,
    DebugUnderflowOverflow,
    NumbersOverflowed,
    detect_overflow,
    get_abs_min_max,
)


class Blown(nn.Module):
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, None]:
        return x * 1e30 * 1e30, None


def _model() -> nn.Sequential:
    torch.manual_seed(0)  # something of the input passes the ReLU
    return nn.Sequential(nn.Linear(2, 3), nn.ReLU(), Blown())


def test_the_report_names_the_module_and_the_frames_before_it() -> None:
    model = _model()
    watch = DebugUnderflowOverflow(model, max_frames_to_save=2)
    with pytest.raises(NumbersOverflowed) as caught:
        model(torch.full((4, 2), 3.0))
    assert caught.value.module == "2"
    report = caught.value.report.splitlines()
    assert report[:3] == [
        "Detected inf/nan during batch_number=0",
        "Last 2 forward frames:",
        "abs min  abs max  metadata",
    ]
    assert "1 ReLU" in report[3] and "2 Blown" in caught.value.report and "0 Linear" not in caught.value.report
    assert any(line.endswith("inf output[0]") for line in report) and any("None output[1]" in line for line in report)
    watch.remove()
    assert torch.isinf(model(torch.full((4, 2), 3.0))[0]).any()


def test_traced_batches_are_printed_and_the_last_one_ends_it(capsys: pytest.CaptureFixture[str]) -> None:
    model = _model()
    DebugUnderflowOverflow(model, trace_batch_nums=[1, 2], abort_after_batch_num=2)
    model[2] = nn.Identity()
    model(torch.ones(1, 2))
    assert capsys.readouterr().out == ""
    model(torch.ones(1, 2))
    shown = capsys.readouterr().out
    assert "*** Starting batch number=1 ***" in shown
    assert get_abs_min_max(model[0].weight, "weight") in shown and "Sequential" in shown
    with pytest.raises(ValueError, match="stopped after batch 2"):
        model(torch.ones(1, 2))


def test_overflows_are_told_apart(capsys: pytest.CaptureFixture[str]) -> None:
    assert detect_overflow(torch.tensor([1.0, float("inf")]), "a") and not detect_overflow(torch.ones(2), "b")
    assert detect_overflow(torch.tensor(float("nan")), "c")
    assert capsys.readouterr().out == "a has infs\nc has nans\n"
    assert get_abs_min_max(torch.tensor([-3.0, 0.25]), "w") == "2.50e-01 3.00e+00 w"


def test_a_trainer_stops_at_the_module(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Net):
        def forward(self, x: torch.Tensor, labels: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
            with torch.no_grad():
                self.classifier.weight[0, 0] = float("nan")
            return super().forward(x, labels)

    made = trainer(tmp_path, model=Broken(), debug="underflow_overflow tpu_metrics_debug", max_steps=2)
    assert made.args.debug == [DebugOption.UNDERFLOW_OVERFLOW, DebugOption.TPU_METRICS_DEBUG]
    with pytest.raises(NumbersOverflowed, match="classifier has numbers that are infinite or none") as caught:
        made.train()
    assert "first Linear" in caught.value.report and "nan      nan weight" in caught.value.report
    assert not any(module._forward_hooks for module in made.model.modules())
    assert debug_utils.__all__[0] == "DebugOption"
