"""Run by the peers' Python: writes its own checkpoints and results, and reads ours."""

import importlib
import json
import os
import sys
import tempfile
from pathlib import Path

folder, ours, tests, groups = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4].split(",")
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
modules = {group: importlib.import_module(f"parity.architectures.{group}") for group in groups}
cases = {f"{group}|{name}": case for group, module in modules.items() for name, case in module.CASES.items()}
for name, case in cases.items():
    model = build(transformers, case)  # its default is the fused attention, in every part that has one
    place = name.replace("|", "/")
    model.save_pretrained(folder / place)
    for key, value in results(model, case, explicit=False, rename=rename).items():
        arrays[f"{name}|{key}"] = value
    model.set_attn_implementation("eager")
    for key, value in results(model, case, explicit=True, rename=rename).items():
        arrays[f"{name}|{key}"] = value
    loaded, info = type(model).from_pretrained(ours / place, output_loading_info=True)
    report[name] = {kind: sorted(map(str, info[kind])) for kind in ("missing_keys", "unexpected_keys")}
    report[name]["mismatched"] = len(info["mismatched_keys"])
    report[name]["attention"] = loaded.config._attn_implementation
    group, own = name.split("|")
    for key, value in results(loaded, case, explicit=False).items():
        if "/gradient/" not in key:
            arrays[f"{group}|ours/{own}|{key}"] = value
np.savez(os.environ["PEER_NPZ"], **arrays)
print(json.dumps(report))
