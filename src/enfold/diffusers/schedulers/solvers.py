"""Base of the exponential integrators DPM-Solver, DEIS and UniPC: they step in λ, the log of signal over noise."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from enfold.diffusers.schedulers.base import KarrasDiffusionSchedulers, SchedulerError, per_sample
from enfold.diffusers.schedulers.levels import LevelScheduler
from enfold.diffusers.schedulers.noise import chosen_warp, sigma_to_timestep, spaced, warp

__all__ = ["Carry", "SolverScheduler", "carry"]


class Carry(NamedTuple):
    """What an exponential integrator multiplies with, between two levels.

    The step is ``sample·scale + first·D0 + second·D1 + third·D2 + spread·noise``; D0, D1 and D2 are the model's
    prediction and its divided differences in λ.
    """

    scale: Tensor
    first: Tensor
    second: Callable[[], Tensor]
    third: Callable[[], Tensor]
    spread: Tensor | None


def carry(algorithm: str, alpha: Tensor, sigma: Tensor, alpha_from: Tensor, sigma_from: Tensor, h: Tensor) -> Carry:
    """Return the coefficients of a step from one level to another.

    Args:
        algorithm: "dpmsolver" (the prediction is noise, https://arxiv.org/abs/2206.00927), "dpmsolver++" (it is the
            clean sample, https://arxiv.org/abs/2211.01095), or either with "sde-" before it.
        alpha: signal at the level it goes to.
        sigma: noise there.
        alpha_from: signal where it comes from.
        sigma_from: noise there.
        h: by how much λ grows.

    Raises:
        SchedulerError: the algorithm has no third order.
    """
    if algorithm == "dpmsolver++":
        shrink = torch.exp(-h) - 1.0
        return Carry(
            sigma / sigma_from,
            -alpha * shrink,
            lambda: alpha * (shrink / h + 1.0),
            lambda: -alpha * ((shrink + h) / h**2 - 0.5),
            None,
        )
    if algorithm == "sde-dpmsolver++":
        shrink = 1.0 - torch.exp(-2.0 * h)
        return Carry(
            sigma / sigma_from * torch.exp(-h),
            alpha * shrink,
            lambda: alpha * (shrink / (-2.0 * h) + 1.0),
            lambda: alpha * ((shrink - 2.0 * h) / (2.0 * h) ** 2 - 0.5),
            sigma * torch.sqrt(shrink),
        )
    grow = torch.exp(h) - 1.0
    if algorithm == "dpmsolver":
        return Carry(
            alpha / alpha_from,
            -sigma * grow,
            lambda: -sigma * (grow / h - 1.0),
            lambda: -sigma * ((grow - h) / h**2 - 0.5),
            None,
        )

    def no_third() -> Tensor:
        raise SchedulerError("sde-dpmsolver has no third order; take solver_order 1 or 2")

    return Carry(
        alpha / alpha_from,
        -2.0 * sigma * grow,
        lambda: -2.0 * sigma * (grow / h - 1.0),
        no_third,
        sigma * torch.sqrt(torch.exp(2.0 * h) - 1.0),
    )


class SolverScheduler(LevelScheduler):
    """Base of DPM-Solver, DEIS and UniPC."""

    _compatibles = [kind.name for kind in KarrasDiffusionSchedulers]

    def _build(self) -> None:
        chosen_warp(self.config)  # raises when two are set
        super()._build()
        if self.config.get("rescale_betas_zero_snr"):
            self.alphas_cumprod[-1] = 2**-24  # near zero: 0 has no logarithm, and fp16 knows nothing smaller
        self.alpha_t = torch.sqrt(self.alphas_cumprod)
        self.sigma_t = torch.sqrt(1 - self.alphas_cumprod)
        self.lambda_t = torch.log(self.alpha_t) - torch.log(self.sigma_t)
        self.sigmas = ((1 - self.alphas_cumprod) / self.alphas_cumprod) ** 0.5
        self._known: tuple[Tensor, dict[int, tuple[Tensor, Tensor, Tensor]]] = self.sigmas, {}
        self.init_noise_sigma = 1.0
        self.timesteps = torch.arange(self.num_train_timesteps - 1, -1, -1, dtype=torch.float32)
        self._restart()

    def _restart(self) -> None:
        self.model_outputs: list[Any] = [None] * self.config["solver_order"]
        self.lower_order_nums = 0
        self._rewind()

    def _translate(self, field: str, known: tuple[str, ...], others: dict[str, str]) -> None:
        """Check a choice; another solver's word for it is replaced by this one's."""
        value = self.config[field]
        if value in others:
            self.register_to_config(**{field: others[value]})
        elif value not in known:
            raise SchedulerError(f"{field} is {value!r}; {type(self).__name__} takes {', '.join(known)}")

    def _shift(self, mu: float | None) -> None:
        """Take the shift that depends on the size of the picture."""
        if mu is not None:
            if not (self.config["use_dynamic_shifting"] and self.config["time_shift_type"] == "exponential"):
                raise SchedulerError("mu is for use_dynamic_shifting with time_shift_type 'exponential'")
            self.register_to_config(flow_shift=float(np.exp(mu)))

    def _spaced(self, steps: int, last: int | None = None) -> NDArray[Any]:
        """Return the timesteps that are visited: one more is spaced, and the last left out.

        Args:
            steps: how many.
            last: timesteps from here on are too noisy to be visited.
        """
        train, spacing = self.num_train_timesteps, self.config["timestep_spacing"]
        last = train if last is None else last
        if spacing == "linspace":
            return np.linspace(0, last - 1, steps + 1).round()[::-1][:-1].astype(np.int64)
        if spacing == "leading":
            return (np.arange(steps + 1) * (last // (steps + 1)))[::-1][:-1] + self.config["steps_offset"]
        if spacing == "trailing":
            return np.arange(last, 0, -train / steps).round().astype(np.int64) - 1
        return spaced(spacing, train, steps)  # raises: it names what is expected

    def _levels(
        self, timesteps: NDArray[Any], steps: int, *, rounded: bool = True
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return timesteps and levels as the configuration spaces them, before the last.

        Args:
            timesteps: those that are visited when it does not.
            steps: how many.
            rounded: make the timesteps of Karras's levels whole.
        """
        trained = self._trained
        warped = warp(self.config, trained[-1].item(), trained[0].item(), steps)
        if warped is None and self.config.get("use_lu_lambdas"):  # even in λ: "Lu" of DPM-Solver, in the log of σ
            first, last = math.log(trained[-1]), math.log(trained[0])
            warped = np.exp(first + np.linspace(0, 1, steps) * (last - first))
        elif warped is None and self.config.get("use_flow_sigmas"):
            sigmas = 1.0 - np.linspace(1, 1 / self.num_train_timesteps, steps + 1)
            shift = self.config["flow_shift"]
            sigmas = np.flip(shift * sigmas / (1 + (shift - 1) * sigmas))[:-1].copy()
            return sigmas * self.num_train_timesteps, sigmas
        if warped is None:
            return timesteps, np.interp(timesteps, np.arange(len(trained)), trained)
        found = sigma_to_timestep(warped, np.log(trained))
        whole = self.config.get("use_karras_sigmas") or self.config.get("use_lu_lambdas")
        return found.round() if whole and rounded else found, warped

    def _last(self, lowest: float) -> float:
        """Return the level that is reached at the end."""
        kind = self.config["final_sigmas_type"]
        if kind not in ("zero", "sigma_min"):
            raise SchedulerError(f"final_sigmas_type is {kind!r}; expected 'zero' or 'sigma_min'")
        return 0.0 if kind == "zero" else lowest

    def _schedule(self, timesteps: NDArray[Any], sigmas: NDArray[Any], last: float, device: Any) -> None:
        self.sigmas = torch.from_numpy(np.concatenate([sigmas, [last]]).astype(np.float32))
        self.timesteps = torch.from_numpy(timesteps).to(device=device, dtype=torch.int64)
        self.num_inference_steps = len(timesteps)
        self._restart()

    def _chosen_steps(self, num_inference_steps: int | None, timesteps: Any) -> int:
        if (num_inference_steps is None) == (timesteps is None):
            raise SchedulerError("give either num_inference_steps or timesteps")
        named = [name for name in ("use_lu_lambdas",) if self.config.get(name)]
        blocked = chosen_warp(self.config) or (named[0] if named else None)
        if timesteps is not None and blocked:
            raise SchedulerError(f"timesteps cannot be chosen where {blocked} spaces the noise")
        return len(timesteps) if num_inference_steps is None else num_inference_steps

    def _clipped(self) -> int:
        """Return from which timestep on λ is below ``lambda_min_clipped``."""
        return self.num_train_timesteps - int(
            torch.searchsorted(torch.flip(self.lambda_t, [0]), self.config["lambda_min_clipped"])
        )

    def index_for_timestep(self, timestep: float | Tensor, schedule_timesteps: Tensor | None = None) -> int:
        """Return the place of a timestep; the last one for a timestep that the schedule does not have."""
        schedule = self.timesteps if schedule_timesteps is None else schedule_timesteps
        places = (schedule == timestep).nonzero()
        return int(places[min(1, len(places) - 1)]) if len(places) else len(self.timesteps) - 1

    def _sigma_to_alpha_sigma_t(self, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """Return the shares of signal and of noise at a level."""
        if self.config.get("use_flow_sigmas"):
            return 1 - sigma, sigma
        alpha = 1 / (sigma**2 + 1) ** 0.5
        return alpha, sigma * alpha

    def _level(self, place: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return signal, noise and λ at a place of the schedule, computed once for each."""
        if self._known[0] is not self.sigmas:
            self._known = self.sigmas, {}
        known = self._known[1]
        if place not in known:
            alpha, sigma = self._sigma_to_alpha_sigma_t(self.sigmas[place])
            known[place] = alpha, sigma, torch.log(alpha) - torch.log(sigma)
        return known[place]

    def _clean(self, model_output: Tensor, sample: Tensor, place: int) -> Tensor:
        """Return the clean sample that a model's output says is in the sample."""
        alpha, sigma, _ = self._level(place)
        kind = self.config["prediction_type"]
        if kind == "epsilon":
            return (sample - sigma * model_output) / alpha
        if kind == "sample":
            return model_output
        if kind == "v_prediction":
            return alpha * sample - sigma * model_output
        if kind == "flow_prediction":
            return sample - self.sigmas[place] * model_output
        raise self._unknown_prediction("epsilon", "sample", "v_prediction", "flow_prediction")

    def _noise(self, model_output: Tensor, sample: Tensor, place: int) -> Tensor:
        """Return the noise that a model's output says is in the sample."""
        alpha, sigma, _ = self._level(place)
        kind = self.config["prediction_type"]
        if kind == "epsilon":
            return model_output
        if kind == "sample":
            return (sample - alpha * model_output) / sigma
        if kind == "v_prediction":
            return alpha * model_output + sigma * sample
        raise self._unknown_prediction("epsilon", "sample", "v_prediction")

    def _thresholded(self, clean: Tensor) -> Tensor:
        return self._threshold_sample(clean) if self.config["thresholding"] else clean

    def _remember(self, prediction: Tensor) -> None:
        self.model_outputs = [*self.model_outputs[1:], prediction]

    def add_noise(self, original_samples: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """Return clean samples as they are at timesteps: ``α·clean + σ·noise``.

        Args:
            original_samples: shape (batch, …).
            noise: of the same shape.
            timesteps: of ``timesteps``, shape (batch,).
        """
        sigmas = self.sigmas.to(original_samples)[self._places(timesteps, original_samples.device)]
        alpha, sigma = self._sigma_to_alpha_sigma_t(per_sample(sigmas, original_samples))
        return alpha * original_samples + sigma * noise
