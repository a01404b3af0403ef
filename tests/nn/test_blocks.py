"""The small blocks: rotary angles, norms, activations, Conv1D, embeddings, losses, outputs."""

from __future__ import annotations

import copy
import math
import pickle
from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as F

from enfold.errors import EnfoldError
from enfold.nn import (
    Conv1D,
    ModelOutput,
    RMSNorm,
    Rotary,
    activation,
    causal_lm_loss,
    classification_loss,
    resize_embedding,
    resize_linear,
    rotate,
    span_loss,
    token_loss,
)


def test_rotation_depends_on_the_distance_alone() -> None:
    rotary = Rotary(8)
    query, key = torch.randn(1, 1, 1, 8), torch.randn(1, 1, 1, 8)

    def score(at: int, other: int) -> float:
        q = rotate(query, *rotary.tables(torch.tensor([[at]]), torch.float32))
        k = rotate(key, *rotary.tables(torch.tensor([[other]]), torch.float32))
        return float((q * k).sum())

    assert score(5, 2) == pytest.approx(score(103, 100), abs=1e-4)
    assert score(5, 2) != pytest.approx(score(5, 3), abs=1e-4)


def test_linear_scaling_squeezes_positions() -> None:
    plain, scaled = Rotary(8), Rotary(8, scaling={"type": "linear", "factor": 4.0})
    four = plain.tables(torch.tensor([[4]]), torch.float32)
    sixteen = scaled.tables(torch.tensor([[16]]), torch.float32)
    torch.testing.assert_close(four[0], sixteen[0])


def test_dynamic_scaling_begins_beyond_the_trained_length() -> None:
    plain = Rotary(8, max_positions=6)
    dynamic = Rotary(8, scaling={"rope_type": "dynamic", "factor": 2.0}, max_positions=6)
    near, far = torch.arange(6)[None], torch.arange(12)[None]
    torch.testing.assert_close(plain.tables(near, torch.float32)[0], dynamic.tables(near, torch.float32)[0])
    assert not torch.allclose(plain.tables(far, torch.float32)[0], dynamic.tables(far, torch.float32)[0])


def test_an_unknown_rotary_type_names_the_nearest() -> None:
    with pytest.raises(EnfoldError, match="did you mean 'linear'"):
        Rotary(8, scaling={"rope_type": "liner", "factor": 2.0})


def test_rms_norm_divides_by_the_root_mean_square() -> None:
    norm = RMSNorm(4, eps=0.0)
    out = norm(torch.tensor([[1.0, -1.0, 3.0, 5.0]]))
    assert out.square().mean().item() == pytest.approx(1.0)
    assert out[0, 2].item() == pytest.approx(3 / math.sqrt(9))


@pytest.mark.parametrize(
    ("name", "value"),
    [("gelu", 0.841345), ("gelu_new", 0.841192), ("quick_gelu", 0.845796), ("silu", 0.731059), ("relu", 1.0)],
)
def test_an_activation_at_one(name: str, value: float) -> None:
    assert activation(name)(torch.tensor(1.0)).item() == pytest.approx(value, abs=1e-5)


def test_an_unknown_activation_names_the_nearest() -> None:
    with pytest.raises(EnfoldError, match="did you mean 'gelu_new'"):
        activation("gelu_nwe")


def test_conv1d_is_a_linear_layer_with_its_weight_transposed() -> None:
    layer = Conv1D(6, 4)
    torch.nn.init.normal_(layer.bias)
    x = torch.randn(2, 3, 4)
    torch.testing.assert_close(layer(x), F.linear(x, layer.weight.T, layer.bias))


