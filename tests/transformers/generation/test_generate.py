"""Writing on: lengths, ends, padding, streaming, stopping, and errors that say what to do."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import enfold.transformers as tf
from enfold.errors import EnfoldError
from enfold.transformers import GenerationConfig, GPT2Config, GPT2LMHeadModel
from enfold.transformers.generation.config import GenerationError


class Letters:
    """A tokenizer whose token n is the n-th of some words, to see text without a vocabulary file."""

    words = ("", "a", "b", "stop", "ping", " ", "\n", "st", "op", "x", "好")

    def decode(self, ids: Any, **_: Any) -> str:
        return "".join(self.words[int(token) % len(self.words)] for token in ids)


class Counter(tf.PreTrainedModel, tf.GenerationMixin):
    """A model whose next token is always the last one plus one, modulo 11, whatever else is there."""

    config_class = tf.GPT2Config

    def __init__(self, config: tf.GPT2Config) -> None:
        super().__init__(config)
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.calls: list[tuple[int, int]] = []

    def forward(self, input_ids: Tensor, past_key_values: Any = None, **kwargs: Any) -> Any:
        self.calls.append((input_ids.shape[1], 0 if past_key_values is None else past_key_values.get_seq_length()))
        if past_key_values is not None:
            empty = torch.zeros(input_ids.shape[0], 1, input_ids.shape[1], 1)
            past_key_values.update(empty, empty, 0)
        scores = torch.nn.functional.one_hot((input_ids + 1) % 11, 11).float() * 5
        from enfold.transformers.outputs import CausalLMOutputWithPast

        return CausalLMOutputWithPast(logits=scores, past_key_values=past_key_values)


@pytest.fixture
def counter() -> Counter:
    return Counter(tf.GPT2Config(vocab_size=11, bos_token_id=1, eos_token_id=10, pad_token_id=0)).eval()


@pytest.fixture
def tiny() -> Any:
    torch.manual_seed(0)
    config = tf.GPT2Config(vocab_size=40, n_embd=16, n_layer=2, n_head=2, n_positions=64, eos_token_id=39)
    config.initializer_range = 0.5
    return tf.GPT2LMHeadModel(config).eval()


def test_a_row_ends_at_its_end_token_and_is_filled_with_padding(counter: Counter) -> None:
    out = counter.generate(torch.tensor([[7], [3]]), max_new_tokens=9)
    assert out.tolist() == [[7, 8, 9, 10, 0, 0, 0, 0], [3, 4, 5, 6, 7, 8, 9, 10]]
    assert counter.generate(torch.tensor([[3]]), max_new_tokens=9, eos_token_id=[6, 8]).tolist() == [[3, 4, 5, 6]]
    assert counter.generate(torch.tensor([[8]]), max_new_tokens=4, eos_token_id=None).shape == (1, 5)


def test_the_cache_is_fed_the_prompt_once_and_then_single_tokens(counter: Counter) -> None:
    counter.generate(torch.tensor([[1, 2, 3]]), max_new_tokens=3)
    assert counter.calls == [(3, 0), (1, 3), (1, 4)]
    counter.calls.clear()
    counter.generate(torch.tensor([[1, 2, 3]]), max_new_tokens=3, use_cache=False)
    assert counter.calls == [(3, 0), (4, 0), (5, 0)]


def test_nothing_to_begin_with_begins_with_the_first_token(counter: Counter) -> None:
    assert counter.generate(max_new_tokens=2).tolist() == [[1, 2, 3]]
    counter.generation_config.bos_token_id = None
    with pytest.raises(GenerationError, match="nothing to begin with"):
        counter.generate(max_new_tokens=2)


def test_lengths_come_from_arguments_then_the_model_then_the_default(counter: Counter) -> None:
    ids = torch.tensor([[1, 1, 1]])
    assert counter.generate(ids, eos_token_id=None).shape[1] == 23
    assert counter.generate(ids, max_length=5).shape[1] == 5
    assert counter.generate(ids, generation_config=tf.GenerationConfig(max_new_tokens=4)).shape[1] == 7
    counter.generation_config.max_length = 6
    assert counter.generate(ids).shape[1] == 6
    assert counter.generate(ids, max_new_tokens=1).shape[1] == 4
    with pytest.raises(GenerationError, match="set max_new_tokens"):
        counter.generate(ids, max_length=3)


def test_a_padded_row_is_continued_as_it_is_alone(tiny: Any) -> None:
    ids = torch.randint(1, 39, (1, 5))
    alone = tiny.generate(ids, max_new_tokens=6, eos_token_id=None)[0, 5:]
    padded = torch.cat((torch.zeros(1, 3, dtype=torch.long), ids), 1)
    mask = (torch.arange(8) >= 3).long()[None]
    both = torch.cat((padded, torch.randint(1, 39, (1, 8))))
    masks = torch.cat((mask, torch.ones_like(mask)))
    assert torch.equal(tiny.generate(both, attention_mask=masks, max_new_tokens=6, eos_token_id=None)[0, 8:], alone)
    # A padding token that means nothing else is seen without a mask.
    assert torch.equal(tiny.generate(both, pad_token_id=0, max_new_tokens=6, eos_token_id=None)[0, 8:], alone)


LONG = torch.arange(70)[None] % 38 + 1


def test_a_prompt_longer_than_the_table_of_positions_is_said_with_both_numbers(tiny: Any) -> None:
    said = (
        r"the prompt has 70 tokens and the model has positions for 64: cut it, with truncation=True and max_length=64"
    )
    for given in ({"input_ids": LONG}, {"inputs_embeds": tiny.transformer.wte(LONG)}):
        for asked in ({"max_new_tokens": 5}, {"max_length": 90}, {}, {"num_beams": 2, "max_new_tokens": 5}):
            with pytest.raises(GenerationError, match=said):
                tiny.generate(**given, **asked)
    with pytest.raises(GenerationError, match=said):
        tiny.generate_batch([LONG[0].tolist()], max_new_tokens=5)
    mask = (torch.arange(70) > 9).long()[None]  # padding takes no position
    assert tiny.generate(LONG, attention_mask=mask, max_new_tokens=5, eos_token_id=None).shape == (1, 75)


def test_writing_ends_where_the_table_of_positions_does(tiny: Any, caplog: pytest.LogCaptureFixture) -> None:
    ids = LONG[:, :60]
    whole = tiny.generate(ids, max_new_tokens=5, eos_token_id=None)
    assert whole.shape == (1, 65) and not caplog.records  # the last token is not read again
    static = {"max_new_tokens": 50, "cache_implementation": "static"}
    for asked in ({"max_new_tokens": 50}, {"max_length": 100}, static):
        caplog.clear()
        assert torch.equal(tiny.generate(ids, eos_token_id=None, **asked), whole)
        assert "the model has no positions beyond 65: writing ends there" in caplog.text
    end = int(whole[0, 62])  # a text that ends before is what it would be
    early = tiny.generate(ids, max_new_tokens=50, eos_token_id=end)
    assert torch.equal(early, tiny.generate(ids, max_new_tokens=5, eos_token_id=end))
    for asked in ({"num_beams": 2}, {"do_sample": True}, {"prompt_lookup_num_tokens": 3}, {"assistant_model": tiny}):
        assert tiny.generate(ids, max_new_tokens=50, eos_token_id=None, **asked).shape == (1, 65)
    new = tiny.generate(inputs_embeds=tiny.transformer.wte(ids), max_new_tokens=50, eos_token_id=None)
    assert torch.equal(new, whole[:, 60:])
    [answer] = tiny.generate_batch([ids[0].tolist()], max_new_tokens=50, eos_token_id=None).values()
    assert answer.generated_tokens == whole[0, 60:].tolist()


def test_a_decoder_s_table_ends_a_translation() -> None:
    torch.manual_seed(0)
    layers = {"encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 8, "decoder_ffn_dim": 8}
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2}
    config = tf.BartConfig(vocab_size=40, d_model=8, max_position_embeddings=12, **layers, **heads)
    model = tf.BartForConditionalGeneration(config).eval()
    ids = torch.tensor([[5, 6, 7]])
    assert model.generate(ids, max_new_tokens=50, eos_token_id=None, forced_eos_token_id=None).shape == (1, 13)
    with pytest.raises(GenerationError, match="the prompt has 20 tokens and the model has positions for 12"):
        model.generate(ids, decoder_input_ids=LONG[:, :20], decoder_start_token_id=1)


def test_embeddings_can_be_the_prompt(tiny: Any) -> None:
    ids = torch.randint(1, 39, (2, 5))
    expected = tiny.generate(ids, max_new_tokens=6, eos_token_id=None)
    embedded = tiny.get_input_embeddings()(ids)
    new = tiny.generate(inputs_embeds=embedded, max_new_tokens=6, eos_token_id=None)
    assert torch.equal(new, expected[:, 5:])
    both = tiny.generate(ids, inputs_embeds=embedded, max_new_tokens=6, eos_token_id=None)
    assert torch.equal(both, expected)


def test_a_cache_can_be_continued(tiny: Any) -> None:
    ids = torch.randint(1, 39, (1, 6))
    expected = tiny.generate(ids, max_new_tokens=5, eos_token_id=None)
    cache = tiny(ids[:, :4], use_cache=True).past_key_values
    assert torch.equal(tiny.generate(ids, past_key_values=cache, max_new_tokens=5, eos_token_id=None), expected)


def test_a_seed_gives_the_same_tokens_again(tiny: Any) -> None:
    ids = torch.randint(1, 39, (1, 4))
    outs = []
    for _ in range(2):
        tf.set_seed(5)
        outs.append(tiny.generate(ids, max_new_tokens=20, do_sample=True, num_return_sequences=3))
    assert torch.equal(*outs) and outs[0].shape[0] == 3
    assert not torch.equal(outs[0][0], outs[0][1])


def test_scores_and_more_are_returned_on_request(tiny: Any) -> None:
    out = tiny.generate(
        torch.randint(1, 39, (2, 4)),
        max_new_tokens=3,
        eos_token_id=None,
        temperature=0.5,
        do_sample=True,
        return_dict_in_generate=True,
        output_scores=True,
        output_logits=True,
        output_attentions=True,
        output_hidden_states=True,
    )
    assert len(out.scores) == len(out.logits) == len(out.attentions) == len(out.hidden_states) == 3
    assert out.scores[0].shape == (2, 40) and out.attentions[0][0].shape == (2, 2, 4, 4)
    assert out.attentions[2][1].shape == (2, 2, 1, 6) and out.past_key_values.get_seq_length() == 6


def test_processors_and_criteria_of_one_s_own_are_asked(counter: Counter) -> None:
    class Only(tf.LogitsProcessor):
        def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
            out = torch.full_like(scores, -torch.inf)
            out[:, 4] = 0
            return out

    class AtFour(tf.StoppingCriteria):
        def __call__(self, input_ids: Tensor, scores: Any, **_: Any) -> Tensor:
            return input_ids[:, -1] == 4

    ids = torch.tensor([[1]])
    out = counter.generate(ids, max_new_tokens=3, logits_processor=tf.LogitsProcessorList([Only()]))
    assert out.tolist() == [[1, 4, 4, 4]]
    assert counter.generate(ids, max_new_tokens=9, stopping_criteria=[AtFour()]).tolist() == [[1, 2, 3, 4]]
    out = counter.generate(ids, max_new_tokens=2, prefix_allowed_tokens_fn=lambda row, tokens: [5, 6])
    assert set(out[0, 1:].tolist()) <= {5, 6}


def test_a_stop_string_ends_a_row_even_inside_a_token(counter: Counter) -> None:
    ids = torch.tensor([[1]])
    tokenizer = Letters()
    # tokens 2, 3, 4 … are "b", "stop", "ping" …
    assert counter.generate(ids, max_new_tokens=9, stop_strings="stop", tokenizer=tokenizer).tolist() == [[1, 2, 3]]
    assert counter.generate(ids, max_new_tokens=9, stop_strings=["ppi"], tokenizer=tokenizer).tolist() == [[1, 2, 3, 4]]
    done = counter.generate(torch.tensor([[7]]), max_new_tokens=9, stop_strings=["sto"], tokenizer=tokenizer)
    assert done.tolist() == [[7, 8]]
    # A stop string that was complete before the new token does not count.
    done = counter.generate(torch.tensor([[3]]), max_new_tokens=2, stop_strings=["stop"], tokenizer=tokenizer)
    assert done.tolist() == [[3, 4, 5]]
    with pytest.raises(GenerationError, match="needs the tokenizer"):
        counter.generate(ids, stop_strings="stop")


def test_a_row_ends_where_it_is_unsure() -> None:
    scores = (torch.tensor([[0.0, 9.0], [0.0, 0.1]]),)
    ended = tf.ConfidenceCriteria(0.6)(torch.tensor([[7, 1], [7, 1]]), scores)
    assert ended.tolist() == [False, True]


def test_time_ends_everything(counter: Counter) -> None:
    assert counter.generate(torch.tensor([[1]]), max_new_tokens=9, max_time=-1.0).shape == (1, 2)


def test_text_streams_in_whole_words(counter: Counter, capsys: pytest.CaptureFixture[str]) -> None:
    counter.generate(torch.tensor([[1]]), max_new_tokens=9, streamer=tf.TextStreamer(Letters()))
    assert capsys.readouterr().out == "abstopping \nstopx好\n"


def test_text_streams_to_another_thread(counter: Counter) -> None:
    streamer = tf.TextIteratorStreamer(Letters(), skip_prompt=True, timeout=10)
    thread = threading.Thread(
        target=counter.generate, args=(torch.tensor([[1]]),), kwargs={"max_new_tokens": 6, "streamer": streamer}
    )
    thread.start()
    pieces = [piece for piece in streamer if piece]
    thread.join()
    assert pieces == ["bstopping ", "\n", "st"]


def test_a_streamer_takes_one_row(counter: Counter) -> None:
    with pytest.raises(EnfoldError, match="one row"):
        counter.generate(torch.tensor([[1], [2]]), max_new_tokens=2, streamer=tf.TextStreamer(Letters()))
    with pytest.raises(GenerationError, match="num_beams=1"):
        counter.generate(torch.tensor([[1]]), max_new_tokens=2, num_beams=2, streamer=tf.TextStreamer(Letters()))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_new_token": 3}, "did you mean 'max_new_tokens'"),
        ({"max_new_tokens": 0}, "greater than 0"),
        ({"num_return_sequences": 2, "do_sample": False}, "greedy has one answer"),
        ({"num_return_sequences": 4, "num_beams": 2}, "exceeds num_beams"),
        ({"penalty_alpha": 0.6, "use_cache": False}, "contrastive search needs use_cache=True"),
        ({"num_beam_groups": 2, "num_beams": 3}, "must be a multiple of num_beam_groups"),
        ({"num_beam_groups": 2, "num_beams": 4}, "needs diversity_penalty > 0"),
        ({"num_beam_groups": 2, "num_beams": 4, "do_sample": True}, "groups of beams do not draw"),
        ({"force_words_ids": [[3]]}, "need num_beams > 1"),
        ({"force_words_ids": [], "num_beams": 2}, "a list of phrases"),
        ({"force_words_ids": [[3, -1]], "num_beams": 2}, "a phrase is a list of token ids"),
        ({"force_words_ids": [[[3], [3, 4]]], "num_beams": 2}, "begins another"),
        ({"constraints": ["word"], "num_beams": 2}, "Constraint objects, not str"),
        ({"dola_layers": "middle"}, "'low', 'high' or a list"),
        ({"dola_layers": [9]}, "names none of the layers 0 to"),
        ({"dola_layers": "low", "num_beams": 2}, "greedy search and sampling, not with beam search"),
        ({"dola_layers": "low", "prompt_lookup_num_tokens": 2}, "do not go together"),
        ({"assistant_early_exit": 9}, "assistant_early_exit=9 must lie between"),
        ({"token_healing": True}, "token_healing needs the model's tokenizer"),
        ({"custom_generate": "transformers-community/dolo"}, "did you mean 'transformers-community/dola'"),
        ({"do_sample": True, "temperature": 0.0}, "do_sample=False is greedy"),
        ({"do_sample": True, "top_p": 1.5, "top_k": -1}, "top_k=-1"),
        ({"attention_mask": torch.ones(1, 1, 1)}, "attention_mask must be"),
    ],
)
def test_arguments_that_make_no_sense_are_explained(tiny: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(GenerationError, match=message):
        tiny.generate(torch.tensor([[1]]), **options)
    with pytest.raises(GenerationError, match="one row is"):
        tiny.generate(torch.tensor([1, 2]))


def test_a_model_without_a_cache_is_fed_everything_each_time() -> None:
    config = tf.BertConfig(
        vocab_size=30, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8
    )
    model = tf.BertLMHeadModel(config).eval()
    ids = torch.randint(1, 30, (1, 3))
    out = model.generate(ids, max_new_tokens=3, token_type_ids=torch.ones_like(ids))
    expected = ids
    for _ in range(3):
        logits = model(expected, token_type_ids=torch.ones_like(expected)).logits
        expected = torch.cat((expected, logits[:, -1:].argmax(-1)), 1)
    assert torch.equal(out, expected)


def test_a_generation_configuration_is_saved_with_the_model_and_read_back(tmp_path: Path, tiny: Any) -> None:
    tiny.generation_config.max_new_tokens = 4
    tiny.generation_config.custom = "kept"
    tiny.save_pretrained(tmp_path)
    again = tf.AutoModelForCausalLM.from_pretrained(tmp_path)
    assert again.generation_config.max_new_tokens == 4 and again.generation_config.custom == "kept"
    assert again.generate(torch.tensor([[1, 2]]), eos_token_id=None).shape == (1, 6)
    config = tf.GenerationConfig.from_pretrained(tmp_path, max_new_tokens=7)
    assert config.max_new_tokens == 7 and config.eos_token_id == 39
    assert tf.GenerationConfig.from_model_config(tf.GPT2Config(max_length=30, do_sample=True)).max_length == 30


def test_generation_leaves_the_configurations_as_they_were(tiny: Any) -> None:
    before = tiny.generation_config.to_dict()
    own = tf.GenerationConfig(max_new_tokens=3)
    given = own.to_dict()
    tiny.generate(torch.tensor([[1, 2]]), generation_config=own, do_sample=True, top_k=3)
    assert tiny.generation_config.to_dict() == before and own.to_dict() == given


def test_generation_keys_of_an_old_configuration_move_to_a_file_of_their_own(tmp_path: Path) -> None:
    old = {"num_beams": 3, "max_length": 9, "length_penalty": 2.0, "task_specific_params": {"summarization": {}}}
    tiny = GPT2Config(vocab_size=9, n_embd=4, n_layer=1, n_head=1, bos_token_id=0, eos_token_id=0)
    GPT2LMHeadModel(tiny).save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **old}))
    (tmp_path / "generation_config.json").unlink()
    model = GPT2LMHeadModel.from_pretrained(tmp_path)
    assert model.generation_config.num_beams == 3 and model.generation_config.length_penalty == 2.0
    assert model.generate(torch.tensor([[1]]), min_length=9).shape == (1, 9)
    model.save_pretrained(tmp_path / "new")
    config, generation = (
        json.loads((tmp_path / "new" / name).read_text()) for name in ("config.json", "generation_config.json")
    )
    assert not set(config) & {"num_beams", "max_length", "length_penalty"} and "task_specific_params" in config
    assert generation["num_beams"] == 3 and generation["max_length"] == 9
    assert model.config.num_beams == 3


def test_what_has_no_effect_is_said_or_refused() -> None:
    config = GenerationConfig(temperature=0.5, length_penalty=2.0, output_scores=True, use_cache=False)
    assert list(config.idle()) == ["temperature", "length_penalty", "output_scores"]
    with pytest.raises(GenerationError, match=r"temperature=0\.5 does nothing without do_sample=True"):
        config.validate(strict=True)
    config.validate(strict=True, asked=["max_length"])
    GenerationConfig(temperature=0.5, do_sample=True, num_beams=2, length_penalty=2.0).validate(strict=True)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"cache_implementation": "statik"}, "did you mean 'static'"),
        ({"num_return_sequences": 2}, "greedy has one answer"),
        ({"forced_eos_token_id": 3, "suppress_tokens": [1, 3]}, "nothing could follow"),
        ({"streamer": 1}, "argument of generate"),
        ({"prefill_chunk_size": 0}, "greater than 0"),
    ],
)
def test_fields_that_make_no_sense_are_explained(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(GenerationError, match=message):
        GenerationConfig(**fields)


def test_biases_of_sequences_survive_the_file(tmp_path: Path) -> None:
    GenerationConfig(sequence_bias={(1, 2): -3.0}).save_pretrained(tmp_path)
    assert GenerationConfig.from_pretrained(tmp_path).sequence_bias == [[[1, 2], -3.0]]


def test_a_cache_of_one_size_compiles_one_step(tiny: Any) -> None:
    ids, mask = torch.randint(3, 30, (2, 4)), torch.tensor([[1, 1, 1, 1], [0, 0, 1, 1]])
    seen = []

    def backend(graph: Any, inputs: Any) -> Any:
        seen.append(graph)
        return graph.forward

    torch._dynamo.reset()
    plain = tiny.generate(ids, attention_mask=mask, max_new_tokens=6, eos_token_id=None)
    options = {"cache_implementation": "static", "max_cache_len": 16, "compile_config": {"backend": backend}}
    for _ in range(2):
        found = tiny.generate(ids, attention_mask=mask, max_new_tokens=6, eos_token_id=None, **options)
        assert torch.equal(found, plain)
    assert len(seen) == 1
    tiny.generate(ids, attention_mask=mask, max_new_tokens=8, eos_token_id=None, **options)
    assert len(seen) == 1


def test_the_prompt_can_be_read_in_chunks(tiny: Any) -> None:
    ids, lengths = torch.randint(3, 30, (2, 7)), []
    forward = tiny.forward
    tiny.forward = lambda *args, **kwargs: lengths.append(kwargs["input_ids"].shape[1]) or forward(*args, **kwargs)
    try:
        found = tiny.generate(ids, max_new_tokens=3, eos_token_id=None, prefill_chunk_size=3)
    finally:
        del tiny.forward
    assert lengths == [3, 3, 1, 1, 1]
    assert torch.equal(found, tiny.generate(ids, max_new_tokens=3, eos_token_id=None))


def test_two_caches_are_one_too_many(tiny: Any) -> None:
    cache = tf.DynamicCache()
    with pytest.raises(GenerationError, match="past_key_values and cache_implementation"):
        tiny.generate(torch.tensor([[1]]), past_key_values=cache, cache_implementation="static")
