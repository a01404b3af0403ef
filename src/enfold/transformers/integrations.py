"""What connects training with other programs, under the path where the ecosystem has it."""

from enfold.lazy import face

__getattr__, __dir__, __all__ = face(
    __name__,
    {
        "enfold.transformers.trainer.reporting": [
            "CodeCarbonCallback",
            "TensorBoardCallback",
            "TrackioCallback",
            "WandbCallback",
            "get_available_reporting_integrations",
        ],
        "enfold.transformers.utils.availability": [
            "is_codecarbon_available",
            "is_optuna_available",
            "is_tensorboard_available",
            "is_wandb_available",
        ],
    },
)
