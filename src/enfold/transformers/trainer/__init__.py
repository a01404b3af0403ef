"""Training: the loop, its arguments, callbacks, collators and schedules."""

from enfold.lazy import face

EXPORTS = {
    "arguments": ["OptimizerNames", "TrainingArguments"],
    "batches": ["LengthGroupedSampler", "get_length_grouped_indices=length_grouped_indices"],
    "callbacks": [
        "CallbackHandler",
        "DefaultFlowCallback",
        "EarlyStoppingCallback",
        "ExportableState",
        "PrinterCallback",
        "ProgressCallback",
        "TrainerCallback",
        "TrainerControl",
        "TrainerState",
    ],
    "collators": [
        "DataCollatorForLanguageModeling",
        "DataCollatorForSeq2Seq",
        "DataCollatorForTokenClassification",
        "DataCollatorWithPadding",
        "DefaultDataCollator",
        "default_data_collator",
    ],
    "losses": ["LabelSmoother"],
    "optimizers": ["AdamW"],
    "outcomes": [
        "EvalLoopOutput",
        "EvalPrediction",
        "HubStrategy",
        "IntervalStrategy",
        "PredictionOutput",
        "SaveStrategy",
        "TrainOutput",
        "get_last_checkpoint",
        "speed_metrics",
    ],
    "schedules": [
        "SchedulerType",
        "get_constant_schedule",
        "get_constant_schedule_with_warmup",
        "get_cosine_schedule_with_warmup",
        "get_cosine_with_hard_restarts_schedule_with_warmup",
        "get_cosine_with_min_lr_schedule_with_warmup",
        "get_cosine_with_min_lr_schedule_with_warmup_lr_rate",
        "get_inverse_sqrt_schedule",
        "get_linear_schedule_with_warmup",
        "get_polynomial_decay_schedule_with_warmup",
        "get_reduce_on_plateau_schedule",
        "get_scheduler",
        "get_wsd_schedule",
    ],
    "searching": ["HPSearchBackend", "default_compute_objective", "number_of_arguments"],
    "trainer": ["Trainer"],
}

__getattr__, __dir__, __all__ = face(
    __name__,
    {
        **{f".{module}": names for module, names in EXPORTS.items()},
        "enfold.accelerate.seeds": ["enable_full_determinism", "set_seed"],
    },
)
