"""Models of pictures beside those of the fourth series: our checkpoints, read there whole, and their numbers."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import enfold.transformers as tf
from parity.architectures.harness import build, results

pytestmark = [pytest.mark.peer, pytest.mark.slow]

HERE = Path(__file__).resolve().parent
# read otherwise by the fourth series, as docs/compatibility.md says, or not at all: its hybrids stand on BiT alone
APART = ("deit-masked", "dpt-depth-hybrid")
SCRIPT = """
import importlib, json, os, sys
from pathlib import Path
root, tests, group, apart = Path(sys.argv[1]), sys.argv[2], sys.argv[3], json.loads(sys.argv[4])
sys.path.insert(0, tests)
import numpy, torch, transformers
from parity.architectures.harness import results
torch.set_num_threads(1)
arrays, report = {}, {}
for name, case in importlib.import_module(f"parity.architectures.{group}").CASES.items():
    if name not in apart:
        kind = getattr(transformers, case.name)
        model, info = kind.from_pretrained(root / name, output_loading_info=True)
        kinds = ("missing_keys", "unexpected_keys", "mismatched_keys")
        report[name] = [str(key) for kind in kinds for key in info[kind]]
        for key, value in results(model, case, explicit=False).items():
            if "/gradient/" not in key:
                arrays[f"{name}|{key}"] = value
numpy.savez(os.environ["PEER_NPZ"], **arrays)
print(json.dumps({"report": report}))
"""


@pytest.mark.parametrize("group", ["vision", "detection"])
def test_our_checkpoints_give_the_same_numbers_in_the_fourth_series(
    group: str, peer: Callable[..., Any], tmp_path: Path
) -> None:
    torch.set_num_threads(1)
    ours = {}
    for name, case in importlib.import_module(f"parity.architectures.{group}").CASES.items():
        build(tf, case).save_pretrained(tmp_path / name)
        if name not in APART:
            model = getattr(tf, case.name).from_pretrained(tmp_path / name)
            found = results(model, case, explicit=False).items()
            ours |= {f"{name}|{key}": value for key, value in found if "/gradient/" not in key}
    theirs = peer(SCRIPT, tmp_path, HERE.parent.parent, group, list(APART), environment="transformers4")
    report = theirs.pop("report")
    assert {name: keys for name, keys in report.items() if keys} == {}
    assert set(ours) == set(theirs) and len(ours) > 50
    for key, value in ours.items():
        scale = max(float(np.abs(theirs[key]).max()), 1.0)
        np.testing.assert_allclose(value, theirs[key], rtol=0, atol=1e-5 * scale, err_msg=key)
