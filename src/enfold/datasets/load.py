"""``load_dataset``: from a name — a kind of file, a folder, a repository — to rows."""

from __future__ import annotations

import dataclasses
import os
import posixpath
from collections.abc import Sequence
from typing import Any

from enfold.errors import nearest
from enfold.log import get_logger

from .builders.archives import extract, is_archive
from .builders.base import BUILDERS, DatasetBuilder, builder_for, builder_of, readable_by
from .card import configs_of, infos_of, split_card
from .config import in_memory_max_size
from .data_files import DataFile, LocalTree, Tree, hub_tree, infer_splits, resolve, sanitize
from .dataset import Dataset
from .dataset_dict import DatasetDict
from .errors import (
    DataFilesNotFoundError,
    DatasetNotFoundError,
    EmptyDatasetError,
    FileNotFoundDatasetsError,
    HubUnreachableError,
)
from .features.features import Features
from .info import DatasetInfo

__all__ = [
    "load_dataset",
    "load_dataset_builder",
    "load_from_disk",
]

logger = get_logger(__name__)


def load_dataset(
    path: str,
    name: str | None = None,
    data_dir: str | None = None,
    data_files: Any = None,
    split: Any = None,
    cache_dir: str | None = None,
    features: Features | None = None,
    download_config: Any = None,
    download_mode: Any = None,
    verification_mode: Any = None,
    keep_in_memory: bool | None = None,
    save_infos: bool = False,
    revision: str | None = None,
    token: str | bool | None = None,
    streaming: bool = False,
    num_proc: int | None = None,
    storage_options: dict[str, Any] | None = None,
    trust_remote_code: bool | None = None,
    **config_kwargs: Any,
) -> Any:
    """Return a dataset: files of a kind, a folder, or a repository on the Hub.

    Args:
        path: ``"csv"``, ``"json"``, ``"parquet"``, ``"text"`` or ``"arrow"`` with ``data_files``; or a folder; or
            ``"owner/name"`` of a dataset on the Hub.
        name: the configuration.
        data_dir: the folder in it to look at.
        data_files: paths, patterns or addresses: one, a list, or a dict of them by split.
        split: which rows: ``"train"``, ``"train[:10%]+test"``, …; all splits as a dict where None.
        cache_dir: where tables made of the files are kept; ``HF_DATASETS_CACHE`` where None.
        features: the columns' kinds; inferred where None.
        download_mode: ``"reuse_dataset_if_exists"`` or ``"force_redownload"``.
        keep_in_memory: make no file.
        revision: the branch, tag or commit of the repository.
        token: the token for it; the stored one where None.
        streaming: read the rows when they are asked for; nothing is written to disk.
        download_config: its token is used where ``token`` is None.
        storage_options: arguments of the file systems behind addresses such as ``s3://…``, also by protocol.
        verification_mode: ``"no_checks"`` to take splits of other sizes than the card says; ``"all_checks"`` also
            compares the checksums of files that a builder describes.
        save_infos: as ``verification_mode="all_checks"``.
        num_proc: accepted for compatibility.
        trust_remote_code: accepted for compatibility; no code of a repository is ever run.
        config_kwargs: options of the builder, such as ``sep=";"`` or ``field="data"``.

    Returns:
        A :class:`Dataset` where ``split`` is given, else a :class:`DatasetDict`; with ``streaming``, an
        :class:`IterableDataset` or :class:`IterableDatasetDict`.

    Raises:
        FileNotFoundError: there is no such folder, repository or file.
        DatasetGenerationError: a file cannot be read; the message names it and the line.
        SplitsVerificationError: the splits, or their numbers of rows, are not those that the card says.
        ValueError: an unknown split or configuration; the known ones are named.
    """
    builder = load_dataset_builder(
        path,
        name,
        data_dir=data_dir,
        data_files=data_files,
        cache_dir=cache_dir,
        features=features,
        download_config=download_config,
        revision=revision,
        token=token,
        storage_options=storage_options,
        **config_kwargs,
    )
    if streaming:
        from .streaming.making import stream_splits

        return stream_splits(builder, split, token)
    mode = getattr(download_mode, "value", download_mode)
    checks = verification_mode if verification_mode is not None or not save_infos else "all_checks"
    builder.download_and_prepare(
        download_mode=mode, verification_mode=checks, keep_in_memory=bool(keep_in_memory), num_proc=num_proc
    )
    in_memory = bool(keep_in_memory)
    if keep_in_memory is None and builder.info.dataset_size is not None:
        in_memory = builder.info.dataset_size < in_memory_max_size()
    return builder.as_dataset(split, in_memory=in_memory)


