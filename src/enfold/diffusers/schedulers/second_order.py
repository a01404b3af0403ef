"""Two evaluations for each step: Heun's method (Karras et al. 2022, algorithm 1) and the midpoint of DPM-Solver-2."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from enfold.diffusers.schedulers.base import SchedulerError
from enfold.diffusers.schedulers.noise import sigma_to_timestep
from enfold.diffusers.schedulers.sigmas import SigmaScheduler
from enfold.diffusers.utils.torch_utils import randn_tensor

__all__ = ["HeunDiscreteScheduler", "KDPM2AncestralDiscreteScheduler", "KDPM2DiscreteScheduler"]


class HeunDiscreteScheduler(SigmaScheduler):
    """A step to the next level, an evaluation there, and the step again with the mean of both directions.

    The arguments are those of ``EulerDiscreteScheduler``; ``clip_sample`` clamps predicted clean samples to
    ±``clip_sample_range``.
    """

    order: ClassVar[int] = 2
    beta_start: float = 0.00085
    beta_end: float = 0.012
    prediction_type: str = "epsilon"
    use_karras_sigmas: bool | None = False
    use_exponential_sigmas: bool | None = False
    use_beta_sigmas: bool | None = False
    clip_sample: bool | None = False
    clip_sample_range: float = 1.0
    timestep_spacing: str = "linspace"
    steps_offset: int = 0

    def set_timesteps(
        self,
        num_inference_steps: int | None = None,
        device: str | torch.device | None = None,
        num_train_timesteps: int | None = None,
        timesteps: list[int] | None = None,
    ) -> None:
        """Choose the noise levels that are visited; each but the first twice.

        Args:
            num_inference_steps: how many, spaced as the configuration says.
            device: where ``timesteps`` goes.
            num_train_timesteps: how many there are; by default as configured.
            timesteps: the timesteps themselves, falling, instead.
        """
        if (num_inference_steps is None) == (timesteps is None):
            raise SchedulerError("give either num_inference_steps or timesteps")
        steps = num_inference_steps if num_inference_steps is not None else len(timesteps or ())
        visited, sigmas = self._levels(steps, num_train_timesteps, timesteps)
        self._schedule(
            np.concatenate([visited[:1], visited[1:].repeat(2)]),
            np.concatenate([sigmas[:1], sigmas[1:].repeat(2), [0.0]]),
            device,
        )
        self.num_inference_steps = steps
        self.prev_derivative: Tensor | None = None
        self.dt: Tensor | None = None
        self.sample: Tensor | None = None

    @property
    def state_in_first_order(self) -> bool:
        """Whether the next evaluation is the first of a step."""
        return self.dt is None

    def step(self, model_output: Tensor, timestep: float | Tensor, sample: Tensor, return_dict: bool = True) -> Any:
        """Make the first or the second half of a step.

        Args:
            model_output: what the model gave for the scaled sample.
            timestep: the present timestep, one of ``timesteps``.
            sample: shape (batch, channels, …).
            return_dict: return a ``SchedulerOutput`` instead of a tuple.

        Returns:
            ``prev_sample`` and ``pred_original_sample``.
        """
        place = self._place(timestep)
        sigma = self.sigmas[place]
        clean = self._limit(self._clean(model_output, sample, sigma))
        derivative = (sample - clean) / sigma
        if self.dt is None:
            self.prev_derivative, self.dt, self.sample = derivative, self.sigmas[place + 1] - sigma, sample
            previous = sample + derivative * self.dt
        else:
            assert self.sample is not None and self.prev_derivative is not None
            previous = self.sample + (self.prev_derivative + derivative) / 2 * self.dt
            self.prev_derivative = self.dt = self.sample = None
        self._step_index = place + 1
        return self._answer(return_dict, previous, clean)


class KDPM2DiscreteScheduler(SigmaScheduler):
    """An evaluation half-way, in the logarithm of σ, to the next level, and the whole step in that direction.

    The arguments are those of ``EulerDiscreteScheduler``.
    """

    order: ClassVar[int] = 2
    beta_start: float = 0.00085
    beta_end: float = 0.012
    use_karras_sigmas: bool | None = False
    use_exponential_sigmas: bool | None = False
    use_beta_sigmas: bool | None = False
    prediction_type: str = "epsilon"
    timestep_spacing: str = "linspace"
    steps_offset: int = 0

    def set_timesteps(
        self,
        num_inference_steps: int,
        device: str | torch.device | None = None,
        num_train_timesteps: int | None = None,
    ) -> None:
        """Choose the noise levels that are visited, and those half-way between them.

        Args:
            num_inference_steps: how many.
            device: where ``timesteps`` goes.
            num_train_timesteps: how many there are; by default as configured.
        """
        visited, levels = self._levels(num_inference_steps, num_train_timesteps, rounded=True)
        sigmas = np.concatenate([levels, [0.0]]).astype(np.float32)
        # Between each level and what its step goes down to; where that is 0 there is nothing between.
        between = np.sqrt(sigmas[:-1] * self._targets(sigmas))
        asked = sigma_to_timestep(between[:-1], np.log(self._trained)).astype(visited.dtype)
        interleaved = np.stack([asked, visited[1:]], axis=-1).flatten()
        self.timesteps = torch.from_numpy(np.concatenate([visited[:1], interleaved])).to(device)
        # Place 2k is the first evaluation of step k, place 2k + 1 its second; the last step has one.
        self.sigmas = torch.from_numpy(np.concatenate([sigmas[:1], sigmas[1:].repeat(2), sigmas[-1:]]))
        self.sigmas_interpol = torch.from_numpy(between.repeat(2))
        self.num_inference_steps = num_inference_steps
        self.sample: Tensor | None = None
        self._rewind()

    def _targets(self, sigmas: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Return the level that each step goes down to."""
        return sigmas[1:]

    @property
    def state_in_first_order(self) -> bool:
        """Whether the next evaluation is the first of a step."""
        return self.sample is None

    def _input_sigma(self, place: int) -> Tensor:
        return self.sigmas[place] if self.sample is None else self.sigmas_interpol[place]

    def step(self, model_output: Tensor, timestep: float | Tensor, sample: Tensor, return_dict: bool = True) -> Any:
        """Make the first or the second half of a step.

        Args:
            model_output: what the model gave for the scaled sample.
            timestep: the present timestep, one of ``timesteps``.
            sample: shape (batch, channels, …).
            return_dict: return a ``SchedulerOutput`` instead of a tuple.

        Returns:
            ``prev_sample`` and ``pred_original_sample``.
        """
        place = self._place(timestep)
        return self._answer(return_dict, *self._half(model_output, sample, place))

    def _half(self, model_output: Tensor, sample: Tensor, place: int) -> tuple[Tensor, Tensor]:
        level, between = self._input_sigma(place), self.sigmas_interpol[place]
        clean = self._clean(model_output, sample, level)
        derivative = (sample - clean) / level
        if self.sample is None:
            # The last level is followed by 0: one evaluation is the whole step.
            target = between
            self.sample = sample
            previous = sample + derivative * (target - level)
        else:
            previous = self.sample + derivative * (self._target(place) - self.sigmas[place - 1])
            self.sample = None
        self._step_index = place + 1
        return previous, clean

    def _target(self, place: int) -> Tensor:
        return self.sigmas[place]


