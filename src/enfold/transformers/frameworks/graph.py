"""A torch model as a small program that any framework can run: operations with literal arguments, and names.

**Making one.** ``Programs(model)`` keeps the programs of one model: ``programs.fitting(specs, train=…, **options)``
returns the program for inputs of these names, ranks and types, exporting it when there is none yet. A program serves
every batch and every length, since sizes stay symbolic; where a model fixes a size (an image's height), the program
says so in ``Input.shape``, and another size gets another program.

**Running one.** ``run(program, table, parameters, inputs)`` walks through ``program.ops``. The table of a framework
maps a name, ``"aten.add.Tensor"`` or for all overloads at once ``"aten.add"``, to a function that takes the operation's
arguments as ATen declares them (a call leaves out defaults, as torch does). What the functions meet:

* values: the framework's tensors; sizes are Python numbers, or whatever the framework's ``aten.sym_size`` returns
  (arithmetic on sizes is done here with Python's operators, which tensors of all frameworks overload);
* types are ``DType("float32")``; devices, layouts and memory formats are left out;
* lists are lists; the end of an open slice is 2**63 - 1; infinities are floats;
* an operation with several results (``aten.split``, ``aten.native_dropout``) returns a tuple or list;
* integer inputs are int64 in the program; a framework may narrow them as long as it does so for all;
* nothing is changed in place and nothing aliases: views are ordinary functions; copies of the same values, and
  dropout outside of training, are left out (``rewriting`` says what torch leaves in fewer words).

Random operations (``RANDOM``: dropout, and attention with dropout) are in training programs alone. The caller passes
functions that hold its generator in that call's table: ``run(program, {**TABLE, "aten.native_dropout": mine}, …)``.

**Parameters.** ``program.parameters`` and ``program.buffers`` are the names in ``model.state_dict()`` (and of buffers
that no file holds) that the program reads. Weights that are shared have one name, the first in
``model.named_parameters()``: ``leaves(model)`` gives name → tensor, each weight once, and ``aliases(model)`` the other
names. ``program.updates`` names buffers with new values after a run (running statistics of a batch norm in training).

Example:
    >>> import torch
    >>> from enfold.transformers import BertConfig, BertModel
    >>> model = BertModel(BertConfig(vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=2,
    ...                              intermediate_size=8)).eval()
    >>> program = Programs(model).fitting({"input_ids": Spec((2, 5), "int64")})
    >>> program.inputs[0].name, program.inputs[0].shape[1] == 5  # a symbol: any length
    ('input_ids', False)
    >>> sorted(program.output)
    ['last_hidden_state', 'pooler_output']
"""

from __future__ import annotations

import inspect
import operator
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from enfold.errors import EnfoldError
from enfold.nn.outputs import ModelOutput
from enfold.transformers.frameworks.rewriting import is_functional, rewritten

__all__ = [
    "RANDOM",
    "DType",
    "Input",
    "Op",
    "Program",
    "Programs",
    "Ref",
    "Result",
    "Spec",
    "aliases",
    "export",
    "leaves",
    "run",
]

# Operations that draw random numbers (attention does when its dropout is not zero).
RANDOM = ("aten.native_dropout", "aten.dropout", "aten.scaled_dot_product_attention")
# Checks that torch leaves in a graph: what they check holds by construction, or is checked when a program is chosen.
_CHECKS = ("aten._assert", "aten.sym_constrain", "_assert", "aten._assert_tensor_metadata")
_LEAST = 2  # sizes 0 and 1 are special to the tracer: a program is made for others and serves 1 as well


class Ref(NamedTuple):
    """The value that an operation, or a read, has made."""

    name: str


class DType(NamedTuple):
    """A type of numbers by torch's name, ``"float32"``, ``"int64"``, ``"bool"``, ``"bfloat16"``."""

    name: str


class Spec(NamedTuple):
    """What is given: sizes (None where not known yet) and type."""

    shape: tuple[int | None, ...]
    dtype: str


class Input(NamedTuple):
    """What a program takes: each size is a number that must be met, or a symbol; equal symbols are equal sizes."""

    name: str
    shape: tuple[int | str, ...]
    dtype: str


class Read(NamedTuple):
    """Where a value comes from before the first operation: ``kind`` is parameter, buffer, constant or input."""

    kind: str
    name: str


