"""Stable Diffusion 3 and 3.5: a picture from a text, by a flow-matching transformer (Esser et al., 2024)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from enfold.diffusers.image_processor import PipelineImageInput
from enfold.diffusers.pipelines.flow import Control, FlowPipeline, Request, Texts
from enfold.diffusers.pipelines.latent import check_strength
from enfold.diffusers.pipelines.pipeline import PipelineError
from enfold.diffusers.pipelines.prompts import Prompt, check_prompts, copies, joined, tokenized
from enfold.diffusers.pipelines.sampling import Callbacks, retrieve_timesteps

__all__ = ["StableDiffusion3Img2ImgPipeline", "StableDiffusion3Pipeline"]


@dataclass
class Skipping:
    """A further prediction without some blocks, from which pictures are moved away.

    Attributes:
        layers: these blocks; None: no such prediction.
        scale: how far pictures are moved.
        start: the share of steps after which this is done.
        stop: the share before which.
    """

    layers: list[int] | None
    scale: float
    start: float
    stop: float

    def at(self, step: int, steps: int) -> bool:
        """Whether it is made at a step."""
        return self.layers is not None and steps * self.start < step < steps * self.stop


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
        request = Request(
            Texts((prompt, prompt_2, prompt_3), prompt_embeds, pooled_prompt_embeds),
            Texts(
                (negative_prompt, negative_prompt_2, negative_prompt_3),
                negative_prompt_embeds,
                negative_pooled_prompt_embeds,
            ),
            guidance_scale,
            num_images_per_prompt,
            max_sequence_length,
            joint_attention_kwargs,
            Callbacks.of(self, callback_on_step_end, callback_on_step_end_tensor_inputs, kwargs),
            output_type,
            return_dict,
            clip_skip=clip_skip,
        )
        channels, patch = self.transformer.config.in_channels, self.transformer.config.patch_size
        height, width = self._checked_size(height, width, self.transformer.config.sample_size, patch)
        state, count = self._begin(request)
        device, dtype = self._execution_device, state["prompt_embeds"].dtype
        start = self.prepare_latents(count, channels, height, width, dtype, device, generator, latents)
        timesteps, steps = self._schedule(num_inference_steps, sigmas, mu, start.shape[2], start.shape[3])
        state["latents"] = start
        skipping = Skipping(
            skip_guidance_layers, skip_layer_guidance_scale, skip_layer_guidance_start, skip_layer_guidance_stop
        )
        return self._painted(request, state, timesteps, steps, skipping)

    # What painting over a picture does as well

    def _begin(self, request: Request) -> tuple[dict[str, Any], int]:
        """Check and encode prompts; return the loop's state and the number of pictures."""
        given, negative = request.given, request.negative
        prompt, prompt_2, prompt_3 = given.prompts
        without_1, without_2, without_3 = negative.prompts
        count = request.images * check_prompts(
            self,
            prompt=prompt,
            prompt_2=prompt_2,
            prompt_3=prompt_3,
            negative_prompt=without_1,
            prompt_embeds=given.embeds,
            negative_prompt_embeds=negative.embeds,
        )
        self._guidance_scale, self._joint_attention_kwargs = request.guidance_scale, request.attention
        self._clip_skip, self._interrupt = request.clip_skip, False
        guided = self.do_classifier_free_guidance
        with self._weighing():
            embeds, without, pooled, pooled_without = self.encode_prompt(
                prompt,
                prompt_2,
                prompt_3,
                self._execution_device,
                request.images,
                guided,
                without_1,
                without_2,
                without_3,
                given.embeds,
                negative.embeds,
                given.pooled,
                negative.pooled,
                request.clip_skip,
                request.length,
            )
        state = {
            "prompt_embeds": joined(embeds, without if guided else None),
            "pooled_prompt_embeds": joined(pooled, pooled_without if guided else None),
        }
        return state, count

    def _schedule(
        self, steps: int, sigmas: list[float] | None, mu: float | None, high: int, wide: int
    ) -> tuple[Tensor, int]:
        """Return the timesteps for latents of this height and width."""
        patch = self.transformer.config.patch_size
        shift: dict[str, Any] = {"mu": mu} if mu is not None else self._shift(high // patch * (wide // patch))
        return retrieve_timesteps(self.scheduler, steps, self._execution_device, sigmas=sigmas, **shift)

    def _painted(
        self,
        request: Request,
        state: dict[str, Any],
        timesteps: Tensor,
        steps: int,
        skipping: Skipping | None = None,
        control: Control | None = None,
    ) -> Any:
        """Make all steps and return the pictures; ``control`` gives the model more at each."""
        guided, scale = self.do_classifier_free_guidance, self.guidance_scale
        # Those for the text alone, which callbacks do not change.
        alone = [
            state[name].chunk(2)[-1] if guided else state[name] for name in ("prompt_embeds", "pooled_prompt_embeds")
        ]

        def predict(step: int, t: Tensor) -> Tensor:
            latents = state["latents"]
            seen = torch.cat([latents] * 2) if guided else latents
            given = {
                "hidden_states": seen,
                "timestep": t.expand(seen.shape[0]),
                "encoder_hidden_states": state["prompt_embeds"],
                "pooled_projections": state["pooled_prompt_embeds"],
                "joint_attention_kwargs": self._joint_attention_kwargs,
                "return_dict": False,
            }
            if control is not None:
                given |= control(step, given)
            predicted: Tensor = self.transformer(**given)[0]
            if not guided:
                return predicted
            without, with_text = predicted.chunk(2)
            predicted = without + scale * (with_text - without)
            if skipping is not None and skipping.at(step, steps):
                only = {"hidden_states": latents, "timestep": t.expand(latents.shape[0])}
                only |= {"encoder_hidden_states": alone[0], "pooled_projections": alone[1]}
                worse = self.transformer(**given | only, skip_layers=skipping.layers)[0]
                predicted = predicted + (with_text - worse) * skipping.scale
            return predicted

        return self._flow(state, timesteps, steps, request, predict)


class StableDiffusion3Img2ImgPipeline(StableDiffusion3Pipeline):
    """A picture from a text and a picture."""

    @torch.no_grad()
    def __call__(  # type: ignore[override]
        self,
        prompt: Prompt | None = None,
        prompt_2: Prompt | None = None,
        prompt_3: Prompt | None = None,
        height: int | None = None,
        width: int | None = None,
        image: PipelineImageInput | None = None,
        strength: float = 0.6,
        num_inference_steps: int = 50,
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
        mu: float | None = None,
        **kwargs: Any,
    ) -> Any:
        """Paint over a picture.

        Args:
            image: the picture, in any form of ``VaeImageProcessor``, or latents.
            height: of the result, to which the picture is brought.
            width: likewise.
            strength: how much of it is lost, 0 to 1.
            latents: the picture with its noise instead.

        The others are those of ``StableDiffusion3Pipeline.__call__``.
        """
        request = Request(
            Texts((prompt, prompt_2, prompt_3), prompt_embeds, pooled_prompt_embeds),
            Texts(
                (negative_prompt, negative_prompt_2, negative_prompt_3),
                negative_prompt_embeds,
                negative_pooled_prompt_embeds,
            ),
            guidance_scale,
            num_images_per_prompt,
            max_sequence_length,
            joint_attention_kwargs,
            Callbacks.of(self, callback_on_step_end, callback_on_step_end_tensor_inputs, kwargs),
            output_type,
            return_dict,
            clip_skip=clip_skip,
        )
        check_strength(strength)
        if image is None:
            raise PipelineError("painting over a picture needs an image")
        patch, factor = self.transformer.config.patch_size, self.vae_scale_factor
        height, width = self._checked_size(height, width, self.transformer.config.sample_size, patch)
        pictures = self.image_processor.preprocess(image, height=height, width=width)
        state, count = self._begin(request)
        shape = (count, self.transformer.config.in_channels, height // factor, width // factor)
        timesteps, steps = self._schedule(num_inference_steps, sigmas, mu, *shape[2:])
        like = {"device": self._execution_device, "dtype": state["prompt_embeds"].dtype}
        if latents is None:
            latents, timesteps, steps = self._drawn_over(pictures, shape, strength, timesteps, steps, generator, like)
        else:
            timesteps, steps = self.get_timesteps(steps, strength)
        state["latents"] = latents.to(**like)
        return self._painted(request, state, timesteps, steps)
