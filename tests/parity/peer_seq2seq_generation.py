"""Run by the peers' Python: what transformers writes for texts that it reads."""

import json
import os
import sys
from pathlib import Path

folder, here = Path(sys.argv[1]), sys.argv[2]
sys.path.insert(0, here)

import numpy as np  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402
from seq2seq_generation_cases import MODELS, RUNS, generated  # noqa: E402

torch.set_num_threads(1)
arrays = {}
for model_name, class_name in MODELS.items():
    model = getattr(transformers, class_name).from_pretrained(folder / model_name)
    for run, options in RUNS.items():
        for key, value in generated(model, options).items():
            arrays[f"{model_name}|{run}|{key}"] = value
np.savez(os.environ["PEER_NPZ"], **arrays)
print(json.dumps({"done": True}))
