"""What cannot be a model, or cannot be read by one, is said in one clear error, and nothing is half done."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import enfold.transformers as tf
from enfold.checkpoints import CheckpointError
from enfold.errors import EnfoldError
from enfold.nn.embedding import PositionError
from enfold.transformers.config import ConfigError
from tiny_models import WORDS, folder

SIZES = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
NUMBERS = {**SIZES, "vocab_size": len(WORDS), "max_position_embeddings": 12}
WEIGHTS, INDEX, OLD = "model.safetensors", "model.safetensors.index.json", "pytorch_model.bin"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which nothing is wrong."""
    config = tf.BertConfig(**NUMBERS, architectures=["BertForSequenceClassification"])
    return Path(folder(tmp_path_factory.mktemp("whole"), tf.BertForSequenceClassification(config)))


@pytest.fixture
def place(whole: Path, tmp_path: Path) -> Path:
    """A copy of it, to spoil."""
    return Path(shutil.copytree(whole, tmp_path / "model"))


def load(place: Path, **options: Any) -> Any:
    return tf.AutoModelForSequenceClassification.from_pretrained(place, **options)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data[:-50],
        lambda data: data[:100],
        lambda data: b"",
        lambda data: b"\xff" * 8 + data[8:],
        lambda data: data[:20] + b"zzzz" + data[24:],
        lambda data: b"version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 123\n",
    ],
)
def test_a_truncated_or_corrupt_file_is_named(place: Path, spoil: Callable[[bytes], bytes]) -> None:
    path = place / WEIGHTS
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(CheckpointError, match=r"model\.safetensors is no safetensors file"):
        load(place)