@dataclass(frozen=True)
class Op:
    """One step: call ``target`` and call the result ``name``; ``last`` are values that nobody needs afterwards."""

    name: str
    target: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    last: tuple[str, ...] = ()


@dataclass(frozen=True)
class Program:
    """A model's computation for inputs of some names, ranks and types.

    Args:
        model: the class's name, for errors.
        inputs: in the order of the specs.
        reads: value → where it comes from; parameters, buffers, constants and inputs.
        constants: name → numpy array that the code made while it was exported.
        ops: the steps, in order.
        output: field → value, or nested tuples of values, as the model's output class has them.
        output_class: the class, made as ``output_class(**fields)``.
        updates: buffer → its new value after a run.
        bounds: symbol → (least, most); most is None where there is no limit.
    """

    model: str
    inputs: tuple[Input, ...]
    reads: Mapping[str, Read]
    constants: Mapping[str, Any]
    ops: tuple[Op, ...]
    output: Mapping[str, Any]
    output_class: type[ModelOutput]
    updates: Mapping[str, Ref] = field(default_factory=dict)
    bounds: Mapping[str, tuple[int, int | None]] = field(default_factory=dict)

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the weights that are read."""
        return tuple(dict.fromkeys(read.name for read in self.reads.values() if read.kind == "parameter"))

    @property
    def buffers(self) -> tuple[str, ...]:
        """Names of the buffers that are read."""
        return tuple(dict.fromkeys(read.name for read in self.reads.values() if read.kind == "buffer"))

    def fits(self, specs: Mapping[str, Spec]) -> bool:
        """Return whether inputs of these sizes can be run: names and ranks are taken for granted."""
        sizes: dict[str, int] = {}
        for given in self.inputs:
            for size, wanted in zip(specs[given.name].shape, given.shape, strict=True):
                if size is None:
                    continue
                if isinstance(wanted, int):
                    if size != wanted:
                        return False
                    continue
                least, most = self.bounds.get(wanted, (0, None))
                if size < (1 if least <= _LEAST else least) or (most is not None and size > most):
                    return False
                if sizes.setdefault(wanted, size) != size:
                    return False
        return True


class Result(NamedTuple):
    """What a run gives: field → value, and buffer → new value."""

    output: dict[str, Any]
    updates: dict[str, Any]


class Programs:
    """The programs of one model, each exported when it is first needed.

    Args:
        model: one of our models; its weights are not copied, and its mode (training or evaluation) stays as it is.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self._known: dict[Any, list[Program]] = {}

    def fitting(
        self,
        specs: Mapping[str, Spec],
        *,
        train: bool = False,
        dynamic: Mapping[str, Sequence[int]] | None = None,
        **options: Any,
    ) -> Program:
        """Return a program for inputs.

        Args:
            specs: name of an argument of the model's ``forward`` → sizes and type.
            train: as in training: with dropout.
            dynamic: input → its dimensions that may change; by default see ``free_dimensions``.
            options: arguments that are no tensors, such as ``output_attentions=True``.

        Raises:
            EnfoldError: the model cannot be exported for these inputs.
        """
        ranks = tuple((name, len(spec.shape), _widened(spec.dtype)) for name, spec in sorted(specs.items()))
        key = (ranks, train, tuple(sorted(options.items())), _weights_type(self.model))
        known = self._known.setdefault(key, [])
        for program in known:
            if program.fits(specs):
                return program
        known.append(export(self.model, specs, train=train, dynamic=dynamic, **options))
        return known[-1]


