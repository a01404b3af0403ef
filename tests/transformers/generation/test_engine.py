"""The engine: whatever comes when, each text is the one that ``generate`` writes alone."""

from __future__ import annotations

import random
import threading
import time
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import enfold.transformers as tf
from enfold.transformers.generation.config import GenerationError
from enfold.transformers.generation.engine import Engine, Status
from enfold.transformers.generation.engine.blocks import Blocks
from enfold.transformers.generation.engine.prefix import Prefixes
from parity.architectures import decoders, decoders_more, first
from parity.architectures.harness import build

SHAPE = {
    "vocab_size": 24,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 24,
    "initializer_range": 0.5,
    "eos_token_id": 2,
    "pad_token_id": 1,
}


def mistral(window: int | None = None) -> Any:
    torch.manual_seed(0)
    return tf.MistralForCausalLM(tf.MistralConfig(**SHAPE, sliding_window=window)).eval()


@pytest.fixture(scope="module")
def model() -> Any:
    torch.set_num_threads(1)
    return mistral()


def prompts(count: int, longest: int, seed: int = 0) -> list[list[int]]:
    draw = random.Random(seed)
    return [[draw.randrange(3, 24) for _ in range(draw.randrange(1, longest))] for _ in range(count)]


def alone(model: Any, prompt: list[int], **options: Any) -> list[int]:
    return model.generate(torch.tensor([prompt]), **options)[0].tolist()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("window", [None, 5])
def test_texts_that_come_at_any_time_are_those_written_alone(seed: int, window: int | None) -> None:
    """Random arrivals, lengths, steps and memory, which may be so little that texts are put back."""
    draw, writer = random.Random(seed), mistral(window)
    engine = Engine(
        writer,
        block_size=draw.choice([1, 3, 16]),
        blocks=draw.choice([40, 100]) if seed % 2 else None,
        max_running=draw.randrange(2, 9),
        max_step_tokens=draw.randrange(3, 40),
        prefix_cache=draw.random() < 0.7,
    )
    limit = engine.blocks.count * engine.blocks.size
    waiting, requests = [(prompt, draw.randrange(1, 20)) for prompt in prompts(14, 18, seed)], []
    while waiting or not all(request.is_over for request, _, _ in requests):
        for _ in range(draw.randrange(3)):
            if waiting:
                prompt, new = waiting.pop()
                if len(prompt) + new <= limit:
                    requests.append((engine.submit(prompt, max_new_tokens=new), prompt, new))
        engine.step()
    for request, prompt, new in requests:
        assert request.tokens == alone(writer, prompt, max_new_tokens=new)
        assert request.finish_reason == ("eos" if request.new_tokens[-1] == 2 else "length")
    told = engine.statistics
    assert told.new_tokens == sum(len(request.new_tokens) for request, _, _ in requests)
    assert told.running == told.waiting == 0 and told.blocks_free + told.blocks_kept == told.blocks


CASES = {**first.CASES, **decoders.CASES, **decoders_more.CASES}
FAMILIES = (
    "gpt2-causal llama-causal mixtral-causal qwen2-causal qwen3-causal gemma2-causal gemma3-causal phi3-partial "
    "smollm3-causal falcon-causal mistral-yarn"
).split()


@pytest.mark.parametrize("case", FAMILIES)
def test_every_family_writes_what_it_writes_alone(case: str) -> None:
    torch.set_num_threads(1)
    config = {**CASES[case].config, "max_position_embeddings": 40}
    writer = build(tf, CASES[case]._replace(config=config)).eval()
    draw = random.Random(1)
    texts = [[draw.randrange(3, 90) for _ in range(length)] for length in (3, 11, 1, 7)]
    options = {"max_new_tokens": 9, "eos_token_id": None}
    found = Engine(writer, block_size=4, max_step_tokens=10).generate(texts, **options)
    for request, text in zip(found, texts, strict=True):
        assert request.tokens == alone(writer, text, **options)


