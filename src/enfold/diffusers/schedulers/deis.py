"""DEIS: exponential integration with a polynomial in log ρ (Zhang and Chen 2022, https://arxiv.org/abs/2204.13902)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from enfold.diffusers.schedulers.solvers import SolverScheduler

__all__ = ["DEISMultistepScheduler"]


def _linear(t: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """Integral of the line that is 1 at b and 0 at c, in log ρ."""
    return t * (t.log() - c.log() - 1) / (b.log() - c.log())


def _quadratic(t: Tensor, b: Tensor, c: Tensor, d: Tensor) -> Tensor:
    """Integral of the parabola that is 1 at b and 0 at c and d, in log ρ."""
    x, y, z = t.log(), c.log(), d.log()
    above = t * (y * (z - x + 1) - z * x + z + x**2 - 2 * x + 2)
    return above / ((b.log() - y) * (b.log() - z))


class DEISMultistepScheduler(SolverScheduler):
    """Each step integrates the polynomial through the last (one to three) predictions of noise.

    The arguments are those of ``DPMSolverMultistepScheduler``, with ``algorithm_type`` "deis" and ``solver_type``
    "logrho".
    """

    solver_order: int = 2
    prediction_type: str = "epsilon"
    thresholding: bool = False
    dynamic_thresholding_ratio: float = 0.995
    sample_max_value: float = 1.0
    algorithm_type: str = "deis"
    solver_type: str = "logrho"
    lower_order_final: bool = True
    use_karras_sigmas: bool | None = False
    use_exponential_sigmas: bool | None = False
    use_beta_sigmas: bool | None = False
    use_flow_sigmas: bool | None = False
    flow_shift: float | None = 1.0
    timestep_spacing: str = "linspace"
    steps_offset: int = 0
    use_dynamic_shifting: bool = False
    time_shift_type: str = "exponential"

    def _build(self) -> None:
        self._translate("algorithm_type", ("deis",), dict.fromkeys(("dpmsolver", "dpmsolver++"), "deis"))
        self._translate("solver_type", ("logrho",), dict.fromkeys(("midpoint", "heun", "bh1", "bh2"), "logrho"))
        super()._build()

    def set_timesteps(
        self, num_inference_steps: int, device: str | torch.device | None = None, mu: float | None = None
    ) -> None:
        """Choose the timesteps that are visited; see ``DPMSolverMultistepScheduler.set_timesteps``."""
        self._shift(mu)
        visited, sigmas = self._levels(self._spaced(num_inference_steps), num_inference_steps)
        warped = any(
            self.config[name]
            for name in ("use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas", "use_flow_sigmas")
        )
        self._schedule(visited, sigmas, float(sigmas[-1] if warped else self._trained[0]), device)

    def convert_model_output(
        self, model_output: Tensor, *args: Any, sample: Tensor | None = None, **kwargs: Any
    ) -> Tensor:
        """Return the noise that a model's output says is in the sample.

        Args:
            model_output: what the model gave.
            args: the timestep, which has no effect, and the sample, in the order of old versions.
            sample: shape (batch, channels, …).
        """
        sample = args[1] if sample is None else sample
        place = self._step_index or 0
        alpha, sigma, _ = self._level(place)
        return (sample - alpha * self._thresholded(self._clean(model_output, sample, place))) / sigma

    def step(self, model_output: Tensor, timestep: Any, sample: Tensor, return_dict: bool = True) -> Any:
        """Make one step.

        Args:
            model_output: what the model gave for the sample.
            timestep: the present timestep, one of ``timesteps``.
            sample: shape (batch, channels, …).
            return_dict: return a ``SchedulerOutput`` instead of a tuple.

        Returns:
            ``prev_sample``.
        """
        self._need_schedule()
        place, count = self._place(timestep), len(self.timesteps)
        order = min(self.solver_order, self.lower_order_nums + 1)
        if self.lower_order_final and count < 15:
            order = min(order, count - place)
        self._remember(self.convert_model_output(model_output, sample=sample))
        previous = self._integrated(sample, place, order)
        self.lower_order_nums = min(self.lower_order_nums + 1, self.solver_order)
        self._step_index = place + 1
        return self._answer(return_dict, previous)

    def _integrated(self, sample: Tensor, place: int, order: int) -> Tensor:
        alpha, sigma, level = self._level(place + 1)
        alpha_from, _, level_from = self._level(place)
        now = self.model_outputs[-1]
        if order == 1:
            return alpha / alpha_from * sample - sigma * (torch.exp(level - level_from) - 1.0) * now
        target, *known = (
            sigma / alpha for alpha, sigma, _ in (self._level(place + 1 - back) for back in range(order + 1))
        )
        integral: Any = _linear if order == 2 else _quadratic
        total = sample / alpha_from
        for back in range(order):
            others = known[back:] + known[:back]  # the one that is 1, and those that are 0
            total = total + (integral(target, *others) - integral(known[0], *others)) * self.model_outputs[-1 - back]
        return alpha * total
