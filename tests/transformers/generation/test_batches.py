"""``generate_batch`` and the manager: the engine under the ecosystem's names."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import enfold.transformers as tf
from enfold.transformers.generation.config import GenerationError

INPUTS = [[3, 4, 5], [6], [7, 8, 9, 10, 11, 12, 13], [3, 4]]


@pytest.fixture(scope="module")
def model() -> Any:
    torch.manual_seed(0)
    config = tf.LlamaConfig(
        vocab_size=24,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=24,
        initializer_range=0.6,
        eos_token_id=2,
        pad_token_id=1,
    )
    return tf.LlamaForCausalLM(config).eval()


def test_a_batch_is_written_as_each_text_alone(model: Any) -> None:
    found = model.generate_batch(INPUTS, max_new_tokens=9, record_timestamps=True, max_batch_tokens=6)
    assert [output.prompt_ids for output in found.values()] == INPUTS
    for output in found.values():
        alone = model.generate(torch.tensor([output.prompt_ids]), max_new_tokens=9)[0].tolist()
        assert output.prompt_ids + output.generated_tokens == alone and output.is_finished() and output.error is None
        assert output.timestamps is not None and len(output.timestamps) == len(output.generated_tokens)
        assert output.created_time <= output.lifespan[0] <= output.timestamps[0] <= output.lifespan[1]


def test_settings_are_those_of_generate(model: Any) -> None:
    config = tf.GenerationConfig(max_new_tokens=6, do_sample=True, num_return_sequences=2, min_new_tokens=6)
    settings = tf.ContinuousBatchingConfig(seed=3, return_logprobs=True, page_size=4)
    found = model.generate_batch(INPUTS, config, continuous_batching_config=settings)
    assert len(found) == 2 * len(INPUTS)
    outputs = list(found.values())
    assert all(len(output.generated_tokens) == len(output.logprobs) == 6 for output in outputs)
    assert outputs[0].prompt_ids == outputs[1].prompt_ids
    assert outputs[0].generated_tokens != outputs[1].generated_tokens
    again = model.generate_batch(INPUTS, config, continuous_batching_config=settings)
    assert [o.generated_tokens for o in again.values()] == [o.generated_tokens for o in outputs]
    assert model.generate_batch([]) == {}


def test_a_manager_hands_out_tokens_results_and_cancelled_texts(model: Any) -> None:
    manager = model.init_continuous_batching()
    manager.start()
    options = {"max_new_tokens": 8, "min_new_tokens": 8}
    manager.add_request(INPUTS[0], request_id="told", streaming=True, **options)
    names = manager.add_requests(INPUTS[1:3], **options)
    heard = list(manager.request_id_iter("told"))
    assert [len(output.generated_tokens) for output in heard][-1] == 8 and heard[-1].is_finished() and len(heard) == 9
    assert manager.get_result(names[1]).request_id == names[1]
    assert manager.get_result(timeout=5).request_id == names[0]
    assert manager.get_result(timeout=0.01) is None
    called: list[Any] = []
    manager.register_result_handler("endless", called.append)
    manager.add_request([3], request_id="endless", max_new_tokens=1500, min_new_tokens=1500)
    with pytest.raises(GenerationError, match="is taken"):
        manager.add_request([3], request_id="endless")
    with pytest.raises(GenerationError, match="did you mean 'endless'"):
        manager.cancel_request("endles")
    manager.cancel_request("endless")
    manager.join()
    assert not manager.is_running() and len(called) == 1 and called[0].is_finished()
    assert len(called[0].generated_tokens) < 1500 and list(manager) == []


def test_a_manager_that_is_kept_knows_what_it_has_read(model: Any) -> None:
    text = [3, 4, 5, 6, 7, 8, 9, 10, 11, 12]
    settings = tf.ContinuousBatchingConfig(page_size=4)
    for known in (0, 8):
        with model.continuous_batching_context_manager(
            continuous_batching_config=settings, persistent_manager=True
        ) as manager:
            before = manager.engine.statistics.cached_tokens
            manager.get_result(manager.add_request(text, max_new_tokens=2))
            assert manager.engine.statistics.cached_tokens - before == known
    model.destroy_cached_continuous_batching_manager()
    assert "_continuous_manager" not in vars(model)


def test_settings_that_nobody_knows_are_named(model: Any) -> None:
    with pytest.raises(GenerationError, match="did you mean 'num_blocks'"):
        tf.ContinuousBatchingConfig(num_block=3)
    with pytest.raises(GenerationError, match="did you mean 'max_new_tokens'"):
        model.generate_batch(INPUTS, max_new_token=3)
