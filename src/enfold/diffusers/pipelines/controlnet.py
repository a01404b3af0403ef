"""Stable Diffusion steered by a drawing (Zhang et al., 2023, https://arxiv.org/abs/2302.05543)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from enfold.diffusers.image_processor import PipelineImageInput, VaeImageProcessor
from enfold.diffusers.models.controlnet import ControlNetModel, MultiControlNetModel
from enfold.diffusers.pipelines.latent import Masked, check_strength
from enfold.diffusers.pipelines.pipeline import PipelineError
from enfold.diffusers.pipelines.prompts import Prompt, texts_of
from enfold.diffusers.pipelines.sampling import Callbacks, retrieve_timesteps
from enfold.diffusers.pipelines.stable_diffusion import StableDiffusionBase, StableDiffusionPipelineOutput

__all__ = [
    "StableDiffusionControlNetImg2ImgPipeline",
    "StableDiffusionControlNetInpaintPipeline",
    "StableDiffusionControlNetPipeline",
]


class Steering:
    """Drawings and how they steer: what each step's UNet is given.

    Args:
        pipe: the pipeline.
        drawings: one, or for several ControlNets a list of as many, each one or one for each picture.
        height: of the pictures; by default that of the drawing.
        width: likewise.
        count: how many pictures are painted.
        images: how many of them for each prompt.
        scale: how much each drawing weighs.
        guess: weigh the predictions with the text only, and higher levels less.
        start: share of the steps before which a drawing does not steer.
        end: share after which it does not.
        crop: part of the drawings that belongs to the picture.
        mode: how drawings are resized.
    """

    def __init__(
        self,
        pipe: Any,
        drawings: Any,
        height: int | None,
        width: int | None,
        count: int,
        images: int,
        *,
        scale: float | list[float],
        guess: bool,
        start: float | list[float],
        end: float | list[float],
        crop: Any = None,
        mode: str = "default",
    ) -> None:
        self.pipe, self.net = pipe, pipe.controlnet
        self.several = isinstance(self.net, MultiControlNetModel)
        number = len(self.net.nets) if self.several else 1
        first = self.net.nets[0] if self.several else self.net
        self.guess = guess or first.config.global_pool_conditions
        self.scales, self.starts, self.ends = (self._each(value, number) for value in (scale, start, end))
        for begin, finish in zip(self.starts, self.ends, strict=True):
            if not 0 <= begin < finish <= 1:
                raise PipelineError(f"a drawing steers from {begin} to {finish}; expected shares from 0 to 1 that rise")
        if drawings is None:
            raise PipelineError(f"{type(pipe).__name__} needs a drawing")
        if self.several:
            if not isinstance(drawings, list | tuple) or len(drawings) != number:
                raise PipelineError(f"{number} ControlNets need a list of {number} drawings")
            listed = [list(one) for one in zip(*drawings, strict=True)] if isinstance(drawings[0], list) else drawings
        else:
            listed = [drawings]
        self.drawings = [self._prepared(one, height, width, count, images, crop, mode) for one in listed]
        self.steps = 1

    @staticmethod
    def _each(value: Any, number: int) -> list[float]:
        found = list(value) if isinstance(value, list | tuple) else [value] * number
        if len(found) != number:
            raise PipelineError(
                f"{len(found)} scales or shares for {number} ControlNets; expected one, or one for each"
            )
        return found

    def _prepared(self, drawing: Any, height: Any, width: Any, count: int, images: int, crop: Any, mode: str) -> Tensor:
        found = self.pipe.control_image_processor.preprocess(
            drawing, height=height, width=width, crops_coords=crop, resize_mode=mode
        )
        found = found.to(device=self.pipe._execution_device, dtype=self.net.dtype)
        times = count if found.shape[0] == 1 else images
        if found.shape[0] * times != count:
            raise PipelineError(
                f"{found.shape[0]} drawings for {count // images} prompts; expected one, or one for each"
            )
        found = found.repeat_interleave(times, dim=0)
        twice = self.pipe.do_classifier_free_guidance and not self.guess
        return torch.cat([found] * 2) if twice else found

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the drawings."""
        height, width = self.drawings[0].shape[-2:]
        return height, width

    def given(self, state: dict[str, Any]) -> Callable[[int, Tensor, Tensor], dict[str, Any]]:
        """Return what a step's UNet is given besides, as a function of the step."""
        name = next(one for one in ("control_image", "image") if one in self.pipe._callback_tensor_inputs)
        state[name] = self.drawings if self.several else self.drawings[0]

        def residuals(step: int, timestep: Tensor, model_input: Tensor) -> dict[str, Any]:
            guided = self.guess and self.pipe.do_classifier_free_guidance
            text = state["prompt_embeds"]
            if guided:  # only the half with the text is steered
                model_input, text = model_input.chunk(2)[1], text.chunk(2)[1]
            weights = [
                scale * (1.0 - float(step / self.steps < start or (step + 1) / self.steps > end))
                for scale, start, end in zip(self.scales, self.starts, self.ends, strict=True)
            ]
            down, mid = self.net(
                model_input,
                timestep,
                encoder_hidden_states=text,
                controlnet_cond=state[name],
                conditioning_scale=weights if self.several else weights[0],
                guess_mode=self.guess,
                return_dict=False,
            )
            if guided:
                down = [torch.cat([torch.zeros_like(one), one]) for one in down]
                mid = torch.cat([torch.zeros_like(mid), mid])
            return {"down_block_additional_residuals": down, "mid_block_additional_residual": mid}

        return residuals


