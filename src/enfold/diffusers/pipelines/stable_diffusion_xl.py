"""Stable Diffusion XL: two text encoders, and the sizes a picture is to look like (Podell et al., 2023,
https://arxiv.org/abs/2307.01952)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from enfold.diffusers.image_processor import PipelineImageInput
from enfold.diffusers.pipelines.latent import Masked, check_strength
from enfold.diffusers.pipelines.pipeline import PipelineError
from enfold.diffusers.pipelines.prompts import Prompt, texts_of
from enfold.diffusers.pipelines.sampling import Callbacks, retrieve_timesteps
from enfold.diffusers.pipelines.stable_diffusion_xl_base import (
    Size,
    Sizes,
    StableDiffusionXLBase,
    StableDiffusionXLPipelineOutput,
)

__all__ = [
    "StableDiffusionXLImg2ImgPipeline",
    "StableDiffusionXLInpaintPipeline",
    "StableDiffusionXLPipeline",
    "StableDiffusionXLPipelineOutput",
]


class StableDiffusionXLPipeline(StableDiffusionXLBase):
    __doc__ = (StableDiffusionXLBase.__doc__ or "").replace(
        "Base of the pipelines with SDXL's components.", "A picture from a text."
    )

    @torch.no_grad()
    def __call__(
        self,
        prompt: Prompt | None = None,
        prompt_2: Prompt | None = None,
        height: int | None = None,
        width: int | None = None,
        num_inference_steps: int = 50,
        timesteps: list[int] | None = None,
        sigmas: list[float] | None = None,
        denoising_end: float | None = None,
        guidance_scale: float = 5.0,
        negative_prompt: Prompt | None = None,
        negative_prompt_2: Prompt | None = None,
        num_images_per_prompt: int = 1,
        eta: float = 0.0,
        generator: torch.Generator | list[torch.Generator] | None = None,
        latents: Tensor | None = None,
        prompt_embeds: Tensor | None = None,
        negative_prompt_embeds: Tensor | None = None,
        pooled_prompt_embeds: Tensor | None = None,
        negative_pooled_prompt_embeds: Tensor | None = None,
        ip_adapter_image: PipelineImageInput | None = None,
        ip_adapter_image_embeds: list[Tensor] | None = None,
        output_type: str = "pil",
        return_dict: bool = True,
        cross_attention_kwargs: dict[str, Any] | None = None,
        guidance_rescale: float = 0.0,
        original_size: Size | None = None,
        crops_coords_top_left: Size = (0, 0),
        target_size: Size | None = None,
        negative_original_size: Size | None = None,
        negative_crops_coords_top_left: Size = (0, 0),
        negative_target_size: Size | None = None,
        clip_skip: int | None = None,
        callback_on_step_end: Callable[..., dict[str, Any]] | None = None,
        callback_on_step_end_tensor_inputs: list[str] | tuple[str, ...] = ("latents",),
        **kwargs: Any,
    ) -> Any:
        """Paint.

        Args:
            prompt: what to paint, one text or several.
            prompt_2: what the second encoder reads; by default the same.
            denoising_end: stop at this share of the steps, and leave the rest to a refiner.
            negative_prompt_2: what the second encoder reads of what not to paint.
            pooled_prompt_embeds: pooled states of the prompts, beside ``prompt_embeds``.
            negative_pooled_prompt_embeds: likewise.
            original_size: height and width a picture of training would have had; by default those of the pictures.
            crops_coords_top_left: what would have been cut off of it; (0, 0) centres what is shown.
            target_size: height and width told; by default those of the pictures.
            negative_original_size: the same for what not to paint, with the next two.

        The others are those of ``StableDiffusionPipeline.__call__``.
        """
        callbacks = Callbacks.of(self, callback_on_step_end, callback_on_step_end_tensor_inputs, kwargs)
        height = height or self.default_sample_size * self.vae_scale_factor
        width = width or self.default_sample_size * self.vae_scale_factor
        if height % 8 or width % 8:
            raise PipelineError(f"height and width are {height} and {width}; expected multiples of 8")
        given = texts_of(locals())
        state, count = self._begin(
            given,
            num_images_per_prompt,
            guidance_scale,
            guidance_rescale=guidance_rescale,
            clip_skip=clip_skip,
            cross_attention_kwargs=cross_attention_kwargs,
        )
        device, dtype = self._execution_device, state["prompt_embeds"].dtype
        visited, steps = retrieve_timesteps(self.scheduler, num_inference_steps, device, timesteps, sigmas)
        channels = self.unet.config.in_channels
        state["latents"] = self.prepare_latents(count, channels, height, width, dtype, device, generator, latents)
        both = negative_original_size is not None and negative_target_size is not None
        self._tell(
            state,
            Sizes(
                original_size,
                crops_coords_top_left,
                target_size,
                negative_original_size if both else None,
                negative_crops_coords_top_left if both else crops_coords_top_left,
                negative_target_size if both else None,
            ),
            count,
        )
        visited, steps = self._span(visited, steps, denoising_end)
        if hasattr(self.scheduler, "set_begin_index"):
            self.scheduler.set_begin_index(0)
        told = self._told_guidance(count, state["latents"])
        extra = self.prepare_extra_step_kwargs(generator, eta)
        painted = self._denoise(state, visited, steps, callbacks, extra, timestep_cond=told)
        return self._answer(painted, output_type, return_dict, generator)


class RefiningBase(StableDiffusionXLBase):
    """Base of the pipelines that begin with a picture.

    Args:
        requires_aesthetics_score: the UNet is told how beautiful a picture is instead of its size: refiners.

    The others are those of ``StableDiffusionXLPipeline``.
    """

    def __init__(
        self,
        vae: Any,
        text_encoder: Any,
        text_encoder_2: Any,
        tokenizer: Any,
        tokenizer_2: Any,
        unet: Any,
        scheduler: Any,
        image_encoder: Any = None,
        feature_extractor: Any = None,
        requires_aesthetics_score: bool = False,
        force_zeros_for_empty_prompt: bool = True,
        add_watermarker: bool | None = None,
    ) -> None:
        super().__init__(
            vae,
            text_encoder,
            text_encoder_2,
            tokenizer,
            tokenizer_2,
            unet,
            scheduler,
            image_encoder,
            feature_extractor,
            force_zeros_for_empty_prompt,
            add_watermarker,
        )
        self.register_to_config(requires_aesthetics_score=requires_aesthetics_score)

    def _refined(
        self,
        state: dict[str, Any],
        timesteps: Tensor,
        steps: int,
        count: int,
        callbacks: Callbacks,
        generator: Any,
        eta: float,
        output_type: str,
        return_dict: bool,
        part: Masked | None = None,
        **loop: Any,
    ) -> Any:
        """Make the steps from a picture on, and return pictures; ``loop`` is for ``_denoise``."""
        told = self._told_guidance(count, state["latents"])
        extra = self.prepare_extra_step_kwargs(generator, eta)
        painted = self._denoise(state, timesteps, steps, callbacks, extra, timestep_cond=told, **loop)
        return self._answer(painted, output_type, return_dict, generator, part)


class StableDiffusionXLImg2ImgPipeline(RefiningBase):
    """A picture from a text and a picture, or the last steps after ``StableDiffusionXLPipeline``: a refiner."""

    @torch.no_grad()
    def __call__(
        self,
        prompt: Prompt | None = None,
        prompt_2: Prompt | None = None,
        image: PipelineImageInput | None = None,
        strength: float = 0.3,
        num_inference_steps: int = 50,
        timesteps: list[int] | None = None,
        sigmas: list[float] | None = None,
        denoising_start: float | None = None,
        denoising_end: float | None = None,
        guidance_scale: float = 5.0,
        negative_prompt: Prompt | None = None,
        negative_prompt_2: Prompt | None = None,
        num_images_per_prompt: int = 1,
        eta: float = 0.0,
        generator: torch.Generator | list[torch.Generator] | None = None,
        latents: Tensor | None = None,
        prompt_embeds: Tensor | None = None,
        negative_prompt_embeds: Tensor | None = None,
        pooled_prompt_embeds: Tensor | None = None,
        negative_pooled_prompt_embeds: Tensor | None = None,
        ip_adapter_image: PipelineImageInput | None = None,
        ip_adapter_image_embeds: list[Tensor] | None = None,
        output_type: str = "pil",
        return_dict: bool = True,
        cross_attention_kwargs: dict[str, Any] | None = None,
        guidance_rescale: float = 0.0,
        original_size: Size | None = None,
        crops_coords_top_left: Size = (0, 0),
        target_size: Size | None = None,
        negative_original_size: Size | None = None,
        negative_crops_coords_top_left: Size = (0, 0),
        negative_target_size: Size | None = None,
        aesthetic_score: float = 6.0,
        negative_aesthetic_score: float = 2.5,
        clip_skip: int | None = None,
        callback_on_step_end: Callable[..., dict[str, Any]] | None = None,
        callback_on_step_end_tensor_inputs: list[str] | tuple[str, ...] = ("latents",),
        **kwargs: Any,
    ) -> Any:
        """Paint over a picture.

        Args:
            prompt: what to paint, one text or several.
            image: the picture, in any form of ``VaeImageProcessor``, or latents.
            strength: how much of it is lost, 0 to 1.
            denoising_start: share of the noise that another model has removed from ``image``; ``strength`` is not used.
            aesthetic_score: how beautiful the picture is to be, for refiners.
            negative_aesthetic_score: how beautiful what is not to be painted is.

        The others are those of ``StableDiffusionXLPipeline.__call__``.
        """
        callbacks = Callbacks.of(self, callback_on_step_end, callback_on_step_end_tensor_inputs, kwargs)
        check_strength(strength)
        given = texts_of(locals())
        state, count = self._begin(
            given,
            num_images_per_prompt,
            guidance_scale,
            guidance_rescale=guidance_rescale,
            clip_skip=clip_skip,
            cross_attention_kwargs=cross_attention_kwargs,
        )
        device, dtype = self._execution_device, state["prompt_embeds"].dtype
        pictures = self.image_processor.preprocess(image)
        _, steps = retrieve_timesteps(self.scheduler, num_inference_steps, device, timesteps, sigmas)
        visited, steps = self.get_timesteps(steps, strength, device, denoising_start)
        if latents is None:
            noisy = visited[:1].repeat(count) if denoising_start is None else None
            latents = self._drawn_over(pictures, noisy, count, dtype, device, generator)
        state["latents"] = latents
        sizes = Sizes(
            original_size,
            crops_coords_top_left,
            target_size,
            negative_original_size,
            negative_crops_coords_top_left,
            negative_target_size,
            aesthetic_score,
            negative_aesthetic_score,
        )
        self._tell(state, sizes, count)
        visited, steps = self._span(visited, steps, denoising_end)
        return self._refined(state, visited, steps, count, callbacks, generator, eta, output_type, return_dict)


class StableDiffusionXLInpaintPipeline(RefiningBase):
    """A part of a picture painted anew, by a UNet for inpainting (9 channels) or any other (4)."""

    _callback_tensor_inputs = [*StableDiffusionXLBase._callback_tensor_inputs, "mask", "masked_image_latents"]

    @torch.no_grad()
    def __call__(
        self,
        prompt: Prompt | None = None,
        prompt_2: Prompt | None = None,
        image: PipelineImageInput | None = None,
        mask_image: PipelineImageInput | None = None,
        masked_image_latents: Tensor | None = None,
        height: int | None = None,
        width: int | None = None,
        padding_mask_crop: int | None = None,
        strength: float = 0.9999,
        num_inference_steps: int = 50,
        timesteps: list[int] | None = None,
        sigmas: list[float] | None = None,
        denoising_start: float | None = None,
        denoising_end: float | None = None,
        guidance_scale: float = 7.5,
        negative_prompt: Prompt | None = None,
        negative_prompt_2: Prompt | None = None,
        num_images_per_prompt: int = 1,
        eta: float = 0.0,
        generator: torch.Generator | list[torch.Generator] | None = None,
        latents: Tensor | None = None,
        prompt_embeds: Tensor | None = None,
        negative_prompt_embeds: Tensor | None = None,
        pooled_prompt_embeds: Tensor | None = None,
        negative_pooled_prompt_embeds: Tensor | None = None,
        ip_adapter_image: PipelineImageInput | None = None,
        ip_adapter_image_embeds: list[Tensor] | None = None,
        output_type: str = "pil",
        return_dict: bool = True,
        cross_attention_kwargs: dict[str, Any] | None = None,
        guidance_rescale: float = 0.0,
        original_size: Size | None = None,
        crops_coords_top_left: Size = (0, 0),
        target_size: Size | None = None,
        negative_original_size: Size | None = None,
        negative_crops_coords_top_left: Size = (0, 0),
        negative_target_size: Size | None = None,
        aesthetic_score: float = 6.0,
        negative_aesthetic_score: float = 2.5,
        clip_skip: int | None = None,
        callback_on_step_end: Callable[..., dict[str, Any]] | None = None,
        callback_on_step_end_tensor_inputs: list[str] | tuple[str, ...] = ("latents",),
        **kwargs: Any,
    ) -> Any:
        """Paint what a mask shows.

        Args:
            prompt: what to paint, one text or several.
            image: the picture.
            mask_image: white where it is painted anew.
            masked_image_latents: latents of the picture without that part, instead of computing them.
            padding_mask_crop: paint only the masked part; see ``StableDiffusionInpaintPipeline.__call__``.
            strength: how much of the masked part is lost, 0 to 1.

        The others are those of ``StableDiffusionXLImg2ImgPipeline.__call__``.
        """
        callbacks = Callbacks.of(self, callback_on_step_end, callback_on_step_end_tensor_inputs, kwargs)
        check_strength(strength)
        if image is None or mask_image is None:
            raise PipelineError("inpainting needs an image and a mask_image")
        height = height or self.default_sample_size * self.vae_scale_factor
        width = width or self.default_sample_size * self.vae_scale_factor
        given = texts_of(locals())
        state, count = self._begin(
            given,
            num_images_per_prompt,
            guidance_scale,
            guidance_rescale=guidance_rescale,
            clip_skip=clip_skip,
            cross_attention_kwargs=cross_attention_kwargs,
        )
        device = self._execution_device
        _, steps = retrieve_timesteps(self.scheduler, num_inference_steps, device, timesteps, sigmas)
        visited, steps = self.get_timesteps(steps, strength, device, denoising_start)
        part = Masked(self, image, mask_image, height, width, padding_mask_crop, output_type)
        after, more_input = part.prepare(
            state,
            visited,
            count,
            strength,
            generator,
            latents=latents,
            seen=masked_image_latents,
            noisy=denoising_start is None,
        )
        sizes = Sizes(
            original_size,
            crops_coords_top_left,
            target_size,
            negative_original_size,
            negative_crops_coords_top_left,
            negative_target_size,
            aesthetic_score,
            negative_aesthetic_score,
        )
        self._tell(state, sizes, count)
        visited, steps = self._span(visited, steps, denoising_end)
        return self._refined(
            state,
            visited,
            steps,
            count,
            callbacks,
            generator,
            eta,
            output_type,
            return_dict,
            part,
            after=after,
            more_input=more_input,
        )
