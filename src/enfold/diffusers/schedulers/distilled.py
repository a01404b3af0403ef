"""Steps for models distilled to few of them: latent consistency, trajectory consistency, consistency models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from enfold.diffusers.schedulers.base import DiffusionScheduler, SchedulerError, SchedulerOutput, per_sample
from enfold.diffusers.schedulers.levels import AlphaScheduler
from enfold.diffusers.schedulers.noise import _karras
from enfold.diffusers.utils.torch_utils import randn_tensor
from enfold.log import get_logger

__all__ = ["CMStochasticIterativeScheduler", "LCMScheduler", "TCDScheduler"]

logger = get_logger(__name__)


@dataclass
class LCMSchedulerOutput(SchedulerOutput):
    """What a step of LCM gives: also ``denoised``, the clean sample the boundary condition is held for."""

    denoised: Tensor | None = None


@dataclass
class TCDSchedulerOutput(SchedulerOutput):
    """What a step of TCD gives: also ``pred_noised_sample``, before noise is added."""

    pred_noised_sample: Tensor | None = None


class DistilledScheduler(AlphaScheduler):
    """Base of LCM and TCD: the timesteps are some of those that the student was distilled on."""

    beta_start: float = 0.00085
    beta_end: float = 0.012
    beta_schedule: str = "scaled_linear"
    original_inference_steps: int = 50
    clip_sample: bool = False
    clip_sample_range: float = 1.0
    set_alpha_to_one: bool = True
    steps_offset: int = 0
    prediction_type: str = "epsilon"
    thresholding: bool = False
    dynamic_thresholding_ratio: float = 0.995
    sample_max_value: float = 1.0
    timestep_spacing: str = "leading"
    timestep_scaling: float = 10.0
    rescale_betas_zero_snr: bool = False

    def _build(self) -> None:
        super()._build()
        self.custom_timesteps = False

    def _distilled(self, original: int | None, strength: float) -> np.ndarray[Any, Any]:
        """Return the timesteps the student was distilled on, rising."""
        count = self.original_inference_steps if original is None else original
        self._check_steps(count)
        return np.arange(1, int(count * strength) + 1) * (self.num_train_timesteps // count) - 1

    def set_timesteps(
        self,
        num_inference_steps: int | None = None,
        device: str | torch.device | None = None,
        original_inference_steps: int | None = None,
        timesteps: list[int] | None = None,
        strength: float = 1.0,
    ) -> None:
        """Choose the timesteps that are visited.

        Args:
            num_inference_steps: how many, evenly from those of the distillation.
            device: where ``timesteps`` goes.
            original_inference_steps: how many the distillation had; by default as configured.
            timesteps: the timesteps themselves, falling, instead.
            strength: share of the schedule that is made, for image-to-image.
        """
        if (num_inference_steps is None) == (timesteps is None):
            raise SchedulerError("give either num_inference_steps or timesteps")
        known = self._distilled(original_inference_steps, strength)
        self.custom_timesteps = timesteps is not None
        if timesteps is not None:
            chosen = np.array(self._custom(timesteps), dtype=np.int64)
            strange = sorted({*chosen.tolist()} - {*known.tolist()})
            if strange:
                logger.warning("the timesteps %s are none of those the model was distilled on", strange)
            self.num_inference_steps = len(chosen)
            chosen = chosen[max(len(chosen) - int(len(chosen) * strength), 0) :]
        else:
            assert num_inference_steps is not None
            self._check_steps(num_inference_steps)
            if num_inference_steps > len(known):
                raise SchedulerError(
                    f"num_inference_steps is {num_inference_steps}, but strength × original_inference_steps is only "
                    f"{len(known)}; take fewer steps or a greater strength"
                )
            self.num_inference_steps = num_inference_steps
            chosen = known[::-1][np.floor(np.linspace(0, len(known), num_inference_steps, endpoint=False)).astype(int)]
        self.timesteps = torch.from_numpy(chosen.copy()).to(device=device, dtype=torch.long)
        self._rewind()

    def _noise_like(self, output: Tensor, dtype: torch.dtype, generator: torch.Generator | None) -> Tensor:
        return randn_tensor(output.shape, generator=generator, device=output.device, dtype=dtype)


class LCMScheduler(DistilledScheduler):
    """Multistep sampling of a latent consistency model (Luo et al. 2023, https://arxiv.org/abs/2310.04378).

    Args:
        num_train_timesteps: noise levels of training; the next four say how noise grows over them (``LevelScheduler``).
        original_inference_steps: steps of the schedule it was distilled on.
        timestep_scaling: by it timesteps are multiplied in the boundary condition.

    The other arguments are those of ``DDIMScheduler``.

    Example:
        >>> scheduler = LCMScheduler()
        >>> scheduler.set_timesteps(4)
        >>> scheduler.timesteps.tolist()
        [999, 759, 499, 259]
    """

    def get_scalings_for_boundary_condition_discrete(self, timestep: Any) -> tuple[Any, Any]:
        """Return how much of the sample and of the prediction a step keeps: at timestep 0 it changes nothing."""
        self.sigma_data = 0.5
        scaled = timestep * self.timestep_scaling
        return self.sigma_data**2 / (scaled**2 + self.sigma_data**2), scaled / (scaled**2 + self.sigma_data**2) ** 0.5

    def step(
        self,
        model_output: Tensor,
        timestep: Any,
        sample: Tensor,
        generator: torch.Generator | None = None,
        return_dict: bool = True,
    ) -> Any:
        """Make one step: to the clean sample, and back to the next noise level unless it is the last.

        Args:
            model_output: what the model gave for the sample.
            timestep: the present timestep, one of ``timesteps``.
            sample: shape (batch, channels, …).
            generator: of the noise.
            return_dict: return an output with names instead of a tuple.

        Returns:
            ``prev_sample`` and ``denoised``.
        """
        steps, place = self._need_schedule(), self._place(timestep)
        target = self.timesteps[place + 1] if place + 1 < len(self.timesteps) else timestep
        before = self._alpha_at(target)
        keep, take = self.get_scalings_for_boundary_condition_discrete(timestep)
        clean = self._limit(self._predicted(model_output, sample, self.alphas_cumprod[timestep])[0])
        denoised = previous = take * clean + keep * sample
        if place != steps - 1:
            noise = self._noise_like(model_output, denoised.dtype, generator)
            previous = before.sqrt() * denoised + (1 - before).sqrt() * noise
        self._step_index = place + 1
        return LCMSchedulerOutput(previous, None, denoised) if return_dict else (previous, denoised)


class TCDScheduler(DistilledScheduler):
    """Trajectory consistency sampling (Zheng et al. 2024, https://arxiv.org/abs/2402.19159).

    The arguments are those of ``LCMScheduler``.
    """

    def _distilled(self, original: int | None, strength: float) -> np.ndarray[Any, Any]:
        if original is not None:  # a teacher that knew every level
            return np.arange(int(self.num_train_timesteps * strength))
        return super()._distilled(original, strength)

    def step(
        self,
        model_output: Tensor,
        timestep: Any,
        sample: Tensor,
        eta: float = 0.3,
        generator: torch.Generator | None = None,
        return_dict: bool = True,
    ) -> Any:
        """Make one step: down to a level between, and up to the next with noise.

        Args:
            model_output: what the model gave for the sample.
            timestep: the present timestep, one of ``timesteps``.
            sample: shape (batch, channels, …).
            eta: how far below the next level the step goes before noise is added, 0 (not at all) to 1.
            generator: of the noise.
            return_dict: return an output with names instead of a tuple.

        Returns:
            ``prev_sample`` and ``pred_noised_sample``.
        """
        if not 0 <= eta <= 1:
            raise SchedulerError(f"eta is {eta}; expected a share from 0 to 1")
        steps, place = self._need_schedule(), self._place(timestep)
        target = self.timesteps[place + 1] if place + 1 < len(self.timesteps) else torch.tensor(0)
        below = self.alphas_cumprod[torch.floor((1 - eta) * target).to(torch.long)]
        before = self._alpha_at(target)
        clean, epsilon = self._predicted(model_output, sample, self.alphas_cumprod[timestep])
        noised = previous = below.sqrt() * clean + (1 - below).sqrt() * epsilon
        if eta > 0 and place != steps - 1:
            noise = self._noise_like(model_output, noised.dtype, generator)
            previous = (before / below).sqrt() * noised + (1 - before / below).sqrt() * noise
        self._step_index = place + 1
        return TCDSchedulerOutput(previous, None, noised) if return_dict else (previous, noised)


class CMStochasticIterativeScheduler(DiffusionScheduler):
    """Multistep sampling of a consistency model (Song et al. 2023, algorithm 1, https://arxiv.org/abs/2303.01469).

    Args:
        num_train_timesteps: levels of the distillation.
        sigma_min: lowest noise.
        sigma_max: highest noise.
        sigma_data: standard deviation of clean data.
        s_noise: by it added noise is multiplied.
        rho: curvature of the levels between the two.
        clip_denoised: clamp clean samples to ±1.
    """

    num_train_timesteps: int = 40
    sigma_min: float = 0.002
    sigma_max: float = 80.0
    sigma_data: float = 0.5
    s_noise: float = 1.0
    rho: float = 7.0
    clip_denoised: bool = True

    def _build(self) -> None:
        self.init_noise_sigma = self.sigma_max
        levels = _karras(self.sigma_max, self.sigma_min, self.num_train_timesteps, self.rho)
        self.sigmas, self.timesteps = torch.from_numpy(levels), torch.from_numpy(self.sigma_to_t(levels))
        self.custom_timesteps = False

    def sigma_to_t(self, sigmas: Any) -> np.ndarray[Any, Any]:
        """Return the timesteps that the model knows noise levels by: ``250·log σ``."""
        return 1000 * 0.25 * np.log(np.asarray(sigmas, dtype=np.float64) + 1e-44)

    def scale_model_input(self, sample: Tensor, timestep: float | Tensor | None = None) -> Tensor:
        """Return the sample with unit variance."""
        assert timestep is not None
        return sample / (self.sigmas[self._place(timestep)] ** 2 + self.sigma_data**2) ** 0.5

    def set_timesteps(
        self,
        num_inference_steps: int | None = None,
        device: str | torch.device | None = None,
        timesteps: list[int] | None = None,
    ) -> None:
        """Choose the levels that are visited, by number or by their falling indices (of ``num_train_timesteps``)."""
        if (num_inference_steps is None) == (timesteps is None):
            raise SchedulerError("give either num_inference_steps or timesteps")
        count = self.num_train_timesteps
        self.custom_timesteps = timesteps is not None
        if num_inference_steps is not None:
            if not 0 < num_inference_steps <= count:
                raise SchedulerError(f"num_inference_steps is {num_inference_steps}; expected 1 to {count}")
            self.num_inference_steps = num_inference_steps
            indices = (np.arange(num_inference_steps) * (count // num_inference_steps))[::-1]
        else:
            indices = np.array(timesteps, dtype=np.int64)
            if (np.diff(indices) >= 0).any() or indices[0] >= count:
                raise SchedulerError(f"the timesteps {timesteps} are no falling indices below {count}")
        ramp = indices[::-1] / (count - 1)
        first, last = self.sigma_max ** (1 / self.rho), self.sigma_min ** (1 / self.rho)
        levels = (first + ramp * (last - first)) ** self.rho
        self.sigmas = torch.from_numpy(np.concatenate([levels, [self.sigma_min]]).astype(np.float32))
        self.timesteps = torch.from_numpy(self.sigma_to_t(levels)).to(device)
        self._rewind()

    def get_scalings_for_boundary_condition(self, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """Return how much of the sample and of the output a step keeps, so that at ``sigma_min`` it changes nothing."""
        above = sigma - self.sigma_min
        keep = self.sigma_data**2 / (above**2 + self.sigma_data**2)
        return keep, above * self.sigma_data / (sigma**2 + self.sigma_data**2) ** 0.5

    def step(
        self,
        model_output: Tensor,
        timestep: float | Tensor,
        sample: Tensor,
        generator: torch.Generator | None = None,
        return_dict: bool = True,
    ) -> Any:
        """Make one step: to the clean sample, and back to the next noise level.

        Args:
            model_output: what the model gave for the scaled sample.
            timestep: the present timestep, one of ``timesteps``.
            sample: shape (batch, channels, …).
            generator: of the noise.
            return_dict: return a ``SchedulerOutput`` instead of a tuple.

        Returns:
            ``prev_sample``.
        """
        self._refuse_index(timestep)
        place = self._place(timestep)
        sigma, following = self.sigmas[place], self.sigmas[min(place + 1, len(self.sigmas) - 1)]
        keep, take = self.get_scalings_for_boundary_condition(sigma)
        denoised = take * model_output + keep * sample
        if self.clip_denoised:
            denoised = denoised.clamp(-1, 1)
        noise = torch.zeros_like(model_output)
        if len(self.timesteps) > 1:
            noise = randn_tensor(
                model_output.shape, generator=generator, device=model_output.device, dtype=model_output.dtype
            )
        level = following.clamp(min=self.sigma_min, max=self.sigma_max)
        self._step_index = place + 1
        return self._answer(return_dict, denoised + noise * self.s_noise * (level**2 - self.sigma_min**2) ** 0.5)

    def add_noise(self, original_samples: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """Return clean samples as they are at timesteps: ``clean + σ·noise``."""
        sigmas = self.sigmas.to(original_samples)[self._places(timesteps, original_samples.device)]
        return original_samples + noise * per_sample(sigmas, original_samples)