class ControlledBase(StableDiffusionBase):
    """Base of the pipelines with a ControlNet.

    Args:
        controlnet: one, or a list of several; what it was trained to be steered by is its drawing.

    The others are those of ``StableDiffusionPipeline``.
    """

    _callback_tensor_inputs = ["latents", "prompt_embeds", "negative_prompt_embeds", "image"]

    def __init__(
        self,
        vae: Any,
        text_encoder: Any,
        tokenizer: Any,
        unet: Any,
        controlnet: Any,
        scheduler: Any,
        safety_checker: Any,
        feature_extractor: Any,
        image_encoder: Any = None,
        requires_safety_checker: bool = True,
    ) -> None:
        super().__init__(
            vae,
            text_encoder,
            tokenizer,
            unet,
            scheduler,
            safety_checker,
            feature_extractor,
            image_encoder,
            requires_safety_checker,
        )
        if isinstance(controlnet, list | tuple):
            controlnet = MultiControlNetModel(controlnet)
        if not isinstance(controlnet, ControlNetModel | MultiControlNetModel):
            raise PipelineError(
                f"controlnet is a {type(controlnet).__name__}; expected a ControlNetModel, or a list of them"
            )
        self.register_modules(controlnet=controlnet)
        self.control_image_processor = VaeImageProcessor(
            vae_scale_factor=self.vae_scale_factor, do_convert_rgb=True, do_normalize=False
        )


