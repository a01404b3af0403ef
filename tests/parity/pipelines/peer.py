"""Run by the peers' Python: answers the calls of a module of cases, from the models in a folder."""

import importlib
import json
import sys
import warnings
from pathlib import Path

folder, tests, group, tasks = Path(sys.argv[1]), sys.argv[2], sys.argv[3], json.loads(sys.argv[4])
sys.path.insert(0, tests)
warnings.simplefilter("ignore")

import transformers  # noqa: E402

cases = importlib.import_module(f"parity.pipelines.{group}")
four = transformers.__version__.startswith("4.")
if tasks:
    cases.CALLS = {name: call for name, call in cases.CALLS.items() if call.task in tasks}
print(json.dumps(cases.answers(transformers, folder, four=four)))
