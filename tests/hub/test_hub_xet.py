"""Uploads as chunks through our client."""

from __future__ import annotations

import io
import os
import random
from pathlib import Path

import pytest

from enfold import hub
from enfold.hub import CommitOperationAdd, HfApi
from enfold.hubserver import EmbeddedHub

CONTENT = random.Random(1).randbytes(3_000_000)


@pytest.fixture(autouse=True)
def chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_DISABLE_XET")


def test_files_bytes_and_streams_are_uploaded_as_chunks(
    api: HfApi, repo_id: str, server: EmbeddedHub, tmp_path: Path
) -> None:
    path = tmp_path / "path.bin"
    path.write_bytes(CONTENT)
    changed = CONTENT[:1_000_000] + b"inserted" + CONTENT[1_000_000:]
    commit = api.create_commit(
        repo_id,
        [
            CommitOperationAdd("path.bin", path),
            CommitOperationAdd("bytes.bin", changed),
            CommitOperationAdd("stream.bin", io.BytesIO(CONTENT[::-1])),
            CommitOperationAdd("small.txt", b"small"),
        ],
        commit_message="Chunks",
    )
    assert commit.oid == api.model_info(repo_id).sha
    found = {entry.path: entry for entry in api.list_repo_tree(repo_id)}
    for name, content in {"path.bin": CONTENT, "bytes.bin": changed, "stream.bin": CONTENT[::-1]}.items():
        assert found[name].xet_hash and len(found[name].xet_hash) == 64  # type: ignore[union-attr]
        assert Path(hub.hf_hub_download(repo_id, name)).read_bytes() == content
    assert found["small.txt"].xet_hash is None  # type: ignore[union-attr]
    before = _stored(server)
    again = changed[:2_000_000] + b"and more" + changed[2_000_000:]
    api.upload_file(path_or_fileobj=again, path_in_repo="bytes.bin", repo_id=repo_id)
    assert 0 < _stored(server) - before < len(CONTENT) / 3, "of a change only its neighbourhood is sent"
    assert Path(hub.hf_hub_download(repo_id, "bytes.bin")).read_bytes() == again


def _stored(server: EmbeddedHub) -> int:
    return sum(found.size for found in server.hub.xet.objects.list())


def test_a_proposal_is_uploaded_as_chunks(api: HfApi, repo_id: str, server: EmbeddedHub) -> None:
    guest = HfApi(token=server.create_user("proposes-chunks"))
    content = os.urandom(200_000)
    made = guest.upload_file(path_or_fileobj=content, path_in_repo="w.bin", repo_id=repo_id, create_pr=True)
    assert Path(hub.hf_hub_download(repo_id, "w.bin", revision=made.pr_revision)).read_bytes() == content
    assert api.get_paths_info(repo_id, "w.bin", revision=made.pr_revision)[0].xet_hash  # type: ignore[union-attr]


def test_git_lfs_is_used_where_chunks_are_not_wanted(api: HfApi, repo_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
    api.upload_file(path_or_fileobj=CONTENT[:500_000], path_in_repo="w.bin", repo_id=repo_id)
    entry = api.get_paths_info(repo_id, "w.bin")[0]
    assert entry.lfs is not None and entry.xet_hash is None  # type: ignore[union-attr]
    assert Path(hub.hf_hub_download(repo_id, "w.bin")).read_bytes() == CONTENT[:500_000]


def test_an_upload_that_is_not_allowed_says_so(api: HfApi, repo_id: str, server: EmbeddedHub) -> None:
    guest = HfApi(token=server.create_user("may-not-write"))
    with pytest.raises(OSError, match="don't have the rights"):
        guest.upload_file(path_or_fileobj=CONTENT[:200_000], path_in_repo="w.bin", repo_id=repo_id)
