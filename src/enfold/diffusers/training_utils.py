"""What training a diffusion model needs besides a loop: averaged weights, signal-to-noise ratios, types."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from enfold.errors import EnfoldError

__all__ = ["EMAModel", "cast_training_params", "compute_snr"]


def compute_snr(noise_scheduler: Any, timesteps: Tensor) -> Tensor:
    """Return how much stronger the signal is than the noise, squared, at each timestep: ``ᾱ / (1 - ᾱ)``.

    Args:
        noise_scheduler: a scheduler with ``alphas_cumprod``.
        timesteps: integers, any shape.

    Source: Hang et al., 2023, "Min-SNR weighting", https://arxiv.org/abs/2303.09556.

    Example:
        >>> from enfold.diffusers import DDPMScheduler
        >>> compute_snr(DDPMScheduler(), torch.tensor([0, 999])).gt(1).tolist()
        [True, False]
    """
    kept = noise_scheduler.alphas_cumprod.to(timesteps.device)[timesteps].float()
    return kept / (1.0 - kept)


def cast_training_params(model: nn.Module | list[nn.Module], dtype: torch.dtype = torch.float32) -> None:
    """Give the parameters that are trained another type, and leave the frozen ones as they are.

    Args:
        model: one, or several.
        dtype: of their trained parameters.
    """
    for one in model if isinstance(model, list) else [model]:
        for parameter in one.parameters():
            if parameter.requires_grad:
                parameter.data = parameter.to(dtype)


class EMAModel:
    """An exponential moving average of a model's weights, which draws better than the last ones.

    Args:
        parameters: of the model, or the model.
        decay: share of the average that stays at each step, once it is warm.
        min_decay: the least that stays.
        update_after_step: steps before the average begins.
        use_ema_warmup: let the share grow as ``1 - (1 + step / inv_gamma) ** -power``; without it, as
            ``(1 + step) / (10 + step)``.
        inv_gamma: see above.
        power: see above; 2/3 for long trainings, 3/4 for short ones.
        foreach: accepted; all weights are always averaged at once.
        model_cls: class of the model, for ``save_pretrained``.
        model_config: its configuration, likewise.

    Example:
        >>> layer = nn.Linear(1, 1)
        >>> average = EMAModel(layer.parameters(), decay=0.5)
        >>> average.step(layer.parameters())
        >>> average.optimization_step
        1
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter] | nn.Module,
        decay: float = 0.9999,
        min_decay: float = 0.0,
        update_after_step: int = 0,
        use_ema_warmup: bool = False,
        inv_gamma: float = 1.0,
        power: float = 2 / 3,
        foreach: bool = False,
        model_cls: Any = None,
        model_config: Any = None,
    ) -> None:
        self.shadow_params = [one.detach().clone() for one in _listed(parameters)]
        self.temp_stored_params: list[Tensor] | None = None
        self.decay, self.min_decay, self.update_after_step = decay, min_decay, update_after_step
        self.use_ema_warmup, self.inv_gamma, self.power = use_ema_warmup, inv_gamma, power
        self.optimization_step, self.cur_decay_value = 0, 0.0
        self.foreach, self.model_cls, self.model_config = foreach, model_cls, model_config

    def get_decay(self, optimization_step: int) -> float:
        """Return the share of the average that stays at a step."""
        step = max(0, optimization_step - self.update_after_step - 1)
        if step <= 0:
            return 0.0
        share = 1 - (1 + step / self.inv_gamma) ** -self.power if self.use_ema_warmup else (1 + step) / (10 + step)
        return max(min(share, self.decay), self.min_decay)

    @torch.no_grad()
    def step(self, parameters: Iterable[nn.Parameter] | nn.Module) -> None:
        """Take the present weights into the average; frozen ones are copied."""
        self.optimization_step += 1
        self.cur_decay_value = self.get_decay(self.optimization_step)
        pairs = [*zip(self.shadow_params, _listed(parameters), strict=True)]
        trained = [(mean, one) for mean, one in pairs if one.requires_grad]
        if trained:
            means = [mean for mean, _ in trained]
            torch._foreach_lerp_(means, [one.to(mean) for mean, one in trained], 1 - self.cur_decay_value)
        for mean, one in pairs:
            if not one.requires_grad:
                mean.copy_(one)

    @torch.no_grad()
    def copy_to(self, parameters: Iterable[nn.Parameter] | nn.Module) -> None:
        """Put the average into a model."""
        for mean, one in zip(self.shadow_params, _listed(parameters), strict=True):
            one.copy_(mean.to(one.device))

    def store(self, parameters: Iterable[nn.Parameter] | nn.Module) -> None:
        """Keep a model's present weights for ``restore``."""
        self.temp_stored_params = [one.detach().cpu().clone() for one in _listed(parameters)]

    @torch.no_grad()
    def restore(self, parameters: Iterable[nn.Parameter] | nn.Module) -> None:
        """Put the kept weights back."""
        if self.temp_stored_params is None:
            raise EnfoldError("there is nothing to restore: call store before copy_to")
        for kept, one in zip(self.temp_stored_params, _listed(parameters), strict=True):
            one.copy_(kept)
        self.temp_stored_params = None

    def to(self, device: Any = None, dtype: torch.dtype | None = None, non_blocking: bool = False) -> None:
        """Move the average to a device, or to a type."""
        self.shadow_params = [
            mean.to(device=device, dtype=dtype if mean.is_floating_point() else None, non_blocking=non_blocking)
            for mean in self.shadow_params
        ]

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        names = "decay min_decay optimization_step update_after_step use_ema_warmup inv_gamma power shadow_params"
        return {name: getattr(self, name) for name in names.split()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what a checkpoint keeps.

        Raises:
            EnfoldError: a value of another kind, or other weights; it names them.
        """
        own = self.state_dict()
        for name in own.keys() & state_dict.keys():
            kinds = (float, int) if isinstance(own[name], float) else (type(own[name]),)
            if not isinstance(state_dict[name], kinds):
                raise EnfoldError(f"{name} is a {type(state_dict[name]).__name__}; expected a {kinds[0].__name__}")
        weights: list[Tensor] | None = state_dict.get("shadow_params")
        if weights is not None and [one.shape for one in weights] != [one.shape for one in self.shadow_params]:
            raise EnfoldError("the averaged weights have other shapes: they are of another model")
        for name in own.keys() & state_dict.keys():
            setattr(self, name, [one.clone() for one in weights or ()] if name == "shadow_params" else state_dict[name])

    def save_pretrained(self, path: str | os.PathLike[str]) -> None:
        """Write the averaged model into a folder; its configuration keeps the average's own values."""
        if self.model_cls is None or self.model_config is None:
            raise EnfoldError("save_pretrained needs to know the model: pass model_cls and model_config to EMAModel")
        model = self.model_cls.from_config(self.model_config)
        state = self.state_dict()
        state.pop("shadow_params")
        model.register_to_config(**state)
        self.copy_to(model.parameters())
        model.save_pretrained(path)

    @classmethod
    def from_pretrained(cls, path: str | os.PathLike[str], model_cls: Any, foreach: bool = False) -> EMAModel:
        """Read what ``save_pretrained`` wrote."""
        model = model_cls.from_pretrained(path)
        made = cls(model.parameters(), model_cls=model_cls, model_config=model.config, foreach=foreach)
        made.load_state_dict(dict(model.config))
        return made


def _listed(parameters: Iterable[nn.Parameter] | nn.Module) -> list[nn.Parameter]:
    return list(parameters.parameters() if isinstance(parameters, nn.Module) else parameters)
