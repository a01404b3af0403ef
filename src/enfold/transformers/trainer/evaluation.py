"""Evaluation and prediction: the model over a data set, and what comes of it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from enfold.accelerate.operations import pad_across_processes
from enfold.transformers.trainer.batches import LengthSortedSampler
from enfold.transformers.trainer.helpers import has_length, joined_arrays, nested_numpify, nested_truncate
from enfold.transformers.trainer.memory import MemoryMeter, batch_rows
from enfold.transformers.trainer.outcomes import EvalLoopOutput, EvalPrediction, PredictionOutput, speed_metrics
from enfold.transformers.trainer.sharding import gather_shares

if TYPE_CHECKING:
    from enfold.transformers.trainer.trainer import Trainer

__all__ = ["Collected", "evaluate", "evaluation_loop", "predict", "prediction_step"]

Array = np.ndarray[Any, Any]


class Collected:
    """Arrays of all batches, kept apart until the end and then joined at once.

    Batches may be of different width: shorter rows are filled with -100 on the right.
    """

    def __init__(self) -> None:
        self.parts: list[Any] = []

    def add(self, value: Any) -> None:
        """Add one batch's array, or tuple, list or mapping of them; None adds nothing."""
        if value is not None:
            self.parts.append(value)

    def joined(self, order: Array | None = None, join: bool = True) -> Any:
        """Return everything as one structure, or a list of the batches' if they are not to be joined.

        Args:
            order: which row each of the rows is.
            join: make one structure of the batches.
        """
        if not self.parts:
            return None
        return _join(self.parts, order) if join else self.parts


def _join(parts: list[Any], order: Array | None) -> Any:
    first = parts[0]
    if isinstance(first, (tuple, list)):
        return tuple(_join([part[index] for part in parts], order) for index in range(len(first)))
    if isinstance(first, dict):
        return {name: _join([part[name] for part in parts], order) for name in first}
    whole = joined_arrays(parts)
    if order is not None and len(order) == len(whole):
        back = np.empty_like(whole)
        back[order] = whole
        return back
    return whole


def prediction_step(
    trainer: Trainer,
    model: nn.Module,
    inputs: dict[str, Any],
    prediction_loss_only: bool,
    ignore_keys: list[str] | None,
) -> tuple[Tensor | None, Any, Any]:
    """Run the model on one batch without gradients; return loss, logits and labels."""
    names = trainer.label_names
    has_labels = bool(names) and all(inputs.get(name) is not None for name in names)
    inputs = trainer._prepare_inputs(inputs)
    if ignore_keys is None:
        ignore_keys = getattr(getattr(model, "config", None), "keys_to_ignore_at_inference", None) or [
            "past_key_values"
        ]
    labels = None
    if has_labels:
        kept = tuple(inputs[name].detach() for name in names)
        labels = kept[0] if len(kept) == 1 else kept
    with torch.inference_mode(), trainer.compute_loss_context_manager():
        if has_labels:
            loss, outputs = trainer.compute_loss(model, dict(inputs), return_outputs=True)
            loss = loss.detach().float().mean()
        else:
            loss, outputs = None, model(**inputs)
    if prediction_loss_only:
        return loss, None, None
    if isinstance(outputs, dict):
        logits = tuple(v for name, v in outputs.items() if name not in [*ignore_keys, "loss"] and v is not None)
    else:
        logits = tuple(outputs[1:] if has_labels else outputs) if isinstance(outputs, (tuple, list)) else (outputs,)
    return loss, logits[0] if len(logits) == 1 else logits, labels


@contextlib.contextmanager
def _half_weights(model: nn.Module, dtype: torch.dtype | None) -> Iterator[None]:
    """Evaluate with weights in half precision, and put the full ones back afterwards."""
    if dtype is None:
        yield
        return
    held = [(tensor, tensor.data) for tensor in [*model.parameters(), *model.buffers()] if tensor.is_floating_point()]
    try:
        for tensor, full in held:
            tensor.data = full.to(dtype)
        yield
    finally:
        for tensor, full in held:
            tensor.data = full


