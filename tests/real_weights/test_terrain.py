"""A real consistency model draws terrains: what it gives is what onnxruntime gives, and its fields are smooth."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from enfold.diffusers import ConsistencyModelPipeline
from real_weights.terrain import folder, graph

pytestmark = pytest.mark.slow

EXPECTED = """
import os, sys
import numpy, onnxruntime
noise = numpy.random.default_rng(0).standard_normal((1, 1, 128, 128), dtype=numpy.float32)
session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
found = {}
for sigma in (80.0, 0.7):
    feeds = {"noisy": noise * numpy.float32(sigma), "sigma": numpy.float32([sigma]),
             "difficulty": numpy.float32([float(sys.argv[2])])}
    found[str(sigma)] = session.run(["denoised"], feeds)[0]
numpy.savez(os.environ["PEER_NPZ"], noise=noise, **found)
"""
DIFFICULTY = 0.7


@pytest.fixture(scope="module")
def pipe(tmp_path_factory: pytest.TempPathFactory) -> Any:
    made = ConsistencyModelPipeline.from_pretrained(folder(tmp_path_factory.mktemp("terrain"), DIFFICULTY))
    made.set_progress_bar_config(disable=True)
    return made


def test_every_number_of_the_network_finds_its_place(pipe: Any) -> None:
    # the file holds 16,768 more in the layers that embed the difficulty, and 92 constants of formulas
    assert pipe.unet.num_parameters() == 10_439_777


@pytest.mark.peer
def test_a_terrain_is_the_one_that_onnxruntime_draws(peer: Callable[..., Any], pipe: Any) -> None:
    theirs = peer(EXPECTED, graph(), DIFFICULTY, environment="runtimes")
    noise = torch.from_numpy(theirs["noise"])
    drawn = pipe(latents=noise, output_type="pt").images
    np.testing.assert_allclose(drawn, (theirs["80.0"] / 2 + 0.5).clip(0, 1), atol=1e-4)
    # and at a level between, beside the formula that the file holds
    sigma, data = 0.7, 0.5
    with torch.no_grad():
        time = torch.tensor(250 * np.log(sigma), dtype=torch.float32)
        output = pipe.unet(noise * sigma / (sigma**2 + data**2) ** 0.5, time).sample
    after = sigma - 0.002
    kept, added = data**2 / (after**2 + data**2), after * data / (sigma**2 + data**2) ** 0.5
    expected = theirs["0.7"]
    assert np.abs((kept * noise * sigma + added * output).numpy() - expected).max() <= 1e-4 * np.abs(expected).max()


def test_a_terrain_is_smooth_and_seeds_repeat_it(pipe: Any) -> None:
    fields = [pipe(generator=torch.manual_seed(seed), output_type="pt").images[0, 0] * 2 - 1 for seed in (1, 1, 2)]
    assert torch.equal(fields[0], fields[1]) and not torch.allclose(fields[0], fields[2], atol=0.05)
    for field in fields:
        steps = torch.cat([field.diff(dim=0).abs().flatten(), field.diff(dim=1).abs().flatten()]).mean()
        assert 0.05 < field.std() < 0.5 and steps < field.std() / 3
