"""The fast path of encoders: the same numbers where there is text, rows of like length together, and the way back."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from enfold import transformers
from enfold.optimum.bettertransformer import BetterTransformer, BetterTransformerError
from enfold.optimum.bettertransformer.transformation import BUDGET, START, groups

SIZES = {"vocab_size": 65, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
LENGTHS = torch.tensor([40, 3, 38, 5, 40, 1])


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    mask = (torch.arange(40) < LENGTHS[:, None]).long()
    return torch.randint(5, 65, (6, 40), generator=draw) * mask, mask


def made(kind: str, **options: Any) -> Any:
    torch.manual_seed(0)
    cls = getattr(transformers, kind)
    return cls(cls.config_class(**SIZES, **options)).eval()


@pytest.mark.parametrize(
    "kind",
    [
        "BertModel",
        "BertForSequenceClassification",
        "BertForTokenClassification",
        "BertForQuestionAnswering",
        "RobertaForMaskedLM",
        "DistilBertForSequenceClassification",
        "ElectraForTokenClassification",
        "MPNetModel",
    ],
)
def test_outputs_are_the_same_where_there_is_text(kind: str) -> None:
    model = made(kind)
    ids, mask = batch()
    with torch.inference_mode():
        expected = model(input_ids=ids, attention_mask=mask)
        fast = BetterTransformer.transform(model, keep_original_model=True)
        found = fast(input_ids=ids, attention_mask=mask)
        assert type(found) is type(expected) and list(found) == list(expected)
        for name in expected:
            assert found[name].shape == expected[name].shape
            per_token = expected[name].shape[:2] == mask.shape
            kept = mask.bool() if per_token else slice(None)
            assert torch.allclose(found[name][kept], expected[name][kept], atol=1e-5), name
            if per_token:
                assert not found[name][~mask.bool()].any()
        positional = fast(ids, mask, return_dict=False)
    assert isinstance(positional, tuple) and torch.equal(positional[0], found[0])


def test_padding_is_not_computed() -> None:
    model = made("BertModel").to_bettertransformer()
    seen: list[torch.Size] = []
    model.encoder.layer[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape[:2]))
    ids, mask = batch()
    with torch.inference_mode():
        model(ids, mask)
    assert seen == [(3, 40), (3, 5)]


@pytest.mark.parametrize("what", ["labels", "hidden", "left", "training", "none"])
def test_other_calls_run_as_before(what: str) -> None:
    plain = made("BertForSequenceClassification", hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    fast = BetterTransformer.transform(plain, keep_original_model=True)
    ids, mask = batch()
    given: dict[str, Any] = {"input_ids": ids, "attention_mask": mask}
    if what == "labels":
        given["labels"] = torch.tensor([0, 1, 0, 1, 1, 0])
    elif what == "hidden":
        given["output_hidden_states"] = True
    elif what == "left":
        given = {"input_ids": ids.flip(1), "attention_mask": mask.flip(1)}
    elif what == "none":
        given["attention_mask"] = None
    else:
        plain.train(), fast.train()
    expected, found = plain(**given), fast(**given)
    assert torch.equal(expected.logits, found.logits) and list(expected) == list(found)


def test_reverse_brings_the_model_back() -> None:
    model = made("BertModel")
    with pytest.raises(BetterTransformerError, match="not transformed"):
        BetterTransformer.reverse(model)
    fast = model.to_bettertransformer()
    assert fast is model and "forward" in vars(model)
    with pytest.raises(BetterTransformerError, match="already"):
        BetterTransformer.transform(model)
    assert fast.reverse_bettertransformer() is model and "forward" not in vars(model)


def test_a_model_that_is_kept_shares_its_weights() -> None:
    plain = made("BertModel", attn_implementation="eager")
    fast = BetterTransformer.transform(plain, keep_original_model=True)
    assert "forward" not in vars(plain) and fast is not plain
    assert all(one is other for one, other in zip(plain.parameters(), fast.parameters(), strict=True))
    assert plain.config._attn_implementation == "eager"


def test_a_transformed_model_is_saved_as_any_other(tmp_path: Any) -> None:
    model = made("BertModel")
    model.to_bettertransformer().save_pretrained(tmp_path)
    again = transformers.BertModel.from_pretrained(tmp_path)
    assert all(torch.equal(one, again.state_dict()[name]) for name, one in model.state_dict().items())


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 600), min_size=1, max_size=9))
def test_groups_hold_every_row_once_and_cost_the_least(lengths: list[int]) -> None:
    found = groups(lengths)
    assert sorted(row for group in found for row in group) == list(range(len(lengths)))
    order = sorted(lengths, reverse=True)

    def cost(cut: list[list[int]]) -> float:
        return sum(len(group) * max(group) + START for group in cut)

    def least(begin: int) -> float:
        ends = range(begin + 1, len(order) + 1)
        fits = [end for end in ends if (end - begin) * order[begin] <= BUDGET or end == begin + 1]
        return min((cost([order[begin:end]]) + least(end) for end in fits), default=0.0)

    assert cost([[lengths[row] for row in group] for group in found]) == least(0)


def test_what_is_no_model_is_refused() -> None:
    with pytest.raises(BetterTransformerError, match="takes a model"):
        BetterTransformer.transform(torch.nn.Linear(2, 2))
