"""Products with what follows them: the same as layer by layer, whoever watches, changes or replaces the layer."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import enfold.transformers as tf
from enfold import peft
from enfold.nn.activations import ACT2FN
from enfold.nn.int8 import Int8Linear
from enfold.nn.linear import project

TYPES = [torch.float32, torch.bfloat16]
SMALL: dict[str, Any] = {"vocab_size": 50, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
                         "intermediate_size": 96}  # fmt: skip


def near(made: Tensor, expected: Tensor) -> bool:
    """Whether two results agree: to 1e-5, in half of the digits to a rounding or two."""
    tolerance = 1e-5 if expected.dtype == torch.float32 else 2e-2
    return made.dtype == expected.dtype and torch.allclose(made, expected, rtol=tolerance, atol=tolerance)


@pytest.fixture
def layer() -> nn.Linear:
    """A layer of 32 inputs and 24 outputs."""
    torch.manual_seed(0)
    return nn.Linear(32, 24)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("name", sorted(ACT2FN))
def test_every_activation_is_applied(layer: nn.Linear, name: str, dtype: torch.dtype) -> None:
    layer.to(dtype)
    act, x = ACT2FN[name], (4 * torch.randn(3, 5, 32)).to(dtype)
    before = x.clone()
    with torch.no_grad():
        expected = act(layer(x))
        assert near(project(layer, x, act), expected)
        onto = torch.randn(3, 5, 24).to(dtype)
        held = onto.clone()
        assert near(project(layer, x, act, onto), expected + onto)
    assert torch.equal(x, before) and torch.equal(onto, held)  # only its own results are overwritten


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("shape", [(32,), (0, 32), (1, 32), (7, 1, 32), (2, 3, 4, 32), (300, 32)])
def test_every_shape_is_taken(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    for bias in (True, False):
        layer = nn.Linear(32, 24, bias=bias).to(dtype)
        x = torch.randn(shape).to(dtype)
        with torch.inference_mode():
            made = project(layer, x, F.gelu)
            assert made.shape == (*shape[:-1], 24) and near(made, F.gelu(layer(x)))
            wide = torch.randn(2, *made.shape).to(dtype)
            assert near(project(layer, x, None, wide), layer(x) + wide)


@pytest.mark.parametrize("rows", [1, 3, 4, 8, 128, 256, 257])
def test_large_weights_give_the_same_for_every_number_of_rows(rows: int) -> None:
    torch.manual_seed(0)
    layer, x = nn.Linear(1024, 2048), torch.randn(rows, 1024)
    with torch.no_grad():
        expected = layer(x)
        assert near(project(layer, x), expected)
        assert near(project(layer, x[None], F.gelu, x.repeat(1, 2)[None]), F.gelu(expected)[None] + x.repeat(1, 2))
        layer.weight.data[3] *= 2  # nothing of the old weight is kept
        assert near(project(layer, x), layer(x))


@pytest.mark.parametrize("dtype", TYPES)
def test_strided_inputs_and_weights_are_taken(dtype: torch.dtype) -> None:
    layer = nn.Linear(32, 24).to(dtype)
    with torch.no_grad():
        for x in (torch.randn(4, 6, 32)[:, 0], torch.randn(32, 6).t(), torch.randn(1, 32).expand(5, 32)):
            assert near(project(layer, x.to(dtype), F.gelu), F.gelu(layer(x.to(dtype))))
        layer.weight = nn.Parameter(torch.randn(32, 24).to(dtype).t())
        x = torch.randn(5, 32).to(dtype)
        assert near(project(layer, x), layer(x))


@pytest.mark.parametrize("dtype", TYPES)
def test_an_input_of_another_width_is_refused_as_torch_does(layer: nn.Linear, dtype: torch.dtype) -> None:
    with torch.no_grad(), pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        project(layer.to(dtype), torch.randn(2, 31).to(dtype))


@pytest.mark.parametrize("dtype", TYPES)
def test_a_changed_weight_counts_at_once(layer: nn.Linear, dtype: torch.dtype) -> None:
    layer.to(dtype)
    x = torch.randn(4, 32).to(dtype)

    def same() -> None:
        with torch.no_grad():
            assert near(project(layer, x, F.gelu), F.gelu(F.linear(x, layer.weight, layer.bias)))

    same()
    layer.weight.data[3, 5] += 9  # which no version counter sees
    same()
    with torch.no_grad():
        layer.weight.mul_(2)
        layer.bias.add_(1)
    same()
    layer.weight = nn.Parameter(torch.randn(24, 32).to(dtype))
    same()
    optimizer = torch.optim.SGD(layer.parameters(), lr=1.0)
    project(layer, x, F.gelu).sum().backward()
    optimizer.step()
    same()


@pytest.mark.parametrize("dtype", TYPES)
def test_gradients_are_those_of_the_layer(layer: nn.Linear, dtype: torch.dtype) -> None:
    twin = copy.deepcopy(layer.to(dtype))
    x = torch.randn(4, 32).to(dtype)
    with torch.no_grad():
        project(layer, x, F.gelu)
    one, other = x.clone().requires_grad_(), x.clone().requires_grad_()
    project(layer, one, F.gelu, torch.ones(4, 24, dtype=dtype)).sum().backward()
    (F.gelu(twin(other)) + 1).sum().backward()
    assert torch.equal(one.grad, other.grad)
    assert torch.equal(layer.weight.grad, twin.weight.grad) and torch.equal(layer.bias.grad, twin.bias.grad)


def test_hooks_and_replaced_forwards_run(layer: nn.Linear) -> None:
    layer.to(torch.bfloat16)
    x, seen = torch.randn(2, 32).bfloat16(), []
    with torch.no_grad():
        for register in (layer.register_forward_hook, layer.register_forward_pre_hook):
            handle = register(lambda *_: seen.append(1))
            project(layer, x)
            handle.remove()
        handle = nn.modules.module.register_module_forward_hook(lambda *_: seen.append(1))
        project(layer, x)
        handle.remove()
        assert len(seen) == 3
        layer.forward = lambda given: given[:, :24] * 0  # type: ignore[method-assign]
        assert not project(layer, x, F.gelu).any()


def test_what_stands_in_the_place_of_a_layer_is_called() -> None:
    x = torch.ones(2, 4)
    with torch.no_grad():
        assert torch.equal(project(nn.Identity(), x, torch.relu, x), x + x)
    assert torch.equal(x, torch.ones(2, 4))


@pytest.mark.parametrize("dtype", TYPES)
def test_transforms_and_modes_see_the_layer(layer: nn.Linear, dtype: torch.dtype) -> None:
    layer.to(dtype).requires_grad_(False)
    x = torch.randn(3, 32).to(dtype)
    with torch.no_grad():
        expected = F.gelu(layer(x))
        assert near(torch.func.vmap(lambda row: project(layer, row, F.gelu))(x), expected)
        slope = torch.func.jvp(lambda given: project(layer, given, F.gelu), (x,), (torch.ones_like(x),))[1]
        assert near(slope, torch.func.jvp(lambda given: F.gelu(layer(given)), (x,), (torch.ones_like(x),))[1])
        traced = torch.jit.trace(lambda given: project(layer, given, F.gelu), (x,), check_trace=False)
        assert "mkldnn" not in str(traced.inlined_graph)
        with torch.backends.mkldnn.flags(enabled=False):
            assert torch.equal(project(layer, x, F.gelu), F.gelu(layer(x)))
        with FlopCounterMode(display=False) as counter:
            project(layer, x, F.gelu)
        assert counter.get_total_flops() == 2 * 3 * 32 * 24
        with torch.autocast("cpu", torch.bfloat16):
            assert project(layer, x.float()).dtype == torch.bfloat16


@pytest.mark.parametrize("dtype", TYPES)
def test_models_answer_the_same_with_and_without_gradients(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    ids, mask = torch.randint(0, 50, (3, 9)), torch.ones(3, 9, dtype=torch.long)
    mask[1, 4:] = 0
    distil = {"vocab_size": 50, "dim": 64, "n_layers": 2, "n_heads": 4, "hidden_dim": 96}
    for kind, numbers in (("BertModel", SMALL), ("DistilBertModel", distil), ("LlamaModel", SMALL)):
        made = getattr(tf, kind)
        model = made(made.config_class(**numbers)).to(dtype).eval()
        watched = model(ids, attention_mask=mask).last_hidden_state
        for still in (torch.no_grad(), torch.inference_mode()):
            with still:
                plain = model(ids, attention_mask=mask).last_hidden_state
            tolerance = 1e-5 if dtype == torch.float32 else 5e-2
            assert torch.allclose(plain, watched, rtol=tolerance, atol=tolerance), kind


def test_models_export_copy_and_train_as_before() -> None:
    torch.manual_seed(0)
    model = tf.BertForSequenceClassification(tf.BertConfig(**SMALL)).bfloat16().eval()
    ids = torch.randint(0, 50, (2, 6))
    with torch.no_grad():
        expected = model(ids).logits
        exported = torch.export.export(model, (ids,))
        assert "mkldnn" not in str(exported.graph)
        for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
            assert torch.equal(twin(ids).logits, expected)
    adapted = peft.get_peft_model(model, peft.LoraConfig(target_modules=["query", "dense"], init_lora_weights=False))
    with torch.no_grad():
        moved = adapted(ids).logits
        assert not torch.allclose(moved, expected)
        merged = adapted.merge_and_unload()
        assert torch.allclose(merged(ids).logits, moved, atol=5e-2)


def test_eight_bits_learn_through_adapters_and_keep_in_files_of_python() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(32, 24)
    eight, x = Int8Linear(layer), torch.randn(5, 32)
    one, other = x.clone().requires_grad_(), x.clone().requires_grad_()
    F.gelu(eight(one)).sum().backward()
    F.gelu(layer(other)).sum().backward()
    assert one.grad is not None and other.grad is not None
    assert (one.grad - other.grad).norm() < 0.05 * other.grad.norm()
    for twin in (copy.deepcopy(eight), pickle.loads(pickle.dumps(eight))):
        assert torch.equal(twin(x), eight(x))
    for dtype in TYPES:
        with torch.no_grad():
            given = x.to(dtype)
            made = project(eight, given, F.gelu, torch.ones(5, 24, dtype=dtype))
            expected = F.gelu(eight(given)) + 1
            assert made.dtype == dtype and (made - expected).abs().max() < 0.02
            assert eight(given[:0]).shape == (0, 24)