def load_dataset_builder(
    path: str,
    name: str | None = None,
    data_dir: str | None = None,
    data_files: Any = None,
    cache_dir: str | None = None,
    features: Features | None = None,
    download_config: Any = None,
    download_mode: Any = None,
    revision: str | None = None,
    token: str | bool | None = None,
    storage_options: dict[str, Any] | None = None,
    trust_remote_code: bool | None = None,
    **config_kwargs: Any,
) -> DatasetBuilder:
    """Return what would make a dataset, with what is known about it before its files are read.

    The arguments are those of :func:`load_dataset`.
    """
    path = os.fspath(path)
    token = token if token is not None or download_config is None else download_config.token
    storage = {**getattr(download_config, "storage_options", {}), **(storage_options or {})}
    if path in BUILDERS and not (os.path.isdir(path) and data_files is None):
        return _of_kind(path, name, data_dir, data_files, cache_dir, features, token, storage, config_kwargs)
    if os.path.isfile(path) and data_files is None:
        found = builder_for([path])
        if found is None:
            raise DataFilesNotFoundError(f"no builder reads {path!r}; known endings: {_endings()}")
        return _of_kind(found[0], name, None, path, cache_dir, features, token, storage, {**found[1], **config_kwargs})
    if os.path.isdir(path):
        if os.path.isfile(os.path.join(path, "dataset_dict.json")) or os.path.isfile(os.path.join(path, "state.json")):
            raise ValueError(f"{path!r} was written by save_to_disk: read it with load_from_disk({path!r})")
        tree: Tree = LocalTree(path)
        dataset_name = os.path.basename(os.path.abspath(path))
    elif path.startswith((".", "/", "~")) or path.count("/") > 1:
        raise FileNotFoundDatasetsError(f"there is no folder {path!r}{_near_folder(path)}")
    else:
        try:
            tree = hub_tree(path, revision, token)
        except HubUnreachableError:
            if data_files is not None or data_dir is not None or features is not None or config_kwargs:
                raise
            return _of_cache(path, name, cache_dir)
        dataset_name = path
    return _of_tree(
        tree, path, dataset_name, name, data_dir, data_files, cache_dir, features, token, storage, config_kwargs
    )


def _of_cache(path: str, name: str | None, cache_dir: str | None) -> DatasetBuilder:
    """Return what was made of a repository before, where the Hub cannot be reached."""
    try:
        made = builder_of("cache")({}, cache_dir=cache_dir, dataset_name=path, config_name=name or "default")
    except DatasetNotFoundError as error:
        raise HubUnreachableError(
            f"the dataset {path!r} is not on this machine, and the Hub cannot be reached"
        ) from error
    logger.warning("The Hub cannot be reached; using what was made of %s before: %s", path, made.cache_dir)
    return made


def _is_folder(kind: str) -> bool:
    return any(field.name == "drop_labels" for field in dataclasses.fields(builder_of(kind).Options))


def _in_archives(files: Sequence[DataFile], names: Sequence[str]) -> tuple[str, dict[str, Any], list[str]] | None:
    """Return the builder that most of the files inside of archives are for, and the archives' names."""
    packed = [(file, name) for file, name in zip(files, names, strict=True) if is_archive(name)]
    found = builder_for([path for file, _ in packed[:10] for path in extract(file.fetch())])
    return (found[0], found[1], [name for _, name in packed]) if found else None


def _endings() -> str:
    return ", ".join(ending for endings in BUILDERS.values() for ending in endings)


def _near_folder(path: str) -> str:
    parent = os.path.dirname(os.path.abspath(os.path.expanduser(path)))
    return nearest(os.path.basename(path), os.listdir(parent)) if os.path.isdir(parent) else ""


def _of_kind(
    kind: str,
    name: str | None,
    data_dir: str | None,
    data_files: Any,
    cache_dir: str | None,
    features: Features | None,
    token: str | bool | None,
    storage: dict[str, Any],
    options: dict[str, Any],
) -> DatasetBuilder:
    tree = LocalTree(data_dir or os.getcwd())
    if data_files is None:
        if not builder_of(kind).needs_files:
            return builder_of(kind)(
                {"train": []},
                cache_dir=cache_dir,
                dataset_name=kind,
                config_name=name or "default",
                features=features,
                **options,
            )
        if data_dir is None:
            raise ValueError(f"load_dataset({kind!r}) needs data_files=… or data_dir=…")
        endings = BUILDERS[kind]
        names = readable_by(kind, tree.names())
        if not names:
            raise DataFilesNotFoundError(f"there is no {' or '.join(endings)} file in {data_dir!r}")
        files = {split: [tree.file(file) for file in found] for split, found in infer_splits(names).items()}
    else:
        files = resolve(sanitize(data_files), tree, "", token, storage)
    return builder_of(kind)(
        files, cache_dir=cache_dir, dataset_name=kind, config_name=name or "default", features=features, **options
    )


