"""A decoder's layers in eight bits, one token at a time: as part by part, and part by part for whoever looks."""

from __future__ import annotations

import copy
import pickle
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import enfold.transformers as tf
from enfold.nn import int8
from enfold.nn import step as step_of
from enfold.nn.int8 import Packed
from enfold.transformers import running
from enfold.transformers.quantization import quantize

native = pytest.importorskip("enfold._native")

GPT2 = {"vocab_size": 60, "n_embd": 48, "n_layer": 2, "n_head": 3, "n_positions": 64, "eos_token_id": None,
        "initializer_range": 0.2}  # fmt: skip
LLAMA = {"vocab_size": 60, "hidden_size": 80, "intermediate_size": 100, "num_hidden_layers": 2,
         "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64, "eos_token_id": None,
         "initializer_range": 0.2}  # fmt: skip
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "gpt2": ("GPT2LMHeadModel", GPT2),
    "gpt2-relu": ("GPT2LMHeadModel", {**GPT2, "activation_function": "relu", "n_inner": 70, "n_head": 4}),
    "llama": ("LlamaForCausalLM", LLAMA),
    "llama-bias": ("LlamaForCausalLM", {**LLAMA, "attention_bias": True, "mlp_bias": True, "head_dim": 24}),
    "qwen2": ("Qwen2ForCausalLM", {**LLAMA, "num_key_value_heads": 1}),
}


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether the layers went through in one step, for every call."""
    seen: list[bool] = []

    def watched(*args: Any) -> Tensor | None:
        made = step_of.step(*args)
        seen.append(made is not None)
        return made

    monkeypatch.setattr(running, "step", watched)
    return seen


def model_of(name: str) -> Any:
    torch.manual_seed(0)
    kind, settings = MODELS[name]
    made = getattr(tf, kind)
    model = made(made.config_class(**settings)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.1 * torch.randn_like(parameter))  # norms and biases that do something
    quantize(model, tf.TorchAoConfig("int8", include_input_output_embeddings=True))
    return model


def read_on(model: Any, ids: Tensor, mask: Tensor | None = None, prompt: int = 4) -> Tensor:
    """Return the logits after a prompt, and after each of the tokens that follow, one at a time."""
    cache, made = tf.DynamicCache(), []
    with torch.no_grad():
        for start, end in [(0, prompt), *((at, at + 1) for at in range(prompt, ids.shape[1]))]:
            seen = None if mask is None else mask[:, :end]
            output = model(ids[:, start:end], past_key_values=cache, attention_mask=seen)
            made.append(output.logits[:, -1])
    return torch.stack(made, 1)


def near(made: Tensor, expected: Tensor) -> bool:
    """Whether logits agree as far as roundings of inputs allow, which the least difference can push to either side."""
    return bool((made - expected).norm() < 0.02 * expected.norm())


@pytest.mark.parametrize("kernel", native.int8_kernels())
@pytest.mark.parametrize("name", MODELS)
def test_a_step_gives_what_the_parts_give(
    name: str, kernel: str, steps: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(int8, "Packed", partial(Packed, kernel=kernel))
    model = model_of(name)
    for rows in (1, 2, 9):
        ids = torch.randint(0, 60, (rows, 30))
        padded = torch.ones_like(ids)
        padded[0, :3] = 0
        for mask in (None, padded):
            steps.clear()
            made = read_on(model, ids, mask)
            assert not steps[0] and all(steps[1:]) and len(steps) == 27
            with monkeypatch.context() as patch:
                patch.setattr(step_of, "step", lambda *_: None)
                assert near(made, read_on(model, ids, mask))
                assert not steps[-1]


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_writing_on_takes_steps(name: str, steps: list[bool], monkeypatch: pytest.MonkeyPatch) -> None:
    model, ids = model_of(name), torch.tensor([[3, 9, 4, 7], [5, 5, 1, 2]])
    made = model.generate(ids, max_new_tokens=20, do_sample=False, pad_token_id=0)
    assert sum(steps) == 19
    monkeypatch.setattr(step_of, "step", lambda *_: None)
    plain = model.generate(ids, max_new_tokens=20, do_sample=False, pad_token_id=0)
    assert (made == plain).float().mean() > 0.9  # of drawn weights, two words may be as likely
    states = model(ids, output_hidden_states=True, output_attentions=True)
    assert len(states.hidden_states) == 3 and states.attentions[0].shape[-1] == 4


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_what_changes_in_a_layer_counts_from_the_next_token_on(name: str, steps: list[bool]) -> None:
    model, ids = model_of(name), torch.randint(0, 60, (1, 12))
    block: Any = (model.transformer.h if name == "gpt2" else model.model.layers)[1]
    norm, last = (block.ln_1, block.mlp.c_proj) if name == "gpt2" else (block.input_layernorm, block.mlp.down_proj)
    before = read_on(model, ids)

    def differs() -> bool:
        """Read again; the same as a copy that never had another state, and other than before."""
        nonlocal before
        made, fresh = read_on(model, ids), read_on(copy.deepcopy(model), ids)
        other = not torch.allclose(made, before, atol=1e-4)
        before = made
        return other and torch.equal(made, fresh)

    with torch.no_grad():
        norm.weight.mul_(1.5)
        assert differs()
        norm.weight.data = norm.weight.data * 2  # at another place
        assert differs()
        norm.weight = nn.Parameter(norm.weight * 0.3)
        assert differs()
        last.requantize(torch.randn(last.out_features, last.in_features) * 0.2)
        assert differs()
    assert all(steps[-2:])


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_whoever_looks_sees_the_parts(name: str, steps: list[bool]) -> None:
    model, ids = model_of(name), torch.randint(0, 60, (1, 8))
    block: Any = (model.transformer.h if name == "gpt2" else model.model.layers)[0]
    expected = read_on(model, ids)
    seen: list[int] = []
    handle = block.mlp.register_forward_hook(lambda *_: seen.append(1))
    steps.clear()
    assert near(read_on(model, ids), expected) and len(seen) == 5
    assert not any(steps)
    handle.remove()

    class Doubled(nn.Module):
        """What an adapter does: it stands in a layer's place, and calls it."""

        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, x: Tensor) -> Tensor:
            """Return twice what the layer makes."""
            return 2 * self.inner(x)

    owner, leaf = (block.mlp, "c_fc") if name == "gpt2" else (block.mlp, "up_proj")
    setattr(owner, leaf, Doubled(getattr(owner, leaf)))
    assert not near(read_on(model, ids), expected)
    setattr(owner, leaf, getattr(owner, leaf).inner)
    steps.clear()
    assert near(read_on(model, ids), expected) and all(steps[1:])
    model.train()
    steps.clear()
    read_on(model, ids)
    assert not any(steps)
    model.eval()
    model(ids, past_key_values=tf.DynamicCache())
    steps.clear()
    output = model(ids[:, :1], past_key_values=tf.DynamicCache())
    assert output.logits.requires_grad is False or not any(steps)  # gradients are followed part by part


