"""The launcher's configuration file: what is asked for when a command does not say it."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from enfold.checkpoints import atomic_write
from enfold.errors import EnfoldError, nearest

__all__ = ["Settings", "default_path", "write_basic_config"]


def default_path() -> Path:
    """Return where the configuration is: ``$HF_HOME/accelerate/default_config.yaml``."""
    home = os.environ.get("HF_HOME") or os.path.join(os.environ.get("XDG_CACHE_HOME", "~/.cache"), "huggingface")
    return Path(home).expanduser() / "accelerate" / "default_config.yaml"


@dataclass
class Settings:
    """The keys of a configuration file, under the ecosystem's names.

    Attributes:
        num_processes: processes on all machines together.
        use_cpu: stay on the processor, with as many processes.
        fsdp_config, parallelism_config: options of the plugins, as they stand in the environment without prefix.
    """

    compute_environment: str = "LOCAL_MACHINE"
    distributed_type: str = "NO"
    mixed_precision: str = "no"
    num_processes: int = 1
    num_machines: int = 1
    machine_rank: int = 0
    main_process_ip: str | None = None
    main_process_port: int | None = None
    main_training_function: str = "main"
    rdzv_backend: str = "static"
    same_network: bool = True
    gpu_ids: str | None = None
    use_cpu: bool = False
    debug: bool = False
    downcast_bf16: str | bool = "no"
    enable_cpu_affinity: bool = False
    gradient_accumulation_steps: int | None = None
    dynamo_config: dict[str, Any] = field(default_factory=dict)
    fsdp_config: dict[str, Any] = field(default_factory=dict)
    deepspeed_config: dict[str, Any] = field(default_factory=dict)
    megatron_lm_config: dict[str, Any] = field(default_factory=dict)
    parallelism_config: dict[str, Any] = field(default_factory=dict)
    fp8_config: dict[str, Any] = field(default_factory=dict)
    mpirun_config: dict[str, Any] = field(default_factory=dict)
    ipex_config: dict[str, Any] = field(default_factory=dict)
    tpu_env: list[Any] = field(default_factory=list)
    tpu_name: str | None = None
    tpu_zone: str | None = None
    tpu_use_cluster: bool = False
    tpu_use_sudo: bool = False
    command_file: str | None = None
    commands: Any = None

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Settings:
        """Read a file of YAML or JSON; a key that is not known is refused."""
        text = Path(path).read_text(encoding="utf-8")
        if str(path).endswith(".json"):
            content = json.loads(text)
        else:
            import yaml

            content = yaml.safe_load(text)
        if not isinstance(content, dict):
            raise EnfoldError(f"{path} holds no keys")
        known = [item.name for item in fields(cls)]
        for name in content:
            if name not in known:
                raise ValueError(f"{path}: the key {name!r} is not known{nearest(str(name), known)}")
        return cls(**{name: value for name, value in content.items() if value is not None})

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the file, without empty sections."""
        content = {name: value for name, value in asdict(self).items() if value not in ({}, [], None)}
        if str(path).endswith(".json"):
            atomic_write(path, json.dumps(content, indent=2, sort_keys=True) + "\n")
        else:
            import yaml

            atomic_write(path, yaml.safe_dump(content))


def write_basic_config(mixed_precision: str = "no", save_location: str | os.PathLike[str] | None = None) -> Any:
    """Write the configuration that fits this machine; return its path, or False when there is one already.

    Args:
        mixed_precision: ``"no"``, ``"fp16"`` or ``"bf16"``.
        save_location: the file; by default :func:`default_path`.
    """
    import torch

    from enfold.accelerate.launching import _known_precision

    _known_precision(mixed_precision)
    path = Path(save_location) if save_location is not None else default_path()
    if path.exists():
        return False
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    kind = "MULTI_GPU" if gpus > 1 else "NO"
    Settings(
        distributed_type=kind, mixed_precision=mixed_precision, num_processes=max(1, gpus), use_cpu=not gpus
    ).write(path)
    return path