def _of_tree(
    tree: Tree,
    path: str,
    dataset_name: str,
    name: str | None,
    data_dir: str | None,
    data_files: Any,
    cache_dir: str | None,
    features: Features | None,
    token: str | bool | None,
    storage: dict[str, Any],
    options: dict[str, Any],
) -> DatasetBuilder:
    picked = data_files is not None or data_dir is not None
    header = header_of(tree, path)
    configs, infos = configs_of(header), infos_of(header)
    config: dict[str, Any] = {}
    config_name = name or "default"
    if data_files is None and configs:
        config = configs[choose(configs, name, path)]
        config_name = str(config["config_name"])
        data_files = config.get("data_files")
        data_dir = config.get("data_dir", data_dir) if data_dir is None else data_dir
    elif data_files is None and name is not None and name != "default" and data_dir is None:
        folders = sorted({file.split("/")[0] for file in tree.names() if "/" in file})
        if name not in folders:
            raise ValueError(f"{path!r} has no configuration {name!r}{nearest(name, folders)}")
        data_dir = name
    prefix = posixpath.normpath(data_dir or ".").strip("/").removeprefix(".")  # "" is all of it
    if data_files is not None:
        files = resolve(sanitize(data_files), tree, prefix, token, storage)
    else:
        inside = [file for file in tree.names() if not prefix or file.startswith(f"{prefix}/")]
        if not inside:
            where = f"{path!r}" + (f" below {prefix!r}" if prefix else "")
            raise EmptyDatasetError(f"there is no data file in {where}")
        # splits are told by names below data_dir; the builder by what most files are
        usable = builder_for(
            [file for file in inside if file.rsplit("/", 1)[-1] not in ("config.json", "dataset_infos.json")]
        ) or _in_archives([tree.file(file) for file in inside], inside)
        if usable is None:
            raise DataFilesNotFoundError(f"no builder reads the files of {path!r}; known endings: {_endings()}")
        short = {file[len(prefix) + 1 :] if prefix else file: file for file in usable[2]}
        files = {split: [tree.file(short[file]) for file in found] for split, found in infer_splits(short).items()}
    # the same folder as that of `datasets`, where nothing but the commit decides what is in it
    plain = not options and features is None and not picked
    commit = getattr(tree, "commit", None) if plain else None
    names = [file.name for entries in files.values() for file in entries]
    found = builder_for(names) or _in_archives([file for entries in files.values() for file in entries], names)
    if found is None:
        raise DataFilesNotFoundError(f"no builder reads {names[:3]}; known endings: {_endings()}")
    kind, implied, readable = found
    files = {split: [file for file in entries if file.name in set(readable)] for split, entries in files.items()}
    own = {
        key: value
        for key, value in config.items()
        if key
        not in ("config_name", "data_files", "data_dir", "default", *([] if _is_folder(kind) else ["drop_labels"]))
    }
    info = DatasetInfo.from_yaml_dict(infos[config_name]) if config_name in infos else DatasetInfo()
    if picked:  # a part of the files has other sizes
        info.splits = None
    if isinstance(header.get("license"), str):
        info.license = header["license"]
    if features is None and info.features is not None:
        features = info.features
    info.features = None
    return builder_of(kind)(
        files,
        cache_dir=cache_dir,
        dataset_name=dataset_name,
        config_name=config_name,
        features=features,
        info=info,
        commit=commit,
        **{**implied, **own, **options},
    )


def header_of(tree: Tree, path: str) -> dict[str, Any]:
    """Return what a card says before its text, or nothing where there is no card."""
    text = tree.text("README.md")
    if text is None:
        return {}
    try:
        return split_card(text)[0]
    except ValueError as error:
        raise ValueError(f"{path}/README.md: {error}") from error


def choose(configs: dict[str, dict[str, Any]], name: str | None, path: str) -> str:
    """Return the configuration that is loaded: the one named, the default one, or the only one.

    Raises:
        ValueError: there is none of the name, or several and none is named.
    """
    if name is not None:
        if name not in configs:
            raise ValueError(
                f"BuilderConfig {name!r} not found. Available configurations of {path!r}: {list(configs)}"
                f"{nearest(name, configs)}"
            )
        return name
    chosen = [key for key, config in configs.items() if config.get("default")]
    if chosen:
        return chosen[0]
    if "default" in configs or len(configs) == 1:
        return "default" if "default" in configs else next(iter(configs))
    raise ValueError(
        f"Config name is missing: {path!r} has several, pick one of {list(configs)}, "
        f"such as load_dataset({path!r}, {next(iter(configs))!r})"
    )


def load_from_disk(
    dataset_path: str, keep_in_memory: bool | None = None, storage_options: dict[str, Any] | None = None
) -> Dataset | DatasetDict:
    """Return what ``save_to_disk`` wrote into a folder: a dataset, or splits by name.

    Args:
        dataset_path: the folder, or an address that fsspec knows, which is copied to this machine first.
        keep_in_memory: read the rows rather than map them.
        storage_options: arguments of the file system behind an address.

    Raises:
        FileNotFoundError: the folder is not there, or holds neither.
    """
    from .targets import nearby_folder

    folder = nearby_folder(dataset_path, storage_options)
    if not os.path.isdir(folder):
        raise FileNotFoundDatasetsError(f"there is no folder {folder!r}{_near_folder(folder)}")
    if os.path.isfile(os.path.join(folder, "dataset_dict.json")):
        return DatasetDict.load_from_disk(folder, keep_in_memory)
    return Dataset.load_from_disk(folder, keep_in_memory)


# ---- what there is to load -------------------------------------------------------------------------------------------


def tree_of(path: str, revision: str | None, token: str | bool | None) -> Tree:
    """Return the files of a folder or a repository."""
    return LocalTree(path) if os.path.isdir(path) else hub_tree(path, revision, token)