@pytest.mark.parametrize(
    ("kind", "more", "taken"),
    [
        ("Qwen3ForCausalLM", {}, False),  # it norms queries and keys
        ("MistralForCausalLM", {"sliding_window": 3}, True),  # a mask tells how far it looks
    ],
)
def test_relatives_compute_as_before(kind: str, more: dict[str, Any], taken: bool, steps: list[bool]) -> None:
    torch.manual_seed(0)
    made = getattr(tf, kind)
    model = made(made.config_class(**LLAMA, **more)).eval()
    ids = torch.randint(0, 60, (2, 10))
    expected = read_on(model, ids)
    assert not any(steps)  # in single precision
    quantize(model, tf.TorchAoConfig("int8"))
    steps.clear()
    made = read_on(model, ids)
    assert (made - expected).norm() < 0.2 * expected.norm()
    assert all(step is taken for step in steps[1:])


def test_models_are_copied_and_kept_in_files_of_python(steps: list[bool]) -> None:
    model, ids = model_of("llama"), torch.randint(0, 60, (2, 9))
    expected = read_on(model, ids)
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        steps.clear()
        assert torch.equal(read_on(twin, ids), expected) and all(steps[1:])


def test_a_cache_grows_and_takes_both_ways_in_turns(steps: list[bool], monkeypatch: pytest.MonkeyPatch) -> None:
    model, ids = model_of("llama"), torch.randint(0, 60, (2, 60))
    whole = tf.DynamicCache()
    with torch.no_grad():
        expected = model(ids, past_key_values=whole).logits
        cache, parts = tf.DynamicCache(), []
        for start, end in (
            (0, 1),
            (1, 2),
            (2, 30),
            (30, 31),
            (31, 32),
            (32, 40),
            *((at, at + 1) for at in range(40, 60)),
        ):
            parts.append(model(ids[:, start:end], past_key_values=cache).logits)
        assert near(torch.cat(parts, 1), expected)
        assert cache.get_seq_length() == 60
        for (keys, values), (own_keys, own_values) in zip(cache, whole, strict=True):
            assert near(keys, own_keys) and near(values, own_values)
        cache.crop(50)
        again = [model(ids[:, at : at + 1], past_key_values=cache).logits for at in range(50, 60)]
        assert near(torch.cat(again, 1), expected[:, 50:])
        cache.reorder_cache(torch.tensor([1, 0]))
        assert near(cache[0][0], whole[0][0].flip(0))


def test_states_of_another_width_are_refused(steps: list[bool]) -> None:
    model = model_of("llama")
    cache = tf.DynamicCache()
    with torch.no_grad():
        model(torch.tensor([[1, 2]]), past_key_values=cache)
        with pytest.raises(RuntimeError):
            model(inputs_embeds=torch.randn(1, 1, 79), past_key_values=cache)
    assert not any(steps)
