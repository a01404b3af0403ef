"""Stable Diffusion: a picture from a text, from a text and a picture, or in a part of one (Rombach et al., 2022)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from enfold.diffusers.image_processor import PipelineImageInput
from enfold.diffusers.loaders.ip_adapter import IPAdapterMixin
from enfold.diffusers.loaders.lora import LoraMixin
from enfold.diffusers.loaders.single_file import SingleFilePipelineMixin
from enfold.diffusers.loaders.textual_inversion import TextualInversionMixin
from enfold.diffusers.pipelines.latent import LatentPipeline, Masked, check_strength
from enfold.diffusers.pipelines.pipeline import PipelineError
from enfold.diffusers.pipelines.prompts import Prompt, PromptsMixin, check_prompts, joined, texts_of
from enfold.diffusers.pipelines.sampling import Callbacks, retrieve_timesteps
from enfold.log import get_logger
from enfold.nn.outputs import ModelOutput

__all__ = [
    "StableDiffusionImg2ImgPipeline",
    "StableDiffusionInpaintPipeline",
    "StableDiffusionPipeline",
    "StableDiffusionPipelineOutput",
]

logger = get_logger(__name__)


@dataclass
class StableDiffusionPipelineOutput(ModelOutput):
    """Pictures, and for each whether the safety checker found something (None without one)."""

    images: Any = None
    nsfw_content_detected: list[bool] | None = None


class StableDiffusionBase(
    LoraMixin, TextualInversionMixin, IPAdapterMixin, SingleFilePipelineMixin, PromptsMixin, LatentPipeline
):
    """Base of the pipelines with Stable Diffusion's components.

    Args:
        vae: pictures to latents and back.
        text_encoder: a CLIP text encoder.
        tokenizer: its tokenizer.
        unet: predicts from noisy latents.
        scheduler: how noise is removed.
        safety_checker: makes pictures black; None does without.
        feature_extractor: prepares pictures for it, and for ``image_encoder``.
        image_encoder: for adapters that look at a picture.
        requires_safety_checker: warn when there is none.
    """

    model_cpu_offload_seq = "text_encoder->image_encoder->unet->vae"
    _optional_components = ["safety_checker", "feature_extractor", "image_encoder"]
    _exclude_from_cpu_offload = ["safety_checker"]
    _callback_tensor_inputs = ["latents", "prompt_embeds", "negative_prompt_embeds"]

    def __init__(
        self,
        vae: Any,
        text_encoder: Any,
        tokenizer: Any,
        unet: Any,
        scheduler: Any,
        safety_checker: Any,
        feature_extractor: Any,
        image_encoder: Any = None,
        requires_safety_checker: bool = True,
    ) -> None:
        self._take_scheduler(scheduler)
        if safety_checker is None and requires_safety_checker:
            logger.warning(
                "safety_checker is None: pictures are returned as they are; its licence asks you to look at them"
            )
        if safety_checker is not None and feature_extractor is None:
            raise PipelineError("safety_checker needs a feature_extractor; pass one, or safety_checker=None")
        self.register_modules(
            vae=vae,
            text_encoder=text_encoder,
            tokenizer=tokenizer,
            unet=unet,
            scheduler=scheduler,
            safety_checker=safety_checker,
            feature_extractor=feature_extractor,
            image_encoder=image_encoder,
        )
        self.register_to_config(requires_safety_checker=requires_safety_checker)
        self._measure()

    @staticmethod
    def _take_scheduler(scheduler: Any) -> None:
        """Correct what the first published configurations left at a wrong default."""
        if scheduler is not None and scheduler.config.get("steps_offset", 1) != 1:
            scheduler.register_to_config(steps_offset=1)
        if scheduler is not None and scheduler.config.get("clip_sample", False) is True:
            scheduler.register_to_config(clip_sample=False)

    def _size(self, height: int | None, width: int | None) -> tuple[int, int]:
        own = self.unet.config.sample_size
        high, wide = own if isinstance(own, list | tuple) else (own, own)
        height, width = height or high * self.vae_scale_factor, width or wide * self.vae_scale_factor
        if height % 8 or width % 8:
            raise PipelineError(f"height and width are {height} and {width}; expected multiples of 8")
        return height, width

    def _begin(
        self,
        given: dict[str, Any],
        images: int,
        guidance_scale: float,
        *,
        guidance_rescale: float = 0.0,
        clip_skip: int | None = None,
        cross_attention_kwargs: dict[str, Any] | None = None,
    ) -> tuple[dict[str, Any], int]:
        """Check and encode prompts, and pictures of adapters; return the loop's state and the number of pictures."""
        pictures = {name: given.pop(name, None) for name in ("ip_adapter_image", "ip_adapter_image_embeds")}
        count = check_prompts(self, **given) * images
        self._guidance_scale, self._guidance_rescale = guidance_scale, guidance_rescale
        self._clip_skip, self._cross_attention_kwargs, self._interrupt = clip_skip, cross_attention_kwargs, False
        device = self._execution_device
        embeds, negative = self.encode_prompt(
            given["prompt"],
            device,
            images,
            self.do_classifier_free_guidance,
            given.get("negative_prompt"),
            prompt_embeds=given.get("prompt_embeds"),
            negative_prompt_embeds=given.get("negative_prompt_embeds"),
            lora_scale=(cross_attention_kwargs or {}).get("scale"),
            clip_skip=clip_skip,
        )
        state: dict[str, Any] = {"prompt_embeds": embeds, "negative_prompt_embeds": negative}
        if self.do_classifier_free_guidance:
            state["prompt_embeds"] = joined(embeds, negative)
        if any(picture is not None for picture in pictures.values()):
            seen = self.prepare_ip_adapter_image_embeds(
                **pictures,
                device=device,
                num_images_per_prompt=count,
                do_classifier_free_guidance=self.do_classifier_free_guidance,
            )
            state["added_cond_kwargs"] = {"image_embeds": seen}
        return state, count

    def _answer(
        self, latents: Tensor, output_type: str, return_dict: bool, state: dict[str, Any], generator: Any
    ) -> Any:
        images, found = self._finish(latents, output_type, state["prompt_embeds"].dtype, generator)
        self.maybe_free_model_hooks()
        return StableDiffusionPipelineOutput(images, found) if return_dict else (images, found)


