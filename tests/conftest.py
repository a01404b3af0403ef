"""What all tests share: an isolated home, one thread for torch, the peers' Python and the fixture Hub."""

from __future__ import annotations

import json
import os
import signal
import sqlite3  # noqa: F401  # before any test imports TensorFlow, whose own SQLite would take its place
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).resolve().parent
ROOT = TESTS.parent
PEERS = ROOT / ".peers"
PEER_PYTHON = PEERS / "models" / "bin" / "python"
sys.path.insert(0, str(TESTS))

# Before anything imports a library: no test reads the developer's caches or token, and none is slowed by threads that
# wait for each other. Fixtures wider than one test see this home; every test gets one of its own below.
for _name in [name for name in os.environ if name.startswith(("HF_", "HUGGING", "TRANSFORMERS_", "ENFOLD_"))]:
    del os.environ[_name]
# What tests and the programs they start leave behind lies in one folder, which goes with the session and which all
# processes that run its tests share.
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")
SESSION = Path(tempfile.gettempdir() if WORKER else tempfile.mkdtemp(prefix="enfold-tests-"))
SESSION.chmod(0o711)  # Postgres runs as a user of its own
os.environ["TMPDIR"] = tempfile.tempdir = str(SESSION)
os.environ["HF_HOME"] = str(SESSION / f"home{WORKER}")
os.environ["HF_HUB_DISABLE_XET"] = "1"  # large files go by LFS, except in tests of the other way
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["TOKENIZERS_PARALLELISM"] = "false"
# A run in a shell's background ignores Ctrl-C, and so would the programs that tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

FAILED = pytest.StashKey[bool]()


@pytest.fixture(autouse=True)
def hf_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty HF_HOME for every test, so that no cache carries over."""
    home = tmp_path / "hf_home"
    monkeypatch.setenv("HF_HOME", str(home))
    return home


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Note whether the folders of failed tests are to be kept."""
    session.config.stash[FAILED] = bool(exitstatus)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the session's folder; of a session that failed, all but what pytest keeps of its failed tests."""
    import shutil

    if WORKER:
        return
    for path in SESSION.iterdir():
        if not (config.stash.get(FAILED, False) and path.name.startswith("pytest-of-")):
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
    if not any(SESSION.iterdir()):
        SESSION.rmdir()


@pytest.fixture(scope="session")
def peer_python() -> Path:
    """The Python of the peers' environment; without it a developer's test is skipped and CI fails."""
    if not PEER_PYTHON.exists():
        message = "the peers' environment is missing: run `make peers`"
        if os.environ.get("CI", "").lower() in ("1", "true", "yes"):
            pytest.fail(message)
        pytest.skip(message)
    return PEER_PYTHON


@pytest.fixture(scope="session")
def peer(peer_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """Run a script with the ecosystem's own wheels: ``peer(script, *arguments, timeout=300, variables=None)``.

    ``script`` is a path or source text. ``arguments`` become ``sys.argv[1:]``: paths and strings as they are, anything
    else as JSON. The peers are offline unless ``variables`` say otherwise (``HF_HUB_OFFLINE="0"`` and an endpoint);
    these are added to the environment.

    The result is what the script prints as JSON on its last line. Arrays go into the file that the variable PEER_NPZ
    names (``numpy.savez``): then the result is a dictionary of them, with the printed JSON object, if there is one,
    merged in. ``environment`` names another section of peers.txt, for slow tests.
    """

    def run(
        script: str | Path,
        *arguments: Any,
        timeout: float = 300,
        variables: dict[str, str] | None = None,
        environment: str = "models",
    ) -> Any:
        python = PEERS / environment / "bin" / "python" if environment != "models" else peer_python
        if not python.exists():
            pytest.skip(f"the peers' environment {environment!r} is missing: run `python tools/peers.py {environment}`")
        folder = tmp_path_factory.mktemp("peer")
        if isinstance(script, str) and "\n" in script:
            (folder / "script.py").write_text(script, encoding="utf-8")
            script = folder / "script.py"
        arrays = folder / "arrays.npz"
        settings = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "HF_"))}
        settings |= {
            "HF_HOME": str(folder / "home"),
            "HF_HUB_OFFLINE": "1",
            "PEER_NPZ": str(arrays),
            "PYTHONIOENCODING": "utf-8",
            "TRANSFORMERS_VERBOSITY": "error",
            **(variables or {}),
        }
        texts = [str(item) if isinstance(item, (str, Path)) else json.dumps(item) for item in arguments]
        command = [str(python), str(script), *texts]
        done = subprocess.run(
            command, env=settings, cwd=folder, timeout=timeout, capture_output=True, stdin=subprocess.DEVNULL
        )
        out, errors = done.stdout.decode(), done.stderr.decode()
        assert done.returncode == 0, f"the peer's script failed:\n{errors[-4000:]}\n{out[-1000:]}"
        lines = out.strip().splitlines()
        if not arrays.exists():
            assert lines, f"the peer's script printed nothing\n{errors[-2000:]}"
            return json.loads(lines[-1])
        import numpy

        with numpy.load(arrays) as loaded:
            result: dict[str, Any] = dict(loaded)
        if lines and lines[-1].startswith("{"):
            result |= json.loads(lines[-1])
        return result

    return run


@pytest.fixture(scope="session")
def fixture_repositories(peer_python: Path) -> Path:
    """The folder of tiny repositories that the ecosystem's wheels wrote, ``models/OWNER/NAME`` and ``datasets/…``."""
    from fixture_hub.serve import repositories

    return repositories(peer_python)


@pytest.fixture(scope="session")
def fixture_hub(fixture_repositories: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A Hub that serves those repositories under their real ids: ``.endpoint``, ``.token``, ``.environment(home)``."""
    from fixture_hub.serve import fixture_hub as serve

    with serve(fixture_repositories, tmp_path_factory.mktemp("fixture_hub")) as hub:
        yield hub
