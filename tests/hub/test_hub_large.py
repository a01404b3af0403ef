"""Files and folders that are large go up and come back with a memory that does not grow with them."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from enfold.hubserver import EmbeddedHub

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

SIZE = 300_000_000
FILES = 5_000

CLIENT = r"""
import re, sys
from enfold.hub import HfApi, hf_hub_download, snapshot_download
what, repo, path = sys.argv[1:4]
api = HfApi()
if what == "up":
    api.create_repo(repo, exist_ok=True)
    api.upload_file(path_or_fileobj=path, path_in_repo="large.bin", repo_id=repo)
elif what == "down":
    hf_hub_download(repo, "large.bin", local_dir=path)
elif what == "folder":
    api.create_repo(repo, exist_ok=True)
    api.upload_large_folder(repo_id=repo, folder_path=path, repo_type="model", print_report=False)
else:
    snapshot_download(repo, local_dir=path)
print(int(re.search(r"VmHWM:\s+(\d+)", open("/proc/self/status").read())[1]) * 1024)  # since it was started itself
"""

Client = Callable[..., int]


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    """``client(what, repo, path, **variables)``: the most memory that a process of its own needed for it, in bytes."""
    with EmbeddedHub(tmp_path / "hub", durable=False) as server:

        def run(*words: Any, **variables: str) -> int:
            kept = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
            environment = {**kept, "HF_ENDPOINT": server.endpoint, "HF_TOKEN": server.token, **variables}
            environment |= {"HF_HOME": str(tmp_path / "home"), "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
            command = [sys.executable, "-c", CLIENT, *map(str, words)]
            done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900)
            assert done.returncode == 0, done.stderr[-3000:]
            return int(json.loads(done.stdout.splitlines()[-1]))

        yield run


@pytest.mark.parametrize(("way", "most"), [("lfs", 120_000_000), ("chunks", 600_000_000)])
def test_a_large_file_goes_and_comes(way: str, most: int, client: Client, tmp_path: Path) -> None:
    """By LFS nothing is kept but pieces; ``hf_xet`` keeps several packs of 64 MB, however large the file is."""
    source, digest = tmp_path / "source.bin", hashlib.sha256()
    with source.open("wb") as out:
        for _ in range(SIZE // 10_000_000):
            piece = os.urandom(10_000_000)
            digest.update(piece)
            out.write(piece)
    variables = {"HF_HUB_DISABLE_XET": str(int(way == "lfs"))}
    assert client("up", "owner/large", source, **variables) < most
    source.unlink()
    assert client("down", "owner/large", tmp_path / "out", **variables) < 250_000_000
    found = hashlib.sha256()
    with (tmp_path / "out" / "large.bin").open("rb") as file:
        while piece := file.read(10_000_000):
            found.update(piece)
    assert found.hexdigest() == digest.hexdigest()


def test_a_folder_of_many_files_goes_and_comes(client: Client, tmp_path: Path) -> None:
    folder, out = tmp_path / "folder", tmp_path / "out"
    for number in range(FILES):
        path = folder / f"{number // 1000}" / f"{number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"file {number}\n")
    assert client("folder", "owner/many", folder) < 200_000_000
    assert client("snapshot", "owner/many", out) < 200_000_000
    found = {path.relative_to(out): path.read_bytes() for path in out.rglob("*.txt")}
    assert found == {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.txt")}
    assert len(found) == FILES
