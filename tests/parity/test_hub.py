"""The official client uses our Hub as it uses its own, and shares one cache with our client."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from enfold import hub
from enfold.hub import HfApi
from enfold.hubserver import EmbeddedHub

pytestmark = pytest.mark.peer

PEER = r"""
import hashlib, json, os, sys
from pathlib import Path
import huggingface_hub
from huggingface_hub import (CommitOperationAdd, CommitOperationCopy, CommitOperationDelete, HfApi, HfFileSystem,
                             ModelCard, constants, hf_hub_download, snapshot_download, try_to_load_from_cache)

folder, ours, cached = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
api, said = HfApi(), {}
said["version"] = huggingface_hub.__version__
said["name"] = api.whoami()["name"]
url = api.create_repo("peer/model", exist_ok=True)
said["url"], said["id"] = str(url), url.repo_id
api.create_repo("peer/model", exist_ok=True)
one = api.upload_file(path_or_fileobj=b"hello", path_in_repo="notes/hello.txt", repo_id="peer/model")
said["uploaded"] = [one.oid, one.commit_url]
two = api.upload_folder(repo_id="peer/model", folder_path=folder, commit_message="A folder")
again = api.upload_folder(repo_id="peer/model", folder_path=folder)
said["unchanged"] = two.oid == again.oid
said["files"] = api.list_repo_files("peer/model")
info = api.model_info("peer/model", files_metadata=True)
said["info"] = [info.id, info.sha, info.pipeline_tag, info.library_name, info.tags, info.card_data.license,
                info.private]
said["siblings"] = {x.rfilename: [x.size, x.blob_id, x.lfs and x.lfs.sha256] for x in info.siblings}
said["tree"] = {x.path: [type(x).__name__, x.last_commit.title]
                for x in api.list_repo_tree("peer/model", recursive=True, expand=True)}
said["paths"] = [x.path for x in api.get_paths_info("peer/model", ["config.json", "sub", "none"])]
said["config"] = Path(hf_hub_download("peer/model", "config.json")).read_text()
said["config_path"] = hf_hub_download("peer/model", "config.json")
snapshot = Path(snapshot_download("peer/model"))
said["snapshot"] = str(snapshot)
said["sha256"] = hashlib.sha256((snapshot / "sub" / "model.safetensors").read_bytes()).hexdigest()
fs = HfFileSystem()
said["ls"] = sorted(fs.ls("peer/model", detail=False))
with fs.open("peer/model/sub/model.safetensors") as file:
    file.seek(-10, 2)
    said["tail"] = file.read().hex()
with fs.open("peer/model/made.txt", "w") as file:
    file.write("by the file system")
said["made"] = fs.read_text("peer/model/made.txt")
fs.rm("peer/model/made.txt")
said["found"] = fs.glob("peer/model/**/*.json")
api.create_branch("peer/model", branch="dev/one")
api.create_tag("peer/model", tag="v1")
api.create_commit("peer/model", revision="dev/one", commit_message="On a branch", operations=[
    CommitOperationAdd("new.txt", b"new"), CommitOperationDelete("notes/"),
    CommitOperationCopy("config.json", "copy.json")])
refs = api.list_repo_refs("peer/model")
said["refs"] = [[x.name for x in refs.branches], [x.name for x in refs.tags]]
said["branch"] = api.list_repo_files("peer/model", revision="dev/one")
said["history"] = [x.title for x in api.list_repo_commits("peer/model", revision="dev/one")]
said["branch_file"] = Path(hf_hub_download("peer/model", "new.txt", revision="dev/one")).read_text()
api.delete_branch("peer/model", branch="dev/one")
api.delete_tag("peer/model", tag="v1")
said["exists"] = [api.file_exists("peer/model", "config.json"), api.file_exists("peer/model", "none"),
                  api.repo_exists("peer/none"), api.revision_exists("peer/model", "none")]
said["listed"] = [x.id for x in api.list_models(author="peer", filter="license:mit", sort="downloads")]

def error(call):
    try:
        call()
    except Exception as caught:
        response = getattr(caught, "response", None)
        return [type(caught).__name__, None, getattr(response, "status_code", None)]
    raise AssertionError("no error")

