"""Run by the peers' Python: writes its own checkpoints and results, and reads ours."""

import importlib
import json
import os
import sys
import tempfile
from pathlib import Path

folder, ours, tests, group = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4]
sys.path.insert(0, tests)

import numpy as np  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402
from safetensors.torch import load_file  # noqa: E402

from parity.architectures.harness import build, results  # noqa: E402

torch.set_num_threads(1)


def rename(gradients: dict) -> dict:
    """Return gradients under the names that the peer gives to them in files."""
    with tempfile.TemporaryDirectory() as place:
        model.save_pretrained(place, state_dict=gradients)
        return load_file(f"{place}/model.safetensors")


arrays, report = {}, {}
for name, case in importlib.import_module(f"parity.architectures.{group}").CASES.items():
    model = build(transformers, case)  # its default is the fused attention, in every part that has one
    model.save_pretrained(folder / name)
    for key, value in results(model, case, explicit=False, rename=rename).items():
        arrays[f"{name}|{key}"] = value
    model.set_attn_implementation("eager")
    for key, value in results(model, case, explicit=True, rename=rename).items():
        arrays[f"{name}|{key}"] = value
    loaded, info = type(model).from_pretrained(ours / name, output_loading_info=True)
    report[name] = {kind: sorted(map(str, info[kind])) for kind in ("missing_keys", "unexpected_keys")}
    report[name]["mismatched"] = len(info["mismatched_keys"])
    for key, value in results(loaded, case, explicit=False).items():
        if "/gradient/" not in key:
            arrays[f"ours/{name}|{key}"] = value
np.savez(os.environ["PEER_NPZ"], **arrays)
print(json.dumps(report))
