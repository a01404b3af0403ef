"""The official client keeps large files in our Hub as chunks: it sends a change alone, and reads what it sent."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from enfold import hub
from enfold.hubserver import EmbeddedHub

pytestmark = pytest.mark.peer

PEER = r"""
import json, sys
from pathlib import Path
from huggingface_hub import HfApi, hf_hub_download, snapshot_download

folder, cache = Path(sys.argv[1]), sys.argv[2]
api, said = HfApi(), {}
api.create_repo("peer/chunks")
whole = bytearray((folder / "whole.bin").read_bytes())
api.upload_file(path_or_fileobj=folder / "whole.bin", path_in_repo="whole.bin", repo_id="peer/chunks")
Path(cache, "first").touch()
whole[5_000_000:5_000_000] = b"insert!"
api.upload_file(path_or_fileobj=bytes(whole), path_in_repo="changed.bin", repo_id="peer/chunks")
Path(cache, "second").touch()
api.upload_folder(repo_id="peer/chunks", folder_path=folder, path_in_repo="again")
said["files"] = api.list_repo_files("peer/chunks")
def read(name):
    return (folder / name).read_bytes()

said["same"] = [Path(hf_hub_download("peer/chunks", "changed.bin")).read_bytes() == bytes(whole),
                Path(hf_hub_download("peer/chunks", "again/small.npy")).read_bytes() == read("small.npy"),
                Path(snapshot_download("peer/chunks"), "whole.bin").read_bytes() == read("whole.bin")]
said["xet"] = [x.xet_hash for x in api.get_paths_info("peer/chunks", ["whole.bin", "again/whole.bin", "changed.bin"])]
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def told(peer: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What the client says, how many bytes the store took for each upload, and the running Hub."""
    import numpy as np

    root = tmp_path_factory.mktemp("xet")
    folder, cache = root / "folder", root / "cache"
    for made in (folder, cache):
        made.mkdir()
    numbers = np.random.default_rng(0).normal(size=4_000_000).astype("f4").tobytes()
    (folder / "whole.bin").write_bytes(numbers + b"hello world " * 200_000)
    (folder / "small.npy").write_bytes(numbers[:300_000])
    with EmbeddedHub(root / "hub", durable=False) as running, pytest.MonkeyPatch.context() as patch:
        sizes = _sizes(running, cache)
        variables = {
            "HF_ENDPOINT": running.endpoint,
            "HF_TOKEN": running.token,
            "HF_HOME": str(cache),
            "HF_HUB_OFFLINE": "0",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        }
        said = peer(PEER, folder, cache, variables=variables)
        patch.setenv("HF_ENDPOINT", running.endpoint)
        patch.setenv("HF_TOKEN", running.token)
        yield said, folder, sizes


def _sizes(running: EmbeddedHub, cache: Path) -> dict[str, int]:
    """Return a dictionary that fills with the bytes of xorbs taken, by the upload that they came with."""
    sizes = {"first": 0, "second": 0, "third": 0}
    store = running.hub.xet
    upload = store.upload

    def counted(*what: str) -> Any:
        made = upload(*what)
        feed = made.feed

        def count(data: bytes) -> None:
            step = "third" if (cache / "second").exists() else "second" if (cache / "first").exists() else "first"
            sizes[step] += len(data)
            feed(data)

        made.feed = count  # type: ignore[method-assign]
        return made

    store.upload = counted  # type: ignore[method-assign]
    return sizes


def test_the_official_client_reads_what_it_uploaded(told: Any) -> None:
    said, _, _ = told
    assert said["same"] == [True, True, True]
    assert said["files"] == [
        ".gitattributes", "again/small.npy", "again/whole.bin", "changed.bin", "whole.bin",
    ]  # fmt: skip
    whole, again, changed = said["xet"]
    assert whole == again != changed and len(whole) == 64


def test_a_change_sends_less_than_a_hundredth(told: Any) -> None:
    _, folder, sizes = told
    whole = (folder / "whole.bin").stat().st_size
    assert whole * 0.7 < sizes["first"] < whole
    assert 0 < sizes["second"] < whole / 100, json.dumps(sizes)
    assert sizes["third"] < 300_000 + whole / 100, "what the Hub has is not sent again"


def test_our_client_reads_it_too(told: Any) -> None:
    _, folder, _ = told
    found = Path(hub.hf_hub_download("peer/chunks", "whole.bin"))
    assert found.read_bytes() == (folder / "whole.bin").read_bytes()
