"""Our optimizers take the steps of their first implementations, on the same gradients."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from parity.optimizer_steps import CASES, GOLDEN, ours, run


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    return json.loads(GOLDEN.read_text())


@pytest.mark.parametrize("name", CASES)
def test_steps_are_the_first_implementations(name: str, golden: dict[str, Any]) -> None:
    shapes, options = CASES[name]
    found = run(ours(name, options), shapes)
    # bitsandbytes keeps RMSprop's squares in codes with a sign, half of which are never used.
    near = 5e-3 if name == "rmsprop 8bit" else 2e-5
    for when, expected in golden[name].items():
        for mine, theirs in zip(found[when], expected, strict=True):
            torch.testing.assert_close(torch.tensor(mine), torch.tensor(theirs), atol=near, rtol=near)