@pytest.mark.parametrize("name", ["../whole/model.safetensors", "/etc/passwd", "a/../../b", ".."])
def test_an_index_may_not_leave_its_folder(place: Path, name: str) -> None:
    os.remove(place / WEIGHTS)
    (place / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": {"classifier.bias": name}}))
    with pytest.raises(CheckpointError, match=re.escape(f"names the shard {name!r}, which is not a file beside")):
        load(place)


@pytest.mark.parametrize("text", ["{nonsense", '{"metadata": {}}', '{"weight_map": [1]}'])
def test_an_index_that_is_none_is_said(place: Path, text: str) -> None:
    os.remove(place / WEIGHTS)
    (place / INDEX).write_text(text)
    with pytest.raises(CheckpointError, match="no index of shards"):
        load(place)


def test_every_tensor_of_another_shape_is_named_with_both(place: Path) -> None:
    with pytest.raises(CheckpointError) as caught:
        load(place, num_labels=5, intermediate_size=16)
    said = str(caught.value)
    for line in (
        "classifier.bias: (2,) in the file, (5,) in the module",
        "classifier.weight: (2, 8) in the file, (5, 8) in the module",
        "bert.encoder.layer.0.intermediate.dense.weight: (8, 8) in the file, (16, 8) in the module",
        "bert.encoder.layer.0.output.dense.weight: (8, 8) in the file, (8, 16) in the module",
    ):
        assert line in said
    assert "attention" not in said  # what fits is not named


@pytest.mark.parametrize("kind", ["model", "config", "pipeline"])
def test_an_unknown_model_type_is_answered_with_the_nearest(place: Path, kind: str) -> None:
    config = json.loads((place / "config.json").read_text())
    (place / "config.json").write_text(json.dumps({**config, "model_type": "brt"}))
    ask = {
        "model": load,
        "config": tf.AutoConfig.from_pretrained,
        "pipeline": lambda place: tf.pipeline("text-classification", model=str(place)),
    }[kind]
    with pytest.raises(ConfigError, match=r"unknown model_type 'brt'; did you mean 'bert'\?"):
        ask(place)


@pytest.mark.parametrize(
    ("text", "said"), [("{", "no readable JSON"), ("[1]", "holds a JSON list"), ("{}", "has no 'model_type'")]
)
def test_a_configuration_that_is_none_is_said(place: Path, text: str, said: str) -> None:
    (place / "config.json").write_text(text)
    with pytest.raises(ConfigError, match=said):
        load(place)


class Evil:
    """Writes a file when it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (self.path,)


def test_a_pickle_that_is_more_than_weights_is_not_read(place: Path, tmp_path: Path) -> None:
    os.remove(place / WEIGHTS)
    torch.save({"classifier.bias": Evil(str(tmp_path / "ran"))}, place / OLD)
    with pytest.raises(CheckpointError, match=r"pytorch_model\.bin cannot be .* alone: it holds") as caught:
        load(place)
    assert "posix.mkdir" in str(caught.value) and "weights_only" not in str(caught.value)
    assert not (tmp_path / "ran").exists()


def test_an_old_file_that_is_damaged_or_something_else_is_said(place: Path) -> None:
    os.remove(place / WEIGHTS)
    for content in (b"junk", b"", b"PK\x03\x04 no archive"):
        (place / OLD).write_bytes(content)
        with pytest.raises(CheckpointError, match="cannot be read as weights alone"):
            load(place)
    torch.save([1, 2], place / OLD)
    with pytest.raises(CheckpointError, match="holds a list, not a dictionary of tensors"):
        load(place)


def test_a_misspelt_argument_is_answered_with_the_nearest(place: Path) -> None:
    said = "from_pretrained takes no argument 'ignore_mismatched_size'; did you mean 'ignore_mismatched_sizes'"
    with pytest.raises(TypeError, match=said):
        load(place, ignore_mismatched_size=True)
    with pytest.raises(TypeError, match="'num_hiden_layers'; did you mean 'num_hidden_layers'"):
        load(place, num_hiden_layers=1)


LONG = torch.full((1, 20), 5)
SEQ2SEQ = {
    **{f"{side}_{name}": 1 for side in ("encoder", "decoder") for name in ("layers", "attention_heads", "ffn_dim")},
    "d_model": 8,
    "vocab_size": 30,
}


@pytest.mark.parametrize(
    "make",
    [
        lambda: tf.BertModel(tf.BertConfig(**NUMBERS)),
        lambda: tf.RobertaModel(tf.RobertaConfig(**NUMBERS)),
        lambda: tf.AlbertModel(tf.AlbertConfig(**NUMBERS, embedding_size=4)),
        lambda: tf.MPNetModel(tf.MPNetConfig(**NUMBERS)),
        lambda: tf.DebertaV2Model(tf.DebertaV2Config(**NUMBERS)),
        lambda: tf.DistilBertModel(
            tf.DistilBertConfig(vocab_size=30, dim=8, n_layers=1, n_heads=2, hidden_dim=8, max_position_embeddings=12)
        ),
        lambda: tf.GPT2LMHeadModel(tf.GPT2Config(vocab_size=30, n_embd=8, n_layer=1, n_head=2, n_positions=12)),
        lambda: tf.BartModel(tf.BartConfig(**SEQ2SEQ, max_position_embeddings=12)),
        lambda: tf.MarianModel(tf.MarianConfig(**SEQ2SEQ, max_position_embeddings=12, pad_token_id=1)),
        lambda: tf.PegasusModel(tf.PegasusConfig(**SEQ2SEQ, max_position_embeddings=12)),
    ],
)
def test_a_text_longer_than_the_model_is_said(make: Callable[[], Any]) -> None:
    with pytest.raises(PositionError, match=r"a text reaches position \d+ and the model's last is \d+: cut it"):
        make()(LONG)


def test_a_text_longer_than_the_model_is_said_by_pipelines_and_cut_on_request(whole: Path) -> None:
    pipe = tf.pipeline("text-classification", model=str(whole))
    with pytest.raises(PositionError, match="reaches position 49 and the model's last is 11"):
        pipe("cat " * 50)
    assert pipe("cat " * 50, truncation=True, max_length=12)[0]["score"] > 0
    writer = tf.GPT2LMHeadModel(tf.GPT2Config(vocab_size=30, n_embd=8, n_layer=1, n_head=2, n_positions=12)).eval()
    with pytest.raises(PositionError, match="reaches position 12 and the model's last is 11"):
        writer(torch.ones(1, 13, dtype=torch.long))


def test_what_is_no_picture_is_said(tmp_path: Path) -> None:
    config = tf.ViTConfig(**SIZES, image_size=8, patch_size=4)
    processor = tf.ViTImageProcessor(size={"height": 8, "width": 8})
    pipe = tf.pipeline("image-classification", model=tf.ViTForImageClassification(config), image_processor=processor)
    (tmp_path / "x.jpg").write_text("no picture")
    for given, said in (
        (str(tmp_path / "x.jpg"), "x.jpg is no image"),
        (str(tmp_path / "y.jpg"), "neither a file that exists, nor a URL, nor base64"),
        (3, "not int"),
        (np.zeros((2, 2, 2, 2, 2)), "two or three dimensions, not 5"),
    ):
        with pytest.raises(EnfoldError, match=said):
            pipe(given)


def test_a_recording_without_sound_is_said() -> None:
    convolutions = {"conv_dim": (8, 8), "conv_kernel": (3, 3), "conv_stride": (2, 2), "num_feat_extract_layers": 2}
    config = tf.Wav2Vec2Config(
        **{**SIZES, "hidden_size": 16},
        **convolutions,
        num_conv_pos_embedding_groups=2,
        num_conv_pos_embeddings=4,
        vocab_size=9,
    )
    model = tf.Wav2Vec2ForSequenceClassification(config).eval()
    pipe = tf.pipeline("audio-classification", model=model, feature_extractor=tf.Wav2Vec2FeatureExtractor())
    with pytest.raises(ValueError, match="the recording has no samples"):
        pipe(np.zeros(0, "float32"))
    with pytest.raises(EnfoldError, match="a recording of 2 samples is too short for a single frame"):
        pipe(np.zeros(2, "float32"))
    with pytest.raises(EnfoldError, match="a recording of 0 samples"):
        model(torch.zeros(1, 0))
    with pytest.raises(ValueError, match="recording 0 has no samples"):
        tf.WhisperFeatureExtractor()(np.zeros(0, "float32"), sampling_rate=16000)
