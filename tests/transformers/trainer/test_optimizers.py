"""Optimizers by name: what each does to weights, and what it keeps."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from trainer_small import losses, trainer, weights

from enfold.transformers.trainer import AdEMAMix, Lion, OptimizerNames, get_last_checkpoint
from enfold.transformers.trainer.optimizer_names import OptimizerNotOffered, algorithm_of

OFFERED = [
    "adamw_torch", "adamw_torch_fused", "adamw_apex_fused", "adafactor", "ademamix", "lion_32bit", "paged_lion_32bit",
    "paged_adamw_32bit", "paged_ademamix_32bit", "sgd", "adagrad", "rmsprop", "rmsprop_bnb", "rmsprop_bnb_32bit",
]  # fmt: skip


@pytest.mark.parametrize("name", OFFERED)
def test_every_algorithm_lowers_the_loss_and_resumes_bit_for_bit(tmp_path: Path, name: str) -> None:
    rate = {"sgd": 0.1, "adagrad": 0.05, "lion_32bit": 2e-2, "paged_lion_32bit": 2e-2}.get(name, 1e-2)
    options: dict[str, Any] = {"optim": name, "learning_rate": rate, "save_steps": 20, "save_strategy": "steps"}
    options["dropout"] = 0.05
    straight = trainer(tmp_path, **options)
    straight.train()
    assert losses(straight)[-1] < losses(straight)[0]
    second = trainer(tmp_path, **options)
    second.train(resume_from_checkpoint=str(tmp_path / "checkpoint-20"))
    assert torch.equal(weights(second), weights(straight))
    assert get_last_checkpoint(str(tmp_path)) == str(tmp_path / "checkpoint-26")


def test_every_other_name_says_what_there_is() -> None:
    for item in OptimizerNames:
        if item.value not in (*OFFERED, "adamw_torch_xla", "adamw_torch_npu_fused"):
            with pytest.raises(OptimizerNotOffered, match=item.value):
                algorithm_of(item.value)


def test_lion_moves_every_weight_by_the_rate() -> None:
    weight = torch.nn.Parameter(torch.tensor([1.0, -2.0, 3.0]))
    weight.grad = torch.tensor([0.5, -0.1, 0.0])
    optimizer = Lion([weight], lr=0.01, weight_decay=0.1)
    optimizer.step()
    expected = torch.tensor([1.0, -2.0, 3.0]) * (1 - 0.001) - 0.01 * torch.tensor([1.0, -1.0, 0.0])
    torch.testing.assert_close(weight.detach(), expected)
    torch.testing.assert_close(optimizer.state[weight]["exp_avg"], torch.tensor([0.005, -0.001, 0.0]))


def test_ademamix_is_as_its_paper_says() -> None:
    weight = torch.nn.Parameter(torch.tensor([1.0]))
    optimizer = AdEMAMix([weight], lr=0.1, betas=(0.9, 0.99, 0.999), alpha=4.0, t_alpha=10, t_beta3=10)
    value, fast, slow, square = 1.0, 0.0, 0.0, 0.0
    for step, grad in enumerate((0.5, -0.25, 1.0), start=1):
        weight.grad = torch.tensor([grad])
        optimizer.step()
        share, near, far = step / 10, math.log(0.9), math.log(0.999)
        long = min(math.exp(near * far / ((1 - share) * far + share * near)), 0.999)
        fast, slow = 0.9 * fast + 0.1 * grad, long * slow + (1 - long) * grad
        square = 0.99 * square + 0.01 * grad * grad
        move = fast / (1 - 0.9**step) + 4.0 * share * slow
        value -= 0.1 * move / (math.sqrt(square / (1 - 0.99**step)) + 1e-8)
    assert weight.item() == pytest.approx(value, rel=1e-5)


def test_half_precision_weights_move_in_float32() -> None:
    weight = torch.nn.Parameter(torch.ones(4, dtype=torch.bfloat16))
    weight.grad = torch.full((4,), 0.5, dtype=torch.bfloat16)
    optimizer = Lion([weight], lr=0.25)
    optimizer.step()
    assert weight.dtype == torch.bfloat16 and weight.tolist() == [0.75] * 4
    assert optimizer.state[weight]["exp_avg"].dtype == torch.float32
