"""What all pipelines of Stable Diffusion XL share: two text encoders, and the sizes that a model is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from enfold.diffusers.loaders.ip_adapter import IPAdapterMixin
from enfold.diffusers.loaders.lora import LoraMixin
from enfold.diffusers.loaders.single_file import SingleFilePipelineMixin
from enfold.diffusers.loaders.textual_inversion import TextualInversionMixin
from enfold.diffusers.pipelines.components import dtype_of
from enfold.diffusers.pipelines.latent import LatentPipeline, Masked
from enfold.diffusers.pipelines.pipeline import PipelineError
from enfold.diffusers.pipelines.prompts import Prompt, PromptsMixin, check_prompts, copies, tokenized
from enfold.nn.outputs import ModelOutput

__all__ = ["Size", "Sizes", "StableDiffusionXLBase", "StableDiffusionXLPipelineOutput"]

Size = tuple[int, int]


@dataclass
class StableDiffusionXLPipelineOutput(ModelOutput):
    """Pictures, in the form that was asked for."""

    images: Any = None


@dataclass(frozen=True)
class Sizes:
    """What the UNet is told that pictures look like.

    Attributes:
        original: height and width before training would have resized it.
        corner: what training would have cut off above and to the left.
        target: height and width.
        negative_original, negative_corner, negative_target: the same for what is not to be painted.
        score: how beautiful it is, for refiners.
        negative_score: likewise.
    """

    original: Size | None = None
    corner: Size = (0, 0)
    target: Size | None = None
    negative_original: Size | None = None
    negative_corner: Size = (0, 0)
    negative_target: Size | None = None
    score: float = 6.0
    negative_score: float = 2.5


class StableDiffusionXLBase(
    LoraMixin, TextualInversionMixin, IPAdapterMixin, SingleFilePipelineMixin, PromptsMixin, LatentPipeline
):
    """Base of the pipelines with SDXL's components.

    Args:
        vae: pictures to latents and back.
        text_encoder: a CLIP text encoder; None for refiners.
        text_encoder_2: a larger one with a projection.
        tokenizer: of the first.
        tokenizer_2: of the second.
        unet: predicts from noisy latents.
        scheduler: how noise is removed.
        image_encoder: for adapters that look at a picture.
        feature_extractor: prepares pictures for it.
        force_zeros_for_empty_prompt: without a negative prompt, predict with zeros instead of an empty text.
        add_watermarker: accepted; pictures are not marked.
    """

    model_cpu_offload_seq = "text_encoder->text_encoder_2->image_encoder->unet->vae"
    _optional_components = [
        "tokenizer",
        "tokenizer_2",
        "text_encoder",
        "text_encoder_2",
        "image_encoder",
        "feature_extractor",
    ]
    _callback_tensor_inputs = ["latents", "prompt_embeds", "add_text_embeds", "add_time_ids"]
    safety_checker = None
    text_encoder_2: Any
    tokenizer_2: Any

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
        force_zeros_for_empty_prompt: bool = True,
        add_watermarker: bool | None = None,
    ) -> None:
        self.register_modules(
            vae=vae,
            text_encoder=text_encoder,
            text_encoder_2=text_encoder_2,
            tokenizer=tokenizer,
            tokenizer_2=tokenizer_2,
            unet=unet,
            scheduler=scheduler,
            image_encoder=image_encoder,
            feature_extractor=feature_extractor,
        )
        self.register_to_config(force_zeros_for_empty_prompt=force_zeros_for_empty_prompt)
        self.watermark = None
        self._measure()
        self.default_sample_size = unet.config.sample_size if unet is not None else 128

    # Texts

    def _read(
        self, texts: list[Any], skip: int | None = None, length: int | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Return both encoders' states side by side, and the pooled state of the second."""
        both = ((self.tokenizer, self.text_encoder), (self.tokenizer_2, self.text_encoder_2))
        pairs = [(one, other) for one, other in both if other is not None]
        states, pooled = [], None
        for words, (tokenizer, encoder) in zip(texts, pairs, strict=False):
            ids = tokenized(tokenizer, self.maybe_convert_prompt(words, tokenizer), length).input_ids
            found = encoder(ids.to(next(encoder.parameters()).device), output_hidden_states=True)
            if pooled is None and found[0].ndim == 2:
                pooled = found[0]
            states.append(found.hidden_states[-2 - (skip or 0)])
        return torch.cat(states, dim=-1), pooled

    def encode_prompt(  # type: ignore[override]
        self,
        prompt: Prompt | None,
        prompt_2: Prompt | None = None,
        device: Any = None,
        num_images_per_prompt: int = 1,
        do_classifier_free_guidance: bool = True,
        negative_prompt: Prompt | None = None,
        negative_prompt_2: Prompt | None = None,
        prompt_embeds: Tensor | None = None,
        negative_prompt_embeds: Tensor | None = None,
        pooled_prompt_embeds: Tensor | None = None,
        negative_pooled_prompt_embeds: Tensor | None = None,
        lora_scale: float | None = None,
        clip_skip: int | None = None,
    ) -> tuple[Tensor, Tensor | None, Tensor | None, Tensor | None]:
        """Return states of prompts and negatives, (B·images, length, width), and pooled ones, (B·images, width).

        Args:
            prompt: one or several.
            prompt_2: for the second encoder; by default the same.
            device: where the states go.
            num_images_per_prompt: how many pictures each is painted as.
            do_classifier_free_guidance: whether negatives are needed.
            negative_prompt: what is not to be painted.
            negative_prompt_2: for the second encoder; by default the same.
            prompt_embeds: the states of prompts themselves instead.
            negative_prompt_embeds: likewise.
            pooled_prompt_embeds: their pooled states.
            negative_pooled_prompt_embeds: likewise.
            lora_scale: how much adapters of the text encoders weigh.
            clip_skip: how many of the encoders' last layers are left out.
        """
        device = device or self._execution_device
        weigh = getattr(self, "_weighed_text", None)
        if lora_scale is not None and weigh is not None:
            with weigh(lora_scale):
                return self.encode_prompt(
                    prompt,
                    prompt_2,
                    device,
                    num_images_per_prompt,
                    do_classifier_free_guidance,
                    negative_prompt,
                    negative_prompt_2,
                    prompt_embeds,
                    negative_prompt_embeds,
                    pooled_prompt_embeds,
                    negative_pooled_prompt_embeds,
                    clip_skip=clip_skip,
                )
        if prompt_embeds is None:
            words = [prompt] if isinstance(prompt, str) else prompt
            others = prompt_2 or prompt
            others = [others] if isinstance(others, str) else others
            given = [others] if self.text_encoder is None else [words, others]
            prompt_embeds, pooled = self._read(given, clip_skip)
            pooled_prompt_embeds = pooled if pooled_prompt_embeds is None else pooled_prompt_embeds
        if pooled_prompt_embeds is None:
            raise PipelineError("prompt_embeds need pooled_prompt_embeds: pass both, or a prompt")
        count = prompt_embeds.shape[0]
        if do_classifier_free_guidance and negative_prompt_embeds is None:
            if negative_prompt is None and self.config["force_zeros_for_empty_prompt"]:
                negative_prompt_embeds = torch.zeros_like(prompt_embeds)
                negative_pooled_prompt_embeds = torch.zeros_like(pooled_prompt_embeds)
            else:
                first = negative_prompt or ""
                second = negative_prompt_2 or first
                texts = [one if isinstance(one, list) else [one] * count for one in (first, second)]
                given = list(texts[1:] if self.text_encoder is None else texts)
                negative_prompt_embeds, pooled = self._read(given, length=prompt_embeds.shape[1])
                if negative_pooled_prompt_embeds is None:
                    negative_pooled_prompt_embeds = pooled
        dtype = dtype_of(self.unet if self.text_encoder_2 is None else self.text_encoder_2)
        found = copies(prompt_embeds.to(dtype=dtype, device=device), num_images_per_prompt)
        pooled = copies(pooled_prompt_embeds, num_images_per_prompt)
        if not do_classifier_free_guidance or negative_prompt_embeds is None or negative_pooled_prompt_embeds is None:
            return found, negative_prompt_embeds, pooled, negative_pooled_prompt_embeds
        without = copies(negative_prompt_embeds.to(dtype=dtype, device=device), num_images_per_prompt)
        return found, without, pooled, copies(negative_pooled_prompt_embeds, num_images_per_prompt)

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
        """Check and encode prompts; return the loop's state and the number of pictures."""
        pictures = {name: given.pop(name, None) for name in ("ip_adapter_image", "ip_adapter_image_embeds")}
        count = check_prompts(self, **given) * images
        self._guidance_scale, self._guidance_rescale = guidance_scale, guidance_rescale
        self._clip_skip, self._cross_attention_kwargs, self._interrupt = clip_skip, cross_attention_kwargs, False
        device = self._execution_device
        guided = self.do_classifier_free_guidance
        found, without, pooled, pooled_without = self.encode_prompt(
            **given,
            device=device,
            num_images_per_prompt=images,
            do_classifier_free_guidance=guided,
            lora_scale=(cross_attention_kwargs or {}).get("scale"),
            clip_skip=clip_skip,
        )
        state: dict[str, Any] = {"prompt_embeds": found, "add_text_embeds": pooled}
        if guided:
            assert without is not None and pooled is not None and pooled_without is not None
            state |= {
                "prompt_embeds": torch.cat([without, found]),
                "add_text_embeds": torch.cat([pooled_without, pooled]),
            }
        state = {name: value.to(device) for name, value in state.items()}
        if any(picture is not None for picture in pictures.values()):
            state["image_embeds"] = self.prepare_ip_adapter_image_embeds(
                **pictures, device=device, num_images_per_prompt=count, do_classifier_free_guidance=guided
            )
        return state, count

    def _tell(self, state: dict[str, Any], sizes: Sizes, count: int) -> None:
        """Put what the UNet is told about sizes into the loop's state."""
        high, wide = state["latents"].shape[-2:]
        own = (high * self.vae_scale_factor, wide * self.vae_scale_factor)
        original, target = sizes.original or own, sizes.target or own
        negative_original, negative_target = sizes.negative_original or original, sizes.negative_target or target
        scored = bool(self.config.get("requires_aesthetics_score"))
        told = [*original, *sizes.corner, *((sizes.score,) if scored else target)]
        untold = [
            *negative_original,
            *sizes.negative_corner,
            *((sizes.negative_score,) if scored else negative_target),
        ]
        pooled = state["add_text_embeds"].shape[-1]
        width = self.unet.config.addition_time_embed_dim * len(told) + pooled
        expected = self.unet.add_embedding.linear_1.in_features
        if width != expected:
            raise PipelineError(
                f"the UNet embeds {expected} numbers, but {len(told)} sizes and a pooled text are {width}; "
                "requires_aesthetics_score in model_index.json says whether a score is one of them"
            )
        like = {"dtype": state["prompt_embeds"].dtype, "device": state["prompt_embeds"].device}
        rows = [torch.tensor([told], **like).repeat(count, 1)]
        if self.do_classifier_free_guidance:
            rows.insert(0, torch.tensor([untold], **like).repeat(count, 1))
        state["add_time_ids"] = torch.cat(rows)

    def _added(self, state: dict[str, Any]) -> dict[str, Any] | None:
        found = {"text_embeds": state["add_text_embeds"], "time_ids": state["add_time_ids"]}
        return found | ({"image_embeds": state["image_embeds"]} if "image_embeds" in state else {})

    # Latents

    def _span(self, timesteps: Tensor, steps: int, end: float | None) -> tuple[Tensor, int]:
        """Return the timesteps before a share of the noise is left, for a refiner to remove."""
        if end is None or not 0 < end < 1:
            return timesteps, steps
        total = self.scheduler.config.num_train_timesteps
        kept = int((timesteps >= round(total - end * total)).sum())
        return timesteps[:kept], kept

    def get_timesteps(
        self, num_inference_steps: int, strength: float, device: Any = None, denoising_start: float | None = None
    ) -> tuple[Tensor, int]:
        """Return the last part of the schedule: as much as ``strength`` says, or from a share of the noise on."""
        if denoising_start is None:
            return super().get_timesteps(num_inference_steps, strength, device)
        total = self.scheduler.config.num_train_timesteps
        steps = int((self.scheduler.timesteps < round(total - denoising_start * total)).sum())
        if self.scheduler.order == 2 and steps % 2 == 0:  # a step of two evaluations is not cut in its middle
            steps += 1
        begin = len(self.scheduler.timesteps) - steps
        if hasattr(self.scheduler, "set_begin_index"):
            self.scheduler.set_begin_index(begin)
        return self.scheduler.timesteps[begin:], steps

    def _statistics(self, like: Tensor) -> tuple[Tensor, Tensor] | None:
        """Return means and standard deviations of latents, where the autoencoder has them."""
        mean, std = self.vae.config.latents_mean, self.vae.config.latents_std
        if mean is None or std is None:
            return None
        return torch.tensor(mean).view(1, -1, 1, 1).to(like), torch.tensor(std).view(1, -1, 1, 1).to(like)

    def _precisely(self, compute: Callable[[Any], Any], x: Tensor) -> Any:
        """Run the autoencoder in float32 where half precision would overflow."""
        dtype = self.vae.dtype
        if dtype != torch.float16 or not self.vae.config.force_upcast:
            return compute(x)
        self.vae.to(torch.float32)
        try:
            return compute(x.float())
        finally:
            self.vae.to(dtype)

    def _encoded(self, image: Tensor, generator: Any) -> Tensor:
        if image.shape[1] == self.vae.config.latent_channels:
            return image
        parent = super()._encoded
        found: Tensor = self._precisely(lambda x: parent(x, generator), image).to(image.dtype)
        statistics = self._statistics(found)
        return found if statistics is None else (found - statistics[0] * self.vae.config.scaling_factor) / statistics[1]

    def _decoded(self, latents: Tensor, generator: Any) -> Tensor:
        statistics = self._statistics(latents)
        scaled = latents / self.vae.config.scaling_factor
        if statistics is not None:
            scaled = scaled * statistics[1] + statistics[0]
        return self._precisely(lambda x: self.vae.decode(x, return_dict=False)[0], scaled)  # type: ignore[no-any-return]

    def _answer(
        self, painted: Tensor, output_type: str, return_dict: bool, generator: Any, part: Masked | None = None
    ) -> Any:
        images, _ = self._finish(painted, output_type, painted.dtype, generator)
        images = images if part is None else part.laid_back(images)
        self.maybe_free_model_hooks()
        return StableDiffusionXLPipelineOutput(images) if return_dict else (images,)
