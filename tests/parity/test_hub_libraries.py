"""``transformers`` and ``datasets`` upload to our Hub, download from it and list it, on every client they run on.

The models' part is seed programs 05 and 26 in the words of the official clients. ``transformers`` 5 runs on clients
from 1.31 on, so that 1.33 borrows it; ``transformers`` 4 runs on 0.36; 1.19 has none that fits, and moves the files
itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from enfold.hub import HfApi
from enfold.hubserver import EmbeddedHub

pytestmark = pytest.mark.peer

PEERS = Path(__file__).parents[2] / ".peers"
SLOW = pytest.mark.slow
# environment → the client, and the transformers in it
MODELS = {
    "models": ("2.4.0", "5.23.0"),
    "hub-1.33": ("1.33.0", "5.23.0"),
    "hub-1.19": ("1.19.0", None),
    "transformers4": ("0.36.0", "4.57.6"),
}
EVERYDAY = {("models", "chunks")}


def _cases(environments: Any) -> list[Any]:
    cases = [(environment, way) for environment in environments for way in ("chunks", "lfs")]
    return [pytest.param(*case, marks=() if case in EVERYDAY else SLOW, id="-".join(case)) for case in cases]


def _run(peer: Callable[..., Any], hub: Any, part: str, environment: str, way: str) -> tuple[Any, str]:
    space = f"by-{environment.replace('.', '-')}-{way}"
    variables = {
        "HF_ENDPOINT": hub.endpoint,
        "HF_TOKEN": hub.token,
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_XET": str(int(way == "lfs")),
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "OMP_NUM_THREADS": "1",
    }
    lent = sorted((PEERS / "models").glob("lib/python*/site-packages")) if environment == "hub-1.33" else []
    script = Path(__file__).with_name("library_uses.py")
    return peer(script, part, space, *lent, variables=variables, environment=environment), space


@pytest.mark.parametrize(("environment", "way"), _cases(MODELS))
def test_transformers_and_the_client_run_the_seed_programs(
    environment: str, way: str, peer: Callable[..., Any], fixture_hub: Any, fixture_repositories: Path
) -> None:
    said, space = _run(peer, fixture_hub, "models", environment, way)
    client, transformers = MODELS[environment]
    assert (said["version"], said.get("transformers")) == (client, transformers)
    assert said["user"] == "owner" and said["datasets"] == 2
    assert "distilbert/distilbert-base-uncased-finetuned-sst-2-english" in [name for name, _ in said["classifiers"]]
    assert [count for _, count in said["classifiers"]] == sorted((n for _, n in said["classifiers"]), reverse=True)
    assert "google-bert/bert-base-uncased" in said["found"]
    assert {"config.json", "model.safetensors"} <= set(said["files"]) and said["config"] == "bert"
    assert (said["hello"], said["license"], said["kinds"]) == ("hello", "apache-2.0", [True] * 3)
    api = HfApi(endpoint=fixture_hub.endpoint, token=fixture_hub.token)
    if transformers is None:
        weights = fixture_repositories / "models" / "google-bert" / "bert-base-uncased" / "model.safetensors"
        assert said["hashes"] == [hashlib.sha256(weights.read_bytes()).hexdigest()]
    else:
        assert said["same"] and said["absent"]
        assert said["secret"] == [True, ["By a pull request"]]
        assert "v1.0" in [tag.name for tag in api.list_repo_refs(f"{space}/tagged").tags]
        files = api.list_repo_files(f"{space}/my-model-name")
        assert {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"} <= set(files)
    stored = api.get_paths_info(f"{space}/my-folder", "model.safetensors")[0]
    assert stored.lfs is not None and (way == "lfs" or stored.xet_hash is not None)


@pytest.mark.parametrize(("environment", "way"), _cases(["models", "hub-1.33"]))
def test_datasets_pushes_and_reads_tables(environment: str, way: str, peer: Callable[..., Any], tmp_path: Path) -> None:
    with EmbeddedHub(tmp_path / "hub", durable=False) as hub:
        said, space = _run(peer, hub, "tables", environment, way)
    assert (said["version"], said["datasets"]) == (MODELS[environment][0], "5.2.0")
    shards = [f"data/train-0000{number}-of-00003.parquet" for number in range(3)]
    files = {*shards, "data/test-00000-of-00001.parquet", "small/train-00000-of-00001.parquet", "README.md"}
    assert files <= set(said["files"])
    assert said["titles"][0] == "A small one" and said["titles"][-1] == "initial commit"
    assert said["configurations"] == ["default", "small"]
    assert said["rows"] == {"train": 800, "test": 100} and said["names"] == ["no", "yes"] and said["same"]
    assert said["stream"] == [f"row {number}" for number in range(10)]
    assert (said["again"], said["before"]) == (5, 10)
    assert said["proposed"] == [["default", "proposed", "small"], ["default", "small"]]
    assert said["by path"] == 2 and said["listed"] == [f"{space}/tables"] and said["private"]
    assert said["left"] == ["default"]
