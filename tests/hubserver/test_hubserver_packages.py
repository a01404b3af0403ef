"""A Space's packages are its own, and are installed only where the operator lets them."""

from __future__ import annotations

import io
import os
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from enfold.hub import HfApi
from enfold.hubserver import EmbeddedHub

PROGRAM = """
import os, socket
try:
    import only_mine
    print("found", only_mine.NAME, flush=True)
except ImportError:
    print("found nothing", flush=True)
with socket.create_server(("127.0.0.1", int(os.environ["GRADIO_SERVER_PORT"]))) as server:
    while True:
        server.accept()[0].close()
"""


def wheel(name: str) -> bytes:
    """Return a package of one module."""
    made, info = io.BytesIO(), "only_mine-1.0.dist-info"
    with zipfile.ZipFile(made, "w") as out:
        out.writestr("only_mine.py", f"NAME = {name!r}\n")
        out.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: only-mine\nVersion: 1.0\n")
        out.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        out.writestr(f"{info}/RECORD", "")
    return made.getvalue()


Runs = Callable[[str, dict[str, bytes]], list[str]]


@pytest.fixture(params=[True, False], ids=["allowed", "not allowed"])
def hub(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EmbeddedHub]:
    spaces = "separate" if os.geteuid() == 0 else "trusted"
    with EmbeddedHub(tmp_path / "hub", durable=False, spaces=spaces, space_packages=request.param) as hub:
        yield hub


@pytest.fixture
def runs(hub: EmbeddedHub) -> Runs:
    """``runs(name, files)``: the log of a Space once its program runs, or has failed."""
    api = HfApi(endpoint=hub.endpoint, token=hub.token)

    def run(name: str, files: dict[str, bytes]) -> list[str]:
        api.create_repo(name, repo_type="space", space_sdk="gradio", exist_ok=True)
        for path, data in {"app.py": PROGRAM.encode(), **files}.items():
            api.upload_file(path_or_fileobj=data, path_in_repo=path, repo_id=name, repo_type="space")
        api.restart_space(name)
        deadline = time.monotonic() + 120
        while api.get_space_runtime(name).stage in {"BUILDING", "APP_STARTING"} and time.monotonic() < deadline:
            time.sleep(0.1)
        space = next(one for one in hub.hub.spaces.all() if one.name == name)
        return [line.partition(" ")[2] for line in space.lines_after(0)[1]] + [space.stage, space.problem]

    return run


def test_what_is_asked_for_is_installed_for_that_space_alone(hub: EmbeddedHub, runs: Runs) -> None:
    name, file = "owner/one", "only_mine-1.0-py3-none-any.whl"
    said = runs(name, {file: wheel("first"), "requirements.txt": f"./{file}\n".encode()})
    page = HfApi(endpoint=hub.endpoint, token=hub.token)
    assert page.space_info(name).id == name
    if not hub.hub.settings.space_packages:
        assert "found nothing" in said and any("--space-packages" in line for line in said)
        return
    assert "found first" in said and "RUNNING" in said
    assert "found nothing" in runs("owner/other", {})
    again = runs(name, {"notes.txt": b"changed"})
    assert "found first" in again and not any("installing" in line for line in again), "it stays while nothing changes"
    broken = runs(name, {"requirements.txt": b"./nowhere-1.0-py3-none-any.whl\n"})
    assert "RUNTIME_ERROR" in broken and any("could not be installed" in line for line in broken)
