"""What `datasets` made of a repository is found by ours, and the reverse: the cache folders and names are the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from enfold.datasets import Dataset, load_dataset
from enfold.datasets.errors import HubUnreachableError
from enfold.hub import HfApi
from enfold.hubserver import EmbeddedHub

pytestmark = pytest.mark.peer

PEER = """
import json, sys
from datasets import load_dataset
said = {}
for name in sys.argv[1:]:
    rows = load_dataset(name, split="train")
    said[name] = [rows[:], [item["filename"] for item in rows.cache_files], str(rows.features)]
print(json.dumps(said))
"""
CARD = "---\nconfigs:\n- config_name: de\n  data_files: de.csv\n  sep: ';'\n---\n"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """A Hub with repositories of several kinds, and the variables under which both libraries share one home."""
    with EmbeddedHub(tmp_path / "hub", durable=False) as server:
        variables = {
            "HF_ENDPOINT": server.endpoint,
            "HF_TOKEN": server.token,
            "HF_HUB_OFFLINE": "0",
            "HF_HOME": str(tmp_path / "home"),
        }
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        api = HfApi()
        for name, files in {
            "owner/lines": {"train.jsonl": b'{"a": 1, "t": "x"}\n{"a": 2, "t": "y"}\n'},
            "owner/lines2": {"train.jsonl": b'{"a": 3}\n'},
            "owner/table": {"de.csv": b"a;b\n1;x\n2;y\n", "README.md": CARD.encode()},
            "owner/table2": {"train.csv": b"a,b\n1,x\n", "test.csv": b"a,b\n2,y\n"},
        }.items():
            api.create_repo(name, repo_type="dataset")
            for path, content in files.items():
                api.upload_file(path_or_fileobj=content, path_in_repo=path, repo_id=name, repo_type="dataset")
        Dataset.from_dict({"n": [1, 2, 3]}, split="train").push_to_hub("owner/parquet")
        yield variables


def test_each_finds_what_the_other_made(
    hub: dict[str, str], peer: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = Path(hub["HF_HOME"]) / "datasets"
    theirs = peer(PEER, "owner/lines", "owner/table", "owner/parquet", variables=hub)
    written = {path: path.stat().st_mtime_ns for path in cache.rglob("*.arrow")}
    for name in ("owner/lines", "owner/table"):
        rows = load_dataset(name, split="train")
        assert [rows[:], [item["filename"] for item in rows.cache_files], str(rows.features)] == theirs[name]
    mine = {}
    for name in ("owner/lines2", "owner/table2"):
        rows = load_dataset(name, split="train")
        mine[name] = [rows[:], [item["filename"] for item in rows.cache_files], str(rows.features)]
    assert peer(PEER, *mine, variables=hub) == mine
    assert {path: path.stat().st_mtime_ns for path in written} == written, "nothing is made again"

    # without the Hub: what the other library made of a repository of which we have no file
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_CACHE", str(cache.parent / "nothing"))
    found = load_dataset("owner/parquet", split="train")
    assert found["n"][:] == [1, 2, 3] and [item["filename"] for item in found.cache_files] == theirs["owner/parquet"][1]
    assert load_dataset("owner/table2")["test"]["a"][:] == [2]
    with pytest.raises(ValueError, match=r"configurations \['de'\]"):
        load_dataset("owner/table", "fr")
    for options in ({"path": "owner/nothing"}, {"path": "owner/lines", "data_files": "train.jsonl"}):
        with pytest.raises(HubUnreachableError):
            load_dataset(**options)
