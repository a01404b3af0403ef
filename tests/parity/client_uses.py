"""What a program does with a Hub, in words that every version of the official client knows.

Run as ``python client_uses.py NAME`` by the client's own Python; the last line printed is what the Hub answered.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import huggingface_hub
from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationCopy,
    CommitOperationDelete,
    HfApi,
    HfFileSystem,
    ModelCard,
    hf_hub_download,
    login,
    snapshot_download,
)

LARGE = b"".join(hashlib.sha256(b"%d" % number).digest() for number in range(40_000))  # 1.28 MB that do not repeat


def error(call: Any) -> list[Any]:
    try:
        call()
    except Exception as caught:
        return [type(caught).__name__, getattr(getattr(caught, "response", None), "status_code", None)]
    raise AssertionError("no error")


def uses(space: str, folder: Path) -> dict[str, Any]:
    """Go through everything once in the namespace ``space``."""
    said: dict[str, Any] = {"version": huggingface_hub.__version__}
    login(**({"new_session": False} if "new_session" in inspect.signature(login).parameters else {}))
    api, repo = HfApi(), f"{space}/model"
    said["who"] = api.whoami()["name"]
    said["url"] = str(api.create_repo(repo, private=True))
    api.create_repo(repo, exist_ok=True)
    (folder / "sub").mkdir(parents=True)
    (folder / "config.json").write_text('{"model_type": "bert"}')
    (folder / "sub" / "weights.safetensors").write_bytes(LARGE)
    (folder / "sub" / "empty.txt").touch()
    first = api.upload_folder(repo_id=repo, folder_path=folder, commit_message="A folder")
    api.upload_file(path_or_fileobj=LARGE[::-1], path_in_repo="bytes.bin", repo_id=repo)
    with open(folder / "sub" / "weights.safetensors", "rb") as file:
        api.upload_file(path_or_fileobj=file, path_in_repo="opened.bin", repo_id=repo)
    card = ModelCard("---\nlicense: mit\ntags:\n- one\n---\n# Card\n")
    if huggingface_hub.__version__ >= "2":
        card.push_to_hub(repo)
    else:  # before, cards were checked at the public Hub's address whatever HF_ENDPOINT said
        api.upload_file(path_or_fileobj=str(card).encode(), path_in_repo="README.md", repo_id=repo)
    made = api.create_commit(repo, [CommitOperationAdd("new.txt", b"new"), CommitOperationDelete("sub/empty.txt"),
                                    CommitOperationCopy("sub/weights.safetensors", "copy.safetensors")],
                             commit_message="Three at once")  # fmt: skip
    said["history"] = [item.title for item in api.list_repo_commits(repo)]
    said["head"] = made.oid == api.model_info(repo).sha != first.oid
    said["files"] = sorted(api.list_repo_files(repo))
    said["sizes"] = {item.rfilename: item.size for item in api.model_info(repo, files_metadata=True).siblings}
    said["config"] = Path(hf_hub_download(repo, "config.json", revision=first.oid)).read_text()
    snapshot = Path(snapshot_download(repo))
    said["same"] = [
        (snapshot / name).read_bytes() == content
        for name, content in (
            ("sub/weights.safetensors", LARGE), ("bytes.bin", LARGE[::-1]), ("opened.bin", LARGE),
            ("copy.safetensors", LARGE), ("new.txt", b"new"),
        )
    ]  # fmt: skip
    said["local"] = sorted(
        path.relative_to(folder / "out").as_posix()
        for path in Path(snapshot_download(repo, local_dir=folder / "out", allow_patterns="*.json")).rglob("*.json")
        if ".cache" not in path.parts
    )
    fs = HfFileSystem()
    with fs.open(f"{repo}/sub/weights.safetensors") as file:
        file.seek(-7, 2)
        said["tail"] = file.read() == LARGE[-7:]
    said["ls"] = sorted(fs.ls(f"{repo}/sub", detail=False))
    with fs.open(f"{repo}/by-fs.txt", "w") as file:
        file.write("fs")
    said["glob"] = fs.glob(f"{repo}/*.txt")
    api.create_branch(repo, branch="dev")
    api.create_tag(repo, tag="v1", tag_message="One")
    refs = api.list_repo_refs(repo)
    said["refs"] = [sorted(x.name for x in refs.branches), [x.name for x in refs.tags]]
    proposed = api.upload_file(path_or_fileobj=b"pr", path_in_repo="pr.txt", repo_id=repo, create_pr=True)
    details = api.get_discussion_details(repo, int(str(proposed.pr_url).rsplit("/", 1)[-1]))
    api.comment_discussion(repo, details.num, "Good")
    api.merge_pull_request(repo, details.num)
    said["pull request"] = [details.status, api.get_discussion_details(repo, details.num).status,
                            "pr.txt" in api.list_repo_files(repo)]  # fmt: skip
    said["talks"] = [item.title for item in api.get_repo_discussions(repo)]
    said["listed"] = [item.id for item in api.list_models(author=space, filter="license:mit")]
    sort = {"direction": -1} if "direction" in inspect.signature(api.list_models).parameters else {}
    said["sorted"] = [
        item.id for item in api.list_models(search="mod", author=space, sort="downloads", limit=5, **sort)
    ]
    for kind in ("dataset", "space"):
        name = f"{space}/{kind}"
        api.create_repo(name, repo_type=kind, exist_ok=True, **({"space_sdk": "gradio"} if kind == "space" else {}))
        api.upload_file(path_or_fileobj=b"x", path_in_repo="x.txt", repo_id=name, repo_type=kind)
        said[kind] = api.list_repo_files(name, repo_type=kind)
        api.delete_repo(name, repo_type=kind)
    many = folder / "many"
    many.mkdir()
    for number in range(12):
        (many / f"{number}.bin").write_bytes(LARGE[number : number + 70_000])
    api.create_repo(f"{space}/large", repo_type="dataset")
    options = {"repo_id": f"{space}/large", "folder_path": many, "repo_type": "dataset"}
    if hasattr(api, "upload_large_folder"):
        api.upload_large_folder(**options, print_report=False)
    else:  # which upload_folder does by itself since
        api.upload_folder(**options)
    found = Path(snapshot_download(f"{space}/large", repo_type="dataset"))
    said["large folder"] = all((found / path.name).read_bytes() == path.read_bytes() for path in many.glob("*.bin"))
    api.delete_tag(repo, tag="v1")
    api.delete_branch(repo, branch="dev")
    api.delete_file("by-fs.txt", repo)
    api.delete_folder("sub", repo)
    said["left"] = sorted(api.list_repo_files(repo))
    api.move_repo(repo, f"{space}/moved")
    said["moved"] = [api.model_info(repo).id, Path(hf_hub_download(repo, "new.txt")).read_text()]
    said["errors"] = [
        error(lambda: hf_hub_download(repo, "none.txt")),
        error(lambda: hf_hub_download(repo, "new.txt", revision="none")),
        error(lambda: api.model_info(f"{space}/none")),
        error(lambda: HfApi(token="hf_wrong").whoami()),
        error(lambda: api.create_repo(f"{space}/moved")),
        error(lambda: api.create_commit(repo, [CommitOperationAdd("a", b"a")], commit_message="m",
                                        parent_commit="0" * 40)),
    ]  # fmt: skip
    api.delete_repo(f"{space}/moved")
    said["gone"] = api.repo_exists(f"{space}/moved")
    return said


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    print(json.dumps(uses(sys.argv[1], Path(tempfile.mkdtemp()))))
