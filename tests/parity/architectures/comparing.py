"""Our models beside transformers': the same checkpoints, the same numbers, in both directions.

A test module says ``class TestEncoders(Comparison)`` for a group of cases; the peer runs once for all groups of a
module.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open

import enfold.transformers as tf
from parity.architectures.harness import Case, build, results

HERE = Path(__file__).resolve().parent
# families that attend by the fused attention here, and by the explicit softmax alone there
FUSED_HERE_ALONE = ("blip", "clap", "mpnet", "vilt")


class Both:
    """The peer's checkpoints, ours, and what the peer computed with each."""

    peer: dict[str, Any]

    def __init__(self, group: str, theirs: Path, ours: Path) -> None:
        torch.set_num_threads(1)
        self.cases: dict[str, Case] = importlib.import_module(f"parity.architectures.{group}").CASES
        self.theirs, self.ours = theirs, ours
        for name, case in self.cases.items():
            build(tf, case).save_pretrained(ours / name)

    @classmethod
    def of(cls, groups: list[str], theirs: Path, ours: Path, peer: Callable[..., Any]) -> dict[str, Both]:
        """Run the peer once and return what each group is compared with."""
        found = {group: cls(group, theirs / group, ours / group) for group in groups}
        said = peer(HERE / "peer.py", theirs, ours, HERE.parent.parent, ",".join(groups), timeout=900)
        for group, both in found.items():
            own = f"{group}|"
            both.peer = {key.removeprefix(own): value for key, value in said.items() if key.startswith(own)}
        return found

    def load(self, folder: Path, name: str) -> tuple[Any, dict[str, Any]]:
        """Read a checkpoint with our class."""
        return getattr(tf, self.cases[name].name).from_pretrained(folder / name, output_loading_info=True)

    def compare(self, name: str, found: dict[str, Any], prefix: str) -> None:
        """Hold what we found to what the peer found."""
        found = dict(found)
        expected = {key.removeprefix(prefix): value for key, value in self.peer.items() if key.startswith(prefix)}
        apart = self.cases[name].apart
        if apart:
            found, expected = ({k: v for k, v in side.items() if not re.search(apart, k)} for side in (found, expected))
        assert set(expected) <= set(found), sorted(set(expected) - set(found))
        for key in set(found) - set(expected):  # a shared weight goes by all its names here, by one there
            assert any(np.array_equal(found[key], found[name]) for name in expected if "/gradient/" in name), key
            del found[key]
        for key, value in found.items():
            wanted = expected[key]
            assert value.shape == wanted.shape, key
            if "/gradient/" in key:
                # a bias of keys has no gradient but rounding, so a scale has a floor
                scale = max(float(np.abs(wanted).max()), 1e-2)
                np.testing.assert_allclose(value, wanted, rtol=0, atol=1e-4 * scale, err_msg=key)
            else:
                np.testing.assert_allclose(value, wanted, rtol=1e-5, atol=self.cases[name].atol, err_msg=key)


class Comparison:
    """The tests; a subclass sets ``group`` to the name of a module of cases beside this file."""

    group: str
    pytestmark = pytest.mark.peer

    def test_a_checkpoint_of_transformers_gives_the_same_numbers_here(self, both: Both, case: str) -> None:
        model, info = both.load(both.theirs, case)
        assert info == {"missing_keys": [], "unexpected_keys": [], "mismatched_keys": [], "error_msgs": []}
        fused = model.config.model_type.startswith(FUSED_HERE_ALONE)
        assert model.config._attn_implementation == ("sdpa" if fused else both.peer[case]["attention"])
        found = results(model, both.cases[case], explicit=False)
        model.set_attn_implementation("eager")
        found |= results(model, both.cases[case], explicit=True)
        both.compare(case, found, f"{case}|")

    def test_a_checkpoint_of_ours_gives_the_same_numbers_there(self, both: Both, case: str) -> None:
        report = both.peer[case]
        assert (report["missing_keys"], report["unexpected_keys"], report["mismatched"]) == ([], [], 0)
        model, _ = both.load(both.ours, case)
        found = {k: v for k, v in results(model, both.cases[case], explicit=False).items() if "/gradient/" not in k}
        both.compare(case, found, f"ours/{case}|")

    def test_both_write_the_same_tensor_names(self, both: Both, case: str) -> None:
        names = []
        for folder in (both.theirs, both.ours):
            with safe_open(folder / case / "model.safetensors", "pt") as file:
                assert file.metadata()["format"] == "pt"
                names.append({name.removeprefix(both.cases[case].prefix) for name in list(file.keys())})
        assert names[0] == names[1]
