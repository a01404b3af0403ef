"""Pipelines: models and schedulers that paint together."""

from enfold.lazy import face

__getattr__, __dir__, __all__ = face(
    __name__,
    {
        ".auto": ["AutoPipelineForImage2Image", "AutoPipelineForInpainting", "AutoPipelineForText2Image"],
        ".controlnet": [
            "StableDiffusionControlNetImg2ImgPipeline",
            "StableDiffusionControlNetInpaintPipeline",
            "StableDiffusionControlNetPipeline",
        ],
        ".flow_controlnet": ["FluxControlNetPipeline", "StableDiffusion3ControlNetPipeline"],
        ".flux": ["FluxImg2ImgPipeline", "FluxPipeline"],
        ".latent_consistency": ["LatentConsistencyModelImg2ImgPipeline", "LatentConsistencyModelPipeline"],
        ".pipeline": ["DiffusionPipeline", "ImagePipelineOutput"],
        ".safety_checker": ["StableDiffusionSafetyChecker"],
        ".stable_diffusion": [
            "StableDiffusionImg2ImgPipeline",
            "StableDiffusionInpaintPipeline",
            "StableDiffusionPipeline",
            "StableDiffusionPipelineOutput",
        ],
        ".stable_diffusion_3": ["StableDiffusion3Img2ImgPipeline", "StableDiffusion3Pipeline"],
        ".stable_diffusion_xl": [
            "StableDiffusionXLImg2ImgPipeline",
            "StableDiffusionXLInpaintPipeline",
            "StableDiffusionXLPipeline",
        ],
        ".unconditional": ["ConsistencyModelPipeline", "DDIMPipeline", "DDPMPipeline"],
    },
)
