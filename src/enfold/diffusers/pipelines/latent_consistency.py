"""Latent consistency models: Stable Diffusion in four steps (Luo et al., 2023, https://arxiv.org/abs/2310.04378)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from enfold.diffusers.image_processor import PipelineImageInput
from enfold.diffusers.pipelines.latent import check_strength
from enfold.diffusers.pipelines.prompts import Prompt, texts_of
from enfold.diffusers.pipelines.sampling import Callbacks, retrieve_timesteps
from enfold.diffusers.pipelines.stable_diffusion import StableDiffusionBase

__all__ = ["LatentConsistencyModelImg2ImgPipeline", "LatentConsistencyModelPipeline"]


class ConsistentBase(StableDiffusionBase):
    """Base of both: the model is told how far to follow the prompt, so that one prediction is enough for each step."""

    _callback_tensor_inputs = ["latents", "denoised", "prompt_embeds", "w_embedding"]

    @property
    def do_classifier_free_guidance(self) -> bool:
        """Never: the model is told the scale."""
        return False


class LatentConsistencyModelPipeline(ConsistentBase):
    """A picture from a text, in a few steps."""

    @torch.no_grad()
    def __call__(
        self,
        prompt: Prompt | None = None,
        height: int | None = None,
        width: int | None = None,
        num_inference_steps: int = 4,
        original_inference_steps: int | None = None,
        timesteps: list[int] | None = None,
        guidance_scale: float = 8.5,
        num_images_per_prompt: int = 1,
        generator: torch.Generator | list[torch.Generator] | None = None,
        latents: Tensor | None = None,
        prompt_embeds: Tensor | None = None,
        ip_adapter_image: PipelineImageInput | None = None,
        ip_adapter_image_embeds: list[Tensor] | None = None,
        output_type: str = "pil",
        return_dict: bool = True,
        cross_attention_kwargs: dict[str, Any] | None = None,
        clip_skip: int | None = None,
        callback_on_step_end: Callable[..., dict[str, Any]] | None = None,
        callback_on_step_end_tensor_inputs: list[str] | tuple[str, ...] = ("latents",),
        **kwargs: Any,
    ) -> Any:
        """Paint.

        Args:
            prompt: what to paint, one text or several.
            original_inference_steps: steps of the schedule the model was distilled on; by default the scheduler's.

        The others are those of ``StableDiffusionPipeline.__call__``.
        """
        callbacks = Callbacks.of(self, callback_on_step_end, callback_on_step_end_tensor_inputs, kwargs)
        height, width = self._size(height, width)
        given = texts_of(locals())
        state, count = self._begin(
            given,
            num_images_per_prompt,
            guidance_scale,
            clip_skip=clip_skip,
            cross_attention_kwargs=cross_attention_kwargs,
        )
        device, dtype = self._execution_device, state["prompt_embeds"].dtype
        visited, steps = retrieve_timesteps(
            self.scheduler,
            num_inference_steps,
            device,
            timesteps,
            original_inference_steps=original_inference_steps,
        )
        channels = self.unet.config.in_channels
        state["latents"] = self.prepare_latents(count, channels, height, width, dtype, device, generator, latents)
        told = self._told_guidance(count, state["latents"])
        extra = self.prepare_extra_step_kwargs(generator, 0.0)
        painted = self._denoise(state, visited, steps, callbacks, extra, timestep_cond=told)
        return self._answer(painted, output_type, return_dict, state, generator)


class LatentConsistencyModelImg2ImgPipeline(ConsistentBase):
    """A picture from a text and a picture, in a few steps."""

    @torch.no_grad()
    def __call__(
        self,
        prompt: Prompt | None = None,
        image: PipelineImageInput | None = None,
        num_inference_steps: int = 4,
        strength: float = 0.8,
        original_inference_steps: int | None = None,
        timesteps: list[int] | None = None,
        guidance_scale: float = 8.5,
        num_images_per_prompt: int = 1,
        generator: torch.Generator | list[torch.Generator] | None = None,
        latents: Tensor | None = None,
        prompt_embeds: Tensor | None = None,
        ip_adapter_image: PipelineImageInput | None = None,
        ip_adapter_image_embeds: list[Tensor] | None = None,
        output_type: str = "pil",
        return_dict: bool = True,
        cross_attention_kwargs: dict[str, Any] | None = None,
        clip_skip: int | None = None,
        callback_on_step_end: Callable[..., dict[str, Any]] | None = None,
        callback_on_step_end_tensor_inputs: list[str] | tuple[str, ...] = ("latents",),
        **kwargs: Any,
    ) -> Any:
        """Paint over a picture.

        Args:
            prompt: what to paint, one text or several.
            image: the picture.
            strength: how much of it is lost, 0 to 1.
            original_inference_steps: steps of the schedule the model was distilled on; by default the scheduler's.
            latents: what is painted over instead of the picture's.

        The others are those of ``StableDiffusionPipeline.__call__``.
        """
        callbacks = Callbacks.of(self, callback_on_step_end, callback_on_step_end_tensor_inputs, kwargs)
        check_strength(strength)
        given = texts_of(locals())
        state, count = self._begin(
            given,
            num_images_per_prompt,
            guidance_scale,
            clip_skip=clip_skip,
            cross_attention_kwargs=cross_attention_kwargs,
        )
        device, dtype = self._execution_device, state["prompt_embeds"].dtype
        pictures = self.image_processor.preprocess(image)
        first = self.scheduler.config.original_inference_steps
        visited, steps = retrieve_timesteps(
            self.scheduler,
            num_inference_steps,
            device,
            timesteps,
            original_inference_steps=original_inference_steps or first,
            strength=strength,
        )
        if latents is None:
            latents = self._drawn_over(pictures, visited[:1].repeat(count), count, dtype, device, generator)
        state["latents"] = latents
        told = self._told_guidance(count, state["latents"])
        extra = self.prepare_extra_step_kwargs(generator, 0.0)
        painted = self._denoise(state, visited, steps, callbacks, extra, timestep_cond=told)
        return self._answer(painted, output_type, return_dict, state, generator)
