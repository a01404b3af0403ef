"""What connects training with other programs, under the path where the ecosystem has it."""

from enfold.lazy import face

__getattr__, __dir__, __all__ = face(
    __name__,
    {
        "enfold.transformers.trainer.reporting": [
            "ClearMLCallback",
            "CodeCarbonCallback",
            "CometCallback",
            "DVCLiveCallback",
            "MLflowCallback",
            "SwanLabCallback",
            "TensorBoardCallback",
            "TrackioCallback",
            "WandbCallback",
            "get_available_reporting_integrations",
            "get_reporting_integration_callbacks",
            "rewrite_logs=numbers",
        ],
        "enfold.transformers.utils.availability": [
            "is_codecarbon_available",
            "is_optuna_available",
            "is_tensorboard_available",
            "is_wandb_available",
        ],
    },
)
