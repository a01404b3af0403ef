"""What pipelines around an autoencoder do with pictures: encode, mask, decode and check them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from enfold.diffusers.image_processor import VaeImageProcessor
from enfold.diffusers.pipelines.pipeline import PipelineError
from enfold.diffusers.pipelines.sampling import GuidedPipeline, retrieve_latents
from enfold.log import get_logger

__all__ = ["LatentPipeline", "Masked", "check_strength"]

logger = get_logger(__name__)


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