class StableDiffusionControlNetPipeline(ControlledBase):
    """A picture from a text and a drawing: edges, depths, poses, …."""

    @torch.no_grad()
    def __call__(
        self,
        prompt: Prompt | None = None,
        image: PipelineImageInput | None = None,
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
        controlnet_conditioning_scale: float | list[float] = 1.0,
        guess_mode: bool = False,
        control_guidance_start: float | list[float] = 0.0,
        control_guidance_end: float | list[float] = 1.0,
        clip_skip: int | None = None,
        callback_on_step_end: Callable[..., dict[str, Any]] | None = None,
        callback_on_step_end_tensor_inputs: list[str] | tuple[str, ...] = ("latents",),
        **kwargs: Any,
    ) -> Any:
        """Paint after a drawing.

        Args:
            prompt: what to paint, one text or several.
            image: the drawing; pictures are as large.
            controlnet_conditioning_scale: how much it weighs.
            guess_mode: paint what the drawing shows even without a text.
            control_guidance_start: share of the steps before which it does not steer.
            control_guidance_end: share after which it does not.

        The others are those of ``StableDiffusionPipeline.__call__``.
        """
        callbacks = Callbacks.of(self, callback_on_step_end, callback_on_step_end_tensor_inputs, kwargs)
        given = texts_of(locals())
        images = num_images_per_prompt
        state, count = self._begin(
            given, images, guidance_scale, clip_skip=clip_skip, cross_attention_kwargs=cross_attention_kwargs
        )
        steering = Steering(
            self,
            image,
            height,
            width,
            count,
            images,
            scale=controlnet_conditioning_scale,
            guess=guess_mode,
            start=control_guidance_start,
            end=control_guidance_end,
        )
        height, width = steering.size
        device, dtype = self._execution_device, state["prompt_embeds"].dtype
        visited, steps = retrieve_timesteps(self.scheduler, num_inference_steps, device, timesteps, sigmas)
        channels = self.unet.config.in_channels
        state["latents"] = self.prepare_latents(count, channels, height, width, dtype, device, generator, latents)
        steering.steps = len(visited)
        told = self._told_guidance(count, state["latents"])
        extra = self.prepare_extra_step_kwargs(generator, eta)
        painted = self._denoise(
            state, visited, steps, callbacks, extra, timestep_cond=told, more_given=steering.given(state)
        )
        return self._answer(painted, output_type, return_dict, state, generator)


class StableDiffusionControlNetImg2ImgPipeline(ControlledBase):
    """A picture from a text, a picture and a drawing."""

    _callback_tensor_inputs = ["latents", "prompt_embeds", "negative_prompt_embeds", "control_image"]

    @torch.no_grad()
    def __call__(
        self,
        prompt: Prompt | None = None,
        image: PipelineImageInput | None = None,
        control_image: PipelineImageInput | None = None,
        height: int | None = None,
        width: int | None = None,
        strength: float = 0.8,
        num_inference_steps: int = 50,
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
        controlnet_conditioning_scale: float | list[float] = 0.8,
        guess_mode: bool = False,
        control_guidance_start: float | list[float] = 0.0,
        control_guidance_end: float | list[float] = 1.0,
        clip_skip: int | None = None,
        callback_on_step_end: Callable[..., dict[str, Any]] | None = None,
        callback_on_step_end_tensor_inputs: list[str] | tuple[str, ...] = ("latents",),
        **kwargs: Any,
    ) -> Any:
        """Paint over a picture, after a drawing.

        Args:
            prompt: what to paint, one text or several.
            image: the picture.
            control_image: the drawing.
            strength: how much of the picture is lost, 0 to 1.
            latents: what is painted over instead of the picture's.

        The others are those of ``StableDiffusionControlNetPipeline.__call__``.
        """
        callbacks = Callbacks.of(self, callback_on_step_end, callback_on_step_end_tensor_inputs, kwargs)
        check_strength(strength)
        given = texts_of(locals())
        images = num_images_per_prompt
        state, count = self._begin(
            given, images, guidance_scale, clip_skip=clip_skip, cross_attention_kwargs=cross_attention_kwargs
        )
        device, dtype = self._execution_device, state["prompt_embeds"].dtype
        pictures = self.image_processor.preprocess(image, height=height, width=width)
        steering = Steering(
            self,
            control_image,
            height,
            width,
            count,
            images,
            scale=controlnet_conditioning_scale,
            guess=guess_mode,
            start=control_guidance_start,
            end=control_guidance_end,
        )
        retrieve_timesteps(self.scheduler, num_inference_steps, device)
        visited, steps = self.get_timesteps(num_inference_steps, strength, device)
        if latents is None:
            latents = self._drawn_over(pictures, visited[:1].repeat(count), count, dtype, device, generator)
        state["latents"] = latents
        steering.steps = len(visited)
        extra = self.prepare_extra_step_kwargs(generator, eta)
        painted = self._denoise(state, visited, steps, callbacks, extra, more_given=steering.given(state))
        return self._answer(painted, output_type, return_dict, state, generator)


