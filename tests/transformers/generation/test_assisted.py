"""Guesses that are checked together: the tokens of greedy search, the distribution of sampling, fewer steps."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import enfold.transformers as tf
from enfold.transformers.generation.assisted import PromptLookup, _choose
from enfold.transformers.generation.config import GenerationError


def llama(seed: int, **changed: Any) -> Any:
    torch.manual_seed(seed)
    config = {
        "vocab_size": 24,
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "intermediate_size": 24,
        "initializer_range": 0.6,
        "eos_token_id": 2,
    }
    return tf.MistralForCausalLM(tf.MistralConfig(**{**config, "sliding_window": 5, **changed})).eval()


@pytest.fixture(scope="module")
def model() -> Any:
    return llama(0)


@pytest.fixture(scope="module")
def assistant() -> Any:
    return llama(1, num_hidden_layers=1, sliding_window=None)


def counted(model: Any, **options: Any) -> tuple[Any, int]:
    """Return what a model writes, and in how many steps."""
    steps = []
    handle = model.register_forward_hook(lambda *_: steps.append(1))
    try:
        return model.generate(**options), len(steps)
    finally:
        handle.remove()


@pytest.mark.parametrize("ends", [None, 2, [2, 9, 17]])
@pytest.mark.parametrize(
    "options", [{}, {"repetition_penalty": 1.3}, {"no_repeat_ngram_size": 2}, {"min_new_tokens": 6}, {"padded": True}]
)
def test_greedy_search_gives_the_same_tokens(model: Any, assistant: Any, options: dict[str, Any], ends: Any) -> None:
    options = dict(options)
    ids = torch.tensor([[3, 5, 7, 3, 5, 7, 11, 3, 5]])
    mask = torch.ones_like(ids)
    if options.pop("padded", False):
        mask[0, :3] = 0
    shared = {"input_ids": ids, "attention_mask": mask, "max_new_tokens": 20, "eos_token_id": ends, **options}
    plain = model.generate(**shared)
    for helper in ({"assistant_model": assistant}, {"assistant_model": model}, {"prompt_lookup_num_tokens": 4}):
        assert torch.equal(model.generate(**shared, **helper), plain), helper


def test_right_guesses_save_steps(model: Any) -> None:
    ids = torch.tensor([[3, 5, 7]])
    plain, slow = counted(model, input_ids=ids, max_new_tokens=24, eos_token_id=None)
    twin = llama(0)
    twin.generation_config.num_assistant_tokens, twin.generation_config.assistant_confidence_threshold = 7, 0.0
    found, fast = counted(model, input_ids=ids, max_new_tokens=24, eos_token_id=None, assistant_model=twin)
    assert torch.equal(found, plain) and (slow, fast) == (24, 3)


def test_a_drawn_token_is_the_models_whoever_guesses() -> None:
    torch.manual_seed(5)
    config, draws = tf.GenerationConfig(do_sample=True), 6000
    scores, theirs = torch.randn(1, 5), torch.randn(1, 5).softmax(-1)
    drawn = [int(_choose(config, scores, torch.multinomial(theirs, 1)[0, 0], theirs)) for _ in range(draws)]
    shares = torch.bincount(torch.tensor(drawn), minlength=5) / draws
    assert float((shares - scores.softmax(-1)[0]).abs().max()) < 0.03
    assert float((theirs[0] - scores.softmax(-1)[0]).abs().max()) > 0.1


def test_sampling_goes_on_with_guesses_under_a_seed(model: Any, assistant: Any) -> None:
    ids = torch.tensor([[3, 5, 7]])
    for helper in ({"assistant_model": assistant}, {"prompt_lookup_num_tokens": 3}):
        torch.manual_seed(1)
        first = model.generate(ids, max_new_tokens=12, do_sample=True, eos_token_id=None, **helper)
        torch.manual_seed(1)
        again = model.generate(ids, max_new_tokens=12, do_sample=True, eos_token_id=None, **helper)
        assert first.shape == (1, 15) and torch.equal(first, again)


def test_scores_and_streams_are_those_of_every_token(model: Any, assistant: Any) -> None:
    class Told(tf.generation.BaseStreamer):
        def __init__(self) -> None:
            self.tokens: list[int] = []

        def put(self, value: Any) -> None:
            self.tokens += value.flatten().tolist()

        def end(self) -> None:
            self.tokens.append(-1)

    ids, told = torch.tensor([[3, 5, 7]]), Told()
    options = {"max_new_tokens": 9, "return_dict_in_generate": True, "output_scores": True, "output_logits": True}
    plain = model.generate(ids, **options)
    found = model.generate(ids, **options, assistant_model=assistant, streamer=told)
    assert told.tokens == [*found.sequences[0].tolist(), -1]
    for name in ("scores", "logits"):
        torch.testing.assert_close(torch.cat(found[name]), torch.cat(plain[name]), rtol=1e-4, atol=1e-4)


def test_a_text_is_looked_up_by_its_longest_end() -> None:
    ids = torch.tensor([[8, 6, 1, 5, 6, 7, 8, 5, 6]])
    assert PromptLookup(3, 2).guess(ids, 9)[0].tolist() == [7, 8, 5]
    assert PromptLookup(3, 1).guess(ids, 9)[0].tolist() == [1, 5, 6]
    assert PromptLookup(3, 2, torch.tensor([8])).guess(ids, 9)[0].tolist() == [7]
    assert PromptLookup(3, 2).guess(ids, 1)[0].tolist() == [7]
    assert PromptLookup(3, 2).guess(torch.tensor([[1, 2, 3]]), 9)[0].tolist() == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"input_ids": torch.ones(2, 3, dtype=torch.long)}, "one row"),
        ({"num_beams": 2}, "not with beam search"),
        ({"use_cache": False}, "use_cache=True"),
        ({"cache_implementation": "static"}, "a cache that grows"),
        ({"prompt_lookup_num_tokens": 0}, "greater than 0"),
    ],
)
def test_what_does_not_go_together_is_said(model: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(GenerationError, match=message):
        model.generate(**{"input_ids": torch.tensor([[3]]), "prompt_lookup_num_tokens": 3, **options})


def test_an_assistant_has_the_same_words(model: Any) -> None:
    with pytest.raises(GenerationError, match="30 words and the model 24"):
        model.generate(torch.tensor([[3]]), assistant_model=llama(1, vocab_size=30))


def test_guidance_has_no_assistant(model: Any, assistant: Any) -> None:
    with pytest.raises(GenerationError, match="guided once"):
        model.generate(torch.tensor([[3]]), assistant_model=assistant, guidance_scale=2.0)
