"""``enfold launch``: a training script in several processes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import typer

from enfold.errors import EnfoldError

__all__ = ["SETTINGS", "command"]

# What follows the script is the script's own.
SETTINGS = {"allow_extra_args": True, "ignore_unknown_options": False, "allow_interspersed_args": False}

# Option → the variable from which FullyShardedDataParallelPlugin reads it.
FSDP = {
    "sharding_strategy": "FSDP_SHARDING_STRATEGY",
    "reshard_after_forward": "FSDP_RESHARD_AFTER_FORWARD",
    "offload_params": "FSDP_OFFLOAD_PARAMS",
    "auto_wrap_policy": "FSDP_AUTO_WRAP_POLICY",
    "min_num_params": "FSDP_MIN_NUM_PARAMS",
    "transformer_layer_cls_to_wrap": "FSDP_TRANSFORMER_CLS_TO_WRAP",
    "transformer_cls_names_to_wrap": "FSDP_TRANSFORMER_CLS_TO_WRAP",
    "state_dict_type": "FSDP_STATE_DICT_TYPE",
    "activation_checkpointing": "FSDP_ACTIVATION_CHECKPOINTING",
    "cpu_ram_efficient_loading": "FSDP_CPU_RAM_EFFICIENT_LOADING",
    "version": "FSDP_VERSION",
}


def _option(*names: str, help: str) -> Any:
    """An option under the ecosystem's spelling, with underscores, and ours, with hyphens."""
    spelled = [name for given in names for name in dict.fromkeys((given, f"--{given[2:].replace('_', '-')}"))]
    return typer.Option(None, *spelled, help=help)


def command(
    context: typer.Context,
    script: str = typer.Argument(..., help="A script, or with -m a module.", metavar="SCRIPT"),
    config_file: str = _option("--config_file", help="By default $HF_HOME/accelerate/default_config.yaml."),
    num_processes: int = _option("--num_processes", help="Processes on all machines together."),
    num_machines: int = _option("--num_machines", help="Machines."),
    machine_rank: int = _option("--machine_rank", help="Which of the machines this is, from 0."),
    main_process_ip: str = _option("--main_process_ip", help="Address of the first machine."),
    main_process_port: int = _option("--main_process_port", help="Port on the first machine."),
    mixed_precision: str = _option("--mixed_precision", help="no, fp16 or bf16."),
    cpu: bool = typer.Option(False, "--cpu", "--use_cpu", "--use-cpu", help="Stay on the processor."),
    multi_gpu: bool = typer.Option(False, "--multi_gpu", "--multi-gpu", help="One process for each GPU."),
    gpu_ids: str = _option("--gpu_ids", help="Which GPUs, such as 0,1; or all."),
    gradient_accumulation_steps: int = _option("--gradient_accumulation_steps", help="Batches per optimizer step."),
    use_fsdp: bool = typer.Option(False, "--use_fsdp", "--use-fsdp", help="Cut parameters between the processes."),
    fsdp_version: int = _option("--fsdp_version", help="Accepted; the second generation is the one there is."),
    fsdp_sharding_strategy: str = _option("--fsdp_sharding_strategy", help="FULL_SHARD, SHARD_GRAD_OP …"),
    fsdp_reshard_after_forward: str = _option("--fsdp_reshard_after_forward", help="true or false."),
    fsdp_offload_params: str = _option("--fsdp_offload_params", help="true keeps shards in the processor's memory."),
    fsdp_auto_wrap_policy: str = _option("--fsdp_auto_wrap_policy", help="transformer_based_wrap, size_based_wrap …"),
    fsdp_min_num_params: int = _option("--fsdp_min_num_params", help="Parameters of a unit, for SIZE_BASED_WRAP."),
    fsdp_transformer_layer_cls_to_wrap: str = _option(
        "--fsdp_transformer_layer_cls_to_wrap", help="Names of the classes that are units, with commas."
    ),
    fsdp_state_dict_type: str = _option("--fsdp_state_dict_type", help="SHARDED_STATE_DICT or FULL_STATE_DICT."),
    fsdp_activation_checkpointing: str = _option("--fsdp_activation_checkpointing", help="true computes them again."),
    use_parallelism_config: str = _option("--use_parallelism_config", help="true reads the sizes that follow."),
    parallelism_config_dp_replicate_size: int = _option("--parallelism_config_dp_replicate_size", help="Replicas."),
    parallelism_config_dp_shard_size: int = _option("--parallelism_config_dp_shard_size", help="Shards."),
    parallelism_config_tp_size: int = _option("--parallelism_config_tp_size", help="Slices of each matrix."),
    dynamo_backend: str = _option("--dynamo_backend", help="Compile models by this backend."),
    rdzv_backend: str = _option("--rdzv_backend", help="static or c10d."),
    max_restarts: int = _option("--max_restarts", help="How often all are started again after a failure."),
    monitor_interval: float = _option("--monitor_interval", help="Seconds between two looks at the processes."),
    debug: bool = typer.Option(False, "--debug", help="Check that processes exchange tensors of one shape."),
    module: bool = typer.Option(False, "-m", "--module", help="SCRIPT is a module."),
    no_python: bool = typer.Option(False, "--no_python", "--no-python", help="SCRIPT is a program, run as it is."),
    quiet: bool = typer.Option(False, "-q", "--quiet", help="Accepted: an error is one line here."),
) -> None:
    """Run a training script in several processes, on the processor or on GPUs.

    Examples: `enfold launch --num_processes 2 train.py --epochs 3`, `enfold launch --cpu --num_processes 2 train.py`.
    Options that are not given come from the configuration file. When a process ends badly the others are stopped, and
    the last line says which it was.
    """
    given = {name: value for name, value in context.params.items() if value is not None}
    settings = _settings(config_file)
    count, environment = resolve(settings, given)
    from enfold.accelerate.launching import launch, python_command

    words = python_command(script, list(context.args), module, no_python)
    machines = int(given.get("num_machines", settings.num_machines))
    if count == 1 and machines == 1:
        os.environ.update(environment)
        os.execvp(words[0], words)
    launch(
        words[0],
        words[1:],
        processes=count // machines,
        machines=machines,
        machine_rank=int(given.get("machine_rank", settings.machine_rank)),
        address=given.get("main_process_ip", settings.main_process_ip),
        port=given.get("main_process_port", settings.main_process_port),
        rendezvous=rdzv_backend or (settings.rdzv_backend if machines > 1 else None),
        restarts=max_restarts or 0,
        monitor_interval=monitor_interval or 0.1,
        environment=environment,
    )


