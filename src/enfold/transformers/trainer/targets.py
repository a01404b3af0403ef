"""``optim_target_modules``: the matrices whose gradients an optimizer projects."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from enfold.log import get_logger

__all__ = ["check_target_module_exists", "target_parameters"]

logger = get_logger(__name__)


def check_target_module_exists(
    optim_target_modules: str | Sequence[str], key: str, return_is_regex: bool = False
) -> bool | tuple[bool, bool]:
    """Say whether a module is meant.

    Args:
        optim_target_modules: a regular expression of the whole name, or a list of names, parts of names, or
            expressions.
        key: the module's full name.
        return_is_regex: also say whether an expression, and not a name, met it.

    Example:
        >>> check_target_module_exists([r".*attn.*", "mlp"], "layers.0.mlp.up_proj")
        True
    """
    if isinstance(optim_target_modules, str):
        found, is_regex = bool(re.fullmatch(optim_target_modules, key)), optim_target_modules != key
    elif any(part in key for part in optim_target_modules):
        found, is_regex = True, False
    else:
        found = is_regex = any(re.fullmatch(pattern, key) for pattern in optim_target_modules)
    return (found, is_regex) if return_is_regex else found


def target_parameters(model: nn.Module, wanted: Any, optim: str) -> list[Tensor]:
    """Return the trainable weights of linear layers that ``optim_target_modules`` means.

    Args:
        model: whose weights.
        wanted: as of :func:`check_target_module_exists`, or ``"all-linear"``.
        optim: the optimizer's name, for messages.

    Raises:
        ValueError: nothing is meant, or no linear layer.
        TypeError: ``wanted`` is neither text nor a list of it.
    """
    if wanted is None:
        raise ValueError(
            f"optim={optim!r} projects gradients of matrices: say which by optim_target_modules, 'all-linear' or names "
            "such as ['attn', 'mlp']"
        )
    if not isinstance(wanted, (str, list, tuple)):
        raise TypeError(f"optim_target_modules must be text or a list of it, got {wanted!r}")
    every = isinstance(wanted, str) and wanted.replace("_", "-") == "all-linear"
    found: list[Tensor] = []
    for name, module in model.named_modules():
        meant, by_pattern = (True, True) if every else check_target_module_exists(wanted, name, True)  # type: ignore[misc]
        if not isinstance(module, nn.Linear):
            if meant and not by_pattern:
                logger.warning("%s is in optim_target_modules, but is no linear layer: it is left out", name)
        elif meant and module.weight.requires_grad:
            found.append(module.weight)
    if not found:
        raise ValueError(f"optim_target_modules={wanted!r} means no trainable linear layer of {type(model).__name__}")
    return found
