"""One graph of a model as an ONNX file, and its comparison with torch."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from enfold.errors import EnfoldError, MissingExtra
from enfold.optimum.exporters.graph_parts import Part

__all__ = ["OPSET", "ExportError", "export", "validate"]

OPSET = 18  # the first that holds what these models need; every onnxruntime since 1.14 reads it
LARGEST = 2**31 - 2**20  # a file of protocol buffers ends at 2 GB; weights beyond lie beside it


class ExportError(EnfoldError, RuntimeError):
    """A graph could not be made, or does not compute what the model does."""


def export(part: Part, path: str | Path, *, opset: int = OPSET, dynamic: bool = True) -> Path:
    """Write one graph.

    Args:
        part: what to trace; see ``enfold.optimum.exporters.graph_parts.parts``.
        path: the file, ending in ``.onnx``; weights beyond 2 GB go into ``path + "_data"`` beside it.
        opset: version of the operators.
        dynamic: free the dimensions in ``part.axes``; False fixes all to those of the example.

    Returns:
        The path.

    Raises:
        ExportError: when the model's code depends on what is in the tensors.
    """
    if find_spec("onnxscript") is None:
        raise MissingExtra("exporting to ONNX", "onnx")
    path = Path(path)
    free = tuple(dict.fromkeys(part.axes[name], torch.export.Dim.DYNAMIC) if dynamic else None for name in part.inputs)
    with torch.no_grad(), _quietly():
        try:
            traced = torch.export.export(part.module, part.example, dynamic_shapes=(free,), strict=False)
        except (RuntimeError, ValueError, TypeError, AttributeError) as error:
            raise ExportError(f"{part.name} cannot be traced: {error}") from error
        program: Any = torch.onnx.export(
            traced, dynamo=True, input_names=list(part.inputs), output_names=list(part.outputs), opset_version=opset,
            verbose=False,
        )  # fmt: skip
    if dynamic:
        _name_axes(program.model, part.axes)
    weights = sum(tensor.nbytes for tensor in {id(t): t for t in _weights(part)}.values())
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    try:
        if weights < LARGEST:
            program.save(temporary)
        else:
            import onnx_ir

            data = f"{path.name}_data"
            onnx_ir.save(program.model, temporary, external_data=data)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def validate(part: Part, path: str | Path, *, atol: float = 1e-4, inputs: Mapping[str, Tensor] | None = None) -> float:
    """Compare a graph with the model, by onnxruntime on the processor.

    Args:
        part: what was exported.
        path: the graph.
        atol: the largest difference allowed.
        inputs: name → tensor; the example by default.

    Returns:
        The largest difference of any output.

    Raises:
        ExportError: where outputs differ by more, or have other shapes.
    """
    import onnxruntime

    given = dict(part.inputs if inputs is None else inputs)
    with torch.no_grad():
        expected = part.module(*(given[name] for name in part.inputs))
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    known = {value.name for value in session.get_inputs()}
    found = session.run(list(part.outputs), {name: x.numpy() for name, x in given.items() if name in known})
    worst = 0.0
    for name, ours, theirs in zip(part.outputs, expected, found, strict=True):
        array = ours.numpy()
        if array.shape != theirs.shape:
            raise ExportError(f"{name} of {Path(path).name} has shape {theirs.shape}; the model's has {array.shape}")
        if not array.size:
            continue
        apart = float(np.abs(array.astype(np.float64) - theirs.astype(np.float64)).max())
        if not apart <= atol:
            raise ExportError(f"{name} of {Path(path).name} differs from the model's by {apart:.1e}, more than {atol}")
        worst = max(worst, apart)
    return worst


def _weights(part: Part) -> Iterator[Tensor]:
    yield from part.module.parameters()
    yield from part.module.buffers()


def _name_axes(model: Any, axes: Mapping[str, Mapping[int, str]]) -> None:
    """Give the free dimensions their names, throughout the graph: torch calls them s0, s1, …"""
    import onnx_ir

    names: dict[str, str] = {}
    for value in model.graph.inputs:
        for axis, name in axes[value.name].items():
            dimension = value.shape[axis]
            if isinstance(dimension, onnx_ir.SymbolicDim) and str(dimension.value).isidentifier():
                names.setdefault(str(dimension.value), name)
    if not names:
        return
    symbols = re.compile(rf"\b({'|'.join(map(re.escape, names))})\b")
    values = [*model.graph.inputs, *(output for node in model.graph.all_nodes() for output in node.outputs)]
    for value in values:
        shape = value.shape
        if shape is None:
            continue
        named = [
            dimension if isinstance(dimension, int) or dimension.value is None
            else symbols.sub(lambda found: names[found[0]], str(dimension.value))
            for dimension in shape
        ]  # fmt: skip
        value.shape = onnx_ir.Shape(named)
    for value in model.graph.inputs:
        written = axes[value.name]
        value.shape = onnx_ir.Shape(
            written.get(axis, dimension) if not isinstance(dimension, int) else dimension
            for axis, dimension in enumerate(value.shape)
        )


@contextmanager
def _quietly() -> Iterator[None]:
    """Leave out what torch's exporter says about packages that are not needed, and its own deprecations."""
    talkers = [logging.getLogger(f"torch.onnx._internal.exporter.{name}") for name in ("_registration", "_schemas")]
    levels = [talker.level for talker in talkers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for talker in talkers:
            talker.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for talker, level in zip(talkers, levels, strict=True):
                talker.setLevel(level)
