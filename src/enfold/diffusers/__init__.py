"""Diffusion models: the surface of `diffusers`."""

from enfold.lazy import face

__version__ = "0.42.1"

__getattr__, __dir__, __all__ = face(
    __name__,
    {
        ".configuration": ["ConfigMixin", "FrozenDict"],
        ".models": [
            "AutoencoderKL",
            "AutoencoderTiny",
            "ControlNetModel",
            "ModelMixin",
            "MultiControlNetModel",
            "UNet2DConditionModel",
            "UNet2DModel",
        ],
        ".pipelines": [
            "AutoPipelineForImage2Image",
            "AutoPipelineForInpainting",
            "AutoPipelineForText2Image",
            "ConsistencyModelPipeline",
            "DDIMPipeline",
            "DDPMPipeline",
            "DiffusionPipeline",
            "ImagePipelineOutput",
            "LatentConsistencyModelImg2ImgPipeline",
            "LatentConsistencyModelPipeline",
            "StableDiffusionControlNetImg2ImgPipeline",
            "StableDiffusionControlNetInpaintPipeline",
            "StableDiffusionControlNetPipeline",
            "StableDiffusionImg2ImgPipeline",
            "StableDiffusionInpaintPipeline",
            "StableDiffusionPipeline",
            "StableDiffusionXLImg2ImgPipeline",
            "StableDiffusionXLInpaintPipeline",
            "StableDiffusionXLPipeline",
        ],
        ".schedulers": [
            "CMStochasticIterativeScheduler",
            "DDIMInverseScheduler",
            "DDIMScheduler",
            "DDPMScheduler",
            "DEISMultistepScheduler",
            "DPMSolverMultistepScheduler",
            "DPMSolverSinglestepScheduler",
            "EulerAncestralDiscreteScheduler",
            "EulerDiscreteScheduler",
            "FlowMatchEulerDiscreteScheduler",
            "FlowMatchHeunDiscreteScheduler",
            "HeunDiscreteScheduler",
            "KDPM2AncestralDiscreteScheduler",
            "KDPM2DiscreteScheduler",
            "LCMScheduler",
            "LMSDiscreteScheduler",
            "PNDMScheduler",
            "SchedulerMixin",
            "TCDScheduler",
            "UniPCMultistepScheduler",
        ],
    },
)
