"""Which files hold the weights, and how a file is written so that a crash leaves the old one."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from enfold.checkpoints.errors import CheckpointError

__all__ = ["atomic_write", "find_weights", "shard_files", "with_variant"]

SAFETENSORS, BIN = "model.safetensors", "pytorch_model.bin"


def with_variant(name: str, variant: str | None) -> str:
    """Return ``name`` with the variant before its last extension.

    Example:
        >>> with_variant("model.safetensors", "fp16")
        'model.fp16.safetensors'
        >>> with_variant("model.safetensors.index.json", "fp16")
        'model.safetensors.index.fp16.json'
    """
    if not variant:
        return name
    stem, dot, extension = name.rpartition(".")
    return f"{stem}.{variant}{dot}{extension}"


def shard_files(index: str | os.PathLike[str]) -> list[str]:
    """Return the names of the shards that an index file lists, each once.

    Args:
        index: path of ``….index.json``.

    Raises:
        CheckpointError: when the file is no index, or a shard's name leaves the index's folder.
    """
    try:
        table = json.loads(Path(index).read_text(encoding="utf-8"))["weight_map"]
        names = list(dict.fromkeys(table.values()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{index} is no index of shards: it needs a 'weight_map' of names to files") from error
    for name in names:
        # A shard is a file beside its index; an index that points elsewhere is refused, not followed.
        if not isinstance(name, str) or name in {"", ".", ".."} or "\\" in name or name != os.path.basename(name):
            raise CheckpointError(f"{index} names the shard {name!r}, which is not a file beside the index")
    return names


def find_weights(
    source: str | os.PathLike[str],
    *,
    names: tuple[str, ...] = (SAFETENSORS, BIN),
    variant: str | None = None,
    use_safetensors: bool | None = None,
    **where: Any,
) -> list[str]:
    """Return the paths of a model's weights, from a folder or a repository.

    Each of ``names`` is tried whole, then sharded (``<name>.index.json``), in order.

    Args:
        source: a local folder, or a repository's id.
        names: file names to look for.
        variant: an infix such as ``"fp16"``.
        use_safetensors: True looks for safetensors only, False for other formats only, None for both.
        where: what ``enfold.hub.fetch.find_file`` takes (subfolder, revision, token, cache_dir …).

    Raises:
        CheckpointError: when none is there; it says what was looked for.
    """
    from enfold.hub.fetch import find_file

    if use_safetensors is not None:
        names = tuple(name for name in names if name.endswith(".safetensors") == use_safetensors)
    tried = []
    for name in names:
        whole, index = with_variant(name, variant), with_variant(f"{name}.index.json", variant)
        tried += [whole, index]
        path = find_file(str(source), whole, required=False, **where)
        if path is not None:
            return [path]
        path = find_file(str(source), index, required=False, **where)
        if path is not None:
            return [str(find_file(str(source), shard, **where)) for shard in shard_files(path)]
    raise CheckpointError(f"{source} holds no weights: looked for {', '.join(tried)}")


def atomic_write(path: str | os.PathLike[str], data: bytes | str) -> None:
    """Write ``data`` under a temporary name, then give it the name ``path``: readers see the old file or the new."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data.encode("utf-8") if isinstance(data, str) else data)
        take_umask(name)
        os.replace(name, target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def take_umask(path: str) -> None:
    """Give a temporary file, which is private, the permissions that a new file has."""
    mask = os.umask(0)
    os.umask(mask)
    os.chmod(path, 0o666 & ~mask)
