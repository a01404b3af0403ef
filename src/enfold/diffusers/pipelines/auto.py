"""The right pipeline for a task, whatever model a folder holds."""

from __future__ import annotations

import os
from typing import Any, ClassVar

from enfold.diffusers.pipelines.pipeline import DiffusionPipeline, PipelineError
from enfold.errors import nearest
from enfold.transformers.sharing import split_fetch_arguments

__all__ = ["AutoPipelineForImage2Image", "AutoPipelineForInpainting", "AutoPipelineForText2Image"]

# Families of pipelines with the same components: text to picture, picture to picture, a part of a picture.
FAMILIES: list[tuple[str, str | None, str | None]] = [
    ("StableDiffusionPipeline", "StableDiffusionImg2ImgPipeline", "StableDiffusionInpaintPipeline"),
    (
        "StableDiffusionControlNetPipeline",
        "StableDiffusionControlNetImg2ImgPipeline",
        "StableDiffusionControlNetInpaintPipeline",
    ),
    ("StableDiffusionXLPipeline", "StableDiffusionXLImg2ImgPipeline", "StableDiffusionXLInpaintPipeline"),
    ("LatentConsistencyModelPipeline", "LatentConsistencyModelImg2ImgPipeline", None),
    ("StableDiffusion3Pipeline", "StableDiffusion3Img2ImgPipeline", None),
    ("FluxPipeline", "FluxImg2ImgPipeline", None),
    ("StableDiffusion3ControlNetPipeline", None, None),
    ("FluxControlNetPipeline", None, None),
]


class AutoPipeline:
    """Base of the three; a class of it is never made, its class methods return pipelines."""

    task: ClassVar[int] = 0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise PipelineError(f"{type(self).__name__} is made by {type(self).__name__}.from_pretrained or .from_pipe")

    @classmethod
    def from_pretrained(cls, pretrained_model_or_path: str | os.PathLike[str], **kwargs: Any) -> Any:
        """Build the pipeline for this task from a folder or a repository.

        Args:
            pretrained_model_or_path: a folder, or a repository's id.
            kwargs: as ``DiffusionPipeline.from_pretrained`` takes them; with ``controlnet`` the pipeline has one.
        """
        where, _ = split_fetch_arguments(dict(kwargs))
        index = DiffusionPipeline.load_config(pretrained_model_or_path, **where)
        name = str(index["_class_name"])
        if kwargs.get("controlnet") is not None and "ControlNet" not in name:
            name = name.replace("Pipeline", "ControlNetPipeline")
        return cls._for(name).from_pretrained(pretrained_model_or_path, **kwargs)

    @classmethod
    def from_pipe(cls, pipeline: DiffusionPipeline, **kwargs: Any) -> Any:
        """Build the pipeline for this task from another's components, which both share from then on.

        Args:
            pipeline: where components come from.
            kwargs: components and arguments that are not that one's; ``controlnet=None`` leaves a ControlNet out.
        """
        name = type(pipeline).__name__
        if "controlnet" in kwargs:
            wanted = kwargs["controlnet"] is not None
            if wanted and "ControlNet" not in name:
                name = name.replace("Pipeline", "ControlNetPipeline").replace("Img2Img", "").replace("Inpaint", "")
            elif not wanted:
                name = name.replace("ControlNet", "")
                kwargs.pop("controlnet")
        return cls._for(name).from_pipe(pipeline, **kwargs)

    @classmethod
    def _for(cls, name: str) -> Any:
        import enfold.diffusers as library

        for family in FAMILIES:
            if name in family and family[cls.task] is not None:
                return getattr(library, str(family[cls.task]))
        known = [one for family in FAMILIES for one in family if one]
        raise PipelineError(f"{cls.__name__} has no pipeline for a {name}{nearest(name, known)}")


class AutoPipelineForText2Image(AutoPipeline):
    """A picture from a text."""

    task = 0


class AutoPipelineForImage2Image(AutoPipeline):
    """A picture from a text and a picture."""

    task = 1


class AutoPipelineForInpainting(AutoPipeline):
    """A part of a picture painted anew."""

    task = 2
