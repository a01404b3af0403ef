"""Base of the schedulers that count in noise levels σ: the sample is ``clean + σ·noise`` (Karras et al. 2022)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from enfold.diffusers.schedulers.base import KarrasDiffusionSchedulers, SchedulerError, per_sample
from enfold.diffusers.schedulers.levels import LevelScheduler
from enfold.diffusers.schedulers.noise import chosen_warp, sigma_to_timestep, spaced, warp

__all__ = ["SigmaScheduler"]


class SigmaScheduler(LevelScheduler):
    """Base of Euler, Heun, LMS and KDPM2."""

    _compatibles = [kind.name for kind in KarrasDiffusionSchedulers]

    def _build(self) -> None:
        chosen_warp(self.config)  # raises when two are set
        super()._build()
        if self.config.get("rescale_betas_zero_snr"):
            self.alphas_cumprod[-1] = 2**-24  # near zero: 0 is no level to divide by, and fp16 knows nothing smaller
        self.is_scale_input_called = False
        self._whole()

    def _whole(self) -> None:
        """Begin with every timestep of training."""
        self.set_timesteps(self.num_train_timesteps)
        self.num_inference_steps = None

    def set_timesteps(self, num_inference_steps: int, device: str | torch.device | None = None) -> None:
        """Choose the noise levels that are visited.

        Args:
            num_inference_steps: how many.
            device: where ``timesteps`` goes.
        """
        timesteps, sigmas = self._levels(num_inference_steps)
        self._schedule(timesteps, np.concatenate([sigmas, [0.0]]), device)

    def _levels(
        self, steps: int, train: int | None = None, timesteps: Any = None, *, rounded: bool = False
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return the timesteps that are visited and their levels, before the last.

        Args:
            steps: how many.
            train: how many timesteps there are; by default those of training.
            timesteps: the timesteps themselves, where the caller chose them.
            rounded: make timesteps whole where the levels are Karras's.
        """
        trained = self._trained
        if timesteps is None:
            spacing, offset = self.config["timestep_spacing"], self.config["steps_offset"]
            timesteps = spaced(spacing, train or self.num_train_timesteps, steps, offset, dtype=np.float32)
        elif chosen_warp(self.config):
            raise SchedulerError(f"timesteps cannot be chosen where {chosen_warp(self.config)} spaces the noise")
        timesteps = np.asarray(timesteps, dtype=np.float32)
        sigmas = np.interp(timesteps, np.arange(len(trained)), trained)
        warped = warp(self.config, sigmas[0].item(), sigmas[-1].item(), steps)
        if warped is None:
            return timesteps, sigmas
        timesteps = sigma_to_timestep(warped, np.log(trained))
        if rounded and self.config["use_karras_sigmas"]:
            timesteps = timesteps.round()
        return timesteps, warped

    def _schedule(self, timesteps: Any, sigmas: NDArray[Any], device: Any) -> None:
        self.num_inference_steps = len(timesteps)
        self.timesteps = torch.from_numpy(np.asarray(timesteps, dtype=np.float32)).to(device)
        self.sigmas = torch.from_numpy(sigmas.astype(np.float32))
        self._rewind()

    @property
    def init_noise_sigma(self) -> Any:
        """By it the first noise is multiplied."""
        highest = self.sigmas.max()
        if self.config["timestep_spacing"] in ("linspace", "trailing"):
            return highest
        return (highest**2 + 1) ** 0.5

    def scale_model_input(self, sample: Tensor, timestep: float | Tensor | None = None) -> Tensor:
        """Return the sample with the variance the model was trained on, ``sample / √(σ²+1)``."""
        assert timestep is not None
        sigma = self._input_sigma(self._place(timestep))
        self.is_scale_input_called = True
        return sample / (sigma**2 + 1) ** 0.5

    def _input_sigma(self, place: int) -> Tensor:
        return self.sigmas[place]

    def _clean(self, model_output: Tensor, sample: Tensor, sigma: Any, reached: Any = None) -> Tensor:
        """Return the clean sample that a model's output says is in the sample.

        Args:
            sigma: the level of the sample.
            reached: the level after noise was added to it, which is what "epsilon" is scaled with.
        """
        kind = self.config["prediction_type"]
        if kind == "epsilon":
            return sample - (sigma if reached is None else reached) * model_output
        if kind == "v_prediction":
            return model_output * (-sigma / (sigma**2 + 1) ** 0.5) + sample / (sigma**2 + 1)
        if kind in ("sample", "original_sample"):
            return model_output
        raise self._unknown_prediction("epsilon", "sample", "v_prediction")

    def add_noise(self, original_samples: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """Return clean samples as they are at timesteps: ``clean + σ·noise``.

        Args:
            original_samples: shape (batch, …).
            noise: of the same shape.
            timesteps: of ``timesteps``, shape (batch,).
        """
        sigmas = self.sigmas.to(original_samples)[self._places(timesteps, original_samples.device)]
        return original_samples + noise * per_sample(sigmas, original_samples)
