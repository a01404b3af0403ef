"""Run by the peers' Python: writes its own checkpoints and results, and reads ours."""

import json
import os
import sys
from pathlib import Path

folder, ours, here = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
sys.path.insert(0, here)

import numpy as np  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402
from model_cases import CASES, results, scramble  # noqa: E402

torch.set_num_threads(1)
arrays, report = {}, {}
for case, (name, options, kind) in CASES.items():
    kind_of_model = getattr(transformers, name)
    torch.manual_seed(0)
    model = kind_of_model._from_config(kind_of_model.config_class(**options), attn_implementation="sdpa")
    scramble(model)
    model.save_pretrained(folder / case)
    for key, value in results(model, kind, eager=False).items():
        arrays[f"{case}|{key}"] = value
    model.set_attn_implementation("eager")
    for key, value in results(model, kind, eager=True).items():
        arrays[f"{case}|{key}"] = value
    loaded, info = kind_of_model.from_pretrained(ours / case, output_loading_info=True)
    report[case] = {name: sorted(map(str, info[name])) for name in ("missing_keys", "unexpected_keys")}
    report[case]["mismatched"] = len(info["mismatched_keys"])
    for key, value in results(loaded, kind, eager=False).items():
        if "gradient" not in key:
            arrays[f"ours/{case}|{key}"] = value
np.savez(os.environ["PEER_NPZ"], **arrays)
print(json.dumps(report))
