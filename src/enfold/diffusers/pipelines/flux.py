"""FLUX.1: pictures from a text, and perhaps a picture, by a transformer that is told the strength of guidance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from enfold.diffusers.image_processor import PipelineImageInput
from enfold.diffusers.pipelines.flow import Control, FlowPipeline, Request, Texts
from enfold.diffusers.pipelines.latent import check_strength
from enfold.diffusers.pipelines.pipeline import PipelineError
from enfold.diffusers.pipelines.prompts import Prompt, check_prompts, copies, tokenized
from enfold.diffusers.pipelines.sampling import Callbacks, retrieve_timesteps

__all__ = ["FluxImg2ImgPipeline", "FluxPipeline"]


def pack(latents: Tensor) -> Tensor:
    """Return 2×2 patches of latents (B, C, H, W) as a sequence, (B, H·W / 4, 4·C).

    Example:
        >>> pack(torch.zeros(1, 16, 4, 6)).shape
        torch.Size([1, 6, 64])
    """
    rows, columns = latents.shape[2] // 2, latents.shape[3] // 2
    return latents.unflatten(3, (columns, 2)).unflatten(2, (rows, 2)).permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)


def unpack(patches: Tensor, rows: int, columns: int) -> Tensor:
    """Return latents (B, C, 2·rows, 2·columns) from their patches; the other way of ``pack``."""
    parts = patches.unflatten(2, (-1, 2, 2)).unflatten(1, (rows, columns))
    return parts.permute(0, 3, 1, 4, 2, 5).flatten(4).flatten(2, 3)


@dataclass
class Conditions:
    """What the model is told besides the states of the text.

    Attributes:
        count: pictures that are painted.
        pooled: pooled states of the text.
        text_ids: its coordinates.
        told: the strength of guidance, (count,), for a model that takes it.
        negative: states, pooled states and coordinates of what not to paint.
        true_cfg_scale: how far predictions are moved away from it.
    """

    count: int
    pooled: Tensor
    text_ids: Tensor
    told: Tensor | None
    negative: tuple[Tensor, Tensor, Tensor] | None
    true_cfg_scale: float


class FluxPipeline(FlowPipeline):
    """A picture from a text.

    Args:
        scheduler: how noise is removed.
        vae: pictures to latents and back.
        text_encoder: a CLIP text encoder, for the pooled text.
        tokenizer: its tokenizer.
        text_encoder_2: a T5 encoder, for the text's states.
        tokenizer_2: its tokenizer.
        transformer: a ``FluxTransformer2DModel``.
        image_encoder: kept for adapters that look at a picture.
        feature_extractor: likewise.
    """

    model_cpu_offload_seq = "text_encoder->text_encoder_2->image_encoder->transformer->vae"
    _optional_components = ["image_encoder", "feature_extractor"]
    _callback_tensor_inputs = ["latents", "prompt_embeds"]
    _patched: tuple[int, int]  # rows and columns of the patches of what is being painted

    def __init__(
        self,
        scheduler: Any,
        vae: Any,
        text_encoder: Any,
        tokenizer: Any,
        text_encoder_2: Any,
        tokenizer_2: Any,
        transformer: Any,
        image_encoder: Any = None,
        feature_extractor: Any = None,
    ) -> None:
        self.register_modules(
            vae=vae,
            text_encoder=text_encoder,
            text_encoder_2=text_encoder_2,
            tokenizer=tokenizer,
            tokenizer_2=tokenizer_2,
            transformer=transformer,
            scheduler=scheduler,
            image_encoder=image_encoder,
            feature_extractor=feature_extractor,
        )
        self._measure(patch=2)
        self.default_sample_size = 128

    def encode_prompt(
        self,
        prompt: Prompt | None,
        prompt_2: Prompt | None = None,
        device: Any = None,
        num_images_per_prompt: int = 1,
        prompt_embeds: Tensor | None = None,
        pooled_prompt_embeds: Tensor | None = None,
        max_sequence_length: int = 512,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the states of prompts, their pooled states, and the text's coordinates.

        Args:
            prompt: one or several.
            prompt_2: for the T5 encoder, where it is another.
            device: where the encoders are.
            num_images_per_prompt: how many pictures each is painted as.
            prompt_embeds: the states themselves instead, one for each picture.
            pooled_prompt_embeds: with them.
            max_sequence_length: tokens that the T5 encoder reads.
        """
        device = device or self._execution_device
        if prompt_embeds is None:
            assert prompt is not None
            ids = tokenized(self.tokenizer, prompt).input_ids.to(device)
            pooled_prompt_embeds = copies(self.text_encoder(ids).pooler_output, num_images_per_prompt)
            parts = (self.tokenizer_2, self.text_encoder_2, prompt_2 or prompt)
            prompt_embeds = self._t5_states(*parts, max_sequence_length, device, num_images_per_prompt)
        elif pooled_prompt_embeds is None:
            raise PipelineError("prompt_embeds need pooled_prompt_embeds of the same prompts")
        return prompt_embeds, pooled_prompt_embeds, torch.zeros(prompt_embeds.shape[1], 3).to(prompt_embeds)

    @torch.no_grad()
    def __call__(
        self,
        prompt: Prompt | None = None,
        prompt_2: Prompt | None = None,
        negative_prompt: Prompt | None = None,
        negative_prompt_2: Prompt | None = None,
        true_cfg_scale: float = 1.0,
        height: int | None = None,
        width: int | None = None,
        num_inference_steps: int = 28,
        sigmas: list[float] | None = None,
        guidance_scale: float = 3.5,
        num_images_per_prompt: int = 1,
        generator: torch.Generator | list[torch.Generator] | None = None,
        latents: Tensor | None = None,
        prompt_embeds: Tensor | None = None,
        pooled_prompt_embeds: Tensor | None = None,
        negative_prompt_embeds: Tensor | None = None,
        negative_pooled_prompt_embeds: Tensor | None = None,
        output_type: str = "pil",
        return_dict: bool = True,
        joint_attention_kwargs: dict[str, Any] | None = None,
        callback_on_step_end: Callable[..., dict[str, Any]] | None = None,
        callback_on_step_end_tensor_inputs: list[str] | tuple[str, ...] = ("latents",),
        max_sequence_length: int = 512,
        **kwargs: Any,
    ) -> Any:
        """Paint.

        Args:
            prompt_2: for the T5 encoder, where it is another.
            negative_prompt: what not to paint; used where ``true_cfg_scale`` is above 1.
            negative_prompt_2: likewise, for the T5 encoder.
            true_cfg_scale: how far predictions are moved from those for the negative prompt.
            sigmas: noise levels, before they are shifted.
            guidance_scale: what a guided model is told.
            latents: the noise, as patches: (B, patches, channels).
            pooled_prompt_embeds: pooled states, with ``prompt_embeds``.
            negative_pooled_prompt_embeds: likewise.
            joint_attention_kwargs: for attention's processors; ``scale`` weighs adapters.
            max_sequence_length: tokens that the T5 encoder reads.

        The others are those of ``StableDiffusionPipeline.__call__``.
        """
        request = Request(
            Texts((prompt, prompt_2), prompt_embeds, pooled_prompt_embeds),
            Texts((negative_prompt, negative_prompt_2), negative_prompt_embeds, negative_pooled_prompt_embeds),
            guidance_scale,
            num_images_per_prompt,
            max_sequence_length,
            joint_attention_kwargs,
            Callbacks.of(self, callback_on_step_end, callback_on_step_end_tensor_inputs, kwargs),
            output_type,
            return_dict,
            true_cfg_scale=true_cfg_scale,
        )
        height, width = self._checked_size(height, width, self.default_sample_size, 2)
        state, conditions = self._begin(request)
        size = self._patches(height, width)
        shape = self._latent_shape(conditions.count, size)
        timesteps, steps = self._schedule(num_inference_steps, sigmas, size)
        like = {"device": self._execution_device, "dtype": state["prompt_embeds"].dtype}
        state["latents"] = self._patches_to_start(latents, shape, generator, like)
        return self._painted(request, state, conditions, size, timesteps, steps)

    # What painting over a picture does as well

    def _begin(self, request: Request) -> tuple[dict[str, Any], Conditions]:
        """Check and encode prompts; return the loop's state and what the model is told besides."""
        given, negative, scale = request.given, request.negative, request.true_cfg_scale
        prompt, prompt_2 = given.prompts
        count = request.images * check_prompts(self, prompt=prompt, prompt_2=prompt_2, prompt_embeds=given.embeds)
        self._guidance_scale, self._joint_attention_kwargs = request.guidance_scale, request.attention
        self._interrupt, device = False, self._execution_device

        def encoded(texts: Texts) -> tuple[Tensor, Tensor, Tensor]:
            (first, second), states = texts.prompts, (texts.embeds, texts.pooled)
            return self.encode_prompt(first, second, device, request.images, *states, request.length)

        with self._weighing():
            embeds, pooled, ids = encoded(given)
            wanted = scale > 1 and (negative.prompts[0] is not None or negative.embeds is not None)
            without = encoded(negative) if wanted else None
        told = None
        if self.transformer.config.guidance_embeds:
            told = torch.full((count,), float(request.guidance_scale), device=device)
        return {"prompt_embeds": embeds}, Conditions(count, pooled, ids, told, without, scale)

    def _patches(self, height: int, width: int) -> tuple[int, int]:
        """Return rows and columns of the patches of a picture."""
        return height // (2 * self.vae_scale_factor), width // (2 * self.vae_scale_factor)

    def _latent_shape(self, count: int, size: tuple[int, int]) -> tuple[int, int, int, int]:
        return count, self.transformer.config.in_channels // 4, 2 * size[0], 2 * size[1]

    def _patches_to_start(
        self, latents: Tensor | None, shape: tuple[int, ...], generator: Any, like: dict[str, Any]
    ) -> Tensor:
        """Return the patches that painting starts with: those given, or noise."""
        if latents is None:
            latents = pack(self._noise(shape, generator, like["device"], like["dtype"]))
        return self._checked(latents, shape).to(**like)

    def _checked(self, patches: Tensor, shape: tuple[int, ...]) -> Tensor:
        count, channels, high, wide = shape
        expected = (count, high * wide // 4, channels * 4)
        if tuple(patches.shape) != expected:
            raise PipelineError(f"latents are {tuple(patches.shape)}; expected {expected}")
        return patches

    def _schedule(self, steps: int, sigmas: list[float] | None, size: tuple[int, int]) -> tuple[Tensor, int]:
        levels = sigmas or np.linspace(1.0, 1 / steps, steps).tolist()
        more = self._shift(size[0] * size[1])
        return retrieve_timesteps(self.scheduler, steps, self._execution_device, sigmas=levels, **more)

    def _painted(
        self,
        request: Request,
        state: dict[str, Any],
        conditions: Conditions,
        size: tuple[int, int],
        timesteps: Tensor,
        steps: int,
        control: Control | None = None,
    ) -> Any:
        """Make all steps and return the pictures; ``control`` gives the model more at each."""
        rows, columns = self._patched = size
        dtype = state["prompt_embeds"].dtype
        places = torch.cartesian_prod(torch.arange(1), torch.arange(rows), torch.arange(columns)).to(state["latents"])

        def predict(step: int, t: Tensor) -> Tensor:
            given = {
                "hidden_states": state["latents"],
                "timestep": t.expand(conditions.count).to(dtype) / 1000,
                "guidance": conditions.told,
                "pooled_projections": conditions.pooled,
                "encoder_hidden_states": state["prompt_embeds"],
                "txt_ids": conditions.text_ids,
                "img_ids": places,
                "joint_attention_kwargs": self._joint_attention_kwargs,
                "return_dict": False,
            }
            if control is not None:
                given |= control(step, given)
            predicted: Tensor = self.transformer(**given)[0]
            if conditions.negative is None:
                return predicted
            states, pooled, ids = conditions.negative
            negative = {"encoder_hidden_states": states, "pooled_projections": pooled, "txt_ids": ids}
            without = self.transformer(**given | negative)[0]
            return without + conditions.true_cfg_scale * (predicted - without)  # type: ignore[no-any-return]

        return self._flow(state, timesteps, steps, request, predict)

    def _spread(self, latents: Tensor) -> Tensor:
        return unpack(latents, *self._patched)


class FluxImg2ImgPipeline(FluxPipeline):
    """A picture from a text and a picture."""

    @torch.no_grad()
    def __call__(  # type: ignore[override]
        self,
        prompt: Prompt | None = None,
        prompt_2: Prompt | None = None,
        negative_prompt: Prompt | None = None,
        negative_prompt_2: Prompt | None = None,
        true_cfg_scale: float = 1.0,
        image: PipelineImageInput | None = None,
        height: int | None = None,
        width: int | None = None,
        strength: float = 0.6,
        num_inference_steps: int = 28,
        sigmas: list[float] | None = None,
        guidance_scale: float = 7.0,
        num_images_per_prompt: int = 1,
        generator: torch.Generator | list[torch.Generator] | None = None,
        latents: Tensor | None = None,
        prompt_embeds: Tensor | None = None,
        pooled_prompt_embeds: Tensor | None = None,
        negative_prompt_embeds: Tensor | None = None,
        negative_pooled_prompt_embeds: Tensor | None = None,
        output_type: str = "pil",
        return_dict: bool = True,
        joint_attention_kwargs: dict[str, Any] | None = None,
        callback_on_step_end: Callable[..., dict[str, Any]] | None = None,
        callback_on_step_end_tensor_inputs: list[str] | tuple[str, ...] = ("latents",),
        max_sequence_length: int = 512,
        **kwargs: Any,
    ) -> Any:
        """Paint over a picture.

        Args:
            image: the picture, in any form of ``VaeImageProcessor``, or latents.
            height: of the result, to which the picture is brought.
            width: likewise.
            strength: how much of it is lost, 0 to 1.
            latents: the picture with its noise instead, as patches.

        The others are those of ``FluxPipeline.__call__``.
        """
        request = Request(
            Texts((prompt, prompt_2), prompt_embeds, pooled_prompt_embeds),
            Texts((negative_prompt, negative_prompt_2), negative_prompt_embeds, negative_pooled_prompt_embeds),
            guidance_scale,
            num_images_per_prompt,
            max_sequence_length,
            joint_attention_kwargs,
            Callbacks.of(self, callback_on_step_end, callback_on_step_end_tensor_inputs, kwargs),
            output_type,
            return_dict,
            true_cfg_scale=true_cfg_scale,
        )
        check_strength(strength)
        if image is None:
            raise PipelineError("painting over a picture needs an image")
        height, width = self._checked_size(height, width, self.default_sample_size, 2)
        pictures = self.image_processor.preprocess(image, height=height, width=width).float()
        state, conditions = self._begin(request)
        size = self._patches(height, width)
        shape = self._latent_shape(conditions.count, size)
        timesteps, steps = self._schedule(num_inference_steps, sigmas, size)
        like = {"device": self._execution_device, "dtype": state["prompt_embeds"].dtype}
        if latents is None:
            drawn, timesteps, steps = self._drawn_over(pictures, shape, strength, timesteps, steps, generator, like)
            latents = pack(drawn)
        else:
            timesteps, steps = self.get_timesteps(steps, strength)
        state["latents"] = self._checked(latents, shape).to(**like)
        return self._painted(request, state, conditions, size, timesteps, steps)
