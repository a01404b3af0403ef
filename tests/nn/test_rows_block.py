"""A decoder's layers in single precision, one token at a time, in one call: as part by part, and only while writing."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

import enfold.transformers as tf
from enfold.nn import rows
from enfold.nn.step import step
from enfold.transformers import running

pytestmark = pytest.mark.skipif(rows.core() is None, reason="this processor has no AVX2")

LLAMA = {"vocab_size": 60, "hidden_size": 80, "intermediate_size": 100, "num_hidden_layers": 2, "head_dim": 16,
         "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64, "eos_token_id": None,
         "initializer_range": 0.2}  # fmt: skip
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("LlamaForCausalLM", LLAMA),
    "llama-bias": ("LlamaForCausalLM", {**LLAMA, "attention_bias": True, "mlp_bias": True, "head_dim": 48}),
    "qwen2": ("Qwen2ForCausalLM", {**LLAMA, "num_key_value_heads": 1}),
    "mistral": ("MistralForCausalLM", {**LLAMA, "sliding_window": 3}),
}


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether the layers went through in one step, for every call."""
    seen: list[bool] = []

    def watched(*args: Any) -> Tensor | None:
        made = step(*args)
        seen.append(made is not None)
        return made

    monkeypatch.setattr(running, "step", watched)
    return seen


@pytest.fixture(params=[1, 2])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    """How many threads torch, and so the core, has."""
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def model_of(name: str) -> Any:
    torch.manual_seed(0)
    kind, settings = MODELS[name]
    made = getattr(tf, kind)
    model = made(made.config_class(**settings)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.1 * torch.randn_like(parameter))  # norms and biases that do something
    return model


def read_on(model: Any, ids: Tensor, mask: Tensor | None = None, prompt: int = 4) -> Tensor:
    """Return the logits after a prompt, and after each of the tokens that follow, one at a time."""
    cache, made = tf.DynamicCache(), []
    with torch.no_grad(), rows.writing():
        for start, end in [(0, prompt), *((at, at + 1) for at in range(prompt, ids.shape[1]))]:
            seen = None if mask is None else mask[:, :end]
            output = model(ids[:, start:end], past_key_values=cache, attention_mask=seen)
            made.append(output.logits[:, -1])
    return torch.stack(made, 1)


@pytest.mark.parametrize("name", MODELS)
def test_a_step_gives_what_the_parts_give(
    name: str, threads: int, steps: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = model_of(name)
    for count in (1, 2, 9):
        ids = torch.randint(0, 60, (count, 30))
        padded = torch.ones_like(ids)
        padded[0, :3] = padded[-1, 9:11] = 0
        for mask in (None, padded):
            steps.clear()
            made = read_on(model, ids, mask)
            assert not steps[0] and all(steps[1:]) and len(steps) == 27
            with monkeypatch.context() as patch:
                patch.setattr(running, "step", lambda *_: None)
                torch.testing.assert_close(made, read_on(model, ids, mask), atol=2e-5, rtol=2e-5)


@pytest.mark.parametrize("name", MODELS)
def test_texts_in_pages_get_the_same_bits_as_part_by_part(
    name: str, threads: int, steps: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = model_of(name)
    texts = [torch.randint(0, 60, (length,)).tolist() for length in (3, 9, 17, 5)]

    def written() -> list[Any]:
        return [
            output.generated_tokens
            for output in model.generate_batch(
                texts, generation_config=tf.GenerationConfig(max_new_tokens=12, do_sample=False)
            ).values()
        ]

    made = written()
    assert sum(steps) >= 8
    monkeypatch.setattr(running, "step", lambda *_: None)
    assert written() == made


def test_a_model_that_is_only_called_takes_no_step(steps: list[bool]) -> None:
    model, cache = model_of("llama"), tf.DynamicCache()
    with torch.no_grad():
        model(torch.tensor([[1, 2]]), past_key_values=cache)
        model(torch.tensor([[3]]), past_key_values=cache)
        assert not any(steps)
        with rows.writing():
            model(torch.tensor([[3]]), past_key_values=cache)
        assert steps == [False, False, True]
        model(torch.tensor([[3]]), past_key_values=cache)
    assert steps[-1] is False


def test_what_changes_in_a_layer_counts_from_the_next_token_on(steps: list[bool]) -> None:
    model, ids = model_of("llama"), torch.randint(0, 60, (1, 12))
    block: Any = model.model.layers[1]
    before = read_on(model, ids)

    def differs() -> bool:
        """Read again; the same as a copy that never had another state, and other than before."""
        nonlocal before
        made, fresh = read_on(model, ids), read_on(copy.deepcopy(model), ids)
        other = not torch.allclose(made, before, atol=1e-4)
        before = made
        return other and torch.equal(made, fresh)

    with torch.no_grad():
        block.input_layernorm.weight.mul_(1.5)
        assert differs()
        block.mlp.down_proj.weight.data = block.mlp.down_proj.weight.data * 2  # at another place
        assert differs()
        block.self_attn.q_proj.weight = torch.nn.Parameter(block.self_attn.q_proj.weight * 0.3)
        assert differs()
        block.mlp.up_proj.bias = torch.nn.Parameter(torch.randn(100))
        assert differs()
    assert all(steps[-2:])
    seen: list[int] = []
    handle = block.mlp.register_forward_hook(lambda *_: seen.append(1))
    steps.clear()
    torch.testing.assert_close(read_on(model, ids), before, atol=2e-5, rtol=2e-5)
    assert len(seen) == 9 and not any(steps)
    handle.remove()


def test_layers_of_other_kinds_run_part_by_part(steps: list[bool]) -> None:
    for more in ({"hidden_act": "gelu"}, {"head_dim": 20}):
        model = tf.LlamaForCausalLM(tf.LlamaConfig(**{**LLAMA, **more})).eval()
        read_on(model, torch.randint(0, 60, (2, 8)))
    many = model_of("llama")
    read_on(many, torch.randint(0, 60, (rows.FEW + 1, 6)))
    half = model_of("llama").to(torch.bfloat16)
    read_on(half, torch.randint(0, 60, (2, 6)))
    assert len(steps) > 8 and not any(steps)
