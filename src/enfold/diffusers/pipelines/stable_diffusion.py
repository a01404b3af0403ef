"""Stable Diffusion: a picture from a text, from a text and a picture, or in a part of one (Rombach et al., 2022)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from enfold.diffusers.image_processor import PipelineImageInput, VaeImageProcessor
from enfold.diffusers.loaders.ip_adapter import IPAdapterMixin
from enfold.diffusers.loaders.lora import LoraMixin
from enfold.diffusers.loaders.single_file import SingleFilePipelineMixin
from enfold.diffusers.loaders.textual_inversion import TextualInversionMixin
from enfold.diffusers.pipelines.pipeline import PipelineError
from enfold.diffusers.pipelines.prompts import Prompt, PromptsMixin, check_prompts, joined
from enfold.diffusers.pipelines.sampling import Callbacks, GuidedPipeline, retrieve_latents, retrieve_timesteps
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


class LatentPipeline(GuidedPipeline):
    """What all Stable Diffusion pipelines do with pictures: encode, mask, decode, check."""

    vae: Any
    unet: Any
    scheduler: Any
    safety_checker: Any
    feature_extractor: Any
    image_encoder: Any

    def _measure(self) -> None:
        """Take the autoencoder's factor."""
        self.vae_scale_factor = 2 ** (len(self.vae.config.block_out_channels) - 1) if self.vae is not None else 8
        self.image_processor = VaeImageProcessor(vae_scale_factor=self.vae_scale_factor)
        self.mask_processor = VaeImageProcessor(
            vae_scale_factor=self.vae_scale_factor, do_normalize=False, do_binarize=True, do_convert_grayscale=True
        )

    # Switches

    def enable_vae_slicing(self) -> None:
        """Decode the pictures of a batch one after the other."""
        self.vae.enable_slicing()

    def disable_vae_slicing(self) -> None:
        """Decode batches whole again."""
        self.vae.disable_slicing()

    def enable_vae_tiling(self) -> None:
        """Decode large pictures tile by tile."""
        self.vae.enable_tiling()

    def disable_vae_tiling(self) -> None:
        """Decode pictures whole again."""
        self.vae.disable_tiling()

    def enable_freeu(self, s1: float, s2: float, b1: float, b2: float) -> None:
        """See ``UNet2DConditionModel.enable_freeu``."""
        self.unet.enable_freeu(s1=s1, s2=s2, b1=b1, b2=b2)

    def disable_freeu(self) -> None:
        """Weigh nothing again."""
        self.unet.disable_freeu()

    def fuse_qkv_projections(self, unet: bool = True, vae: bool = True) -> None:
        """Project to queries, keys and values by one product, in both models."""
        for model, wanted in ((self.unet, unet), (self.vae, vae)):
            if wanted:
                model.fuse_qkv_projections()

    def unfuse_qkv_projections(self, unet: bool = True, vae: bool = True) -> None:
        """Project by three products again."""
        for model, wanted in ((self.unet, unet), (self.vae, vae)):
            if wanted:
                model.unfuse_qkv_projections()

    # Pictures

    def _encoded(self, image: Tensor, generator: Any) -> Tensor:
        """Return latents of pictures as the UNet knows them; where there are several generators, one for each."""
        if image.shape[1] == self.vae.config.latent_channels:
            return image
        if isinstance(generator, list):
            listed = [retrieve_latents(self.vae.encode(image[i : i + 1]), one) for i, one in enumerate(generator)]
            found = torch.cat(listed)
        else:
            found = retrieve_latents(self.vae.encode(image), generator)
        return self.vae.config.scaling_factor * found

    def _decoded(self, latents: Tensor, generator: Any) -> Tensor:
        """Return the pictures of latents, as the UNet knows them."""
        scaled = latents / self.vae.config.scaling_factor
        return self.vae.decode(scaled, return_dict=False, generator=generator)[0]  # type: ignore[no-any-return]

    def _finish(self, latents: Tensor, output_type: str, dtype: torch.dtype, generator: Any) -> tuple[Any, Any]:
        """Return pictures in the form that was asked for, and whether something was found in them."""
        if output_type == "latent":
            return latents, None
        image = self._decoded(latents, generator)
        image, found = self.run_safety_checker(image, latents.device, dtype)
        shown = [True] * image.shape[0] if found is None else [not bad for bad in found]
        return self.image_processor.postprocess(image, output_type=output_type, do_denormalize=shown), found

    def run_safety_checker(self, image: Tensor, device: Any, dtype: torch.dtype) -> tuple[Tensor, Any]:
        """Return pictures, black where the safety checker finds something, and for each whether it does."""
        if self.safety_checker is None:
            return image, None
        seen = self.feature_extractor(self.image_processor.postprocess(image), return_tensors="pt").to(device)
        return self.safety_checker(images=image, clip_input=seen.pixel_values.to(dtype))  # type: ignore[no-any-return]

    def _repeated(self, image: Tensor, count: int, what: str) -> Tensor:
        """Return as many pictures as there are to paint."""
        if count % image.shape[0]:
            raise PipelineError(
                f"{image.shape[0]} {what} for {count} pictures; expected one, or a divisor of their number"
            )
        return image.repeat(count // image.shape[0], *[1] * (image.dim() - 1))

    def _drawn_over(
        self, image: Tensor, timestep: Tensor | None, count: int, dtype: torch.dtype, device: Any, generator: Any
    ) -> Tensor:
        """Return pictures' latents with the noise of a timestep, or without any."""
        image = image.to(device=device, dtype=dtype)
        if isinstance(generator, list):
            image = self._repeated(image, count, "pictures")
        latents = self._repeated(self._encoded(image, generator), count, "pictures")
        if timestep is None:
            return latents
        return self.scheduler.add_noise(latents, self._noise(latents.shape, generator, device, dtype), timestep)


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
        given = {
            "prompt": prompt,
            "negative_prompt": negative_prompt,
            "prompt_embeds": prompt_embeds,
            "negative_prompt_embeds": negative_prompt_embeds,
            "ip_adapter_image": ip_adapter_image,
            "ip_adapter_image_embeds": ip_adapter_image_embeds,
        }
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
        given = {
            "prompt": prompt,
            "negative_prompt": negative_prompt,
            "prompt_embeds": prompt_embeds,
            "negative_prompt_embeds": negative_prompt_embeds,
            "ip_adapter_image": ip_adapter_image,
            "ip_adapter_image_embeds": ip_adapter_image_embeds,
        }
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
        given = {
            "prompt": prompt,
            "negative_prompt": negative_prompt,
            "prompt_embeds": prompt_embeds,
            "negative_prompt_embeds": negative_prompt_embeds,
            "ip_adapter_image": ip_adapter_image,
            "ip_adapter_image_embeds": ip_adapter_image_embeds,
        }
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


class Masked:
    """A picture of which a part is painted anew.

    Args:
        pipe: the pipeline.
        image: the picture.
        mask_image: white where it is painted.
        height: of the result.
        width: of the result.
        crop: paint only the masked part, with so many pixels around it.
        output_type: with ``crop`` it must be "pil".
    """

    def __init__(
        self, pipe: Any, image: Any, mask_image: Any, height: int, width: int, crop: int | None, output_type: str
    ) -> None:
        if crop is not None and output_type != "pil":
            raise PipelineError("padding_mask_crop lays the part into a picture of Pillow; set output_type='pil'")
        self.pipe, self.image, self.mask_image, self.size = pipe, image, mask_image, (height, width)
        self.box = None
        if crop is not None:
            self.box = pipe.mask_processor.get_crop_region(mask_image, width, height, pad=crop)
        mode = "default" if crop is None else "fill"
        self.picture = pipe.image_processor.preprocess(
            image, height=height, width=width, crops_coords=self.box, resize_mode=mode
        ).float()
        self.mask = pipe.mask_processor.preprocess(
            mask_image, height=height, width=width, crops_coords=self.box, resize_mode=mode
        )

    def prepare(
        self,
        state: dict[str, Any],
        timesteps: Tensor,
        count: int,
        strength: float,
        generator: Any,
        *,
        latents: Tensor | None = None,
        seen: Tensor | None = None,
        noisy: bool = True,
    ) -> tuple[Callable[[int], None] | None, Callable[[Tensor], Tensor] | None]:
        """Put latents and masks into a loop's state; return what is done after a step, and what the UNet is shown."""
        pipe = self.pipe
        if not len(timesteps):
            raise PipelineError(f"with strength {strength} no step is made; take more steps or a greater strength")
        device, dtype = pipe._execution_device, state["prompt_embeds"].dtype
        plain, channels = pipe.unet.config.in_channels == 4, pipe.vae.config.latent_channels
        whole = strength == 1.0
        known: Tensor | None = None
        if plain or (latents is None and not whole):
            known = pipe._encoded(self.picture.to(device=device, dtype=dtype), generator)
            known = known.repeat(count // known.shape[0], 1, 1, 1)
        factor = pipe.vae_scale_factor
        shape = (count, channels, self.size[0] // factor, self.size[1] // factor)
        noise = pipe._noise(shape, generator, device, dtype) if latents is None else latents.to(device)
        if not noisy:  # another model has removed the first part of the noise
            state["latents"] = known
        elif latents is None and not whole:
            state["latents"] = pipe.scheduler.add_noise(known, noise, timesteps[:1].repeat(count))
        else:
            state["latents"] = noise * pipe.scheduler.init_noise_sigma
        mask = F.interpolate(self.mask, size=shape[2:]).to(device=device, dtype=dtype)
        hidden = self.picture * (self.mask < 0.5) if seen is None else seen
        hidden = pipe._encoded(hidden.to(device=device, dtype=dtype), generator)
        twice = 2 if pipe.do_classifier_free_guidance else 1
        state["mask"] = torch.cat([pipe._repeated(mask, count, "masks")] * twice)
        state["masked_image_latents"] = torch.cat([pipe._repeated(hidden, count, "pictures")] * twice)
        if not plain:
            total = channels + state["mask"].shape[1] + hidden.shape[1]
            if total != pipe.unet.config.in_channels:
                raise PipelineError(
                    f"this UNet takes {pipe.unet.config.in_channels} channels; inpainting gives it 4 or {total}"
                )
            return None, lambda given: torch.cat([given, state["mask"], state["masked_image_latents"]], dim=1)

        def keep(step: int) -> None:
            """Put what is not masked back, with the noise of the next step."""
            kept = known
            if step < len(timesteps) - 1:
                kept = pipe.scheduler.add_noise(known, noise, timesteps[step + 1 : step + 2])
            shown = state["mask"][:count]
            state["latents"] = (1 - shown) * kept + shown * state["latents"]

        return keep, None

    def laid_back(self, images: Any) -> Any:
        """Return pictures, each laid into the original where only a part was painted."""
        if self.box is None:
            return images
        processor = self.pipe.image_processor
        return [processor.apply_overlay(self.mask_image, self.image, one, self.box) for one in images]


def check_strength(strength: float) -> None:
    if not 0 <= strength <= 1:
        raise PipelineError(f"strength is {strength}; expected a share from 0 to 1")
