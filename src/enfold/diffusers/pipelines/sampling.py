"""The loop that all pipelines share: guidance, one step after the other, and what is called after each."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from enfold.diffusers.models.steady import steady
from enfold.diffusers.pipelines.pipeline import DiffusionPipeline, PipelineError
from enfold.diffusers.utils.torch_utils import randn_tensor
from enfold.errors import nearest

__all__ = ["Callbacks", "GuidedPipeline", "rescale_noise_cfg", "retrieve_latents", "retrieve_timesteps"]


def rescale_noise_cfg(noise_cfg: Tensor, noise_pred_text: Tensor, guidance_rescale: float = 0.0) -> Tensor:
    """Give a guided prediction the spread of the unguided one (Lin et al., 2023, section 3.4).

    Args:
        noise_cfg: the guided prediction, (B, …).
        noise_pred_text: the one for the text.
        guidance_rescale: how far, 0 to 1.
    """
    dims = list(range(1, noise_cfg.ndim))
    rescaled = noise_cfg * (noise_pred_text.std(dims, keepdim=True) / noise_cfg.std(dims, keepdim=True))
    return guidance_rescale * rescaled + (1 - guidance_rescale) * noise_cfg


def retrieve_timesteps(
    scheduler: Any,
    num_inference_steps: int | None = None,
    device: str | torch.device | None = None,
    timesteps: list[int] | None = None,
    sigmas: list[float] | None = None,
    **kwargs: Any,
) -> tuple[Tensor, int]:
    """Choose a scheduler's timesteps, by number or themselves; return them and how many steps there are.

    Raises:
        PipelineError: the scheduler cannot take what was chosen.
    """
    if timesteps is not None and sigmas is not None:
        raise PipelineError("give either timesteps or sigmas")
    takes = inspect.signature(scheduler.set_timesteps).parameters
    for name, value in (("timesteps", timesteps), ("sigmas", sigmas)):
        if value is not None:
            if name not in takes:
                raise PipelineError(f"{type(scheduler).__name__} takes no {name}; give num_inference_steps")
            scheduler.set_timesteps(device=device, **{name: value}, **kwargs)
            return scheduler.timesteps, len(scheduler.timesteps)
    assert num_inference_steps is not None
    scheduler.set_timesteps(num_inference_steps, device=device, **kwargs)
    return scheduler.timesteps, num_inference_steps


def retrieve_latents(
    encoder_output: Any, generator: torch.Generator | None = None, sample_mode: str = "sample"
) -> Tensor:
    """Return the latents of what an autoencoder's ``encode`` gave: drawn ones, or ("argmax") the likeliest."""
    if hasattr(encoder_output, "latent_dist"):
        posterior = encoder_output.latent_dist
        return posterior.sample(generator) if sample_mode == "sample" else posterior.mode()  # type: ignore[no-any-return]
    found: Tensor = encoder_output.latents
    return found


