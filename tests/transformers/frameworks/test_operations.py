"""Each framework's operations give what ATen's give, and stand in files of the same name."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest
import torch

from enfold.transformers import frameworks
from enfold.transformers.frameworks.graph import DType
from enfold.transformers.frameworks.operations import FAMILIES, Table, joined

from .operation_cases import CASES

FRAMEWORKS = {"jax": "jax_ops", "tensorflow": "tensorflow_ops"}
ARRAYS = {"jax": ("jax.numpy", "asarray"), "tensorflow": ("tensorflow", "constant")}
MISSING: dict[str, set[str]] = {"tensorflow": {"aten.bucketize", "aten.take_along_dim"}, "jax": set()}


def _given(value: Any, array: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return array(value.numpy())
    if isinstance(value, torch.dtype):
        return DType(str(value).removeprefix("torch."))
    return [_given(part, array) for part in value] if isinstance(value, list) else value


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize(("op", "args", "kwargs"), CASES, ids=[f"{case[0]}-{at}" for at, case in enumerate(CASES)])
def test_as_aten(framework: str, op: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    pytest.importorskip(framework)
    table = importlib.import_module(f"enfold.transformers.frameworks.{FRAMEWORKS[framework]}").TABLE
    name = str(op).rpartition(".")[0]
    if name in MISSING[framework]:
        assert name not in table
        return
    module, word = ARRAYS[framework]
    array = getattr(importlib.import_module(module), word)
    wanted = op(*args, **kwargs)
    given = {name: _given(value, array) for name, value in kwargs.items()}
    found = table[name](*(_given(arg, array) for arg in args), **given)
    pairs = zip(found, wanted, strict=True) if isinstance(wanted, tuple | list) else [(found, wanted)]
    for ours, theirs in pairs:
        made = np.asarray(ours)
        assert made.shape == tuple(theirs.shape)
        assert np.issubdtype(made.dtype, np.floating) == theirs.dtype.is_floating_point
        np.testing.assert_allclose(made, theirs.numpy(), atol=2e-5, rtol=2e-5)


def test_an_operation_is_in_the_same_file_of_every_framework() -> None:
    homes: list[dict[str, str]] = []
    for framework, package in FRAMEWORKS.items():
        pytest.importorskip(framework)
        place = f"{frameworks.__name__}.{package}"
        homes.append({op: name for name in FAMILIES for op in importlib.import_module(f"{place}.{name}").OPS})
    for one in homes:
        assert len(one) > 150
    for op in homes[0].keys() & homes[1].keys():
        assert homes[0][op] == homes[1][op], op


def test_an_operation_has_one_function() -> None:
    first, second = Table(), Table()
    first.add(exp=np.exp)
    with pytest.raises(ValueError, match=r"aten\.exp has a function"):
        first.op("exp")(np.exp)
    second.op("log", "exp")(np.log)
    with pytest.raises(ValueError, match=r"two families have aten\.exp"):
        joined(first, second)
