"""Pipelines whose inputs become tensors of one shape: inputs alike share a forward pass, others do not wait."""

from __future__ import annotations

from typing import Any

import torch

from enfold.transformers.pipelines.base import Pipeline

__all__ = ["AlikePipeline"]


class AlikePipeline(Pipeline):
    """Runs inputs of one shape together, so that no answer depends on how much padding its neighbours needed.

    ``preprocess`` returns tensors with a leading axis of one.
    """

    def run_many(
        self,
        inputs: list[Any],
        batch_size: int | None,
        preprocess_params: Any,
        forward_params: Any,
        postprocess_params: Any,
    ) -> list[Any]:
        """Answer several inputs, in order: those of one shape by batches of at most ``batch_size``."""
        if not batch_size or batch_size == 1:
            return super().run_many(inputs, batch_size, preprocess_params, forward_params, postprocess_params)
        made = [dict(self.preprocess(item, **preprocess_params)) for item in inputs]
        groups: dict[Any, list[int]] = {}
        for place, one in enumerate(made):
            shape = tuple((name, tuple(value.shape)) for name, value in one.items() if isinstance(value, torch.Tensor))
            groups.setdefault(shape, []).append(place)
        answers: list[Any] = [None] * len(inputs)
        for places in groups.values():
            for start in range(0, len(places), batch_size):
                batch = places[start : start + batch_size]
                outputs = self.forward(joined([made[place] for place in batch]), **forward_params)
                for row, place in enumerate(batch):
                    answers[place] = self.postprocess(one_row(outputs, row, len(batch)), **postprocess_params)
        return answers


def joined(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return dictionaries of tensors as one, along the leading axis; other values as lists."""
    return {
        name: torch.cat([row[name] for row in rows])
        if isinstance(value, torch.Tensor)
        else [item for row in rows for item in (row[name] if isinstance(row[name], list) else [row[name]])]
        for name, value in rows[0].items()
    }


def one_row(outputs: Any, row: int, rows: int) -> Any:
    """Return the part of an output that belongs to one row of ``rows``, its leading axis kept."""
    if isinstance(outputs, torch.Tensor):
        return outputs[row : row + 1] if outputs.dim() and outputs.shape[0] == rows else outputs
    if hasattr(outputs, "items"):
        return {name: one_row(value, row, rows) for name, value in outputs.items()}
    if isinstance(outputs, list):
        return outputs[row : row + 1] if len(outputs) == rows else outputs
    if isinstance(outputs, tuple):
        return tuple(one_row(value, row, rows) for value in outputs)
    return outputs
