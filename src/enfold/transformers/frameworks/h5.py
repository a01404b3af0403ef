"""``tf_model.h5``: the weights of the ecosystem's TensorFlow models, under their names, into ours and back.

TensorFlow's classes name their variables after the same parts as torch's, in another spelling: ``/`` for ``.``,
``layer_._0`` for ``layer.0``, ``kernel`` (transposed), ``gamma``, ``beta``, ``embeddings`` and ``moving_mean`` for what
torch calls ``weight``, ``bias`` and ``running_mean``. A file holds them below one group for every top layer
(``layer_names``, ``weight_names``); a shard holds them bare. Reading a file reads numbers and names: HDF5 holds no code
that this would run.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from enfold.checkpoints import atomic_write, parse_size
from enfold.checkpoints.errors import CheckpointError
from enfold.checkpoints.files import take_umask
from enfold.errors import required

__all__ = ["H5", "H5Weights", "save_h5", "tf_name"]

H5 = "tf_model.h5"
# how TensorFlow calls the last part → how torch does
_LAST = {
    "kernel": "weight",
    "depthwise_kernel": "weight",
    "embeddings": "weight",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
_NORMED = {"weight_g": "parametrizations.weight.original0", "weight_v": "parametrizations.weight.original1"}
_NORM = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}
_FILE = re.compile(r"tf_model(-\d{5}-of-\d{5})?\.h5(\.index\.json)?")
# Model types that write ``layers.0`` where the others write ``layers_._0``.
_DOTTED = ("bart", "mbart", "marian", "pegasus", "whisper", "wav2vec2", "hubert", "mistral", "resnet", "segformer")
_FLAT = ("t5", "mt5")
# Embeddings that are no layer of Keras there: their table is called ``weight`` as in torch.
_OWN_TABLES = ("word_embeddings", "token_embedding")
_OWN_TABLES_OF = {"whisper": ("embed_positions",)}
# Parts that stand under another name at the top of a file, where two heads share torch's.
_RENAMED = {"cls.predictions": "mlm___cls.predictions", "cls.seq_relationship": "nsp___cls.seq_relationship"}
_CHUNK = 64_000  # HDF5 holds no attribute above 64 kB: longer lists are cut into several


def _h5py() -> Any:
    return required("h5py", "tf_model.h5", "tf")


class H5Weights:
    """The weights of one file, or of all shards.

    Args:
        files: paths.

    Raises:
        MissingExtra: h5py is not installed.
    """

    def __init__(self, files: Iterable[str | os.PathLike[str]]) -> None:
        _h5py()
        self.files = [os.fspath(file) for file in files]

    def fitted(self, model: nn.Module, prefix: str = "") -> dict[str, Tensor]:
        """Return name → tensor under the names and in the layout of a torch model.

        Args:
            model: whose names are wanted; its weights are not looked at.
            prefix: the name under which a headed model keeps its base model.

        Raises:
            CheckpointError: a file that is no HDF5 file.
        """
        shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict(keep_vars=True).items()}
        found: dict[str, Tensor] = {}
        for file in self.files:
            with _opened(file) as weights:
                for raw, data in weights:
                    name = torch_name(raw, shapes, prefix)
                    if name not in found:  # heads repeat the embedding that they share
                        found[name] = torch.from_numpy(_to_torch(np.asarray(data), raw, shapes.get(name)))
        for name in shapes:  # a count that TensorFlow's norms do not keep
            if name.endswith(".num_batches_tracked"):
                found.setdefault(name, torch.tensor(0))
        return found


@contextmanager
def _opened(path: str) -> Iterator[Iterator[tuple[str, Any]]]:
    try:
        file = _h5py().File(path, "r")
    except OSError as error:
        raise CheckpointError(f"{path} is no HDF5 file: {error}") from error
    with file:
        yield _weights(file, path)


def _weights(file: Any, path: str) -> Iterator[tuple[str, Any]]:
    for layer in _names(file, "layer_names"):
        group = _inside(file, layer, path)
        if not hasattr(group, "attrs") or hasattr(group, "shape"):  # a shard: the weight itself
            yield layer, group
            continue
        for name in _names(group, "weight_names"):
            yield name, _inside(group, name, path)


def _inside(group: Any, name: str, path: str) -> Any:
    """Return a member of a group; one that lies in another file is not followed."""
    h5py = _h5py()
    part = group
    for step in name.split("/"):
        link = part.get(step, getlink=True) if hasattr(part, "get") else None
        if isinstance(link, h5py.ExternalLink):
            raise CheckpointError(f"{path} keeps {name!r} in another file, which is not opened")
        if link is None:
            raise CheckpointError(f"{path} lists {name!r} and does not hold it")
        part = part[step]
    if getattr(part, "external", None) or getattr(part, "is_virtual", False):
        raise CheckpointError(f"{path} keeps {name!r} in another file, which is not opened")
    return part


def _names(group: Any, attribute: str) -> list[str]:
    """Return a list of names from an attribute, or from its pieces ``<attribute>0``, ``<attribute>1`` …"""
    if attribute in group.attrs:
        found = list(group.attrs[attribute])
    else:
        found, at = [], 0
        while f"{attribute}{at}" in group.attrs:
            found += list(group.attrs[f"{attribute}{at}"])
            at += 1
    return [name.decode() if isinstance(name, bytes) else str(name) for name in found]


def torch_name(raw: str, shapes: Mapping[str, Any], prefix: str = "") -> str:
    """Return the torch name of a TensorFlow variable: the longest end of it that the model knows.

    Example:
        >>> torch_name("tf_bert_model/bert/encoder/layer_._0/output/dense/kernel:0",
        ...            {"encoder.layer.0.output.dense.weight": (8, 8)}, "bert")
        'encoder.layer.0.output.dense.weight'
    """
    name = re.sub(r":\d+$", "", raw)
    name = re.sub(r"[^/]*___", "", name).replace("_._", "/")
    parts = [part for part in name.split("/") if part]
    parts[-1] = _LAST.get(parts[-1], parts[-1])
    for start in range(min(len(parts), 4)):
        for last in (parts[-1], _NORMED.get(parts[-1], "")):
            spelling = ".".join([*parts[start:-1], last])
            for tried in (spelling, f"{prefix}.{spelling}", spelling.removeprefix(f"{prefix}.")):
                if tried in shapes:
                    return tried
    return ".".join(parts[1:] or parts)


def _to_torch(value: np.ndarray, raw: str, shape: tuple[int, ...] | None) -> np.ndarray:
    if raw.partition(":")[0].endswith("kernel") and value.ndim > 1:
        value = value.T if value.ndim == 2 else value.transpose(value.ndim - 1, value.ndim - 2, *range(value.ndim - 2))
    if shape is not None and value.shape != shape and value.size == np.prod(shape):
        value = value.reshape(shape)  # a bias of one row, a scale without dimensions
    return np.ascontiguousarray(value) if value.ndim else value.copy()


# --- writing


def tf_name(name: str, module: nn.Module, model_type: str) -> tuple[str, bool]:
    """Return a weight's name in TensorFlow's spelling, and whether it lies transposed there.

    Args:
        name: torch's.
        module: the part that holds it.
        model_type: of the configuration; some write ``layers.0`` where most write ``layers_._0``.

    Example:
        >>> tf_name("bert.encoder.layer.0.output.dense.weight", nn.Linear(2, 2), "bert")
        ('bert/encoder/layer_._0/output/dense/kernel', True)
    """
    for old, new in _RENAMED.items():
        if name.startswith(f"{old}."):
            name = new + name.removeprefix(old)
    path, _, last = name.rpartition(".")
    if model_type in _DOTTED:
        path = re.sub(r"\.(\d+)(?=\.|$)", r"#\1", path)
        path = path.replace("model.shared", "model#shared") if path == "model.shared" else path
        path = path.replace(".", "/").replace("#", ".")
    else:
        path = re.sub(r"\.(\d+)(?=\.|$)", r"_._\1", path).replace(".", "/").replace("_/_", "_._")
    for short, long in _NORMED.items():
        if name.endswith(f".{long}"):
            return f"{path.removesuffix('/parametrizations/weight')}/{short}", False
    convolves = isinstance(module, nn.modules.conv._ConvNd)
    transposed = last == "weight" and (isinstance(module, nn.Linear) or convolves)
    if transposed:
        last = "kernel"
    elif isinstance(module, nn.Embedding):
        own = path.rpartition("/")[2] in (*_OWN_TABLES, *_OWN_TABLES_OF.get(model_type, ()))
        last = "weight" if own else "embeddings"
    elif isinstance(module, nn.LayerNorm | nn.GroupNorm | nn.modules.batchnorm._BatchNorm):
        last = _NORM[last]
    return f"{path}/{last}" if path else last, transposed


def save_h5(model: Any, folder: str | os.PathLike[str], max_shard_size: int | str = "5GB") -> list[str]:
    """Write configuration and ``tf_model.h5`` of a torch model, which TensorFlow's readers of such files take.

    Args:
        model: a torch model.
        folder: made when it does not exist.
        max_shard_size: bytes, or ``"5GB"``; a larger model is written in shards with ``tf_model.h5.index.json``.

    Returns:
        The paths written.
    """
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    config = model.config
    config.architectures = [type(model).__name__]
    config.save_pretrained(target)
    if getattr(model, "generation_config", None) is not None:
        model.generation_config.save_pretrained(target)
    weights = dict(_spelt(model))
    whole = "tf_" + re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(model).__name__).lower()
    shards: list[dict[str, np.ndarray]] = [{}]
    held, limit = 0, parse_size(max_shard_size)
    for name, value in weights.items():
        if shards[-1] and held + value.nbytes > limit:
            shards.append({})
            held = 0
        shards[-1][name] = value
        held += value.nbytes
    stale = [path for path in target.iterdir() if _FILE.fullmatch(path.name)]
    if len(shards) == 1:
        written = [_write(target / H5, shards[0], whole)]
    else:
        count = len(shards)
        names = [f"tf_model-{number:05d}-of-{count:05d}.h5" for number in range(1, count + 1)]
        written = [_write(target / name, shard, None) for name, shard in zip(names, shards, strict=True)]
        homes = {f"{whole}/{one}:0": file for shard, file in zip(shards, names, strict=True) for one in shard}
        total = sum(value.nbytes for value in weights.values())
        index = target / f"{H5}.index.json"
        table = {"metadata": {"total_size": total}, "weight_map": homes}
        atomic_write(index, json.dumps(table, indent=2) + "\n")
        written.append(str(index))
    for path in stale:
        if str(path) not in written:
            path.unlink(missing_ok=True)
    return written


def _spelt(model: Any) -> Iterator[tuple[str, np.ndarray]]:
    modules, tied = dict(model.named_modules()), model.tied_names()
    kind, base = model.config.model_type, model.base_model_prefix
    # a base model stands below its name there, except where the parts of the whole stand at the top
    above = f"{base}/" if base and not hasattr(model, base) and kind not in _FLAT else ""
    for name, tensor in model.state_dict().items():
        if name in tied or name.endswith("num_batches_tracked"):
            continue
        module = modules[name.rpartition(".")[0]]
        spelling, transposed = tf_name(name, module, kind)
        value = tensor.detach().float().cpu().numpy()
        if transposed:
            value = value.T if value.ndim == 2 else value.transpose(*range(2, value.ndim), 1, 0)
        if spelling.endswith("/weight_g"):
            value = value.T
        if type(module).__name__ == "Conv1D" and name.endswith("bias"):
            value = value[None]
        yield above + spelling, np.ascontiguousarray(value)


def _write(path: Path, weights: Mapping[str, np.ndarray], whole: str | None) -> str:
    """Write a file under a temporary name: groups by top layer below the model's name, or bare for a shard."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    try:
        with _h5py().File(temporary, "w") as file:
            if whole is None:
                # Readers leave out the first step of a name, except where it is written twice.
                bare = {
                    f"model.shared/{name}:0" if name.startswith("model.shared/") else f"{name}:0": value
                    for name, value in weights.items()
                }
                for name, value in bare.items():
                    file.create_dataset(name, data=value)
                _list(file, "layer_names", list(bare))
            else:
                groups: dict[str, dict[str, np.ndarray]] = {}
                for name, value in weights.items():
                    top = name.partition("/")[0]
                    groups.setdefault(top.partition(".")[0] if "." in top else top, {})[name] = value
                _list(file, "layer_names", list(groups))
                for top, members in groups.items():
                    group = file.create_group(top)
                    named = {f"{whole}/{name}:0" if "/" in name else f"{name}:0": one for name, one in members.items()}
                    for name, value in named.items():
                        group.create_dataset(name, data=value)
                    _list(group, "weight_names", list(named))
        take_umask(temporary)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return str(path)


def _list(group: Any, attribute: str, names: list[str]) -> None:
    made = [name.encode() for name in names]
    pieces: list[list[bytes]] = [[]]
    width = max((len(name) for name in made), default=1)
    for name in made:
        if (len(pieces[-1]) + 1) * width > _CHUNK:
            pieces.append([])
        pieces[-1].append(name)
    if len(pieces) == 1:
        group.attrs[attribute] = made
    else:
        for at, piece in enumerate(pieces):
            group.attrs[f"{attribute}{at}"] = piece