said["none_at"] = api.model_info("peer/model").sha
said["errors"] = [
    error(lambda: api.create_commit("peer/model", [CommitOperationAdd("a", b"a")], commit_message="m",
                                    parent_commit="0" * 40)),
    error(lambda: hf_hub_download("peer/model", "none.txt")),
    error(lambda: hf_hub_download("peer/model", "config.json", revision="none")),
    error(lambda: api.model_info("peer/none")),
    error(lambda: HfApi(token=False).model_info("peer/none")),
    error(lambda: HfApi(token="hf_wrong").whoami()),
    error(lambda: api.create_repo("peer/model")),
    error(lambda: ModelCard("---\npipeline_tag: [x]\n---\n").push_to_hub("peer/model")),
]
ModelCard("---\nlicense: apache-2.0\n---\n# Card\n").push_to_hub("peer/model")
said["card"] = ModelCard.load("peer/model").data.license
for kind in ("dataset", "space"):
    api.create_repo("peer/other", repo_type=kind, **({"space_sdk": "gradio"} if kind == "space" else {}))
    api.upload_file(path_or_fileobj=b"x", path_in_repo="x.txt", repo_id="peer/other", repo_type=kind)
    said[kind] = api.list_repo_files("peer/other", repo_type=kind)
    api.delete_repo("peer/other", repo_type=kind)
said["alias"] = [api.model_info("short-name").id, Path(hf_hub_download("short-name", "config.json")).read_text()]
api.create_repo("peer/moving", private=True)
api.move_repo("peer/moving", "peer/moved")
api.update_repo_settings("peer/moved", private=False)
said["moved"] = api.model_info("peer/moving").id
api.delete_repo("peer/moved")
talk = api.create_discussion("peer/model", title="Why?", description="Tell me")
answer = api.comment_discussion("peer/model", talk.num, "So")
answer = api.edit_discussion_comment("peer/model", talk.num, answer.id, "So it is")
renamed = api.rename_discussion("peer/model", talk.num, "Why not?")
closed = api.change_discussion_status("peer/model", talk.num, "closed", comment="done")
proposed = api.upload_folder(repo_id="peer/model", folder_path=folder / "sub", path_in_repo="more", create_pr=True)
request = api.get_discussion_details("peer/model", int(proposed.pr_num))
at_request = api.list_repo_files("peer/model", revision=request.git_reference)
api.merge_pull_request("peer/model", request.num, comment="thanks")
merged = api.get_discussion_details("peer/model", request.num)
said["talk"] = [talk.num, talk.events[0].content, answer.content, answer.edited, renamed.new_title, closed.new_status,
                api.get_discussion_details("peer/model", talk.num).status,
                api.create_pull_request("peer/model", title="Empty").status]
said["request"] = [request.status, request.target_branch, request.conflicting_files,
                   "model.safetensors" in request.diff, type(request.events[-1]).__name__, merged.status,
                   "more/model.safetensors" in at_request, merged.merge_commit_oid == api.model_info("peer/model").sha,
                   "more/model.safetensors" in api.list_repo_files("peer/model")]
collection = api.create_collection("Chosen", namespace="owner", description="By hand")
collection = api.add_collection_item(collection.slug, "peer/model", "model", note="Good")
api.update_collection_item(collection.slug, collection.items[0].item_object_id, note="Better")
said["collection"] = [collection.owner["name"] if isinstance(collection.owner, dict) else collection.owner,
                      api.get_collection(collection.slug).items[0].note,
                      api.update_collection_metadata(collection.slug, title="Kept").title,
                      [x.title for x in api.list_collections(owner="owner", item="models/peer/model")]]
api.delete_collection(collection.slug)
copy = api.duplicate_repo("peer/model", "peer/copy")
api.super_squash_history("peer/copy", commit_message="One")
large = list(api.list_lfs_files("peer/copy"))
api.permanently_delete_lfs_files("peer/copy", large)
said["copy"] = [copy.repo_id, [x.title for x in api.list_repo_commits("peer/copy")], [x.size for x in large],
                "sub/model.safetensors" in api.list_repo_files("peer/copy")]
api.update_repo_settings("peer/copy", gated="manual")
api.grant_access("peer/copy", "reader")
said["access"] = [[x.username, x.status] for x in api.list_accepted_access_requests("peer/copy")]
said["people"] = [api.get_user_overview("reader").username, api.get_organization_overview("peer").num_models,
                  api.list_liked_repos("reader").total, [x.id for x in api.list_user_repos("peer")]]
