"""UniPC: a predictor and a corrector of any order on the same predictions (Zhao et al. 2023, https://arxiv.org/abs/2302.04867)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from enfold.diffusers.schedulers.base import SchedulerError
from enfold.diffusers.schedulers.noise import chosen_warp
from enfold.diffusers.schedulers.solvers import SolverScheduler

__all__ = ["UniPCMultistepScheduler"]


class UniPCMultistepScheduler(SolverScheduler):
    """Each prediction first corrects the step that led to it, then makes the next.

    Args:
        num_train_timesteps: noise levels of training; the next four say how noise grows over them (``LevelScheduler``).
        solver_order: any; 2 for guided sampling, 3 without guidance. The corrector has one order more.
        prediction_type: what the model gives: "epsilon", "sample", "v_prediction" or "flow_prediction".
        thresholding: clamp predicted clean samples to their ``dynamic_thresholding_ratio`` quantile, at most
            ``sample_max_value``.
        predict_x0: integrate the clean sample, not the noise.
        solver_type: the function B(h) of the paper: "bh1" (h) or "bh2" (e^h - 1).
        lower_order_final: end with lower orders.
        disable_corrector: steps that are not corrected.
        solver_p: another scheduler that makes the prediction.
        timestep_spacing: "linspace", "leading" or "trailing"; ``steps_offset`` is added to "leading".
        shift_terminal: with ``use_flow_sigmas``, the level that the schedule is stretched to end at.

    The others are those of ``DPMSolverMultistepScheduler``.
    """

    solver_order: int = 2
    prediction_type: str = "epsilon"
    thresholding: bool = False
    dynamic_thresholding_ratio: float = 0.995
    sample_max_value: float = 1.0
    predict_x0: bool = True
    solver_type: str = "bh2"
    lower_order_final: bool = True
    disable_corrector: Any = ()
    solver_p: Any = None
    use_karras_sigmas: bool | None = False
    use_exponential_sigmas: bool | None = False
    use_beta_sigmas: bool | None = False
    use_flow_sigmas: bool | None = False
    flow_shift: float | None = 1.0
    timestep_spacing: str = "linspace"
    steps_offset: int = 0
    final_sigmas_type: str | None = "zero"
    rescale_betas_zero_snr: bool = False
    use_dynamic_shifting: bool = False
    time_shift_type: str = "exponential"
    sigma_min: float | None = None
    sigma_max: float | None = None
    shift_terminal: float | None = None

    def _build(self) -> None:
        self._translate("solver_type", ("bh1", "bh2"), dict.fromkeys(("midpoint", "heun", "logrho"), "bh2"))
        if self.shift_terminal is not None and not self.use_flow_sigmas:
            raise SchedulerError("shift_terminal is for use_flow_sigmas=True")
        super()._build()

    def _restart(self) -> None:
        super()._restart()
        self.timestep_list: list[Any] = [None] * self.solver_order
        self.last_sample: Tensor | None = None
        self.this_order = 0

    def set_timesteps(
        self,
        num_inference_steps: int | None = None,
        device: str | torch.device | None = None,
        sigmas: list[float] | None = None,
        mu: float | None = None,
    ) -> None:
        """Choose the timesteps that are visited.

        Args:
            num_inference_steps: how many, spaced as the configuration says.
            device: where ``timesteps`` goes.
            sigmas: the levels of flow matching themselves, falling, instead.
            mu: logarithm of the shift, with ``use_dynamic_shifting``.
        """
        if self.use_dynamic_shifting and mu is None:
            raise SchedulerError("use_dynamic_shifting is set: set_timesteps needs mu")
        if sigmas is not None and not self.use_flow_sigmas:
            raise SchedulerError("sigmas can be chosen with use_flow_sigmas=True; otherwise give num_inference_steps")
        steps = len(sigmas) if sigmas is not None else num_inference_steps
        if steps is None:
            raise SchedulerError("give either num_inference_steps or sigmas")
        if self.use_flow_sigmas and not chosen_warp(self.config):
            levels = self._flow(steps, sigmas, mu)
            timesteps = levels * self.num_train_timesteps
        else:
            timesteps, levels = self._levels(self._spaced(steps), steps)
            if self.use_flow_sigmas and self.use_karras_sigmas:
                levels = levels / (levels + 1)
                timesteps = levels * self.num_train_timesteps
        own = self.use_flow_sigmas or chosen_warp(self.config)
        last = self._last(float(levels[-1] if own else self._trained[0]))
        self._schedule(timesteps, levels, last, device)
        if self.solver_p is not None:
            self.solver_p.set_timesteps(self.num_inference_steps, device=device)

    def _flow(self, steps: int, sigmas: Any, mu: float | None) -> Any:
        levels = (
            np.linspace(1, 1 / self.num_train_timesteps, steps + 1)[:-1] if sigmas is None else np.array(sigmas, float)
        )
        if self.use_dynamic_shifting:
            assert mu is not None
            levels = math.exp(mu) / (math.exp(mu) + (1 / levels - 1))
        else:
            shift = self.config["flow_shift"]
            levels = shift * levels / (1 + (shift - 1) * levels)
        if self.shift_terminal:
            signal = 1 - levels
            levels = 1 - signal * (1 - self.shift_terminal) / signal[-1]
        if abs(levels[0] - 1) < 1e-6:
            levels[0] -= 1e-6  # at level 1 there is no signal, and λ has no value
        return levels

    def convert_model_output(
        self, model_output: Tensor, *args: Any, sample: Tensor | None = None, **kwargs: Any
    ) -> Tensor:
        """Return what is integrated, the clean sample or the noise, for a model's output.

        Args:
            model_output: what the model gave.
            args: the timestep, which has no effect, and the sample, in the order of old versions.
            sample: shape (batch, channels, …).
        """
        sample = args[1] if sample is None else sample
        place = self._step_index or 0
        if self.predict_x0:
            return self._thresholded(self._clean(model_output, sample, place))
        return self._noise(model_output, sample, place)

    def _moved(self, sample: Tensor, start: int, order: int, arrived: Tensor | None = None) -> Tensor:
        """Carry a sample from one place to the next along the polynomial through the predictions (algorithms 5 and 6).

        Args:
            sample: at the place it starts from.
            start: that place.
            order: how many predictions are used.
            arrived: the prediction at the place it goes to, with which the corrector knows one point more.
        """
        device = sample.device
        alpha, sigma, level = (part.to(device) for part in self._level(start + 1))
        alpha_from, sigma_from, level_from = (part.to(device) for part in self._level(start))
        h = level - level_from
        step = -h if self.predict_x0 else h
        now = self.model_outputs[-1]
        ratios, differences = [], []
        for back in range(1, order):
            ratio = (self._level(start - back)[2].to(device) - level_from) / h
            ratios.append(ratio)
            differences.append((self.model_outputs[-1 - back] - now) / ratio)
        ratios.append(torch.ones((), device=device))
        growth = torch.expm1(step)
        base = step if self.solver_type == "bh1" else growth
        weights = self._weights(torch.stack(ratios), step, growth, base, order, arrived is not None).to(sample.dtype)
        if arrived is not None:
            differences.append(arrived - now)
        total: Any = 0
        if differences:
            total = torch.einsum("k,bkc...->bc...", weights, torch.stack(differences, dim=1))
        if self.predict_x0:
            moved = sigma / sigma_from * sample - alpha * growth * now - alpha * base * total
        else:
            moved = alpha / alpha_from * sample - sigma * growth * now - sigma * base * total
        return moved.to(sample.dtype)

    def _weights(self, ratios: Tensor, step: Tensor, growth: Tensor, base: Tensor, order: int, correct: bool) -> Tensor:
        """Return what each difference weighs: the solution of the order conditions (equation 10 of the paper)."""
        known = order if correct else order - 1
        if known < 2:
            return torch.full((known,), 0.5, device=ratios.device)  # exact enough for order 2, as the paper shows
        phi, factorial, right = growth / step - 1, 1, []
        for power in range(1, order + 1):
            right.append(phi * factorial / base)
            factorial *= power + 1
            phi = phi / step - 1 / factorial
        left = torch.stack([ratios**power for power in range(order)])
        return torch.linalg.solve(left[:known, :known], torch.stack(right)[:known])

    def step(self, model_output: Tensor, timestep: Any, sample: Tensor, return_dict: bool = True) -> Any:
        """Correct the last step and make the next.

        Args:
            model_output: what the model gave for the sample.
            timestep: the present timestep, one of ``timesteps``.
            sample: shape (batch, channels, …).
            return_dict: return a ``SchedulerOutput`` instead of a tuple.

        Returns:
            ``prev_sample``.
        """
        self._need_schedule()
        place = self._place(timestep)
        prediction = self.convert_model_output(model_output, sample=sample)
        if place > 0 and place - 1 not in self.disable_corrector and self.last_sample is not None:
            sample = self._moved(self.last_sample, place - 1, self.this_order, prediction)
        self._remember(prediction)
        self.timestep_list = [*self.timestep_list[1:], timestep]
        order = self.solver_order
        if self.lower_order_final:
            order = min(order, len(self.timesteps) - place)
        self.this_order = min(order, self.lower_order_nums + 1)
        self.last_sample = sample
        if self.solver_p is not None:
            previous = self.solver_p.step(model_output, timestep, sample).prev_sample
        else:
            previous = self._moved(sample, place, self.this_order)
        self.lower_order_nums = min(self.lower_order_nums + 1, self.solver_order)
        self._step_index = place + 1
        return self._answer(return_dict, previous)