class StableDiffusionPipeline(StableDiffusionBase):
    __doc__ = (StableDiffusionBase.__doc__ or "").replace(
        "Base of the pipelines with Stable Diffusion's components.", "A picture from a text."
    )

    @torch.no_grad()
    def __call__(
        self,
        prompt: Prompt | None = None,
        height: int | None = None,
        width: int | None = None,
        num_inference_steps: int = 50,
        timesteps: list[int] | None = None,
        sigmas: list[float] | None = None,
        guidance_scale: float = 7.5,
        negative_prompt: Prompt | None = None,
        num_images_per_prompt: int = 1,
        eta: float = 0.0,
        generator: torch.Generator | list[torch.Generator] | None = None,
        latents: Tensor | None = None,
        prompt_embeds: Tensor | None = None,
        negative_prompt_embeds: Tensor | None = None,
        ip_adapter_image: PipelineImageInput | None = None,
        ip_adapter_image_embeds: list[Tensor] | None = None,
        output_type: str = "pil",
        return_dict: bool = True,
        cross_attention_kwargs: dict[str, Any] | None = None,
        guidance_rescale: float = 0.0,
        clip_skip: int | None = None,
        callback_on_step_end: Callable[..., dict[str, Any]] | None = None,
        callback_on_step_end_tensor_inputs: list[str] | tuple[str, ...] = ("latents",),
        **kwargs: Any,
    ) -> Any:
        """Paint.

        Args:
            prompt: what to paint, one text or several.
            height: of the pictures; by default what the model was trained on.
            width: likewise.
            num_inference_steps: more take longer and are finer.
            timesteps: those that are visited themselves, falling, instead.
            sigmas: noise levels instead.
            guidance_scale: above 1 pictures follow the prompt more closely, and vary less.
            negative_prompt: what not to paint.
            num_images_per_prompt: how many pictures of each.
            eta: share of noise in each step, for DDIM.
            generator: makes pictures repeatable; one, or one for each picture.
            latents: the noise pictures begin with, (B, channels, height / 8, width / 8).
            prompt_embeds: states of the prompts instead of these.
            negative_prompt_embeds: likewise.
            ip_adapter_image: pictures that an adapter looks at.
            ip_adapter_image_embeds: their embeddings instead.
            output_type: "pil", "np", "pt" or "latent".
            return_dict: return a ``StableDiffusionPipelineOutput`` instead of a tuple.
            cross_attention_kwargs: for attention's processors; ``scale`` weighs adapters.
            guidance_rescale: how far guided predictions get the spread of unguided ones.
            clip_skip: how many of the text encoder's last layers are left out.
            callback_on_step_end: called after each step with the pipeline, the step, its timestep and the named
                tensors; returned ones take their place.
            callback_on_step_end_tensor_inputs: which tensors.
            kwargs: ``callback`` and ``callback_steps``, the older form.

        Returns:
            ``images`` and ``nsfw_content_detected``.
        """
        callbacks = Callbacks.of(self, callback_on_step_end, callback_on_step_end_tensor_inputs, kwargs)
        height, width = self._size(height, width)
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
        told = self._told_guidance(count, state["latents"])
        extra = self.prepare_extra_step_kwargs(generator, eta)
        painted = self._denoise(state, visited, steps, callbacks, extra, timestep_cond=told)
        return self._answer(painted, output_type, return_dict, state, generator)