said["tags"] = [x["id"] for x in api.get_model_tags()["license"]]
said["talks"] = [[x.num, x.is_pull_request, x.status] for x in api.get_repo_discussions("peer/model")]
said["ours"] = {name: try_to_load_from_cache(ours, name) if name != "none.txt" else
                type(try_to_load_from_cache(ours, name)).__name__ for name in ("weights.bin", "text.txt", "none.txt")}
before = {p: p.stat().st_mtime_ns for p in Path(constants.HF_HUB_CACHE).rglob("*") if len(p.name) == 64}
said["ours_again"] = [snapshot_download(ours), hf_hub_download(ours, "weights.bin")]
said["ours_kept"] = all(p.stat().st_mtime_ns == when for p, when in before.items()) and len(before) > 0
said["scan"] = sorted(x.repo_id for x in huggingface_hub.scan_cache_dir().repos)
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def shared(peer_python: Path, peer: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """What the official client said about our Hub, in a cache that ours has used before it."""
    root = tmp_path_factory.mktemp("parity")
    cache = root / "cache"
    folder = root / "folder"
    (folder / "sub").mkdir(parents=True)
    (folder / "config.json").write_text('{"model_type": "bert", "architectures": ["BertForMaskedLM"]}')
    (folder / "README.md").write_text("---\nlicense: mit\n---\n# Hi\n")
    (folder / "sub" / "model.safetensors").write_bytes(bytes(range(256)) * 8000)
    with EmbeddedHub(root / "hub", durable=False) as running, pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_ENDPOINT", running.endpoint)
        patch.setenv("HF_TOKEN", running.token)
        patch.setenv("HF_HUB_CACHE", str(cache))
        api = HfApi()
        api.create_repo("ours/first")
        api.upload_file(path_or_fileobj=os.urandom(2_000_000), path_in_repo="weights.bin", repo_id="ours/first")
        api.upload_file(path_or_fileobj=b"text", path_in_repo="text.txt", repo_id="ours/first")
        ours = hub.snapshot_download("ours/first")
        with pytest.raises(OSError, match="no file"):
            hub.hf_hub_download("ours/first", "none.txt")
        running.add_alias("short-name", "peer/model")
        running.create_user("reader")
        variables = {
            "HF_ENDPOINT": running.endpoint,
            "HF_TOKEN": running.token,
            "HF_HUB_CACHE": str(cache),
            "HF_HUB_OFFLINE": "0",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        }
        said = peer(PEER, folder, "ours/first", ours, variables=variables)
        yield said, folder, running, ours


def test_the_official_client_makes_and_reads_repositories(shared: Any) -> None:
    said, folder, running, _ = shared
    assert said["version"] == hub.__version__
    assert said["name"] == "owner"
    assert (said["url"], said["id"]) == (f"{running.endpoint}/peer/model", "peer/model")
    oid, address = said["uploaded"]
    assert address == f"{running.endpoint}/peer/model/commit/{oid}"
    assert said["unchanged"]
    assert said["files"] == [".gitattributes", "README.md", "config.json", "notes/hello.txt", "sub/model.safetensors"]
    name, sha, task, library, tags, licence, private = said["info"]
    assert (name, len(sha), licence, private) == ("peer/model", 40, "mit", False)
    assert (task, library) == ("fill-mask", "transformers") and "license:mit" in tags
    content = (folder / "sub" / "model.safetensors").read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    assert said["siblings"]["sub/model.safetensors"][::2] == [len(content), sha256]
    assert said["siblings"]["notes/hello.txt"] == [5, hashlib.sha1(b"blob 5\0hello").hexdigest(), None]
    assert said["tree"]["sub"] == ["RepoFolder", "A folder"]
    assert said["tree"]["notes/hello.txt"][0] == "RepoFile" and "hello" in said["tree"]["notes/hello.txt"][1]
    assert said["paths"] == ["config.json", "sub"]
    assert said["config"] == (folder / "config.json").read_text()
    assert said["sha256"] == sha256
    assert said["tail"] == content[-10:].hex()
    assert said["made"] == "by the file system" and said["found"] == ["peer/model/config.json"]
    assert said["ls"] == [
        f"peer/model/{name}" for name in (".gitattributes", "README.md", "config.json", "notes", "sub")
    ]


def test_the_official_client_branches_and_lists(shared: Any) -> None:
    said = shared[0]
    assert said["refs"] == [["dev/one", "main"], ["v1"]]
    assert said["branch"] == [
        ".gitattributes",
        "README.md",
        "config.json",
        "copy.json",
        "new.txt",
        "sub/model.safetensors",
    ]
    assert said["history"][0] == "On a branch" and said["history"][-1] == "initial commit"
    assert said["branch_file"] == "new"
    assert said["exists"] == [True, False, False, False]
    assert said["listed"] == ["peer/model"]
    assert said["card"] == "apache-2.0"
    assert said["dataset"] == [".gitattributes", "x.txt"]
    assert said["space"] == [".gitattributes", "README.md", "x.txt"]
    assert said["alias"] == ["peer/model", said["config"]]
    assert said["moved"] == "peer/moved"


def test_the_official_client_discusses_and_merges(shared: Any) -> None:
    said = shared[0]
    assert said["talk"] == [1, "Tell me", "So it is", True, "Why not?", "closed", "closed", "draft"]
    assert said["request"] == [
        "draft", "refs/heads/main", [], True, "DiscussionCommit", "merged", True, True, True,
    ]  # fmt: skip
    assert said["talks"] == [[3, True, "draft"], [2, True, "merged"], [1, False, "closed"]]


def test_the_official_client_collects_copies_and_lets_in(shared: Any) -> None:
    said, folder, _, _ = shared
    size = (folder / "sub" / "model.safetensors").stat().st_size
    assert said["collection"] == ["owner", "Better", "Kept", ["Kept"]]
    assert said["copy"] == ["peer/copy", ["One"], [size], False]
    assert said["access"] == [["reader", "accepted"]]
    assert said["people"] == ["reader", 2, 0, ["peer/model", "peer/copy"]]
    assert said["tags"] == ["license:apache-2.0"]


def test_the_official_client_raises_its_own_errors(shared: Any) -> None:
    stale, entry, revision, absent, anonymous, token, exists, card = shared[0]["errors"]
    assert stale[0] == "HfHubHTTPError" and stale[2] == 412
    assert entry[0] == "RemoteEntryNotFoundError" and entry[2] == 404
    assert revision[0] == "RevisionNotFoundError" and revision[2] == 404
    assert absent[0] == "RepositoryNotFoundError" and absent[2] == 404
    assert anonymous[0] == "RepositoryNotFoundError" and anonymous[2] == 401
    assert token[0] == "HfHubHTTPError" and token[2] == 401
    assert exists[0] == "HfHubHTTPError" and exists[2] == 409
    assert card[0] == "ValueError"


def test_both_clients_share_one_cache(shared: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    said, _, _, ours = shared
    assert said["ours"] == {"weights.bin": f"{ours}/weights.bin", "text.txt": f"{ours}/text.txt", "none.txt": "object"}
    assert said["ours_again"] == [ours, f"{ours}/weights.bin"]
    assert said["ours_kept"]
    assert said["scan"] == ["ours/first", "peer/model", "short-name"]
    # The other way round: what the official client downloaded is found by ours without the Hub.
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert hub.hf_hub_download("peer/model", "sub/model.safetensors", revision=Path(said["snapshot"]).name)
    assert hub.hf_hub_download("peer/model", "config.json", revision=Path(said["snapshot"]).name) == said["config_path"]
    assert hub.try_to_load_from_cache("peer/model", "none.txt", revision=said["none_at"]) is hub._CACHED_NO_EXIST
    found = hub.scan_cache_dir()
    assert sorted(repo.repo_id for repo in found.repos) == said["scan"] and not found.warnings


def test_our_client_reads_what_the_official_one_wrote(shared: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    said, folder, running, _ = shared
    monkeypatch.setenv("HF_ENDPOINT", running.endpoint)
    api = HfApi()
    info = api.model_info("peer/model", files_metadata=True, revision=Path(said["snapshot"]).name)
    found = {x.rfilename: [x.size, x.blob_id, x.lfs and x.lfs.sha256] for x in info.siblings}
    assert found == said["siblings"]
    path = hub.hf_hub_download("peer/model", "sub/model.safetensors", revision=info.sha)
    assert Path(path).read_bytes() == (folder / "sub" / "model.safetensors").read_bytes()