class Callbacks:
    """What a caller wants to be called after each step.

    Args:
        on_step_end: called with the pipeline, the step, its timestep and the named tensors; those it returns take the
            place of the present ones.
        names: of these tensors.
        legacy: the older form: called with the step, its timestep and the latents.
        every: how often that one is called, in steps.
    """

    def __init__(self, on_step_end: Any, names: Sequence[str], legacy: Any = None, every: int | None = None) -> None:
        self.on_step_end, self.names = on_step_end, list(getattr(on_step_end, "tensor_inputs", names))
        self.legacy, self.every = legacy, every

    @classmethod
    def of(cls, pipe: DiffusionPipeline, on_step_end: Any, names: Sequence[str], kwargs: dict[str, Any]) -> Callbacks:
        """Check a pipeline's arguments about callbacks; ``kwargs`` holds the older ones, and nothing else."""
        legacy, every = kwargs.pop("callback", None), kwargs.pop("callback_steps", None)
        if kwargs:
            known = [*inspect.signature(pipe.__call__).parameters, "callback", "callback_steps"]  # type: ignore[operator]
            raise PipelineError(
                "; ".join(f"{type(pipe).__name__} takes no {name!r}{nearest(name, known)}" for name in kwargs)
            )
        if every is not None and (not isinstance(every, int) or every <= 0):
            raise PipelineError(f"callback_steps is {every!r}; expected a number of steps above 0")
        made = cls(on_step_end, names, legacy, every or 1)
        strange = [name for name in made.names if name not in pipe._callback_tensor_inputs]
        if strange:
            raise PipelineError(
                f"callback_on_step_end_tensor_inputs names {', '.join(strange)}; this pipeline has "
                f"{', '.join(pipe._callback_tensor_inputs)}"
            )
        return made

    def after(self, pipe: Any, step: int, timestep: Tensor, state: dict[str, Any]) -> None:
        """Call them; ``state`` takes what they return."""
        if self.on_step_end is not None:
            returned = self.on_step_end(pipe, step, timestep, {name: state[name] for name in self.names})
            state.update({name: value for name, value in (returned or {}).items() if name in state})
        if self.legacy is not None and step % (self.every or 1) == 0:
            self.legacy(step // getattr(pipe.scheduler, "order", 1), timestep, state["latents"])


class GuidedPipeline(DiffusionPipeline):
    """Base of pipelines that are guided by a text: what one call remembers, and the loop."""

    _guidance_scale: float = 1.0
    _guidance_rescale: float = 0.0
    _clip_skip: int | None = None
    _cross_attention_kwargs: dict[str, Any] | None = None
    _interrupt: bool = False
    _num_timesteps: int = 0

    @property
    def guidance_scale(self) -> float:
        """How far predictions are moved from those without the text to those with it."""
        return self._guidance_scale

    @property
    def guidance_rescale(self) -> float:
        """How far guided predictions are given the spread of unguided ones."""
        return self._guidance_rescale

    @property
    def clip_skip(self) -> int | None:
        """How many of the text encoder's last layers are left out."""
        return self._clip_skip

    @property
    def do_classifier_free_guidance(self) -> bool:
        """Whether predictions are made with and without the text; a distilled model is told the scale instead."""
        return self._guidance_scale > 1 and self.unet.config.time_cond_proj_dim is None

    @property
    def cross_attention_kwargs(self) -> dict[str, Any] | None:
        """What attention's processors are given."""
        return self._cross_attention_kwargs

    @property
    def num_timesteps(self) -> int:
        """How many timesteps the call visits."""
        return self._num_timesteps

    @property
    def interrupt(self) -> bool:
        """Set ``pipe._interrupt = True`` in a callback to make no further step."""
        return self._interrupt

    def prepare_extra_step_kwargs(self, generator: Any, eta: float) -> dict[str, Any]:
        """Return those of two arguments that the scheduler's ``step`` takes."""
        takes = inspect.signature(self.scheduler.step).parameters
        return {name: value for name, value in (("eta", eta), ("generator", generator)) if name in takes}

    def get_guidance_scale_embedding(
        self, w: Tensor, embedding_dim: int = 512, dtype: torch.dtype = torch.float32
    ) -> Tensor:
        """Return what a distilled model is told a guidance scale by: sines and cosines, (B, embedding_dim)."""
        from enfold.diffusers.models.blocks import get_timestep_embedding

        return get_timestep_embedding(w * 1000.0, embedding_dim).to(dtype)

    def _told_guidance(self, count: int, like: Tensor) -> Tensor | None:
        """Return the embedding of the guidance scale for a model that is told it."""
        width = self.unet.config.time_cond_proj_dim
        if width is None:
            return None
        scales = torch.tensor(self.guidance_scale - 1).repeat(count)
        return self.get_guidance_scale_embedding(scales, width).to(like)

    def get_timesteps(self, num_inference_steps: int, strength: float, device: Any = None) -> tuple[Tensor, int]:
        """Return the last part of the schedule, as much of it as ``strength`` says, and how many steps it has."""
        begin = max(num_inference_steps - min(int(num_inference_steps * strength), num_inference_steps), 0)
        first = begin * self.scheduler.order
        if hasattr(self.scheduler, "set_begin_index"):
            self.scheduler.set_begin_index(first)
        return self.scheduler.timesteps[first:], num_inference_steps - begin

    def _repeated(self, image: Tensor, count: int, what: str) -> Tensor:
        """Return as many pictures as there are to paint."""
        if count % image.shape[0]:
            raise PipelineError(
                f"{image.shape[0]} {what} for {count} pictures; expected one, or a divisor of their number"
            )
        return image.repeat(count // image.shape[0], *[1] * (image.dim() - 1))

    def _added(self, state: dict[str, Any]) -> dict[str, Any] | None:
        """Return what the UNet is conditioned on besides the text."""
        return state.get("added_cond_kwargs")

    def _noise(self, shape: Sequence[int], generator: Any, device: Any, dtype: torch.dtype) -> Tensor:
        if isinstance(generator, list) and len(generator) != shape[0]:
            raise PipelineError(f"{len(generator)} generators for {shape[0]} pictures; expected one, or one for each")
        return randn_tensor(shape, generator=generator, device=device, dtype=dtype)

    def prepare_latents(
        self,
        batch_size: int,
        num_channels_latents: int,
        height: int,
        width: int,
        dtype: torch.dtype,
        device: Any,
        generator: Any,
        latents: Tensor | None = None,
    ) -> Tensor:
        """Return the noise that a picture begins with.

        Args:
            batch_size: how many pictures.
            num_channels_latents: channels of latents.
            height: of the pictures.
            width: of the pictures.
            dtype: of the latents.
            device: where they go.
            generator: one, or one for each picture.
            latents: the noise itself instead, before it is scaled.
        """
        shape = (batch_size, num_channels_latents, height // self.vae_scale_factor, width // self.vae_scale_factor)
        if latents is None:
            latents = self._noise(shape, generator, device, dtype)
        elif tuple(latents.shape) != shape:
            raise PipelineError(
                f"latents are {tuple(latents.shape)}; {batch_size} pictures of {height} × {width} need {shape}"
            )
        return latents.to(device) * getattr(self.scheduler, "init_noise_sigma", 1.0)  # a flow's noise is not scaled

    def _denoise(
        self,
        state: dict[str, Any],
        timesteps: Tensor,
        steps: int,
        callbacks: Callbacks,
        extra: dict[str, Any],
        *,
        timestep_cond: Tensor | None = None,
        more_input: Callable[[Tensor], Tensor] | None = None,
        more_given: Callable[[int, Tensor, Tensor], dict[str, Any]] | None = None,
        after: Callable[[int], None] | None = None,
    ) -> Tensor:
        """Make all steps.

        Args:
            state: ``latents``, ``prompt_embeds`` (without and with the text, one after the other, when guided), and
                what callbacks may see and change besides.
            timesteps: those that are visited.
            steps: how many steps the progress bar counts.
            callbacks: what is called after each.
            extra: for the scheduler's ``step``.
            timestep_cond: what a distilled model is told.
            more_input: what the model is given besides latents, joined to them.
            more_given: further arguments of the model, for the step, its timestep and the model's input.
            after: called with the step when the latents of the next are there.

        Returns:
            The last latents.
        """
        order = getattr(self.scheduler, "order", 1)
        warmup = len(timesteps) - steps * order
        self._num_timesteps = len(timesteps)
        with self.progress_bar(total=steps) as bar, steady(self.unet, getattr(self, "controlnet", None)):
            for i, t in enumerate(timesteps):
                if self._interrupt:
                    continue
                guided = self.do_classifier_free_guidance
                latents = state["latents"]
                given = self.scheduler.scale_model_input(torch.cat([latents] * 2) if guided else latents, t)
                predicted = self.unet(
                    given if more_input is None else more_input(given),
                    t,
                    encoder_hidden_states=state["prompt_embeds"],
                    timestep_cond=timestep_cond,
                    cross_attention_kwargs=self._cross_attention_kwargs,
                    added_cond_kwargs=self._added(state),
                    return_dict=False,
                    **(more_given(i, t, given) if more_given is not None else {}),
                )[0]
                if guided:
                    without, with_text = predicted.chunk(2)
                    predicted = without + self._guidance_scale * (with_text - without)
                    if self._guidance_rescale > 0:
                        predicted = rescale_noise_cfg(predicted, with_text, self._guidance_rescale)
                state["latents"] = self.scheduler.step(predicted, t, latents, **extra, return_dict=False)[0]
                if after is not None:
                    after(i)
                if i == len(timesteps) - 1 or (i + 1 > warmup and (i + 1) % order == 0):
                    bar.update()
                    callbacks.after(self, i, t, state)
                elif callbacks.on_step_end is not None:
                    Callbacks(callbacks.on_step_end, callbacks.names).after(self, i, t, state)
        found: Tensor = state["latents"]
        return found
