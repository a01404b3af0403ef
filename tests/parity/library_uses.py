"""What the libraries above the official client do with a Hub: seed programs 05 and 26, and what ``datasets`` does.

Run as ``python library_uses.py PART NAME [PACKAGES]`` by the client's own Python: PART is "models" or "tables", NAME a
namespace, PACKAGES a folder that lends libraries to a client that has none of its own. The last line printed is what
was found. The words are those that every version of the official client knows.
"""

from __future__ import annotations

import importlib.util
import inspect
import json
import site
import sys
import tempfile
from pathlib import Path
from typing import Any

import huggingface_hub
from huggingface_hub import HfApi, ModelCard, hf_hub_download, list_models, login, snapshot_download

NAME = "google-bert/bert-base-uncased"  # smaller here than the one that the programs name


def models(space: str, folder: Path) -> dict[str, Any]:
    """Go through both seed programs; a client without ``transformers`` moves the same files by itself."""
    said: dict[str, Any] = {"version": huggingface_hub.__version__}
    login(**({"new_session": False} if "new_session" in inspect.signature(login).parameters else {}))
    api = HfApi()
    said["user"] = api.whoami()["name"]
    order = {"direction": -1} if "direction" in inspect.signature(list_models).parameters else {}
    found = list(api.list_models(filter="text-classification", sort="downloads", limit=50, **order))
    said["classifiers"] = [[item.id, item.downloads] for item in found]
    said["found"] = sorted(item.id for item in list_models(search="bert-base"))
    said["datasets"] = len(list(api.list_datasets(limit=2)))

    own, saved = f"{space}/my-model-name", folder / "my-model"
    if importlib.util.find_spec("transformers"):
        import transformers
        from transformers import AutoModel, AutoTokenizer

        said["transformers"] = transformers.__version__
        tokenizer = AutoTokenizer.from_pretrained(NAME)
        model = AutoModel.from_pretrained(NAME, cache_dir=folder / "model_cache")
        model.push_to_hub(own)
        tokenizer.push_to_hub(own)
        model.save_pretrained(saved)
        again = AutoModel.from_pretrained(own, revision="main")
        said["same"] = all(
            (one == other).all().item() for one, other in zip(model.parameters(), again.parameters(), strict=True)
        )
        said["same"] &= (
            AutoTokenizer.from_pretrained(own)("Hello world").input_ids == tokenizer("Hello world").input_ids
        )
        AutoModel.from_pretrained("bert-base-uncased").push_to_hub(f"{space}/tagged")
        api.create_tag(f"{space}/tagged", tag="v1.0", exist_ok=True)
        AutoModel.from_pretrained(f"{space}/tagged", revision="v1.0")
        model.push_to_hub(f"{space}/secret", private=True, commit_message="By a pull request", create_pr=True)
        said["secret"] = [
            api.model_info(f"{space}/secret").private,
            [talk.title for talk in api.get_repo_discussions(f"{space}/secret") if talk.is_pull_request],
        ]
        try:
            AutoModel.from_pretrained("bert-base-uncase")
        except OSError as error:
            said["absent"] = "bert-base-uncase" in str(error)
    else:
        snapshot_download(NAME, local_dir=saved, ignore_patterns=["*.txt", ".git*"])
        api.create_repo(own)
        api.upload_folder(folder_path=saved, repo_id=own)
    api.create_repo(f"{space}/my-folder", repo_type="model", exist_ok=True)
    api.upload_folder(folder_path=saved, repo_id=f"{space}/my-folder", repo_type="model")
    said["files"] = sorted(api.list_repo_files(f"{space}/my-folder"))
    said["hashes"] = sorted({
        item.lfs.sha256
        for name in (NAME, f"{space}/my-folder")
        for item in api.model_info(name, files_metadata=True).siblings or []
        if item.rfilename == "model.safetensors" and item.lfs
    })  # fmt: skip
    said["config"] = json.loads(Path(hf_hub_download(repo_id=own, filename="config.json")).read_text())["model_type"]

    repo = f"{space}/card-demo"
    api.create_repo(repo, exist_ok=True)
    card = ModelCard("---\nlicense: apache-2.0\npipeline_tag: text-classification\n---\n# Demo\n")
    if huggingface_hub.__version__ >= "2":
        card.push_to_hub(repo)
    else:  # before, cards were checked at the public Hub's address whatever HF_ENDPOINT said
        api.upload_file(path_or_fileobj=str(card).encode(), path_in_repo="README.md", repo_id=repo)
    done = api.upload_file(path_or_fileobj=b"hello", path_in_repo="notes/hello.txt", repo_id=repo)
    path = hf_hub_download(repo_id=repo, filename="notes/hello.txt", revision=done.oid)
    said["hello"] = Path(path).read_text()
    said["license"] = ModelCard.load(repo).data.license
    said["kinds"] = []
    for kind in ("model", "dataset", "space"):
        name = f"{space}/{kind}-repo"
        api.create_repo(name, repo_type=kind, exist_ok=True, **({"space_sdk": "gradio"} if kind == "space" else {}))
        api.upload_file(path_or_fileobj=b"x", path_in_repo="x.txt", repo_id=name, repo_type=kind)
        said["kinds"].append("x.txt" in api.list_repo_files(name, repo_type=kind))
    return said