def test_resizing_keeps_rows_and_draws_new_ones_near_their_mean() -> None:
    old = torch.nn.Embedding(50, 8)
    with torch.no_grad():
        old.weight += 3.0
    grown = resize_embedding(old, 60)
    assert torch.equal(grown.weight[:50], old.weight)
    assert (grown.weight[50:] - old.weight.mean(0)).abs().max() < 0.5
    assert torch.equal(resize_embedding(old, 20).weight, old.weight[:20])
    linear = torch.nn.Linear(8, 50)
    bigger = resize_linear(linear, 55)
    assert bigger(torch.ones(8)).shape == (55,) and torch.equal(bigger.bias[:50], linear.bias)
    assert torch.equal(bigger.bias[50:], torch.zeros(5))


def test_the_next_token_loss_moves_labels_by_one_and_skips_minus_hundred() -> None:
    logits = torch.randn(1, 4, 5)
    labels = torch.tensor([[1, 2, -100, 4]])
    by_hand = (F.cross_entropy(logits[0, 0:1], labels[0, 1:2]) + F.cross_entropy(logits[0, 2:3], labels[0, 3:4])) / 2
    torch.testing.assert_close(causal_lm_loss(logits, labels), by_hand)
    torch.testing.assert_close(causal_lm_loss(logits, labels, 4), by_hand / 2)
    torch.testing.assert_close(causal_lm_loss(logits, labels, shift_labels=torch.tensor([[2, -100, 4, -100]])), by_hand)


def test_the_kind_of_problem_follows_from_the_labels() -> None:
    assert classification_loss(torch.randn(2, 1), torch.randn(2), None)[1] == "regression"
    assert classification_loss(torch.randn(2, 3), torch.tensor([0, 2]), None)[1] == "single_label_classification"
    assert classification_loss(torch.randn(2, 3), torch.rand(2, 3), None)[1] == "multi_label_classification"
    with pytest.raises(EnfoldError, match="did you mean 'regression'"):
        classification_loss(torch.randn(2, 3), torch.rand(2, 3), "regresion")


def test_an_answer_outside_the_text_is_skipped() -> None:
    start, end = torch.randn(2, 4), torch.randn(2, 4)
    inside = span_loss(start[:1], end[:1], torch.tensor([1]), torch.tensor([2]))
    torch.testing.assert_close(span_loss(start, end, torch.tensor([1, 9]), torch.tensor([2, 9])), inside)


def test_token_loss_sums_over_the_given_number_of_items() -> None:
    logits, labels = torch.randn(2, 3, 4), torch.randint(0, 4, (2, 3))
    torch.testing.assert_close(token_loss(logits, labels), token_loss(logits, labels, torch.tensor(6)))


@dataclass
class Answer(ModelOutput):
    """An output with three fields."""

    loss: torch.Tensor | None = None
    logits: torch.Tensor | None = None
    states: tuple[torch.Tensor, ...] | None = None


def test_an_output_is_a_dictionary_a_tuple_and_an_object() -> None:
    logits = torch.ones(2)
    out = Answer(logits=logits, states=(logits, logits))
    assert out.loss is None and "loss" not in out and list(out) == ["logits", "states"]
    assert out.logits is logits and out["logits"] is logits and out[0] is logits and len(out[:2]) == 2
    assert [*out.keys()] == ["logits", "states"] and isinstance(out, dict)
    out.logits = logits * 2
    assert torch.equal(out["logits"], logits * 2)
    out["loss"] = logits
    assert out.loss is logits
    with pytest.raises(TypeError):
        del out["loss"]


def test_an_output_is_rebuilt_from_a_mapping_pickled_copied_and_mapped() -> None:
    out = Answer(Answer(logits=torch.ones(1)))  # type: ignore[arg-type]
    assert torch.equal(out.logits, torch.ones(1)) and out.loss is None
    for other in (pickle.loads(pickle.dumps(out)), copy.deepcopy(out)):
        assert type(other) is Answer and torch.equal(other.logits, out.logits)
    doubled = torch.utils._pytree.tree_map(lambda x: x * 2, out)
    assert type(doubled) is Answer and torch.equal(doubled.logits, torch.full((1,), 2.0))
