"""PNDM: Runge-Kutta steps, then linear multistep ones, on the manifold of samples (Liu et al. 2022, https://arxiv.org/abs/2202.09778)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from enfold.diffusers.schedulers.base import KarrasDiffusionSchedulers, SchedulerError
from enfold.diffusers.schedulers.levels import AlphaScheduler
from enfold.diffusers.schedulers.noise import spaced

__all__ = ["PNDMScheduler"]

# Adams-Bashforth: weights of the last outputs, newest first, by how many there are.
PLMS = {2: (3 / 2, -1 / 2), 3: (23 / 12, -16 / 12, 5 / 12), 4: (55 / 24, -59 / 24, 37 / 24, -9 / 24)}
# What each of the four evaluations of a Runge-Kutta step weighs.
PRK = (1 / 6, 1 / 3, 1 / 3, 1 / 6)


class PNDMScheduler(AlphaScheduler):
    """Pseudo linear multistep sampling, begun with pseudo Runge-Kutta steps or (``skip_prk_steps``) one step repeated.

    Args:
        num_train_timesteps: noise levels of training; the next four say how noise grows over them (``LevelScheduler``).
        skip_prk_steps: begin without the Runge-Kutta steps, as Stable Diffusion does.
        set_alpha_to_one: the last step ends at a clean sample; otherwise at the first level of training.
        prediction_type: what the model gives: "epsilon" or "v_prediction".
        timestep_spacing: "leading", "linspace" or "trailing"; ``steps_offset`` is added to "leading".

    Example:
        >>> scheduler = PNDMScheduler(skip_prk_steps=True)
        >>> scheduler.set_timesteps(4)
        >>> scheduler.timesteps.tolist()
        [750, 500, 500, 250, 0]
    """

    skip_prk_steps: bool = False
    set_alpha_to_one: bool = False
    prediction_type: str = "epsilon"
    timestep_spacing: str = "leading"
    steps_offset: int = 0
    _compatibles = [kind.name for kind in KarrasDiffusionSchedulers]

    def _build(self) -> None:
        super()._build()
        self.pndm_order = 4
        self.prk_timesteps = self.plms_timesteps = np.array([])
        self._restart()

    def _restart(self) -> None:
        self.counter = 0
        self.cur_model_output: Any = 0
        self.cur_sample: Tensor | None = None
        self.ets: list[Tensor] = []

    def set_timesteps(self, num_inference_steps: int, device: str | torch.device | None = None) -> None:
        """Choose the timesteps that are visited; the first ones more than once, see ``DDPMScheduler.set_timesteps``."""
        self._check_steps(num_inference_steps)
        self.num_inference_steps = num_inference_steps
        train, order = self.num_train_timesteps, self.pndm_order
        rising = spaced(self.timestep_spacing, train, num_inference_steps, self.steps_offset)[::-1]
        if self.skip_prk_steps:
            self.prk_timesteps = np.array([])
            self.plms_timesteps = np.concatenate([rising[:-1], rising[-2:-1], rising[-1:]])[::-1].copy()
        else:
            halves = np.tile(np.array([0, train // num_inference_steps // 2]), order)
            visited = rising[-order:].repeat(2) + halves
            self.prk_timesteps = visited[:-1].repeat(2)[1:-1][::-1].copy()
            self.plms_timesteps = rising[:-3][::-1].copy()
        self.timesteps = torch.from_numpy(
            np.concatenate([self.prk_timesteps, self.plms_timesteps]).astype(np.int64)
        ).to(device)
        self._restart()

    def step(self, model_output: Tensor, timestep: Any, sample: Tensor, return_dict: bool = True) -> Any:
        """Make one step, of Runge-Kutta while there are such timesteps, and a linear multistep one afterwards.

        Args:
            model_output: what the model gave for the sample.
            timestep: the present timestep, one of ``timesteps``.
            sample: shape (batch, channels, …).
            return_dict: return a ``SchedulerOutput`` instead of a tuple.

        Returns:
            ``prev_sample``.
        """
        runge_kutta = self.counter < len(self.prk_timesteps) and not self.skip_prk_steps
        return (self.step_prk if runge_kutta else self.step_plms)(model_output, timestep, sample, return_dict)

    def step_prk(self, model_output: Tensor, timestep: Any, sample: Tensor, return_dict: bool = True) -> Any:
        """Make one of the four evaluations of a Runge-Kutta step (equation 12 of the paper)."""
        stride = self.num_train_timesteps // self._need_schedule()
        target = timestep - (0 if self.counter % 2 else stride // 2)
        begin = int(self.prk_timesteps[self.counter // 4 * 4])
        stage = self.counter % 4
        if stage == 0:
            self.ets.append(model_output)
            self.cur_sample = sample
        total = self.cur_model_output + PRK[stage] * model_output
        self.cur_model_output = 0 if stage == 3 else total
        direction = total if stage == 3 else model_output
        origin = sample if self.cur_sample is None else self.cur_sample
        self.counter += 1
        return self._answer(return_dict, self._get_prev_sample(origin, begin, target, direction))

    def step_plms(self, model_output: Tensor, timestep: Any, sample: Tensor, return_dict: bool = True) -> Any:
        """Make a linear multistep step (equation 11 of the paper)."""
        stride = self.num_train_timesteps // self._need_schedule()
        if not self.skip_prk_steps and len(self.ets) < 3:
            raise SchedulerError(f"{len(self.ets)} Runge-Kutta steps were made; multistep ones need three before them")
        target = timestep - stride
        if self.counter == 1:  # the first timestep is visited twice: the second visit corrects the first step
            target, timestep = timestep, timestep + stride
        else:
            self.ets = [*self.ets[-3:], model_output]
        if self.counter == 0:
            direction, self.cur_sample = model_output, sample
        elif self.counter == 1 and len(self.ets) == 1:
            direction = (model_output + self.ets[-1]) / 2
            assert self.cur_sample is not None
            sample, self.cur_sample = self.cur_sample, None
        else:
            weights = PLMS[len(self.ets)]
            direction = sum(weight * output for weight, output in zip(weights, reversed(self.ets), strict=True))  # type: ignore[assignment]
        self.counter += 1
        return self._answer(return_dict, self._get_prev_sample(sample, timestep, target, direction))

    def _get_prev_sample(self, sample: Tensor, timestep: Any, prev_timestep: Any, model_output: Tensor) -> Tensor:
        """Carry a sample from one timestep to another along the predicted noise (equation 9 of the paper)."""
        alpha, before = self.alphas_cumprod[timestep], self._alpha_at(prev_timestep)
        if self.prediction_type not in ("epsilon", "v_prediction"):
            raise self._unknown_prediction("epsilon", "v_prediction")
        epsilon = self._predicted(model_output, sample, alpha)[1]
        scale = alpha * (1 - before) ** 0.5 + (alpha * (1 - alpha) * before) ** 0.5
        return (before / alpha) ** 0.5 * sample - (before - alpha) * epsilon / scale
