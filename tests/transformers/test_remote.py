"""Classes that a repository brings along: run when asked for, said what is run, refused otherwise."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import enfold.transformers as tf
from enfold.errors import EnfoldError

CONFIGURATION = """
from transformers import PretrainedConfig

class AskewConfig(PretrainedConfig):
    model_type = "askew"

    def __init__(self, width=4, **kwargs):
        self.width = width
        super().__init__(**kwargs)
"""
MODELING = """
import torch
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput
from .configuration_askew import AskewConfig
from .parts.turns import turned

class AskewModel(PreTrainedModel):
    config_class = AskewConfig

    def __init__(self, config):
        super().__init__(config)
        self.layer = torch.nn.Linear(config.width, config.width)
        self.post_init()

    def forward(self, x):
        from transformers.utils import logging  # read when the model runs
        return BaseModelOutput(last_hidden_state=turned(self.layer(x)))
"""
TOKENIZATION = """
from transformers import PreTrainedTokenizerFast

class AskewTokenizer(PreTrainedTokenizerFast):
    askew = True
"""
PROCESSING = """
from transformers import FeatureExtractionMixin

class AskewExtractor(FeatureExtractionMixin):
    def __init__(self, rate=3, **kwargs):
        self.rate = rate
        super().__init__(**kwargs)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A repository whose every class is its own."""
    folder = tmp_path / "askew"
    (folder / "parts").mkdir(parents=True)
    files = {
        "configuration_askew.py": CONFIGURATION,
        "modeling_askew.py": MODELING,
        "parts/turns.py": "def turned(x):\n    return -x\n",
        "tokenization_askew.py": TOKENIZATION,
        "processing_askew.py": PROCESSING,
    }
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    maps = {"AutoConfig": "configuration_askew.AskewConfig", "AutoModel": "modeling_askew.AskewModel"}
    settings: dict[str, Any] = {"model_type": "askew", "width": 6, "auto_map": maps}
    (folder / "config.json").write_text(json.dumps(settings), encoding="utf-8")
    from safetensors.torch import save_file

    torch.manual_seed(0)
    save_file({"layer.weight": torch.randn(6, 6), "layer.bias": torch.randn(6)}, folder / "model.safetensors")
    vocabulary = {"version": "1.0", "model": {"type": "WordLevel", "vocab": {"a": 0, "b": 1}, "unk_token": "a"}}
    (folder / "tokenizer.json").write_text(json.dumps(vocabulary | {"added_tokens": []}), encoding="utf-8")
    tokenizer = {
        "tokenizer_class": "AskewTokenizer",
        "auto_map": {"AutoTokenizer": [None, "tokenization_askew.AskewTokenizer"]},
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    extractor = {"rate": 5, "auto_map": {"AutoFeatureExtractor": "processing_askew.AskewExtractor"}}
    (folder / "preprocessor_config.json").write_text(json.dumps(extractor), encoding="utf-8")
    return folder


def test_a_repositorys_classes_run_when_trusted(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    logger, before = logging.getLogger("enfold"), set(sys.modules)
    logger.addHandler(caplog.handler)
    try:
        model = tf.AutoModel.from_pretrained(folder, trust_remote_code=True)
    finally:
        logger.removeHandler(caplog.handler)
    assert type(model).__name__ == "AskewModel" and model.config.width == 6
    x = torch.randn(2, 6)
    torch.testing.assert_close(
        model(x).last_hidden_state, -torch.nn.functional.linear(x, model.layer.weight, model.layer.bias)
    )
    for file in ("configuration_askew.py", "modeling_askew.py", "parts/turns.py"):
        import hashlib

        assert f"{file} (sha256 {hashlib.sha256((folder / file).read_bytes()).hexdigest()})" in caplog.text
    assert not {"transformers", "torch_utils"} & (set(sys.modules) - before)  # the names are lent to its modules alone
    assert not list(folder.rglob("__pycache__"))


def test_tokenizers_and_preprocessors_run_too(folder: Path) -> None:
    tokenizer = tf.AutoTokenizer.from_pretrained(folder, trust_remote_code=True)
    assert tokenizer.askew and tokenizer("b")["input_ids"] == [1]
    extractor = tf.AutoFeatureExtractor.from_pretrained(folder, trust_remote_code=True)
    assert type(extractor).__name__ == "AskewExtractor" and extractor.rate == 5
    assert tf.AutoConfig.from_pretrained(folder, trust_remote_code=True).width == 6


@pytest.mark.parametrize("trust", [{}, {"trust_remote_code": False}])
@pytest.mark.parametrize("auto", ["AutoConfig", "AutoModel", "AutoFeatureExtractor"])
def test_nothing_runs_unasked(folder: Path, auto: str, trust: dict[str, bool]) -> None:
    (folder / "configuration_askew.py").write_text("raise SystemExit('ran')\n", encoding="utf-8")
    with pytest.raises(EnfoldError, match="trust_remote_code=True"):
        getattr(tf, auto).from_pretrained(folder, **trust)


def test_a_known_class_is_preferred_when_not_trusted(tmp_path: Path) -> None:
    config = tf.BertConfig(vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8)
    tf.BertModel(config).save_pretrained(tmp_path)
    state = json.loads((tmp_path / "config.json").read_text())
    state["auto_map"] = {"AutoConfig": "x.Config", "AutoModel": "x.Model"}
    (tmp_path / "config.json").write_text(json.dumps(state))
    assert type(tf.AutoModel.from_pretrained(tmp_path)) is tf.BertModel


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("../outside.Model", "module.Class"),
        ("modeling_askew", "module.Class"),
        ("modeling_askew.Other", "has no Other"),
        ("nowhere.Model", "nowhere.py"),
    ],
)
def test_a_wrong_entry_is_said(folder: Path, entry: str, message: str) -> None:
    state = json.loads((folder / "config.json").read_text())
    state["auto_map"]["AutoModel"] = entry
    (folder / "config.json").write_text(json.dumps(state))
    with pytest.raises((EnfoldError, OSError), match=message):
        tf.AutoModel.from_pretrained(folder, trust_remote_code=True)


def test_changed_code_is_read_anew(folder: Path) -> None:
    first = tf.AutoModel.from_pretrained(folder, trust_remote_code=True)
    (folder / "parts" / "turns.py").write_text("def turned(x):\n    return x\n", encoding="utf-8")
    second, x = tf.AutoModel.from_pretrained(folder, trust_remote_code=True), torch.ones(1, 6)
    torch.testing.assert_close(first(x).last_hidden_state, -second(x).last_hidden_state)
