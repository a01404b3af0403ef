"""Repositories as a file system."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import fsspec
import pytest

from enfold.hub import HfApi, HfFileSystem

CONTENT = os.urandom(300_000)


@pytest.fixture
def data(api: HfApi, repo_id: str, tmp_path: Path) -> str:
    """A dataset with folders, a branch and a tag."""
    name = repo_id.replace("test", "files")
    api.create_repo(name, repo_type="dataset")
    for path, content in {"a.csv": b"x,y\n1,2\n", "deep/er/b.bin": CONTENT, "deep/c.txt": b"c"}.items():
        target = tmp_path / "made" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    api.upload_folder(repo_id=name, repo_type="dataset", folder_path=tmp_path / "made")
    api.create_branch(name, repo_type="dataset", branch="dev/one")
    api.create_tag(name, repo_type="dataset", tag="v1")
    return f"datasets/{name}"


@pytest.mark.parametrize(
    ("path", "parts"),
    [
        ("hf://me/model/config.json", ("model", "me/model", "main", "config.json")),
        ("datasets/me/rows@v1/x/y.csv", ("dataset", "me/rows", "v1", "x/y.csv")),
        ("hf://spaces/me/app", ("space", "me/app", "main", "")),
        ("me/model@dev%2Fone/a", ("model", "me/model", "dev/one", "a")),
        ("me/model@refs/pr/3/a/b", ("model", "me/model", "refs/pr/3", "a/b")),
        ("datasets/me/rows@refs/convert/parquet", ("dataset", "me/rows", "refs/convert/parquet", "")),
        ("gpt2@v1", ("model", "gpt2", "v1", "")),
    ],
)
def test_a_path_is_taken_apart_and_put_together(path: str, parts: tuple[str, ...], api: HfApi) -> None:
    found = HfFileSystem().resolve_path(path)
    assert (found.repo_type, found.repo_id, found.revision, found.path_in_repo) == parts
    assert found.unresolve() == path.removeprefix("hf://")


def test_a_path_without_a_repository_or_with_two_revisions_is_refused(api: HfApi) -> None:
    fs = HfFileSystem()
    for path in ("", "hf://", "datasets", "datasets/"):
        with pytest.raises(ValueError, match="names no repository"):
            fs.resolve_path(path)
    with pytest.raises(ValueError, match="'v2' was asked for"):
        fs.resolve_path("me/model@v1/a", revision="v2")


def test_a_legacy_name_of_one_part_is_found(api: HfApi, server: object, repo_id: str) -> None:
    server.add_alias("one-part", repo_id)  # type: ignore[attr-defined]
    fs = HfFileSystem()
    assert fs.ls("one-part", detail=False) == ["one-part/.gitattributes"]
    assert b"filter=lfs" in fs.cat("one-part/.gitattributes")


def test_what_is_there_is_listed(data: str) -> None:
    fs = HfFileSystem()
    names = [f"{data}/{name}" for name in (".gitattributes", "a.csv", "deep", "deep/c.txt", "deep/er", "deep/er/b.bin")]
    attributes, a, deep, c, er, b = names
    assert fs.ls(data, detail=False) == [attributes, a, deep]
    assert fs.find(data) == [attributes, a, c, b] and fs.find(data, withdirs=True) == [data, *names]
    assert fs.find(data, maxdepth=1) == [attributes, a] and fs.find(f"{data}/none") == []
    assert fs.glob(f"{data}/**/*.bin") == [b] and fs.glob(f"hf://{data}/*.csv") == [a]
    assert [(top, sorted(dirs), sorted(files)) for top, dirs, files in fs.walk(data)] == [
        (data, ["deep"], [".gitattributes", "a.csv"]),
        (deep, ["er"], ["c.txt"]),
        (er, [], ["b.bin"]),
    ]
    entry = fs.info(b)
    assert (entry["size"], entry["type"], len(entry["lfs"].sha256)) == (len(CONTENT), "file", 64)
    assert fs.isdir(deep) and fs.isfile(a) and fs.isdir(data) and not fs.isfile(deep) and not fs.exists(f"{data}/none")
    assert not fs.exists("datasets/owner/none/x") and not fs.exists(f"{data}@none/a.csv")
    assert fs.modified(a).year >= 2024
    assert fs.url(a).endswith(f"/{data}/resolve/main/a.csv") and fs.url(deep).endswith(f"/{data}/tree/main/deep")
    assert fs.url(data).endswith(f"/{data}/tree/main")
    assert fs.du(data) == sum(fs.sizes([attributes, a, c, b]))
    for missing in (f"{data}/none", "datasets/owner/none/x"):
        with pytest.raises(FileNotFoundError):
            fs.info(missing)
        with pytest.raises(FileNotFoundError):
            fs.ls(missing)


def test_files_are_read_whole_in_part_and_as_a_stream(data: str, tmp_path: Path) -> None:
    fs = HfFileSystem()
    b = f"{data}/deep/er/b.bin"
    assert fs.cat(b) == CONTENT and fs.cat_file(b, 10, 20) == CONTENT[10:20] and fs.tail(b, 5) == CONTENT[-5:]
    with fs.open(b, block_size=50_000) as file:
        file.seek(100_000)
        assert file.read(70_000) == CONTENT[100_000:170_000] and file.tell() == 170_000
        file.seek(-3, 2)
        assert file.read() == CONTENT[-3:]
    with fs.open(b, block_size=0) as stream:
        assert stream.read(7) == CONTENT[:7] and stream.read() == CONTENT[7:] and stream.read() == b""
        with pytest.raises(ValueError, match="another place"):
            stream.seek(0)
    fs.get(data, str(tmp_path / "here"), recursive=True)
    assert (tmp_path / "here" / "deep" / "er" / "b.bin").read_bytes() == CONTENT
    with fsspec.open(f"hf://{data}@v1/a.csv", "rt") as text:
        assert text.read() == "x,y\n1,2\n"
    with pytest.raises(IsADirectoryError):
        fs.open(f"{data}/deep")
    again = pickle.loads(pickle.dumps(fs))
    assert again.endpoint == fs.endpoint and again.cat(f"{data}/deep/c.txt") == b"c"


def test_other_libraries_open_addresses(data: str) -> None:
    import pandas
    import pyarrow.csv

    assert pandas.read_csv(f"hf://{data}/a.csv").to_dict("list") == {"x": [1], "y": [2]}
    with fsspec.open(f"hf://{data}@dev%2Fone/a.csv") as file:
        assert pyarrow.csv.read_csv(file).to_pydict() == {"x": [1], "y": [2]}


def test_files_are_written_copied_and_deleted_by_commits(api: HfApi, data: str, repo_id: str) -> None:
    fs, name = HfFileSystem(), data.removeprefix("datasets/")
    with fs.open(f"{data}/new.txt", "w") as file:
        file.write("new" * 10)
    assert fs.cat(f"{data}/new.txt") == b"new" * 10 and f"{data}/new.txt" in fs.ls(data, detail=False)
    with fs.open(f"{data}@dev%2Fone/large.bin", "wb", block_size=50_000, commit_message="Much") as file:
        for start in range(0, len(CONTENT), 70_000):
            file.write(CONTENT[start : start + 70_000])
    assert fs.cat(f"{data}@dev%2Fone/large.bin") == CONTENT
    assert api.list_repo_commits(name, repo_type="dataset", revision="dev/one")[0].title == "Much"
    assert not fs.exists(f"{data}/large.bin")
    fs.cp_file(f"{data}/deep/er/b.bin", f"{data}/copy.bin")
    fs.cp_file(f"{data}/deep/er/b.bin", f"{repo_id}/other.bin")
    assert fs.cat(f"{data}/copy.bin") == fs.cat(f"{repo_id}/other.bin") == CONTENT
    fs.rm(f"{data}/deep", recursive=True)
    assert fs.find(data) == [f"{data}/{path}" for path in (".gitattributes", "a.csv", "copy.bin", "new.txt")]
    fs.rm_file(f"{data}/new.txt")
    titles = [commit.title for commit in api.list_repo_commits(name, repo_type="dataset")]
    assert titles[:2] == ["Delete new.txt", "Delete deep/c.txt and 1 more"]
    with pytest.raises(FileNotFoundError):
        fs.rm(f"{data}/new.txt")


def test_a_write_that_fails_leaves_nothing(data: str) -> None:
    fs = HfFileSystem()
    with pytest.raises(RuntimeError, match="stop"), fs.open(f"{data}/half.txt", "wb") as file:
        file.write(b"half")
        raise RuntimeError("stop")
    assert not fs.exists(f"{data}/half.txt")


def test_what_is_made_and_deleted_elsewhere_is_seen_when_one_looks_again(api: HfApi, repo_id: str) -> None:
    fs, name = HfFileSystem(), f"{repo_id}-later"
    assert not fs.exists(name)
    api.create_repo(name)
    assert not fs.exists(name), "known"
    assert fs.exists(name, refresh=True)
    api.delete_repo(name)
    assert not fs.exists(name, refresh=True)


def test_every_entry_has_the_same_keys_for_its_kind(data: str, api: HfApi) -> None:
    fs = HfFileSystem()
    assert fs.info(data).keys() == fs.info(f"{data}/deep").keys()
    assert fs.info(data)["last_commit"] is None


def test_nothing_is_opened_for_writing_where_nothing_is(api: HfApi) -> None:
    for mode in ("rb", "wb"):
        with pytest.raises(FileNotFoundError):
            HfFileSystem().open("nobody/nothing/a.txt", mode)


def test_a_file_is_fetched_into_what_is_open_or_to_a_path(data: str, api: HfApi, tmp_path: Path) -> None:
    fs = HfFileSystem()
    with (tmp_path / "open").open("wb+") as file:
        fs.get_file(f"{data}/deep/c.txt", outfile=file)
        file.seek(0)
        assert file.read() == b"c"
    with pytest.raises(ValueError, match="lpath"):
        fs.get_file(f"{data}/deep/c.txt")


def test_a_branch_called_refs_is_told_by_the_argument(api: HfApi) -> None:
    found = HfFileSystem().resolve_path("me/model@refs/pr/10", revision="refs")
    assert (found.revision, found.path_in_repo, found.unresolve()) == ("refs", "pr/10", "me/model@refs/pr/10")
