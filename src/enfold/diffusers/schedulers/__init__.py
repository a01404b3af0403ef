"""Schedulers: how a sample goes from noise to data, one file for each family of methods."""

from enfold.lazy import face

__getattr__, __dir__, __all__ = face(
    __name__,
    {
        ".base": ["KarrasDiffusionSchedulers", "SchedulerMixin", "SchedulerOutput"],
        ".ddim": ["DDIMInverseScheduler", "DDIMScheduler"],
        ".ddpm": ["DDPMScheduler"],
        ".deis": ["DEISMultistepScheduler"],
        ".distilled": ["CMStochasticIterativeScheduler", "LCMScheduler", "TCDScheduler"],
        ".dpm_solver": ["DPMSolverMultistepScheduler", "DPMSolverSinglestepScheduler"],
        ".euler": ["EulerAncestralDiscreteScheduler", "EulerDiscreteScheduler"],
        ".flow_match": ["FlowMatchEulerDiscreteScheduler", "FlowMatchHeunDiscreteScheduler"],
        ".lms": ["LMSDiscreteScheduler"],
        ".pndm": ["PNDMScheduler"],
        ".second_order": ["HeunDiscreteScheduler", "KDPM2AncestralDiscreteScheduler", "KDPM2DiscreteScheduler"],
        ".unipc": ["UniPCMultistepScheduler"],
    },
)
