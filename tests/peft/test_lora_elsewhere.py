"""Low-rank adapters on torch's attention, in deeper models, without memory, and under optimizers of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from enfold.errors import EnfoldError
from enfold.peft import (
    LoraConfig,
    PeftModel,
    create_lorafa_optimizer,
    get_peft_model,
    load_peft_weights,
    set_peft_model_state_dict,
)
from enfold.peft.config import UnsupportedPeftFeature
from enfold.peft.optimizers import _whole_gradient
from enfold.transformers import LlamaConfig, LlamaForCausalLM


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.first = nn.Embedding(20, 8), nn.Linear(8, 4)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.first(self.embed(ids))


def net() -> Net:
    torch.manual_seed(0)
    return Net()


def filled(model: Any, seed: int = 1) -> Any:
    torch.manual_seed(seed)
    with torch.no_grad():
        for part in model.parameters():
            if part.requires_grad:
                part.copy_(torch.randn(part.shape) * 0.3)
    return model


def test_attention_of_torch_is_adapted_merged_and_left_again() -> None:
    torch.manual_seed(0)
    base = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True).eval()
    x = torch.randn(2, 3, 8)
    plain = base(x)
    model = filled(get_peft_model(base, LoraConfig(r=2, target_modules=["self_attn"], init_lora_weights="gaussian")))
    found = model(x)
    assert not torch.allclose(found, plain)
    with torch.no_grad():
        torch.testing.assert_close(model(x), found)  # torch has another way there
    with model.disable_adapter():
        torch.testing.assert_close(model(x), plain)
    found.sum().backward()
    assert all(part.grad is not None for part in model.parameters() if part.requires_grad)
    model.merge_adapter()
    torch.testing.assert_close(model(x), found, atol=1e-5, rtol=1e-5)
    model.unmerge_adapter()
    torch.testing.assert_close(model(x), found, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(model.merge_and_unload(safe_merge=True)(x), found, atol=1e-5, rtol=1e-5)
    with pytest.raises(UnsupportedPeftFeature, match="takes no use_dora"):
        get_peft_model(
            nn.ModuleDict({"a": nn.MultiheadAttention(8, 2)}), LoraConfig(target_modules=["a"], use_dora=True)
        )


def test_an_adapter_that_waits_for_its_file_takes_no_memory(tmp_path: Path) -> None:
    first = filled(get_peft_model(net(), LoraConfig(r=2, target_modules=["first", "embed"])))
    first.save_pretrained(tmp_path)
    waiting = get_peft_model(net(), LoraConfig(r=2, target_modules=["first", "embed"]), low_cpu_mem_usage=True)
    assert {part.device.type for part in waiting.parameters() if part.requires_grad} == {"meta"}
    tensors = load_peft_weights(tmp_path)
    result = set_peft_model_state_dict(waiting, tensors)
    assert not result.missing_keys and not result.unexpected_keys
    read = PeftModel.from_pretrained(net(), tmp_path, low_cpu_mem_usage=True)
    ids = torch.tensor([[1, 2, 3]])
    for model in (waiting, read):
        torch.testing.assert_close(model.eval()(ids), first.eval()(ids))
        assert not any(part.is_meta for part in model.parameters())
    assert [part.requires_grad for part in waiting.parameters()] == [part.requires_grad for part in first.parameters()]


def test_lora_fa_moves_the_weight_as_its_own_gradient_would_and_leaves_a_alone() -> None:
    torch.manual_seed(0)
    model = get_peft_model(
        nn.Sequential(nn.Linear(6, 5, bias=False)), LoraConfig(r=3, lora_alpha=6, target_modules=["0"])
    )
    layer: Any = model.base_model.model[0]
    optimizer = create_lorafa_optimizer(model, r=3, lora_alpha=6, lr=0.1)
    first, second = layer.factors("default")
    assert not first.requires_grad
    x = torch.randn(7, 6)
    before = first.clone()
    model(x).square().sum().backward()
    # of all changes s · B A, the nearest to the gradient of the weight
    whole = 2 * (x @ layer.base_layer.weight.T).T @ x
    nearest = whole @ torch.linalg.pinv(first) @ first
    found = _whole_gradient(second.grad, first, 2.0) @ first * 2.0
    torch.testing.assert_close(found, nearest, atol=1e-3, rtol=1e-3)
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        loss = model(x).square().sum()
        loss.backward()
        optimizer.step()
        losses.append(float(loss))
    assert losses[-1] < losses[0] * 0.7 and torch.equal(first, before)
    with pytest.raises(ValueError, match="use_rslora"):
        create_lorafa_optimizer(model, r=3, lora_alpha=6, lr=0.1, use_rslora=True)


def test_a_deeper_model_shares_the_weights_of_the_blocks_that_come_twice() -> None:
    made = LlamaForCausalLM(
        LlamaConfig(vocab_size=20, hidden_size=8, intermediate_size=8, num_hidden_layers=2, num_attention_heads=2)
    )
    options: dict[str, Any] = {"target_modules": ["q_proj"], "r": 2}
    with pytest.raises(EnfoldError, match=r"asks for block \[2\] of 2"):
        get_peft_model(made, LoraConfig(layer_replication=[(0, 3)], **options))
    model = get_peft_model(made, LoraConfig(layer_replication=[(0, 2), (0, 2)], **options))
    layers: Any = model.base_model.model.model.layers
    assert len(layers) == 4 == model.config.num_hidden_layers
    assert layers[0].self_attn.k_proj.weight is layers[2].self_attn.k_proj.weight
    assert (
        layers[0].self_attn.q_proj.lora_A["default"].weight is not layers[2].self_attn.q_proj.lora_A["default"].weight
    )
    assert model.generate(torch.tensor([[1, 2]]), max_new_tokens=3, min_new_tokens=3).shape == (1, 5)
    with pytest.raises(ValueError, match="only its first adapter"):
        model.add_adapter("other", LoraConfig(layer_replication=[(0, 2)], **options))
