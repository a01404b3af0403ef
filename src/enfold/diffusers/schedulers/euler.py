"""Euler's method on the probability flow, and its ancestral form (Karras et al. 2022, https://arxiv.org/abs/2206.00364)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from enfold.diffusers.schedulers.base import SchedulerError
from enfold.diffusers.schedulers.noise import chosen_warp, sigma_to_timestep, warp
from enfold.diffusers.schedulers.sigmas import SigmaScheduler
from enfold.diffusers.utils.torch_utils import randn_tensor

__all__ = ["EulerAncestralDiscreteScheduler", "EulerDiscreteScheduler"]


class EulerDiscreteScheduler(SigmaScheduler):
    """Algorithm 2 of the paper, first order.

    Args:
        num_train_timesteps: noise levels of training; the next four say how noise grows over them (``LevelScheduler``).
        prediction_type: what the model gives: "epsilon", "sample" or "v_prediction".
        interpolation_type: levels between those of training are "linear" or "log_linear".
        use_karras_sigmas: space the levels as the paper does.
        use_exponential_sigmas: space them evenly in their logarithm.
        use_beta_sigmas: space them as quantiles of a beta distribution.
        sigma_min: lowest level of such a spacing; by default that of the timesteps.
        sigma_max: highest.
        timestep_spacing: "linspace", "leading" or "trailing"; ``steps_offset`` is added to "leading".
        timestep_type: "discrete", or "continuous": the model of ``v_prediction`` is given ``¼·log σ``.
        rescale_betas_zero_snr: stretch the betas so that the last timestep is pure noise.
        final_sigmas_type: the last level is "zero" or "sigma_min".

    Example:
        >>> scheduler = EulerDiscreteScheduler()
        >>> scheduler.set_timesteps(3)
        >>> scheduler.timesteps.tolist(), scheduler.sigmas[-1].item()
        ([999.0, 499.5, 0.0], 0.0)
    """

    prediction_type: str = "epsilon"
    interpolation_type: str = "linear"
    use_karras_sigmas: bool | None = False
    use_exponential_sigmas: bool | None = False
    use_beta_sigmas: bool | None = False
    sigma_min: float | None = None
    sigma_max: float | None = None
    timestep_spacing: str = "linspace"
    timestep_type: str = "discrete"
    steps_offset: int = 0
    rescale_betas_zero_snr: bool = False
    final_sigmas_type: str = "zero"

    @property
    def _continuous(self) -> bool:
        return self.timestep_type == "continuous" and self.prediction_type == "v_prediction"

    def _whole(self) -> None:
        sigmas = np.concatenate([self._trained[::-1], [0.0]])
        self._schedule(np.arange(self.num_train_timesteps)[::-1], sigmas, None)
        self._name_levels(None)
        self.num_inference_steps = None

    def _name_levels(self, device: Any) -> None:
        if self._continuous:
            self.timesteps = (0.25 * self.sigmas[:-1].log()).to(device)

    def set_timesteps(
        self,
        num_inference_steps: int | None = None,
        device: str | torch.device | None = None,
        timesteps: list[float] | None = None,
        sigmas: list[float] | None = None,
    ) -> None:
        """Choose the noise levels that are visited, by exactly one of three.

        Args:
            num_inference_steps: how many, spaced as the configuration says.
            device: where ``timesteps`` goes.
            timesteps: the timesteps, falling.
            sigmas: the levels, falling, with the last one that is reached.
        """
        if sum(chosen is not None for chosen in (num_inference_steps, timesteps, sigmas)) != 1:
            raise SchedulerError("give one of num_inference_steps, timesteps and sigmas")
        if timesteps is not None and self._continuous:
            raise SchedulerError("timesteps cannot be chosen where timestep_type is 'continuous'; give sigmas")
        if sigmas is not None:
            levels = np.asarray(sigmas, dtype=np.float32)
            self._schedule(sigma_to_timestep(levels[:-1], np.log(self._trained)), levels, device)
        else:
            steps = num_inference_steps if num_inference_steps is not None else len(timesteps or ())
            visited, levels = self._levels(steps, timesteps=timesteps)
            self._schedule(visited, np.concatenate([levels, [self._last()]]), device)
        self._name_levels(device)

    def _levels(self, steps: int, train: int | None = None, timesteps: Any = None, *, rounded: bool = False) -> Any:
        if self.interpolation_type == "linear":
            return super()._levels(steps, train, timesteps)
        if self.interpolation_type != "log_linear":
            raise SchedulerError(
                f"interpolation_type is {self.interpolation_type!r}; expected 'linear' or 'log_linear'"
            )
        visited, _ = super()._levels(steps, train, timesteps)
        trained = self._trained
        levels = np.exp(np.linspace(math.log(trained[-1]), math.log(trained[0]), steps + 1))
        warped = warp(self.config, levels[0].item(), levels[-1].item(), steps) if chosen_warp(self.config) else None
        if warped is None:
            return visited, levels
        return sigma_to_timestep(warped, np.log(trained)), warped

    def _last(self) -> float:
        if self.final_sigmas_type == "zero":
            return 0.0
        if self.final_sigmas_type == "sigma_min":
            return float(self._trained[0])
        raise SchedulerError(f"final_sigmas_type is {self.final_sigmas_type!r}; expected 'zero' or 'sigma_min'")

    def step(
        self,
        model_output: Tensor,
        timestep: float | Tensor,
        sample: Tensor,
        s_churn: float = 0.0,
        s_tmin: float = 0.0,
        s_tmax: float = float("inf"),
        s_noise: float = 1.0,
        generator: torch.Generator | None = None,
        return_dict: bool = True,
    ) -> Any:
        """Make one step.

        Args:
            model_output: what the model gave for the scaled sample.
            timestep: the present timestep, one of ``timesteps``.
            sample: shape (batch, channels, …).
            s_churn: how much noise is added before the step, where the level is in ``s_tmin``…``s_tmax``.
            s_tmin: lowest such level.
            s_tmax: highest.
            s_noise: by it that noise is multiplied.
            generator: of that noise.
            return_dict: return a ``SchedulerOutput`` instead of a tuple.

        Returns:
            ``prev_sample`` and ``pred_original_sample``.
        """
        self._refuse_index(timestep)
        place = self._place(timestep)
        sample = sample.float() if sample.dtype.itemsize < 4 else sample
        sigma = self.sigmas[place]
        gamma = min(s_churn / (len(self.sigmas) - 1), 2**0.5 - 1) if s_tmin <= sigma <= s_tmax else 0.0
        reached = sigma * (gamma + 1)
        if gamma > 0:
            noise = randn_tensor(
                model_output.shape, generator=generator, device=model_output.device, dtype=model_output.dtype
            )
            sample = sample + noise * s_noise * (reached**2 - sigma**2) ** 0.5
        clean = self._clean(model_output, sample, sigma, reached)
        previous = sample + (sample - clean) / reached * (self.sigmas[place + 1] - reached)
        self._step_index = place + 1
        return self._answer(return_dict, previous.to(model_output.dtype), clean)


class EulerAncestralDiscreteScheduler(SigmaScheduler):
    """Euler's step to a lower level, and noise up to the next.

    The arguments are those of ``EulerDiscreteScheduler``.
    """

    prediction_type: str = "epsilon"
    timestep_spacing: str = "linspace"
    steps_offset: int = 0
    rescale_betas_zero_snr: bool = False

    def step(
        self,
        model_output: Tensor,
        timestep: float | Tensor,
        sample: Tensor,
        generator: torch.Generator | None = None,
        return_dict: bool = True,
    ) -> Any:
        """Make one step.

        Args:
            model_output: what the model gave for the scaled sample.
            timestep: the present timestep, one of ``timesteps``.
            sample: shape (batch, channels, …).
            generator: of the noise.
            return_dict: return a ``SchedulerOutput`` instead of a tuple.

        Returns:
            ``prev_sample`` and ``pred_original_sample``.
        """
        self._refuse_index(timestep)
        place = self._place(timestep)
        sample = sample.float() if sample.dtype.itemsize < 4 else sample
        sigma, following = self.sigmas[place], self.sigmas[place + 1]
        clean = self._clean(model_output, sample, sigma)
        up = (following**2 * (sigma**2 - following**2) / sigma**2) ** 0.5
        down = (following**2 - up**2) ** 0.5
        noise = randn_tensor(
            model_output.shape, generator=generator, device=model_output.device, dtype=model_output.dtype
        )
        previous = sample + (sample - clean) / sigma * (down - sigma) + noise * up
        self._step_index = place + 1
        return self._answer(return_dict, previous.to(model_output.dtype), clean)
