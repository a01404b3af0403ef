"""Train a diffusion model on scikit-learn's handwritten digits, and draw new ones.

    enfold run examples/diffusion_digits.py --steps 1500 --output digits

The folder then holds the model as a pipeline, ``digits.png`` with ten of each digit, and ``log.jsonl``.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from diffusers import DDIMScheduler, DDPMScheduler, UNet2DModel
from diffusers.optimization import get_scheduler
from diffusers.training_utils import EMAModel
from PIL import Image
from sklearn.datasets import load_digits
from torch import Tensor


def build() -> UNet2DModel:
    """Return a small UNet that is told which digit to draw."""
    return UNet2DModel(
        sample_size=8,
        in_channels=1,
        out_channels=1,
        layers_per_block=1,
        block_out_channels=(32, 64),
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=16,
        norm_num_groups=8,
        num_class_embeds=10,
    )


def train(steps: int, batch: int = 128, seed: int = 0, log: Path | None = None) -> UNet2DModel:
    """Return a model trained on all digits, with averaged weights."""
    torch.manual_seed(seed)
    digits = load_digits()
    pictures = torch.tensor(digits.images, dtype=torch.float32).unsqueeze(1) / 8 - 1  # (1797, 1, 8, 8), -1 to 1
    labels = torch.tensor(digits.target)
    model, noise_scheduler = build(), DDPMScheduler(beta_schedule="squaredcos_cap_v2")
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    schedule = get_scheduler("cosine", optimizer, num_warmup_steps=steps // 20, num_training_steps=steps)
    average = EMAModel(model.parameters(), decay=0.99)
    for step in range(steps):
        rows = torch.randint(len(pictures), (batch,))
        noise = torch.randn(batch, 1, 8, 8)
        timesteps = torch.randint(noise_scheduler.config.num_train_timesteps, (batch,))
        noisy = noise_scheduler.add_noise(pictures[rows], noise, timesteps)
        loss = torch.nn.functional.mse_loss(model(noisy, timesteps, labels[rows]).sample, noise)
        loss.backward()
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        average.step(model.parameters())
        if log is not None and step % 50 == 0:
            with log.open("a") as file:
                file.write(json.dumps({"step": step, "loss": round(loss.item(), 5)}) + "\n")
    average.copy_to(model.parameters())
    return model.eval()


@torch.no_grad()
def draw(model: UNet2DModel, labels: Tensor, steps: int = 30, seed: int = 0) -> Tensor:
    """Return drawn digits, (B, 1, 8, 8), from -1 to 1."""
    scheduler = DDIMScheduler(beta_schedule="squaredcos_cap_v2")
    scheduler.set_timesteps(steps)
    sample = torch.randn(len(labels), 1, 8, 8, generator=torch.Generator().manual_seed(seed))
    for timestep in scheduler.timesteps:
        sample = scheduler.step(model(sample, timestep, labels).sample, timestep, sample).prev_sample
    return sample


def sheet(digits: Tensor, columns: int = 10, scale: int = 6) -> Image.Image:
    """Return digits side by side, each pixel ``scale`` wide."""
    rows = digits.unflatten(0, (-1, columns)).squeeze(2)  # (rows, columns, 8, 8)
    whole = rows.permute(0, 2, 1, 3).reshape(rows.shape[0] * 8, columns * 8)
    pixels = ((whole.clamp(-1, 1) + 1) * 127.5).numpy().astype(np.uint8)
    return Image.fromarray(pixels).resize((columns * 8 * scale, len(pixels) * scale), Image.Resampling.NEAREST)


def main() -> None:
    """Train, draw, and save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--output", type=Path, default=Path("digits"))
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    model = train(arguments.steps, log=arguments.output / "log.jsonl")
    model.save_pretrained(arguments.output / "unet")
    sheet(draw(model, torch.arange(10).repeat_interleave(10))).save(arguments.output / "digits.png")
    print(f"drawn: {arguments.output / 'digits.png'}")


if __name__ == "__main__":
    main()
