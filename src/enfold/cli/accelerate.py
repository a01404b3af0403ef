"""``enfold run accelerate …``: the commands of the ecosystem's launcher beside ``launch``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import typer

from enfold.cli import launch
from enfold.errors import EnfoldError

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Configure, check and launch training in several processes.")
app.command("launch", context_settings=launch.SETTINGS)(launch.command)

_FILE = typer.Option(None, "--config_file", "--config-file", help="The file; by default in $HF_HOME/accelerate.")


def _write(path: str | None, precision: str) -> None:
    from enfold.accelerate.settings import write_basic_config

    written = write_basic_config(precision, path)
    print(f"configuration written: {written}" if written else "there is a configuration already; nothing was changed")


config = typer.Typer(invoke_without_command=True, help="Write the configuration that fits this machine.")
app.add_typer(config, name="config")


@config.callback()
def ask(context: typer.Context, config_file: str = _FILE) -> None:
    """Ask for the main settings and write them; `config default` writes what fits this machine."""
    if context.invoked_subcommand is not None:
        return
    from enfold.accelerate.launching import PRECISIONS
    from enfold.accelerate.settings import Settings, default_path

    cpu = typer.confirm("Stay on the processor?", default=launch._gpus() == 0)
    machines = typer.prompt("How many machines?", type=int, default=1)
    count = typer.prompt("How many processes, on all machines together?", type=int, default=max(1, launch._gpus()))
    fsdp = count > 1 and typer.confirm("Cut parameters between the processes (FSDP)?", default=False)
    precision = typer.prompt("Mixed precision?", default="no", type=str)
    if precision not in PRECISIONS:
        raise EnfoldError(f"mixed precision must be one of {', '.join(PRECISIONS)}, got {precision!r}")
    kind = "FSDP" if fsdp else ("NO" if count == 1 else "MULTI_CPU" if cpu else "MULTI_GPU")
    settings = Settings(
        distributed_type=kind, num_processes=count, num_machines=machines, use_cpu=cpu, mixed_precision=precision
    )
    if fsdp:
        settings.fsdp_config = {"fsdp_version": 2, "fsdp_state_dict_type": "SHARDED_STATE_DICT"}
    path = Path(config_file) if config_file else default_path()
    settings.write(path)
    print(f"configuration written: {path}")


@config.command("default")
def default(
    config_file: str = _FILE,
    mixed_precision: str = typer.Option("no", "--mixed_precision", "--mixed-precision", help="no, fp16 or bf16."),
) -> None:
    """Write the configuration that fits this machine, unless there is one."""
    _write(config_file, mixed_precision)


@app.command("env")
def env(config_file: str = _FILE) -> None:
    """Show versions and the configuration: what a bug report needs."""
    from enfold.accelerate.settings import default_path
    from enfold.cli.env import report

    for name, value in report().items():
        print(f"- {name}: {value}")
    path = Path(config_file) if config_file else default_path()
    print(f"- configuration: {path}{'' if path.is_file() else ' (not there)'}")
    if path.is_file():
        print(path.read_text().rstrip())


@app.command("test")
def test(
    config_file: str = _FILE, num_processes: int = typer.Option(None, "--num_processes", "--num-processes")
) -> None:
    """Check that processes find each other, exchange tensors and train as one."""
    import subprocess

    words = [sys.executable, "-c", "from enfold.cli import main; main()", "launch"]
    words += ["--config_file", config_file] if config_file else []
    words += ["--num_processes", str(num_processes)] if num_processes else []
    done = subprocess.run([*words, "-m", "enfold.accelerate.checking"])
    if done.returncode:
        raise EnfoldError("the check failed; the lines above say where")
    print("everything works: this machine is ready to train")


@app.command("estimate-memory")
def estimate_memory(
    model_name: str = typer.Argument(..., help="A repository, or a folder with a config.json."),
    library_name: str = typer.Option(None, "--library_name", "--library-name", help="Accepted; transformers."),
    dtypes: list[str] = typer.Option(
        ["float32", "float16", "int8", "int4"], "--dtypes", help="Types; may be given several times."
    ),
    trust_remote_code: bool = typer.Option(False, "--trust_remote_code", "--trust-remote-code"),
) -> None:
    """Say how much memory a model takes in each type, from its configuration alone."""
    from enfold.transformers.estimating import estimate

    rows = [
        ("type", "largest layer", "whole model", "training with Adam"),
        *estimate(model_name, dtypes, trust_remote_code),
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


@app.command("merge-weights")
def merge_weights(
    checkpoint_directory: str = typer.Argument(..., help="A folder of shards, such as pytorch_model_fsdp_0."),
    output_path: str = typer.Argument(..., help="Folder for the whole weights."),
    unsafe_serialization: bool = typer.Option(False, "--unsafe_serialization", "--unsafe-serialization"),
    remove_checkpoint_dir: bool = typer.Option(False, "--remove_checkpoint_dir", "--remove-checkpoint-dir"),
) -> None:
    """Put the shards that several processes saved together into one file of weights."""
    from enfold.accelerate.merging import merge_fsdp_weights

    merge_fsdp_weights(checkpoint_directory, output_path, not unsafe_serialization, remove_checkpoint_dir)
    print(f"weights written: {output_path}")


@app.command("to-fsdp2")
def to_fsdp2(
    config_file: str = typer.Option(
        ..., "--config_file", "--config-file", help="Configuration of FSDP's first version."
    ),
    output_file: str = typer.Option(None, "--output_file", "--output-file", help="The new file."),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace the file."),
) -> None:
    """Rewrite a configuration for the second version of FSDP."""
    from enfold.accelerate.settings import Settings

    if output_file is None and not overwrite:
        raise EnfoldError("say where the new configuration goes with --output_file, or --overwrite")
    target: Any = output_file or config_file
    if Path(target).exists() and not overwrite:
        raise EnfoldError(f"{target} is there already; --overwrite replaces it")
    settings = Settings.read(config_file)
    old, new = settings.fsdp_config, {"fsdp_version": 2}
    for name, value in old.items():
        short = name.removeprefix("fsdp_")
        if short == "sharding_strategy":
            new["fsdp_reshard_after_forward"] = str(value).upper() in ("1", "FULL_SHARD", "4", "HYBRID_SHARD")  # type: ignore[assignment]
        elif short == "state_dict_type":
            whole = str(value).upper().startswith("FULL")
            new[name] = "FULL_STATE_DICT" if whole else "SHARDED_STATE_DICT"  # type: ignore[assignment]
        elif short not in ("version", "use_orig_params", "backward_prefetch", "forward_prefetch", "sync_module_states"):
            new[name] = value
    settings.fsdp_config = new
    settings.write(target)
    print(f"configuration written: {target}")
