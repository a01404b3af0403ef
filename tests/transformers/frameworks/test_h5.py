"""Files of the ecosystem's TensorFlow models: read into torch models and written, without TensorFlow.

``tf_weights_golden.json`` was written with transformers 4.57.6 and tf-keras 2.21: the names, shapes and a weighed sum
of every variable of ``TF<class>`` after ``from_pt=True``, for weights that ``filled`` makes of their torch names.
"""

from __future__ import annotations

import json
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import enfold.transformers as et
from enfold.checkpoints.errors import CheckpointError
from enfold.transformers.frameworks.h5 import H5Weights, save_h5

h5py = pytest.importorskip("h5py")
GOLDEN = json.loads((Path(__file__).parent / "tf_weights_golden.json").read_text())


@torch.no_grad()
def filled(name: str, config: dict[str, Any]) -> Any:
    """A model whose weights follow from their names alone."""
    kind = getattr(et, name)
    model = kind(kind.config_class(**config)).eval()
    for weight, tensor in sorted(model.state_dict().items()):
        if tensor.is_floating_point():
            drawn = np.random.RandomState(zlib.crc32(weight.encode())).standard_normal(tuple(tensor.shape))
            tensor.copy_(torch.from_numpy(np.asarray(drawn, "float32")).abs())
    return model


def variables(path: Path) -> dict[str, Any]:
    """Name → values of all variables in a file of one piece."""
    found = {}
    with h5py.File(path) as file:
        for layer in file.attrs["layer_names"]:
            group = file[layer]
            for name in group.attrs["weight_names"]:
                found[name if isinstance(name, str) else name.decode()] = np.asarray(group[name])
    return found


def weighed(value: np.ndarray) -> float:
    """A sum that tells a tensor from its transpose."""
    return float((value.ravel().astype("float64") * np.linspace(1, 2, value.size)).sum())


def bare(name: str) -> str:
    """A variable's name without its first step, which readers leave out."""
    return name.split("/", 1)[-1]


@pytest.mark.parametrize("name", GOLDEN)
def test_names_and_layouts_are_those_of_the_ecosystem(tmp_path: Path, name: str) -> None:
    save_h5(filled(name, GOLDEN[name]["config"]), tmp_path)
    ours = {bare(key): value for key, value in variables(tmp_path / "tf_model.h5").items()}
    theirs = {bare(key): value for key, value in GOLDEN[name]["weights"].items()}
    assert set(ours) == set(theirs)
    for key, (shape, total) in theirs.items():
        assert list(ours[key].shape) == shape or (ours[key].size == 1 and np.prod(shape) == 1), key
        assert weighed(ours[key]) == pytest.approx(total, rel=1e-5, abs=1e-3), key


@pytest.mark.parametrize("size", ["5GB", "4KB"], ids=["whole", "sharded"])
@pytest.mark.parametrize("name", GOLDEN)
def test_what_is_written_is_read(tmp_path: Path, name: str, size: str) -> None:
    model = filled(name, GOLDEN[name]["config"])
    written = save_h5(model, tmp_path, max_shard_size=size)
    assert (len(written) > 1) == (size == "4KB")
    again, told = getattr(et, name).from_pretrained(tmp_path, from_tf=True, output_loading_info=True)
    assert not told["missing_keys"] and not told["unexpected_keys"]
    for weight, tensor in model.state_dict().items():
        assert torch.equal(again.state_dict()[weight], tensor), weight


def test_a_smaller_save_leaves_no_shards_behind(tmp_path: Path) -> None:
    model = filled("GPT2LMHeadModel", GOLDEN["GPT2LMHeadModel"]["config"])
    save_h5(model, tmp_path, max_shard_size="4KB")
    save_h5(model, tmp_path)
    assert [path.name for path in tmp_path.glob("tf_model*")] == ["tf_model.h5"]


def test_a_base_model_reads_the_file_of_a_headed_one(tmp_path: Path) -> None:
    model = filled("RobertaForMaskedLM", GOLDEN["RobertaForMaskedLM"]["config"])
    save_h5(model, tmp_path)
    base = et.RobertaModel.from_pretrained(tmp_path, from_tf=True, add_pooling_layer=False)
    assert torch.equal(base.embeddings.word_embeddings.weight, model.roberta.embeddings.word_embeddings.weight)
    headed = et.AutoModelForSequenceClassification.from_pretrained(tmp_path, from_tf=True)
    weight = headed.roberta.encoder.layer[0].attention.self.query.weight
    assert torch.equal(weight, model.roberta.encoder.layer[0].attention.self.query.weight)


def test_a_file_that_points_elsewhere_is_refused(tmp_path: Path) -> None:
    model = filled("GPT2LMHeadModel", GOLDEN["GPT2LMHeadModel"]["config"])
    save_h5(model, tmp_path)
    (tmp_path / "tf_model.h5").rename(tmp_path / "secret.h5")
    with h5py.File(tmp_path / "tf_model.h5", "w") as file:
        file.attrs["layer_names"] = [b"transformer"]
        file["transformer"] = h5py.ExternalLink("secret.h5", "/transformer")
    with pytest.raises(CheckpointError, match="another file"):
        H5Weights([tmp_path / "tf_model.h5"]).fitted(model, "transformer")


def test_what_is_no_hdf5_file_is_named(tmp_path: Path) -> None:
    model = filled("GPT2LMHeadModel", GOLDEN["GPT2LMHeadModel"]["config"])
    model.config.save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match=r"looked for tf_model\.h5"):
        et.GPT2LMHeadModel.from_pretrained(tmp_path, from_tf=True)
    (tmp_path / "tf_model.h5").write_bytes(b"no such thing")
    with pytest.raises(CheckpointError, match="no HDF5 file"):
        et.GPT2LMHeadModel.from_pretrained(tmp_path, from_tf=True)


def test_naming_the_classes_loads_no_tensorflow() -> None:
    code = (
        "import sys, enfold.transformers as t; assert 'TFBertModel' in dir(t) and 'TFAutoModelForCausalLM' in dir(t);"
        "t.BertModel; from enfold.transformers.trainer import DataCollatorWithPadding;"
        "print([name for name in ('tensorflow', 'keras', 'h5py', 'jax') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_without_tensorflow_the_extra_is_named() -> None:
    code = (
        "import sys; sys.modules['tensorflow'] = sys.modules['keras'] = None\n"
        "import enfold.transformers as t\n"
        "from enfold.transformers.tokenization import BatchEncoding\n"
        "from enfold.transformers.trainer import DefaultDataCollator\n"
        "for make in (lambda: t.TFBertModel, lambda: BatchEncoding({'input_ids': [[1]]}, tensor_type='tf'),\n"
        "             lambda: DefaultDataCollator('tf')([{'x': 1}]), lambda: t.create_optimizer):\n"
        "    try: make()\n"
        "    except ImportError as error: print('enfold[tf]' in str(error))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == ["True"] * 4, done.stderr