class StableDiffusionImg2ImgPipeline(StableDiffusionBase):
    __doc__ = (StableDiffusionBase.__doc__ or "").replace(
        "Base of the pipelines with Stable Diffusion's components.", "A picture from a text and a picture."
    )

    @torch.no_grad()
    def __call__(
        self,
        prompt: Prompt | None = None,
        image: PipelineImageInput | None = None,
        strength: float = 0.8,
        num_inference_steps: int = 50,
        timesteps: list[int] | None = None,
        sigmas: list[float] | None = None,
        guidance_scale: float = 7.5,
        negative_prompt: Prompt | None = None,
        num_images_per_prompt: int = 1,
        eta: float = 0.0,
        generator: torch.Generator | list[torch.Generator] | None = None,
        prompt_embeds: Tensor | None = None,
        negative_prompt_embeds: Tensor | None = None,
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
            image: the picture, in any form of ``VaeImageProcessor``, or latents.
            strength: how much of the picture is lost, 0 to 1; that share of the steps is made.

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
        _, steps = retrieve_timesteps(self.scheduler, num_inference_steps, device, timesteps, sigmas)
        visited, steps = self.get_timesteps(steps, strength, device)
        state["latents"] = self._drawn_over(pictures, visited[:1].repeat(count), count, dtype, device, generator)
        told = self._told_guidance(count, state["latents"])
        extra = self.prepare_extra_step_kwargs(generator, eta)
        painted = self._denoise(state, visited, steps, callbacks, extra, timestep_cond=told)
        return self._answer(painted, output_type, return_dict, state, generator)


class StableDiffusionInpaintPipeline(StableDiffusionBase):
    __doc__ = (StableDiffusionBase.__doc__ or "").replace(
        "Base of the pipelines with Stable Diffusion's components.",
        "A part of a picture painted anew, by a UNet for inpainting (9 channels) or any other (4).",
    )
    _callback_tensor_inputs = ["latents", "prompt_embeds", "negative_prompt_embeds", "mask", "masked_image_latents"]

    @torch.no_grad()
    def __call__(
        self,
        prompt: Prompt | None = None,
        image: PipelineImageInput | None = None,
        mask_image: PipelineImageInput | None = None,
        masked_image_latents: Tensor | None = None,
        height: int | None = None,
        width: int | None = None,
        padding_mask_crop: int | None = None,
        strength: float = 1.0,
        num_inference_steps: int = 50,
        timesteps: list[int] | None = None,
        sigmas: list[float] | None = None,
        guidance_scale: float = 7.5,
        negative_prompt: Prompt | None = None,
        num_images_per_prompt: int = 1,
        eta: float = 0.0,
        generator: torch.Generator | list[torch.Generator] | None = None,
        latents: Tensor | None = None,
        prompt_embeds: Tensor | None = None,
        negative_prompt_embeds: Tensor | None = None,
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
        """Paint what a mask shows.

        Args:
            prompt: what to paint, one text or several.
            image: the picture.
            mask_image: white where it is painted anew.
            masked_image_latents: latents of the picture without that part, instead of computing them.
            height: of the result; by default what the model was trained on.
            width: likewise.
            padding_mask_crop: paint only the masked part, with so many pixels around it, as large as the result, and
                lay it into the picture.
            strength: how much of the masked part is lost, 0 to 1.

        The others are those of ``StableDiffusionPipeline.__call__``.
        """
        callbacks = Callbacks.of(self, callback_on_step_end, callback_on_step_end_tensor_inputs, kwargs)
        check_strength(strength)
        if image is None or mask_image is None:
            raise PipelineError("inpainting needs an image and a mask_image")
        height, width = self._size(height, width)
        given = texts_of(locals())
        state, count = self._begin(
            given,
            num_images_per_prompt,
            guidance_scale,
            clip_skip=clip_skip,
            cross_attention_kwargs=cross_attention_kwargs,
        )
        device = self._execution_device
        _, steps = retrieve_timesteps(self.scheduler, num_inference_steps, device, timesteps, sigmas)
        visited, steps = self.get_timesteps(steps, strength, device)
        part = Masked(self, image, mask_image, height, width, padding_mask_crop, output_type)
        after, more_input = part.prepare(
            state, visited, count, strength, generator, latents=latents, seen=masked_image_latents
        )
        told = self._told_guidance(count, state["latents"])
        extra = self.prepare_extra_step_kwargs(generator, eta)
        painted = self._denoise(
            state, visited, steps, callbacks, extra, timestep_cond=told, after=after, more_input=more_input
        )
        images, found = self._finish(painted, output_type, state["prompt_embeds"].dtype, generator)
        images = part.laid_back(images)
        self.maybe_free_model_hooks()
        return StableDiffusionPipelineOutput(images, found) if return_dict else (images, found)
