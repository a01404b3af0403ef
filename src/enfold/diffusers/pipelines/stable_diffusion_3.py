"""Stable Diffusion 3 and 3.5: a picture from a text, by a flow-matching transformer (Esser et al., 2024)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from enfold.diffusers.pipelines.flow import FlowPipeline
from enfold.diffusers.pipelines.pipeline import PipelineError
from enfold.diffusers.pipelines.prompts import Prompt, check_prompts, copies, joined, tokenized
from enfold.diffusers.pipelines.sampling import Callbacks, retrieve_timesteps

__all__ = ["StableDiffusion3Pipeline"]


class StableDiffusion3Pipeline(FlowPipeline):
    """A picture from a text.

    Args:
        transformer: an ``SD3Transformer2DModel``.
        scheduler: how noise is removed.
        vae: pictures to latents and back.
        text_encoder: a CLIP text encoder with a projection.
        tokenizer: its tokenizer.
        text_encoder_2: another.
        tokenizer_2: its tokenizer.
        text_encoder_3: a T5 encoder; None does without, and takes less memory.
        tokenizer_3: its tokenizer.
        image_encoder: kept for adapters that look at a picture.
        feature_extractor: likewise.
    """

    model_cpu_offload_seq = "text_encoder->text_encoder_2->text_encoder_3->image_encoder->transformer->vae"
    _optional_components = ["image_encoder", "feature_extractor"]
    _last_shift = 1.16

    def __init__(
        self,
        transformer: Any,
        scheduler: Any,
        vae: Any,
        text_encoder: Any,
        tokenizer: Any,
        text_encoder_2: Any,
        tokenizer_2: Any,
        text_encoder_3: Any,
        tokenizer_3: Any,
        image_encoder: Any = None,
        feature_extractor: Any = None,
    ) -> None:
        self.register_modules(
            vae=vae,
            text_encoder=text_encoder,
            text_encoder_2=text_encoder_2,
            text_encoder_3=text_encoder_3,
            tokenizer=tokenizer,
            tokenizer_2=tokenizer_2,
            tokenizer_3=tokenizer_3,
            transformer=transformer,
            scheduler=scheduler,
            image_encoder=image_encoder,
            feature_extractor=feature_extractor,
        )
        self._measure(patch=1)

    @property
    def do_classifier_free_guidance(self) -> bool:
        """Whether predictions are made with and without the text."""
        return self._guidance_scale > 1

    def _states(
        self, texts: tuple[Prompt, Prompt, Prompt], device: Any, count: int, skip: int | None, length: int
    ) -> tuple[Tensor, Tensor]:
        """Return the states of all three encoders, one after the other, and the pooled ones of two."""
        states, pooled = [], []
        clips = ((self.tokenizer, self.text_encoder), (self.tokenizer_2, self.text_encoder_2))
        for (tokenizer, encoder), words in zip(clips, texts, strict=False):
            ids = tokenized(tokenizer, words, self.tokenizer.model_max_length).input_ids.to(device)
            seen = encoder(ids, output_hidden_states=True)
            pooled.append(copies(seen[0], count))
            states.append(copies(seen.hidden_states[-2 - (skip or 0)], count))
        clip, width = torch.cat(states, dim=-1), self.transformer.config.joint_attention_dim
        if self.text_encoder_3 is None:
            last = clip.new_zeros(clip.shape[0], length, width)
        else:
            last = self._t5_states(self.tokenizer_3, self.text_encoder_3, texts[2], length, device, count)
        clip = F.pad(clip, (0, last.shape[-1] - clip.shape[-1]))
        return torch.cat([clip, last.to(clip.dtype)], dim=1), torch.cat(pooled, dim=-1)

    def encode_prompt(
        self,
        prompt: Prompt | None,
        prompt_2: Prompt | None,
        prompt_3: Prompt | None,
        device: Any = None,
        num_images_per_prompt: int = 1,
        do_classifier_free_guidance: bool = True,
        negative_prompt: Prompt | None = None,
        negative_prompt_2: Prompt | None = None,
        negative_prompt_3: Prompt | None = None,
        prompt_embeds: Tensor | None = None,
        negative_prompt_embeds: Tensor | None = None,
        pooled_prompt_embeds: Tensor | None = None,
        negative_pooled_prompt_embeds: Tensor | None = None,
        clip_skip: int | None = None,
        max_sequence_length: int = 256,
    ) -> tuple[Tensor, Tensor | None, Tensor, Tensor | None]:
        """Return the states of prompts and of their negatives, and the pooled ones of both.

        Args:
            prompt: one or several.
            prompt_2: for the second encoder, where it is another.
            prompt_3: for the T5 encoder, where it is another.
            device: where the encoders are.
            num_images_per_prompt: how many pictures each is painted as.
            do_classifier_free_guidance: whether negatives are needed.
            negative_prompt: what is not to be painted; nothing by default.
            negative_prompt_2: likewise.
            negative_prompt_3: likewise.
            prompt_embeds: the states themselves instead, one for each picture.
            negative_prompt_embeds: likewise.
            pooled_prompt_embeds: with them.
            negative_pooled_prompt_embeds: likewise.
            clip_skip: how many more of the CLIP encoders' last layers are left out.
            max_sequence_length: tokens that the T5 encoder reads.
        """
        device = device or self._execution_device
        count = 1 if isinstance(prompt, str) else len(prompt if prompt is not None else prompt_embeds)  # type: ignore[arg-type]
        if prompt_embeds is None:
            assert prompt is not None
            texts = (prompt, prompt_2 or prompt, prompt_3 or prompt)
            prompt_embeds, pooled_prompt_embeds = self._states(
                texts, device, num_images_per_prompt, clip_skip, max_sequence_length
            )
        if do_classifier_free_guidance and negative_prompt_embeds is None:
            first = negative_prompt or ""
            given = (first, negative_prompt_2 or first, negative_prompt_3 or first)
            texts = tuple([one] * count if isinstance(one, str) else one for one in given)  # type: ignore[assignment]
            negative_prompt_embeds, negative_pooled_prompt_embeds = self._states(
                texts, device, num_images_per_prompt, None, max_sequence_length
            )
        if pooled_prompt_embeds is None or (negative_prompt_embeds is None) != (negative_pooled_prompt_embeds is None):
            raise PipelineError("prompt_embeds need pooled_prompt_embeds of the same prompts, and so do negative ones")
        return prompt_embeds, negative_prompt_embeds, pooled_prompt_embeds, negative_pooled_prompt_embeds

    @torch.no_grad()
    def __call__(
        self,
        prompt: Prompt | None = None,
        prompt_2: Prompt | None = None,
        prompt_3: Prompt | None = None,
        height: int | None = None,
        width: int | None = None,
        num_inference_steps: int = 28,
        sigmas: list[float] | None = None,
        guidance_scale: float = 7.0,
        negative_prompt: Prompt | None = None,
        negative_prompt_2: Prompt | None = None,
        negative_prompt_3: Prompt | None = None,
        num_images_per_prompt: int = 1,
        generator: torch.Generator | list[torch.Generator] | None = None,
        latents: Tensor | None = None,
        prompt_embeds: Tensor | None = None,
        negative_prompt_embeds: Tensor | None = None,
        pooled_prompt_embeds: Tensor | None = None,
        negative_pooled_prompt_embeds: Tensor | None = None,
        output_type: str = "pil",
        return_dict: bool = True,
        joint_attention_kwargs: dict[str, Any] | None = None,
        clip_skip: int | None = None,
        callback_on_step_end: Callable[..., dict[str, Any]] | None = None,
        callback_on_step_end_tensor_inputs: list[str] | tuple[str, ...] = ("latents",),
        max_sequence_length: int = 256,
        skip_guidance_layers: list[int] | None = None,
        skip_layer_guidance_scale: float = 2.8,
        skip_layer_guidance_stop: float = 0.2,
        skip_layer_guidance_start: float = 0.01,
        mu: float | None = None,
        **kwargs: Any,
    ) -> Any:
        """Paint.

        Args:
            prompt_2: for the second encoder, where it is another.
            prompt_3: for the T5 encoder, where it is another.
            sigmas: noise levels, before they are shifted.
            negative_prompt_2: what not to paint, for the second encoder.
            negative_prompt_3: likewise, for the T5 encoder.
            pooled_prompt_embeds: pooled states, with ``prompt_embeds``.
            negative_pooled_prompt_embeds: likewise.
            joint_attention_kwargs: for attention's processors; ``scale`` weighs adapters.
            max_sequence_length: tokens that the T5 encoder reads.
            skip_guidance_layers: blocks without which a further prediction is made, from which pictures are moved away.
            skip_layer_guidance_scale: how far.
            skip_layer_guidance_stop: the share of steps before which this is done.
            skip_layer_guidance_start: the share after which.
            mu: the shift of the schedule, where the scheduler takes one.

        The others are those of ``StableDiffusionPipeline.__call__``.
        """
        callbacks = Callbacks.of(self, callback_on_step_end, callback_on_step_end_tensor_inputs, kwargs)
        channels, patch = self.transformer.config.in_channels, self.transformer.config.patch_size
        height, width = self._checked_size(height, width, self.transformer.config.sample_size, patch)
        count = num_images_per_prompt * check_prompts(
            self,
            prompt=prompt,
            prompt_2=prompt_2,
            prompt_3=prompt_3,
            negative_prompt=negative_prompt,
            prompt_embeds=prompt_embeds,
            negative_prompt_embeds=negative_prompt_embeds,
        )
        self._guidance_scale, self._joint_attention_kwargs = guidance_scale, joint_attention_kwargs
        self._clip_skip, self._interrupt = clip_skip, False
        device = self._execution_device
        embeds, negative, pooled, negative_pooled = self.encode_prompt(
            prompt,
            prompt_2,
            prompt_3,
            device,
            num_images_per_prompt,
            self.do_classifier_free_guidance,
            negative_prompt,
            negative_prompt_2,
            negative_prompt_3,
            prompt_embeds,
            negative_prompt_embeds,
            pooled_prompt_embeds,
            negative_pooled_prompt_embeds,
            clip_skip,
            max_sequence_length,
        )
        guided = self.do_classifier_free_guidance
        start = self.prepare_latents(count, channels, height, width, embeds.dtype, device, generator, latents)
        shift: dict[str, Any] = (
            {"mu": mu} if mu is not None else self._shift(start.shape[2] // patch * (start.shape[3] // patch))
        )
        timesteps, steps = retrieve_timesteps(self.scheduler, num_inference_steps, device, sigmas=sigmas, **shift)
        state = {
            "latents": start,
            "prompt_embeds": joined(embeds, negative if guided else None),
            "pooled_prompt_embeds": joined(pooled, negative_pooled if guided else None),
        }

        def towards(latents: Tensor, t: Tensor, states: Tensor, pooled: Tensor, **more: Any) -> Tensor:
            return self.transformer(  # type: ignore[no-any-return]
                latents,
                timestep=t.expand(latents.shape[0]),
                encoder_hidden_states=states,
                pooled_projections=pooled,
                joint_attention_kwargs=joint_attention_kwargs,
                return_dict=False,
                **more,
            )[0]

        def predict(step: int, t: Tensor) -> Tensor:
            latents = state["latents"]
            conditions = state["prompt_embeds"], state["pooled_prompt_embeds"]
            if not guided:
                return towards(latents, t, *conditions)
            without, with_text = towards(torch.cat([latents] * 2), t, *conditions).chunk(2)
            predicted = without + guidance_scale * (with_text - without)
            if skip_guidance_layers is not None and (
                steps * skip_layer_guidance_start < step < steps * skip_layer_guidance_stop
            ):
                worse = towards(latents, t, embeds, pooled, skip_layers=skip_guidance_layers)
                predicted = predicted + (with_text - worse) * skip_layer_guidance_scale
            return predicted

        painted = self._flow(state, timesteps, steps, callbacks, predict)
        return self._answer(painted, output_type, return_dict)