def test_each_request_is_written_in_its_own_way(model: Any) -> None:
    prompt = [3, 9, 4, 9, 4, 11]
    ways: list[dict[str, Any]] = [
        {},
        {"repetition_penalty": 1.6},
        {"no_repeat_ngram_size": 2, "eos_token_id": None},
        {"bad_words_ids": [[5], [6, 7]], "min_new_tokens": 8},
        {"do_sample": True, "temperature": 0.8, "top_k": 9, "seed": 5},
        {"do_sample": True, "top_p": 0.7, "seed": 6},
        {"max_length": 9},
        {"eos_token_id": list(range(3, 24, 2))},
    ]
    engine = Engine(model)
    requests = [
        engine.submit(prompt, **{"max_new_tokens": 12, **way} if "max_length" not in way else way) for way in ways
    ]
    for request, way in zip(requests, ways, strict=True):
        options = {"max_new_tokens": 12, **way} if "max_length" not in way else dict(way)
        torch.manual_seed(options.pop("seed", 0))
        assert request.result().tokens == alone(model, prompt, **options)


def test_texts_share_what_they_begin_with(model: Any) -> None:
    engine = Engine(model, block_size=4)
    system = prompts(1, 60, seed=3)[0][:21] or [3]
    system = (system * 21)[:21]
    first_text, second = (engine.generate([system + tail], max_new_tokens=6)[0] for tail in ([4, 5], [6, 7, 8]))
    assert (first_text.cached_tokens, second.cached_tokens) == (0, 20)
    assert second.tokens == alone(model, [*system, 6, 7, 8], max_new_tokens=6)
    # what was written is known too: a conversation goes on where it was
    again = engine.generate([[*first_text.tokens, 9]], max_new_tokens=3)[0]
    assert again.cached_tokens == (len(first_text.tokens) - 1) // 4 * 4
    apart = engine.generate([[*system, 4, 5]], max_new_tokens=6, salt="another adapter")[0]
    assert apart.cached_tokens == 0 and apart.tokens == first_text.tokens
    told = engine.statistics
    assert told.cached_tokens == 20 + again.cached_tokens and told.prompt_tokens > told.cached_tokens


def test_the_whole_text_is_never_taken_from_others(model: Any) -> None:
    engine = Engine(model, block_size=4)
    prompt = [5, 6, 7, 8, 9, 10, 11, 12]
    first_text, second = (engine.generate([prompt], max_new_tokens=4)[0] for _ in range(2))
    assert second.cached_tokens == 4 and second.tokens == first_text.tokens


def test_little_memory_is_shared_out_and_nobody_starves(model: Any) -> None:
    engine = Engine(model, block_size=2, blocks=20, max_running=8, prefix_cache=False)
    texts = prompts(8, 12, seed=2)
    found = engine.generate(texts, max_new_tokens=20, eos_token_id=None)
    assert engine.statistics.preemptions > 0
    for request, text in zip(found, texts, strict=True):
        assert request.tokens == alone(model, text, max_new_tokens=20, eos_token_id=None)


def test_what_was_cancelled_is_written_no_further_and_frees_its_memory(model: Any) -> None:
    engine = Engine(model, prefix_cache=False)
    kept, dropped = (engine.submit([4, 5, 6], max_new_tokens=30, eos_token_id=None) for _ in range(2))
    for _ in range(5):
        engine.step()
    dropped.cancel()
    assert len(kept.result().new_tokens) == 30
    assert len(dropped.result().new_tokens) == 5
    assert (dropped.status, dropped.finish_reason) == (Status.CANCELLED, "cancelled")
    assert engine.blocks.free == engine.blocks.count
    early = engine.submit([4, 5, 6])
    early.cancel()
    assert early.result().new_tokens == []


def test_tokens_stream_as_they_come(model: Any) -> None:
    class Told(tf.generation.BaseStreamer):
        def __init__(self) -> None:
            self.heard: list[int] = []

        def put(self, value: Any) -> None:
            self.heard += value.flatten().tolist()

        def end(self) -> None:
            self.heard.append(-1)

    engine, told, called = Engine(model), Told(), []
    options: dict[str, Any] = {"max_new_tokens": 7, "eos_token_id": None}
    request = engine.submit([3, 4], streamer=told, on_token=lambda one, token: called.append(token), **options)
    tokens = iter(request)
    assert [next(tokens) for _ in range(3)] == request.new_tokens[:3] and not request.is_over
    assert [3, 4, *request.new_tokens[:3], *tokens, -1] == told.heard
    assert called == request.new_tokens
    stream = engine.stream([3, 4], **options)
    assert [next(stream), next(stream)] == called[:2]
    stream.close()
    engine.step()
    assert engine.statistics.running == 0


