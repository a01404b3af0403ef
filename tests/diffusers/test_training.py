"""What training needs, and a model that learns to draw."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from enfold.diffusers import DDPMScheduler, UNet2DModel
from enfold.diffusers.optimization import get_scheduler
from enfold.diffusers.training_utils import EMAModel, cast_training_params, compute_snr
from enfold.errors import EnfoldError

ROOT = Path(__file__).resolve().parents[2]
TINY: dict[str, Any] = {
    "sample_size": 4,
    "block_out_channels": (4,),
    "norm_num_groups": 2,
    "down_block_types": ("DownBlock2D",),
    "up_block_types": ("UpBlock2D",),
    "layers_per_block": 1,
}


def example() -> Any:
    """The example as a module, its imports resolved here."""
    import enfold.dropin

    spec = importlib.util.spec_from_file_location("diffusion_digits", ROOT / "examples" / "diffusion_digits.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    enfold.dropin.install()  # makes `diffusers` ours
    try:
        spec.loader.exec_module(module)
    finally:
        enfold.dropin.uninstall()
    return module


def test_a_model_learns_to_draw_digits_that_are_recognised(tmp_path: Path) -> None:
    from sklearn.datasets import load_digits
    from sklearn.svm import SVC

    digits, real = example(), load_digits()
    model = digits.train(160, batch=64, log=tmp_path / "log.jsonl")
    labels = torch.arange(10).repeat_interleave(5)
    drawn = digits.draw(model, labels, steps=20)
    readable = ((drawn + 1) * 8).clamp(0, 16).flatten(1).numpy()
    recognised = (SVC().fit(real.data, real.target).predict(readable) == labels.numpy()).mean()
    assert recognised > 0.5  # one in ten by chance
    losses = [json.loads(line)["loss"] for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert losses[-1] < losses[0] / 2
    assert digits.sheet(drawn, columns=5).size == (5 * 8 * 6, 10 * 8 * 6)


def test_an_average_follows_the_weights_and_goes_to_a_folder_and_back(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = UNet2DModel(**TINY)
    average = EMAModel(model.parameters(), decay=0.9, model_cls=UNet2DModel, model_config=model.config)
    expected = [weight.detach().clone() for weight in model.parameters()]
    for step in range(1, 5):
        with torch.no_grad():
            for weight in model.parameters():
                weight.add_(0.1)
        average.step(model.parameters())
        share = 0.0 if step == 1 else min((1 + step - 1) / (10 + step - 1), 0.9)
        expected = [
            share * mean + (1 - share) * weight for mean, weight in zip(expected, model.parameters(), strict=True)
        ]
    for mean, wanted in zip(average.shadow_params, expected, strict=True):
        torch.testing.assert_close(mean, wanted)
    average.store(model.parameters())
    before = [weight.clone() for weight in model.parameters()]
    average.copy_to(model.parameters())
    assert not torch.equal(before[0], next(model.parameters()))
    average.restore(model.parameters())
    assert torch.equal(before[0], next(model.parameters()))
    with pytest.raises(EnfoldError, match="nothing to restore"):
        average.restore(model.parameters())
    average.save_pretrained(tmp_path)
    again = EMAModel.from_pretrained(tmp_path, UNet2DModel)
    assert again.optimization_step == 4 and again.decay == 0.9
    assert all(torch.equal(one, other) for one, other in zip(again.shadow_params, average.shadow_params, strict=True))
    with pytest.raises(EnfoldError, match="decay is a str; expected a float"):
        again.load_state_dict({"decay": "much"})


def test_schedules_by_name() -> None:
    def rates(name: str, **options: Any) -> list[float]:
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
        schedule = get_scheduler(name, optimizer, **options)
        found = []
        for _ in range(6):
            found.append(schedule.get_last_lr()[0])
            optimizer.step()
            schedule.step()
        return found

    assert rates("piecewise_constant", step_rules="1:2,0.1:4,0.01") == [1.0, 1.0, 0.1, 0.1, 0.01, 0.01]
    np.testing.assert_allclose(rates("linear", num_warmup_steps=2, num_training_steps=6), [0, 0.5, 1, 0.75, 0.5, 0.25])
    restarts = rates("cosine_with_restarts", num_warmup_steps=0, num_training_steps=6, num_cycles=2)
    np.testing.assert_allclose(restarts[:3], restarts[3:])
    with pytest.raises(EnfoldError, match="expected FACTOR:STEP"):
        rates("piecewise_constant", step_rules="1-2")


def test_signal_to_noise_and_types() -> None:
    scheduler = DDPMScheduler()
    found = compute_snr(scheduler, torch.tensor([0, 500]))
    kept = scheduler.alphas_cumprod[[0, 500]]
    torch.testing.assert_close(found, kept / (1 - kept))
    model = UNet2DModel(**TINY).to(torch.bfloat16)
    model.conv_in.requires_grad_(False)
    cast_training_params(model)
    assert model.conv_in.weight.dtype == torch.bfloat16 and model.conv_out.weight.dtype == torch.float32


def test_what_training_scripts_import_is_at_the_top_too() -> None:
    import enfold.diffusers as diffusers
    from enfold.diffusers import image_processor, optimization

    assert diffusers.EMAModel is EMAModel and diffusers.get_scheduler is get_scheduler
    assert diffusers.VaeImageProcessor is image_processor.VaeImageProcessor
    names = [name for name in diffusers.__all__ if name.startswith("get_")]
    assert len(names) == 7 and all(getattr(diffusers, name) is getattr(optimization, name) for name in names)
