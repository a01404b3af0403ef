"""Configurations: fields, their other spellings, labels, files, and that reading one loads neither torch nor numpy."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enfold.transformers.config import AutoConfig, ConfigError, PretrainedConfig
from enfold.transformers.configs.bert import BertConfig
from enfold.transformers.configs.distilbert import DistilBertConfig
from enfold.transformers.configs.gpt2 import GPT2Config
from enfold.transformers.configs.llama import LlamaConfig

FAMILIES = [BertConfig, DistilBertConfig, GPT2Config, LlamaConfig]


def test_reading_a_configuration_loads_neither_torch_nor_numpy(tmp_path: Path) -> None:
    BertConfig().save_pretrained(tmp_path)
    code = (
        "import sys; from enfold.transformers import AutoConfig, GenerationConfig, AutoModel; "
        f"folder = {str(tmp_path)!r}; config = AutoConfig.from_pretrained(folder, num_labels=3); "
        "config.save_pretrained(folder); GenerationConfig(max_new_tokens=3); assert config.num_labels == 3; "
        "print('torch' in sys.modules, 'numpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_file_gives_back_the_same_configuration(tmp_path: Path, family: type[PretrainedConfig]) -> None:
    config = family(num_labels=3, colour={"sky": "blue"}, output_hidden_states=True, dtype="bfloat16")
    config.save_pretrained(tmp_path)
    again = AutoConfig.from_pretrained(tmp_path)
    assert type(again) is family
    assert {**again.to_dict(), "_name_or_path": ""} == config.to_dict()
    assert again.colour == {"sky": "blue"} and again.output_hidden_states


@given(st.dictionaries(st.text("abcdefgh", min_size=3, max_size=8), st.integers() | st.text() | st.none(), max_size=5))
def test_keys_that_nobody_declared_are_kept(extra: dict[str, object]) -> None:
    config = BertConfig.from_dict(json.loads(json.dumps(extra)))
    assert {name: config.to_dict()[name] for name in extra} == extra


def test_names_map_to_the_family_s_own() -> None:
    config = GPT2Config(hidden_size=32, n_layer=3)
    assert config.n_embd == config.hidden_size == 32 and config.num_hidden_layers == 3
    config.num_attention_heads = 4
    assert config.n_head == 4 and "num_attention_heads" not in config.to_dict()
    assert DistilBertConfig(num_hidden_layers=2).n_layers == 2


def test_fields_may_be_given_by_place() -> None:
    assert BertConfig(100, 32).hidden_size == 32
    with pytest.raises(TypeError, match="values were given"):
        BertConfig(*range(99))


def test_labels_and_their_number_follow_each_other() -> None:
    config = BertConfig(id2label={"0": "no", "1": "yes", "2": "maybe"})
    assert config.num_labels == 3 and config.id2label[1] == "yes" and config.label2id == {"no": 0, "yes": 1, "maybe": 2}
    saved = json.loads(config.to_json_string())
    assert saved["id2label"] == {"0": "no", "1": "yes", "2": "maybe"}
    config.num_labels = 3
    assert config.id2label[2] == "maybe"  # the same number changes nothing
    config.num_labels = 2
    assert config.id2label == {0: "LABEL_0", 1: "LABEL_1"}
    assert "id2label" not in json.loads(config.to_json_string())


def test_arguments_override_the_file_and_the_rest_is_given_back(tmp_path: Path) -> None:
    BertConfig(hidden_size=16).save_pretrained(tmp_path)
    config, unused = AutoConfig.from_pretrained(
        tmp_path, num_labels=5, hidden_dropout_prob=0.0, flavour=1, return_unused_kwargs=True
    )
    assert config.num_labels == 5 and config.hidden_dropout_prob == 0.0 and config.hidden_size == 16
    assert unused == {"flavour": 1}


def test_both_spellings_of_the_type_are_read(tmp_path: Path) -> None:
    for key in ("torch_dtype", "dtype"):
        (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert", key: "float16"}))
        config = AutoConfig.from_pretrained(tmp_path)
        assert str(config.dtype).endswith("float16") and str(config.torch_dtype).endswith("float16")
        assert config.to_dict()["dtype"] == "float16" and "torch_dtype" not in config.to_dict()


@pytest.mark.parametrize(
    "given_as",
    [
        {"rope_theta": 5e5, "rope_scaling": {"type": "linear", "factor": 2.0}},
        {"rope_theta": 5e5, "rope_scaling": {"rope_type": "linear", "factor": 2.0}},
        {"rope_parameters": {"rope_theta": 5e5, "rope_type": "linear", "factor": 2.0}},
    ],
)
def test_every_spelling_of_rotary_numbers_is_read_and_written(given_as: dict[str, object]) -> None:
    config = LlamaConfig(**given_as)
    assert config.rope_theta == 5e5 and config.rope_scaling == {"rope_type": "linear", "factor": 2.0}
    assert config.rope_parameters == {"rope_theta": 5e5, "rope_type": "linear", "factor": 2.0}
    saved = json.loads(config.to_json_string())
    assert {"rope_theta", "rope_scaling", "rope_parameters"} <= set(saved)
    assert LlamaConfig(**saved) == config
    config.rope_theta = 1e4
    config.rope_scaling = None
    assert config.rope_parameters == {"rope_theta": 1e4, "rope_type": "default"}


def test_an_unknown_type_names_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "lama"}')
    with pytest.raises(ConfigError, match="did you mean 'llama'"):
        AutoConfig.from_pretrained(tmp_path)


def test_an_unknown_attribute_names_the_nearest() -> None:
    with pytest.raises(AttributeError, match="did you mean 'hidden_size'"):
        BertConfig().hiden_size


@pytest.mark.parametrize("text", ["", "[1]", "{"])
def test_a_damaged_file_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ConfigError, match=r"config\.json"):
        AutoConfig.from_pretrained(tmp_path)


def test_a_file_without_a_type_is_known_by_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "my-distilbert-model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    assert type(AutoConfig.from_pretrained(folder)) is DistilBertConfig


def test_a_class_of_one_s_own_can_be_registered(tmp_path: Path) -> None:
    class NewtConfig(PretrainedConfig):
        model_type = "newt"
        legs: int = 4

    AutoConfig.register("newt", NewtConfig)
    NewtConfig(legs=5).save_pretrained(tmp_path)
    assert AutoConfig.from_pretrained(tmp_path).legs == 5
    with pytest.raises(ValueError, match="taken"):
        AutoConfig.register("newt", NewtConfig)
    with pytest.raises(ValueError, match="newt"):
        AutoConfig.register("toad", NewtConfig)


def test_mutable_defaults_are_not_shared() -> None:
    LlamaConfig().rope_parameters["rope_theta"] = 1.0
    assert LlamaConfig().rope_parameters["rope_theta"] == 10000.0
