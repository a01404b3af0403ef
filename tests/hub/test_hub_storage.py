"""What repositories take up, copies of them, short histories and the headers of weights, through our client."""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path
from typing import Any

import pytest

from enfold import hub
from enfold.hub import (
    CommitOperationAdd,
    CommitOperationCopy,
    HfApi,
    NotASafetensorsRepoError,
    SafetensorsParsingError,
)
from enfold.hub.errors import EntryNotFoundError, HfHubHTTPError
from enfold.hubserver import EmbeddedHub
from enfold.hubserver.maintenance import check


def weights(**shapes: list[int]) -> bytes:
    """A safetensors file of zeros."""
    header, at = {"__metadata__": {"format": "pt"}}, 0
    for name, shape in shapes.items():
        size = 4
        for length in shape:
            size *= length
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [at, at + size]}  # type: ignore[dict-item]
        at += size
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(at)


def test_a_history_is_made_short(api: HfApi, repo_id: str, server: EmbeddedHub) -> None:
    for number in range(3):
        api.upload_file(path_or_fileobj=str(number).encode(), path_in_repo=f"{number}.txt", repo_id=repo_id)
    files = api.list_repo_files(repo_id)
    for _ in range(2):  # the second time within the same second
        api.super_squash_history(repo_id, commit_message="All of it")
        (only,) = api.list_repo_commits(repo_id)
        assert only.title == "All of it" and api.list_repo_files(repo_id) == files
    api.upload_file(path_or_fileobj=b"x", path_in_repo="x.txt", repo_id=repo_id)
    assert len(api.list_repo_commits(repo_id)) == 2 and check(server.hub).problems == []
    with pytest.raises(HfHubHTTPError):
        api.super_squash_history(repo_id, branch="none")


def test_a_repository_is_copied_with_its_history(api: HfApi, repo_id: str, server: EmbeddedHub) -> None:
    api.upload_file(path_or_fileobj=weights(a=[100, 100]), path_in_repo="model.safetensors", repo_id=repo_id)
    api.upload_file(path_or_fileobj=b"---\nlicense: mit\n---\n", path_in_repo="README.md", repo_id=repo_id)
    api.create_tag(repo_id, tag="v1")
    copy = api.duplicate_repo(repo_id, f"{repo_id}-copy", private=True)
    assert copy.repo_id == f"{repo_id}-copy" and api.model_info(copy.repo_id).private
    assert api.model_info(copy.repo_id).sha == api.model_info(repo_id).sha
    assert "license:mit" in (api.model_info(copy.repo_id).tags or [])
    assert [tag.name for tag in api.list_repo_refs(copy.repo_id).tags] == ["v1"]
    api.delete_repo(repo_id)
    assert Path(hub.hf_hub_download(copy.repo_id, "model.safetensors")).stat().st_size > 40_000
    assert api.duplicate_repo(copy.repo_id, copy.repo_id, exist_ok=True) == copy
    with pytest.raises(HfHubHTTPError, match="already"):
        api.duplicate_repo(copy.repo_id, copy.repo_id)
    stranger = HfApi(token=server.create_user("copies"))
    with pytest.raises(HfHubHTTPError):
        stranger.duplicate_repo(copy.repo_id)
    assert check(server.hub).problems == []


