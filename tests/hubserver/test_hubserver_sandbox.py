"""Programs that are not the server's reach nothing of it, and use no more than they may."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from enfold.hubserver.sandbox import Bounds, Sandbox

root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give programs users of their own")


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    path = tmp_path / "data" / "secret"
    path.write_text("a secret")
    for folder in (tmp_path, *tmp_path.parents[:2]):
        if folder.stat().st_uid == os.getuid() and folder != Path("/tmp"):
            folder.chmod(0o755)
    return path


@pytest.fixture
def sandbox(secret: Path) -> Iterator[Sandbox]:
    sandbox = Sandbox([secret.parent])
    yield sandbox
    sandbox.close()


def run(sandbox: Sandbox, code: str, *, user: int = 7, timeout: float = 30, **bounds: object) -> str:
    command = [sys.executable, "-I", "-c", code]
    limits = Bounds(**bounds)  # type: ignore[arg-type]
    done = sandbox.run(command, sandbox.place(f"p{user}"), user=user, timeout=timeout, bounds=limits)
    return (done.stdout + done.stderr).decode()


def test_a_program_has_none_of_the_servers_variables(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    said = run(sandbox, "import os; print(sorted(os.environ))")
    assert "HOME" in said and "HF_TOKEN" not in said


def test_a_program_finds_our_packages(sandbox: Sandbox) -> None:
    assert "hello" in run(sandbox, "import enfold.gradio, pyarrow; print('hello')")


@root
def test_a_program_sees_no_folder_of_the_server(sandbox: Sandbox, secret: Path) -> None:
    said = run(sandbox, f"import os; print(os.getuid(), os.getgroups()); print(open({str(secret)!r}).read())")
    assert said.startswith("200007 []") and "a secret" not in said
    assert "PermissionError" in said or "FileNotFoundError" in said
    assert "PermissionError" in run(sandbox, "open('/etc/shadow')")
    assert "FileNotFoundError" in run(sandbox, f"open('/proc/{os.getpid()}/cmdline')")
    assert secret.read_text() == "a secret"  # it is hidden from the program alone
    assert Path(f"/proc/{os.getpid()}/cmdline").read_bytes()


@root
def test_programs_do_not_reach_each_others_folders(sandbox: Sandbox) -> None:
    mine = sandbox.place("mine")
    (mine / "note").write_text("private")
    sandbox.run([sys.executable, "-I", "-c", ""], mine, user=1, timeout=30)
    said = run(sandbox, f"print(open({str(mine / 'note')!r}).read())", user=2)
    assert "PermissionError" in said


@root
def test_a_program_without_a_network_reaches_no_address(sandbox: Sandbox) -> None:
    code = "import socket; s = socket.socket(); s.settimeout(5); s.connect(('127.0.0.1', {}))"
    import socket

    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        assert "OSError" in run(sandbox, code.format(port)) or "unreachable" in run(sandbox, code.format(port))
        assert run(sandbox, code.format(port), network=True) == ""


def test_a_program_uses_no_more_than_it_may(sandbox: Sandbox) -> None:
    assert "MemoryError" in run(sandbox, "x = bytearray(1 << 30)", memory=500 << 20)
    assert "Errno 27" in run(
        sandbox, "import signal; signal.signal(25, 1); open('x', 'wb').write(bytes(9999))", file=99
    )
    place = sandbox.place("busy")
    busy = [sys.executable, "-I", "-c", "while True: pass"]
    assert sandbox.run(busy, place, user=1, timeout=30, bounds=Bounds(seconds=1)).returncode < 0
    with pytest.raises(subprocess.TimeoutExpired):
        sandbox.run([sys.executable, "-I", "-c", "import time; time.sleep(60)"], place, user=1, timeout=1)


@root
def test_a_program_cannot_become_anybody_else(sandbox: Sandbox) -> None:
    code = "import os\ntry:\n    os.setuid(0)\nexcept PermissionError:\n    print('no')\n"
    code += "import subprocess; print(subprocess.run(['mount', '-t', 'tmpfs', 'x', '/mnt']).returncode != 0)"
    assert run(sandbox, code).startswith("no") and "True" in run(sandbox, code)
