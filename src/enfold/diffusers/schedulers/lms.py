"""Linear multistep sampling in σ: Adams-Bashforth with the exact integrals of Lagrange's polynomials."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from enfold.diffusers.schedulers.sigmas import SigmaScheduler

__all__ = ["LMSDiscreteScheduler"]


class LMSDiscreteScheduler(SigmaScheduler):
    """Steps along the last (at most four) directions.

    The arguments are those of ``EulerDiscreteScheduler``.
    """

    use_karras_sigmas: bool | None = False
    use_exponential_sigmas: bool | None = False
    use_beta_sigmas: bool | None = False
    prediction_type: str = "epsilon"
    timestep_spacing: str = "linspace"
    steps_offset: int = 0

    def _schedule(self, timesteps: Any, sigmas: Any, device: Any) -> None:
        super()._schedule(timesteps, sigmas, device)
        self.derivatives: list[Tensor] = []

    def get_lms_coefficient(self, order: int, t: int, current_order: int) -> float:
        """Return what a past direction weighs in a step.

        Args:
            order: how many directions there are.
            t: place of the step.
            current_order: which one, the newest is 0.
        """
        sigmas = self.sigmas.double().numpy()
        roots = [sigmas[t - k] for k in range(order) if k != current_order]
        polynomial = np.poly1d(roots, r=True) / np.prod([sigmas[t - current_order] - root for root in roots])
        integral = np.polyint(polynomial)
        return float(integral(sigmas[t + 1]) - integral(sigmas[t]))

    def step(
        self,
        model_output: Tensor,
        timestep: float | Tensor,
        sample: Tensor,
        order: int = 4,
        return_dict: bool = True,
    ) -> Any:
        """Make one step.

        Args:
            model_output: what the model gave for the scaled sample.
            timestep: the present timestep, one of ``timesteps``.
            sample: shape (batch, channels, …).
            order: how many directions are used at most.
            return_dict: return a ``SchedulerOutput`` instead of a tuple.

        Returns:
            ``prev_sample`` and ``pred_original_sample``.
        """
        place = self._place(timestep)
        sigma = self.sigmas[place]
        clean = self._clean(model_output, sample, sigma)
        self.derivatives = [*self.derivatives, (sample - clean) / sigma][-order:]
        order = min(place + 1, order)
        previous = sample
        for back, derivative in enumerate(reversed(self.derivatives[-order:])):
            previous = previous + self.get_lms_coefficient(order, place, back) * derivative
        self._step_index = place + 1
        return self._answer(return_dict, previous, clean)