def evaluation_loop(
    trainer: Trainer,
    dataloader: Any,
    description: str,
    prediction_loss_only: bool | None = None,
    ignore_keys: list[str] | None = None,
    metric_key_prefix: str = "eval",
) -> EvalLoopOutput:
    """Run the model over a loader; return predictions, labels and metrics in the order of the data set."""
    args = trainer.args
    loss_only = args.prediction_loss_only if prediction_loss_only is None else prediction_loss_only
    model = trainer.model
    training = model.training
    model.eval()
    trainer._optimizer_trains(False)
    trainer.callback_handler.given["eval_dataloader"] = dataloader
    full = torch.bfloat16 if args.bf16_full_eval else torch.float16 if args.fp16_full_eval else None
    wants = set(args.include_for_metrics)
    predictions, labels, inputs_seen = Collected(), Collected(), Collected()
    by_batch = trainer.compute_metrics if args.batch_eval_metrics else None
    keeps = by_batch is None or description == "Prediction"
    metrics: dict[str, Any] = {}
    losses: list[float] = []
    weights: list[int] = []
    rows = 0
    try:
        with _half_weights(model, None if trainer.is_in_train else full):
            for inputs, last in _marked(dataloader):
                count = batch_rows(inputs)
                loss, logits, label = trainer.prediction_step(model, inputs, loss_only, ignore_keys=ignore_keys)
                if trainer.accelerator.data_place[0] > 1:
                    loss, logits, label, count = _gathered(loss, logits, label, count, trainer)
                rows += count
                if loss is not None:
                    losses.append(float(loss))
                    weights.append(count)
                if logits is not None and trainer.preprocess_logits_for_metrics is not None:
                    logits = trainer.preprocess_logits_for_metrics(logits, label)
                logits, label = nested_numpify(logits), nested_numpify(label)
                seen = None
                if "inputs" in wants and not loss_only:
                    seen = nested_numpify(inputs[getattr(model, "main_input_name", "input_ids")])
                if keeps:
                    predictions.add(logits)
                    labels.add(label)
                    inputs_seen.add(seen)
                if by_batch is not None and logits is not None and label is not None:
                    each = np.repeat(losses[-1:], count) if "loss" in wants else None
                    given = EvalPrediction(logits, label, seen, each)
                    metrics = dict(by_batch(given, compute_result=last) or {})  # type: ignore[call-arg]
                trainer._event("on_prediction_step")
    finally:
        model.train(training)
    order = _order_of(dataloader)
    join = args.eval_do_concat_batches
    all_predictions, all_labels = predictions.joined(order, join), labels.joined(order, join)
    total = rows
    if trainer.accelerator.data_place[0] > 1 and hasattr(dataloader.dataset, "__len__"):
        total = min(rows, len(dataloader.dataset))  # the last round repeats rows so that every process has as many
        all_predictions, all_labels = nested_truncate(all_predictions, total), nested_truncate(all_labels, total)
    if (
        trainer.compute_metrics is not None
        and by_batch is None
        and all_predictions is not None
        and all_labels is not None
    ):
        extra = {"inputs": inputs_seen.joined(order, join)} if "inputs" in wants else {}
        if "loss" in wants:
            extra["losses"] = np.repeat(losses, weights)
        metrics = dict(trainer.compute_metrics(EvalPrediction(all_predictions, all_labels, **extra)))
    metrics = {name: _plain(value) for name, value in metrics.items()}
    if losses:
        metrics["loss"] = float(np.average(losses, weights=weights))
    metrics = {
        name if name.startswith(f"{metric_key_prefix}_") else f"{metric_key_prefix}_{name}": value
        for name, value in metrics.items()
    }
    return EvalLoopOutput(all_predictions, all_labels, metrics, total)


def _marked(batches: Any) -> Iterator[tuple[Any, bool]]:
    """Give every batch, and whether it is the last."""
    source = iter(batches)
    waiting = next(source, None)
    while waiting is not None:
        following = next(source, None)
        yield waiting, following is None
        waiting = following


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, (np.generic, Tensor)) and value.ndim == 0 else value


def _order_of(dataloader: Any) -> Array | None:
    """Where each row that comes out of a loader is in its data set, when the loader sorts them."""
    # Batches of columns come from the loader's sampler, batches of rows from its batch sampler.
    for batches in (dataloader.batch_sampler, dataloader.sampler):
        sampler = getattr(batches, "sampler", None)
        if isinstance(sampler, LengthSortedSampler):
            return sampler.order
    return None


def _gathered(loss: Any, logits: Any, label: Any, count: int, trainer: Trainer) -> tuple[Any, Any, Any, int]:
    """Everything of every share of the data, padded to one width."""
    device = trainer.args.device
    counts = gather_shares(trainer, torch.tensor([count], device=device))
    total = int(counts.sum())
    if loss is not None:
        loss = (gather_shares(trainer, loss.reshape(1)) * counts).sum() / total
    logits = None if logits is None else gather_shares(trainer, pad_across_processes(logits, dim=1, pad_index=-100))
    label = None if label is None else gather_shares(trainer, pad_across_processes(label, dim=1, pad_index=-100))
    return loss, logits, label, total


def evaluate(
    trainer: Trainer, eval_dataset: Any = None, ignore_keys: list[str] | None = None, metric_key_prefix: str = "eval"
) -> dict[str, float]:
    """Evaluate on one data set, or on each of a mapping under its own prefix; log and return the metrics."""
    override = eval_dataset is not None
    dataset = eval_dataset if override else trainer.eval_dataset
    if isinstance(dataset, dict):
        metrics: dict[str, float] = {}
        for name, part in dataset.items():
            metrics.update(trainer.evaluate(part, ignore_keys, f"{metric_key_prefix}_{name}"))
        return metrics
    start, meter = time.time(), MemoryMeter(trainer.args.skip_memory_metrics)
    loader = trainer.get_eval_dataloader(dataset)
    output = trainer.evaluation_loop(
        loader,
        "Evaluation",
        prediction_loss_only=True if trainer.compute_metrics is None else None,
        ignore_keys=ignore_keys,
        metric_key_prefix=metric_key_prefix,
    )
    found = dict(output.metrics or {})
    found.update(
        speed_metrics(metric_key_prefix, start, output.num_samples, len(loader) if has_length(loader) else None)
    )
    meter.add_to(metric_key_prefix, found)
    trainer.log(found)
    trainer._event("on_evaluate", metrics=found)
    return found


def predict(
    trainer: Trainer, test_dataset: Any, ignore_keys: list[str] | None = None, metric_key_prefix: str = "test"
) -> PredictionOutput:
    """Return the model's outputs for every row, in the order of the data set, and metrics where there are labels."""
    start, meter = time.time(), MemoryMeter(trainer.args.skip_memory_metrics)
    loader = trainer.get_test_dataloader(test_dataset)
    output = trainer.evaluation_loop(loader, "Prediction", ignore_keys=ignore_keys, metric_key_prefix=metric_key_prefix)
    metrics = dict(output.metrics or {})
    metrics.update(
        speed_metrics(metric_key_prefix, start, output.num_samples, len(loader) if has_length(loader) else None)
    )
    meter.add_to(metric_key_prefix, metrics)
    trainer._event("on_predict", metrics=metrics)
    return PredictionOutput(output.predictions, output.label_ids, metrics)