class KDPM2AncestralDiscreteScheduler(KDPM2DiscreteScheduler):
    """The same to a lower level, and noise up to the next.

    The arguments are those of ``EulerDiscreteScheduler``.
    """

    def _targets(self, sigmas: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        above, below = sigmas[:-1], sigmas[1:]
        up = np.sqrt(below**2 * (above**2 - below**2) / above**2)
        down = np.sqrt(below**2 - up**2)
        down[-1] = 0.0
        self.sigmas_up = torch.from_numpy(up.repeat(2))
        self.sigmas_down = torch.from_numpy(down.repeat(2))
        return down

    def _target(self, place: int) -> Tensor:
        return self.sigmas_down[place]

    def step(  # type: ignore[override]
        self,
        model_output: Tensor,
        timestep: float | Tensor,
        sample: Tensor,
        generator: torch.Generator | None = None,
        return_dict: bool = True,
    ) -> Any:
        """Make the first or the second half of a step; the second adds noise.

        Args:
            model_output: what the model gave for the scaled sample.
            timestep: the present timestep, one of ``timesteps``.
            sample: shape (batch, channels, …).
            generator: of the noise.
            return_dict: return a ``SchedulerOutput`` instead of a tuple.

        Returns:
            ``prev_sample`` and ``pred_original_sample``.
        """
        place, second = self._place(timestep), self.sample is not None
        previous, clean = self._half(model_output, sample, place)
        if second:
            noise = randn_tensor(
                model_output.shape, generator=generator, device=model_output.device, dtype=model_output.dtype
            )
            previous = previous + noise * self.sigmas_up[place]
        return self._answer(return_dict, previous, clean)
