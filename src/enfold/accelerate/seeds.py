"""One seed for every source of randomness."""

from __future__ import annotations

import os
import random
from typing import Any

__all__ = ["enable_full_determinism", "set_seed", "synchronize_rng_states"]


def set_seed(seed: int, device_specific: bool = False, deterministic: bool = False) -> None:
    """Seed Python's, numpy's and torch's generators.

    Args:
        seed: the seed.
        device_specific: add the index of the process, so that processes differ.
        deterministic: also have torch use only algorithms that give the same bits each time.

    Example:
        >>> import torch
        >>> set_seed(0); first = torch.rand(1)
        >>> set_seed(0); bool(first == torch.rand(1))
        True
    """
    import numpy
    import torch

    if device_specific:
        from enfold.accelerate.state import PartialState

        seed += PartialState().process_index
    random.seed(seed)
    numpy.random.seed(seed)
    torch.manual_seed(seed)  # every CUDA device too
    if deterministic:
        torch.use_deterministic_algorithms(True)


def enable_full_determinism(seed: int, warn_only: bool = False) -> None:
    """Seed everything and let torch, cuBLAS and cuDNN use only deterministic algorithms; slower on a GPU.

    Args:
        seed: the seed.
        warn_only: warn instead of raising where an operation has no deterministic form.
    """
    import torch

    set_seed(seed)
    os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":16:8"
    torch.use_deterministic_algorithms(True, warn_only=warn_only)
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False


def synchronize_rng_states(rng_types: list[Any], generator: Any = None) -> None:
    """Give every process the main process's random states.

    Args:
        rng_types: of ``"torch"``, ``"cuda"`` and ``"generator"``.
        generator: the ``torch.Generator`` of ``"generator"``.
    """
    import torch

    from enfold.accelerate.operations import broadcast
    from enfold.accelerate.state import PartialState
    from enfold.errors import EnfoldError

    for kind in rng_types:
        name = str(getattr(kind, "value", kind))
        if name == "torch":
            torch.set_rng_state(broadcast(torch.get_rng_state().to(PartialState().device)).cpu())
        elif name == "cuda":
            if torch.cuda.is_available():
                torch.cuda.set_rng_state(broadcast(torch.cuda.get_rng_state().to(PartialState().device)).cpu())
        elif name == "generator":
            if generator is not None:
                generator.set_state(broadcast(generator.get_state().to(PartialState().device)).cpu())
        else:
            raise EnfoldError(f"{name!r} is no kind of random state; expected torch, cuda or generator")
