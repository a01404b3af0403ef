"""Two real processes: replicas, shards, slices, stages, dispatching, checkpoints; and what a launch says and does."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from enfold.accelerate.merging import merge_fsdp_weights
from enfold.accelerate.settings import Settings, write_basic_config
from enfold.checkpoints import CheckpointError, read_state_dict
from enfold.cli.launch import resolve
from enfold.errors import EnfoldError
from processes import together

CHECKS = """replicas compressed_gradients accumulating_shards half_precision_shards slices stages dispatching talking
uneven_inputs local_steps states shards""".split()


def test_two_processes_do_together_what_one_does_alone(tmp_path: Path) -> None:
    done = together(Path(__file__).with_name("two_processes.py"), str(tmp_path))
    passed = {line.split()[0].removeprefix("check_") for line in done.stdout.splitlines() if line.startswith("check_")}
    assert passed == set(CHECKS)
    # Shards that two processes wrote become one file of weights in a third.
    merge_fsdp_weights(tmp_path / "shards-SHARDED_STATE_DICT", tmp_path / "merged")
    merged = read_state_dict(tmp_path / "merged" / "model.safetensors")
    whole = torch.load(tmp_path / "shards-FULL_STATE_DICT" / "pytorch_model_fsdp.bin", weights_only=True)
    assert merged.keys() == whole.keys()
    assert all(torch.allclose(merged[name], whole[name], atol=1e-6) for name in whole)
    assert (tmp_path / "shards-SHARDED_STATE_DICT" / "optimizer_0" / ".metadata").is_file()
    assert (tmp_path / "weights-FULL_STATE_DICT" / "model.safetensors").is_file()
    with pytest.raises(CheckpointError, match="no sharded weights"):
        merge_fsdp_weights(tmp_path / "merged", tmp_path / "again")


PROGRAM = """
import sys
import torch
from accelerate import Accelerator
accelerator = Accelerator()
if accelerator.process_index == 1:
    sys.exit(7)
accelerator.gather(torch.ones(1))
"""


def test_a_process_that_dies_is_named_and_the_others_end(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    command = [sys.executable, "-c", "from enfold.cli import main; main()", "run", "accelerate", "launch", "--cpu"]
    words = [*command, "--num_processes", "2", str(tmp_path / "program.py")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("enfold: process 1 of 2 (pid ") and "ended with status 7; the others were stopped" in last


def test_options_come_before_the_file_and_become_variables(tmp_path: Path) -> None:
    settings = Settings(
        num_processes=4, mixed_precision="fp16", use_cpu=True, fsdp_config={"fsdp_state_dict_type": "X"}
    )
    assert resolve(settings, {}) == (4, {"ACCELERATE_MIXED_PRECISION": "fp16", "ACCELERATE_USE_CPU": "true"})
    options = {"num_processes": 2, "mixed_precision": "bf16", "use_fsdp": True, "fsdp_offload_params": "true"}
    count, environment = resolve(settings, options)
    assert count == 2 and environment["ACCELERATE_MIXED_PRECISION"] == "bf16"
    assert environment["FSDP_STATE_DICT_TYPE"] == "X" and environment["FSDP_OFFLOAD_PARAMS"] == "true"
    sizes = {"parallelism_config_tp_size": 2, "num_processes": 2}
    assert resolve(settings, sizes)[1]["PARALLELISM_CONFIG_TP_SIZE"] == "2"
    with pytest.raises(EnfoldError, match="num_processes counts all"):
        resolve(settings, {"num_processes": 3, "num_machines": 2})
    with pytest.raises(EnfoldError, match="mixed_precision must be one of"):
        resolve(settings, {"mixed_precision": "int3"})


def test_a_configuration_is_written_once_and_unknown_keys_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "config.yaml"
    assert write_basic_config("bf16", path) == path and write_basic_config("no", path) is False
    assert Settings.read(path).mixed_precision == "bf16"
    (tmp_path / "config.json").write_text(json.dumps({"num_proceses": 2}))
    with pytest.raises(ValueError, match="did you mean 'num_processes'"):
        Settings.read(tmp_path / "config.json")
