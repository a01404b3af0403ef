"""Flow matching: straight paths from noise to data, followed by Euler's or Heun's method.

Lipman et al. 2022, https://arxiv.org/abs/2210.02747; Esser et al. 2024, https://arxiv.org/abs/2403.03206.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from enfold.diffusers.schedulers.base import DiffusionScheduler, SchedulerError, per_sample
from enfold.diffusers.schedulers.noise import chosen_warp, warp
from enfold.diffusers.utils.torch_utils import randn_tensor

__all__ = ["FlowMatchEulerDiscreteScheduler", "FlowMatchHeunDiscreteScheduler"]


class FlowMatchScheduler(DiffusionScheduler):
    """Base of both: the sample is ``(1-σ)·clean + σ·noise``, and the model gives the direction ``noise - clean``."""

    num_train_timesteps: int = 1000
    shift: float = 1.0

    def _build(self) -> None:
        sigmas = torch.arange(self.num_train_timesteps, 0, -1, dtype=torch.float32) / self.num_train_timesteps
        if not self.config.get("use_dynamic_shifting"):
            sigmas = self._shifted(sigmas)
        self.sigmas, self.timesteps = sigmas, sigmas * self.num_train_timesteps
        self.sigma_min, self.sigma_max = sigmas[-1].item(), sigmas[0].item()

    def _shifted(self, sigmas: Any) -> Any:
        """Move levels towards noise: larger pictures need more of it (equation 23 of Esser et al.)."""
        return self.shift * sigmas / (1 + (self.shift - 1) * sigmas)

    def _even(self, steps: int) -> NDArray[Any]:
        count = self.num_train_timesteps
        return np.linspace(self.sigma_max * count, self.sigma_min * count, steps) / count

    def scale_noise(self, sample: Tensor, timestep: float | Tensor, noise: Tensor | None = None) -> Tensor:
        """Return clean samples as they are at timesteps: ``(1-σ)·sample + σ·noise``.

        Args:
            sample: shape (batch, …).
            timestep: of ``timesteps``, shape (batch,).
            noise: shape of the sample.
        """
        if noise is None:
            raise SchedulerError("scale_noise needs the noise")
        timesteps = timestep if isinstance(timestep, Tensor) else torch.tensor([timestep])
        sigmas = self.sigmas.to(sample)[self._places(timesteps.reshape(-1), sample.device)]
        sigma = per_sample(sigmas, sample)
        return sigma * noise + (1.0 - sigma) * sample


class FlowMatchEulerDiscreteScheduler(FlowMatchScheduler):
    """Euler's method.

    Args:
        num_train_timesteps: levels of training.
        shift: how far levels are moved towards noise.
        use_dynamic_shifting: ``set_timesteps`` takes the shift from ``mu``; pipelines compute it from the picture's
            size with the next four.
        base_shift: ``mu`` of a picture of ``base_image_seq_len`` patches.
        max_shift: ``mu`` of one of ``max_image_seq_len``.
        invert_sigmas: levels rise, for models trained the other way round.
        shift_terminal: the level that the schedule is stretched to end at.
        use_karras_sigmas: space the levels as Karras et al. 2022; the next two space them otherwise.
        time_shift_type: "exponential" (``mu`` is the shift's logarithm) or "linear".
        stochastic_sampling: go to the clean sample and back to the next level with new noise.

    Example:
        >>> scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0)
        >>> scheduler.set_timesteps(2)
        >>> [round(sigma, 3) for sigma in scheduler.sigmas.tolist()]
        [1.0, 0.009, 0.0]
    """

    use_dynamic_shifting: bool = False
    base_shift: float | None = 0.5
    max_shift: float | None = 1.15
    base_image_seq_len: int | None = 256
    max_image_seq_len: int | None = 4096
    invert_sigmas: bool = False
    shift_terminal: float | None = None
    use_karras_sigmas: bool | None = False
    use_exponential_sigmas: bool | None = False
    use_beta_sigmas: bool | None = False
    time_shift_type: str = "exponential"
    stochastic_sampling: bool = False

    def _build(self) -> None:
        chosen_warp(self.config)  # raises when two are set
        if self.time_shift_type not in ("exponential", "linear"):
            raise SchedulerError(f"time_shift_type is {self.time_shift_type!r}; expected 'exponential' or 'linear'")
        super()._build()

    def set_shift(self, shift: float) -> None:
        """Move levels by another shift from the next ``set_timesteps`` on."""
        self.register_to_config(shift=shift)

    def time_shift(self, mu: float, sigma: float, t: Any) -> Any:
        """Return levels moved by ``mu``."""
        weight = math.exp(mu) if self.time_shift_type == "exponential" else mu
        return weight / (weight + (1 / t - 1) ** sigma)

    def stretch_shift_to_terminal(self, t: Any) -> Any:
        """Return levels stretched so that the last one is ``shift_terminal``."""
        signal = 1 - t
        return 1 - signal * (1 - self.config["shift_terminal"]) / signal[-1]

    def set_timesteps(
        self,
        num_inference_steps: int | None = None,
        device: str | torch.device | None = None,
        sigmas: list[float] | None = None,
        mu: float | None = None,
        timesteps: list[float] | None = None,
    ) -> None:
        """Choose the levels that are visited.

        Args:
            num_inference_steps: how many, evenly before they are shifted.
            device: where ``timesteps`` goes.
            sigmas: the levels themselves, before they are shifted.
            mu: the shift, with ``use_dynamic_shifting``.
            timesteps: what the model is given at each; by default the levels times ``num_train_timesteps``.
        """
        if self.use_dynamic_shifting and mu is None:
            raise SchedulerError("use_dynamic_shifting is set: set_timesteps needs mu")
        counts = {len(given) for given in (sigmas, timesteps) if given is not None}
        counts |= {num_inference_steps} if num_inference_steps is not None else set()
        if len(counts) != 1:
            raise SchedulerError("sigmas, timesteps and num_inference_steps, where given, must agree in number")
        steps = self.num_inference_steps = counts.pop()
        named = None if timesteps is None else np.array(timesteps, dtype=np.float32)
        if sigmas is not None:
            levels: Any = np.array(sigmas, dtype=np.float32)
        else:
            levels = self._even(steps) if named is None else named / self.num_train_timesteps
        levels = self.time_shift(mu, 1.0, levels) if self.use_dynamic_shifting else self._shifted(levels)  # type: ignore[arg-type]
        if self.shift_terminal:
            levels = self.stretch_shift_to_terminal(levels)
        warped = warp(self.config, float(levels[0]), float(levels[-1]), steps)
        found = torch.from_numpy(np.asarray(levels if warped is None else warped)).to(
            dtype=torch.float32, device=device
        )
        if self.invert_sigmas:
            found, named = 1.0 - found, None
        self.timesteps = found * self.num_train_timesteps if named is None else torch.from_numpy(named).to(device)
        end = torch.ones if self.invert_sigmas else torch.zeros
        self.sigmas = torch.cat([found, end(1, device=found.device)])
        self._rewind()

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
        per_token_timesteps: Tensor | None = None,
        return_dict: bool = True,
    ) -> Any:
        """Make one step.

        Args:
            model_output: the direction that the model gave.
            timestep: the present timestep, one of ``timesteps``.
            sample: shape (batch, …).
            s_churn: without effect, as are the next three; Heun's method knows them.
            s_tmin: without effect.
            s_tmax: without effect.
            s_noise: without effect.
            generator: of the noise of ``stochastic_sampling``.
            per_token_timesteps: timesteps of their own for each token, shape (batch, tokens); each goes to the next
                lower level of the schedule.
            return_dict: return a ``SchedulerOutput`` instead of a tuple.

        Returns:
            ``prev_sample``.
        """
        self._refuse_index(timestep)
        place = self._place(timestep)
        sample = sample.float() if sample.dtype.itemsize < 4 else sample
        if per_token_timesteps is not None:
            own = per_token_timesteps / self.num_train_timesteps
            levels = self.sigmas[:, None, None]
            lower = ((levels < own[None] - 1e-6) * levels).max(dim=0).values
            sigma, following = own[..., None], lower[..., None]
            distance = sigma - following
        else:
            sigma, following = self.sigmas[place], self.sigmas[place + 1]
            distance = following - sigma
        if self.stochastic_sampling:
            noise = randn_tensor(sample.shape, generator=generator, device=sample.device, dtype=sample.dtype)
            previous = (1.0 - following) * (sample - sigma * model_output) + following * noise
        else:
            previous = sample + distance * model_output
        self._step_index = place + 1
        return self._answer(
            return_dict, previous if per_token_timesteps is not None else previous.to(model_output.dtype)
        )


class FlowMatchHeunDiscreteScheduler(FlowMatchScheduler):
    """Heun's method: each step but the last has two evaluations.

    Args:
        num_train_timesteps: levels of training.
        shift: how far levels are moved towards noise.
    """

    order: ClassVar[int] = 2

    def set_timesteps(self, num_inference_steps: int, device: str | torch.device | None = None) -> None:
        """Choose the levels that are visited; each but the first twice."""
        self.num_inference_steps = num_inference_steps
        levels = torch.from_numpy(self._shifted(self._even(num_inference_steps))).to(dtype=torch.float32, device=device)
        twice = torch.cat([levels[:1], levels[1:].repeat_interleave(2)])
        self.timesteps = twice * self.num_train_timesteps
        self.sigmas = torch.cat([twice, torch.zeros(1, device=levels.device)])
        self.prev_derivative: Tensor | None = None
        self.dt: Tensor | None = None
        self.sample: Tensor | None = None
        self._rewind()

    @property
    def state_in_first_order(self) -> bool:
        """Whether the next evaluation is the first of a step."""
        return self.dt is None

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
        """Make the first or the second half of a step.

        Args:
            model_output: the direction that the model gave.
            timestep: the present timestep, one of ``timesteps``.
            sample: shape (batch, …).
            s_churn: how much noise is added before the step, where the level is in ``s_tmin``…``s_tmax``.
            s_tmin: lowest such level.
            s_tmax: highest.
            s_noise: by it that noise is multiplied.
            generator: of that noise.
            return_dict: return a ``SchedulerOutput`` instead of a tuple.

        Returns:
            ``prev_sample``.
        """
        self._refuse_index(timestep)
        place = self._place(timestep)
        sample = sample.float() if sample.dtype.itemsize < 4 else sample
        second = self.dt is not None
        sigma = self.sigmas[place - 1 if second else place]
        gamma = min(s_churn / (len(self.sigmas) - 1), 2**0.5 - 1) if s_tmin <= sigma <= s_tmax else 0.0
        reached = sigma * (gamma + 1)
        if gamma > 0:
            noise = randn_tensor(
                model_output.shape, generator=generator, device=model_output.device, dtype=model_output.dtype
            )
            sample = sample + noise * s_noise * (reached**2 - sigma**2) ** 0.5
        if not second:
            derivative = model_output * sigma / reached
            self.prev_derivative, self.dt, self.sample = derivative, self.sigmas[place + 1] - reached, sample
            previous = sample + derivative * self.dt
        else:
            assert self.sample is not None and self.prev_derivative is not None and self.dt is not None
            previous = self.sample + (self.prev_derivative + model_output) / 2 * self.dt
            self.prev_derivative = self.dt = self.sample = None
        self._step_index = place + 1
        return self._answer(return_dict, previous.to(model_output.dtype))
