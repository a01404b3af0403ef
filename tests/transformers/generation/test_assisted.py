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


SEQ2SEQ: dict[str, tuple[str, dict[str, Any]]] = {
    "t5": (
        "T5ForConditionalGeneration",
        {"d_model": 16, "d_kv": 4, "d_ff": 24, "num_layers": 2, "num_heads": 2, "decoder_start_token_id": 0},
    ),
    "bart": (
        "BartForConditionalGeneration",
        {
            "d_model": 16,
            "encoder_layers": 1,
            "decoder_layers": 2,
            "encoder_attention_heads": 2,
            "decoder_attention_heads": 2,
            "encoder_ffn_dim": 24,
            "decoder_ffn_dim": 24,
            "max_position_embeddings": 64,
        },
    ),
}


def reader(name: str, seed: int, **changed: Any) -> Any:
    kind, config = SEQ2SEQ[name]
    model_class = getattr(tf, kind)
    config = {**config, "vocab_size": 24, "eos_token_id": 2, "pad_token_id": 1, "forced_eos_token_id": None, **changed}
    model = model_class(model_class.config_class(**config)).eval()
    drawn = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.4 * torch.randn(parameter.shape, generator=drawn))
    return model


@pytest.mark.parametrize("name", SEQ2SEQ)
def test_models_that_read_are_helped_too(name: str) -> None:
    model, small, twin = reader(name, 0), reader(name, 1), reader(name, 0)
    twin.generation_config.num_assistant_tokens, twin.generation_config.assistant_confidence_threshold = 5, 0.0
    ids = torch.tensor([[3, 5, 7, 11, 13, 1, 1]])
    options = {"input_ids": ids, "attention_mask": (ids != 1).long(), "max_new_tokens": 18, "eos_token_id": None}
    plain, slow = counted(model, **options)
    for helper in ({"assistant_model": small}, {"prompt_lookup_num_tokens": 3}):
        assert torch.equal(model.generate(**options, **helper), plain), helper
    found, fast = counted(model, **options, assistant_model=twin)
    assert torch.equal(found, plain) and (slow, fast) == (18, 3)
    recorded = {"return_dict_in_generate": True, "output_logits": True}
    whole, helped = (model.generate(**options, **recorded, **h) for h in ({}, {"assistant_model": small}))
    torch.testing.assert_close(torch.cat(helped.logits), torch.cat(whole.logits), rtol=1e-4, atol=1e-4)


def test_whisper_is_helped_by_a_smaller_whisper_and_by_a_decoder_alone() -> None:
    torch.manual_seed(0)
    shape = {"vocab_size": 60, "num_mel_bins": 4, "d_model": 16, "encoder_attention_heads": 2, "encoder_layers": 1}
    shape |= {"decoder_attention_heads": 2, "encoder_ffn_dim": 16, "decoder_ffn_dim": 16, "max_source_positions": 20}
    shape |= {"max_target_positions": 40, "pad_token_id": 1, "bos_token_id": 2, "eos_token_id": 2, "init_std": 0.6}
    shape |= {"decoder_start_token_id": 3, "suppress_tokens": None, "begin_suppress_tokens": None}
    model = tf.WhisperForConditionalGeneration(tf.WhisperConfig(**shape, decoder_layers=2)).eval()
    small = tf.WhisperForConditionalGeneration(tf.WhisperConfig(**shape, decoder_layers=1)).eval()
    alone = tf.WhisperForCausalLM(tf.WhisperConfig(**shape, decoder_layers=1)).eval()
    sound = torch.randn(1, 4, 40)
    options = {"max_new_tokens": 12, "eos_token_id": None}
    plain = model.generate(sound, **options)
    for helper in (small, alone):
        assert torch.equal(model.generate(sound, **options, assistant_model=helper), plain)


def test_an_assistant_for_what_was_read_before_needs_the_inputs() -> None:
    model, small = reader("t5", 0), reader("t5", 1)
    read = model.get_encoder()(torch.tensor([[3, 5]]), return_dict=True)
    with pytest.raises(GenerationError, match="needs the inputs"):
        model.generate(encoder_outputs=read, assistant_model=small)
    with pytest.raises(GenerationError, match="needs one alike"):
        llama(0).generate(torch.tensor([[3]]), assistant_model=small)
    with pytest.raises(GenerationError, match="looks at no encoder"):
        model.generate(torch.tensor([[3]]), assistant_model=llama(0))