def export(
    model: nn.Module,
    specs: Mapping[str, Spec],
    *,
    train: bool = False,
    dynamic: Mapping[str, Sequence[int]] | None = None,
    **options: Any,
) -> Program:
    """Return a model's program; arguments as ``Programs.fitting``, which keeps what this makes."""
    freed = {
        name: tuple(dynamic[name] if dynamic is not None and name in dynamic else free_dimensions(name, spec))
        for name, spec in specs.items()
    }
    shapes = _traced_shapes(specs, freed)
    inputs = {name: _example(shapes[name], specs[name].dtype, model) for name in specs}
    auto, fixed = torch.export.Dim.AUTO, torch.export.Dim.STATIC
    sizes = {
        name: {at: auto if at in freed[name] and shapes[name][at] >= _LEAST else fixed for at in range(tensor.dim())}
        for name, tensor in inputs.items()
    }
    shell = _Shell(model, options)
    with _mode(model, train), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            exported = torch.export.export(shell, (inputs,), dynamic_shapes=(sizes,), strict=False)
            if not is_functional(exported.graph):
                exported = exported.run_decompositions({})
        except EnfoldError:
            raise
        except Exception as error:
            told = str(error).strip().splitlines()
            raise EnfoldError(
                f"{type(model).__name__} cannot be exported for {', '.join(specs)}: {told[0] if told else type(error)}"
            ) from error
    return _program(model, specs, exported)


def free_dimensions(name: str, spec: Spec) -> Sequence[int]:
    """Return the dimensions that may change: all of words, masks, labels and sound; the batch of images and features;
    batch and length of embeddings and states.

    Example:
        >>> list(free_dimensions("pixel_values", Spec((1, 3, 224, 224), "float32")))
        [0]
    """
    rank = len(spec.shape)
    if name in ("pixel_mask", "bool_masked_pos") or (spec.dtype.startswith(("float", "bfloat")) and rank >= 3):
        return range(2) if name.endswith(("_embeds", "_hidden_states", "_outputs")) else range(min(1, rank))
    return range(rank)


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
    if isinstance(made, Ref):
        return values[made.name]
    if isinstance(made, DType):
        return made
    if isinstance(made, tuple | list):
        return type(made)(_filled(part, values) for part in made)
    if isinstance(made, Mapping):
        return {name: _filled(part, values) for name, part in made.items()}
    return made


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


# --- weights


def leaves(model: nn.Module) -> dict[str, Tensor]:
    """Return name → tensor of every parameter and buffer, each shared one once, under its first name."""
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


def aliases(model: nn.Module) -> dict[str, str]:
    """Return the other names of shared parameters and buffers → the first one.

    Example:
        >>> from enfold.transformers import GPT2Config, GPT2LMHeadModel
        >>> aliases(GPT2LMHeadModel(GPT2Config(vocab_size=9, n_embd=8, n_layer=1, n_head=2)))
        {'lm_head.weight': 'transformer.wte.weight'}
    """
    first = {id(tensor): name for name, tensor in leaves(model).items()}
    every = [*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False)]
    return {name: first[id(tensor)] for name, tensor in every if first[id(tensor)] != name}


# --- exporting


class _Shell(nn.Module):
    """A model with plain tensors in and its output's fields out: no cache, no labels' side effects."""

    def __init__(self, model: nn.Module, options: Mapping[str, Any]) -> None:
        super().__init__()
        self.model = model
        self.options = dict(options)
        if "use_cache" in inspect.signature(model.forward).parameters:
            self.options.setdefault("use_cache", False)

    def forward(self, inputs: dict[str, Tensor]) -> Any:
        """Return the model's output."""
        return self.model(**inputs, **self.options, return_dict=True)


# What cannot be part of a program, or must not be: caches, and what is drawn in Python (masks, layers to leave out).
_OFF: dict[str, Any] = {
    "use_cache": False,
    "apply_spec_augment": False,
    "layerdrop": 0.0,
    "encoder_layerdrop": 0.0,
    "decoder_layerdrop": 0.0,
}


@contextmanager
def _mode(model: nn.Module, train: bool) -> Iterator[None]:
    """Put a model and all its parts into training or evaluation, without what is ``_OFF``, and back."""
    before = {part: part.training for part in model.modules()}
    configs = {id(part.config): part.config for part in model.modules() if hasattr(part, "config")}
    was_on = [
        (config, name, vars(config)[name]) for config in configs.values() for name in _OFF if name in vars(config)
    ]
    model.train(train)
    for config, name, _ in was_on:
        setattr(config, name, _OFF[name])
    try:
        yield
    finally:
        for part, was in before.items():
            part.training = was
        for config, name, value in was_on:
            setattr(config, name, value)


