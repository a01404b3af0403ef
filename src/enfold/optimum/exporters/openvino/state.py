"""Graphs that remember: keys and values become variables of the graph, as OpenVINO's own generation expects them."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["keep_state"]


def keep_state(graph: Any) -> Any:
    """Turn what a graph is given of the past and gives back into variables, and return it, changed.

    ``past_key_values.X`` (B, H, S, d) and ``present.X`` become one variable, empty at first, whose rows are taken in
    the order of the new input ``beam_idx`` (B,) before each step. A ``present.X`` that nothing is given for depends on
    what was read alone: it becomes a variable that is computed at the first step.

    Source: OpenVINO's documents on stateful models; names and layout are those of optimum-intel's graphs.
    """
    import openvino
    from openvino import opset13 as ops
    from openvino._offline_transformations import apply_make_stateful_transformation

    given = {port.get_any_name() for port in graph.inputs if port.get_any_name().startswith("past_key_values.")}
    made = {port.get_any_name(): port for port in graph.outputs if port.get_any_name().startswith("present.")}
    pairs = {name: name.replace("past_key_values", "present", 1) for name in sorted(given)}
    ids = graph.input("input_ids")
    order = ops.parameter(openvino.PartialShape([ids.get_partial_shape()[0]]), np.int32, name="beam_idx")
    order.output(0).get_tensor().set_names({"beam_idx"})
    graph.add_parameters([order])
    first = ops.constant(np.int64(0))
    for name in pairs:
        port = graph.input(name)
        readers = port.get_target_inputs()
        taken = ops.gather(port, order, first)
        for reader in readers:
            reader.replace_source_output(taken.output(0))
    graph.validate_nodes_and_infer_types()
    apply_make_stateful_transformation(graph, pairs)

    rows = ops.gather(ops.shape_of(ids, "i64"), ops.constant(np.array([0])), first)
    for node in graph.get_ordered_ops():
        if node.get_type_name() == "ReadValue" and node.get_input_size() == 0:
            shape = node.get_output_partial_shape(0)
            sizes = [ops.constant(np.array([shape[axis].get_min_length()])) for axis in range(1, len(shape))]
            empty = ops.constant(np.array(0, dtype=node.get_output_element_type(0).to_dtype()))
            node.set_arguments([ops.broadcast(empty, ops.concat([rows, *sizes], 0)).output(0)])
    graph.validate_nodes_and_infer_types()
    for name, port in made.items():
        if name not in pairs.values():
            _remember(graph, name.replace("present", "past_key_values", 1), port)
    return graph


def _remember(graph: Any, name: str, port: Any) -> None:
    """Keep the value of an output, which goes away, in a variable that every reader of it reads."""
    from openvino import op
    from openvino.op.util import Variable, VariableInfo

    result = port.get_node()
    source = result.input_value(0)
    readers = [reader for reader in source.get_target_inputs() if reader.get_node().get_name() != result.get_name()]
    about = VariableInfo()
    about.variable_id, about.data_shape = name, source.get_partial_shape()
    about.data_type = source.get_element_type()
    variable = Variable(about)
    kept = op.read_value(source, variable)
    for reader in readers:
        reader.replace_source_output(kept.output(0))
    graph.remove_result(result)
    graph.add_variables([variable])
    graph.add_sinks([op.assign(kept, variable)])
