"""Reading what ``torch.export`` has made: its graph as a program's steps."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from enfold.nn.outputs import ModelOutput
from enfold.transformers.frameworks.graph.program import DType, Input, Op, Program, Read, Ref, Spec, mapped, refs
from enfold.transformers.frameworks.graph.rewriting import rewritten
from enfold.transformers.frameworks.graph.weights import aliases, leaves

__all__ = ["program_of"]

# Checks that torch leaves in a graph: what they check holds by construction, or is checked when a program is chosen.
_CHECKS = ("aten._assert", "aten.sym_constrain", "_assert", "aten._assert_tensor_metadata")
_PLACES = ("device", "layout", "pin_memory", "memory_format", "non_blocking")


def program_of(model: nn.Module, specs: Mapping[str, Spec], exported: Any) -> Program:
    """Return the program that torch's exporter has made of a model."""
    signature, graph = exported.graph_signature, exported.graph
    known, other = leaves(model), aliases(model)
    reads: dict[str, Read] = {}
    constants: dict[str, Any] = {}
    shapes = {node.name: node.meta["val"] for node in graph.nodes if node.op == "placeholder" and "val" in node.meta}
    given = [spec for spec in signature.input_specs if spec.kind.name == "USER_INPUT"]
    inputs = []
    for name, spec in zip(_flat_names(exported), given, strict=True):
        value = shapes[spec.arg.name]
        reads[spec.arg.name] = Read("input", name)
        sizes = tuple(int(size) if str(size).isdecimal() else str(size) for size in value.shape)
        inputs.append(Input(name, sizes, _dtype(value.dtype).name))
    for spec in signature.input_specs:
        if spec.kind.name in ("PARAMETER", "BUFFER"):
            name = spec.target.removeprefix("model.")
            name = other.get(name, name)
            reads[spec.arg.name] = Read(spec.kind.name.lower() if name in known else "buffer", name)
        elif spec.kind.name == "CONSTANT_TENSOR":
            reads[spec.arg.name] = Read("constant", spec.target)
            constants[spec.target] = _array(exported.constants[spec.target])
    results = [spec for spec in signature.output_specs if spec.kind.name == "USER_OUTPUT"]
    given_back = [Ref(spec.arg.name) if hasattr(spec.arg, "name") else spec.arg.value for spec in results]
    made = pytree.tree_unflatten(given_back, exported.call_spec.out_spec)
    updates = {
        other.get(spec.target.removeprefix("model."), spec.target.removeprefix("model.")): Ref(spec.arg.name)
        for spec in signature.output_specs
        if spec.kind.name == "BUFFER_MUTATION"
    }
    output, kind = (dict(made), type(made)) if isinstance(made, ModelOutput) else ({"output": made}, ModelOutput)
    ops, output, updates = _ops(graph, output, updates)
    used = {*refs(output), *refs(updates), *(name for op in ops for name in refs([op.args, op.kwargs]))}
    bounds = {
        str(symbol): (int(limits.lower), int(limits.upper) if limits.upper.is_Integer else None)
        for symbol, limits in exported.range_constraints.items()
    }
    reads = {name: read for name, read in reads.items() if name in used or read.kind == "input"}
    order = {name: at for at, name in enumerate(specs)}
    inputs.sort(key=lambda one: order[one.name])
    return Program(type(model).__name__, tuple(inputs), reads, constants, ops, output, kind, updates, bounds)


def _flat_names(exported: Any) -> list[str]:
    """Return the inputs' names in the order in which they were flattened."""
    flat = exported.call_spec.in_spec.unflatten(list(range(exported.call_spec.in_spec.num_leaves)))
    (inputs,), _ = flat
    return sorted(inputs, key=lambda name: inputs[name])


def _ops(graph: Any, output: Any, updates: Any) -> tuple[tuple[Op, ...], Any, Any]:
    """Return the steps that lead to the output and the updates, checks left out, and both in the steps' names."""
    found: list[Op] = []
    same: dict[str, Any] = {}  # value → what it is equal to
    for node in graph.nodes:
        if node.op != "call_function":
            continue
        target = _target(node.target)
        if target.startswith(_CHECKS):
            continue
        args = _renamed(tuple(_literal(value) for value in node.args), same)
        given = {name: value for name, value in node.kwargs.items() if name not in _PLACES and value is not None}
        kwargs = _renamed(_literal(given), same)
        said = rewritten(node, target, args, kwargs, partial(_part_of, node.name))
        if not isinstance(said, list):
            same[node.name] = said
            continue
        for ref, (word, words, named) in said:
            found.append(Op(ref.name if ref else node.name, word, _literal(words), _literal(named)))
    output, updates = _renamed(output, same), _renamed(updates, same)
    needed = {*refs(output), *refs(updates)}
    wanted = []
    for op in reversed(found):  # what only checks looked at is not computed
        if op.name not in needed:
            continue
        reads = {*refs(op.args), *refs(op.kwargs)}
        last = tuple(sorted(name for name in {*reads, op.name} if name not in needed))
        needed |= reads
        wanted.append(Op(op.name, op.target, op.args, op.kwargs, last))
    return tuple(reversed(wanted)), output, updates


def _part_of(name: str, suffix: str) -> Ref:
    return Ref(f"{name}_{suffix}")


def _renamed(made: Any, same: Mapping[str, Any]) -> Any:
    """Return a value, or nested ones, with references to what they are equal to."""
    return mapped(made, lambda part: same.get(part.name, part) if isinstance(part, Ref) else part)


def _target(target: Any) -> str:
    if isinstance(target, torch._ops.OpOverload):
        return str(target)
    module = getattr(target, "__module__", "")
    name = getattr(target, "__name__", str(target))
    if module in ("_operator", "operator"):
        return f"operator.{name}"
    return f"torch.{name}" if module.startswith("torch") else f"{module}.{name}"


def _literal(value: Any) -> Any:
    """Return an argument, or nested ones, in a program's words."""
    return mapped(value, _word)


def _word(value: Any) -> Any:
    if isinstance(value, torch.fx.Node):
        return Ref(value.name)
    if isinstance(value, torch.dtype):
        return _dtype(value)
    return None if isinstance(value, torch.device | torch.memory_format | torch.layout) else value


def _dtype(dtype: torch.dtype) -> DType:
    return DType(str(dtype).removeprefix("torch."))


def _array(tensor: Tensor) -> Any:
    tensor = tensor.detach().cpu()
    return tensor.float().numpy() if tensor.dtype == torch.bfloat16 else tensor.numpy()