def _settings(path: str | None) -> Any:
    from enfold.accelerate.settings import Settings, default_path

    if path is not None:
        if not Path(path).is_file():
            raise EnfoldError(f"there is no configuration file {path}; `enfold accelerate config default` writes one")
        return Settings.read(path)
    return Settings.read(default_path()) if default_path().is_file() else Settings()


def resolve(settings: Any, given: dict[str, Any]) -> tuple[int, dict[str, str]]:
    """Return how many processes there are in all, and the variables that an Accelerator reads.

    Args:
        settings: the configuration file's.
        given: the command's options that were given; they come first.
    """
    from enfold.accelerate.launching import PRECISIONS
    from enfold.accelerate.settings import default_path

    precision = str(given.get("mixed_precision", settings.mixed_precision)).lower()
    if precision not in PRECISIONS:
        raise EnfoldError(f"mixed_precision must be one of {', '.join(PRECISIONS)}, got {precision!r}")
    cpu = bool(given.get("cpu") or settings.use_cpu)
    machines = int(given.get("num_machines", settings.num_machines))
    gpus = 0 if cpu else _gpus()
    known = "num_processes" in given or settings.num_processes > 1 or default_path().is_file()
    count = int(given.get("num_processes", settings.num_processes if known else max(1, gpus) * machines))
    if count < 1 or count % machines:
        raise EnfoldError(
            f"{count} processes cannot be shared by {machines} machines: num_processes counts all of them"
        )
    if gpus and count // machines > gpus:
        raise EnfoldError(f"{count // machines} processes need as many GPUs; there are {gpus} (--cpu uses none)")
    environment = {"ACCELERATE_MIXED_PRECISION": precision}
    if cpu or (count > 1 and not gpus):
        environment["ACCELERATE_USE_CPU"] = "true"
    steps = given.get("gradient_accumulation_steps", settings.gradient_accumulation_steps)
    if steps is not None:
        environment["ACCELERATE_GRADIENT_ACCUMULATION_STEPS"] = str(steps)
    ids = given.get("gpu_ids", settings.gpu_ids)
    if ids not in (None, "all") and not cpu:
        environment["CUDA_VISIBLE_DEVICES"] = str(ids)
    backend = given.get("dynamo_backend", settings.dynamo_config.get("dynamo_backend"))
    if backend is not None:
        environment["ACCELERATE_DYNAMO_BACKEND"] = str(backend)
    if given.get("debug") or settings.debug:
        environment["ACCELERATE_DEBUG_MODE"] = "true"
    fsdp = {name.removeprefix("fsdp_"): value for name, value in settings.fsdp_config.items()}
    fsdp |= {name.removeprefix("fsdp_"): value for name, value in given.items() if name.startswith("fsdp_")}
    if given.get("use_fsdp") or settings.distributed_type == "FSDP":
        environment["ACCELERATE_USE_FSDP"] = "true"
        environment |= {
            FSDP[name]: str(value).lower() if isinstance(value, bool) else str(value)
            for name, value in fsdp.items()
            if name in FSDP
        }
    sizes = {name.removeprefix("parallelism_config_"): value for name, value in settings.parallelism_config.items()}
    sizes |= {
        name.removeprefix("parallelism_config_"): value
        for name, value in given.items()
        if name.startswith("parallelism_config_")
    }
    if str(given.get("use_parallelism_config", bool(sizes))).lower() == "true":
        environment["ACCELERATE_USE_PARALLELISM_CONFIG"] = "true"
        environment |= {f"PARALLELISM_CONFIG_{name.upper()}": str(value) for name, value in sizes.items()}
    return count, environment


def _gpus() -> int:
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0
