"""The ecosystem's names for what settings say in words: where channels are, how annotations look, what numbers mean."""

from __future__ import annotations

import enum

import PIL.Image

from enfold.transformers.image.base import CLIP_MEAN, CLIP_STD, HALF, IMAGENET_MEAN, IMAGENET_STD

__all__ = [
    "IMAGENET_DEFAULT_MEAN",
    "IMAGENET_DEFAULT_STD",
    "IMAGENET_STANDARD_MEAN",
    "IMAGENET_STANDARD_STD",
    "OPENAI_CLIP_MEAN",
    "OPENAI_CLIP_STD",
    "AnnotationFormat",
    "ChannelDimension",
    "PILImageResampling",
]

IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD = IMAGENET_MEAN, IMAGENET_STD
IMAGENET_STANDARD_MEAN = IMAGENET_STANDARD_STD = HALF
OPENAI_CLIP_MEAN, OPENAI_CLIP_STD = CLIP_MEAN, CLIP_STD
PILImageResampling = PIL.Image.Resampling


class ChannelDimension(str, enum.Enum):
    """Where an array's channels are.

    Example:
        >>> ChannelDimension("channels_last").name
        'LAST'
    """

    FIRST = "channels_first"
    LAST = "channels_last"
    NONE = "none"


class AnnotationFormat(str, enum.Enum):
    """How annotations look: COCO's boxes, or its panoptic pictures.

    Example:
        >>> AnnotationFormat.COCO_PANOPTIC.value
        'coco_panoptic'
    """

    COCO_DETECTION = "coco_detection"
    COCO_PANOPTIC = "coco_panoptic"
