"""The laws that hold for the whole house: light imports, no torch where none belongs, honest faces."""

import importlib
import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import enfold
from processor import slowness

WITHOUT_TORCH = ["hub", "tokenizers", "datasets", "gradio", "hubserver", "evaluate", "web", "cli"]
FACES = ["accelerate", "datasets", "diffusers", "evaluate", "gradio", "hub", "optimum", "peft", "tokenizers"]
FACES += ["transformers", "trl"]


def python(code: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.alone
def test_importing_enfold_takes_at_most_50_ms() -> None:
    code = "import time; start = time.perf_counter(); import enfold; print(time.perf_counter() - start)"
    assert min(float(python(code)) for _ in range(5)) <= 0.05 * slowness()


@pytest.mark.parametrize("name", FACES)
def test_importing_a_face_loads_nothing_heavy(name: str) -> None:
    code = """
    import importlib, json, sys
    importlib.import_module(f"enfold.{sys.argv[1]}")
    heavy = {"torch", "numpy", "pyarrow", "httpx", "pandas", "PIL", "starlette", "sqlalchemy", "jinja2", "yaml"}
    print(json.dumps(sorted(heavy & set(sys.modules))))
    """
    assert json.loads(python(code, name)) == []


@pytest.mark.parametrize("name", WITHOUT_TORCH)
def test_no_module_of_a_package_without_torch_loads_it(name: str) -> None:
    code = """
    import importlib, pkgutil, sys
    package = importlib.import_module(f"enfold.{sys.argv[1]}")
    for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not found.name.endswith(("__main__", "formats.torch")):
            importlib.import_module(found.name)
    assert "torch" not in sys.modules
    """
    python(code, name)


@pytest.mark.parametrize("name", FACES)
def test_every_exported_name_is_there(name: str) -> None:
    package = importlib.import_module(f"enfold.{name}")
    for exported in package.__all__:
        getattr(package, exported)
        assert exported in dir(package)


def test_a_misspelt_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(AttributeError, match=r"no attribute 'AutoTokenizr'; did you mean 'AutoTokenizer'\?"):
        _ = importlib.import_module("enfold.transformers").AutoTokenizr


def test_a_plain_module_with_a_face_can_be_asked_for_names_that_it_lacks() -> None:
    assert not hasattr(importlib.import_module("enfold.accelerate.utils"), "no_such_helper")


def test_submodules_can_be_reached_as_attributes() -> None:
    assert importlib.import_module("enfold").log is importlib.import_module("enfold.log")


def test_every_package_ships_its_types() -> None:
    assert any((Path(folder) / "py.typed").is_file() for folder in enfold.__path__)


def test_every_module_can_be_imported() -> None:
    code = """
    import importlib, pkgutil, enfold
    for found in pkgutil.walk_packages(enfold.__path__, "enfold."):
        if not found.name.endswith("__main__") and ".site" not in found.name:
            importlib.import_module(found.name)
    """
    python(code)  # in a process of its own: importing enfold.dropin switches it on
