"""States of a training, and configurations, exchanged with the ecosystem's accelerate."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from enfold.accelerate import Accelerator
from enfold.accelerate.settings import Settings
from enfold.accelerate.state import AcceleratorState, GradientState

pytestmark = pytest.mark.peer

# Loads our state and goes on a step; saves a state of its own, and the same state after one more step.
PEER = """
import json, sys, torch
from pathlib import Path
from accelerate import Accelerator
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.utils import offload_state_dict, write_basic_config
ours, theirs = Path(sys.argv[1]), Path(sys.argv[2])
accelerator = Accelerator(cpu=True)
torch.manual_seed(0)
model = torch.nn.Linear(3, 2)
optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
model, optimizer, schedule = accelerator.prepare(model, optimizer, schedule)
def step():
    accelerator.backward(model(torch.ones(1, 3)).square().sum())
    optimizer.step(); schedule.step(); optimizer.zero_grad()
    return [model.weight.tolist(), schedule.get_last_lr()]
accelerator.load_state(str(ours))
answer = {"went_on": step()}
accelerator.save_state(str(theirs))
answer["drawn"] = torch.rand(2).tolist()
answer["next"] = step()
offload_state_dict(str(theirs / "offloaded"), {"a": torch.arange(3.), "half": torch.ones(2).bfloat16()})
answer["processes"] = load_config_from_file(str(ours / "config.yaml")).num_processes
write_basic_config(save_location=str(theirs / "config.json"))
print(json.dumps(answer))
"""


def test_states_are_read_and_gone_on_from_by_either(peer: Callable[..., Any], tmp_path: Path) -> None:
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()
    accelerator = Accelerator(cpu=True)
    torch.manual_seed(1)
    inner = nn.Linear(3, 2)
    plain = torch.optim.AdamW(inner.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.ExponentialLR(plain, 0.5)
    model, optimizer, schedule = accelerator.prepare(inner, plain, schedule)

    def step() -> list[Any]:
        accelerator.backward(model(torch.ones(1, 3)).square().sum())
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        return [model.weight.tolist(), schedule.get_last_lr()]

    step()
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    accelerator.save_state(ours)
    Settings(num_processes=2, use_cpu=True).write(ours / "config.yaml")
    expected = step()
    answer = peer(PEER, ours, theirs)
    assert answer["went_on"] == expected and answer["processes"] == 2
    accelerator.load_state(theirs)
    assert torch.rand(2).tolist() == answer["drawn"]
    assert step() == answer["next"]
    from enfold.accelerate.offload import OffloadedWeightsLoader

    kept = OffloadedWeightsLoader(save_folder=theirs / "offloaded")
    assert kept["a"].tolist() == [0, 1, 2] and torch.equal(kept["half"], torch.ones(2).bfloat16())
    assert Settings.read(theirs / "config.json").num_processes >= 1
