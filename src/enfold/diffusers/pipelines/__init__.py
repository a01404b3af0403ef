"""Pipelines: models and schedulers that paint together."""

from enfold.lazy import face

__getattr__, __dir__, __all__ = face(
    __name__,
    {
        ".controlnet": [
            "StableDiffusionControlNetImg2ImgPipeline",
            "StableDiffusionControlNetInpaintPipeline",
            "StableDiffusionControlNetPipeline",
        ],
        ".pipeline": ["DiffusionPipeline", "ImagePipelineOutput"],
        ".safety_checker": ["StableDiffusionSafetyChecker"],
        ".stable_diffusion": [
            "StableDiffusionImg2ImgPipeline",
            "StableDiffusionInpaintPipeline",
            "StableDiffusionPipeline",
            "StableDiffusionPipelineOutput",
        ],
        ".unconditional": ["ConsistencyModelPipeline", "DDIMPipeline", "DDPMPipeline"],
    },
)
