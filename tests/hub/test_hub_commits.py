"""Uploads: one commit each, all or nothing, and never what is there already."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import pytest

from enfold import hub
from enfold.hub import (
    CommitOperationAdd,
    CommitOperationCopy,
    CommitOperationDelete,
    HfApi,
    api_commits,
    large_folder,
)
from enfold.hub.errors import HfHubHTTPError, HFValidationError, RepositoryNotFoundError
from enfold.hubserver import EmbeddedHub


def test_a_file_comes_back_as_it_went(api: HfApi, repo_id: str, tmp_path: Path) -> None:
    big = os.urandom(2_500_001)
    (tmp_path / "big.bin").write_bytes(big)
    with (tmp_path / "big.bin").open("rb") as file:
        sources: dict[str, Any] = {
            "bytes.txt": b"hello",
            "empty": b"",
            "path.bin": tmp_path / "big.bin",
            "file.safetensors": file,
            "memory.dat": io.BytesIO(b"\0\1\2" * 70_000),
        }
        for name, source in sources.items():
            done = api.upload_file(path_or_fileobj=source, path_in_repo=f"a/{name}", repo_id=repo_id)
            assert done.oid == api.model_info(repo_id).sha
            assert done.commit_url == f"{api.endpoint}/{repo_id}/commit/{done.oid}" == str(done)
    wanted = {"bytes.txt": b"hello", "empty": b"", "path.bin": big, "file.safetensors": big}
    for name, content in {**wanted, "memory.dat": b"\0\1\2" * 70_000}.items():
        assert Path(hub.hf_hub_download(repo_id, f"a/{name}")).read_bytes() == content
    infos = {item.path: item for item in api.list_repo_tree(repo_id, "a")}
    assert infos["a/path.bin"].lfs.size == len(big) and infos["a/bytes.txt"].lfs is None


def test_a_folder_is_one_commit(api: HfApi, repo_id: str, tmp_path: Path) -> None:
    for name in ("a.txt", "sub/b.txt", "skip.log", ".git/config", ".cache/huggingface/x", ".hidden"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    before = len(api.list_repo_commits(repo_id))
    api.upload_folder(repo_id=repo_id, folder_path=tmp_path, ignore_patterns="*.log", path_in_repo="in/here")
    assert api.list_repo_files(repo_id) == [".gitattributes", "in/here/.hidden", "in/here/a.txt", "in/here/sub/b.txt"]
    assert len(api.list_repo_commits(repo_id)) == before + 1
    (tmp_path / "a.txt").unlink()
    api.upload_folder(
        repo_id=repo_id, folder_path=tmp_path, path_in_repo="in/here", delete_patterns="*.txt", ignore_patterns="*.log"
    )
    assert api.list_repo_files(repo_id) == [".gitattributes", "in/here/.hidden", "in/here/sub/b.txt"]


def test_a_folder_of_many_files_goes_in_parts_and_a_repeated_call_goes_on(
    api: HfApi, repo_id: str, watched: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = HfApi()
    for name, value in {"_FILES": 20, "_ASKED": 8, "_BYTES": 300_000, "_AHEAD": 1}.items():
        monkeypatch.setattr(large_folder, name, value)
    contents = {f"{number % 3}/{number:02}.txt": str(number).encode() for number in range(47)}
    contents |= {"z.safetensors": os.urandom(2_000_000), ".gitignore": b"*.log\n"}
    contents |= {f"heavy/{number}.txt": os.urandom(90_000).hex().encode() for number in range(4)}
    source = tmp_path / "source"
    for name, data in {**contents, "left.log": b"x"}.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(data)
    answers = iter([None, 400])  # the second commit fails
    watched.disturb = lambda method, path: next(answers, None) if "/commit/" in path else None
    with pytest.raises(HfHubHTTPError):
        api.upload_large_folder(repo_id, source)
    made = set(api.list_repo_files(repo_id)) & contents.keys()
    assert 0 < len(made) <= 20
    watched.requests.clear()
    api.upload_large_folder(repo_id, source, num_workers=2, print_report=False)
    assert set(api.list_repo_files(repo_id)) == contents.keys() | {".gitattributes"}
    folder = Path(hub.snapshot_download(repo_id))
    assert {name: (folder / name).read_bytes() for name in contents} == contents
    heads = [commit.commit_id for commit in api.list_repo_commits(repo_id)]
    assert len(heads) == 2 + watched.count("POST", "/commit/") and watched.count("POST", "/commit/") >= 4
    watched.requests.clear()
    api.upload_large_folder(repo_id, source)
    assert watched.count("POST", "/commit/") == 0 == watched.count("PUT", "")
    monkeypatch.setattr(api_commits, "_TOGETHER", 10)
    assert api.upload_folder(repo_id=repo_id, folder_path=source).oid == heads[0]
    (source / "0" / "00.txt").write_bytes(b"other")
    later = api.upload_folder(repo_id=repo_id, folder_path=source, path_in_repo=".", run_as_future=True).result()
    assert later.oid == api.model_info(repo_id).sha != heads[0]


def test_what_is_there_already_makes_no_commit(api: HfApi, repo_id: str, watched: Any) -> None:
    api = HfApi()
    content = os.urandom(1_500_000)
    first = api.upload_file(path_or_fileobj=content, path_in_repo="w.safetensors", repo_id=repo_id)
    watched.requests.clear()
    assert api.upload_file(path_or_fileobj=content, path_in_repo="w.safetensors", repo_id=repo_id).oid == first.oid
    assert watched.count("PUT", "") == 0 and watched.count("POST", "/commit/") == 0
    api.upload_file(path_or_fileobj=content, path_in_repo="copy.safetensors", repo_id=repo_id)
    assert watched.count("PUT", "") == 0  # the repository has the content under another name


def test_a_commit_whose_answer_is_lost_is_made_once(api: HfApi, repo_id: str, watched: Any) -> None:
    api = HfApi()
    breaks = iter([0.0])
    watched.disturb = lambda method, path: next(breaks, None) if "/commit/" in path else None
    head = api.model_info(repo_id).sha
    done = api.upload_file(path_or_fileobj=b"once", path_in_repo="once.txt", repo_id=repo_id, parent_commit=head)
    assert watched.count("POST", "/commit/") == 2
    assert [commit.commit_id for commit in api.list_repo_commits(repo_id)] == [done.oid, head]


def test_an_upload_that_breaks_is_tried_again(api: HfApi, repo_id: str, watched: Any) -> None:
    api = HfApi()
    answers = iter([500, 503])
    watched.disturb = lambda method, path: next(answers, None) if method == "PUT" else None
    content = os.urandom(1_200_000)
    api.upload_file(path_or_fileobj=io.BytesIO(content), path_in_repo="x.bin", repo_id=repo_id)
    assert watched.count("PUT", "") == 3
    assert Path(hub.hf_hub_download(repo_id, "x.bin")).read_bytes() == content


def test_operations_of_a_commit_happen_together(api: HfApi, repo_id: str) -> None:
    api.create_commit(
        repo_id,
        [CommitOperationAdd("a/x.txt", b"x"), CommitOperationAdd("a/y.txt", b"y"), CommitOperationAdd("b/z.txt", b"z")],
        commit_message="Three",
        commit_description="files",
    )
    api.create_commit(
        repo_id,
        [
            CommitOperationCopy("b/z.txt", "c/z.txt"),
            CommitOperationDelete("a/"),
            CommitOperationAdd("b/z.txt", b"new"),
        ],
        commit_message="Change",
    )
    assert api.list_repo_files(repo_id) == [".gitattributes", "b/z.txt", "c/z.txt"]
    assert Path(hub.hf_hub_download(repo_id, "c/z.txt")).read_text() == "z"
    head = api.model_info(repo_id).sha
    with pytest.raises(HfHubHTTPError, match="missing"):
        api.create_commit(
            repo_id,
            [CommitOperationAdd("n.txt", b"n"), CommitOperationDelete("missing.txt")],
            commit_message="Fails",
        )
    assert api.model_info(repo_id).sha == head and not api.file_exists(repo_id, "n.txt")
    titles = [(commit.title, commit.message) for commit in api.list_repo_commits(repo_id)]
    assert titles == [("Change", ""), ("Three", "files"), ("initial commit", "")]


def test_the_second_of_two_writers_is_told(api: HfApi, server: EmbeddedHub, repo_id: str) -> None:
    token = server.create_user("second-writer")
    server.create_organisation("team", {"owner": "write", "second-writer": "write"})
    shared = api.create_repo("team/shared", exist_ok=True).repo_id
    other = HfApi(token=token)
    head = api.model_info(shared).sha
    other.upload_file(path_or_fileobj=b"theirs", path_in_repo="f.txt", repo_id=shared, parent_commit=head)
    with pytest.raises(HfHubHTTPError) as caught:
        api.upload_file(path_or_fileobj=b"mine", path_in_repo="f.txt", repo_id=shared, parent_commit=head)
    assert caught.value.response is not None and caught.value.response.status_code == 412
    assert Path(hub.hf_hub_download(shared, "f.txt")).read_text() == "theirs"
    with pytest.raises(HfHubHTTPError, match="403"):
        other.upload_file(path_or_fileobj=b"no", path_in_repo="f.txt", repo_id=repo_id)


def test_mistakes_are_told_before_anything_is_sent(api: HfApi, repo_id: str, tmp_path: Path) -> None:
    add = CommitOperationAdd("a.txt", b"a")
    with pytest.raises(ValueError, match="commit_message"):
        api.create_commit(repo_id, [add], commit_message=" ")
    with pytest.raises(ValueError, match="twice"):
        api.create_commit(repo_id, [add, CommitOperationAdd("a.txt", b"b")], commit_message="m")
    with pytest.raises(ValueError, match="no file"):
        CommitOperationAdd("a.txt", str(tmp_path / "none"))
    with pytest.raises(ValueError, match="rb"):
        CommitOperationAdd("a.txt", io.StringIO("text"))  # type: ignore[arg-type]
    with pytest.raises(HFValidationError):
        CommitOperationAdd("../a.txt", b"a")
    with pytest.raises(ValueError, match="no folder"):
        api.upload_folder(repo_id=repo_id, folder_path=tmp_path / "none")
    with pytest.raises(ValueError, match=r"Invalid metadata.*\n.*YAML"):
        api.upload_file(path_or_fileobj=b"---\na: [\n---\n", path_in_repo="README.md", repo_id=repo_id)
    with pytest.raises(RepositoryNotFoundError):
        api.upload_file(path_or_fileobj=b"a", path_in_repo="a", repo_id="owner/not-made")


def test_repositories_are_made_moved_and_deleted(api: HfApi) -> None:
    url = api.create_repo("life", private=True)
    assert (url.repo_id, url.repo_type, url.namespace) == ("owner/life", "model", "owner")
    assert api.create_repo("life", exist_ok=True).repo_id == "owner/life"
    with pytest.raises(HfHubHTTPError, match="already created"):
        api.create_repo("life")
    assert api.model_info("owner/life").private
    with pytest.raises(RepositoryNotFoundError):
        HfApi(token=False).model_info("owner/life")
    api.update_repo_settings("owner/life", private=False)
    assert HfApi(token=False).repo_exists("owner/life")
    api.upload_file(path_or_fileobj=b"here", path_in_repo="f.txt", repo_id="owner/life")
    api.move_repo("owner/life", "owner/after")
    assert api.model_info("owner/life").id == "owner/after"
    assert Path(hub.hf_hub_download("owner/life", "f.txt")).read_text() == "here"
    api.upload_file(path_or_fileobj=b"still", path_in_repo="f.txt", repo_id="owner/life")
    assert Path(hub.hf_hub_download("owner/after", "f.txt")).read_text() == "still"
    for kind in ("dataset", "space"):
        api.create_repo("owner/after", repo_type=kind, space_sdk="gradio" if kind == "space" else None)
        assert api.repo_info("owner/after", repo_type=kind).id == "owner/after"
        api.delete_repo("owner/after", repo_type=kind)
        assert not api.repo_exists("owner/after", repo_type=kind)
    api.delete_repo("owner/after")
    assert not api.repo_exists("owner/life")
    api.delete_repo("owner/after", missing_ok=True)
    with pytest.raises(RepositoryNotFoundError):
        api.delete_repo("owner/after")


def test_branches_and_tags(api: HfApi, repo_id: str) -> None:
    first = api.model_info(repo_id).sha
    api.create_tag(repo_id, tag="v1.0", tag_message="one")
    api.create_tag(repo_id, tag="v1.0", exist_ok=True)
    with pytest.raises(HfHubHTTPError, match=r"refs/tags/v1.0 already exists"):
        api.create_tag(repo_id, tag="v1.0")
    second = api.upload_file(path_or_fileobj=b"2", path_in_repo="2", repo_id=repo_id).oid
    api.create_branch(repo_id, branch="old", revision="v1.0")
    refs = api.list_repo_refs(repo_id)
    assert {ref.name: ref.target_commit for ref in refs.branches} == {"main": second, "old": first}
    assert [(ref.name, ref.ref, ref.target_commit) for ref in refs.tags] == [("v1.0", "refs/tags/v1.0", first)]
    assert api.list_repo_files(repo_id, revision="v1.0") == [".gitattributes"]
    assert api.revision_exists(repo_id, "old") and not api.revision_exists(repo_id, "older")
    with pytest.raises(HfHubHTTPError, match="Cannot delete"):
        api.delete_branch(repo_id, branch="main")
    with pytest.raises(HfHubHTTPError, match="not a branch"):
        api.upload_file(path_or_fileobj=b"3", path_in_repo="3", repo_id=repo_id, revision="v1.0")
    api.delete_branch(repo_id, branch="old")
    api.delete_tag(repo_id, tag="v1.0")
    assert not api.list_repo_refs(repo_id).tags


def test_lists_search_filter_sort_and_page(api: HfApi, server: EmbeddedHub, monkeypatch: pytest.MonkeyPatch) -> None:
    token = server.create_user("lister")
    mine = HfApi(token=token)
    for number in range(7):
        name = f"lister/find-me-{number}"
        mine.create_repo(name, private=number == 6)
        card = f"---\nlicense: mit\ntags: [n{number % 2}]\npipeline_tag: text-classification\n---\n"
        mine.upload_file(path_or_fileobj=card.encode(), path_in_repo="README.md", repo_id=name)
    hub.hf_hub_download("lister/find-me-3", "README.md")
    public = HfApi(token=False)
    found = [item.id for item in public.list_models(author="lister", sort="createdAt")]
    assert found == [f"lister/find-me-{number}" for number in (5, 4, 3, 2, 1, 0)]
    assert len(list(mine.list_models(author="lister"))) == 7
    assert next(iter(public.list_models(author="lister", sort="downloads"))).id == "lister/find-me-3"
    filtered = public.list_models(filter=["license:mit", "n1"], task="text-classification", search="FIND-me")
    assert {item.id for item in filtered} == {f"lister/find-me-{number}" for number in (1, 3, 5)}
    assert len(list(public.list_models(author="lister", limit=2))) == 2
    # Pages follow each other without gaps or repeats.
    from dataclasses import replace

    limits = replace(server.hub.settings.limits, list_page=2)
    monkeypatch.setattr(server.hub, "settings", replace(server.hub.settings, limits=limits))
    assert [item.id for item in public.list_models(author="lister", sort="createdAt")] == found
    assert len(list(mine.list_models(search="find-me", full=True, limit=5))) == 5


def test_listings_of_files_come_in_pages(
    api: HfApi, repo_id: str, server: EmbeddedHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    names = [f"d{number % 3}/f{number:02}.txt" for number in range(20)]
    api.create_commit(repo_id, [CommitOperationAdd(name, name.encode()) for name in names], commit_message="20")
    limits = replace(server.hub.settings.limits, tree_page=4)
    monkeypatch.setattr(server.hub, "settings", replace(server.hub.settings, limits=limits))
    assert sorted(api.list_repo_files(repo_id)) == sorted([".gitattributes", *names])
    assert [item.path for item in api.list_repo_tree(repo_id)] == [".gitattributes", "d0", "d1", "d2"]
    expanded = {item.path: item.last_commit for item in api.list_repo_tree(repo_id, expand=True)}
    assert expanded[".gitattributes"].title == "initial commit" and expanded["d1"].title == "20"
    infos = api.get_paths_info(repo_id, ["d0", "d1/f01.txt", "none"])
    assert [(item.path, getattr(item, "size", None)) for item in infos] == [("d0", None), ("d1/f01.txt", 10)]


@pytest.mark.parametrize(
    ("path", "kept"), [("/a.txt", "a.txt"), ("./a/b.txt", "a/b.txt"), (".gitignore", ".gitignore"), ("a.git", "a.git")]
)
def test_paths_that_say_the_same_are_written_one_way(path: str, kept: str) -> None:
    assert CommitOperationAdd(path, b"").path_in_repo == CommitOperationDelete(path).path_in_repo == kept


@pytest.mark.parametrize("path", [".", "..", "../a", "a/../b", ".git/config", "a/.git/b", ".cache/huggingface/a"])
def test_nothing_is_written_to_folders_of_git_and_the_cache(path: str) -> None:
    with pytest.raises(ValueError):
        CommitOperationAdd(path, b"")
    with pytest.raises(ValueError):
        CommitOperationDelete(path)


def test_patterns_delete_all_but_what_says_which_files_are_large(api: HfApi, repo_id: str) -> None:
    api.upload_file(path_or_fileobj=b"a", path_in_repo="a.txt", repo_id=repo_id)
    api.delete_files(repo_id, ["*"])
    assert list(api.list_repo_files(repo_id)) == [".gitattributes"]


def test_a_card_is_looked_at_before_anything_goes(api: HfApi, repo_id: str) -> None:
    bad = b"---\nmodel-index: foo\n---\n# Card"
    with pytest.raises(ValueError, match=r"Invalid metadata in README.md"):
        api.upload_file(path_or_fileobj=bad, path_in_repo="README.md", repo_id=repo_id)
    with pytest.warns(UserWarning, match="metadata in README.md"):
        api.upload_file(path_or_fileobj=b"# Card", path_in_repo="README.md", repo_id=repo_id)


def test_who_holds_a_token_is_asked_once_where_that_will_do(api: HfApi, watched: Any) -> None:
    mine = HfApi()
    assert mine.whoami(cache=True) == mine.whoami(cache=True)
    assert watched.count("GET", "/api/whoami-v2") == 1
    mine.whoami()
    assert watched.count("GET", "/api/whoami-v2") == 2
    with pytest.raises(ValueError, match="False"):
        mine.whoami(token=False)


def test_what_is_uploaded_before_its_commit_is_forgotten(api: HfApi, repo_id: str) -> None:
    large, kept, small = (
        CommitOperationAdd("a.bin", b"a"),
        CommitOperationAdd("b.bin", b"b"),
        CommitOperationAdd("c", b"c"),
    )
    api.preupload_lfs_files(repo_id, [large, small])
    api.preupload_lfs_files(repo_id, [kept], free_memory=False)
    assert [item.path_or_fileobj for item in (large, kept, small)] == [b"", b"b", b"c"]
    api.create_commit(repo_id, [large, kept, small], commit_message="later")
    for name in ("a.bin", "b.bin", "c"):
        assert Path(hub.hf_hub_download(repo_id, name)).read_text() == name[0]


def test_headers_are_those_of_the_object() -> None:
    made = HfApi(token="hf_x", library_name="mine", library_version="1", headers={"X-More": "y"})._build_hf_headers()
    assert made["authorization"] == "Bearer hf_x" and made["user-agent"].startswith("mine/1") and made["x-more"] == "y"
    assert "authorization" not in HfApi(token="hf_x")._build_hf_headers(token=False)
