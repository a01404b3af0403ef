"""DDIM: the same model sampled without noise, in few steps, and the way back (Song et al. 2020, https://arxiv.org/abs/2010.02502)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from enfold.diffusers.schedulers.base import KarrasDiffusionSchedulers, SchedulerError
from enfold.diffusers.schedulers.levels import AlphaScheduler
from enfold.diffusers.schedulers.noise import spaced
from enfold.diffusers.utils.torch_utils import randn_tensor

__all__ = ["DDIMInverseScheduler", "DDIMScheduler"]


class DDIMScheduler(AlphaScheduler):
    """Deterministic steps (``eta=0``) up to ancestral ones (``eta=1``).

    Args:
        num_train_timesteps: noise levels of training; the next four say how noise grows over them (``LevelScheduler``).
        clip_sample: clamp the predicted clean sample to ±``clip_sample_range``.
        set_alpha_to_one: the last step ends at a clean sample; otherwise at the first level of training.
        steps_offset: added to "leading" timesteps.
        prediction_type: what the model gives: "epsilon", "sample" or "v_prediction".
        thresholding: clamp to the ``dynamic_thresholding_ratio`` quantile instead, at most ``sample_max_value``.
        timestep_spacing: "leading", "linspace" or "trailing".
        rescale_betas_zero_snr: stretch the betas so that the last timestep is pure noise.

    Example:
        >>> scheduler = DDIMScheduler()
        >>> scheduler.set_timesteps(2)
        >>> scheduler.timesteps.tolist()
        [500, 0]
    """

    clip_sample: bool = True
    set_alpha_to_one: bool = True
    steps_offset: int = 0
    prediction_type: str = "epsilon"
    thresholding: bool = False
    dynamic_thresholding_ratio: float = 0.995
    clip_sample_range: float = 1.0
    sample_max_value: float = 1.0
    timestep_spacing: str = "leading"
    rescale_betas_zero_snr: bool = False
    _compatibles = [kind.name for kind in KarrasDiffusionSchedulers]

    def set_timesteps(self, num_inference_steps: int, device: str | torch.device | None = None) -> None:
        """Choose the timesteps that are visited; see ``DDPMScheduler.set_timesteps``."""
        self._check_steps(num_inference_steps)
        self.num_inference_steps = num_inference_steps
        chosen = spaced(self.timestep_spacing, self.num_train_timesteps, num_inference_steps, self.steps_offset)
        self.timesteps = torch.from_numpy(chosen).to(device)

    def _get_variance(self, timestep: Any, prev_timestep: Any) -> Tensor:
        alpha, before = self.alphas_cumprod[timestep], self._alpha_at(prev_timestep)
        return (1 - before) / (1 - alpha) * (1 - alpha / before)

    def step(
        self,
        model_output: Tensor,
        timestep: Any,
        sample: Tensor,
        eta: float = 0.0,
        use_clipped_model_output: bool = False,
        generator: torch.Generator | None = None,
        variance_noise: Tensor | None = None,
        return_dict: bool = True,
    ) -> Any:
        """Make one step (equations 12 and 16 of the paper).

        Args:
            model_output: what the model gave for the sample.
            timestep: the present timestep, one of ``timesteps``.
            sample: shape (batch, channels, …).
            eta: share of the ancestral noise, 0 to 1.
            use_clipped_model_output: take the noise from the clamped clean sample.
            generator: of the noise.
            variance_noise: the noise itself instead, shape of the sample.
            return_dict: return a ``SchedulerOutput`` instead of a tuple.

        Returns:
            ``prev_sample`` and ``pred_original_sample``.
        """
        earlier = timestep - self.num_train_timesteps // self._need_schedule()
        alpha, before = self.alphas_cumprod[timestep], self._alpha_at(earlier)
        clean, epsilon = self._predicted(model_output, sample, alpha)
        clean = self._limit(clean)
        spread = eta * self._get_variance(timestep, earlier) ** 0.5
        if use_clipped_model_output:
            epsilon = (sample - alpha**0.5 * clean) / (1 - alpha) ** 0.5
        previous = before**0.5 * clean + (1 - before - spread**2) ** 0.5 * epsilon
        if eta > 0:
            if variance_noise is not None and generator is not None:
                raise SchedulerError("give either generator or variance_noise")
            if variance_noise is None:
                variance_noise = randn_tensor(
                    model_output.shape, generator=generator, device=model_output.device, dtype=model_output.dtype
                )
            previous = previous + spread * variance_noise
        return self._answer(return_dict, previous, clean)


class DDIMInverseScheduler(AlphaScheduler):
    """DDIM backwards: from a clean sample to the noise that gives it.

    Args:
        set_alpha_to_one: the first step begins at a clean sample; otherwise at the first level of training.

    The other arguments are those of ``DDIMScheduler``.
    """

    clip_sample: bool = True
    set_alpha_to_one: bool = True
    steps_offset: int = 0
    prediction_type: str = "epsilon"
    clip_sample_range: float = 1.0
    timestep_spacing: str = "leading"
    rescale_betas_zero_snr: bool = False

    def __init__(self, *args: Any, set_alpha_to_zero: bool | None = None, **kwargs: Any) -> None:
        if set_alpha_to_zero is not None:  # its name before 0.20
            kwargs["set_alpha_to_one"] = set_alpha_to_zero
        super().__init__(*args, **kwargs)

    def _build(self) -> None:
        super()._build()
        self.initial_alpha_cumprod = self.final_alpha_cumprod
        self.timesteps = torch.arange(self.num_train_timesteps)

    def set_timesteps(self, num_inference_steps: int, device: str | torch.device | None = None) -> None:
        """Choose the timesteps that are visited, rising."""
        self._check_steps(num_inference_steps)
        self.num_inference_steps = num_inference_steps
        if self.timestep_spacing == "linspace":
            raise SchedulerError("timestep_spacing is 'linspace'; DDIMInverseScheduler takes 'leading' or 'trailing'")
        falling = spaced(self.timestep_spacing, self.num_train_timesteps, num_inference_steps, self.steps_offset)
        self.timesteps = torch.from_numpy(falling[::-1].copy()).to(device)

    def step(self, model_output: Tensor, timestep: Any, sample: Tensor, return_dict: bool = True) -> Any:
        """Make one step towards noise.

        Args:
            model_output: what the model gave for the sample.
            timestep: the timestep it goes to, one of ``timesteps``.
            sample: shape (batch, channels, …).
            return_dict: return a ``SchedulerOutput`` instead of a tuple.

        Returns:
            ``prev_sample``, the noisier one, and ``pred_original_sample``.
        """
        stride = self.num_train_timesteps // self._need_schedule()
        alpha = self._alpha_at(min(timestep - stride, self.num_train_timesteps - 1))
        after = self.alphas_cumprod[timestep]
        clean, epsilon = self._predicted(model_output, sample, alpha)
        clean = self._limit(clean)
        return self._answer(return_dict, after**0.5 * clean + (1 - after) ** 0.5 * epsilon, clean)