def _traced_shapes(specs: Mapping[str, Spec], freed: Mapping[str, Sequence[int]]) -> dict[str, tuple[int, ...]]:
    """Return the sizes to trace with: as given, but 2 for a free 1, and something for what is not known."""
    return {
        name: tuple(
            (2 if at == 0 else 6) if size is None else (_LEAST if size == 1 and at in freed[name] else size)
            for at, size in enumerate(spec.shape)
        )
        for name, spec in specs.items()
    }


def _example(shape: Sequence[int], dtype: str, model: nn.Module) -> Tensor:
    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    return torch.ones(tuple(shape), dtype=getattr(torch, _widened(dtype)), device=device)


def _widened(dtype: str) -> str:
    return "int64" if dtype in ("int32", "int16", "int8", "uint8") else dtype


def _weights_type(model: nn.Module) -> str:
    first = next((parameter.dtype for parameter in model.parameters() if parameter.is_floating_point()), torch.float32)
    return str(first)


def _program(model: nn.Module, specs: Mapping[str, Spec], exported: Any) -> Program:
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
    refs = [Ref(spec.arg.name) if hasattr(spec.arg, "name") else spec.arg.value for spec in results]
    made = pytree.tree_unflatten(refs, exported.call_spec.out_spec)
    updates = {
        other.get(spec.target.removeprefix("model."), spec.target.removeprefix("model.")): Ref(spec.arg.name)
        for spec in signature.output_specs
        if spec.kind.name == "BUFFER_MUTATION"
    }
    output, kind = (dict(made), type(made)) if isinstance(made, ModelOutput) else ({"output": made}, ModelOutput)
    ops, output, updates = _ops(graph, output, updates)
    used = {*_named(output), *_named(updates), *(name for op in ops for name in _named([op.args, op.kwargs]))}
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
    needed = {*_named(output), *_named(updates)}
    wanted = []
    for op in reversed(found):  # what only checks looked at is not computed
        if op.name not in needed:
            continue
        reads = {*_named(op.args), *_named(op.kwargs)}
        last = tuple(sorted(name for name in {*reads, op.name} if name not in needed))
        needed |= reads
        wanted.append(Op(op.name, op.target, op.args, op.kwargs, last))
    return tuple(reversed(wanted)), output, updates


def _part_of(name: str, suffix: str) -> Ref:
    return Ref(f"{name}_{suffix}")


def _renamed(made: Any, same: Mapping[str, Any]) -> Any:
    """Return a value, or nested ones, with references to what they are equal to."""
    if isinstance(made, Ref):
        return same.get(made.name, made)
    if isinstance(made, DType):
        return made
    if isinstance(made, list | tuple):
        return type(made)(_renamed(part, same) for part in made)
    if isinstance(made, dict):
        return {name: _renamed(part, same) for name, part in made.items()}
    return made


_PLACES = ("device", "layout", "pin_memory", "memory_format", "non_blocking")


def _target(target: Any) -> str:
    if isinstance(target, torch._ops.OpOverload):
        return str(target)
    module = getattr(target, "__module__", "")
    name = getattr(target, "__name__", str(target))
    if module in ("_operator", "operator"):
        return f"operator.{name}"
    return f"torch.{name}" if module.startswith("torch") else f"{module}.{name}"


def _literal(value: Any) -> Any:
    if isinstance(value, Ref | DType):
        return value
    if isinstance(value, torch.fx.Node):
        return Ref(value.name)
    if isinstance(value, torch.dtype):
        return _dtype(value)
    if isinstance(value, torch.device | torch.memory_format | torch.layout):
        return None
    if isinstance(value, tuple):
        return tuple(_literal(part) for part in value)
    if isinstance(value, list):
        return [_literal(part) for part in value]
    if isinstance(value, dict):
        return {name: _literal(part) for name, part in value.items()}
    return value


def _named(made: Any) -> Iterator[str]:
    if isinstance(made, Ref):
        yield made.name
    elif isinstance(made, DType):
        return
    elif isinstance(made, list | tuple):
        for part in made:
            yield from _named(part)
    elif isinstance(made, Mapping):
        for part in made.values():
            yield from _named(part)


def _dtype(dtype: torch.dtype) -> DType:
    return DType(str(dtype).removeprefix("torch."))


def _array(tensor: Tensor) -> Any:
    tensor = tensor.detach().cpu()
    return tensor.float().numpy() if tensor.dtype == torch.bfloat16 else tensor.numpy()
