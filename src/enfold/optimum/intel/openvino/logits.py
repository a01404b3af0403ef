"""Graphs of decoders that compute the scores of words only for the positions that are asked for."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["counted"]

# What stands between the product with the words' embeddings and the logits: each works number by number.
AFTER = ("Add", "Convert", "Divide", "Multiply", "Tanh")


def counted(graph: Any) -> Any:
    """Return a copy of a graph with one more input, its last: the first position (1,) whose logits are computed.

    Of a prompt only the last position's are asked for, and for one word they cost as much as a layer or more. A graph
    whose logits come about otherwise than by one product of the last states (B, T, D) gives None.
    """
    import openvino
    from openvino import opset13 as ops

    copy = graph.clone()
    node = copy.output("logits").get_node().input_value(0).get_node()
    while node.get_type_name() in AFTER:
        varying = [value for value in node.input_values() if value.get_node().get_type_name() != "Constant"]
        if len(varying) != 1:
            return None
        node = varying[0].get_node()
    if node.get_type_name() != "MatMul" or len(node.input_value(0).get_partial_shape()) != 3:
        return None
    first = ops.parameter(openvino.PartialShape([1]), np.int64, name="first_logit")
    first.output(0).get_tensor().set_names({"first_logit"})
    last, step, axis = (np.array([number], dtype=np.int64) for number in (np.iinfo(np.int64).max, 1, 1))
    cut = ops.slice(node.input_value(0), first, last, step, axis)
    node.input(0).replace_source_output(cut.output(0))
    copy.add_parameters([first])
    copy.validate_nodes_and_infer_types()
    return copy