def test_logarithms_are_those_of_the_model(model: Any) -> None:
    request = Engine(model).generate([[3, 4, 5]], max_new_tokens=5, logprobs=3, repetition_penalty=1.5)[0]
    likely = model(torch.tensor([request.tokens])).logits[0, 2:-1].log_softmax(-1)
    wanted = likely.gather(1, torch.tensor(request.new_tokens)[:, None])[:, 0]
    torch.testing.assert_close(torch.tensor(request.logprobs), wanted, rtol=1e-4, atol=1e-4)
    for top, row in zip(request.top_logprobs, likely, strict=True):
        assert list(top) == row.topk(3).indices.tolist()


def test_strings_and_criteria_end_texts(model: Any) -> None:
    class Letters:
        def decode(self, ids: list[int]) -> str:
            return "".join(chr(97 + token) for token in ids)

    engine = Engine(model, tokenizer=Letters())
    plain = engine.generate([[3, 4, 5]], max_new_tokens=12, eos_token_id=None)[0].new_tokens
    wanted = Letters().decode(plain[2:4])
    found = engine.generate([[3, 4, 5]], max_new_tokens=12, eos_token_id=None, stop_strings=[wanted])[0]
    assert found.finish_reason == "stop_string" and Letters().decode(found.new_tokens).endswith(wanted)

    class FourNew(tf.StoppingCriteria):
        def __call__(self, input_ids: Any, scores: Any, **_: Any) -> bool:
            return input_ids.shape[1] >= 7

    ended = engine.generate([[3, 4, 5]], eos_token_id=None, stopping_criteria=[FourNew()])[0]
    assert (ended.finish_reason, len(ended.new_tokens)) == ("stopped", 4)


def test_many_threads_ask_one_that_works(model: Any) -> None:
    texts, found = prompts(24, 12, seed=5), {}

    def ask(place: int) -> None:
        time.sleep(random.Random(place).random() / 50)
        found[place] = engine.submit(texts[place], max_new_tokens=8).result(timeout=60).tokens

    with Engine(model, max_running=6) as engine:
        threads = [threading.Thread(target=ask, args=(place,)) for place in range(len(texts))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert list(engine.submit(texts[0], max_new_tokens=8)) == found[0][len(texts[0]) :]
    assert not engine.is_running
    for place, text in enumerate(texts):
        assert found[place] == alone(model, text, max_new_tokens=8)


def test_a_step_that_fails_fails_its_requests_and_no_others(model: Any) -> None:
    def broken(ids: Any, scores: Any) -> Any:
        raise RuntimeError("no such word")

    engine = Engine(model, max_running=1)
    bad, good = engine.submit([3], logits_processor=[broken]), engine.submit([3, 4], max_new_tokens=3)
    with pytest.raises(RuntimeError, match="no such word"):
        bad.result()
    assert (bad.status, bad.finish_reason) == (Status.FAILED, "error")
    assert good.result().tokens == alone(model, [3, 4], max_new_tokens=3)


def test_models_in_half_precision_are_written_with_too() -> None:
    half = mistral().to(torch.bfloat16)
    found = Engine(half).generate([[3, 4, 5], [6, 7]], max_new_tokens=6, eos_token_id=None)
    assert all(len(request.new_tokens) == 6 for request in found)
    logits = half(torch.tensor([found[0].tokens])).logits[0, 2:-1].float()
    chosen = logits.gather(1, torch.tensor(found[0].new_tokens)[:, None])[:, 0]
    assert bool((chosen >= logits.amax(1) - 0.25).all())  # the likeliest, but for rounding


def test_waiting_has_an_end(model: Any) -> None:
    engine = Engine(model)
    request = engine.submit([3], max_new_tokens=500, eos_token_id=None)
    with pytest.raises(TimeoutError, match="was not done"):
        request.result(timeout=0.02)
    request.cancel()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_new_token": 3}, "did you mean 'max_new_tokens'"),
        ({"num_beams": 2}, "searches greedily and draws"),
        ({"penalty_alpha": 0.5}, "searches greedily and draws"),
        ({"do_sample": True, "num_return_sequences": 2}, "submit a request once for each"),
        ({"max_new_tokens": 5000}, "do not fit into"),
    ],
)
def test_requests_that_make_no_sense_are_explained(model: Any, options: dict[str, Any], message: str) -> None:
    engine = Engine(model, blocks=10)
    with pytest.raises(GenerationError, match=message):
        engine.submit([3, 4], **options)
    with pytest.raises(GenerationError, match="at least one token"):
        engine.submit([])
    assert not engine.step()


