"""DDPM: the stochastic steps that a diffusion model is trained to undo (Ho et al. 2020, https://arxiv.org/abs/2006.11239)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from enfold.diffusers.schedulers.base import KarrasDiffusionSchedulers, SchedulerError
from enfold.diffusers.schedulers.levels import AlphaScheduler
from enfold.diffusers.schedulers.noise import spaced
from enfold.diffusers.utils.torch_utils import randn_tensor

__all__ = ["DDPMScheduler"]


class DDPMScheduler(AlphaScheduler):
    """Ancestral sampling with the variance of the forward process, fixed or predicted by the model.

    Args:
        num_train_timesteps: noise levels of training; the next four say how noise grows over them (``LevelScheduler``).
        variance_type: "fixed_small", "fixed_small_log", "fixed_large", "fixed_large_log", "learned" or
            "learned_range" (the model's output then has twice the channels).
        clip_sample: clamp the predicted clean sample to ±``clip_sample_range``.
        prediction_type: what the model gives: "epsilon", "sample" or "v_prediction".
        thresholding: clamp to the ``dynamic_thresholding_ratio`` quantile instead, at most ``sample_max_value``.
        timestep_spacing: "leading", "linspace" or "trailing"; ``steps_offset`` is added to "leading".
        rescale_betas_zero_snr: stretch the betas so that the last timestep is pure noise.

    Example:
        >>> scheduler = DDPMScheduler()
        >>> scheduler.set_timesteps(4)
        >>> sample = torch.zeros(1, 1, 2, 2)
        >>> for t in scheduler.timesteps:
        ...     sample = scheduler.step(torch.zeros_like(sample), t, sample).prev_sample
        >>> sample.shape
        torch.Size([1, 1, 2, 2])
    """

    variance_type: str = "fixed_small"
    clip_sample: bool = True
    prediction_type: str = "epsilon"
    thresholding: bool = False
    dynamic_thresholding_ratio: float = 0.995
    clip_sample_range: float = 1.0
    sample_max_value: float = 1.0
    timestep_spacing: str = "leading"
    steps_offset: int = 0
    rescale_betas_zero_snr: bool = False
    _compatibles = [kind.name for kind in KarrasDiffusionSchedulers]

    def _build(self) -> None:
        super()._build()
        self.one = self.final_alpha_cumprod = torch.tensor(1.0)
        self.custom_timesteps = False

    def set_timesteps(
        self,
        num_inference_steps: int | None = None,
        device: str | torch.device | None = None,
        timesteps: list[int] | None = None,
    ) -> None:
        """Choose the timesteps that are visited.

        Args:
            num_inference_steps: how many, spaced as the configuration says.
            device: where ``timesteps`` goes.
            timesteps: the timesteps themselves, falling, instead.
        """
        if (num_inference_steps is None) == (timesteps is None):
            raise SchedulerError("give either num_inference_steps or timesteps")
        self.custom_timesteps = timesteps is not None
        if timesteps is not None:
            chosen = np.array(self._custom(timesteps), dtype=np.int64)
        else:
            assert num_inference_steps is not None
            self._check_steps(num_inference_steps)
            self.num_inference_steps = num_inference_steps
            chosen = spaced(self.timestep_spacing, self.num_train_timesteps, num_inference_steps, self.steps_offset)
        self.timesteps = torch.from_numpy(chosen).to(device)

    def _get_variance(
        self, t: Any, predicted_variance: Tensor | None = None, variance_type: str | None = None
    ) -> Tensor:
        """Return what the noise of the step is scaled with: equations 6 and 7 of the paper, or the model's word."""
        alpha, before = self.alphas_cumprod[t], self._alpha_at(self.previous_timestep(t))
        beta = 1 - alpha / before
        small = torch.clamp((1 - before) / (1 - alpha) * beta, min=1e-20)
        kind = variance_type or self.variance_type
        if kind in ("learned", "learned_range"):
            if predicted_variance is None:
                raise SchedulerError(
                    f"variance_type is {kind!r}, but the model's output has no channels for a variance"
                )
            if kind == "learned":
                return predicted_variance
            share = (predicted_variance + 1) / 2
            return share * torch.log(beta) + (1 - share) * torch.log(small)
        if kind == "fixed_small_log":
            return torch.exp(0.5 * torch.log(small))
        found = {"fixed_small": small, "fixed_large": beta, "fixed_large_log": torch.log(beta)}
        if kind not in found:
            raise SchedulerError(
                f"variance_type is {kind!r}; expected fixed_small(_log), fixed_large(_log) or learned(_range)"
            )
        return found[kind]

    def step(
        self,
        model_output: Tensor,
        timestep: Any,
        sample: Tensor,
        generator: torch.Generator | None = None,
        return_dict: bool = True,
    ) -> Any:
        """Make one step of the reverse process (equation 11 and algorithm 2 of the paper).

        Args:
            model_output: what the model gave for the sample; twice its channels where the variance is learned.
            timestep: the present timestep, one of ``timesteps``.
            sample: shape (batch, channels, …).
            generator: of the noise.
            return_dict: return a ``SchedulerOutput`` instead of a tuple.

        Returns:
            ``prev_sample`` and ``pred_original_sample``.
        """
        variance = None
        if model_output.shape[1] == 2 * sample.shape[1] and self.variance_type in ("learned", "learned_range"):
            model_output, variance = model_output.split(sample.shape[1], dim=1)
        alpha, before = self.alphas_cumprod[timestep], self._alpha_at(self.previous_timestep(timestep))
        kept = alpha / before
        clean = self._limit(self._predicted(model_output, sample, alpha)[0])
        previous = before**0.5 * (1 - kept) / (1 - alpha) * clean + kept**0.5 * (1 - before) / (1 - alpha) * sample
        if timestep > 0:
            noise = randn_tensor(
                model_output.shape, generator=generator, device=model_output.device, dtype=model_output.dtype
            )
            scale = self._get_variance(timestep, variance)
            if self.variance_type == "learned_range":
                scale = torch.exp(0.5 * scale)
            elif self.variance_type != "fixed_small_log":
                scale = scale**0.5
            previous = previous + scale * noise
        return self._answer(return_dict, previous, clean)
