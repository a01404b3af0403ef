"""What pipelines of flow-matching transformers share: how a schedule is shifted, the loop, and the pictures."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from enfold.diffusers.image_processor import VaeImageProcessor
from enfold.diffusers.loaders.lora import LoraMixin
from enfold.diffusers.models.steady import steady
from enfold.diffusers.pipelines.pipeline import ImagePipelineOutput, PipelineError
from enfold.diffusers.pipelines.prompts import Prompt, copies, tokenized
from enfold.diffusers.pipelines.sampling import Callbacks, GuidedPipeline, retrieve_latents

__all__ = ["Control", "FlowPipeline", "Request", "Texts", "calculate_shift"]

# What gives a model more at a step: it is told the step and what the model is given.
Control = Callable[[int, dict[str, Any]], dict[str, Any]]


@dataclass
class Texts:
    """What one side of guidance is said, or its states.

    Attributes:
        prompts: for each encoder; None: the same as for the first.
        embeds: the states themselves instead.
        pooled: with them.
    """

    prompts: tuple[Prompt | None, ...]
    embeds: Tensor | None
    pooled: Tensor | None


@dataclass
class Request:
    """What every call is asked, over a picture and along a drawing too.

    Attributes:
        given: what to paint.
        negative: what not to.
        guidance_scale: how far predictions are moved, or what a guided model is told.
        images: pictures for each prompt.
        length: tokens that the T5 encoder reads.
        attention: for attention's processors.
        callbacks: what is called after each step.
        output_type: the form of the pictures.
        return_dict: False returns a tuple.
        clip_skip: how many more of the CLIP encoders' last layers are left out.
        true_cfg_scale: how far predictions are moved from those for ``negative``, by a guided model.
    """

    given: Texts
    negative: Texts
    guidance_scale: float
    images: int
    length: int
    attention: dict[str, Any] | None
    callbacks: Callbacks
    output_type: str
    return_dict: bool
    clip_skip: int | None = None
    true_cfg_scale: float = 1.0


def calculate_shift(
    image_seq_len: int,
    base_seq_len: int = 256,
    max_seq_len: int = 4096,
    base_shift: float = 0.5,
    max_shift: float = 1.15,
) -> float:
    """Return how far noise levels are shifted for a picture of so many patches: larger ones need more noise.

    Args:
        image_seq_len: patches of the picture.
        base_seq_len: patches that are shifted by ``base_shift``.
        max_seq_len: patches that are shifted by ``max_shift``; others lie on the line through both.
        base_shift: see there.
        max_shift: see there.

    Source: Esser et al., 2024, section 5.3.2 (https://arxiv.org/abs/2403.03206).

    Example:
        >>> calculate_shift(256), round(calculate_shift(4096), 6)
        (0.5, 1.15)
    """
    slope = (max_shift - base_shift) / (max_seq_len - base_seq_len)
    return image_seq_len * slope + base_shift - slope * base_seq_len


class FlowPipeline(LoraMixin, GuidedPipeline):
    """Base of pipelines whose ``transformer`` gives the direction from noise to a picture."""

    vae: Any
    transformer: Any
    scheduler: Any
    tokenizer: Any
    _callback_tensor_inputs = ["latents", "prompt_embeds", "pooled_prompt_embeds"]
    _lora_loadable_modules: ClassVar[list[str]] = ["transformer", "text_encoder", "text_encoder_2"]
    _joint_attention_kwargs: dict[str, Any] | None = None
    _last_shift = 1.15  # of the largest pictures, where the scheduler does not say

    @property
    def joint_attention_kwargs(self) -> dict[str, Any] | None:
        """What attention's processors are given."""
        return self._joint_attention_kwargs

    def _weighing(self) -> AbstractContextManager[None]:
        """Let the text encoders' adapters weigh what ``joint_attention_kwargs`` says, for the length of a block."""
        scale = (self._joint_attention_kwargs or {}).get("scale")
        return nullcontext() if scale is None else self._weighed_text(scale)

    def _measure(self, patch: int) -> None:
        """Take the autoencoder's factor; sizes are multiples of it and of ``patch``."""
        self.vae_scale_factor = 2 ** (len(self.vae.config.block_out_channels) - 1) if self.vae is not None else 8
        self.image_processor = VaeImageProcessor(vae_scale_factor=self.vae_scale_factor * patch)

    def _checked_size(self, height: int | None, width: int | None, own: int, patch: int) -> tuple[int, int]:
        """Return height and width, by default ``own`` latents; refuse what patches of ``patch`` do not fill."""
        height, width = height or own * self.vae_scale_factor, width or own * self.vae_scale_factor
        unit = self.vae_scale_factor * patch
        if height % unit or width % unit:
            raise PipelineError(f"height and width are {height} and {width}; expected multiples of {unit}")
        return height, width

    def get_timesteps(self, num_inference_steps: int, strength: float, device: Any = None) -> tuple[Tensor, int]:
        """Return the last part of the schedule; of a step that ``strength`` cuts, these models make the whole."""
        begin = int(num_inference_steps - min(num_inference_steps * strength, num_inference_steps))
        first = begin * self.scheduler.order
        self.scheduler.set_begin_index(first)
        return self.scheduler.timesteps[first:], num_inference_steps - begin

    def _drawn_over(
        self,
        image: Tensor,
        shape: tuple[int, ...],
        strength: float,
        timesteps: Tensor,
        steps: int,
        generator: Any,
        like: dict[str, Any],
    ) -> tuple[Tensor, Tensor, int]:
        """Return a picture's latents with noise, and the rest of the schedule, which removes it.

        Args:
            image: prepared pictures (B, 3, H, W), or latents.
            shape: of the latents.
            strength: how much of the picture is lost, 0 to 1.
            timesteps: all of them.
            steps: how many steps they are.
            generator: draws latents and noise.
            like: ``dtype`` and ``device``.
        """
        timesteps, steps = self.get_timesteps(steps, strength)
        if steps < 1:
            raise PipelineError(f"with strength {strength} no step is made; take more steps or a greater strength")
        image = image.to(**like)
        if image.shape[1] != self.vae.config.latent_channels:
            if isinstance(generator, list):
                pictures = self._repeated(image, len(generator), "pictures")
                image = torch.cat([self._latents_of(pictures[i : i + 1], g) for i, g in enumerate(generator)])
            else:
                image = self._latents_of(image, generator)
        image = self._repeated(image, shape[0], "pictures")
        if tuple(image.shape) != shape:
            raise PipelineError(f"the picture's latents are {tuple(image.shape)}; expected {shape}")
        noise = self._noise(shape, generator, like["device"], like["dtype"])
        return self.scheduler.scale_noise(image, timesteps[:1].repeat(shape[0]), noise), timesteps, steps

    def _latents_of(self, pictures: Tensor, generator: Any = None, shifted: bool = True) -> Tensor:
        """Return the latents of prepared pictures (B, 3, H, W), drawn by ``generator``, as the model has them."""
        known = self.vae.config
        drawn = retrieve_latents(self.vae.encode(pictures), generator)
        return (drawn - ((known.shift_factor or 0.0) if shifted else 0.0)) * known.scaling_factor

    def _shift(self, patches: int) -> dict[str, Any]:
        """Return the argument of ``set_timesteps`` for pictures of so many patches."""
        known = self.scheduler.config
        if not known.get("use_dynamic_shifting"):
            return {}
        mu = calculate_shift(
            patches,
            known.get("base_image_seq_len", 256),
            known.get("max_image_seq_len", 4096),
            known.get("base_shift", 0.5),
            known.get("max_shift", self._last_shift),
        )
        return {"mu": mu}

    def _t5_states(self, tokenizer: Any, encoder: Any, texts: Prompt, length: int, device: Any, count: int) -> Tensor:
        """Return a T5 encoder's states, (B·count, length, width); it looks at what pads them, as it was trained."""
        ids = tokenized(tokenizer, texts, length).input_ids.to(device)
        return copies(encoder(ids)[0], count)

    def _flow(
        self,
        state: dict[str, Any],
        timesteps: Tensor,
        steps: int,
        request: Request,
        predict: Callable[[int, Tensor], Tensor],
    ) -> Any:
        """Make all steps and return the pictures in the form that was asked for.

        Args:
            state: ``latents``, and what callbacks may see and change besides.
            timesteps: those that are visited.
            steps: how many steps the progress bar counts.
            request: says what is called after each, and the form.
            predict: gives the direction at a step and its timestep.
        """
        self._num_timesteps = len(timesteps)
        order = getattr(self.scheduler, "order", 1)
        warmup = max(len(timesteps) - steps * order, 0)
        with self.progress_bar(total=steps) as bar, steady(self.transformer):
            for i, t in enumerate(timesteps):
                if self._interrupt:
                    continue
                latents = state["latents"]
                moved = self.scheduler.step(predict(i, t), t, latents, return_dict=False)[0]
                state["latents"] = moved.to(latents.dtype)
                request.callbacks.after(self, i, t, state)
                if i == len(timesteps) - 1 or (i + 1 > warmup and (i + 1) % order == 0):
                    bar.update()
        return self._answer(state["latents"], request)

    def _spread(self, latents: Tensor) -> Tensor:
        """Return latents as the autoencoder knows them, (B, C, H, W)."""
        return latents

    def _finish(self, latents: Tensor, output_type: str, dtype: torch.dtype, generator: Any) -> tuple[Any, None]:
        """Return pictures in the form that was asked for; nothing is looked for in them."""
        if output_type == "latent":
            return latents, None
        known = self.vae.config
        scaled = self._spread(latents) / known.scaling_factor + (known.shift_factor or 0.0)
        images = self.vae.decode(scaled, return_dict=False)[0]
        return self.image_processor.postprocess(images, output_type=output_type), None

    def _answer(self, latents: Tensor, request: Request) -> Any:
        """Return pictures in the form that was asked for."""
        images, _ = self._finish(latents, request.output_type, latents.dtype, None)
        self.maybe_free_model_hooks()
        return ImagePipelineOutput(images) if request.return_dict else (images,)
