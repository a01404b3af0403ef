"""Run by the peers' Python: what transformers writes on, and what its processors do to random scores."""

import json
import os
import sys
from pathlib import Path

folder, here = Path(sys.argv[1]), sys.argv[2]
sys.path.insert(0, here)

import numpy as np  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402
from generation_cases import (  # noqa: E402
    FAMILIES,
    FAMILY_RUNS,
    MODELS,
    PROCESSORS,
    RUNS,
    UNKNOWN,
    generated,
    processed,
)

torch.set_num_threads(1)
arrays = {}
for model_name, class_name in {**MODELS, **FAMILIES}.items():
    model = getattr(transformers, class_name).from_pretrained(folder / model_name)
    for run, options in (RUNS if model_name in MODELS else FAMILY_RUNS).items():
        if (model_name, run) in UNKNOWN:
            continue
        for key, value in generated(model, options).items():
            arrays[f"{model_name}|{run}|{key}"] = value
for name, options in PROCESSORS.items():
    arrays[f"processor|{name}"] = processed(transformers, name, options)
np.savez(os.environ["PEER_NPZ"], **arrays)
print(json.dumps({"done": True}))
