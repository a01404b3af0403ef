"""Arrays and trees of JAX, to and from torch's tensors."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch

from enfold.nn.outputs import ModelOutput
from enfold.transformers.frameworks.behind import array
from enfold.transformers.frameworks.flax_names import nested, to_flax

__all__ = ["Tree", "as_input", "computing", "in_type", "plain", "registered", "seed_of", "tensor_of", "tree_of"]

Tree = Mapping[str, Any]


def tensor_of(x: Any) -> torch.Tensor:
    """Return an array of JAX as torch's tensor."""
    array = np.asarray(x)
    if array.dtype.name == "bfloat16":
        return torch.from_numpy(array.astype(np.float32)).to(torch.bfloat16)
    return torch.from_numpy(np.array(array))


def tree_of(model: Any, places: Mapping[str, Any]) -> dict[str, Any]:
    """Return a torch model's weights as a tree in Flax's layout."""
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    return nested(
        {
            place.path: jnp.asarray(to_flax(array(tensors[name], jnp.bfloat16), place.turned))
            for name, place in places.items()
        }
    )


def computing(x: Any, dtype: Any) -> Any:
    """Return weights in the type of the computation; whole numbers as they are."""
    return x.astype(dtype) if jnp.issubdtype(x.dtype, jnp.floating) and x.dtype != dtype else x


def in_type(params: Tree, dtype: Any, mask: Any) -> Any:
    """Return a tree of weights in a type, those alone where ``mask``, a tree of booleans, is True."""

    def cast(x: Any, chosen: bool = True) -> Any:
        return x.astype(dtype) if chosen and jnp.issubdtype(x.dtype, jnp.floating) else x

    whole = plain(params)
    return jax.tree.map(cast, whole) if mask is None else jax.tree.map(cast, whole, mask)


def plain(tree: Any) -> Any:
    """Return a tree of plain dictionaries, whatever mappings it came as."""
    return {name: plain(part) for name, part in tree.items()} if isinstance(tree, Mapping) else tree


def as_input(value: Any) -> Any:
    """Return an array of a type that programs take."""
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().numpy()
    return jnp.asarray(value)


def seed_of(rng: Any) -> int:
    """Return a seed of torch's generators for a key of ``jax.random`` or a whole number."""
    if isinstance(rng, int):
        return rng
    data = jax.random.key_data(rng) if jnp.issubdtype(rng.dtype, jax.dtypes.prng_key) else rng
    return int(np.asarray(data).astype(np.uint32).view(np.uint32)[-1])


@cache
def registered(kind: type[ModelOutput]) -> type[ModelOutput]:
    """Return an output class, known to JAX as a tree, so that jitted functions may return it."""
    jax.tree_util.register_pytree_with_keys(
        kind,
        lambda output: (
            tuple((jax.tree_util.DictKey(name), value) for name, value in output.items()),
            tuple(output.keys()),
        ),
        lambda names, values: _rebuilt(kind, names, values),
    )
    return kind


def _rebuilt(kind: Any, names: tuple[str, ...], values: Any) -> Any:
    return kind(**dict(zip(names, values, strict=True)))
