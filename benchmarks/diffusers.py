"""Diffusion beside diffusers 0.42, in turns, one thread; equal results first.

Run with the project's Python: ``python benchmarks/diffusers.py [PAIRS] [ROW…]``. Both sides run the code in ``COMMON``
on the same weights, and what comes out must agree before a row counts: to 1e-3 of the largest value in float32, to 5e-2
in bfloat16.

- paint, paint bf16: a picture of 256 × 256 in 20 guided steps, by a UNet of 274 million parameters that is laid out as
  Stable Diffusion's, and a small autoencoder;
- vae: 1 × 4 × 32 × 32 to a picture of 256 × 256, the autoencoder of Stable Diffusion's size;
- small: 50 guided steps of a pipeline so small that what is around the layers counts;
- sampler: 50 steps of DPM-Solver++ on 4 × 64 × 64 alone;
- import: ``from diffusers import StableDiffusionPipeline`` in a new process.

Each row is the median ratio (theirs / ours) of interleaved pairs, in processor seconds.
"""

from __future__ import annotations

import functools
import sys
import tempfile
from typing import Any

from _turns import Side, paired

ROWS = ("paint", "paint bf16", "vae", "small", "sampler", "import")

COMMON = '''
import json, os, subprocess, sys, time
import torch
torch.set_num_threads(1)
side, folder = sys.argv[1], sys.argv[2]
if side == "ours":
    import enfold.diffusers as diffusers, enfold.transformers as transformers
else:
    import diffusers, transformers
    diffusers.utils.logging.disable_progress_bar()


def kept(name, build):
    """Return a model that ours makes and both read."""
    place = f"{folder}/{name}"
    if side == "ours" and not os.path.isdir(place):
        torch.manual_seed(0)
        build().save_pretrained(place)
    return place


def drawn(*shape, seed=1):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def vae():
    place = kept("vae", lambda: diffusers.AutoencoderKL(
        block_out_channels=(128, 256, 512, 512), layers_per_block=2, latent_channels=4,
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4))
    model = diffusers.AutoencoderKL.from_pretrained(place).eval()
    return lambda: model.decode(drawn(1, 4, 32, 32)).sample


SIZES = {
    "small": dict(sample_size=16, block_out_channels=(16, 32), norm_num_groups=8, cross_attention_dim=32,
                  attention_head_dim=8, down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
                  up_block_types=("UpBlock2D", "CrossAttnUpBlock2D")),
    "large": dict(sample_size=32, block_out_channels=(192, 384, 704, 704), cross_attention_dim=768),
}


def paint(size, steps, dtype=torch.float32):
    wide, shape = SIZES[size]["cross_attention_dim"], SIZES[size]["sample_size"]
    stages = 4 if size == "large" else 2
    made = {
        "vae": lambda: diffusers.AutoencoderKL(
            block_out_channels=(16, 32, 32, 32)[:stages], norm_num_groups=8, latent_channels=4,
            down_block_types=("DownEncoderBlock2D",) * stages, up_block_types=("UpDecoderBlock2D",) * stages),
        "text_encoder": lambda: transformers.CLIPTextModel(transformers.CLIPTextConfig(
            vocab_size=100, hidden_size=32, intermediate_size=37, num_hidden_layers=2, num_attention_heads=4)),
        "unet": lambda: diffusers.UNet2DConditionModel(**SIZES[size]),
    }
    classes = {"vae": diffusers.AutoencoderKL, "text_encoder": transformers.CLIPTextModel,
               "unet": diffusers.UNet2DConditionModel}
    parts = {name: classes[name].from_pretrained(kept(f"{name} {size}", build)) for name, build in made.items()}
    pipe = diffusers.StableDiffusionPipeline(
        **parts, tokenizer=None, safety_checker=None, feature_extractor=None, requires_safety_checker=False,
        scheduler=diffusers.DDIMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear",
                                          clip_sample=False, set_alpha_to_one=False, steps_offset=1)).to(dtype)
    pipe.set_progress_bar_config(disable=True)
    texts = [drawn(1, 77, wide, seed=seed).to(dtype) for seed in (1, 2)]
    noise = drawn(1, 4, shape, shape, seed=3).to(dtype)
    return lambda: pipe(prompt_embeds=texts[0], negative_prompt_embeds=texts[1], latents=noise,
                        num_inference_steps=steps, output_type="pt").images


def imported():
    package = "enfold.diffusers" if side == "ours" else "diffusers"
    command = [sys.executable, "-c", f"from {package} import StableDiffusionPipeline"]
    return lambda: torch.zeros(1) + subprocess.run(command, check=True).returncode


def sampler():
    scheduler = diffusers.DPMSolverMultistepScheduler(beta_schedule="scaled_linear")
    guess = drawn(1, 4, 64, 64, seed=2)

    def walk():
        scheduler.set_timesteps(50)
        sample = drawn(1, 4, 64, 64)
        for moment in scheduler.timesteps:
            sample = scheduler.step(guess, moment, sample).prev_sample
        return sample

    return walk


PROGRAMS = {"paint": lambda: paint("large", 20), "paint bf16": lambda: paint("large", 20, torch.bfloat16), "vae": vae,
            "small": lambda: paint("small", 50), "sampler": sampler, "import": imported}


def spent():
    """Processor seconds of this process and of those that it started."""
    return time.process_time() + sum(os.times()[2:4])


ready = {}
for line in sys.stdin:
    row = json.loads(line)
    if row not in ready:
        ready.clear()
        ready[row] = PROGRAMS[row]()
    with torch.no_grad():
        begun = spent()
        found = ready[row]()
        seconds = spent() - begun
    shown = found.float().flatten()
    print("=>" + json.dumps({"seconds": seconds, "found": shown[:: max(len(shown) // 64, 1)].tolist()}), flush=True)
'''


def same(row: str, mine: dict[str, Any], other: dict[str, Any]) -> None:
    """Fail where what came out differs."""
    limit = (5e-2 if "bf16" in row else 1e-3) * max(map(abs, other["found"]))
    worst = max(abs(a - b) for a, b in zip(mine["found"], other["found"], strict=True))
    assert worst <= limit, f"{row}: results differ by {worst}"


def main() -> None:
    """Print one line a row."""
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs = Side(COMMON, "ours", folder), Side(COMMON, "peer", folder)
        for row in sys.argv[2:] or ROWS:
            paired(ours, theirs, row, pairs, functools.partial(same, row))
        ours.close()
        theirs.close()


if __name__ == "__main__":
    main()