class StableDiffusionControlNetInpaintPipeline(ControlledBase):
    """A part of a picture painted anew after a text and a drawing."""

    _callback_tensor_inputs = ["latents", "prompt_embeds", "negative_prompt_embeds", "control_image"]

    @torch.no_grad()
    def __call__(
        self,
        prompt: Prompt | None = None,
        image: PipelineImageInput | None = None,
        mask_image: PipelineImageInput | None = None,
        control_image: PipelineImageInput | None = None,
        height: int | None = None,
        width: int | None = None,
        padding_mask_crop: int | None = None,
        strength: float = 1.0,
        num_inference_steps: int = 50,
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
        controlnet_conditioning_scale: float | list[float] = 0.5,
        guess_mode: bool = False,
        control_guidance_start: float | list[float] = 0.0,
        control_guidance_end: float | list[float] = 1.0,
        clip_skip: int | None = None,
        callback_on_step_end: Callable[..., dict[str, Any]] | None = None,
        callback_on_step_end_tensor_inputs: list[str] | tuple[str, ...] = ("latents",),
        **kwargs: Any,
    ) -> Any:
        """Paint what a mask shows, after a drawing.

        Args:
            prompt: what to paint, one text or several.
            image: the picture.
            mask_image: white where it is painted anew.
            control_image: the drawing, of the whole picture.
            padding_mask_crop: paint only the masked part; see ``StableDiffusionInpaintPipeline.__call__``.
            strength: how much of the masked part is lost, 0 to 1.

        The others are those of ``StableDiffusionControlNetPipeline.__call__``.
        """
        callbacks = Callbacks.of(self, callback_on_step_end, callback_on_step_end_tensor_inputs, kwargs)
        check_strength(strength)
        if image is None or mask_image is None:
            raise PipelineError("inpainting needs an image and a mask_image")
        given = texts_of(locals())
        images = num_images_per_prompt
        state, count = self._begin(
            given, images, guidance_scale, clip_skip=clip_skip, cross_attention_kwargs=cross_attention_kwargs
        )
        box = None
        if padding_mask_crop is not None:
            height, width = self.image_processor.get_default_height_width(image, height, width)
            box = self.mask_processor.get_crop_region(mask_image, width, height, pad=padding_mask_crop)
        steering = Steering(
            self,
            control_image,
            height,
            width,
            count,
            images,
            scale=controlnet_conditioning_scale,
            guess=guess_mode,
            start=control_guidance_start,
            end=control_guidance_end,
            crop=box,
            mode="default" if box is None else "fill",
        )
        device = self._execution_device
        high, wide = steering.size
        part = Masked(self, image, mask_image, high, wide, padding_mask_crop, output_type)
        retrieve_timesteps(self.scheduler, num_inference_steps, device)
        visited, steps = self.get_timesteps(num_inference_steps, strength, device)
        after, more_input = part.prepare(state, visited, count, strength, generator, latents=latents)
        steering.steps = len(visited)
        extra = self.prepare_extra_step_kwargs(generator, eta)
        painted = self._denoise(
            state,
            visited,
            steps,
            callbacks,
            extra,
            more_input=more_input,
            more_given=steering.given(state),
            after=after,
        )
        found_images, found = self._finish(painted, output_type, state["prompt_embeds"].dtype, generator)
        found_images = part.laid_back(found_images)
        self.maybe_free_model_hooks()
        return StableDiffusionPipelineOutput(found_images, found) if return_dict else (found_images, found)
