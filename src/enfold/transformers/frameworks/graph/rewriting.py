"""Fewer operations: what torch's exporter leaves is said in the words that tables know.

The exporter can do this itself by tracing a second time, which takes longer than the first. A graph in which nothing is
changed in place needs the few rules below instead.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

__all__ = ["hold_gradients", "is_functional", "rewritten"]

Call = tuple[str, tuple[Any, ...], dict[str, Any]]  # target, arguments, keyword arguments

# Views and copies of the same values: without memory there is no difference.
_SAME = {
    "aten.alias.default",
    "aten.clone.default",
    "aten.contiguous.default",
    "aten.lift_fresh_copy.default",
    "aten.lift_fresh.default",
}
_STOPS = {"aten.detach.default", "aten.detach_.default"}  # the same values, which gradients do not pass
_CASTS = {"aten.to.dtype", "aten.to.dtype_layout", "aten.to.device", "aten.to.other", "aten.type_as.default"}
_OTHER_NAMES = {
    "aten.reshape.default": "aten.view.default",
    "aten._unsafe_view.default": "aten.view.default",
    "aten.swapaxes.default": "aten.transpose.int",
    "aten.swapdims.default": "aten.transpose.int",
    "aten.broadcast_to.default": "aten.expand.default",
}
_LIKE = {
    "aten.view_as.default": "aten.view.default",
    "aten.reshape_as.default": "aten.view.default",
    "aten.expand_as.default": "aten.expand.default",
}
_OWN = {"aten.dropout.default", "aten.flatten.using_ints", "aten.chunk.default", "aten._weight_norm.default"}
_SAID = {*_SAME, *_STOPS, *_CASTS, *_OTHER_NAMES, *_LIKE, *_OWN}


def is_functional(graph: Any) -> bool:
    """Return whether no operation of a graph changes its arguments, none is a graph of its own, and none is beyond the
    rules here."""
    for node in graph.nodes:
        if node.op == "get_attr":
            return False
        if node.op == "call_function" and isinstance(node.target, torch._ops.OpOverload):
            schema, known = node.target._schema, str(node.target) in _SAID
            training = schema.name == "aten::batch_norm" and node.args[5] is not False
            if training or (schema.is_mutable and not known):
                return False
            # a view made of other views, for which there is no rule here
            if not known and node.target._can_decompose() and any(one.alias_info for one in schema.returns):
                return False
        elif node.op == "call_function" and isinstance(node.target, torch._ops.HigherOrderOperator):
            return False
    return True


def hold_gradients(exported: Any) -> None:
    """Say ``torch.no_grad()`` of an exported model as ``detach`` of what goes in: otherwise its parts are joined with
    the rest, and it is forgotten that gradients end there."""
    for module in exported.graph_module.modules():
        graph = getattr(module, "graph", None)
        if graph is None:
            continue
        for node in graph.find_nodes(op="call_function", target=torch.ops.higher_order.wrap_with_set_grad_enabled):
            enabled, part, *given = node.args
            if enabled:
                continue
            with graph.inserting_before(node):
                held = [graph.call_function(torch.ops.aten.detach.default, (one,)) for one in given]
            for one, source in zip(held, given, strict=True):
                one.meta["val"] = source.meta["val"]
            node.args = (enabled, part, *held)
        module.recompile()


def rewritten(
    node: Any, target: str, args: tuple[Any, ...], kwargs: dict[str, Any], fresh: Callable[[str], Any]
) -> Any:
    """Say a node in the tables' words.

    Args:
        node: of the graph; its ``meta["val"]`` tells the sizes.
        target, args, kwargs: what it calls, with references in place of nodes.
        fresh: takes a suffix and returns a reference to a new value.

    Returns:
        The argument that the node is equal to; or a list of ``(reference or None, call)``, the last of which, with
        None, is the node's own value.
    """
    if target in _SAME or (target in _STOPS and not _has_gradient(node.args[0])):
        return args[0]
    if target in _STOPS:
        return [(None, ("aten.detach.default", args, {}))]
    if target in _OTHER_NAMES:
        return [(None, (_OTHER_NAMES[target], args, kwargs))]
    if target in _CASTS:
        before, after = node.args[0].meta["val"].dtype, node.meta["val"].dtype
        return args[0] if before == after else [(None, ("aten._to_copy.default", args[:1], {"dtype": after}))]
    if target == "aten.dropout.default":
        if not args[2] or not args[1]:
            return args[0]
        both = fresh("both")
        return [(both, ("aten.native_dropout.default", args, {})), (None, ("operator.getitem", (both, 0), {}))]
    if target == "aten.flatten.using_ints":
        return _flatten(node, args, kwargs, fresh)
    if target in _LIKE:
        calls, sizes = _sizes(node.args[1].meta["val"].shape, args[1], fresh)
        return [*calls, (None, (_LIKE[target], (args[0], sizes), {}))]
    if target == "aten._weight_norm.default":
        return _weight_norm(node, args, fresh)
    if target == "aten.chunk.default":
        x, dim = node.args[0].meta["val"], args[2] if len(args) > 2 else kwargs.get("dim", 0)
        if isinstance(x.shape[dim], int):
            return [(None, ("aten.split.Tensor", (args[0], -(-x.shape[dim] // args[1]), dim), {}))]
    return [(None, (target, args, kwargs))]


def _has_gradient(node: Any) -> bool:
    """Return whether a gradient can come to a value: it is a real number, and no constant."""
    while str(node.target) in _SAME:
        node = node.args[0]
    return bool(node.meta["val"].is_floating_point()) and not node.name.startswith("c_")


def _flatten(node: Any, args: tuple[Any, ...], kwargs: dict[str, Any], fresh: Callable[[str], Any]) -> Any:
    """Return ``flatten`` as a view: the sizes around what is flattened stay, one is left to be counted."""
    shape = node.args[0].meta["val"].shape
    rank = len(shape)
    first = args[1] if len(args) > 1 else kwargs.get("start_dim", 0)
    last = args[2] if len(args) > 2 else kwargs.get("end_dim", -1)
    first, last = first % max(rank, 1), last % max(rank, 1)
    around = [*range(first), *range(last + 1, rank)]
    calls, sizes = _sizes([shape[at] for at in around], args[0], fresh, around)
    sizes.insert(first, -1)
    return [*calls, (None, ("aten.view.default", (args[0], sizes), {}))]


def _sizes(
    shape: Sequence[Any], owner: Any, fresh: Callable[[str], Any], places: Sequence[int] | None = None
) -> tuple[list[tuple[Any, Call]], list[Any]]:
    """Return the calls that measure a value's open sizes, and its sizes: numbers, or what the calls give."""
    calls: list[tuple[Any, Call]] = []
    sizes: list[Any] = []
    for at, size in zip(range(len(shape)) if places is None else places, shape, strict=True):
        if isinstance(size, int):
            sizes.append(size)
            continue
        sizes.append(fresh(f"size{at}"))
        calls.append((sizes[-1], ("aten.sym_size.int", (owner, at), {})))
    return calls, sizes


def _weight_norm(node: Any, args: tuple[Any, ...], fresh: Callable[[str], Any]) -> Any:
    """Return v · g / ‖v‖, the norm over all dimensions but one (Salimans and Kingma, 2016, "Weight Normalization")."""
    rank, kept = node.args[0].meta["val"].dim(), args[2] if len(args) > 2 else 0
    length, share = fresh("length"), fresh("share")
    others = [at for at in range(rank) if at != kept % rank]
    return [
        (length, ("aten.linalg_vector_norm.default", (args[0], 2, others, True), {})),
        (share, ("aten.div.Tensor", (args[1], length), {})),
        (None, ("aten.mul.Tensor", (args[0], share), {})),
    ]
