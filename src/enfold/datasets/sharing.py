"""Sharing on the Hub: Parquet shards and a card that says where they are, in one commit."""

from __future__ import annotations

import io
import os
import tempfile
from typing import Any

from enfold.progress import Progress

from .card import configs_of, infos_form, infos_of, join_card, split_card
from .info import DatasetInfo
from .splits import SplitDict, SplitInfo

__all__ = ["push_splits"]


def push_splits(
    splits: dict[str, Any],
    repo_id: str,
    *,
    config_name: str,
    set_default: bool | None,
    data_dir: str | None,
    commit_message: str | None,
    commit_description: str | None,
    private: bool | None,
    token: str | None,
    revision: str | None,
    create_pr: bool,
    max_shard_size: int | str | None,
    num_shards: dict[str, int | None],
    keep_other_splits: bool,
    embed_external_files: bool = True,
    least_shards: int | None = None,
) -> Any:
    """Write splits of one configuration into a repository; see :meth:`Dataset.push_to_hub`.

    Raises:
        ValueError: no split, splits with different columns, or a split's name that cannot be one.
    """
    from enfold.hub import CommitOperationAdd, CommitOperationDelete, HfApi

    if not splits:
        raise ValueError("there is no split to share")
    features = next(iter(splits.values())).features
    for name, dataset in splits.items():
        if not name.replace(".", "").replace("_", "").isalnum():
            raise ValueError(f"{name!r} cannot be the name of a split: letters, digits, '_' and '.' only")
        if dataset.features != features:
            raise ValueError(f"the splits have different columns: {dict(dataset.features)} in {name!r}")
    api = HfApi(token=token)
    made = api.create_repo(repo_id, repo_type="dataset", private=private, exist_ok=True, token=token)
    repo_id = getattr(made, "repo_id", None) or repo_id
    folder = data_dir or ("data" if config_name == "default" else config_name)
    present = set(api.list_repo_files(repo_id, repo_type="dataset", revision=revision, token=token))
    header, body = _card(repo_id, revision, token, present)

    operations: list[Any] = []
    written: set[str] = set()
    info = DatasetInfo(features=features, config_name=config_name, splits=SplitDict(), download_size=0, dataset_size=0)
    assert info.splits is not None
    with tempfile.TemporaryDirectory(prefix="enfold-push-") as temporary:
        for name, dataset in splits.items():
            shards = dataset._shards(max_shard_size, num_shards.get(name), "500MB", least_shards)
            size = 0
            with Progress(len(shards), f"Writing {name}", unit="shards") as bar:
                for number, shard in enumerate(shards):
                    target = f"{folder}/{name}-{number:05d}-of-{len(shards):05d}.parquet"
                    local = os.path.join(temporary, f"{name}-{number}.parquet")
                    size += shard._write_parquet(local, embed_external_files=embed_external_files)
                    info.download_size = (info.download_size or 0) + os.path.getsize(local)
                    operations.append(CommitOperationAdd(target, local))
                    written.add(target)
                    bar.advance()
            info.splits.add(SplitInfo(name, size, len(dataset)))
            stale = [file for file in present if file.startswith(f"{folder}/{name}-") and _is_shard(file)]
            operations += [CommitOperationDelete(file) for file in stale if file not in written]
        if not keep_other_splits:
            others = [file for file in present if file.startswith(f"{folder}/") and _is_shard(file)]
            gone = {operation.path_in_repo for operation in operations}
            operations += [CommitOperationDelete(file) for file in others if file not in gone]
        _describe(header, info, folder, set_default, keep_other_splits)
        card = join_card(header, body or f"\n# {repo_id.split('/')[-1]}\n")
        operations.append(CommitOperationAdd("README.md", io.BytesIO(card.encode())))
        return api.create_commit(
            repo_id,
            operations,
            commit_message=commit_message or "Upload dataset",
            commit_description=commit_description,
            repo_type="dataset",
            revision=revision,
            token=token,
            create_pr=create_pr,
        )


def _is_shard(file: str) -> bool:
    import re

    return re.search(r"-\d{5}-of-\d{5}[^/]*\.parquet$", file) is not None


def _card(repo_id: str, revision: str | None, token: str | None, present: set[str]) -> tuple[dict[str, Any], str]:
    if "README.md" not in present:
        return {}, ""
    from enfold.hub import hf_hub_download

    path = hf_hub_download(repo_id, "README.md", repo_type="dataset", revision=revision, token=token)
    with open(path, encoding="utf-8") as file:
        return split_card(file.read())


def _describe(header: dict[str, Any], info: DatasetInfo, folder: str, set_default: bool | None, keep: bool) -> None:
    """Put the configuration and what is known about it into a card's header, beside those that are there."""
    name = info.config_name or "default"
    configs, infos = configs_of(header), infos_of(header)
    assert info.splits is not None
    files = {split: f"{folder}/{split}-*" for split in info.splits}
    if keep and name in configs:
        before = configs[name].get("data_files")
        if isinstance(before, list):
            old = {entry["split"]: entry["path"] for entry in before if isinstance(entry, dict)}
            files = {**old, **files}
        if name in infos:
            previous = DatasetInfo.from_yaml_dict(infos[name])
            if previous.features is not None and previous.features != info.features:
                raise ValueError(
                    f"the configuration {name!r} has other columns on the Hub: {previous.features}; "
                    "give config_name= for these"
                )
            merged = SplitDict({**(previous.splits or {}), **info.splits})
            if set(merged) != set(info.splits):
                info.download_size = (info.download_size or 0) + (previous.download_size or 0)
            info.splits = merged
    info.dataset_size = sum(split.num_bytes for split in info.splits.values())
    config: dict[str, Any] = {
        "config_name": name,
        "data_files": [{"split": split, "path": path} for split, path in files.items()],
    }
    if set_default or (set_default is None and configs.get(name, {}).get("default")):
        for other in configs.values():
            other.pop("default", None)
        config["default"] = True
    configs[name] = config
    infos[name] = info.to_yaml_dict()
    header["dataset_info"] = infos_form(infos)
    header["configs"] = list(configs.values())
