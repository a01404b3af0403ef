"""The wheel in an empty environment: the base without torch, then the README's examples."""

import configparser
import os
import re
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = re.findall(
    r"^\*\*(.+?)\*\*.*?```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE
)

QUICK = ("--quiet", "--disable-pip-version-check", "--no-compile")  # most of what is installed is never imported


def call(*command: str | Path, **env: str) -> str:
    clean = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    done = subprocess.run(command, capture_output=True, text=True, env=clean | env)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    options = ["--quiet", "--disable-pip-version-check", "--no-build-isolation", "--no-deps"]
    call(sys.executable, "-m", "pip", "wheel", *options, "-w", folder, ROOT)
    return next(folder.glob("enfold-*.whl"))


@pytest.fixture(scope="session")
def empty_environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new environment with the wheel and its base dependencies, and nothing of this checkout."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    install = [python, "-m", "pip", "install", *QUICK, "-c", ROOT / "constraints.txt"]
    call(*install, wheel)
    return python


def test_the_wheel_holds_the_package_its_core_and_its_types_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert any(re.fullmatch(r"enfold/_native\..*so", name) for name in names)
    assert {"enfold/py.typed", "enfold/dropin/site/sitecustomize.py", "enfold/gradio/ui/core/page.js"} <= set(names)
    assert all(name.startswith(("enfold/", "enfold-")) for name in names)
    (points,) = [name for name in names if name.endswith("entry_points.txt")]
    said = configparser.ConfigParser()
    said.read_string(zipfile.ZipFile(wheel).read(points).decode())
    assert {name: dict(said[name]) for name in said.sections()} == {
        "console_scripts": {"enfold": "enfold.cli:main"},
        "fsspec.specs": {"hf": "enfold.hub.filesystem.HfFileSystem"},
    }


def test_the_base_works_without_torch(empty_environment: Path, tmp_path: Path) -> None:
    code = """
import importlib.util, enfold
from enfold import evaluate
from enfold.datasets import Dataset
from enfold.hub import HfApi
from enfold.tokenizers import Tokenizer
from enfold.transformers import AutoConfig, AutoTokenizer
assert importlib.util.find_spec("torch") is None
assert Dataset.from_dict({"a": [1, 2]})[1] == {"a": 2}
assert evaluate.load("accuracy").compute(predictions=[1], references=[1]) == {"accuracy": 1.0}
try:
    from enfold.transformers import AutoModel
    AutoModel.from_pretrained("anywhere")
except ImportError as error:
    assert "torch" in str(error), error
else:
    raise SystemExit("no error without torch")
try:
    from enfold.transformers import BertModel
except ImportError as error:
    assert "enfold[torch]" in str(error), error
"""
    call(empty_environment, "-c", code, HF_HOME=str(tmp_path))
    assert "enfold" in call(empty_environment.with_name("enfold"), "--version")


@pytest.fixture(scope="session")
def full_environment(empty_environment: Path, wheel: Path) -> Path:
    """The same environment with the extras that the README's examples name."""
    install = ["-m", "pip", "install", *QUICK, "-c", ROOT / "constraints.txt"]
    call(empty_environment, *install, f"{wheel}[torch,server,vision]")
    return empty_environment


def test_the_readme_has_its_examples() -> None:
    assert len(EXAMPLES) >= 6
    assert all(len([line for line in code.splitlines() if line.strip()]) <= 10 for _, code in EXAMPLES)


@pytest.mark.parametrize(("title", "code"), EXAMPLES, ids=[title for title, _ in EXAMPLES])
def test_the_readme_examples_run(
    title: str, code: str, full_environment: Path, fixture_hub: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "example.py"
    script.write_text(code)
    monkeypatch.chdir(tmp_path)
    endpoint, token = fixture_hub.endpoint, fixture_hub.token  # type: ignore[attr-defined]
    shown = call(full_environment, script, HF_ENDPOINT=endpoint, HF_TOKEN=token, HF_HOME=str(tmp_path / "home"))
    assert shown.strip() or "save_pretrained" in code
