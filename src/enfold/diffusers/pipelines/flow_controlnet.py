"""Pictures after a text and a drawing, with Stable Diffusion 3 and FLUX.1."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from enfold.diffusers.image_processor import PipelineImageInput
from enfold.diffusers.pipelines.flow import Request, Texts
from enfold.diffusers.pipelines.flux import Conditions, FluxPipeline, pack
from enfold.diffusers.pipelines.pipeline import PipelineError
from enfold.diffusers.pipelines.prompts import Prompt
from enfold.diffusers.pipelines.sampling import Callbacks
from enfold.diffusers.pipelines.stable_diffusion_3 import StableDiffusion3Pipeline

__all__ = ["FluxControlNetPipeline", "StableDiffusion3ControlNetPipeline"]


@dataclass
class Span:
    """In which share of the steps a drawing counts, and how much.

    Attributes:
        scale: what the ControlNet gives is multiplied by it.
        start: the share of steps before which it does not count.
        end: the share after which it does not.
        steps: how many steps there are.
    """

    scale: float
    start: float
    end: float
    steps: int

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.end <= 1:
            raise PipelineError(
                f"control_guidance_start is {self.start} and control_guidance_end {self.end}; expected shares from 0 "
                "to 1, the first smaller"
            )

    def counts(self, step: int) -> bool:
        """Whether the drawing counts at a step."""
        return step / self.steps >= self.start and (step + 1) / self.steps <= self.end


def _drawings(pipe: Any, image: Any, height: int, width: int, count: int, images: int, like: dict[str, Any]) -> Tensor:
    """Return prepared drawings, one for each picture, (count, 3, H, W)."""
    if image is None:
        raise PipelineError("a ControlNet needs a control_image")
    if not isinstance(image, Tensor):
        image = pipe.image_processor.preprocess(image, height=height, width=width)
    times = count if image.shape[0] == 1 else images
    if image.shape[0] * times != count:
        raise PipelineError(f"{image.shape[0]} drawings for {count} pictures; expected one, or one for each prompt")
    if tuple(image.shape[-2:]) != (height, width):
        raise PipelineError(f"the drawing is {tuple(image.shape[-2:])}; expected {(height, width)}")
    return image.repeat_interleave(times, dim=0).to(**like)  # type: ignore[no-any-return]


class FluxControlNetPipeline(FluxPipeline):
    """A picture from a text and a drawing.

    Args:
        controlnet: a ``FluxControlNetModel``.

    The others are those of ``FluxPipeline``.
    """

    model_cpu_offload_seq = "text_encoder->text_encoder_2->image_encoder->transformer->vae"
    _callback_tensor_inputs = ["latents", "prompt_embeds", "control_image"]

    def __init__(
        self,
        scheduler: Any,
        vae: Any,
        text_encoder: Any,
        tokenizer: Any,
        text_encoder_2: Any,
        tokenizer_2: Any,
        transformer: Any,
        controlnet: Any,
        image_encoder: Any = None,
        feature_extractor: Any = None,
    ) -> None:
        texts = (text_encoder, tokenizer, text_encoder_2, tokenizer_2)
        super().__init__(scheduler, vae, *texts, transformer, image_encoder, feature_extractor)
        self.register_modules(controlnet=controlnet)

    @torch.no_grad()
    def __call__(  # type: ignore[override]
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
        guidance_scale: float = 7.0,
        control_guidance_start: float = 0.0,
        control_guidance_end: float = 1.0,
        control_image: PipelineImageInput | None = None,
        control_mode: int | None = None,
        controlnet_conditioning_scale: float = 1.0,
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
        """Paint after a drawing.

        Args:
            control_guidance_start: the share of steps before which the drawing does not count.
            control_guidance_end: the share after which it does not.
            control_image: the drawing, in any form of ``VaeImageProcessor``.
            control_mode: which kind of drawing it is, for a ControlNet that knows several.
            controlnet_conditioning_scale: how much it counts.

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
        height, width = self._checked_size(height, width, self.default_sample_size, 2)
        state, conditions = self._begin(request)
        count, like = conditions.count, {"device": self._execution_device, "dtype": state["prompt_embeds"].dtype}
        drawing = _drawings(self, control_image, height, width, count, num_images_per_prompt, like)
        if self.controlnet.input_hint_block is None:
            drawing = pack(self._latents_of(drawing, generator if not isinstance(generator, list) else None))
        state["control_image"] = drawing
        size = self._patches(height, width)
        shape = self._latent_shape(count, size)
        state["latents"] = self._patches_to_start(latents, shape, generator, like)
        timesteps, steps = self._schedule(num_inference_steps, sigmas, size)
        span = Span(controlnet_conditioning_scale, control_guidance_start, control_guidance_end, len(timesteps))
        control = self._control(state, conditions, span, control_mode, guidance_scale)
        return self._painted(request, state, conditions, size, timesteps, steps, control)

    def _control(
        self, state: dict[str, Any], conditions: Conditions, span: Span, mode: int | None, guidance_scale: float
    ) -> Callable[[int, dict[str, Any]], dict[str, Any]]:
        """Return what gives the transformer the ControlNet's samples at a step, from what the transformer is given."""
        count, device = conditions.count, self._execution_device
        known = self.controlnet.config
        told = torch.full((count,), float(guidance_scale), device=device) if known.guidance_embeds else None
        kind = None if mode is None else torch.full((count, 1), mode, dtype=torch.long, device=device)
        in_turn = self.controlnet.input_hint_block is not None

        def control(step: int, given: dict[str, Any]) -> dict[str, Any]:
            if not span.counts(step):
                return {}
            double, single = self.controlnet(
                **{**given, "guidance": told},
                controlnet_cond=state["control_image"],
                controlnet_mode=kind,
                conditioning_scale=span.scale,
            )
            return {
                "controlnet_block_samples": double,
                "controlnet_single_block_samples": single,
                "controlnet_blocks_repeat": in_turn,
            }

        return control


