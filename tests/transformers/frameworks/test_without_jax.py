"""Without JAX its names are still there, and say which extra brings it."""

from __future__ import annotations

import subprocess
import sys

import pytest

USES = {
    "a model": "import enfold.transformers as t; t.FlaxBertModel",
    "an auto class": "from enfold.transformers import FlaxAutoModelForCausalLM",
    "tensors": "from enfold.transformers import BatchFeature; BatchFeature({'a': [1]}, tensor_type='jax')",
}


@pytest.mark.parametrize("use", USES)
def test_the_extra_is_named(use: str) -> None:
    code = f"""
import sys
sys.modules["jax"] = None
try:
    {USES[use]}
except ImportError as error:
    print(error)
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "enfold[jax]" in ended.stdout


def test_naming_the_classes_loads_neither_jax_nor_torch() -> None:
    code = """
import sys
import enfold.transformers as t
assert "FlaxBertForMaskedLM" in dir(t) and "FlaxAutoModel" in t.__all__
assert not {"jax", "torch", "numpy"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
