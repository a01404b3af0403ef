"""Groups of beams, constraints, contrasts, and loops of one's own; what transformers finds is held in parity."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

import enfold.transformers as tf
from enfold.transformers.generation.dola import layers_of

IDS = torch.tensor([[3, 5, 7], [4, 4, 9]])


@pytest.fixture(scope="module")
def model() -> Any:
    torch.manual_seed(0)
    config = tf.LlamaConfig(
        vocab_size=24,
        hidden_size=16,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=24,
        initializer_range=0.6,
        eos_token_id=2,
        pad_token_id=1,
    )
    return tf.LlamaForCausalLM(config).eval()


def test_groups_begin_with_different_words(model: Any) -> None:
    options = {"num_beams": 4, "num_return_sequences": 4, "max_new_tokens": 1, "eos_token_id": None}
    apart = model.generate(IDS, num_beam_groups=4, diversity_penalty=99.0, **options)
    assert all(len(set(row.tolist())) == 4 for row in apart[:, 3].view(2, 4))
    together = model.generate(IDS, num_beam_groups=4, diversity_penalty=1e-6, **options)
    assert all(len(set(row.tolist())) == 1 for row in together[:, 3].view(2, 4))


@pytest.mark.parametrize("penalty", [1.0, -0.5])
@pytest.mark.parametrize(
    "options", [{"num_beam_groups": 2, "diversity_penalty": 0.8}, {"force_words_ids": [[11, 12], [[6], [8, 9]]]}]
)
def test_scores_of_tokens_add_up_to_those_of_texts(model: Any, options: dict[str, Any], penalty: float) -> None:
    shared = {"max_new_tokens": 9, "num_beams": 4, "num_return_sequences": 3, "length_penalty": penalty}
    shared |= {"return_dict_in_generate": True, "output_scores": True, "output_logits": True}
    out = model.generate(IDS, **shared, **options)
    parts = model.compute_transition_scores(out.sequences, out.scores, out.beam_indices)
    lengths = (out.beam_indices >= 0).sum(1)
    if "diversity_penalty" not in options:
        torch.testing.assert_close(parts.sum(1) / lengths**penalty, out.sequences_scores)
        # and those are what the model says of the whole text
        logits = model(out.sequences).logits.log_softmax(-1)[:, 2:-1].gather(2, out.sequences[:, 3:, None])[:, :, 0]
        places = torch.arange(logits.shape[1])[None]
        torch.testing.assert_close(parts, logits.masked_fill(places >= lengths[:, None], 0.0), rtol=1e-4, atol=1e-4)
    else:
        torch.testing.assert_close(parts.sum(1) / lengths**penalty, out.sequences_scores)
    assert out.scores[0].shape == out.logits[0].shape == (8, 24)


def test_what_must_be_written_is_written(model: Any) -> None:
    found = model.generate(IDS, max_new_tokens=10, num_beams=6, force_words_ids=[[11, 12], [[6], [8, 9]]])
    for row in found[:, 3:].tolist():
        text = " ".join(map(str, row)) + " "
        assert "11 12 " in text and ("6 " in text or "8 9 " in text)


def test_a_constraint_of_one_s_own_leads_the_beams(model: Any) -> None:
    class TwoOf(tf.Constraint):
        """Two tokens of some, whichever."""

        def __init__(self, tokens: list[int], made: int = 0) -> None:
            self.tokens, self.made, self.seqlen = tokens, made, 2

        @property
        def completed(self) -> bool:
            return self.made == 2

        def advance(self) -> list[int]:
            return self.tokens

        def update(self, token_id: int) -> tuple[bool, bool, bool]:
            goes_on = token_id in self.tokens
            self.made = self.made + 1 if goes_on else 0
            return goes_on, self.completed, not goes_on

        def remaining(self) -> int:
            return 2 - self.made

        def copy(self, stateful: bool = False) -> Any:
            return TwoOf(self.tokens, self.made if stateful else 0)

    found = model.generate(IDS, max_new_tokens=8, num_beams=4, constraints=[TwoOf([20, 21])], eos_token_id=None)
    for row in found[:, 3:].tolist():
        assert any(first in (20, 21) and second in (20, 21) for first, second in pairwise(row))


def test_contrastive_search_without_a_penalty_is_greedy(model: Any) -> None:
    greedy = model.generate(IDS, max_new_tokens=8)
    assert torch.equal(model.generate(IDS, max_new_tokens=8, penalty_alpha=1e-9, top_k=4), greedy)
    assert not torch.equal(model.generate(IDS, max_new_tokens=8, penalty_alpha=0.9, top_k=4), greedy)


@pytest.mark.parametrize("options", [{}, {"low_memory": True}, {"cache_implementation": "static"}])
def test_contrastive_search_finds_the_same_however_it_reads(model: Any, options: dict[str, Any]) -> None:
    shared = {"max_new_tokens": 8, "penalty_alpha": 0.6, "top_k": 5}
    whole = model.generate(IDS, **shared)
    if options.get("cache_implementation") == "static":
        options = {**options, "disable_compile": True}
    assert torch.equal(model.generate(IDS, **shared, **options), whole)
    # a row is continued as it is alone, beside padding too
    mask = torch.tensor([[1, 1, 1], [0, 1, 1]])
    padded = model.generate(IDS, attention_mask=mask, **shared, **options)
    assert torch.equal(padded[0], whole[0])
    assert torch.equal(padded[1:, 1:], model.generate(IDS[1:, 1:], **shared)[:, : padded.shape[1] - 1])


def test_contrastive_search_records_the_steps_of_what_it_chose(model: Any) -> None:
    out = model.generate(
        IDS[:1],
        max_new_tokens=5,
        penalty_alpha=0.6,
        top_k=4,
        eos_token_id=None,
        return_dict_in_generate=True,
        output_hidden_states=True,
        output_logits=True,
    )
    whole = model(out.sequences, output_hidden_states=True)
    states = torch.cat([step[-1] for step in out.hidden_states], 1)
    torch.testing.assert_close(states, whole.hidden_states[-1][:, :-1], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(torch.cat(out.logits), whole.logits[0, 2:-1], rtol=1e-4, atol=1e-4)


def test_layers_that_are_compared() -> None:
    assert layers_of("low", 32, tied=False) == list(range(0, 16, 2))
    assert layers_of("high", 32, tied=False) == list(range(16, 32, 2))
    assert layers_of("low", 48, tied=True) == list(range(2, 20, 2))
    assert layers_of("high", 48, tied=True) == list(range(28, 48, 2))
    assert [layers_of("low", count, tied=True) for count in (1, 2, 3, 4)] == [[0], [1], [2], [2]]


def test_names_of_repositories_with_loops_mean_ours(model: Any) -> None:
    named = model.generate(
        IDS, max_new_tokens=6, dola_layers="low", custom_generate="transformers-community/dola", trust_remote_code=True
    )
    assert torch.equal(named, model.generate(IDS, max_new_tokens=6, dola_layers="low"))


def test_a_loop_of_one_s_own_is_given_what_was_made_definite(model: Any) -> None:
    seen = {}

    def loop(
        model: Any,
        input_ids: Tensor,
        attention_mask: Tensor,
        logits_processor: Any,
        stopping_criteria: Any,
        generation_config: Any,
        factor: float,
        **inputs: Any,
    ) -> Tensor:
        seen.update(inputs, factor=factor, beams=generation_config.num_beams)
        tokens = input_ids
        while input_ids.shape[1] < stopping_criteria[0].max_length:
            logits = model(tokens, attention_mask=attention_mask, **inputs).logits[:, -1]
            tokens = logits_processor(input_ids, logits).argmax(-1)[:, None]
            input_ids = torch.cat((input_ids, tokens), 1)
            attention_mask = torch.cat((attention_mask, torch.ones_like(tokens)), 1)
        return input_ids

    shared = {"max_new_tokens": 6, "repetition_penalty": 1.5, "eos_token_id": None}
    found = model.generate(IDS, custom_generate=loop, factor=0.5, **shared)
    assert torch.equal(found, model.generate(IDS, **shared))
    assert (seen["factor"], seen["beams"], seen["use_cache"]) == (0.5, 1, True)
