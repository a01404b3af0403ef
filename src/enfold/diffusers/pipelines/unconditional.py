"""Pictures from noise alone: DDPM, DDIM and consistency models."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from enfold.diffusers.image_processor import VaeImageProcessor
from enfold.diffusers.models.steady import steady
from enfold.diffusers.pipelines.pipeline import DiffusionPipeline, ImagePipelineOutput, PipelineError
from enfold.diffusers.schedulers.ddim import DDIMScheduler
from enfold.diffusers.utils.torch_utils import randn_tensor

__all__ = ["ConsistencyModelPipeline", "DDIMPipeline", "DDPMPipeline"]


class UnconditionalPipeline(DiffusionPipeline):
    """Base of the pipelines of one UNet and one scheduler.

    Args:
        unet: predicts from noisy pictures.
        scheduler: how noise is removed.
    """

    model_cpu_offload_seq = "unet"
    unet: Any
    scheduler: Any

    def __init__(self, unet: Any, scheduler: Any) -> None:
        self.register_modules(unet=unet, scheduler=scheduler)

    def _noise(self, count: int, generator: Any, dtype: torch.dtype | None = None) -> Tensor:
        size = self.unet.config.sample_size
        sides = tuple(size) if isinstance(size, list | tuple) else (size, size)
        if isinstance(generator, list) and len(generator) != count:
            raise PipelineError(f"{len(generator)} generators for {count} pictures; expected one, or one for each")
        shape = (count, self.unet.config.in_channels, *sides)
        return randn_tensor(shape, generator=generator, device=self._execution_device, dtype=dtype or self.unet.dtype)

    def _answer(self, image: Tensor, output_type: str | None, return_dict: bool) -> Any:
        found = VaeImageProcessor(vae_scale_factor=1).postprocess(image, output_type or "np")
        self.maybe_free_model_hooks()
        return ImagePipelineOutput(found) if return_dict else (found,)


class DDPMPipeline(UnconditionalPipeline):
    """Denoising diffusion (Ho et al., 2020, https://arxiv.org/abs/2006.11239)."""

    @torch.no_grad()
    def __call__(
        self,
        batch_size: int = 1,
        generator: torch.Generator | list[torch.Generator] | None = None,
        num_inference_steps: int = 1000,
        output_type: str | None = "pil",
        return_dict: bool = True,
    ) -> Any:
        """Draw pictures.

        Args:
            batch_size: how many.
            generator: makes them repeatable; one, or one for each.
            num_inference_steps: as many as in training, or fewer.
            output_type: "pil", "np" or "pt".
            return_dict: return an ``ImagePipelineOutput`` instead of a tuple.
        """
        image = self._noise(batch_size, generator)
        self.scheduler.set_timesteps(num_inference_steps)
        with steady(self.unet):
            for t in self.progress_bar(self.scheduler.timesteps):
                output = self.unet(image, t).sample
                image = self.scheduler.step(output, t, image, generator=generator).prev_sample
        return self._answer(image, output_type, return_dict)


class DDIMPipeline(UnconditionalPipeline):
    """The same model in few steps (Song et al., 2020, https://arxiv.org/abs/2010.02502); any scheduler becomes DDIM."""

    def __init__(self, unet: Any, scheduler: Any) -> None:
        super().__init__(unet, DDIMScheduler.from_config(scheduler.config))

    @torch.no_grad()
    def __call__(
        self,
        batch_size: int = 1,
        generator: torch.Generator | list[torch.Generator] | None = None,
        eta: float = 0.0,
        num_inference_steps: int = 50,
        use_clipped_model_output: bool | None = None,
        output_type: str | None = "pil",
        return_dict: bool = True,
    ) -> Any:
        """Draw pictures.

        Args:
            batch_size: how many.
            generator: makes them repeatable; one, or one for each.
            eta: share of noise in each step; 1 is DDPM.
            num_inference_steps: how many.
            use_clipped_model_output: see ``DDIMScheduler.step``.
            output_type: "pil", "np" or "pt".
            return_dict: return an ``ImagePipelineOutput`` instead of a tuple.
        """
        image = self._noise(batch_size, generator)
        self.scheduler.set_timesteps(num_inference_steps)
        more = {"eta": eta, "use_clipped_model_output": bool(use_clipped_model_output), "generator": generator}
        with steady(self.unet):
            for t in self.progress_bar(self.scheduler.timesteps):
                output = self.unet(image, t).sample
                image = self.scheduler.step(output, t, image, **more).prev_sample
        return self._answer(image, output_type, return_dict)


class ConsistencyModelPipeline(UnconditionalPipeline):
    """A picture in one step or a few (Song et al., 2023, https://arxiv.org/abs/2303.01469)."""

    @torch.no_grad()
    def __call__(
        self,
        batch_size: int = 1,
        class_labels: Tensor | list[int] | int | None = None,
        num_inference_steps: int = 1,
        timesteps: list[int] | None = None,
        generator: torch.Generator | list[torch.Generator] | None = None,
        latents: Tensor | None = None,
        output_type: str | None = "pil",
        return_dict: bool = True,
        callback: Callable[[int, Tensor, Tensor], None] | None = None,
        callback_steps: int = 1,
    ) -> Any:
        """Draw pictures.

        Args:
            batch_size: how many.
            class_labels: of each; for a model of classes random ones by default.
            num_inference_steps: how many.
            timesteps: indices of levels themselves instead.
            generator: makes them repeatable; one, or one for each.
            latents: the noise they begin with, before it is scaled.
            output_type: "pil", "np" or "pt".
            return_dict: return an ``ImagePipelineOutput`` instead of a tuple.
            callback: called with the step, its timestep and the present pictures.
            callback_steps: how often, in steps.
        """
        device = self._execution_device
        image = self._noise(batch_size, generator) if latents is None else latents.to(device)
        image = image * self.scheduler.init_noise_sigma
        labels = None
        if self.unet.config.num_class_embeds is not None:
            given = class_labels if class_labels is not None else self._random_classes(batch_size, generator)
            labels = torch.as_tensor(given, device=device).reshape(-1).expand(batch_size)
        if timesteps is not None:
            self.scheduler.set_timesteps(timesteps=timesteps, device=device)
        else:
            self.scheduler.set_timesteps(num_inference_steps, device=device)
        for i, t in enumerate(self.progress_bar(self.scheduler.timesteps)):
            scaled = self.scheduler.scale_model_input(image, t)
            output = self.unet(scaled, t, class_labels=labels, return_dict=False)[0]
            image = self.scheduler.step(output, t, image, generator=generator, return_dict=False)[0]
            if callback is not None and i % callback_steps == 0:
                callback(i, t, image)
        return self._answer(image, output_type, return_dict)

    def _random_classes(self, count: int, generator: Any) -> Tensor:
        source = generator[0] if isinstance(generator, list) else generator
        return torch.randint(0, self.unet.config.num_class_embeds, (count,), generator=source)
