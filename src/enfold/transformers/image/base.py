"""The base of image processors: settings, and the steps that most families share."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import PIL.Image

from enfold.errors import EnfoldError, nearest
from enfold.log import get_logger
from enfold.transformers.image import transforms
from enfold.transformers.processing.features import BatchFeature
from enfold.transformers.processing.files import Preprocessor

__all__ = ["CLIP_MEAN", "CLIP_STD", "HALF", "IMAGENET_MEAN", "IMAGENET_STD", "BaseImageProcessor"]

logger = get_logger(__name__)

IMAGENET_MEAN, IMAGENET_STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
CLIP_MEAN, CLIP_STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
HALF = [0.5, 0.5, 0.5]


class BaseImageProcessor(Preprocessor):
    """Turns pictures into model inputs by the steps its settings ask for: RGB, resize, crop, rescale, normalise.

    A family states the defaults of its settings in ``DEFAULTS``; they become keyword arguments of the class and of
    every call.

    Args:
        settings: values that differ from the defaults.
    """

    part = "image_processor"
    model_input_names: ClassVar[list[str]] = ["pixel_values"]
    SHARED: ClassVar[dict[str, Any]] = {
        "do_convert_rgb": None,
        "do_resize": True,
        "size": None,
        "resample": transforms.BILINEAR,
        "do_center_crop": False,
        "crop_size": None,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": HALF,
        "image_std": HALF,
    }
    DEFAULTS: ClassVar[dict[str, Any]] = {}
    # a number as ``size`` is both sides, not the shortest one
    square: ClassVar[bool] = True
    # other spelling of a setting → the one above
    RENAMED: ClassVar[dict[str, str]] = {}
    # what every family has
    do_normalize: bool
    resample: int
    size: dict[str, int]
    # settings that are sizes, and whether a number is both their sides
    SIZES: ClassVar[dict[str, bool]] = {"crop_size": True}

    def __init__(self, **settings: Any) -> None:
        given = {self.RENAMED.get(name, name): value for name, value in settings.items() if value is not None}
        if given.get("resample") is not None:
            given["resample"] = int(given["resample"])
        super().__init__(**self._sized({**copy.deepcopy(self.SHARED), **copy.deepcopy(self.DEFAULTS), **given}))

    def _sized(self, settings: dict[str, Any]) -> dict[str, Any]:
        """Return settings with every size as a dictionary."""
        for name, square in {"size": self.square, **self.SIZES}.items():
            if settings.get(name) is not None:
                settings[name] = transforms.size_dict(settings[name], square)
        return settings

    def __call__(self, images: Any, *args: Any, **kwargs: Any) -> BatchFeature:
        """Do ``preprocess``."""
        return self.preprocess(images, *args, **kwargs)

    def preprocess(
        self,
        images: Any,
        return_tensors: Any = None,
        data_format: str = "channels_first",
        input_data_format: str | None = None,
        **overrides: Any,
    ) -> BatchFeature:
        """Turn pictures into ``pixel_values``.

        Args:
            images: a Pillow image, an array or a tensor (height, width, channels) or (channels, height, width), one,
                many, or a batch of them; pixels are bytes, unless ``do_rescale=False``.
            return_tensors: "pt", "np", "tf" or "jax"; a list of arrays by default.
            data_format: "channels_first" or "channels_last", of what is returned.
            input_data_format: of what is given; by default the side that looks like channels.
            overrides: settings for this call.
        """
        plan = self.plan(overrides)
        made = [self.transform(image, plan) for image in self.arrays(images, plan, input_data_format)]
        return BatchFeature({"pixel_values": self.formatted(made, data_format)}, tensor_type=return_tensors)

    def plan(self, overrides: dict[str, Any]) -> SimpleNamespace:
        """Return the settings of a call, checked."""
        settings = {name: value for name, value in vars(self).items() if not name.startswith("_")}
        for name, value in overrides.items():
            name = self.RENAMED.get(name, name)
            if name not in settings and name not in ("device", "disable_grouping", "do_pad", "padding", "truncation"):
                logger.warning("%s has no setting %r%s", type(self).__name__, name, nearest(name, settings))
            if value is not None:
                settings[name] = int(value) if name == "resample" else value
        settings = self._sized(settings)
        for step, needed in (("do_resize", "size"), ("do_center_crop", "crop_size"), ("do_normalize", "image_mean")):
            if settings.get(step) and settings.get(needed) is None:
                raise EnfoldError(f"{step}=True needs {needed}")
        if settings.get("do_center_crop") and "height" not in settings["crop_size"]:
            raise EnfoldError(f"crop_size has height and width, not {', '.join(settings['crop_size'])}")
        return SimpleNamespace(**settings)

    def arrays(self, images: Any, plan: SimpleNamespace, given: str | None = None) -> list[np.ndarray]:
        """Return pictures as arrays (channels, height, width)."""
        made = []
        for image in flat(images):
            if plan.do_convert_rgb and isinstance(image, PIL.Image.Image):
                image = image.convert("RGB")
            array = transforms.to_array(image)
            if array.ndim == 2:  # without colours: as many channels as the normalisation has
                mean = np.atleast_1d(plan.image_mean) if plan.do_normalize else [0]
                made.append(np.repeat(array[None], len(mean), axis=0))
            else:
                made.append(transforms.channels_first(array, given))
        if made and plan.do_rescale and np.issubdtype(made[0].dtype, np.floating) and made[0].max(initial=0) <= 1:
            logger.warning("pixels between 0 and 1 are rescaled again; do_rescale=False leaves them as they are")
        return made

    def transform(self, image: np.ndarray, plan: SimpleNamespace) -> np.ndarray:
        """Return a picture (channels, height, width) after the steps of the plan."""
        if plan.do_resize:
            image = self.resized(image, plan)
        if plan.do_center_crop:
            image = transforms.center_crop(image, (plan.crop_size["height"], plan.crop_size["width"]))
        return self.scaled(image, plan)

    def resized(self, image: np.ndarray, plan: SimpleNamespace) -> np.ndarray:
        """Return a picture resized as ``plan.size`` asks."""
        height, width = image.shape[-2:]
        return transforms.resize(image, transforms.target_size((height, width), plan.size), plan.resample)

    def scaled(self, image: np.ndarray, plan: SimpleNamespace) -> np.ndarray:
        """Return a picture rescaled and normalised."""
        if image.dtype != np.uint8 or not (plan.do_rescale or plan.do_normalize):
            return self._scaled(image, plan)
        # a byte has 256 values: each is computed once, and looked up for every pixel
        levels = np.broadcast_to(np.arange(256, dtype=np.uint8), (image.shape[0], 1, 256))
        table = self._scaled(levels, plan)
        return np.stack([row[0].take(channel) for row, channel in zip(table, image, strict=True)])

    def _scaled(self, image: np.ndarray, plan: SimpleNamespace) -> np.ndarray:
        if plan.do_rescale:
            image = transforms.rescale(image, plan.rescale_factor)
        return transforms.normalize(image, plan.image_mean, plan.image_std) if plan.do_normalize else image

    @staticmethod
    def formatted(images: Iterable[np.ndarray], data_format: Any) -> list[np.ndarray]:
        """Return pictures with their channels where ``data_format`` says."""
        last = str(getattr(data_format, "value", data_format)) == "channels_last"
        return [np.moveaxis(image, -3, -1) if last else image for image in images]

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as JSON can hold them, without steps that the family does not have."""
        unused = {name for name in ("do_convert_rgb", "do_center_crop", "crop_size") if name not in self.DEFAULTS}
        return {
            name: value for name, value in super().to_dict().items() if name not in unused or value != self.SHARED[name]
        }

    # --- the steps by themselves, under the ecosystem's names

    def resize(self, image: Any, size: Any, resample: int | None = None, **_: Any) -> np.ndarray:
        """Return an image (channels, height, width) resized; ``size`` as in the settings."""
        chosen = self.resample if resample is None else int(resample)
        plan = SimpleNamespace(**{**vars(self), "size": transforms.size_dict(size, self.square), "resample": chosen})
        return self.resized(transforms.channels_first(transforms.to_array(image)), plan)

    def rescale(self, image: Any, scale: float, **_: Any) -> np.ndarray:
        """Return an image multiplied by a factor, as float32."""
        return transforms.rescale(transforms.to_array(image), scale)

    def normalize(self, image: Any, mean: Any, std: Any, **_: Any) -> np.ndarray:
        """Return an image (channels, height, width) less a mean, divided by a deviation."""
        return transforms.normalize(transforms.channels_first(transforms.to_array(image)), mean, std)

    def center_crop(self, image: Any, size: Any, **_: Any) -> np.ndarray:
        """Return the middle of an image (channels, height, width)."""
        sides = transforms.size_dict(size)
        return transforms.center_crop(
            transforms.channels_first(transforms.to_array(image)), (sides["height"], sides["width"])
        )

    def fetch_images(self, images: Any) -> Any:
        """Return pictures of paths and URLs, alone or in nested lists."""
        from enfold.transformers.image.loading import load_images

        return load_images(images)


def flat(images: Any) -> list[Any]:
    """Return pictures as one list: of one, of nested lists, or of an array with a leading axis."""
    if isinstance(images, list | tuple):
        if images and isinstance(images[0], int | float):
            raise EnfoldError("an image is a Pillow image, an array or a tensor, not a list of numbers")
        return [one for image in images for one in flat(image)]
    if images is None or isinstance(images, str | bytes):
        raise EnfoldError(
            f"an image is a Pillow image, an array or a tensor, not {type(images).__name__}; load_image reads "
            "paths and URLs"
        )
    if getattr(images, "ndim", 0) == 4:
        return list(images)
    return [images]


def pixel_masks(images: list[np.ndarray], size: tuple[int, int]) -> list[np.ndarray]:
    """Return, for each picture (…, height, width), a mask of a size: 1 where it is, 0 where it will be padded."""
    masks = []
    for image in images:
        mask = np.zeros(size, dtype=np.int64)
        mask[: image.shape[-2], : image.shape[-1]] = 1
        masks.append(mask)
    return masks


def largest(images: list[np.ndarray]) -> tuple[int, int]:
    """Return the height and width that every picture (…, height, width) fits into."""
    return max(image.shape[-2] for image in images), max(image.shape[-1] for image in images)
