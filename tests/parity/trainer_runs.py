"""The trainings that both sides run: model, rows, arguments. Uses only names that both have."""

from __future__ import annotations

from typing import Any

import torch

BERT: dict[str, Any] = {
    "vocab_size": 60,
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "max_position_embeddings": 32,
    "num_labels": 3,
}
LLAMA: dict[str, Any] = {
    "vocab_size": 60,
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "max_position_embeddings": 32,
}
COMMON: dict[str, Any] = {
    "per_device_train_batch_size": 4,
    "learning_rate": 5e-3,
    "logging_steps": 1,
    "save_strategy": "no",
    "report_to": "none",
    "use_cpu": True,
    "disable_tqdm": True,
}
# Windows of several batches are compared on a language model: the ecosystem's trainer takes a classifier's loss for
# normalised over the window when it is not, and so logs it as many times too large as there are batches.
RUNS: dict[str, tuple[str, dict[str, Any]]] = {
    "plain": ("bert", {"num_train_epochs": 2, "weight_decay": 0.01}),
    "steps": ("bert", {"max_steps": 9, "warmup_steps": 3, "seed": 7, "data_seed": 11, "max_grad_norm": 0.5}),
    "smooth": ("bert", {"max_steps": 5, "label_smoothing_factor": 0.1, "optim": "adamw_torch"}),
    "sgd": ("bert", {"max_steps": 5, "optim": "sgd", "learning_rate": 0.1}),
    "adafactor": ("bert", {"max_steps": 5, "optim": "adafactor", "weight_decay": 0.1}),
    "noisy": ("bert", {"max_steps": 5, "neftune_noise_alpha": 5.0}),
    "cosine": ("bert", {"num_train_epochs": 1, "lr_scheduler_type": "cosine", "adam_beta2": 0.98}),
    "causal": ("llama", {"num_train_epochs": 2, "gradient_accumulation_steps": 3, "warmup_steps": 0.25}),
}


ADAFACTORS: list[dict[str, Any]] = [
    {},
    {"warmup_init": True},
    {"lr": 1e-2, "relative_step": False, "scale_parameter": False, "weight_decay": 0.1, "beta1": 0.9},
]


def rows(kind: str) -> list[dict[str, Any]]:
    """Twenty-six rows, so that neither batches nor windows come out even."""
    generator = torch.Generator().manual_seed(3)
    made = []
    for index in range(26):
        ids = torch.randint(3, 60, (12,), generator=generator)
        length = 4 + index % 9
        mask = (torch.arange(12) < length).long()
        row: dict[str, Any] = {"input_ids": (ids * mask).tolist(), "attention_mask": mask.tolist()}
        row["labels"] = index % 3 if kind == "bert" else torch.where(mask.bool(), ids, -100).tolist()
        made.append(row)
    return made


def train(trainer: Any) -> dict[str, Any]:
    """Run a training and return its curve."""
    output = trainer.train()
    logs = [log for log in trainer.state.log_history if "loss" in log]
    return {
        "loss": [log["loss"] for log in logs],
        "rate": [log["learning_rate"] for log in logs],
        "norm": [log["grad_norm"] for log in logs],
        "epoch": [log["epoch"] for log in logs],
        "train_loss": output.training_loss,
        "step": output.global_step,
    }