class StableDiffusion3ControlNetPipeline(StableDiffusion3Pipeline):
    """A picture from a text and a drawing.

    Args:
        controlnet: an ``SD3ControlNetModel``.

    The others are those of ``StableDiffusion3Pipeline``.
    """

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
        controlnet: Any,
        image_encoder: Any = None,
        feature_extractor: Any = None,
    ) -> None:
        texts = (text_encoder, tokenizer, text_encoder_2, tokenizer_2, text_encoder_3, tokenizer_3)
        super().__init__(transformer, scheduler, vae, *texts, image_encoder, feature_extractor)
        self.register_modules(controlnet=controlnet)

    @torch.no_grad()
    def __call__(  # type: ignore[override]
        self,
        prompt: Prompt | None = None,
        prompt_2: Prompt | None = None,
        prompt_3: Prompt | None = None,
        height: int | None = None,
        width: int | None = None,
        num_inference_steps: int = 28,
        sigmas: list[float] | None = None,
        guidance_scale: float = 7.0,
        control_guidance_start: float = 0.0,
        control_guidance_end: float = 1.0,
        control_image: PipelineImageInput | None = None,
        controlnet_conditioning_scale: float = 1.0,
        controlnet_pooled_projections: Tensor | None = None,
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
        **kwargs: Any,
    ) -> Any:
        """Paint after a drawing.

        Args:
            control_guidance_start: the share of steps before which the drawing does not count.
            control_guidance_end: the share after which it does not.
            control_image: the drawing, in any form of ``VaeImageProcessor``.
            controlnet_conditioning_scale: how much it counts.
            controlnet_pooled_projections: a pooled text for the ControlNet alone.

        The drawing's latents are drawn from torch's own generator, as in the ecosystem's pipeline, so that pictures of
        a seed are the same; ``torch.manual_seed`` fixes them. The others are those of
        ``StableDiffusion3Pipeline.__call__``.
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
        like = {"device": device, "dtype": dtype}
        drawing = _drawings(self, control_image, height, width, count, num_images_per_prompt, like)
        drawing = torch.cat([drawing] * (2 if self.do_classifier_free_guidance else 1))
        known = self.controlnet.config
        # Those without a pooled text were trained on latents that are not shifted.
        drawing = self._latents_of(drawing, shifted=not known.force_zeros_for_pooled_projection)
        start = self.prepare_latents(count, channels, height, width, dtype, device, generator, latents)
        timesteps, steps = self._schedule(num_inference_steps, sigmas, None, start.shape[2], start.shape[3])
        state["latents"] = start
        span = Span(controlnet_conditioning_scale, control_guidance_start, control_guidance_end, len(timesteps))

        def control(step: int, given: dict[str, Any]) -> dict[str, Any]:
            if not span.counts(step):
                return {}
            pooled = given["pooled_projections"]
            if known.force_zeros_for_pooled_projection:
                pooled = torch.zeros_like(pooled)
            elif controlnet_pooled_projections is not None:
                pooled = controlnet_pooled_projections
            more = {"pooled_projections": pooled}
            if not known.use_pos_embed:
                more["hidden_states"] = self.transformer.pos_embed(given["hidden_states"])
            if known.joint_attention_dim is None:
                more["encoder_hidden_states"] = None
            found = self.controlnet(**{**given, **more}, controlnet_cond=drawing, conditioning_scale=span.scale)
            return {"block_controlnet_hidden_states": found[0]}

        return self._painted(request, state, timesteps, steps, control=control)
