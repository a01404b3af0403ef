"""Flax's names and layouts of weights, and torch's: one rule for all families.

The tree has the torch model's path, each part a level, and at its end Flax's word for the weight:

* a linear layer's ``weight`` (O, I) is ``kernel`` (I, O); GPT-2's ``Conv1D`` is turned round too, as in its Flax port;
* a convolution's ``weight`` (O, I, …) is ``kernel`` (…, I, O);
* an embedding's is ``embedding``, a layer norm's ``scale``; an RMS norm's stays ``weight``;
* a batch norm's is ``scale``, and its running numbers are ``mean`` and ``var`` in a tree of their own,
  ``batch_stats``, beside ``params``;
* shared weights stand once, under their first name; other parameters, and buffers that files hold, keep theirs.

Way back, the word alone tells what to do, so that a file can be read before the model is known.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from torch import Tensor, nn

from enfold.nn.conv import Conv1D
from enfold.transformers.frameworks.graph import leaves

__all__ = ["Place", "flat", "flax_places", "nested", "to_flax", "to_torch", "torch_names"]

Path = tuple[str, ...]
_BATCH_STATS = {"running_mean": "mean", "running_var": "var"}
_NORMS = (nn.LayerNorm, nn.GroupNorm, nn.modules.batchnorm._BatchNorm)
_TURNED = (nn.Linear, Conv1D, nn.modules.conv._ConvNd)


class Place(NamedTuple):
    """Where a torch weight is in Flax: its path, and whether its dimensions are turned round."""

    path: Path
    turned: bool


def flax_places(model: nn.Module) -> dict[str, Place]:
    """Return torch name → place of every weight, each shared one once.

    Example:
        >>> flax_places(nn.Sequential(nn.Linear(2, 3)))
        {'0.weight': Place(path=('0', 'kernel'), turned=True), '0.bias': Place(path=('0', 'bias'), turned=False)}
    """
    held = set(model.state_dict(keep_vars=True))
    places = {}
    batched = any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in model.modules())
    for name in leaves(model):
        owner, _, leaf = name.rpartition(".")
        if name not in held or leaf == "num_batches_tracked":
            continue
        part = model.get_submodule(owner)
        word, turned, tree = leaf, False, "params"
        if leaf == "weight" and isinstance(part, nn.Embedding):
            word = "embedding"
        elif leaf == "weight" and isinstance(part, _NORMS):
            word = "scale"
        elif leaf == "weight" and isinstance(part, _TURNED):
            word, turned = "kernel", True
        elif leaf in _BATCH_STATS and isinstance(part, nn.modules.batchnorm._BatchNorm):
            word, tree = _BATCH_STATS[leaf], "batch_stats"
        path = (*(owner.split(".") if owner else ()), word)
        places[name] = Place((tree, *path) if batched else path, turned)
    return places


def torch_names(tree: Mapping[str, Any]) -> dict[Path, tuple[str, bool]]:
    """Return path → torch name and whether dimensions are to be turned round, by the words of the paths alone.

    Example:
        >>> torch_names({"dense": {"kernel": 0, "bias": 0}})
        {('dense', 'kernel'): ('dense.weight', True), ('dense', 'bias'): ('dense.bias', False)}
    """
    found = {}
    back = {new: old for old, new in _BATCH_STATS.items()}
    for path in flat(tree):
        head, *rest = path
        statistics = head == "batch_stats"
        names = list(rest) if head in ("params", "batch_stats") and rest else list(path)
        word = names[-1]
        if word in ("kernel", "embedding", "scale"):
            names[-1] = "weight"
        elif statistics:
            names[-1] = back.get(word, word)
        found[path] = (".".join(names), word == "kernel")
    return found


def to_flax(x: Any, turned: bool) -> Any:
    """Turn a torch weight's dimensions round: (O, I) → (I, O), (O, I, K) → (K, I, O), (O, I, H, W) → (H, W, I, O)."""
    if not turned:
        return x
    order = (2, 3, 1, 0) if x.ndim == 4 else tuple(reversed(range(x.ndim)))
    return x.permute(order) if isinstance(x, Tensor) else x.transpose(order)


def to_torch(x: Any, turned: bool) -> Any:
    """Undo ``to_flax``."""
    if not turned:
        return x
    order = (3, 2, 0, 1) if x.ndim == 4 else tuple(reversed(range(x.ndim)))
    return x.permute(order) if isinstance(x, Tensor) else x.transpose(order)


def nested(leaves: Mapping[Path, Any]) -> dict[str, Any]:
    """Return path → value as nested dictionaries.

    Example:
        >>> nested({("a", "b"): 1, ("c",): 2})
        {'a': {'b': 1}, 'c': 2}
    """
    tree: dict[str, Any] = {}
    for (*above, leaf), value in leaves.items():
        level = tree
        for name in above:
            level = level.setdefault(name, {})
        level[leaf] = value
    return tree


def flat(tree: Mapping[str, Any]) -> dict[Path, Any]:
    """Return nested dictionaries as path → value: ``nested`` undone."""
    found: dict[Path, Any] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            found.update({(name, *path): one for path, one in flat(value).items()})
        else:
            found[(name,)] = value
    return found