@pytest.mark.parametrize("rewrite", [True, False])
def test_large_files_are_listed_and_taken_out(api: HfApi, repo_id: str, server: EmbeddedHub, rewrite: bool) -> None:
    for name, fill in (("keep.bin", b"k"), ("drop.bin", b"d")):
        api.upload_file(path_or_fileobj=fill * 100_000, path_in_repo=name, repo_id=repo_id)
    api.create_tag(repo_id, tag="v1")
    api.delete_file("keep.bin", repo_id=repo_id)
    found = {item.filename: item for item in api.list_lfs_files(repo_id)}
    assert found["drop.bin"].size == 100_000 and found["drop.bin"].ref == "refs/heads/main"
    assert found["keep.bin"].ref == "refs/tags/v1", "where it is still to be had"
    before = [commit.commit_id for commit in api.list_repo_commits(repo_id)]
    api.permanently_delete_lfs_files(repo_id, [found["drop.bin"]], rewrite_history=rewrite)
    assert api.list_repo_files(repo_id) == [".gitattributes"]
    assert [item.size for item in api.list_lfs_files(repo_id)] == [100_000]
    after = [commit.commit_id for commit in api.list_repo_commits(repo_id)]
    tagged = api.list_repo_files(repo_id, revision="v1")
    if rewrite:
        assert len(after) == len(before) and after[-2:] == before[-2:] and after[0] != before[0]
        assert tagged == [".gitattributes", "keep.bin"], "no tag leads to it any more"
        assert not api.revision_exists(repo_id, before[0])
    else:
        assert after[1:] == before and "drop.bin" in tagged
    assert check(server.hub).problems == []
    with pytest.raises(HfHubHTTPError, match="no large file"):
        api.permanently_delete_lfs_files(repo_id, [found["drop.bin"]])


def test_what_a_namespace_holds_is_told(api: HfApi, repo_id: str, server: EmbeddedHub) -> None:
    api.upload_file(path_or_fileobj=bytes(500_000), path_in_repo="w.bin", repo_id=repo_id)
    mine = {item.id: item for item in api.list_user_repos()}
    assert mine[repo_id].storage == 500_000 and mine[repo_id].type == "model" and 0 < mine[repo_id].storage_percent <= 1
    server.create_organisation("storage-team")
    api.create_repo("storage-team/rows", repo_type="dataset", private=True)
    (team,) = api.list_user_repos("storage-team")
    assert (team.id, team.type, team.visibility, team.storage) == ("storage-team/rows", "dataset", "private", 0)
    with pytest.raises(HfHubHTTPError, match="no member"):
        list(HfApi(token=server.create_user("no-member")).list_user_repos("storage-team"))


def test_files_are_copied_from_another_repository(api: HfApi, repo_id: str, server: EmbeddedHub) -> None:
    large, other = weights(a=[300_000]), f"{repo_id}-from"
    api.create_repo(other, repo_type="dataset", private=True)
    for name, data in {"w.safetensors": large, "same.safetensors": large, "a.txt": b"small"}.items():
        api.upload_file(path_or_fileobj=data, path_in_repo=f"in/{name}", repo_id=other, repo_type="dataset")
    copies = [
        CommitOperationCopy(f"in/{name}", f"out/{name}", src_repo_id=other, src_repo_type="dataset")
        for name in ("w.safetensors", "same.safetensors", "a.txt")
    ]
    done = api.create_commit(repo_id, [*copies, CommitOperationAdd("b.txt", b"b")], commit_message="Copy")
    files = api.list_repo_files(repo_id, revision=done.oid)
    assert files == [".gitattributes", "b.txt", "out/a.txt", "out/same.safetensors", "out/w.safetensors"]
    assert Path(api.hf_hub_download(repo_id, "out/w.safetensors")).read_bytes() == large
    assert Path(api.hf_hub_download(repo_id, "out/a.txt")).read_bytes() == b"small"
    with pytest.raises(EntryNotFoundError, match="no file"):
        gone = CommitOperationCopy("none", "x", src_repo_id=other, src_repo_type="dataset")
        api.create_commit(repo_id, [gone], commit_message="x")

    def given(client: HfApi, sha256: str, target: str, kind: str = "model") -> Any:
        body = {"target": {"type": kind, "name": target}, "files": [{"sha256": sha256, "filename": "x"}]}
        return client._send("POST", f"{client.endpoint}/api/datasets/{other}/lfs-files/duplicate", None, json=body)

    digest = hashlib.sha256(large).hexdigest()
    assert given(api, digest, repo_id).json() == {"failed": []}
    assert [item["sha256"] for item in given(api, "0" * 64, repo_id).json()["failed"]] == ["0" * 64]
    thief = HfApi(endpoint=api.endpoint, token=server.create_user("copying"))
    thief.create_repo("copying/loot")
    with pytest.raises(HfHubHTTPError, match="404"):  # who cannot read the one
        given(thief, digest, "copying/loot")
    api.update_repo_settings(other, repo_type="dataset", visibility="public")
    with pytest.raises(HfHubHTTPError, match="403"):  # or write to the other
        given(thief, digest, repo_id)
    assert given(thief, digest, "copying/loot").json() == {"failed": []}
    with pytest.raises(HfHubHTTPError, match="400"):
        given(api, digest, repo_id, kind="nonsense")


