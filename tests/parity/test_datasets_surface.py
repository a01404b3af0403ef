"""Every public name of `datasets`, with its members, arguments and defaults, is there; what is not is listed here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from surface_cases import surface

pytestmark = pytest.mark.peer

# What is not offered: features of single sciences, and what reaches into the other library's own parts.
ABSENT = {
    "BioSequence",
    "BioStructure",
    "Mesh",
    "Nifti",
    "SplitInfo.file_instructions",  # fails there, too: it is computed without the folder that it needs
    "SubSplitInfo.file_instructions",
    "BuilderConfig.create_config_id",
    "experimental",  # a decorator of its own functions, and the progress bar of another package
    "tqdm",
}
# Objects that users are given and do not make: their constructors are their own.
MADE_BY_US = {
    "Column",
    "DatasetBuilder",
    "IterableDataset",
    "SubSplitInfo",
    "ArrowBasedBuilder",
    "GeneratorBasedBuilder",
}
INNER = {
    "SLEEP_ON_THREADS_SHUTDOWNS",
    "get_imported_module_dir",
    "cache_dir",
    "builder_configs",
    "BUILDER_CONFIG_CLASS",
    "pa_type",
}
# Attributes of instances here, of classes there.
OF_INSTANCES = {"ClassLabel": {"id", "names", "names_file", "num_classes"}, "SubSplitInfo": {"num_examples"}}
# Defaults and names that differ on purpose: (where, argument).
OTHER = {
    ("DatasetDict.map", "on_mixed_types"),  # as for Dataset.map
    ("IterableDataset.repeat", "num_times"),  # None is a default here
    ("StreamingDownloadManager.extract", "url_or_urls"),
    ("StreamingDownloadManager.iter_archive", "urlpath_or_buf"),
    ("StreamingDownloadManager.iter_files", "urlpaths"),
}


def missing(theirs: dict[str, Any], ours: dict[str, Any]) -> list[str]:
    out = []
    for name, members in theirs.items():
        if name in ABSENT:
            continue
        if name not in ours:
            out.append(name)
            continue
        for member, wanted in members.items():
            where = f"{name}.{member}" if member else name
            if where in ABSENT or member in INNER or member in OF_INSTANCES.get(name, ()):
                continue
            if member not in ours[name]:
                out.append(where)
            elif wanted is not None and ours[name][member] is not None and not (not member and name in MADE_BY_US):
                out += [f"{where}({text})" for text in differing(where, wanted, ours[name][member])]
    return out


def differing(where: str, wanted: list[Any], found: list[Any]) -> list[str]:
    """The arguments that are missing, have another default or stand in another order."""
    defaults = {name: default for name, _, default in found}
    named = [(name, default) for name, kind, default in wanted if not kind.startswith("VAR_")]
    named = [(name, default) for name, default in named if (where, name) not in OTHER]
    if where.rsplit(".", 1)[-1] in ("__getitem__", "__contains__", "__call__"):
        return []  # called by their position alone
    out = [name for name, _ in named if name not in defaults]
    for name, default in named:
        same = name in defaults and (defaults[name] == default or default == "<factory>")
        out += [] if same or name in out else [f"{name}={defaults.get(name)}, there {default}"]
    common = [name for name, _ in named if name in defaults]
    if [name for name in defaults if name in common] != common:
        out.append("another order")
    return out


def test_every_name_member_and_argument_is_there(peer: Callable[..., Any]) -> None:
    theirs = peer(Path(__file__).with_name("surface_cases.py"), "datasets")
    ours = surface("enfold.datasets")
    assert len(theirs) > 60 and sum(map(len, theirs.values())) > 600
    assert missing(theirs, ours) == []
    assert not ABSENT & set(ours), "what is offered needs no exception"
