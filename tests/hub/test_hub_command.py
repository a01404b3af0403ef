"""``enfold hub`` on a terminal."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from enfold.hubserver import EmbeddedHub

Run = Callable[..., subprocess.CompletedProcess[str]]
COMMAND = [sys.executable, "-c", "from enfold.cli import main; main()", "hub"]


@pytest.fixture
def run(server: EmbeddedHub, hf_home: Path) -> Run:
    def call(*arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "HF_ENDPOINT": server.endpoint, "HF_TOKEN": server.token, **variables}
        return subprocess.run(
            [*COMMAND, *map(str, arguments)],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )

    return call


def test_upload_download_and_the_cache(run: Run, server: EmbeddedHub, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.txt").write_text("a")
    (tmp_path / "folder" / "b.log").write_text("b")
    done = run("upload", "owner/by-command", tmp_path / "folder", "--exclude", "*.log", "-m", "By command")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{server.endpoint}/owner/by-command/commit/")
    assert run("upload", "owner/by-command", tmp_path / "folder" / "b.log", "logs/b.log").returncode == 0
    one = run("download", "owner/by-command", "a.txt")
    assert Path(one.stdout.strip()).read_text() == "a"
    every = run("download", "owner/by-command", "--local-dir", tmp_path / "out")
    assert Path(every.stdout.strip()) == tmp_path / "out" and (tmp_path / "out" / "logs" / "b.log").exists()
    listed = run("cache", "ls").stdout
    assert re.search(r"model +owner/by-command +\d+ +1 +main", listed), listed
    assert run("repo", "delete", "owner/by-command", "--yes").returncode == 0
    gone = run("download", "owner/by-command", "a.txt", HF_HOME=str(tmp_path / "empty"))
    assert gone.returncode == 1 and "repository not found" in gone.stderr and "Traceback" not in gone.stderr


def test_who_and_where(run: Run, server: EmbeddedHub, hf_home: Path) -> None:
    assert run("whoami").stdout.startswith(f"owner on {server.endpoint} (token: write)\n")
    assert run("repo", "create", "owner/made-by-command", "--private").stdout.strip().endswith("/owner/made-by-command")
    assert run("repo", "create", "owner/made-by-command", "--exist-ok").returncode == 0
    assert "already" in run("repo", "create", "owner/made-by-command").stderr
    assert run("login", "--token", server.create_user("typist"), HF_TOKEN="").returncode == 0
    assert run("whoami", HF_TOKEN="").stdout.startswith("typist on ")
    assert run("logout", HF_TOKEN="").returncode == 0
    nobody = run("whoami", HF_TOKEN="")
    assert nobody.returncode == 1 and "enfold hub login" in nobody.stderr
    unreachable = run("whoami", HF_ENDPOINT="http://127.0.0.1:9")
    assert unreachable.returncode == 1 and "cannot reach http://127.0.0.1:9" in unreachable.stderr
    assert "Traceback" not in unreachable.stderr


def test_serve_prints_a_token_once_and_stops_on_ctrl_c(tmp_path: Path) -> None:
    tokens = []
    for extra in ([], [], ["--new-token"]):
        command = [*COMMAND, "serve", str(tmp_path / "data"), "--port", "0", *extra]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stdout is not None and process.stderr is not None
        lines = []
        while not lines or not lines[-1].startswith("Use it"):
            lines.append(process.stdout.readline())
            assert lines[-1], process.stderr.read()
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=20)
        assert process.returncode == 0 and "Traceback" not in errors and "Stopped" in rest
        tokens.append(re.findall(r"hf_\w+", "".join(lines)))
    assert [len(found) for found in tokens] == [1, 0, 1]
    assert tokens[0] != tokens[2]


def test_help_is_there_for_every_command() -> None:
    names = ["serve", "upload", "download", "whoami", "login", "logout", "repo", "cache"]
    shown = subprocess.run([*COMMAND, "--help"], capture_output=True, text=True).stdout
    assert all(re.search(rf"\b{name}\b", shown) for name in names)


def test_everyday_verbs(run: Run, server: EmbeddedHub, api: object, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.txt").write_text("a")
    assert run("upload-large-folder", "owner/verbs", tmp_path / "folder").returncode == 0
    assert run("repos", "tag", "create", "owner/verbs", "v1", "-m", "One").returncode == 0
    assert run("repo", "tag", "list", "owner/verbs").stdout.startswith("v1  ")
    assert run("repo", "branch", "create", "owner/verbs", "dev").returncode == 0
    assert run("download", "owner/verbs", "a.txt").returncode == 0
    assert run("cache", "verify", "owner/verbs").stdout.startswith("1 files of ")
    assert "owner/verbs" in run("models", "ls", "--author", "owner", "--search", "verbs").stdout
    assert "/commit/" in run("repo-files", "delete", "owner/verbs", "*.txt").stdout
    assert run("cache", "rm", "model/owner/verbs", "--yes").stdout.endswith("Deleted.\n")
    assert "0 repositories" in run("cache", "scan").stdout
    gone = run("cache", "rm", "owner/none", "--yes")
    assert gone.returncode == 2 and "not in the cache" in gone.stderr
    assert run("repo", "settings", "owner/verbs", "--private").returncode == 0
    assert run("repo", "move", "owner/verbs", "owner/verbs-moved").returncode == 0
    assert run("auth", "login", "--token", server.token, HF_TOKEN="").returncode == 0
    assert run("auth", "list", HF_TOKEN="").stdout.startswith("* owner")
    assert run("auth", "switch", "--token-name", "owner", HF_TOKEN="").returncode == 0
    assert run("auth", "whoami", HF_TOKEN="").stdout.startswith("owner on ")
    assert run("version").stdout.startswith("enfold ")