def test_tags_are_grouped(api: HfApi, repo_id: str) -> None:
    card = b"---\nlicense: apache-2.0\ntags: [grouped-here]\n---\n"
    api.upload_file(path_or_fileobj=card, path_in_repo="README.md", repo_id=repo_id)
    tags = api.get_model_tags()
    assert {"id": "license:apache-2.0", "label": "apache-2.0", "type": "license"} in tags["license"]
    assert "grouped-here" in [tag["label"] for tag in tags["other"]]
    assert "license" not in api.get_dataset_tags() or api.get_dataset_tags() != tags


def test_headers_of_weights_are_read_alone(api: HfApi, repo_id: str, tmp_path: Path) -> None:
    api.upload_file(path_or_fileobj=weights(a=[3, 5], b=[7]), path_in_repo="model.safetensors", repo_id=repo_id)
    told = api.get_safetensors_metadata(repo_id)
    assert told.parameter_count == {"F32": 22} and not told.sharded and told.metadata is None
    file = told.files_metadata["model.safetensors"]
    assert file.tensors["a"].shape == [3, 5] and file.tensors["b"].data_offsets == (60, 88)
    assert file.metadata == {"format": "pt"} and told.weight_map == dict.fromkeys("ab", "model.safetensors")
    many = weights(**{f"layer.{number}.weight": [2] for number in range(3000)})  # a header longer than is read at once
    (tmp_path / "many.safetensors").write_bytes(many)
    assert len(hub.parse_local_safetensors_file_metadata(tmp_path / "many.safetensors").tensors) == 3000
    parts = {"one.safetensors": many, "two.safetensors": weights(c=[4])}
    api.create_repo(f"{repo_id}-parts")
    index = {"metadata": {"total_size": 1}, "weight_map": {"c": "two.safetensors", "layer.0.weight": "one.safetensors"}}
    for name, content in {**parts, "model.safetensors.index.json": json.dumps(index).encode()}.items():
        api.upload_file(path_or_fileobj=content, path_in_repo=name, repo_id=f"{repo_id}-parts")
    told = api.get_safetensors_metadata(f"{repo_id}-parts")
    assert told.sharded and told.metadata == {"total_size": 1} and told.parameter_count == {"F32": 6004}
    at_once = api.get_sharded_safetensors_metadata(f"{repo_id}-parts")
    assert at_once.files_metadata == told.files_metadata and at_once.metadata == told.metadata
    assert at_once.weight_map["c"] == "two.safetensors" and len(at_once.weight_map) == 3001
    for name, status in [("none.json", 404), ("one.safetensors", 422), ("broken.json", 422), ("gone.json", 404)]:
        if name in ("broken.json", "gone.json"):
            other = {"weight_map": {"a": "model.safetensors.index.json" if name == "broken.json" else "nowhere"}}
            api.upload_file(path_or_fileobj=json.dumps(other).encode(), path_in_repo=name, repo_id=f"{repo_id}-parts")
        with pytest.raises(HfHubHTTPError, match=str(status)):
            api.get_sharded_safetensors_metadata(f"{repo_id}-parts", filename=name)
    api.create_repo(f"{repo_id}-none")
    with pytest.raises(NotASafetensorsRepoError, match="neither"):
        api.get_safetensors_metadata(f"{repo_id}-none")
    for content in (b"", b"\xff" * 100, struct.pack("<Q", 10) + b"not json!!", struct.pack("<Q", 10) + b"{}"):
        (tmp_path / "bad").write_bytes(content)
        with pytest.raises(SafetensorsParsingError):
            hub.parse_local_safetensors_file_metadata(tmp_path / "bad")
