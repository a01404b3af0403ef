"""Running a program with a framework's table of functions."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

from enfold.errors import EnfoldError
from enfold.transformers.frameworks.graph.program import Program, Ref, Result, mapped

__all__ = ["run"]

# Arithmetic on sizes.
_PLAIN: dict[str, Callable[..., Any]] = {
    "operator.add": operator.add,
    "operator.sub": operator.sub,
    "operator.mul": operator.mul,
    "operator.floordiv": operator.floordiv,
    "operator.truediv": operator.truediv,
    "operator.mod": operator.mod,
    "operator.neg": operator.neg,
    "operator.pow": operator.pow,
    "operator.getitem": operator.getitem,
    "operator.lt": operator.lt,
    "operator.le": operator.le,
    "operator.gt": operator.gt,
    "operator.ge": operator.ge,
    "operator.eq": operator.eq,
    "operator.ne": operator.ne,
    "torch.sym_max": max,
    "torch.sym_min": min,
    "torch.sym_float": float,
    "torch.sym_int": int,
}


def run(
    program: Program, table: Mapping[str, Callable[..., Any]], parameters: Mapping[str, Any], inputs: Mapping[str, Any]
) -> Result:
    """Run a program.

    Args:
        program: what to run.
        table: operation → the framework's function.
        parameters: name → tensor of the framework, for every name in ``program.parameters`` and ``program.buffers``,
            and for the constants, under ``"constant:" + name``, where the caller has converted them already.
        inputs: name → tensor of the framework.

    Returns:
        The output's fields, nested as in ``program.output``, and new values of buffers.

    Raises:
        EnfoldError: an operation that the table does not have; it names the operation and the model.
    """
    values: dict[str, Any] = {}
    for name, (kind, source) in program.reads.items():
        if kind == "input":
            values[name] = inputs[source]
        elif kind == "constant":
            made = parameters.get(f"constant:{source}")
            values[name] = program.constants[source] if made is None else made
        else:
            values[name] = parameters[source]
    for op in program.ops:
        function = _function(op.target, table, program)
        values[op.name] = function(*_filled(op.args, values), **_filled(op.kwargs, values))
        for name in op.last:
            values.pop(name, None)
    return Result(_filled(dict(program.output), values), _filled(dict(program.updates), values))


def _function(target: str, table: Mapping[str, Callable[..., Any]], program: Program) -> Callable[..., Any]:
    found = table.get(target) or table.get(target.rpartition(".")[0]) or _PLAIN.get(target)
    if found is None:
        raise EnfoldError(f"{program.model} uses the operation {target}, which this framework's table does not have")
    return found


def _filled(made: Any, values: Mapping[str, Any]) -> Any:
    return mapped(made, lambda part: values[part.name] if isinstance(part, Ref) else part)
