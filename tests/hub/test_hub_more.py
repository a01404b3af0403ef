"""Revisions with commits, commits by a clock and in the background, addresses, webhooks' functions, and shards."""

from __future__ import annotations

import json
import pickle
import time
from pathlib import Path

import httpx
import pytest

from enfold import hub
from enfold.hub import HfApi
from enfold.hub.errors import HfUriError, RevisionResolutionError
from enfold.hubserver import EmbeddedHub


def test_a_resolved_revision_stays_at_its_commit(api: HfApi, repo_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    api.upload_file(path_or_fileobj=b"one", path_in_repo="a.txt", repo_id=repo_id)
    revision = api.resolve_revision(repo_id)
    api.upload_file(path_or_fileobj=b"two", path_in_repo="a.txt", repo_id=repo_id)
    assert revision == "main" and pickle.loads(pickle.dumps(revision)).resolved == revision.resolved
    assert Path(hub.hf_hub_download(repo_id, "a.txt", revision=revision)).read_text() == "one"
    assert Path(hub.snapshot_download(repo_id, revision=revision), "a.txt").read_text() == "one"
    other = api.create_repo(f"{repo_id}-other").repo_id
    assert api.resolve_revision(other, revision=revision).resolved != revision.resolved
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert HfApi().resolve_revision(repo_id).resolved == revision.resolved  # as it was asked for last
    with pytest.raises(RevisionResolutionError, match="not in the cache"):
        HfApi().resolve_revision(repo_id, revision="dev", local_files_only=True)


def test_a_dry_run_downloads_nothing(api: HfApi, repo_id: str, cache: Path) -> None:
    api.upload_file(path_or_fileobj=b"one", path_in_repo="a.txt", repo_id=repo_id)
    told = hub.hf_hub_download(repo_id, "a.txt", dry_run=True)
    assert (told.file_size, told.is_cached, told.will_download) == (3, False, True)
    assert [item.filename for item in hub.snapshot_download(repo_id, dry_run=True)] == [".gitattributes", "a.txt"]
    assert not list(cache.rglob("a.txt"))
    path = hub.hf_hub_download(repo_id, "a.txt")
    again = hub.hf_hub_download(repo_id, "a.txt", dry_run=True)
    assert again.local_path == path and again.is_cached and not again.will_download


def test_a_folder_is_checked_against_the_hub(api: HfApi, repo_id: str, tmp_path: Path) -> None:
    api.upload_file(path_or_fileobj=b"one", path_in_repo="a.txt", repo_id=repo_id)
    api.upload_file(path_or_fileobj=b"\0" * 20_000_000, path_in_repo="b.bin", repo_id=repo_id)
    folder = Path(hub.snapshot_download(repo_id, local_dir=tmp_path / "out"))
    (folder / "a.txt").write_text("two")
    (folder / "more.txt").touch()
    (folder / ".gitattributes").unlink()
    found = api.verify_repo_checksums(repo_id, local_dir=folder)
    assert found.checked_count == 2 and [(item.path, item.algorithm) for item in found.mismatches] == [
        ("a.txt", "git-sha1")
    ]
    assert (found.missing_paths, found.extra_paths) == ([".gitattributes"], ["more.txt"])
    with pytest.raises(ValueError, match="not on this machine"):
        api.verify_repo_checksums(repo_id)


def test_calls_in_the_background_come_in_their_order(api: HfApi, repo_id: str) -> None:
    futures = [
        api.upload_file(path_or_fileobj=b"%d" % n, path_in_repo="a.txt", repo_id=repo_id, run_as_future=True)
        for n in range(3)
    ]
    last = api.run_as_future(api.repo_info, repo_id)
    assert futures[2].result().oid == last.result().sha
    assert Path(hub.hf_hub_download(repo_id, "a.txt")).read_text() == "2"
    with pytest.raises(ValueError, match="commit_message"):
        api.create_commit(repo_id, [], commit_message="", run_as_future=True).result()


def test_a_folder_is_committed_as_it_grows(api: HfApi, repo_id: str, tmp_path: Path) -> None:
    folder = tmp_path / "log"
    with hub.CommitScheduler(repo_id=repo_id, folder_path=folder, every=60, path_in_repo="logs") as scheduler:
        while scheduler.last_future is None:  # the first commit, of an empty folder
            time.sleep(0.01)
        assert scheduler.last_future.result() is None
        with scheduler.lock:
            (folder / "a.txt").write_text("one\n")
            (folder / "skip.tmp").touch()
        first = scheduler.trigger().result()
        assert first is not None and scheduler.trigger().result() is None
        time.sleep(0.01)
        with (folder / "a.txt").open("a") as file:
            file.write("two\n")
    assert Path(hub.hf_hub_download(repo_id, "logs/a.txt")).read_text() == "one\ntwo\n"
    assert "logs/skip.tmp" not in api.list_repo_files(repo_id)
    assert scheduler.trigger().result() is None
    with pytest.raises(ValueError, match="above 0"):
        hub.CommitScheduler(repo_id=repo_id, folder_path=folder, every=0)


def test_only_what_a_file_had_is_committed(tmp_path: Path) -> None:
    from enfold.hub.scheduler import _Changed

    path = tmp_path / "a"
    path.write_bytes(b"x" * 100_000)
    content = _Changed("a", path, 70_000, 0.0).content()
    path.write_bytes(b"y" * 200_000)
    operation = hub.CommitOperationAdd("a", content)
    assert operation.size == 70_000 and b"".join(operation.chunks(30_000)) == b"y" * 70_000
    assert len(operation.sample()) == 512


@pytest.mark.parametrize(
    ("text", "kind", "name", "revision", "path"),
    [
        ("hf://me/x", "model", "me/x", None, ""),
        ("hf://datasets/me/x@refs/pr/1/a/b.txt", "dataset", "me/x", "refs/pr/1", "a/b.txt"),
        ("hf://spaces/me/x@dev%2Fone/app.py", "space", "me/x", "dev/one", "app.py"),
        ("https://huggingface.co/me/x/blob/main/a.txt", "model", "me/x", "main", "a.txt"),
        ("https://huggingface.co/datasets/me/x", "dataset", "me/x", None, ""),
        ("hf.co/me/x/tree/refs%2Fpr%2F1/a%20b", "model", "me/x", "refs/pr/1", "a b"),
        ("hf://kernels/me/x@v1", "kernel", "me/x", "v1", ""),
        ("hf://buckets/me/x/a/b.txt", "bucket", "me/x", None, "a/b.txt"),
        ("https://huggingface.co/buckets/me/x/tree/a", "bucket", "me/x", None, "a"),
    ],
)
def test_addresses_of_repositories(text: str, kind: str, name: str, revision: str | None, path: str) -> None:
    found = hub.parse_hf_uri(text)
    assert (found.type, found.id, found.revision, found.path_in_repo) == (kind, name, revision, path)
    assert hub.parse_hf_uri(found.to_uri()) == found
    assert hub.parse_hf_uri(found.to_url()) == found or (path and revision is None and kind != "bucket")


def test_a_place_is_mounted_in_a_folder() -> None:
    for text in ("hf://models/me/x@main/a:/data/b", "hf://buckets/me/x:/data:ro", "hf://datasets/me/x:/d:rw"):
        found = hub.parse_hf_mount(text)
        assert found.to_uri() == text and hub.is_hf_uri(found.source.to_uri())
    for text in ("me/x:/data", "hf://me/x", "hf://me/x:/", "hf://me/x:data", "hf://me/x:ro", "hf://x:/data"):
        with pytest.raises(HfUriError):
            hub.parse_hf_mount(text)


@pytest.mark.parametrize(
    "text",
    [
        "me/x",
        "hf://x",
        "hf://me/..",
        "https://elsewhere.org/me/x",
        "hf://me/x//a",
        "hf://bucket/me/x",
        "hf://buckets/me/x@v1",
        "hf://me/x@",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(HfUriError):
        hub.parse_hf_uri(text)


def test_webhooks_call_functions(server: EmbeddedHub, api: HfApi, repo_id: str) -> None:
    seen: list[hub.WebhookPayload] = []
    app = hub.WebhooksServer(webhook_secret="s")

    @app.add_webhook
    async def changed(payload: hub.WebhookPayload) -> dict[str, str]:
        seen.append(payload)
        return {"name": payload.repo.name}

    @app.add_webhook("/plain/")
    def plain(payload: dict) -> int:  # type: ignore[type-arg]
        return len(payload)

    with pytest.raises(ValueError, match="already"):
        app.add_webhook("changed")(plain)
    app.launch(prevent_thread_lock=True, server_port=0)
    try:
        said = {"event": {"action": "update", "scope": "repo"}, "repo": {"name": "me/x", "owner": {"id": "1"}}}
        answer = httpx.post(f"{app.local_url}/webhooks/changed", json=said, headers={"x-webhook-secret": "s"})
        assert answer.json() == {"name": "me/x"} and seen[0].event.action == "update" and seen[0].repo.owner.id == "1"
        assert httpx.post(f"{app.local_url}/webhooks/plain", json=said, headers={"x-webhook-secret": "s"}).json() == 2
        assert httpx.post(f"{app.local_url}/webhooks/changed", json=said).status_code == 401
        wrong = httpx.post(f"{app.local_url}/webhooks/changed", json=said, headers={"x-webhook-secret": "x"})
        assert wrong.status_code == 403
        broken = httpx.post(f"{app.local_url}/webhooks/changed", content=b"x", headers={"x-webhook-secret": "s"})
        assert broken.status_code == 422
    finally:
        app.close()


def test_weights_in_shards(tmp_path: Path) -> None:
    import torch

    state = {"a": torch.zeros(4), "b": torch.ones(40), "c": torch.zeros(4), "d": torch.ones(4)}
    state["e"] = state["a"]
    split = hub.split_torch_state_dict_into_shards(state, max_shard_size=40)
    assert split.is_sharded and split.metadata == {"total_size": 208}
    assert list(split.filename_to_tensors.values()) == [["b"], ["a", "e", "c"], ["d"]] or list(
        split.filename_to_tensors.values()
    ) == [["a", "e", "c"], ["b"], ["d"]]
    hub.save_torch_state_dict(state, tmp_path, max_shard_size=40)
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    header = hub.get_local_safetensors_metadata(tmp_path)
    assert header.sharded and header.weight_map == index["weight_map"]
    module = torch.nn.ParameterDict({name: torch.empty_like(value) for name, value in state.items() if name != "e"})
    found = hub.load_torch_model(module, tmp_path)
    assert found.missing_keys == found.unexpected_keys == [] and torch.equal(module["b"], state["b"])