def tables(space: str, folder: Path) -> dict[str, Any]:
    """Push tables with two configurations and read them back, whole and while they come."""
    import datasets
    from datasets import ClassLabel, Dataset, DatasetDict, Features, Value, load_dataset
    from datasets.hub import delete_from_hub

    api, name = HfApi(), f"{space}/tables"
    said: dict[str, Any] = {"version": huggingface_hub.__version__, "datasets": datasets.__version__}
    kinds = Features({"text": Value("string"), "label": ClassLabel(names=["no", "yes"])})
    rows = Dataset.from_dict({"text": [f"row {n}" for n in range(900)], "label": [n % 2 for n in range(900)]}, kinds)
    pushed = DatasetDict({"train": rows.select(range(800)), "test": rows.select(range(800, 900))})
    pushed.push_to_hub(name, private=True, num_shards={"train": 3, "test": 1})
    rows.select(range(10)).push_to_hub(name, config_name="small", split="train", commit_message="A small one")
    said["files"] = sorted(api.list_repo_files(name, repo_type="dataset"))
    said["titles"] = [item.title for item in api.list_repo_commits(name, repo_type="dataset")]
    said["configurations"] = sorted(datasets.get_dataset_config_names(name))
    read = load_dataset(name)
    said["rows"] = {split: len(part) for split, part in read.items()}
    said["names"] = read["train"].features["label"].names
    said["same"] = read["test"][:] == rows[800:900]
    said["stream"] = [row["text"] for row in load_dataset(name, "small", split="train", streaming=True)]
    rows.select(range(5)).push_to_hub(name, config_name="small", split="train")  # takes the place of the ten
    said["again"] = len(load_dataset(name, "small", split="train", download_mode="force_redownload"))
    first = api.list_repo_commits(name, repo_type="dataset")[1].commit_id
    said["before"] = len(load_dataset(name, "small", split="train", revision=first))
    rows.select(range(3)).push_to_hub(name, config_name="proposed", create_pr=True)
    said["proposed"] = [
        sorted(datasets.get_dataset_config_names(name, revision="refs/pr/1")),
        sorted(datasets.get_dataset_config_names(name)),
    ]
    rows.select(range(2)).to_parquet(f"hf://datasets/{name}/more/two.parquet")
    said["by path"] = len(load_dataset("parquet", data_files=f"hf://datasets/{name}/more/*.parquet", split="train"))
    said["listed"] = [item.id for item in api.list_datasets(author=space, search="tables")]
    said["private"] = api.dataset_info(name).private
    delete_from_hub(name, "small")  # which proposes it
    said["left"] = sorted(datasets.get_dataset_config_names(name, revision="refs/pr/2"))
    return said


if __name__ == "__main__":
    if len(sys.argv) > 3:
        site.addsitedir(sys.argv[3])
    part = {"models": models, "tables": tables}[sys.argv[1]]
    print(json.dumps(part(sys.argv[2], Path(tempfile.mkdtemp()))))
