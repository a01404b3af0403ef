"""Every name that training has in the ecosystem's versions 4 and 5: arguments with their defaults, methods, choices.

``python tests/parity/test_trainer_surface.py`` writes the golden names anew, from transformers 5.23 and 4.57.
"""

from __future__ import annotations

import dataclasses
import enum
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import enfold.transformers as tf
import enfold.transformers.trainer as training
from enfold.transformers.trainer.spellings import ALIASES, IGNORED

HERE = Path(__file__).resolve().parent
GOLDEN = HERE / "trainer_surface_golden.json"
VERSIONS = {"5": "models", "4": "transformers4"}
WRITE = """
import dataclasses, enum, json
import transformers
from transformers import SchedulerType, Seq2SeqTrainer, Seq2SeqTrainingArguments, Trainer, TrainingArguments
from transformers.training_args import OptimizerNames
import transformers.data.data_collator as collators, transformers.trainer_callback as callbacks

def fields(cls):
    found = {}
    for item in dataclasses.fields(cls):
        if item.init:
            value = item.default_factory() if item.default_factory is not dataclasses.MISSING else item.default
            found[item.name] = value.value if isinstance(value, enum.Enum) else value
    return found

def named(module, part):
    return sorted(name for name in vars(module) if part in name and name in dir(transformers))

def public(cls):
    return sorted(name for name, value in vars(cls).items() if not name.startswith("_") and callable(value))

plain = fields(TrainingArguments)
events = [name for name in vars(transformers.TrainerCallback) if name.startswith("on_")]
print(json.dumps({
    "arguments": plain,
    "seq2seq_arguments": {k: v for k, v in fields(Seq2SeqTrainingArguments).items() if k not in plain},
    "argument_methods": [name for name in public(TrainingArguments) if name not in plain],
    "trainer": public(Trainer), "seq2seq": public(Seq2SeqTrainer), "events": sorted(events),
    "optimizers": sorted(item.value for item in OptimizerNames),
    "schedules": sorted(item.value for item in SchedulerType),
    "collators": named(collators, "DataCollator"),
    "callbacks": named(callbacks, "Callback"),
}))
"""

# Of back ends that are not here, or steps of the ecosystem's own constructor and loop.
ABSENT_METHODS = {
    "propagate_args_to_deepspeed",
    "torch_jit_model_eval",
    "create_accelerator_and_postprocess",
    "set_initial_training_values",
}

# What version 4 has another default for: version 5's holds here.
CHANGED = {"warmup_ratio", "report_to", "trackio_space_id", "gradient_checkpointing", "include_num_input_tokens_seen"}


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    return json.loads(GOLDEN.read_text())


def _defaults(cls: Any) -> dict[str, Any]:
    found = {}
    for item in dataclasses.fields(cls):
        value: Any = item.default_factory() if item.default_factory is not dataclasses.MISSING else item.default
        found[item.name] = value.value if isinstance(value, enum.Enum) else value
    return found


@pytest.mark.parametrize("version", VERSIONS)
def test_every_argument_is_there_with_its_default(version: str, golden: dict[str, Any]) -> None:
    ours = _defaults(tf.Seq2SeqTrainingArguments)
    theirs = {**golden[version]["arguments"], **golden[version]["seq2seq_arguments"]}
    assert not [name for name in theirs if name not in ours and name not in ALIASES and name not in IGNORED]
    skipped = CHANGED if version == "4" else set()
    wrong = {name: ours[name] for name in theirs if name in ours and name not in skipped and ours[name] != theirs[name]}
    assert not wrong
    assert not {name: IGNORED[name] for name in theirs if name in IGNORED and IGNORED[name] != theirs[name]}
    args = tf.Seq2SeqTrainingArguments("out")
    assert all(hasattr(args, name) for name in theirs)


@pytest.mark.parametrize("version", VERSIONS)
def test_every_method_is_there(version: str, golden: dict[str, Any]) -> None:
    names = golden[version]
    for cls, key in (
        (tf.TrainingArguments, "argument_methods"),
        (tf.Trainer, "trainer"),
        (tf.Seq2SeqTrainer, "seq2seq"),
        (tf.TrainerCallback, "events"),
    ):
        missing = [name for name in names[key] if not hasattr(cls, name) and name not in ABSENT_METHODS]
        assert not missing, (cls, missing)


@pytest.mark.parametrize("version", VERSIONS)
def test_every_choice_is_there(version: str, golden: dict[str, Any]) -> None:
    names = golden[version]
    assert set(names["optimizers"]) <= {item.value for item in training.OptimizerNames}
    assert set(names["schedules"]) <= {item.value for item in tf.SchedulerType}
    assert not [name for name in [*names["collators"], *names["callbacks"]] if not hasattr(tf, name)]


@pytest.mark.slow
@pytest.mark.peer
@pytest.mark.parametrize("version", VERSIONS)
def test_the_golden_names_are_the_ecosystems(version: str, golden: dict[str, Any], peer: Callable[..., Any]) -> None:
    assert peer(WRITE, environment=VERSIONS[version]) == golden[version]


if __name__ == "__main__":
    written = {}
    for version, environment in VERSIONS.items():
        python = HERE.parents[1] / ".peers" / environment / "bin" / "python"
        done = subprocess.run([python, "-c", WRITE], capture_output=True, text=True, check=True)
        written[version] = json.loads(done.stdout.splitlines()[-1])
    GOLDEN.write_text(json.dumps(written, indent=1, sort_keys=True) + "\n")
