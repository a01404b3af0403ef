"""Run by the peers' Python: what transformers' Whisper writes about sound."""

import json
import os
import sys
from pathlib import Path

folder, here = Path(sys.argv[1]), sys.argv[2]
sys.path.insert(0, here)

import numpy as np  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402
from whisper_cases import RUNS, written  # noqa: E402

torch.set_num_threads(1)
arrays, failed = {}, {}
for run, options in RUNS.items():
    try:
        for key, value in written(transformers, folder, options).items():
            arrays[f"{run}|{key}"] = value
    except Exception as error:
        failed[run] = repr(error)
np.savez(os.environ["PEER_NPZ"], **arrays)
print(json.dumps(failed))
