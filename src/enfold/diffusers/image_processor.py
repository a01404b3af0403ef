"""Pictures in every form that pipelines take, to tensors from -1 to 1, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps
from torch import Tensor

from enfold.diffusers.configuration import ConfigMixin, register_to_config
from enfold.errors import EnfoldError

__all__ = ["PictureError", "PipelineImageInput", "VaeImageProcessor"]

# What stands for one picture or several.
PipelineImageInput = Any

RESAMPLE = {
    "linear": Image.Resampling.BILINEAR,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
    "nearest": Image.Resampling.NEAREST,
}
Box = tuple[int, int, int, int]


class PictureError(EnfoldError, ValueError):
    """Something is no picture, or does not fit."""


class VaeImageProcessor(ConfigMixin):
    """Pictures for an autoencoder and from it.

    Args:
        do_resize: make height and width multiples of ``vae_scale_factor``, or what is asked for.
        vae_scale_factor: how much smaller latents are than pictures.
        vae_latent_channels: a tensor of so many channels is latents, and passed on.
        resample: how pictures are resized: "lanczos", "bilinear", "bicubic" or "nearest".
        reducing_gap: see ``PIL.Image.Image.resize``.
        do_normalize: move values from [0, 1] to [-1, 1].
        do_binarize: make values 0 or 1.
        do_convert_rgb: make pictures coloured.
        do_convert_grayscale: make them grey.

    Example:
        >>> processor = VaeImageProcessor()
        >>> tensor = processor.preprocess(Image.new("RGB", (17, 24), "white"))
        >>> tensor.shape, tensor.max().item()
        (torch.Size([1, 3, 24, 16]), 1.0)
        >>> processor.postprocess(tensor)[0].size
        (16, 24)
    """

    config_name = "config.json"

    @register_to_config
    def __init__(
        self,
        do_resize: bool = True,
        vae_scale_factor: int = 8,
        vae_latent_channels: int = 4,
        resample: str = "lanczos",
        reducing_gap: int | None = None,
        do_normalize: bool = True,
        do_binarize: bool = False,
        do_convert_rgb: bool = False,
        do_convert_grayscale: bool = False,
    ) -> None:
        if do_convert_rgb and do_convert_grayscale:
            raise PictureError("do_convert_rgb and do_convert_grayscale are set; a picture is one or the other")

    # Between forms

    @staticmethod
    def numpy_to_pil(images: np.ndarray[Any, Any]) -> list[Image.Image]:
        """Return pictures from an array of values from 0 to 1, (H, W, C) or (B, H, W, C)."""
        pixels = (np.asarray(images) * 255).round().astype("uint8")
        pixels = pixels[None] if pixels.ndim == 3 else pixels
        return [Image.fromarray(one[..., 0] if one.shape[-1] == 1 else one) for one in pixels]

    @staticmethod
    def pil_to_numpy(images: Image.Image | list[Image.Image]) -> np.ndarray[Any, Any]:
        """Return values from 0 to 1, (B, H, W, C)."""
        listed = images if isinstance(images, list) else [images]
        return np.stack([np.array(one).astype(np.float32) / 255.0 for one in listed])

    @staticmethod
    def numpy_to_pt(images: np.ndarray[Any, Any]) -> Tensor:
        """Return (B, C, H, W) for (B, H, W, C), or for (B, H, W) one channel."""
        images = images[..., None] if images.ndim == 3 else images
        return torch.from_numpy(images.transpose(0, 3, 1, 2))

    @staticmethod
    def pt_to_numpy(images: Tensor) -> np.ndarray[Any, Any]:
        """Return (B, H, W, C) for (B, C, H, W)."""
        found: np.ndarray[Any, Any] = images.cpu().permute(0, 2, 3, 1).float().numpy()
        return found

    @staticmethod
    def normalize(images: Any) -> Any:
        """Move values from [0, 1] to [-1, 1]."""
        return 2.0 * images - 1.0

    @staticmethod
    def denormalize(images: Any) -> Any:
        """Move values from [-1, 1] to [0, 1]; others are clamped."""
        return (images * 0.5 + 0.5).clamp(0, 1)

    # Sizes

    def get_default_height_width(
        self, image: Any, height: int | None = None, width: int | None = None
    ) -> tuple[int, int]:
        """Return the height and width a picture is given: its own unless asked otherwise, as multiples."""
        own: Any
        if isinstance(image, Image.Image):
            own = image.height, image.width
        else:
            own = image.shape[-2:] if isinstance(image, Tensor) else image.shape[1:3]
        step = self.config["vae_scale_factor"]
        high, wide = own[0] if height is None else height, own[1] if width is None else width
        return high - high % step, wide - wide % step

    def resize(self, image: Any, height: int, width: int, resize_mode: str = "default") -> Any:
        """Return a picture of another size.

        Args:
            image: a picture, an array (B, H, W, C) or a tensor (B, C, H, W).
            height: of the result.
            width: of the result.
            resize_mode: "default" stretches; for pictures also "fill" (whole, its edges drawn out) and "crop".
        """
        if isinstance(image, Image.Image):
            resample = RESAMPLE[self.config["resample"]]
            if resize_mode == "default":
                return image.resize((width, height), resample=resample, reducing_gap=self.config["reducing_gap"])
            if resize_mode in ("fill", "crop"):
                return _fitted(image, width, height, resample, whole=resize_mode == "fill")
            raise PictureError(f"resize_mode is {resize_mode!r}; expected 'default', 'fill' or 'crop'")
        if resize_mode != "default":
            raise PictureError(f"resize_mode {resize_mode!r} is for pictures of Pillow")
        if isinstance(image, Tensor):
            return F.interpolate(image, size=(height, width))
        return self.pt_to_numpy(F.interpolate(self.numpy_to_pt(image), size=(height, width)))

    # In and out

    def preprocess(
        self,
        image: PipelineImageInput,
        height: int | None = None,
        width: int | None = None,
        resize_mode: str = "default",
        crops_coords: Box | None = None,
    ) -> Tensor:
        """Return pictures as a tensor, (B, C, height, width), from -1 to 1.

        Args:
            image: a picture, an array (values from 0 to 1, channels last) or a tensor (channels first), or a list.
            height: of the result; by default that of the first picture.
            width: likewise.
            resize_mode: see ``resize``.
            crops_coords: a part of pictures, left, top, right, bottom.

        Raises:
            PictureError: it is none of these.
        """
        config = self.config
        listed = list(image) if isinstance(image, list | tuple) else [image]
        kinds = {
            next((kind for kind in (Image.Image, np.ndarray, Tensor) if isinstance(one, kind)), None) for one in listed
        }
        if len(kinds) != 1 or None in kinds:
            names = ", ".join(sorted({type(one).__name__ for one in listed})) or "nothing"
            raise PictureError(
                f"{names} is no picture; expected PIL.Image, numpy.ndarray or torch.Tensor, or a list of one"
            )
        if kinds == {Image.Image}:
            found = self._from_pictures(listed, height, width, resize_mode, crops_coords)
        else:
            grey = config["do_convert_grayscale"]
            if kinds == {np.ndarray}:
                arrays = [_with_channel(one, -1) if grey else one for one in listed]
                found = self.numpy_to_pt(np.concatenate(arrays) if arrays[0].ndim == 4 else np.stack(arrays))
            else:
                tensors = [_with_channel(one, 0) if grey else one for one in listed]
                found = torch.cat(tensors) if tensors[0].ndim == 4 else torch.stack(tensors)
            if found.shape[1] == config["vae_latent_channels"] and kinds == {Tensor}:
                return found
            high, wide = self.get_default_height_width(found, height, width)
            if config["do_resize"]:
                found = self.resize(found, high, wide)
        if config["do_normalize"] and found.min() >= 0:  # a tensor that is from -1 already stays
            found = self.normalize(found)
        return (found >= 0.5).to(found.dtype) if config["do_binarize"] else found

    def _from_pictures(
        self, images: list[Image.Image], height: int | None, width: int | None, mode: str, crop: Box | None
    ) -> Tensor:
        if crop is not None:
            images = [one.crop(crop) for one in images]
        if self.config["do_resize"]:
            high, wide = self.get_default_height_width(images[0], height, width)
            images = [self.resize(one, high, wide, mode) for one in images]
        for field, kind in (("do_convert_rgb", "RGB"), ("do_convert_grayscale", "L")):
            if self.config[field]:
                images = [one.convert(kind) for one in images]
        return self.numpy_to_pt(self.pil_to_numpy(images))

    def postprocess(self, image: Tensor, output_type: str = "pil", do_denormalize: list[bool] | None = None) -> Any:
        """Return an autoencoder's pictures in another form.

        Args:
            image: (B, C, H, W), from -1 to 1.
            output_type: "pil", "np" (from 0 to 1, channels last), "pt" or "latent" (as it is).
            do_denormalize: for each picture, whether its values are moved to [0, 1].
        """
        if output_type not in ("latent", "pt", "np", "pil"):
            raise PictureError(f"output_type is {output_type!r}; expected 'pil', 'np', 'pt' or 'latent'")
        if output_type == "latent":
            return image
        if do_denormalize is None:
            image = self.denormalize(image) if self.config["do_normalize"] else image
        else:
            moved = zip(image, do_denormalize, strict=True)
            image = torch.stack([self.denormalize(one) if wanted else one for one, wanted in moved])
        if output_type == "pt":
            return image
        return self.pt_to_numpy(image) if output_type == "np" else self.numpy_to_pil(self.pt_to_numpy(image))

    # A part of a picture, and back into the whole

    @staticmethod
    def get_crop_region(mask_image: Image.Image, width: int, height: int, pad: int = 0) -> Box:
        """Return the part of a picture that holds all that is masked, in the proportions of the result.

        Args:
            mask_image: white where pictures are painted anew.
            width: of the result.
            height: of the result.
            pad: how much more on each side, in pixels.
        """
        mask = np.array(mask_image.convert("L"))
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if not len(rows):
            raise PictureError("the mask is black everywhere: nothing is to be painted anew")
        left, right = max(int(columns[0]) - pad, 0), min(int(columns[-1]) + 1 + pad, mask.shape[1])
        top, bottom = max(int(rows[0]) - pad, 0), min(int(rows[-1]) + 1 + pad, mask.shape[0])
        if (right - left) / (bottom - top) > width / height:
            top, bottom = _widened(top, bottom, (right - left) / (width / height), mask.shape[0])
        else:
            left, right = _widened(left, right, (bottom - top) * (width / height), mask.shape[1])
        return left, top, right, bottom

    def apply_overlay(
        self, mask: Image.Image, init_image: Image.Image, image: Image.Image, crop_coords: Box | None = None
    ) -> Image.Image:
        """Lay what is not masked of the original over a painted picture.

        Args:
            mask: white where the painted picture shows.
            init_image: the original.
            image: what was painted, of the whole or of a part.
            crop_coords: which part.
        """
        kept = Image.new("RGBa", init_image.size)
        kept.paste(init_image.convert("RGBA").convert("RGBa"), mask=ImageOps.invert(mask.convert("L")))
        if crop_coords is not None:
            left, top, right, bottom = crop_coords
            whole = Image.new("RGBA", init_image.size)
            whole.paste(self.resize(image, bottom - top, right - left, "crop"), (left, top))
            image = whole.convert("RGB")
        image = image.convert("RGBA")
        image.alpha_composite(kept.convert("RGBA"))
        return image.convert("RGB")


def _with_channel(image: Any, at: int) -> Any:
    """Give a grey picture, (H, W), its channel."""
    if image.ndim != 2:
        return image
    return image.unsqueeze(at) if isinstance(image, Tensor) else np.expand_dims(image, at)


def _widened(start: int, end: int, wanted: float, limit: int) -> tuple[int, int]:
    """Return a span made ``wanted`` long around its middle, moved back inside where it would leave."""
    more = int(wanted - (end - start))
    start, end = start - more // 2, end + more - more // 2
    if end >= limit:
        start, end = start - (end - limit), limit
    if start < 0:
        start, end = 0, end - start
    return start, min(end, limit)


def _fitted(image: Image.Image, width: int, height: int, resample: Any, *, whole: bool) -> Image.Image:
    """Return a picture in its own proportions in the middle of another size: whole, or covering all of it."""
    tall = width / height < image.width / image.height  # of what is asked, against the picture
    by_width = tall if whole else width / height > image.width / image.height
    by_height = not tall if whole else width / height <= image.width / image.height
    size = (
        width if by_width else image.width * height // image.height,
        height if by_height else image.height * width // image.width,
    )
    resized = image.resize(size, resample=resample)
    made = Image.new("RGB", (width, height))
    left, top = width // 2 - size[0] // 2, height // 2 - size[1] // 2
    made.paste(resized, (left, top))
    if whole and top > 0:
        for edge, at in ((0, 0), (resized.height, top + size[1])):
            made.paste(resized.resize((width, top), box=(0, edge, width, edge)), (0, at))
    elif whole and left > 0:
        for edge, at in ((0, 0), (resized.width, left + size[0])):
            made.paste(resized.resize((left, height), box=(edge, 0, edge, height)), (at, 0))
    return made
