"""Fill an embedded Hub with the fixture's repositories, through the client that users have."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from enfold.hubserver import EmbeddedHub

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache"

# One-segment ids of the old Hub: both spellings reach the one repository.
ALIASES = (
    ("model", "bert-base-uncased", "google-bert/bert-base-uncased"),
    (
        "model",
        "distilbert-base-uncased-finetuned-sst-2-english",
        "distilbert/distilbert-base-uncased-finetuned-sst-2-english",
    ),
    ("model", "gpt2", "openai-community/gpt2"),
    ("dataset", "imdb", "stanfordnlp/imdb"),
)


@dataclass(frozen=True)
class FixtureHub:
    """A running Hub with the fixture's repositories: its address, a token that may write, and the server."""

    endpoint: str
    token: str
    server: EmbeddedHub

    def environment(self, home: Path, **more: str) -> dict[str, str]:
        """Return a process environment that knows this Hub and nothing else, with ``home`` as its cache folder."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "ENFOLD_"))}
        return {**kept, "HF_ENDPOINT": self.endpoint, "HF_TOKEN": self.token, "HF_HOME": str(home), **more}


def repositories(python: Path) -> Path:
    """Return the folder with the fixture's files, written by the peers' ``python`` unless they are up to date."""
    here = Path(__file__).parent
    written = [path for path in sorted(here.glob("*.py")) if path.name not in ("__init__.py", "serve.py")]
    sources = [*written, ROOT / "tests" / "peers.txt"]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()
    folder, stamp = CACHE / "fixture_hub", CACHE / "fixture_hub" / ".stamp"
    CACHE.mkdir(exist_ok=True)
    with open(CACHE / "fixture_hub.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if stamp.exists() and stamp.read_text() == digest:
            return folder
        made = Path(tempfile.mkdtemp(dir=CACHE))
        try:
            command = [python, here / "build.py", made, CACHE / "packages"]
            kept = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
            environment = {**kept, "HF_HUB_OFFLINE": "1", "HF_HOME": str(made / "home"), "OMP_NUM_THREADS": "1"}
            done = subprocess.run(command, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL)
            if done.returncode:
                raise RuntimeError(f"the fixture repositories could not be written:\n{done.stderr[-4000:]}")
            shutil.rmtree(made / "home", ignore_errors=True)
            (made / ".stamp").write_text(digest)
            shutil.rmtree(folder, ignore_errors=True)
            made.rename(folder)
        finally:
            shutil.rmtree(made, ignore_errors=True)
    return folder


@contextlib.contextmanager
def fixture_hub(files: Path, folder: Path) -> Iterator[FixtureHub]:
    """Serve the repositories in ``files`` from a Hub that keeps its state in ``folder``."""
    from enfold.hub import HfApi
    from enfold.hubserver import EmbeddedHub

    with EmbeddedHub(folder, durable=False) as server:
        api = HfApi(endpoint=server.endpoint, token=server.token)
        for kind in ("model", "dataset"):
            for path in sorted((files / f"{kind}s").glob("*/*")):
                repo_id = f"{path.parent.name}/{path.name}"
                api.create_repo(repo_id, repo_type=kind)
                api.upload_folder(repo_id=repo_id, repo_type=kind, folder_path=path, commit_message="Fill the fixture")
        for kind, old, new in ALIASES:
            server.add_alias(old, new, repo_type=kind)
        yield FixtureHub(server.endpoint, server.token, server)
