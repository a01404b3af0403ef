"""From a model to OpenVINO's graphs, through ``torch.export``: no Python value of the example is frozen into them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from enfold.errors import EnfoldError
from enfold.optimum.exporters.graph_parts import Part, parts
from enfold.optimum.exporters.openvino.state import keep_state
from enfold.optimum.exporters.tracing import Plain, decoder

__all__ = ["ExportError", "export", "graphs"]


class ExportError(EnfoldError, RuntimeError):
    """A graph is not what its description says."""


def graphs(model: Any, task: str = "auto", stateful: bool = True) -> dict[str, Any]:
    """Return a model's graphs by the names of their files, without ``openvino_`` and the ending.

    Args:
        model: with weights; it is put into evaluation mode.
        task: see ``enfold.optimum.exporters.parts``.
        stateful: keys and values of the past stay inside the graph between two calls, and ``beam_idx`` (B,) says which
            row each row continues. Otherwise they go in and out as ``past_key_values.*`` and ``present.*``.

    Returns:
        ``model``; of an encoder-decoder that writes ``encoder_model``, ``decoder_model``, and without state
        ``decoder_with_past_model``.
    """
    found = {part.name: part for part in parts(model, task)}
    if not stateful:
        return {name: export(part) for name, part in found.items()}
    if "decoder_with_past_model" in found:
        found["decoder_model"] = _writer(found["decoder_model"], found.pop("decoder_with_past_model"))
    return {
        name: keep_state(export(part)) if any(_is_past(one) for one in part.inputs) else export(part)
        for name, part in found.items()
    }


def export(part: Part) -> Any:
    """Return the ``openvino.Model`` of one part, its inputs and outputs named.

    Raises:
        ExportError: a dimension that should vary does not.

    Example:
        >>> from enfold.optimum.exporters.graph_parts import parts
        >>> from enfold.transformers import BertConfig, BertModel
        >>> config = BertConfig(vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=2,
        ...                     intermediate_size=8)
        >>> graph = export(parts(BertModel(config))[0])
        >>> [port.get_any_name() for port in graph.inputs]
        ['input_ids', 'attention_mask', 'token_type_ids']
    """
    import openvino

    free = tuple(dict.fromkeys(part.axes[name], torch.export.Dim.AUTO) for name in part.inputs)
    with torch.no_grad():
        program = torch.export.export(part.module, part.example, dynamic_shapes=(free,), strict=False)
    graph = openvino.convert_model(program)
    for ports, names in ((graph.inputs, part.inputs), (graph.outputs, part.outputs)):
        if len(ports) != len(names):
            raise ExportError(f"{part.name} has {len(ports)} ports where {', '.join(names)} are expected")
        for port, name in zip(ports, names, strict=True):
            port.get_tensor().set_names({name})
    shapes = {}
    for name, axes in part.axes.items():
        shape = graph.input(name).get_partial_shape()
        sizes = enumerate(part.inputs[name].shape)
        shapes[name] = openvino.PartialShape([-1 if axis in axes else size for axis, size in sizes])
        fixed = [label for axis, label in axes.items() if shape[axis].is_static]
        if fixed:
            raise ExportError(f"{', '.join(fixed)} of {name} became fixed in the graph {part.name}: {shape}")
    _soften(graph)
    graph.reshape(shapes)  # what varies is known to; the rest, such as a number of heads, is told
    return graph


def _writer(first: Part, later: Part) -> Part:
    """Return the one graph of a decoder that keeps state.

    It is given the encoder's states at every step, as ``first``, and the text's keys and values, as ``later``; those of
    what was read come out too, so that ``keep_state`` can keep them where they are made.
    """
    own = {name: tensor for name, tensor in later.inputs.items() if ".decoder." in name}
    given = {**first.inputs, **own}
    axes = {**first.axes, **{name: later.axes[name] for name in own}}
    module = Plain(first.module.model, decoder, list(given), first.outputs)
    return replace(first, module=module, inputs=given, axes=axes)


def _soften(graph: Any) -> None:
    """Turn masks of attention into numbers to add: a row that sees nothing, as padding on the left does, stays finite
    (the least number of half precision, after which a weight is 0)."""
    import numpy as np
    from openvino import Type
    from openvino import opset13 as ops

    seen, hidden = ops.constant(np.float32(0)), ops.constant(np.float32(-65504))
    for node in graph.get_ops():
        if node.get_type_name() == "ScaledDotProductAttention" and node.get_input_size() > 3:
            mask = node.input_value(3)
            if mask.get_element_type() == Type.boolean:
                node.input(3).replace_source_output(ops.select(mask, seen, hidden).output(0))


def _is_past(name: str) -> bool:
    return name.startswith("past_key_values.")
