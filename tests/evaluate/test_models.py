"""Metrics that run a model: perplexity and BERTScore on tiny models in local folders, against their definitions."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from enfold.evaluate import EvaluationError, load
from enfold.transformers import AutoModel, AutoModelForCausalLM, BertConfig, GPT2Config
from tiny_models import WORDS, folder


@pytest.fixture(scope="module")
def causal(tmp_path_factory: pytest.TempPathFactory) -> str:
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=len(WORDS), n_positions=16, n_embd=16, n_layer=2, n_head=2, bos_token_id=1, eos_token_id=1
    )
    return folder(tmp_path_factory.mktemp("causal"), AutoModelForCausalLM.from_config(config))


@pytest.mark.parametrize("module_type", ["metric", "measurement"])
def test_perplexity_is_the_exponential_of_the_mean_loss(causal: str, module_type: str) -> None:
    texts = ["the cat sat", "a dog sat on the mat"]
    got = load("perplexity", module_type=module_type).compute(texts, model_id=causal, batch_size=2)
    model = AutoModelForCausalLM.from_pretrained(causal).eval()
    for text, value in zip(texts, got["perplexities"], strict=True):
        ids = torch.tensor([[1] + [WORDS.index(word) for word in text.split()]])
        with torch.no_grad():
            assert value == pytest.approx(math.exp(model(input_ids=ids, labels=ids).loss), rel=1e-5)
    assert got["mean_perplexity"] == pytest.approx(sum(got["perplexities"]) / 2)
    with pytest.raises(EvaluationError, match="text 1 has 1 tokens"):
        load("perplexity").compute(["the cat", "cat"], model_id=causal, add_start_token=False)


def test_bertscore_is_the_mean_of_best_similarities(tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = BertConfig(vocab_size=len(WORDS), hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
                        intermediate_size=16, max_position_embeddings=16)  # fmt: skip
    name = folder(tmp_path, AutoModel.from_config(config))
    said, right = ["the cat sat", "a dog"], [["the cat sat"], ["the mat", "a dog sat on a mat"]]
    got = load("bertscore").compute(said, right, model_type=name, num_layers=1)
    assert got["f1"][0] == pytest.approx(1.0, abs=1e-5) and got["f1"][1] < 1
    assert "_L1_no-idf" in got["hashcode"]
    model = AutoModel.from_pretrained(name).eval()

    def vectors(text: str) -> torch.Tensor:
        ids = torch.tensor([[WORDS.index(word) for word in text.split()]])
        with torch.no_grad():
            return torch.nn.functional.normalize(
                model(input_ids=ids, output_hidden_states=True).hidden_states[1][0], dim=-1
            )

    tables = [vectors("a dog") @ vectors(text).T for text in right[1]]
    assert got["precision"][1] == pytest.approx(max(float(table.amax(1).mean()) for table in tables), abs=1e-5)
    assert got["recall"][1] == pytest.approx(max(float(table.amax(0).mean()) for table in tables), abs=1e-5)
    weighted = load("bertscore").compute(said, right, model_type=name, idf=True)
    assert weighted["precision"][0] == pytest.approx(1.0, abs=1e-5)
    with pytest.raises(EvaluationError, match="lang='en'"):
        load("bertscore").compute(said, right)


@pytest.mark.parametrize(
    ("seed", "scale", "expected"),
    [
        (1, 1, [0.9837099162069773, 0.11115184468246216, 0.9865944934016174, 0.10017970399709471]),
        (3, 3, [0.8867062848548897, 0.11115184468246216, 0.9044548851568717, 0.10017970399709471]),
    ],
)
def test_mauve_of_clear_clusters_is_that_of_its_authors(seed: int, scale: float, expected: list[float]) -> None:
    # the numbers are those of mauve_text 0.4.0 on the same embeddings, which it cuts into the same clusters
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(5, 8)) * 20
    sides = [
        np.concatenate([centre + rng.normal(size=(n, 8)) * 0.1 for centre, n in zip(centres, sizes, strict=True)])
        for sizes in ([20, 5, 10, 3, 12], [6, 15, 10, 9, 10])
    ]
    found = load("mauve").compute(
        [""] * 50, [""] * 50, p_features=sides[0], q_features=sides[1], num_buckets=5, mauve_scaling_factor=scale
    )
    names = ("mauve", "frontier_integral", "mauve_star", "frontier_integral_star")
    assert [getattr(found, name) for name in names] == pytest.approx(expected, abs=1e-12)
    assert found.divergence_curve.shape == (27, 2) and found.num_buckets == 5


def test_mauve_embeds_texts_at_their_last_token(causal: str) -> None:
    texts = ["the cat sat", "a dog sat on the mat", "a mat", "the dog"]
    found = load("mauve").compute(texts, texts[::-1], featurize_model_name=causal, num_buckets=2)
    assert found.mauve == pytest.approx(1.0) and found.frontier_integral == pytest.approx(0.0)
    tokens = [[WORDS.index(word) for word in text.split()] for text in texts]
    same = load("mauve").compute(texts, texts, p_tokens=tokens, q_tokens=tokens, featurize_model_name=causal)
    assert same.p_hist.tolist() == same.q_hist.tolist()
    with pytest.raises(EvaluationError, match="texts that are not empty"):
        load("mauve").compute([""], [""], featurize_model_name=causal)
    with pytest.raises(EvaluationError, match="between 1 and the 8 texts"):
        load("mauve").compute(texts, texts, featurize_model_name=causal, num_buckets=9)
