"""A small model and rows for tests of the trainer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from enfold.transformers.trainer import Trainer, TrainingArguments


class Net(nn.Module):
    """Two layers with dropout between them."""

    def __init__(self, dropout: float = 0.2) -> None:
        super().__init__()
        self.first, self.drop, self.classifier = nn.Linear(4, 16), nn.Dropout(dropout), nn.Linear(16, 3)

    def forward(self, x: torch.Tensor, labels: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
        logits = self.classifier(self.drop(torch.relu(self.first(x))))
        out = {"logits": logits}
        if labels is not None:
            out["loss"] = nn.functional.cross_entropy(logits, labels)
        return out


def rows(count: int = 50) -> list[dict[str, Any]]:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(count, 4, generator=generator)
    labels = (inputs.sum(1) > 0).long() + (inputs[:, 0] > 1).long()
    return [
        {"x": x.tolist(), "labels": int(y), "note": "not for the model"} for x, y in zip(inputs, labels, strict=True)
    ]


def trainer(folder: Path, *, dropout: float = 0.2, model: nn.Module | None = None, **options: Any) -> Trainer:
    given = {name: options.pop(name) for name in list(options) if name in _OF_TRAINER}
    given.setdefault("train_dataset", rows())
    torch.manual_seed(1)
    arguments = {
        "per_device_train_batch_size": 4,
        "logging_steps": 5,
        "learning_rate": 1e-2,
        "use_cpu": True,
        "num_train_epochs": 2,
        "save_strategy": "no",
    }
    args = TrainingArguments(str(folder), **{**arguments, **options})
    return Trainer(Net(dropout) if model is None else model, args, **given)


_OF_TRAINER = {
    "train_dataset",
    "eval_dataset",
    "compute_metrics",
    "callbacks",
    "compute_loss_func",
    "data_collator",
    "optimizers",
    "preprocess_logits_for_metrics",
}


def weights(made: Trainer) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in made.model.parameters()])


def losses(made: Trainer) -> list[float]:
    return [log["loss"] for log in made.state.log_history if "loss" in log]
