"""DPM-Solver and DPM-Solver++, multistep and singlestep (Lu et al. 2022).

https://arxiv.org/abs/2206.00927 and https://arxiv.org/abs/2211.01095.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from enfold.diffusers.schedulers.base import SchedulerError
from enfold.diffusers.schedulers.solvers import SolverScheduler, carry
from enfold.diffusers.utils.torch_utils import randn_tensor
from enfold.log import get_logger

__all__ = ["DPMSolverMultistepScheduler", "DPMSolverSinglestepScheduler"]

logger = get_logger(__name__)
ALGORITHMS = ("dpmsolver", "dpmsolver++", "sde-dpmsolver", "sde-dpmsolver++")
# Fewer steps than this are ended with lower orders, which are steadier there.
FEW = 15


class DPMSolver(SolverScheduler):
    """What both have: which prediction they integrate, and one step of each order."""

    def _build(self) -> None:
        self._translate("algorithm_type", ALGORITHMS, {"deis": "dpmsolver++"})
        self._translate("solver_type", ("midpoint", "heun"), dict.fromkeys(("logrho", "bh1", "bh2"), "midpoint"))
        if not self._plus and self.config["final_sigmas_type"] == "zero":
            raise SchedulerError(
                f"algorithm_type {self.config['algorithm_type']!r} cannot end at noise 0; "
                "set final_sigmas_type='sigma_min'"
            )
        super()._build()

    @property
    def _plus(self) -> bool:
        """Whether the clean sample is integrated, not the noise."""
        return str(self.config["algorithm_type"]).endswith("++")

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
        if self.config.get("variance_type") in ("learned", "learned_range"):
            model_output = model_output[:, :3]
        if self._plus:
            return self._thresholded(self._clean(model_output, sample, place))
        noise = self._noise(model_output, sample, place)
        if self.config["thresholding"]:
            alpha, sigma, _ = self._level(place)
            noise = (sample - alpha * self._threshold_sample((sample - sigma * noise) / alpha)) / sigma
        return noise

    def _carried(
        self, place: int, back: int, sample: Tensor, differences: list[Tensor], noise: Tensor | None, midpoint: bool
    ) -> Tensor:
        """Return the sample at the next level.

        Args:
            place: of the step.
            back: how many places before it the sample is.
            sample: the sample there.
            differences: the prediction and its divided differences in λ, as many as the order.
            noise: for the stochastic algorithms.
            midpoint: whether the second difference is weighed as the midpoint method does.
        """
        alpha, sigma, level = self._level(place + 1)
        alpha_from, sigma_from, level_from = self._level(place - back)
        found = carry(self.config["algorithm_type"], alpha, sigma, alpha_from, sigma_from, level - level_from)
        previous = found.scale * sample + found.first * differences[0]
        if len(differences) > 1:
            previous = previous + (0.5 * found.first if midpoint else found.second()) * differences[1]
        if len(differences) > 2:
            previous = previous + found.third() * differences[2]
        if found.spread is not None:
            assert noise is not None
            previous = previous + found.spread * noise
        return previous

    @property
    def _midpoint(self) -> bool:
        return bool(self.config["solver_type"] == "midpoint")

    def _drawn(
        self, output: Tensor, generator: torch.Generator | None, given: Tensor | None, dtype: torch.dtype
    ) -> Tensor | None:
        if not str(self.config["algorithm_type"]).startswith("sde"):
            return None
        if given is not None:
            return given.to(device=output.device, dtype=dtype)
        return randn_tensor(output.shape, generator=generator, device=output.device, dtype=dtype)


class DPMSolverMultistepScheduler(DPMSolver):
    """Each step uses the predictions of the steps before it.

    Args:
        num_train_timesteps: noise levels of training; the next four say how noise grows over them (``LevelScheduler``).
        solver_order: 1 to 3; 2 for guided sampling, 3 without guidance.
        prediction_type: what the model gives: "epsilon", "sample", "v_prediction" or "flow_prediction".
        thresholding: clamp predicted clean samples to their ``dynamic_thresholding_ratio`` quantile, at most
            ``sample_max_value``.
        algorithm_type: "dpmsolver++", "dpmsolver", "sde-dpmsolver++" or "sde-dpmsolver".
        solver_type: "midpoint" or "heun", for the second order.
        lower_order_final: end schedules of fewer than 15 steps with lower orders.
        euler_at_final: end with the first order.
        use_karras_sigmas: space the levels as Karras et al. 2022; the next three space them otherwise.
        use_flow_sigmas: the levels are those of flow matching, shifted by ``flow_shift``.
        final_sigmas_type: the last level is "zero" or "sigma_min".
        lambda_min_clipped: timesteps whose λ is lower are not visited; for cosine schedules.
        variance_type: "learned" or "learned_range": the model's output carries a variance, which is left out.
        timestep_spacing: "linspace", "leading" or "trailing"; ``steps_offset`` is added to "leading".
        rescale_betas_zero_snr: stretch the betas so that the last timestep is pure noise.
        use_dynamic_shifting: ``set_timesteps`` takes the shift from ``mu``.
        time_shift_type: "exponential".

    Example:
        >>> scheduler = DPMSolverMultistepScheduler()
        >>> scheduler.set_timesteps(4)
        >>> scheduler.timesteps.tolist()
        [999, 749, 500, 250]
    """

    solver_order: int = 2
    prediction_type: str = "epsilon"
    thresholding: bool = False
    dynamic_thresholding_ratio: float = 0.995
    sample_max_value: float = 1.0
    algorithm_type: str = "dpmsolver++"
    solver_type: str = "midpoint"
    lower_order_final: bool = True
    euler_at_final: bool = False
    use_karras_sigmas: bool | None = False
    use_exponential_sigmas: bool | None = False
    use_beta_sigmas: bool | None = False
    use_lu_lambdas: bool | None = False
    use_flow_sigmas: bool | None = False
    flow_shift: float | None = 1.0
    final_sigmas_type: str | None = "zero"
    lambda_min_clipped: float = -float("inf")
    variance_type: str | None = None
    timestep_spacing: str = "linspace"
    steps_offset: int = 0
    rescale_betas_zero_snr: bool = False
    use_dynamic_shifting: bool = False
    time_shift_type: str = "exponential"

    def set_timesteps(
        self,
        num_inference_steps: int | None = None,
        device: str | torch.device | None = None,
        mu: float | None = None,
        timesteps: list[int] | None = None,
    ) -> None:
        """Choose the timesteps that are visited.

        Args:
            num_inference_steps: how many, spaced as the configuration says.
            device: where ``timesteps`` goes.
            mu: logarithm of the shift, with ``use_dynamic_shifting``.
            timesteps: the timesteps themselves, falling, instead.
        """
        self._shift(mu)
        steps = self._chosen_steps(num_inference_steps, timesteps)
        visited = self._spaced(steps, self._clipped()) if timesteps is None else np.array(timesteps, dtype=np.int64)
        rounded = self.beta_schedule != "squaredcos_cap_v2"
        visited, sigmas = self._levels(visited, steps, rounded=rounded)
        self._schedule(visited, sigmas, self._last(float(self._trained[0])), device)

    def step(
        self,
        model_output: Tensor,
        timestep: Any,
        sample: Tensor,
        generator: torch.Generator | None = None,
        variance_noise: Tensor | None = None,
        return_dict: bool = True,
    ) -> Any:
        """Make one step.

        Args:
            model_output: what the model gave for the sample.
            timestep: the present timestep, one of ``timesteps``.
            sample: shape (batch, channels, …).
            generator: of the noise of the stochastic algorithms.
            variance_noise: that noise itself instead.
            return_dict: return a ``SchedulerOutput`` instead of a tuple.

        Returns:
            ``prev_sample``.
        """
        self._need_schedule()
        place, count = self._place(timestep), len(self.timesteps)
        few = self.lower_order_final and count < FEW
        last = place == count - 1 and (self.euler_at_final or few or self.final_sigmas_type == "zero")
        order = min(self.solver_order, self.lower_order_nums + 1, 2 if place == count - 2 and few else 3)
        prediction = self.convert_model_output(model_output, sample=sample)
        self._remember(prediction)
        sample = sample.float() if sample.dtype.itemsize < 4 else sample
        noise = self._drawn(model_output, generator, variance_noise, torch.float32)
        differences = self._differences(place, 1 if last else order)
        midpoint = self._midpoint and len(differences) < 3
        previous = self._carried(place, 0, sample, differences, noise, midpoint)
        self.lower_order_nums = min(self.lower_order_nums + 1, self.solver_order)
        self._step_index = place + 1
        return self._answer(return_dict, previous.to(prediction.dtype))

    def _differences(self, place: int, order: int) -> list[Tensor]:
        """Return the newest prediction and its divided differences in λ with those before it."""
        now = self.model_outputs[-1]
        if order == 1:
            return [now]
        level_to, level, level_1 = (self._level(place + 1 - back)[2] for back in range(3))
        h, h_0 = level_to - level, level - level_1
        r_0, first = h_0 / h, (now - self.model_outputs[-2]) / (h_0 / h)
        if order == 2:
            return [now, first]
        r_1 = (level_1 - self._level(place - 2)[2]) / h
        bend = first - (self.model_outputs[-2] - self.model_outputs[-3]) / r_1
        return [now, first + r_0 / (r_0 + r_1) * bend, bend / (r_0 + r_1)]


class DPMSolverSinglestepScheduler(DPMSolver):
    """Steps of one, two or three evaluations that use nothing of the steps before them.

    The arguments are those of ``DPMSolverMultistepScheduler``; ``lower_order_final`` ends with lower orders so that any
    number of steps can be made.
    """

    solver_order: int = 2
    prediction_type: str = "epsilon"
    thresholding: bool = False
    dynamic_thresholding_ratio: float = 0.995
    sample_max_value: float = 1.0
    algorithm_type: str = "dpmsolver++"
    solver_type: str = "midpoint"
    lower_order_final: bool = False
    use_karras_sigmas: bool | None = False
    use_exponential_sigmas: bool | None = False
    use_beta_sigmas: bool | None = False
    use_flow_sigmas: bool | None = False
    flow_shift: float | None = 1.0
    final_sigmas_type: str | None = "zero"
    lambda_min_clipped: float = -float("inf")
    variance_type: str | None = None
    use_dynamic_shifting: bool = False
    time_shift_type: str = "exponential"

    def _build(self) -> None:
        if self.algorithm_type == "sde-dpmsolver":
            raise SchedulerError(
                "algorithm_type is 'sde-dpmsolver'; DPMSolverSinglestepScheduler takes 'dpmsolver', 'dpmsolver++' "
                "or 'sde-dpmsolver++'"
            )
        super()._build()
        self.sample: Tensor | None = None
        self.order_list: list[int] = []

    def get_order_list(self, num_inference_steps: int) -> list[int]:
        """Return the order of each evaluation: 1, 2 and 3 are the first, second and third of a step.

        Args:
            num_inference_steps: how many evaluations.
        """
        order, steps = self.solver_order, num_inference_steps
        if order not in (1, 2, 3):
            raise SchedulerError(f"solver_order is {order}; expected 1, 2 or 3")
        whole, rest = [*range(1, order + 1)], steps % order
        orders = whole * (steps // order) + whole[:rest]
        if self.lower_order_final and order > 1 and rest == 0:
            # The last full step becomes a step of one order less, and one evaluation.
            orders[-order:] = [1, 1] if order == 2 else [1, 2, 1]
        elif not self.lower_order_final:
            orders = whole * (steps // order)
        if self.final_sigmas_type == "zero":
            orders[-1] = 1
        return orders

    def set_timesteps(
        self,
        num_inference_steps: int | None = None,
        device: str | torch.device | None = None,
        mu: float | None = None,
        timesteps: list[int] | None = None,
    ) -> None:
        """Choose the timesteps that are visited; see ``DPMSolverMultistepScheduler.set_timesteps``."""
        self._shift(mu)
        steps = self._chosen_steps(num_inference_steps, timesteps)
        visited = np.array(timesteps, dtype=np.int64) if timesteps is not None else self._linear(steps)
        visited, sigmas = self._levels(visited, steps)
        self._schedule(visited, sigmas, self._last(float(self._trained[0])), device)
        self.sample = None
        if not self.lower_order_final and (steps % self.solver_order or self.final_sigmas_type == "zero"):
            logger.warning("lower_order_final is set: these steps cannot be made, or end at noise 0, without it")
            self.register_to_config(lower_order_final=True)
        self.order_list = self.get_order_list(steps)

    def _linear(self, steps: int) -> Any:
        return np.linspace(0, self._clipped() - 1, steps + 1).round()[::-1][:-1].astype(np.int64)

    def step(
        self,
        model_output: Tensor,
        timestep: Any,
        sample: Tensor,
        generator: torch.Generator | None = None,
        return_dict: bool = True,
    ) -> Any:
        """Make one evaluation's part of a step.

        Args:
            model_output: what the model gave for the sample.
            timestep: the present timestep, one of ``timesteps``.
            sample: shape (batch, channels, …).
            generator: of the noise of the stochastic algorithm.
            return_dict: return a ``SchedulerOutput`` instead of a tuple.

        Returns:
            ``prev_sample``.
        """
        self._need_schedule()
        place = self._place(timestep)
        self._remember(self.convert_model_output(model_output, sample=sample))
        noise = self._drawn(model_output, generator, None, model_output.dtype)
        order = self.order_list[place]
        while self.model_outputs[-order] is None:  # the schedule was entered in its middle
            order -= 1
        if order == 1:
            self.sample = sample
        assert self.sample is not None
        differences = self._differences(place, order)
        previous = self._carried(place, order - 1, self.sample, differences, noise, self._midpoint and order == 2)
        self._step_index = place + 1
        return self._answer(return_dict, previous)

    def _differences(self, place: int, order: int) -> list[Tensor]:
        """Return the prediction at the beginning of the step and its divided differences in λ with those after it."""
        if order == 1:
            return [self.model_outputs[-1]]
        start = self._level(place - order + 1)[2]
        h = self._level(place + 1)[2] - start
        first = self.model_outputs[-order]
        r_0 = (self._level(place)[2] - start) / h
        newest = (self.model_outputs[-1] - first) / r_0
        if order == 2:
            return [first, newest]
        if self._midpoint:
            return [first, newest]
        r_1 = (self._level(place - 1)[2] - start) / h
        middle = (self.model_outputs[-2] - first) / r_1
        return [first, (r_0 * middle - r_1 * newest) / (r_0 - r_1), 2.0 * (newest - middle) / (r_0 - r_1)]
