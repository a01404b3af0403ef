"""FLUX.1: a picture from a text, by a flow-matching transformer that is told the strength of guidance."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from enfold.diffusers.pipelines.flow import FlowPipeline
from enfold.diffusers.pipelines.pipeline import PipelineError
from enfold.diffusers.pipelines.prompts import Prompt, check_prompts, copies, tokenized
from enfold.diffusers.pipelines.sampling import Callbacks, retrieve_timesteps

__all__ = ["FluxPipeline"]


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
        callbacks = Callbacks.of(self, callback_on_step_end, callback_on_step_end_tensor_inputs, kwargs)
        height, width = self._checked_size(height, width, self.default_sample_size, 2)
        count = check_prompts(self, prompt=prompt, prompt_2=prompt_2, prompt_embeds=prompt_embeds)
        count *= num_images_per_prompt
        self._guidance_scale, self._joint_attention_kwargs, self._interrupt = (
            guidance_scale,
            joint_attention_kwargs,
            False,
        )
        device = self._execution_device
        more: dict[str, Any] = {
            "device": device,
            "num_images_per_prompt": num_images_per_prompt,
            "max_sequence_length": max_sequence_length,
        }
        embeds, pooled, text_ids = self.encode_prompt(
            prompt, prompt_2, prompt_embeds=prompt_embeds, pooled_prompt_embeds=pooled_prompt_embeds, **more
        )
        negative = None
        if true_cfg_scale > 1 and (negative_prompt is not None or negative_prompt_embeds is not None):
            negative = self.encode_prompt(
                negative_prompt,
                negative_prompt_2,
                prompt_embeds=negative_prompt_embeds,
                pooled_prompt_embeds=negative_pooled_prompt_embeds,
                **more,
            )
        rows, columns = height // (2 * self.vae_scale_factor), width // (2 * self.vae_scale_factor)
        channels = self.transformer.config.in_channels
        if latents is None:
            shape = (count, channels // 4, 2 * rows, 2 * columns)
            latents = pack(self._noise(shape, generator, device, embeds.dtype))
        elif tuple(latents.shape) != (count, rows * columns, channels):
            raise PipelineError(f"latents are {tuple(latents.shape)}; expected {(count, rows * columns, channels)}")
        places = torch.cartesian_prod(torch.arange(1), torch.arange(rows), torch.arange(columns)).to(latents)
        levels = sigmas or np.linspace(1.0, 1 / num_inference_steps, num_inference_steps).tolist()
        timesteps, steps = retrieve_timesteps(
            self.scheduler,
            num_inference_steps,
            device,
            sigmas=levels,
            **self._shift(rows * columns),
        )
        told = None
        if self.transformer.config.guidance_embeds:
            told = torch.full((count,), float(guidance_scale), device=device)
        state = {"latents": latents.to(device=device, dtype=embeds.dtype), "prompt_embeds": embeds}

        def predict(step: int, t: Tensor) -> Tensor:
            def towards(states: Tensor, pooled: Tensor, ids: Tensor) -> Tensor:
                return self.transformer(  # type: ignore[no-any-return]
                    state["latents"],
                    timestep=t.expand(count).to(embeds.dtype) / 1000,
                    guidance=told,
                    pooled_projections=pooled,
                    encoder_hidden_states=states,
                    txt_ids=ids,
                    img_ids=places,
                    joint_attention_kwargs=joint_attention_kwargs,
                    return_dict=False,
                )[0]

            predicted = towards(state["prompt_embeds"], pooled, text_ids)
            if negative is None:
                return predicted
            without = towards(*negative)
            return without + true_cfg_scale * (predicted - without)

        painted = self._flow(state, timesteps, steps, callbacks, predict)
        if output_type != "latent":
            painted = unpack(painted, rows, columns)
        return self._answer(painted, output_type, return_dict)
