"""The ecosystem's own clients find in the fixture Hub what they would find in the real one."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.peer

PEER = """
import json
from collections import Counter

from datasets import load_dataset
from huggingface_hub import HfApi
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

result = {"files": {}, "ids": {}, "positions": {}}
for name in ("gpt2", "openai-community/gpt2", "bert-base-uncased", "meta-llama/Llama-2-7b-hf",
             "distilbert-base-uncased-finetuned-sst-2-english"):
    result["files"][name] = sorted(HfApi().list_repo_files(name))
    result["ids"][name] = AutoTokenizer.from_pretrained(name)("Hello world").input_ids
    result["positions"][name] = AutoConfig.from_pretrained(name).max_position_embeddings
model, report = AutoModelForCausalLM.from_pretrained("gpt2", output_loading_info=True)
result["report"] = {key: sorted(map(str, value)) for key, value in report.items()}
result["labels"] = AutoModelForSequenceClassification.from_pretrained(
    "distilbert-base-uncased-finetuned-sst-2-english").config.id2label
result["imdb"] = HfApi().dataset_info("imdb").id
rows = load_dataset(result["imdb"])  # this version's loader refuses one-segment ids
result["names"] = rows["train"].features["label"].names
result["rows"] = {split: Counter(rows[split]["label"]) for split in rows}
print(json.dumps(result))
"""


@pytest.fixture(scope="module")
def found(peer: Callable[..., Any], fixture_hub: Any) -> Any:
    variables = {"HF_HUB_OFFLINE": "0", "HF_ENDPOINT": fixture_hub.endpoint, "HF_TOKEN": fixture_hub.token}
    return peer(PEER, variables={**variables, "HF_HUB_DISABLE_XET": "1"})


def test_models_load_by_their_real_ids(found: Any) -> None:
    assert found["files"]["gpt2"] == found["files"]["openai-community/gpt2"]
    assert {"config.json", "model.safetensors", "vocab.json", "merges.txt"} < set(found["files"]["gpt2"])
    assert "model.safetensors.index.json" in found["files"]["meta-llama/Llama-2-7b-hf"]
    assert not any(found["report"].values())
    assert found["labels"] == {"0": "NEGATIVE", "1": "POSITIVE"}


def test_vocabularies_and_position_tables_are_the_real_ones(found: Any) -> None:
    if shutil.which("npm"):  # GPT-2's vocabulary comes from there
        assert found["ids"]["gpt2"] == [15496, 995]
    assert found["ids"]["bert-base-uncased"] == [101, 7592, 2088, 102]
    assert found["ids"]["distilbert-base-uncased-finetuned-sst-2-english"] == [101, 7592, 2088, 102]
    assert found["positions"] == {
        "gpt2": 1024,
        "openai-community/gpt2": 1024,
        "bert-base-uncased": 512,
        "meta-llama/Llama-2-7b-hf": 4096,
        "distilbert-base-uncased-finetuned-sst-2-english": 512,
    }


def test_the_data_set_has_both_labels_in_every_split(found: Any) -> None:
    assert found["imdb"] == "stanfordnlp/imdb"
    assert found["names"] == ["neg", "pos"]
    assert found["rows"] == {"train": {"0": 64, "1": 64}, "test": {"0": 32, "1": 32}, "unsupervised": {"-1": 32}}
