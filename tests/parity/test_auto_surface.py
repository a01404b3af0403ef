"""Every class that the auto classes and the families' modules of versions 4 and 5 name, for the families that are here.

``python tests/parity/test_auto_surface.py`` writes the golden names anew, from transformers 5.23 and 4.57.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

import enfold.transformers as tf
from enfold.transformers.registry import MODELS, TASKS, class_name

HERE = Path(__file__).resolve().parent
GOLDEN = HERE / "auto_surface_golden.json"
VERSIONS = {"5": "models", "4": "transformers4"}
WRITE = """
import importlib, json, sys
from transformers.models.auto import modeling_auto

types = sys.argv[1].split()
tasks, classes = {}, {}
for table in sorted(vars(modeling_auto)):
    if table.startswith("MODEL_") and table.endswith("MAPPING_NAMES"):
        rows = {kind: name for kind, name in getattr(modeling_auto, table).items() if kind in types}
        if rows:
            tasks[table] = rows
for kind in types:
    name = kind.replace("-", "_")
    for part in ("configuration", "modeling"):
        try:
            module = importlib.import_module(f"transformers.models.{name}.{part}_{name}")
        except ModuleNotFoundError:
            continue
        found = [name for name in module.__all__ if not name.startswith(("TF", "Flax", "load_tf"))]
        classes.setdefault(kind, []).extend(sorted(found))
print(json.dumps({"tasks": tasks, "classes": classes}))
"""

# table → task, where the table's name does not spell it
SPELT = {
    "MODEL_MAPPING_NAMES": "Model",
    "MODEL_FOR_PRETRAINING_MAPPING_NAMES": "PreTraining",
    "MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES": "Seq2SeqLM",
    "MODEL_FOR_CAUSAL_LM_MAPPING_NAMES": "CausalLM",
    "MODEL_FOR_MASKED_LM_MAPPING_NAMES": "MaskedLM",
    "MODEL_FOR_CTC_MAPPING_NAMES": "CTC",
    "MODEL_FOR_AUDIO_XVECTOR_MAPPING_NAMES": "AudioXVector",
    "MODEL_FOR_SPEECH_SEQ_2_SEQ_MAPPING_NAMES": "SpeechSeq2Seq",
    "MODEL_FOR_VISION_2_SEQ_MAPPING_NAMES": "Vision2Seq",
    "MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES": "MultimodalLM",
}
# Tables without an auto class of their own, or (decisions) with one model that is not here.
NO_TASK = {"MODEL_FOR_IMAGE_MAPPING_NAMES", "MODEL_WITH_LM_HEAD_MAPPING_NAMES", "MODEL_FOR_DECISION_MAPPING_NAMES"}
# The decoder stands under its own type here, since the whole model's configuration does not build it.
ELSEWHERE = {("CausalLM", "musicgen"), ("Model", "musicgen")}


def task(table: str) -> str:
    """Return the task of one of their tables.

    >>> task("MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES")
    'ImageClassification'
    """
    words = table.removeprefix("MODEL_FOR_").removesuffix("_MAPPING_NAMES").split("_")
    return SPELT.get(table, "".join(map(str.capitalize, words)))


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    """The names of both versions."""
    return json.loads(GOLDEN.read_text(encoding="utf-8"))


@pytest.mark.parametrize("version", VERSIONS)
def test_every_task_has_the_class_that_it_has_there(version: str, golden: dict[str, Any]) -> None:
    tables = {name: rows for name, rows in golden[version]["tasks"].items() if name not in NO_TASK}
    assert len(tables) > 30
    for table, rows in tables.items():
        assert task(table) in TASKS, table
        for kind, theirs in rows.items():
            if (task(table), kind) not in ELSEWHERE:
                for name in theirs if isinstance(theirs, list) else [theirs]:
                    assert class_name(kind, task(table), [name]) == name, (table, kind)


@pytest.mark.parametrize("version", VERSIONS)
def test_every_class_of_a_family_is_there(version: str, golden: dict[str, Any]) -> None:
    classes = golden[version]["classes"]
    assert len(classes) > 45
    for kind, names in classes.items():
        for name in names:
            # what exports to ONNX is the business of optimum
            assert name.endswith("OnnxConfig") or hasattr(tf, name), (kind, name)


def write() -> None:
    """Ask both versions for their names."""
    peers = HERE.parent.parent / ".peers"
    types = " ".join(kind for kind in MODELS if kind != "timm_backbone")  # timm's networks, which are parts of others
    found = {}
    for version, home in VERSIONS.items():
        command = [str(peers / home / "bin" / "python"), "-c", WRITE, types]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found[version] = json.loads(done.stdout.splitlines()[-1])
    GOLDEN.write_text(json.dumps(found, indent=0, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write()
