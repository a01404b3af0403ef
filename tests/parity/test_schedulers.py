"""Schedulers beside `diffusers` 0.42.1: trajectories, files, and what one takes from another's configuration."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from enfold import diffusers
from parity import scheduler_cases as cases

pytestmark = pytest.mark.peer

PEER = """
import json, sys, warnings
warnings.filterwarnings("ignore")
sys.path.insert(0, sys.argv[1])
import diffusers
diffusers.utils.logging.set_verbosity_error()
from parity import scheduler_cases as cases
print(json.dumps(cases.everything(diffusers)))
"""
# Ones that theirs knows to replace the others, and ours does not have.
ABSENT = {"DPMSolverSDEScheduler", "EDMEulerScheduler"}


@pytest.fixture(scope="module")
def theirs(peer: Callable[..., Any]) -> Any:
    return peer(PEER, Path(__file__).resolve().parents[1])


def far(ours: Any, theirs: Any, tolerance: float) -> float:
    """How far two lists of numbers are apart, relative to the larger of 1 and the peer's largest."""
    one, other = torch.tensor(ours, dtype=torch.float64), torch.tensor(theirs, dtype=torch.float64)
    assert one.shape == other.shape
    same = torch.isfinite(one) == torch.isfinite(other)
    assert same.all()
    finite = torch.isfinite(other)
    return float(((one - other)[finite].abs() / other[finite].abs().max().clamp(min=1)).max() / tolerance)


@pytest.mark.parametrize("name", cases.CASES)
def test_every_trajectory_is_the_peers(theirs: Any, name: str) -> None:
    wrong = []
    for case, expected in zip(cases.CASES[name], theirs[name]["paths"], strict=True):
        found = cases.trajectory(diffusers, name, case)
        assert found.keys() >= expected.keys()
        apart = {what: far(found[what], expected[what], 1e-5) for what in expected}
        if any(ratio > 1 for ratio in apart.values()):
            wrong.append((case, apart))
    assert not wrong


@pytest.mark.parametrize("name", cases.CASES)
def test_arguments_and_files_are_the_peers(theirs: Any, name: str) -> None:
    expected, kind = theirs[name], getattr(diffusers, name)
    fields = [[field, repr(default)] for field, default in kind.fields.items()]
    # a tuple cannot be changed behind the back of all that share it
    assert fields == [[field, "()" if default == "[]" else default] for field, default in expected["fields"]]
    assert kind.order == expected["order"]
    assert sorted(kind._compatibles) == sorted({*expected["compatibles"]} - ABSENT)
    written = json.loads(kind(**cases.CASES[name][0][0]).to_json_string())
    assert written == expected["file"]


def test_a_configuration_serves_another_scheduler(tmp_path: Path) -> None:
    diffusers.DDIMScheduler(beta_schedule="scaled_linear", clip_sample=False).save_pretrained(tmp_path)
    euler = diffusers.EulerDiscreteScheduler.from_pretrained(tmp_path, use_karras_sigmas=True)
    assert euler.config.beta_schedule == "scaled_linear" and euler.config.use_karras_sigmas
    assert euler.config.timestep_spacing == "leading"  # a file holds defaults too
    back = diffusers.DDIMScheduler.from_config(euler.config)
    assert back.config.clip_sample is False  # kept on the way
    fresh = diffusers.EulerDiscreteScheduler.from_config(diffusers.DDIMScheduler().config)
    assert fresh.config.timestep_spacing == "linspace"  # one's own default, not the other's
