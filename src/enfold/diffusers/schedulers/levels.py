"""The noise a model was trained with: betas, their products, and what a prediction says about the clean sample."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from enfold.diffusers.schedulers.base import DiffusionScheduler, SchedulerError, per_sample
from enfold.diffusers.schedulers.noise import beta_schedule, rescale_zero_terminal_snr
from enfold.errors import nearest

__all__ = ["AlphaScheduler", "LevelScheduler"]


class LevelScheduler(DiffusionScheduler):
    """Base of the schedulers of models that were trained on a fixed number of noise levels.

    Args:
        num_train_timesteps: how many levels.
        beta_start: variance that the first level adds.
        beta_end: variance that the last adds.
        beta_schedule: how it grows between them; see ``noise.beta_schedule``.
        trained_betas: the variances themselves, shape (num_train_timesteps,).
    """

    num_train_timesteps: int = 1000
    beta_start: float = 0.0001
    beta_end: float = 0.02
    beta_schedule: str = "linear"
    trained_betas: Any = None

    def _build(self) -> None:
        self.betas = beta_schedule(
            self.beta_schedule, self.beta_start, self.beta_end, self.num_train_timesteps, self.trained_betas
        )
        if self.config.get("rescale_betas_zero_snr"):
            self.betas = rescale_zero_terminal_snr(self.betas)
        self.alphas = 1.0 - self.betas
        self.alphas_cumprod = torch.cumprod(self.alphas, dim=0)

    @property
    def _trained(self) -> NDArray[Any]:
        """The noise of each level relative to its signal, rising."""
        return (((1 - self.alphas_cumprod) / self.alphas_cumprod) ** 0.5).cpu().numpy()

    def _threshold_sample(self, sample: Tensor) -> Tensor:
        """Clamp each sample to a quantile of its own and scale it back (Saharia et al. 2022, section 2.3)."""
        flat = sample.flatten(1).float() if sample.dtype.itemsize < 4 else sample.flatten(1)
        limit = torch.quantile(flat.abs(), self.config["dynamic_thresholding_ratio"], dim=1)
        limit = limit.clamp(min=1, max=self.config["sample_max_value"]).unsqueeze(1)
        return (torch.clamp(flat, -limit, limit) / limit).reshape(sample.shape).to(sample.dtype)

    def _limit(self, clean: Tensor) -> Tensor:
        """Keep a predicted clean sample in the range of clean samples, as the configuration asks."""
        if self.config.get("thresholding"):
            return self._threshold_sample(clean)
        if self.config.get("clip_sample"):
            return clean.clamp(-self.config["clip_sample_range"], self.config["clip_sample_range"])
        return clean

    def _check_steps(self, steps: int) -> None:
        if not 0 < steps <= self.num_train_timesteps:
            raise SchedulerError(
                f"num_inference_steps is {steps}; this model was trained with num_train_timesteps = "
                f"{self.num_train_timesteps}, so expected 1 to {self.num_train_timesteps}"
            )

    def _custom(self, timesteps: Any) -> Any:
        """Check timesteps that the caller chose."""
        if any(after >= before for before, after in pairwise(timesteps)):
            raise SchedulerError(f"the timesteps {list(timesteps)} do not fall; expected each below the one before")
        if timesteps[0] >= self.num_train_timesteps:
            raise SchedulerError(
                f"the first timestep is {timesteps[0]}; expected one below num_train_timesteps = "
                f"{self.num_train_timesteps}"
            )
        return timesteps

    def _unknown_prediction(self, *known: str) -> SchedulerError:
        kind = str(self.config["prediction_type"])
        return SchedulerError(
            f"prediction_type is {kind!r}{nearest(kind, known)}; {type(self).__name__} takes {', '.join(known)}"
        )


class AlphaScheduler(LevelScheduler):
    """Base of the schedulers that count in whole timesteps: the sample is ``√ᾱ·clean + √(1-ᾱ)·noise``."""

    def _build(self) -> None:
        super()._build()
        self.init_noise_sigma = 1.0
        self.final_alpha_cumprod = torch.tensor(1.0)
        if not self.config.get("set_alpha_to_one", True):
            self.final_alpha_cumprod = self.alphas_cumprod[0]
        self.timesteps = torch.arange(self.num_train_timesteps - 1, -1, -1)

    def _alpha_at(self, timestep: Any) -> Tensor:
        """Return ᾱ at a timestep; below 0 the sample is clean."""
        return self.alphas_cumprod[timestep] if timestep >= 0 else self.final_alpha_cumprod

    def _predicted(self, model_output: Tensor, sample: Tensor, alpha: Tensor) -> tuple[Tensor, Tensor]:
        """Return the clean sample and the noise that a model's output says are in the sample."""
        signal, noise = alpha**0.5, (1 - alpha) ** 0.5
        kind = self.config["prediction_type"]
        if kind == "epsilon":
            return (sample - noise * model_output) / signal, model_output
        if kind == "sample":
            return model_output, (sample - signal * model_output) / noise
        if kind == "v_prediction":
            return signal * sample - noise * model_output, signal * model_output + noise * sample
        raise self._unknown_prediction("epsilon", "sample", "v_prediction")

    def _mixture(self, timesteps: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        self.alphas_cumprod = self.alphas_cumprod.to(like.device)
        alphas = self.alphas_cumprod.to(like.dtype)[timesteps.to(like.device)]
        return per_sample(alphas**0.5, like), per_sample((1 - alphas) ** 0.5, like)

    def add_noise(self, original_samples: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """Return clean samples as they are at timesteps.

        Args:
            original_samples: shape (batch, …).
            noise: of the same shape.
            timesteps: integers, shape (batch,) or (1,).
        """
        signal, spread = self._mixture(timesteps, original_samples)
        return signal * original_samples + spread * noise

    def get_velocity(self, sample: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """Return what a model with ``v_prediction`` learns to give: ``√ᾱ·noise - √(1-ᾱ)·sample``."""
        signal, spread = self._mixture(timesteps, sample)
        return signal * noise - spread * sample

    def previous_timestep(self, timestep: Any) -> Any:
        """Return the next, less noisy timestep of the schedule; -1 after the last."""
        if self.num_inference_steps is None and not getattr(self, "custom_timesteps", False):
            return timestep - 1
        place = self.index_for_timestep(timestep)
        return self.timesteps[place + 1] if place + 1 < len(self.timesteps) else torch.tensor(-1)