def test_models_that_it_cannot_write_with_are_named(model: Any) -> None:
    t5 = tf.T5ForConditionalGeneration(tf.T5Config(vocab_size=9, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2))
    with pytest.raises(GenerationError, match="reads before it writes"):
        Engine(t5)
    scaled = tf.LlamaConfig(**SHAPE, rope_scaling={"rope_type": "dynamic", "factor": 2.0})
    with pytest.raises(GenerationError, match="dynamic positions"):
        Engine(tf.LlamaForCausalLM(scaled))
    with pytest.raises(GenerationError, match="did you mean 'blocks'"):
        Engine(model, block=3)
    old = build(tf, decoders_more.CASES["falcon-old"] if "falcon-old" in decoders_more.CASES else CASES["falcon-old"])
    with pytest.raises(Exception, match="alibi"):
        Engine(old.eval()).generate([[3, 4]], max_new_tokens=2)


# --- its parts


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 6)), max_size=40), st.integers(4, 24))
def test_a_block_belongs_to_whoever_took_it(moves: list[tuple[int, int]], count: int) -> None:
    blocks = Blocks(count, size=2)
    held: dict[int, list[int]] = {}
    for who, ahead in moves:
        mine = held.setdefault(who, [])
        if ahead == 6:
            blocks.release(mine)
            held[who] = []
            continue
        block = blocks.take(mine[-1] if mine else None, ahead)
        taken = [block for others in held.values() for block in others]
        assert (block is None) == (len(taken) == count)
        if block is not None:
            assert 0 <= block < count and block not in taken
            mine.append(block)
        assert blocks.free == count - len(taken) - (block is not None)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=9), min_size=1, max_size=12))
def test_a_beginning_is_found_as_far_as_it_is_the_same(texts: list[list[int]]) -> None:
    blocks = Blocks(1000, size=2)
    prefixes = Prefixes(blocks)
    told: dict[int, list[int]] = {}
    for text in texts:
        found = prefixes.find(text, None)
        for place, (block, _) in enumerate(found):
            assert told[block] == text[: 2 * place + 2]
        longest = max((_common(text, other) for other in told.values()), default=0)
        assert 2 * len(found) == min(longest, (len(text) - 1) // 2 * 2)
        before, mine = None, []
        for place in range(len(text) // 2):
            block = blocks.take(mine[-1] if mine else None)
            assert block is not None
            mine.append(block)
            number = prefixes.add(block, before, text[2 * place : 2 * place + 2])
            if all(known != text[: 2 * place + 2] for known in told.values()):
                told[block] = text[: 2 * place + 2]
            before = number
        blocks.release(mine)
    kept = prefixes.idle
    assert kept == len(told)
    while prefixes.drop():
        kept -= 1
    assert kept == 0 and blocks.free == 1000 and prefixes.find(texts[0], None) == []


def _common(text: list[int], other: list[int]) -> int:
    """Return how many tokens of a remembered beginning a text shares, in whole blocks."""
    return len(other) if text[: len(other)] == other else 0


def test_what_one_request_brings_along_fails_alone(model: Any) -> None:
    class Breaks:
        def __call__(self, ids: Any, scores: Any) -> Any:
            if ids.shape[1] > 5:
                raise ValueError("broken")
            return scores

    engine = Engine(model)
    broken = engine.submit([3, 4, 5], max_new_tokens=8, logits_processor=[Breaks()], eos_token_id=None)
    other = engine.submit([3, 4, 5], max_new_tokens=8, logprobs=0, eos_token_id=None)
    assert other.result().tokens == alone(model, [3, 4, 5], max_new_tokens=8, eos_token_id=None)
    assert len(other.logprobs) == 8
    with pytest.raises(ValueError, match="broken"):
        broken.result()
    assert broken.status is Status.FAILED and len(broken.new_tokens) == 3
    told = engine.statistics
    assert told.running == 0 and told.blocks_free + told.blocks_kept == told.blocks
