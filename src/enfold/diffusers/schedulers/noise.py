"""How much noise there is at each timestep, and which timesteps are visited."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from enfold.diffusers.schedulers.base import SchedulerError
from enfold.errors import nearest

__all__ = ["beta_schedule", "betas_for_alpha_bar", "rescale_zero_terminal_snr", "sigma_to_timestep", "spaced", "warp"]

Array = NDArray[Any]


def _laplace(t: float) -> float:
    snr = math.exp(-0.5 * math.copysign(1, 0.5 - t) * math.log(1 - 2 * math.fabs(0.5 - t) + 1e-6))
    return math.sqrt(snr / (1 + snr))


# Name → share of the signal's variance that is left at time t of [0, 1].
ALPHA_BAR: dict[str, Callable[[float], float]] = {
    "cosine": lambda t: math.cos((t + 0.008) / 1.008 * math.pi / 2) ** 2,
    "exp": lambda t: math.exp(-12.0 * t),
    "laplace": _laplace,
}


def betas_for_alpha_bar(
    num_diffusion_timesteps: int, max_beta: float = 0.999, alpha_transform_type: str = "cosine"
) -> Tensor:
    """Return the betas whose products of ``1 - beta`` follow a curve.

    Args:
        num_diffusion_timesteps: how many.
        max_beta: no beta is larger, which keeps the last steps finite.
        alpha_transform_type: "cosine" (Nichol and Dhariwal 2021), "exp" or "laplace".

    Returns:
        float32, shape (num_diffusion_timesteps,).

    Example:
        >>> betas_for_alpha_bar(4)[-1].item()
        0.9990000128746033
    """
    if alpha_transform_type not in ALPHA_BAR:
        raise SchedulerError(f"no curve {alpha_transform_type!r}; there are {', '.join(ALPHA_BAR)}")
    curve = ALPHA_BAR[alpha_transform_type]
    levels = [curve(step / num_diffusion_timesteps) for step in range(num_diffusion_timesteps + 1)]
    return torch.tensor(
        [min(1 - after / before, max_beta) for before, after in pairwise(levels)],
        dtype=torch.float32,
    )


def rescale_zero_terminal_snr(betas: Tensor) -> Tensor:
    """Return betas stretched so that the last timestep holds no signal (Lin et al. 2023, https://arxiv.org/abs/2305.08891)."""
    root = torch.cumprod(1.0 - betas, dim=0).sqrt()
    first, last = root[0].clone(), root[-1].clone()
    kept = ((root - last) * (first / (first - last))) ** 2
    return 1 - torch.cat([kept[:1], kept[1:] / kept[:-1]])


BETAS: dict[str, Callable[[float, float, int], Tensor]] = {
    "linear": lambda low, high, steps: torch.linspace(low, high, steps, dtype=torch.float32),
    "scaled_linear": lambda low, high, steps: torch.linspace(low**0.5, high**0.5, steps, dtype=torch.float32) ** 2,
    "squaredcos_cap_v2": lambda low, high, steps: betas_for_alpha_bar(steps),
    "exp": lambda low, high, steps: betas_for_alpha_bar(steps, alpha_transform_type="exp"),
    "laplace": lambda low, high, steps: betas_for_alpha_bar(steps, alpha_transform_type="laplace"),
    "sigmoid": lambda low, high, steps: torch.sigmoid(torch.linspace(-6, 6, steps)) * (high - low) + low,
}


def beta_schedule(name: str, start: float, end: float, steps: int, trained: Any = None) -> Tensor:
    """Return the variance that each training step adds.

    Args:
        name: "linear" (Ho et al. 2020), "scaled_linear" (linear in the root: latent diffusion), "squaredcos_cap_v2",
            "exp", "laplace" or "sigmoid".
        start: the first beta.
        end: the last.
        steps: how many.
        trained: the betas themselves, when a model brings its own.

    Returns:
        float32, shape (steps,).
    """
    if trained is not None:
        return torch.tensor(trained, dtype=torch.float32)
    if name not in BETAS:
        raise SchedulerError(f"no beta_schedule {name!r}{nearest(name, BETAS)}; there are {', '.join(BETAS)}")
    return BETAS[name](start, end, steps)


def spaced(spacing: str, train: int, steps: int, offset: int = 0, *, dtype: Any = np.int64) -> Array:
    """Return the timesteps that are visited, from the noisiest down.

    Args:
        spacing: "linspace" (both ends are visited), "leading" (multiples of a whole ratio, the end is not) or
            "trailing" (counted from the end): table 2 of https://arxiv.org/abs/2305.08891.
        train: how many timesteps the model was trained with.
        steps: how many are visited.
        offset: added with "leading".
        dtype: type of the result; with a floating-point type "linspace" is not rounded.

    Returns:
        shape (steps,).

    Example:
        >>> spaced("leading", 1000, 4, 1).tolist(), spaced("trailing", 1000, 4).tolist()
        ([751, 501, 251, 1], [999, 749, 499, 249])
    """
    if spacing == "linspace":
        if np.issubdtype(dtype, np.floating):
            return np.linspace(0, train - 1, steps, dtype=dtype)[::-1].copy()
        return np.linspace(0, train - 1, steps).round()[::-1].astype(dtype)
    if spacing == "leading":
        return (np.arange(steps) * (train // steps))[::-1].astype(dtype) + dtype(offset)
    if spacing == "trailing":
        return np.arange(train, 0, -train / steps).round().astype(dtype) - dtype(1)
    raise SchedulerError(f"timestep_spacing is {spacing!r}; expected 'linspace', 'leading' or 'trailing'")


def sigma_to_timestep(sigma: Array, log_sigmas: Array) -> Array:
    """Return the timesteps at which noise has these standard deviations, between those of training.

    Args:
        sigma: standard deviations relative to the signal, shape (steps,).
        log_sigmas: logarithms of those of training, rising, shape (train,).
    """
    wanted = np.log(np.maximum(sigma, 1e-10))
    low = np.cumsum(wanted - log_sigmas[:, np.newaxis] >= 0, axis=0).argmax(axis=0).clip(max=len(log_sigmas) - 2)
    below, above = log_sigmas[low], log_sigmas[low + 1]
    share = np.clip((below - wanted) / (below - above), 0, 1)
    return (1 - share) * low + share * (low + 1)


def _karras(high: float, low: float, steps: int, rho: float = 7.0) -> Array:
    """Equation 5 of Karras et al. 2022, https://arxiv.org/abs/2206.00364."""
    first, last = high ** (1 / rho), low ** (1 / rho)
    return (first + np.linspace(0, 1, steps) * (last - first)) ** rho


def _exponential(high: float, low: float, steps: int) -> Array:
    return np.exp(np.linspace(math.log(high), math.log(low), steps))


def _beta(high: float, low: float, steps: int, alpha: float = 0.6, beta: float = 0.6) -> Array:
    """Quantiles of a beta distribution: "Beta Sampling is All You Need", https://arxiv.org/abs/2407.12173."""
    from scipy.stats import beta as distribution

    return low + distribution.ppf(1 - np.linspace(0, 1, steps), alpha, beta) * (high - low)


WARPS: dict[str, Callable[[float, float, int], Array]] = {
    "use_karras_sigmas": _karras,
    "use_exponential_sigmas": _exponential,
    "use_beta_sigmas": _beta,
}


def chosen_warp(config: dict[str, Any]) -> str | None:
    """Return which of ``use_karras_sigmas``, ``use_exponential_sigmas`` and ``use_beta_sigmas`` is set.

    Raises:
        SchedulerError: more than one is.
    """
    chosen = [name for name in WARPS if config.get(name)]
    if len(chosen) > 1:
        raise SchedulerError(f"{' and '.join(chosen)} are set; at most one way to space the noise can be")
    return chosen[0] if chosen else None


def warp(config: dict[str, Any], high: float, low: float, steps: int) -> Array | None:
    """Return noise levels from the highest down to the lowest as the configuration spaces them, or None if it does not.

    Args:
        config: ``sigma_max`` and ``sigma_min`` in it take the place of ``high`` and ``low``.
        high: the first level.
        low: the last level.
        steps: how many.
    """
    name = chosen_warp(config)
    if name is None:
        return None
    highest, lowest = config.get("sigma_max"), config.get("sigma_min")
    return WARPS[name](high if highest is None else highest, low if lowest is None else lowest, steps)