def test_the_first_layers_guess_for_all(model: Any) -> None:
    deep = llama(3, num_hidden_layers=4, sliding_window=None)
    with torch.no_grad():
        for layer in deep.model.layers[2:]:  # the last two layers say little
            layer.self_attn.o_proj.weight.mul_(0.01)
            layer.mlp.down_proj.weight.mul_(0.01)
    ids = torch.tensor([[3, 5, 7]])
    plain, slow = counted(deep, input_ids=ids, max_new_tokens=24, eos_token_id=None)
    deep.generation_config.assistant_confidence_threshold = 0.0
    steps: list[int] = []
    handle = deep.model.layers[3].register_forward_hook(lambda *_: steps.append(1))
    found = deep.generate(ids, max_new_tokens=24, eos_token_id=None, assistant_early_exit=2)
    handle.remove()
    assert torch.equal(found, plain) and slow == 24 and len(steps) < 12
    assert len(deep.model.layers) == 4
    assert torch.equal(deep.generate(ids, max_new_tokens=24, eos_token_id=None), plain)


@pytest.mark.parametrize(("schedule", "kept"), [("constant", 4), ("heuristic_transient", 4), ("heuristic", 8)])
def test_an_assistant_learns_how_many_guesses_are_worth_while(model: Any, schedule: str, kept: int) -> None:
    twin = llama(0)
    settings = twin.generation_config
    settings.num_assistant_tokens, settings.num_assistant_tokens_schedule = 4, schedule
    settings.assistant_confidence_threshold = 0.0
    # two steps: all of four guesses are right, then all of six
    model.generate(torch.tensor([[3, 5, 7]]), max_new_tokens=12, eos_token_id=None, assistant_model=twin)
    assert settings.num_assistant_tokens == kept


class Spelled:
    """A tokenizer that splits text into pieces of a few letters; its words are numbered from 3."""

    def __init__(self, words: list[str]) -> None:
        self.words = sorted(words, key=len, reverse=True)
        self.numbers = {word: index + 3 for index, word in enumerate(words)}

    def __call__(self, text: str, add_special_tokens: bool = True) -> dict[str, list[int]]:
        ids = []
        while text:
            word = next(word for word in self.words if text.startswith(word))
            ids.append(self.numbers[word])
            text = text[len(word) :]
        return {"input_ids": ids}

    def decode(self, ids: Any, skip_special_tokens: bool = False) -> str:
        names = {number: word for word, number in self.numbers.items()}
        return "".join(names.get(int(token), "") for token in ids)


def test_an_assistant_with_other_words_is_translated() -> None:
    letters, pairs = Spelled(list("abcd")), Spelled(["ab", "cd", "dd", *"abcd"])
    model, other = llama(0, vocab_size=7), llama(1, vocab_size=10, sliding_window=None)
    ids = torch.tensor([letters("abcdab")["input_ids"]])
    options: dict[str, Any] = {"input_ids": ids, "max_new_tokens": 20, "eos_token_id": 2}
    both = {"tokenizer": letters, "assistant_tokenizer": pairs}
    plain = model.generate(**options)
    assert torch.equal(model.generate(**options, assistant_model=other, **both), plain)
    with pytest.raises(GenerationError, match="pass tokenizer and assistant_tokenizer"):
        model.generate(**options, assistant_model=other)
    # a twin that reads the same letters guesses everything
    twin = llama(0, vocab_size=7)
    twin.generation_config.assistant_confidence_threshold = 0.0
    same = {"tokenizer": letters, "assistant_tokenizer": letters}
    found, steps = counted(model, **{**options, "bad_words_ids": [[0], [1], [2]]}, assistant_model=twin, **same)
    assert torch.equal(found, model.generate(**options, bad_words_ids=[[0], [1], [2]])) and steps <= 20
    torch.manual_seed(0)
    drawn = model.generate(**options, assistant_model=other, do_sample=True, **both)
    assert drawn.shape[1] <= 26 and torch.equal(drawn[:, :6], ids)
