"""Every version of the official client works with our Hub, with chunks (hf_xet) and without, and sees the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from enfold.hubserver import EmbeddedHub

pytestmark = pytest.mark.peer

# Environment → the version in it.
VERSIONS = {"models": "2.4.0", "hub-1.33": "1.33.0", "hub-1.19": "1.19.0", "hub-0.36": "0.36.0"}
CASES = [(name, way) for name in VERSIONS for way in ("chunks", "lfs")]
LARGE = 40_000 * 32


def _space(environment: str, way: str) -> str:
    return f"by-{environment.replace('.', '-')}-{way}"


@pytest.fixture(scope="module")
def told(peer: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """``told(environment, way)``: what a client was answered; two clients run at a time, all on one Hub."""
    root = tmp_path_factory.mktemp("clients")
    with EmbeddedHub(root / "hub", durable=False) as running, ThreadPoolExecutor(2) as pool:

        def run(environment: str, way: str) -> Any:
            variables = {
                "HF_ENDPOINT": running.endpoint,
                "HF_TOKEN": running.token,
                "HF_HUB_OFFLINE": "0",
                "HF_HUB_DISABLE_XET": str(int(way == "lfs")),
                "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            }
            script = Path(__file__).with_name("client_uses.py")
            return peer(script, _space(environment, way), variables=variables, environment=environment)

        found: dict[tuple[str, str], Future[Any]] = {case: pool.submit(run, *case) for case in CASES}
        yield lambda *case: found[case].result()


@pytest.mark.parametrize(("environment", "way"), CASES)
def test_a_client_of_any_version_uses_the_hub(environment: str, way: str, told: Any) -> None:
    said, space = told(environment, way), _space(environment, way)
    repo = f"{space}/model"
    assert said["version"] == VERSIONS[environment] and said["who"] == "owner"
    assert said["url"].endswith(f"/{repo}")
    assert said["history"][0] == "Three at once" and said["history"][-2:] == ["A folder", "initial commit"]
    assert said["head"]
    files = ["README.md", "bytes.bin", "config.json", "copy.safetensors", "new.txt", "opened.bin"]
    assert said["files"] == [".gitattributes", *files, "sub/weights.safetensors"]
    assert {said["sizes"][name] for name in said["files"] if name.endswith((".bin", ".safetensors"))} == {LARGE}
    assert said["config"] == '{"model_type": "bert"}' and said["same"] == [True] * 5 and said["tail"]
    assert said["local"] == ["config.json"]
    assert said["ls"] == [f"{repo}/sub/weights.safetensors"]
    assert sorted(said["glob"]) == [f"{repo}/by-fs.txt", f"{repo}/new.txt"]
    assert said["refs"] == [["dev", "main"], ["v1"]]
    assert said["pull request"] == ["draft", "merged", True] or said["pull request"] == ["open", "merged", True]
    assert len(said["talks"]) == 1
    assert said["listed"] == said["sorted"] == [repo]
    assert said["dataset"] == [".gitattributes", "x.txt"] and said["space"] == [".gitattributes", "README.md", "x.txt"]
    assert said["large folder"]
    assert said["left"] == sorted([".gitattributes", *files, "pr.txt"])
    assert said["moved"] == [f"{space}/moved", "new"]
    absent, revision, none, token, exists, stale = said["errors"]
    assert absent[0] in ("RemoteEntryNotFoundError", "EntryNotFoundError") and absent[1] == 404
    assert revision == ["RevisionNotFoundError", 404] and none == ["RepositoryNotFoundError", 404]
    assert token[1] == 401 and exists == ["HfHubHTTPError", 409] and stale == ["HfHubHTTPError", 412]
    assert said["gone"] is False


def test_all_versions_see_the_same(told: Any) -> None:
    def plain(environment: str, way: str) -> dict[str, Any]:
        found = {
            name: value for name, value in told(environment, way).items() if name not in ("version", "url", "errors")
        }
        return {name: str(value).replace(_space(environment, way), "space") for name, value in found.items()}

    first = plain(*CASES[0])
    for case in CASES[1:]:
        assert plain(*case) == first
