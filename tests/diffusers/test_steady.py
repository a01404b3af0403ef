"""What a loop keeps from step to step: the same numbers, and nothing of it afterwards."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from enfold._native import has_winograd
from torch import nn

from enfold.diffusers import DDPMPipeline, DDPMScheduler, UNet2DConditionModel, UNet2DModel
from enfold.diffusers.models.steady import steady
from enfold.nn.winograd import Filters, filter_bytes, is_three_by_three


@pytest.fixture
def unet() -> UNet2DConditionModel:
    torch.manual_seed(0)
    return UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(16, 32),
        norm_num_groups=8,
        cross_attention_dim=24,
        attention_head_dim=8,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
    ).eval()


def inputs(dtype: torch.dtype) -> tuple[Any, int, Any]:
    torch.manual_seed(1)
    return torch.randn(2, 4, 8, 8).to(dtype), 7, torch.randn(2, 5, 24).to(dtype)


@pytest.mark.parametrize(("dtype", "limit"), [(torch.float32, 1e-5), (torch.bfloat16, 3e-2)])
@torch.no_grad()
def test_predictions_stay_what_they_are(unet: Any, dtype: torch.dtype, limit: float) -> None:
    unet.to(dtype)
    noisy, step, words = inputs(dtype)
    plain, other = (unet(value, step, words).sample for value in (noisy, noisy[:1].repeat(2, 1, 1, 1)))
    with steady(unet):
        found = [unet(value, step, words).sample for value in (noisy, noisy[:1].repeat(2, 1, 1, 1), noisy)]
    for one, expected in zip(found, (plain, other, plain), strict=True):
        torch.testing.assert_close(one, expected, rtol=limit, atol=limit)


@torch.no_grad()
def test_layers_are_called_less_and_what_is_kept_is_forgotten(unet: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    noisy, step, words = inputs(torch.float32)
    calls: list[nn.Linear] = []
    plain = nn.Linear.forward

    def counted(self: nn.Linear, x: torch.Tensor) -> torch.Tensor:
        calls.append(self)
        return plain(self, x)

    monkeypatch.setattr(nn.Linear, "forward", counted)
    text = {layer for name, layer in unet.named_modules() if ".attn2.to_k" in name or ".attn2.to_v" in name}
    with steady(unet):
        for _ in range(3):
            unet(noisy, step, words)
        assert sum(layer in text for layer in calls) == len(text) > 0
        words.mul_(2)
        unet(noisy, step, words)
        assert sum(layer in text for layer in calls) == 2 * len(text)
    assert not any("forward" in layer.__dict__ for layer in unet.modules())


@torch.no_grad()
def test_weights_that_change_within_a_loop_count(unet: Any) -> None:
    noisy, step, words = inputs(torch.float32)
    with steady(unet):
        before = unet(noisy, step, words).sample
        for weight in unet.parameters():
            weight.mul_(1.1)
        after = unet(noisy, step, words).sample
    assert not torch.allclose(before, after)
    torch.testing.assert_close(after, unet(noisy, step, words).sample, rtol=1e-5, atol=1e-5)


def test_an_error_leaves_the_model_as_it_was(unet: Any) -> None:
    noisy, step, words = inputs(torch.float32)
    with pytest.raises(RuntimeError), torch.no_grad(), steady(unet):
        unet(noisy[:, :3], step, words)
    assert not any("forward" in layer.__dict__ for layer in unet.modules())


def test_gradients_flow_as_ever(unet: Any) -> None:
    noisy, step, words = inputs(torch.float32)
    with steady(unet):
        unet(noisy, step, words).sample.sum().backward()
    assert all(weight.grad is not None for weight in unet.parameters())


@torch.no_grad()
def test_nothing_is_kept_where_memory_is_short(unet: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("enfold.accelerate.maps.free_memory", lambda: 1000)
    with steady(unet):
        assert not any("forward" in layer.__dict__ for layer in unet.modules())


@torch.no_grad()
def test_small_weights_come_first_where_memory_is_short(unet: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    layers = [layer for layer in unet.modules() if isinstance(layer, nn.Conv2d) and is_three_by_three(layer)]
    need = sorted(map(filter_bytes, layers))
    monkeypatch.setattr("enfold.accelerate.maps.free_memory", lambda: 4 * sum(need) // 2)
    with steady(unet):
        kept = {layer for layer in layers if "forward" in layer.__dict__}
    assert 0 < len(kept) < len(layers)
    assert max(map(filter_bytes, kept)) <= min(filter_bytes(layer) for layer in layers if layer not in kept)
    assert sum(map(filter_bytes, kept)) <= sum(need) // 2


@torch.no_grad()
@pytest.mark.skipif(not has_winograd(), reason="the processor lacks AVX2")
def test_weights_are_transformed_once(unet: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    plain = Filters.__init__

    def noted(self: Filters, layer: nn.Conv2d, tile: int) -> None:
        made.append(layer)
        plain(self, layer, tile)

    monkeypatch.setattr(Filters, "__init__", noted)
    with steady(unet):
        for _ in range(3):
            unet(*inputs(torch.float32))
    assert made and len(set(made)) == len(made)


@torch.no_grad()
def test_a_pipeline_draws_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    model = UNet2DModel(
        sample_size=8,
        block_out_channels=(8, 16),
        norm_num_groups=4,
        down_block_types=("DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D"),
    )
    pipe = DDPMPipeline(model, DDPMScheduler())
    pipe.set_progress_bar_config(disable=True)

    def draw() -> Any:
        return pipe(num_inference_steps=4, generator=torch.Generator().manual_seed(0), output_type="pt").images

    found = torch.as_tensor(draw())
    monkeypatch.setattr("enfold.accelerate.maps.free_memory", lambda: 0)
    torch.testing.assert_close(found, torch.as_tensor(draw()), rtol=1e-4, atol=1e-4)
