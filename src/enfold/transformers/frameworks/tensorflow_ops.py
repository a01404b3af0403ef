"""ATen's operations in TensorFlow, under the names that ``graph.run`` looks for.

A tensor's sizes may be open while a ``tf.function`` is traced: they are then scalar tensors, and one trace serves every
batch and every length. Convolutions, pools and resizing are in ``tensorflow_images``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from enfold.errors import EnfoldError
from enfold.transformers.frameworks.graph import DType
from enfold.transformers.frameworks.tensorflow_values import (
    END,
    as_dtype,
    axes,
    cast,
    common,
    dims,
    is_tensor,
    shape_of,
    size,
)

__all__ = ["TABLE", "attend", "dropout"]

Function = Callable[..., Any]
TABLE: dict[str, Function] = {}


def _op(*names: str) -> Callable[[Function], Function]:
    def take(function: Function) -> Function:
        TABLE.update({f"aten.{name}": function for name in names})
        return function

    return take


# --- one value, two values


def _float(x: Any) -> Any:
    x = tf.convert_to_tensor(x)
    return x if x.dtype.is_floating else tf.cast(x, tf.float32)


_ON_REALS: dict[str, Function] = {
    "exp": tf.exp, "log": tf.math.log, "sin": tf.sin, "cos": tf.cos, "tan": tf.tan, "tanh": tf.tanh, "sqrt": tf.sqrt,
    "rsqrt": tf.math.rsqrt, "sigmoid": tf.sigmoid, "erf": tf.math.erf, "log1p": tf.math.log1p,
    "expm1": tf.math.expm1, "atan": tf.atan, "asin": tf.asin, "acos": tf.acos, "sinh": tf.sinh, "cosh": tf.cosh,
    "reciprocal": tf.math.reciprocal, "log2": lambda x: tf.math.log(x) / math.log(2.0),
    "log10": lambda x: tf.math.log(x) / math.log(10.0), "exp2": lambda x: tf.exp(x * math.log(2.0)),
    "log_sigmoid": tf.math.log_sigmoid, "silu": tf.nn.silu, "isnan": tf.math.is_nan, "isinf": tf.math.is_inf,
}  # fmt: skip
_ON_NUMBERS: dict[str, Function] = {
    "neg": tf.negative, "abs": tf.abs, "sign": tf.sign, "floor": tf.floor, "ceil": tf.math.ceil, "round": tf.round,
    "relu": tf.nn.relu, "trunc": lambda x: tf.sign(x) * tf.floor(tf.abs(x)), "square": tf.square,
}  # fmt: skip
_SAME = ("alias", "clone", "detach", "contiguous", "lift_fresh_copy", "lift_fresh", "lift", "detach_", "positive")
_COMPARE: dict[str, Function] = {
    "eq": tf.equal, "ne": tf.not_equal, "lt": tf.less, "le": tf.less_equal, "gt": tf.greater, "ge": tf.greater_equal,
}  # fmt: skip
_LOGIC: dict[str, tuple[Function, Function]] = {
    "and": (tf.logical_and, tf.bitwise.bitwise_and),
    "or": (tf.logical_or, tf.bitwise.bitwise_or),
    "xor": (tf.math.logical_xor, tf.bitwise.bitwise_xor),
}


def _register() -> None:
    for name, function in _ON_REALS.items():
        TABLE[f"aten.{name}"] = lambda x, function=function: function(_float(x))
    for name, function in _ON_NUMBERS.items():
        TABLE[f"aten.{name}"] = lambda x, function=function: function(tf.convert_to_tensor(x))
    for name in _SAME:
        TABLE[f"aten.{name}"] = lambda x, **_: x
    TABLE["aten.detach"] = TABLE["aten.detach_"] = tf.stop_gradient
    for name, function in _COMPARE.items():
        TABLE[f"aten.{name}"] = lambda a, b, function=function: function(*common(a, b))
    for name, (on_truth, on_bits) in _LOGIC.items():

        def bits(a: Any, b: Any, on_truth: Function = on_truth, on_bits: Function = on_bits) -> Any:
            a, b = common(a, b)
            return on_truth(a, b) if a.dtype == tf.bool else on_bits(a, b)

        TABLE[f"aten.bitwise_{name}"] = TABLE[f"aten.__{name}__"] = bits
        TABLE[f"aten.logical_{name}"] = lambda a, b, on_truth=on_truth: on_truth(cast(a, tf.bool), cast(b, tf.bool))


_register()


@_op("add")
def _add(a: Any, b: Any, alpha: Any = 1) -> Any:
    a, b = common(a, b)
    return a + b if alpha == 1 else a + b * tf.cast(alpha, b.dtype)


TABLE["aten.sub"] = lambda a, b, alpha=1: _subtract(a, b, alpha)
TABLE["aten.rsub"] = lambda a, b, alpha=1: _subtract(b, a, alpha)


def _subtract(a: Any, b: Any, alpha: Any) -> Any:
    a, b = common(a, b)
    return a - b if alpha == 1 else a - b * tf.cast(alpha, b.dtype)


@_op("mul")
def _mul(a: Any, b: Any) -> Any:
    a, b = common(a, b)
    return tf.logical_and(a, b) if a.dtype == tf.bool else a * b


@_op("div", "true_divide")
def _div(a: Any, b: Any, rounding_mode: str | None = None) -> Any:
    a, b = common(a, b)
    if rounding_mode == "floor":
        return tf.math.floordiv(a, b)
    if rounding_mode == "trunc":
        return tf.truncatediv(a, b) if a.dtype.is_integer else TABLE["aten.trunc"](a / b)
    return _float(a) / _float(b)


@_op("floor_divide")
def _floor_divide(a: Any, b: Any) -> Any:
    return tf.math.floordiv(*common(a, b))


@_op("remainder")
def _remainder(a: Any, b: Any) -> Any:
    return tf.math.floormod(*common(a, b))


@_op("fmod")
def _fmod(a: Any, b: Any) -> Any:
    return tf.truncatemod(*common(a, b))


@_op("pow")
def _pow(a: Any, b: Any) -> Any:
    if not is_tensor(b) and b == 2:
        return a * a
    return tf.pow(*common(a, b))


@_op("maximum")
def _maximum(a: Any, b: Any) -> Any:
    return tf.maximum(*common(a, b))


@_op("minimum")
def _minimum(a: Any, b: Any) -> Any:
    return tf.minimum(*common(a, b))


@_op("clamp", "clip")
def _clamp(x: Any, min: Any = None, max: Any = None) -> Any:
    if min is not None:
        x = _maximum(x, min)
    return x if max is None else _minimum(x, max)


TABLE["aten.clamp_min"] = _clamp
TABLE["aten.clamp_max"] = lambda x, most: _clamp(x, None, most)


@_op("where")
def _where(condition: Any, a: Any, b: Any) -> Any:
    return tf.where(cast(condition, tf.bool), *common(a, b))


@_op("masked_fill")
def _masked_fill(x: Any, mask: Any, value: Any) -> Any:
    x = tf.convert_to_tensor(x)
    return tf.where(cast(mask, tf.bool), tf.cast(value, x.dtype), x)


@_op("addcmul")
def _addcmul(x: Any, a: Any, b: Any, value: Any = 1) -> Any:
    return _add(x, _mul(a, b), value)


@_op("lerp")
def _lerp(a: Any, b: Any, weight: Any) -> Any:
    return a + (b - a) * tf.cast(weight, a.dtype)


@_op("logical_not")
def _logical_not(x: Any) -> Any:
    return tf.logical_not(cast(x, tf.bool))


@_op("bitwise_not")
def _bitwise_not(x: Any) -> Any:
    return tf.logical_not(x) if x.dtype == tf.bool else tf.bitwise.invert(x)


# --- activations


@_op("gelu")
def _gelu(x: Any, approximate: str = "none") -> Any:
    return tf.nn.gelu(x, approximate=approximate == "tanh")


@_op("leaky_relu")
def _leaky_relu(x: Any, negative_slope: float = 0.01) -> Any:
    return tf.nn.leaky_relu(x, negative_slope)


@_op("elu")
def _elu(x: Any, alpha: float = 1, scale: float = 1, input_scale: float = 1) -> Any:
    return scale * tf.where(x > 0, x, alpha * tf.math.expm1(tf.minimum(x, 0) * input_scale))


@_op("softplus")
def _softplus(x: Any, beta: float = 1, threshold: float = 20) -> Any:
    return tf.where(x * beta > threshold, x, tf.nn.softplus(x * beta) / beta)


@_op("hardtanh", "relu6")
def _hardtanh(x: Any, least: float = -1.0, most: float = 1.0) -> Any:
    return tf.clip_by_value(x, least, most)


TABLE["aten.relu6"] = tf.nn.relu6
TABLE["aten.hardsigmoid"] = lambda x: tf.nn.relu6(x + 3) / 6
TABLE["aten.hardswish"] = lambda x: x * tf.nn.relu6(x + 3) / 6
TABLE["aten.mish"] = lambda x: x * tf.tanh(tf.nn.softplus(x))


@_op("glu")
def _glu(x: Any, dim: int = -1) -> Any:
    a, b = tf.split(x, 2, axis=dim)
    return a * tf.sigmoid(b)


@_op("_softmax", "softmax", "_safe_softmax")
def _softmax(x: Any, dim: int, half_to_float: Any = None, dtype: DType | None = None) -> Any:
    kind = half_to_float if isinstance(half_to_float, DType) else dtype
    return tf.nn.softmax(cast(x, as_dtype(kind, x.dtype)), axis=dim)


@_op("_log_softmax", "log_softmax")
def _log_softmax(x: Any, dim: int, half_to_float: Any = None, dtype: DType | None = None) -> Any:
    kind = half_to_float if isinstance(half_to_float, DType) else dtype
    return tf.nn.log_softmax(cast(x, as_dtype(kind, x.dtype)), axis=dim)


# --- over dimensions


@_op("sum")
def _sum(x: Any, dim: Any = None, keepdim: bool = False, dtype: DType | None = None) -> Any:
    kind = tf.int64 if x.dtype == tf.bool or x.dtype.is_integer else x.dtype
    return tf.reduce_sum(cast(x, as_dtype(dtype, kind)), axes(dim, len(x.shape)), keepdim)


@_op("mean")
def _mean(x: Any, dim: Any = None, keepdim: bool = False, dtype: DType | None = None) -> Any:
    return tf.reduce_mean(cast(x, as_dtype(dtype, x.dtype)), axes(dim, len(x.shape)), keepdim)


@_op("prod")
def _prod(x: Any, dim: Any = None, keepdim: bool = False, dtype: DType | None = None) -> Any:
    kind = tf.int64 if x.dtype == tf.bool or x.dtype.is_integer else x.dtype
    return tf.reduce_prod(cast(x, as_dtype(dtype, kind)), axes(dim, len(x.shape)), keepdim)


@_op("var")
def _var(x: Any, dim: Any = None, correction: Any = 1, keepdim: bool = False, unbiased: bool = True) -> Any:
    if isinstance(dim, bool):
        dim, correction = None, int(dim)
    if isinstance(correction, bool):
        correction = int(correction)
    at = axes(dim, len(x.shape))
    count = tf.cast(math.prod(size(x, one) for one in at), x.dtype)
    return tf.math.reduce_variance(x, at, keepdim) * count / (count - tf.cast(correction, x.dtype))


TABLE["aten.std"] = lambda *args, **kwargs: tf.sqrt(_var(*args, **kwargs))
TABLE["aten.var_mean"] = lambda x, dim=None, **kwargs: (
    _var(x, dim, **kwargs),
    _mean(x, dim, kwargs.get("keepdim", False)),
)


@_op("amax")
def _amax(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    return tf.reduce_max(x, axes(dim, len(x.shape)), keepdim)


@_op("amin")
def _amin(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    return tf.reduce_min(x, axes(dim, len(x.shape)), keepdim)


@_op("argmax")
def _argmax(x: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    if x.dtype == tf.bool:
        x = tf.cast(x, tf.int32)
    found = tf.argmax(tf.reshape(x, [-1]) if dim is None else x, 0 if dim is None else dim, tf.int64)
    return tf.expand_dims(found, dim) if keepdim and dim is not None else found


@_op("argmin")
def _argmin(x: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    return _argmax(-x, dim, keepdim)


@_op("max")
def _max(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    if is_tensor(dim):
        return _maximum(x, dim)
    return _amax(x) if dim is None else (_amax(x, dim, keepdim), _argmax(x, dim, keepdim))


@_op("min")
def _min(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    if is_tensor(dim):
        return _minimum(x, dim)
    return _amin(x) if dim is None else (_amin(x, dim, keepdim), _argmin(x, dim, keepdim))


@_op("any")
def _any(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    return tf.reduce_any(cast(x, tf.bool), axes(dim, len(x.shape)), keepdim)


@_op("all")
def _all(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    return tf.reduce_all(cast(x, tf.bool), axes(dim, len(x.shape)), keepdim)


@_op("logsumexp")
def _logsumexp(x: Any, dim: Any, keepdim: bool = False) -> Any:
    return tf.reduce_logsumexp(x, axes(dim, len(x.shape)), keepdim)


@_op("linalg_vector_norm", "norm")
def _norm(x: Any, ord: float = 2, dim: Any = None, keepdim: bool = False, dtype: DType | None = None) -> Any:
    x, at = cast(x, as_dtype(dtype, x.dtype)), axes(dim, len(x.shape))
    if ord == 2:
        return (
            tf.norm(x, axis=at if len(at) < len(x.shape) else None, keepdims=keepdim)
            if len(at) < 3
            else tf.sqrt(tf.reduce_sum(x * x, at, keepdim))
        )
    if math.isinf(ord):
        return tf.reduce_max(tf.abs(x), at, keepdim)
    return tf.reduce_sum(tf.abs(x) ** ord, at, keepdim) ** (1 / ord)


@_op("cumsum")
def _cumsum(x: Any, dim: int, dtype: DType | None = None) -> Any:
    kind = tf.int64 if x.dtype == tf.bool or x.dtype.is_integer else x.dtype
    return tf.cumsum(cast(x, as_dtype(dtype, kind)), dim)


@_op("cumprod")
def _cumprod(x: Any, dim: int, dtype: DType | None = None) -> Any:
    return tf.math.cumprod(cast(x, as_dtype(dtype, x.dtype)), dim)


@_op("sort")
def _sort(x: Any, dim: int = -1, descending: bool = False, stable: bool = False) -> Any:
    order = tf.argsort(x, dim, "DESCENDING" if descending else "ASCENDING", stable=True)
    return _gather(x, dim, order), tf.cast(order, tf.int64)


TABLE["aten.argsort"] = lambda x, dim=-1, descending=False, stable=False: _sort(x, dim, descending)[1]


@_op("topk")
def _topk(x: Any, k: Any, dim: int = -1, largest: bool = True, sorted: bool = True) -> Any:
    moved = _to_end(x, dim)
    values, order = tf.math.top_k(moved if largest else -moved, tf.cast(k, tf.int32))
    values = values if largest else -values
    return _from_end(values, dim), _from_end(tf.cast(order, tf.int64), dim)


# --- matrices


@_op("linear")
def _linear(x: Any, weight: Any, bias: Any = None) -> Any:
    sizes = shape_of(x)
    flat = x if len(sizes) == 2 else tf.reshape(x, [-1, weight.shape[1]])
    made = tf.matmul(flat, weight, transpose_b=True)
    made = made if bias is None else made + bias
    return made if len(sizes) == 2 else tf.reshape(made, dims([*sizes[:-1], weight.shape[0]]))


@_op("matmul", "mm", "bmm")
def _matmul(a: Any, b: Any) -> Any:
    if len(a.shape) == 1 or len(b.shape) == 1:
        return tf.tensordot(a, b, [[-1], [max(len(b.shape) - 2, 0)]])
    return tf.matmul(a, b)


TABLE["aten.mv"] = TABLE["aten.dot"] = _matmul


@_op("addmm")
def _addmm(x: Any, a: Any, b: Any, beta: Any = 1, alpha: Any = 1) -> Any:
    made = tf.matmul(a, b)
    return (x if beta == 1 else x * beta) + (made if alpha == 1 else made * alpha)


TABLE["aten.baddbmm"] = _addmm


@_op("einsum")
def _einsum(equation: str, values: Sequence[Any], path: Any = None) -> Any:
    return tf.einsum(equation, *values)


@_op("outer")
def _outer(a: Any, b: Any) -> Any:
    return a[:, None] * b[None, :]


# --- shapes


@_op("sym_size")
def _sym_size(x: Any, at: int) -> Any:
    return size(x, at)


TABLE["aten.sym_numel"] = TABLE["aten.numel"] = lambda x: math.prod(shape_of(x))
TABLE["torch.sym_float"] = lambda x: tf.cast(x, tf.float32) if is_tensor(x) else float(x)
TABLE["torch.sym_int"] = lambda x: tf.cast(x, tf.int64) if is_tensor(x) else int(x)
TABLE["torch.sym_max"] = lambda a, b: _maximum(a, b) if is_tensor(a) or is_tensor(b) else max(a, b)
TABLE["torch.sym_min"] = lambda a, b: _minimum(a, b) if is_tensor(a) or is_tensor(b) else min(a, b)


@_op("view", "reshape", "_unsafe_view", "view_copy", "_reshape_alias")
def _view(x: Any, sizes: Any) -> Any:
    if isinstance(sizes, DType):
        return tf.bitcast(x, as_dtype(sizes))
    return tf.reshape(x, dims(sizes))


@_op("view_as", "reshape_as")
def _view_as(x: Any, other: Any) -> Any:
    return tf.reshape(x, dims(shape_of(other)))


@_op("flatten")
def _flatten(x: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    sizes = shape_of(x)
    end = end_dim % len(sizes)
    start = start_dim % len(sizes)
    return tf.reshape(x, dims([*sizes[:start], math.prod(sizes[start : end + 1]), *sizes[end + 1 :]]))


@_op("unflatten")
def _unflatten(x: Any, dim: int, sizes: Sequence[Any]) -> Any:
    old = shape_of(x)
    at = dim % len(old)
    return tf.reshape(x, dims([*old[:at], *sizes, *old[at + 1 :]]))


@_op("expand", "broadcast_to")
def _expand(x: Any, sizes: Sequence[Any], implicit: bool = False) -> Any:
    old = shape_of(x)
    ahead = len(sizes) - len(old)
    wanted = [old[at - ahead] if not is_tensor(one) and one == -1 else one for at, one in enumerate(sizes)]
    return tf.broadcast_to(x, dims(wanted))


@_op("expand_as")
def _expand_as(x: Any, other: Any) -> Any:
    return tf.broadcast_to(x, dims(shape_of(other)))


@_op("permute")
def _permute(x: Any, order: Sequence[int]) -> Any:
    return tf.transpose(x, axes(order, len(x.shape)))


@_op("transpose", "swapaxes")
def _transpose(x: Any, a: int, b: int) -> Any:
    order = list(range(len(x.shape)))
    order[a], order[b] = order[b], order[a]
    return tf.transpose(x, order)


TABLE["aten.t"] = lambda x: tf.transpose(x)
TABLE["aten.mT"] = lambda x: tf.linalg.matrix_transpose(x)


@_op("movedim")
def _movedim(x: Any, source: Any, target: Any) -> Any:
    rank = len(x.shape)
    moved = dict(zip(axes(target, rank), axes(source, rank), strict=True))
    rest = iter([at for at in range(rank) if at not in moved.values()])
    return tf.transpose(x, [moved[at] if at in moved else next(rest) for at in range(rank)])


@_op("unsqueeze")
def _unsqueeze(x: Any, at: int) -> Any:
    return tf.expand_dims(x, at)


@_op("squeeze")
def _squeeze(x: Any, at: Any = None) -> Any:
    chosen = [one for one in axes(at, len(x.shape)) if x.shape[one] == 1]
    return tf.squeeze(x, chosen) if chosen else x


@_op("cat", "concat")
def _cat(values: Sequence[Any], dim: int = 0) -> Any:
    kept = [one for one in values if one.shape.rank != 1 or one.shape[0] != 0] or list(values[:1])
    return tf.concat(common(*kept), dim)


@_op("stack")
def _stack(values: Sequence[Any], dim: int = 0) -> Any:
    return tf.stack(common(*values), dim)


@_op("split", "split_with_sizes")
def _split(x: Any, sizes: Any, dim: int = 0) -> Any:
    if isinstance(sizes, list | tuple):
        return tf.split(x, dims(sizes), dim, num=len(sizes))
    whole = size(x, dim)
    if is_tensor(whole) or is_tensor(sizes):
        raise EnfoldError("TensorFlow does not split a size that is open into pieces of one size")
    count, rest = divmod(int(whole), int(sizes))
    return tf.split(x, [int(sizes)] * count + ([rest] if rest else []), dim)


@_op("chunk")
def _chunk(x: Any, count: int, dim: int = 0) -> Any:
    return _split(x, -(-int(size(x, dim)) // count), dim)


@_op("unbind")
def _unbind(x: Any, dim: int = 0) -> Any:
    return tf.unstack(x, axis=dim)


@_op("slice")
def _slice(x: Any, dim: int = 0, start: Any = None, end: Any = None, step: Any = 1) -> Any:
    if not is_tensor(end) and (end is None or end >= END):
        end = None
    if (start is None or (not is_tensor(start) and start == 0)) and end is None and step == 1:
        return x
    at = dim % len(x.shape)
    return x[(slice(None),) * at + (slice(start, end, step),)]


@_op("narrow")
def _narrow(x: Any, dim: int, start: Any, length: Any) -> Any:
    return _slice(x, dim, start, start + length)


@_op("select")
def _select(x: Any, dim: int, index: Any) -> Any:
    at = dim % len(x.shape)
    return x[(slice(None),) * at + (index,)]


@_op("flip")
def _flip(x: Any, at: Sequence[int]) -> Any:
    return tf.reverse(x, axes(at, len(x.shape)) if len(at) else [])


@_op("roll")
def _roll(x: Any, shifts: Any, at: Any = ()) -> Any:
    shifts = [shifts] if isinstance(shifts, int) else list(shifts)
    return tf.roll(x, shifts, axes(at, len(x.shape)))


@_op("repeat")
def _repeat(x: Any, times: Sequence[Any]) -> Any:
    ahead = len(times) - len(x.shape)
    return tf.tile(tf.reshape(x, dims([*[1] * ahead, *shape_of(x)])), dims(times))


@_op("repeat_interleave")
def _repeat_interleave(x: Any, times: Any, dim: int | None = None, output_size: Any = None) -> Any:
    return tf.repeat(x, times, dim)


@_op("unfold")
def _unfold(x: Any, dim: int, length: int, step: int) -> Any:
    at = dim % len(x.shape)
    made = tf.signal.frame(x, length, step, axis=at)  # the frame comes right after the dimension
    order = [one for one in range(len(made.shape)) if one != at + 1]
    return tf.transpose(made, [*order, at + 1])


@_op("constant_pad_nd")
def _constant_pad(x: Any, pads: Sequence[Any], value: Any = 0) -> Any:
    rank = len(x.shape)
    pairs = [(0, 0)] * rank
    for place in range(len(pads) // 2):
        pairs[rank - 1 - place] = (pads[2 * place], pads[2 * place + 1])
    for at, (before, after) in enumerate(pairs):  # negative ones cut
        begin = -before if not is_tensor(before) and before < 0 else 0
        end = after if not is_tensor(after) and after < 0 else None
        if begin or end is not None:
            x = _slice(x, at, begin, end)
    grown = [[one if is_tensor(one) or one > 0 else 0 for one in pair] for pair in pairs]
    if not any(is_tensor(one) or one for pair in grown for one in pair):
        return x
    x = tf.convert_to_tensor(x)
    paddings = tf.stack([dims(pair) for pair in grown])
    return tf.pad(x, paddings, constant_values=tf.cast(value, x.dtype))


@_op("pad")
def _pad(x: Any, pads: Sequence[Any], mode: str = "constant", value: Any = None) -> Any:
    if mode == "constant":
        return _constant_pad(x, pads, value or 0)
    if mode == "reflect":
        pairs = [(0, 0)] * (len(x.shape) - len(pads) // 2)
        return tf.pad(x, [*pairs, *((pads[at], pads[at + 1]) for at in range(len(pads) - 2, -1, -2))], "REFLECT")
    raise EnfoldError(f"TensorFlow's table has no padding of the kind {mode!r}")


@_op("tile")
def _tile(x: Any, times: Sequence[Any]) -> Any:
    return _repeat(x, [*[1] * (len(x.shape) - len(times)), *times])


@_op("meshgrid")
def _meshgrid(values: Sequence[Any], indexing: str = "ij") -> Any:
    return tf.meshgrid(*values, indexing=indexing)


@_op("diff")
def _diff(x: Any, n: int = 1, dim: int = -1, prepend: Any = None, append: Any = None) -> Any:
    x = tf.concat([one for one in (prepend, x, append) if one is not None], dim)
    for _ in range(n):
        x = _slice(x, dim, 1) - _slice(x, dim, 0, -1)
    return x


# --- places


def _to_end(x: Any, dim: int) -> Any:
    at, rank = dim % len(x.shape), len(x.shape)
    return x if at == rank - 1 else tf.transpose(x, [one for one in range(rank) if one != at] + [at])


def _from_end(x: Any, dim: int) -> Any:
    rank = len(x.shape)
    at = dim % rank
    order = list(range(rank - 1))
    order.insert(at, rank - 1)
    return x if at == rank - 1 else tf.transpose(x, order)


def _wrapped(index: Any, length: Any) -> Any:
    """Return indices counted from the start."""
    index = cast(index, tf.int64)
    return tf.where(index < 0, index + tf.cast(length, tf.int64), index)


@_op("gather")
def _gather(x: Any, dim: int, index: Any, sparse_grad: bool = False) -> Any:
    at = dim % len(x.shape)
    for one in range(len(x.shape)):
        if one != at and (x.shape[one] is None or x.shape[one] != index.shape[one]):
            x = _slice(x, one, 0, size(index, one))
    moved = tf.gather(_to_end(x, dim), _to_end(cast(index, tf.int64), dim), batch_dims=len(x.shape) - 1, axis=-1)
    return _from_end(moved, dim)


@_op("index_select")
def _index_select(x: Any, dim: int, index: Any) -> Any:
    return tf.gather(x, index, axis=dim)


@_op("embedding")
def _embedding(weight: Any, index: Any, padding_idx: int = -1, scale: bool = False, sparse: bool = False) -> Any:
    made = tf.gather(weight, index)
    if padding_idx >= 0:  # the row of the padding does not learn
        made = tf.where((index == padding_idx)[..., None], tf.stop_gradient(made), made)
    return made


def _spots(x: Any, indices: Sequence[Any]) -> tuple[Any, list[int], int]:
    """Return the indices as one tensor (…, n), the dimensions that they are of, and how many dimensions they have."""
    at = [place for place, index in enumerate(indices) if index is not None]
    given = [_wrapped(indices[place], size(x, place)) for place in at]
    shape = tf.shape(given[0], out_type=tf.int64)
    for one in given[1:]:
        shape = tf.broadcast_dynamic_shape(shape, tf.shape(one, out_type=tf.int64))
    rank = max(len(one.shape) for one in given)
    if len(given) > 1:
        total = given[0]
        for one in given[1:]:
            total = total + one * 0
        given = [one + tf.zeros_like(total) for one in given]
    return tf.stack(given, -1), at, rank


@_op("index", "_unsafe_index")
def _index(x: Any, indices: Sequence[Any]) -> Any:
    if len(indices) == 1 and indices[0] is not None and tf.as_dtype(indices[0].dtype) == tf.bool:
        return tf.boolean_mask(x, indices[0])
    spots, at, rank = _spots(x, indices)
    rest = [one for one in range(len(x.shape)) if one not in at]
    made = tf.gather_nd(tf.transpose(x, at + rest), spots)
    if at == list(range(at[0], at[-1] + 1)) and at[0]:  # side by side: their dimensions stay where they were
        order = [*range(rank, rank + at[0]), *range(rank), *range(rank + at[0], rank + len(rest))]
        made = tf.transpose(made, order)
    return made


@_op("index_put")
def _index_put(x: Any, indices: Sequence[Any], values: Any, accumulate: bool = False) -> Any:
    x = tf.convert_to_tensor(x)
    values = cast(values, x.dtype)
    if len(indices) == 1 and tf.as_dtype(indices[0].dtype) == tf.bool:
        mask = indices[0]
        for _ in range(len(x.shape) - len(mask.shape)):
            mask = mask[..., None]
        return tf.where(mask, values, x)
    spots, at, _ = _spots(x, indices)
    rest = [one for one in range(len(x.shape)) if one not in at]
    moved = tf.transpose(x, at + rest)
    shape = tf.concat([tf.shape(spots)[:-1], tf.shape(moved)[len(at) :]], 0)
    update = tf.tensor_scatter_nd_add if accumulate else tf.tensor_scatter_nd_update
    made = update(moved, spots, tf.broadcast_to(values, shape))
    back = [0] * len(x.shape)
    for place, one in enumerate(at + rest):
        back[one] = place
    return tf.transpose(made, back)


def _scatter_spots(index: Any, dim: int) -> Any:
    index = cast(index, tf.int64)
    ranges = [tf.range(tf.cast(one, tf.int64)) for one in shape_of(index)]
    grid = tf.meshgrid(*ranges, indexing="ij")
    grid[dim] = index
    return tf.stack(grid, -1)


@_op("scatter")
def _scatter(x: Any, dim: int, index: Any, source: Any, reduce: str | None = None) -> Any:
    x = tf.convert_to_tensor(x)
    source = cast(source, x.dtype)
    values = tf.broadcast_to(source, tf.shape(index)) if not len(source.shape) else source
    return tf.tensor_scatter_nd_update(x, _scatter_spots(index, dim % len(x.shape)), values)


@_op("scatter_add")
def _scatter_add(x: Any, dim: int, index: Any, source: Any) -> Any:
    return tf.tensor_scatter_nd_add(x, _scatter_spots(index, dim % len(x.shape)), source)


@_op("index_add")
def _index_add(x: Any, dim: int, index: Any, source: Any, alpha: Any = 1) -> Any:
    moved = tf.tensor_scatter_nd_add(_first(x, dim), cast(index, tf.int64)[:, None], _first(source, dim) * alpha)
    return _back(moved, dim)


@_op("index_copy")
def _index_copy(x: Any, dim: int, index: Any, source: Any) -> Any:
    moved = tf.tensor_scatter_nd_update(_first(x, dim), cast(index, tf.int64)[:, None], _first(source, dim))
    return _back(moved, dim)


def _first(x: Any, dim: int) -> Any:
    return _movedim(x, dim, 0)


def _back(x: Any, dim: int) -> Any:
    return _movedim(x, 0, dim)


@_op("select_scatter")
def _select_scatter(x: Any, source: Any, dim: int, index: Any) -> Any:
    places = tf.range(tf.cast(size(x, dim), tf.int64))
    return _put(x, tf.expand_dims(source, dim), dim, places == _wrapped(index, size(x, dim)))


@_op("slice_scatter")
def _slice_scatter(x: Any, source: Any, dim: int = 0, start: Any = None, end: Any = None, step: Any = 1) -> Any:
    places = _slice(tf.range(tf.cast(size(x, dim), tf.int64)), 0, start, end, step)
    return _index_copy(x, dim, places, cast(source, x.dtype))


def _put(x: Any, source: Any, dim: int, chosen: Any) -> Any:
    at = dim % len(x.shape)
    mask = tf.reshape(chosen, [-1 if one == at else 1 for one in range(len(x.shape))])
    return tf.where(mask, cast(source, x.dtype), x)


@_op("copy")
def _copy(x: Any, source: Any, non_blocking: bool = False) -> Any:
    return tf.broadcast_to(cast(source, x.dtype), dims(shape_of(x)))


@_op("tril")
def _tril(x: Any, diagonal: int = 0) -> Any:
    rows, columns = _grid(x)
    return tf.where(columns <= rows + diagonal, x, tf.zeros_like(x))


@_op("triu")
def _triu(x: Any, diagonal: int = 0) -> Any:
    rows, columns = _grid(x)
    return tf.where(columns >= rows + diagonal, x, tf.zeros_like(x))


def _grid(x: Any) -> tuple[Any, Any]:
    rows, columns = (tf.range(tf.cast(size(x, at), tf.int64)) for at in (-2, -1))
    return rows[:, None], columns[None, :]


# --- making tensors


@_op("_to_copy", "to", "type_as")
def _to(x: Any, dtype: Any = None, *_: Any, **__: Any) -> Any:
    if is_tensor(dtype):
        return cast(x, dtype.dtype)
    return cast(x, as_dtype(dtype)) if isinstance(dtype, DType) else tf.convert_to_tensor(x)


TABLE["prims.convert_element_type"] = TABLE["prims.convert_element_type.default"] = _to


def _filled(sizes: Sequence[Any], value: Any, dtype: Any) -> Any:
    return tf.fill(dims(sizes), tf.cast(value, dtype))


def _kind(value: Any) -> Any:
    return tf.bool if isinstance(value, bool) else tf.int64 if isinstance(value, int) else tf.float32


@_op("full")
def _full(sizes: Sequence[Any], value: Any, dtype: DType | None = None) -> Any:
    return _filled(sizes, value, as_dtype(dtype, _kind(value)))


TABLE["aten.zeros"] = TABLE["aten.empty"] = lambda sizes, dtype=None: _filled(sizes, 0, as_dtype(dtype))
TABLE["aten.ones"] = lambda sizes, dtype=None: _filled(sizes, 1, as_dtype(dtype))
TABLE["aten.full_like"] = lambda x, value, dtype=None: _filled(shape_of(x), value, as_dtype(dtype, x.dtype))
TABLE["aten.zeros_like"] = lambda x, dtype=None: _filled(shape_of(x), 0, as_dtype(dtype, x.dtype))
TABLE["aten.empty_like"] = TABLE["aten.zeros_like"]
TABLE["aten.ones_like"] = lambda x, dtype=None: _filled(shape_of(x), 1, as_dtype(dtype, x.dtype))
TABLE["aten.new_zeros"] = lambda x, sizes, dtype=None: _filled(sizes, 0, as_dtype(dtype, x.dtype))
TABLE["aten.new_empty"] = TABLE["aten.new_zeros"]
TABLE["aten.new_ones"] = lambda x, sizes, dtype=None: _filled(sizes, 1, as_dtype(dtype, x.dtype))
TABLE["aten.new_full"] = lambda x, sizes, value, dtype=None: _filled(sizes, value, as_dtype(dtype, x.dtype))
TABLE["aten.fill"] = lambda x, value: _filled(shape_of(x), value, x.dtype)
TABLE["aten.scalar_tensor"] = lambda value, dtype=None: tf.cast(value, as_dtype(dtype, _kind(value)))
TABLE["aten.tensor"] = TABLE["aten.scalar_tensor"]


@_op("arange")
def _arange(*bounds: Any, dtype: DType | None = None) -> Any:
    start, end, step = (0, bounds[0], 1) if len(bounds) == 1 else (*bounds, 1)[:3]
    whole = not any(isinstance(one, float) for one in bounds)
    kind = as_dtype(dtype, tf.int64 if whole else tf.float32)
    made = tf.range(*(tf.cast(one, tf.int64 if whole else tf.float32) for one in (start, end, step)))
    return cast(made, kind)


@_op("linspace")
def _linspace(start: Any, end: Any, steps: int, dtype: DType | None = None) -> Any:
    kind = as_dtype(dtype)
    return tf.linspace(tf.cast(start, kind), tf.cast(end, kind), steps)


@_op("eye")
def _eye(rows: Any, columns: Any = None, dtype: DType | None = None) -> Any:
    return tf.eye(rows, columns, dtype=as_dtype(dtype))


@_op("one_hot")
def _one_hot(x: Any, classes: int = -1) -> Any:
    return tf.one_hot(x, classes, dtype=tf.int64)


# --- norms


@_op("native_layer_norm")
def _native_layer_norm(x: Any, shape: Sequence[int], weight: Any, bias: Any, eps: float) -> Any:
    at = list(range(len(x.shape) - len(shape), len(x.shape)))
    mean = tf.reduce_mean(x, at, True)
    centred = x - mean
    scale = tf.math.rsqrt(tf.reduce_mean(centred * centred, at, True) + eps)
    made = centred * scale
    made = made if weight is None else made * weight
    return made if bias is None else made + bias, mean, scale


@_op("layer_norm")
def _layer_norm(
    x: Any, shape: Sequence[int], weight: Any = None, bias: Any = None, eps: float = 1e-5, enable: bool = True
) -> Any:
    return _native_layer_norm(x, shape, weight, bias, eps)[0]


@_op("rms_norm")
def _rms_norm(x: Any, shape: Sequence[int], weight: Any = None, eps: float | None = None) -> Any:
    at = list(range(len(x.shape) - len(shape), len(x.shape)))
    eps = x.dtype.as_numpy_dtype(0).dtype.type(1.1920929e-07) if eps is None else eps
    made = x * tf.math.rsqrt(tf.reduce_mean(x * x, at, True) + eps)
    return made if weight is None else made * weight


def _channels(value: Any, rank: int) -> Any:
    return tf.reshape(value, [1, -1, *[1] * (rank - 2)])


@_op("group_norm")
def _group_norm(
    x: Any, groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5, enable: bool = True
) -> Any:
    sizes, rank = shape_of(x), len(x.shape)
    flat = tf.reshape(x, dims([sizes[0], groups, -1]))
    made = tf.reshape(_native_layer_norm(flat, [1], None, None, eps)[0], dims(sizes))
    made = made if weight is None else made * _channels(weight, rank)
    return made if bias is None else made + _channels(bias, rank)


@_op("native_group_norm")
def _native_group_norm(x: Any, weight: Any, bias: Any, n: Any, c: Any, hw: Any, groups: int, eps: float) -> Any:
    return _group_norm(x, groups, weight, bias, eps), None, None


@_op("_native_batch_norm_legit_no_training")
def _batch_norm(x: Any, weight: Any, bias: Any, mean: Any, var: Any, momentum: float, eps: float) -> Any:
    rank = len(x.shape)
    made = (x - _channels(mean, rank)) * tf.math.rsqrt(_channels(var, rank) + eps)
    made = made if weight is None else made * _channels(weight, rank)
    return made if bias is None else made + _channels(bias, rank), None, None


@_op("_native_batch_norm_legit_functional")
def _batch_norm_training(
    x: Any, weight: Any, bias: Any, mean: Any, var: Any, training: bool, momentum: float, eps: float
) -> Any:
    if not training:
        return *_batch_norm(x, weight, bias, mean, var, momentum, eps), mean, var
    rank = len(x.shape)
    at = [one for one in range(rank) if one != 1]
    own, spread = tf.reduce_mean(x, at), tf.math.reduce_variance(x, at)
    count = tf.cast(math.prod(size(x, one) for one in at), x.dtype)
    new_mean = mean * (1 - momentum) + own * momentum
    new_var = var * (1 - momentum) + spread * count / (count - 1) * momentum
    made = _batch_norm(x, weight, bias, own, spread, momentum, eps)[0]
    return made, own, tf.math.rsqrt(spread + eps), new_mean, new_var


@_op("_native_batch_norm_legit.no_stats")
def _batch_norm_of_the_batch(x: Any, weight: Any, bias: Any, training: bool, momentum: float, eps: float) -> Any:
    at = [one for one in range(len(x.shape)) if one != 1]
    mean, spread = tf.reduce_mean(x, at), tf.math.reduce_variance(x, at)
    return _batch_norm(x, weight, bias, mean, spread, momentum, eps)[0], mean, tf.math.rsqrt(spread + eps)


@_op("batch_norm")
def _plain_batch_norm(
    x: Any, weight: Any, bias: Any, mean: Any, var: Any, training: bool, momentum: float, eps: float, fast: bool = True
) -> Any:
    return _batch_norm_training(x, weight, bias, mean, var, training, momentum, eps)[0]


# --- attention and dropout


def dropout(x: Any, rate: float) -> tuple[Any, Any]:
    """Return a tensor with a share of its numbers set to zero and the others grown, and where they were kept."""
    kept = tf.random.uniform(tf.shape(x)) >= rate
    grown = x / tf.cast(1 - rate, x.dtype) if rate < 1 else tf.zeros_like(x)
    return tf.where(kept, grown, tf.zeros_like(x)), kept


@_op("native_dropout")
def _native_dropout(x: Any, rate: float, train: bool | None = True) -> Any:
    return dropout(x, rate) if rate and train is not False else (x, tf.ones_like(x, tf.bool))


@_op("dropout", "feature_dropout")
def _dropout(x: Any, rate: float, train: bool = True) -> Any:
    return dropout(x, rate)[0] if rate and train else x


@_op("scaled_dot_product_attention")
def attend(
    q: Any,
    k: Any,
    v: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    """Return softmax(q kᵀ · scale + mask) v; a row that may look nowhere gives zeros, as in torch.

    Args:
        q: (…, T, D). k, v: (…, S, D). attn_mask: true where it may look, or numbers to add.
    """
    if enable_gqa and k.shape[-3] != q.shape[-3]:
        times = q.shape[-3] // k.shape[-3]
        k, v = tf.repeat(k, times, axis=-3), tf.repeat(v, times, axis=-3)
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    scores = tf.matmul(q * tf.cast(scale, q.dtype), k, transpose_b=True)
    lowest = tf.constant(scores.dtype.min, scores.dtype)
    seen = None
    if is_causal:
        rows, columns = _grid(scores)
        seen = columns <= rows
    if attn_mask is not None:
        if attn_mask.dtype == tf.bool:
            seen = attn_mask
        else:
            scores = scores + cast(attn_mask, scores.dtype)
    if seen is not None:
        scores = tf.where(seen, scores, lowest)
    weights = tf.nn.softmax(tf.maximum(scores, lowest), -1)
    if seen is not None:
        weights = tf.where(seen, weights, tf.zeros_like(weights))
    if dropout_p:
        weights = dropout(weights, dropout_p)[0]
    return tf.matmul(weights, v)


# --- losses


def _reduced(loss: Any, reduction: Any) -> Any:
    return tf.reduce_mean(loss) if reduction in (1, "mean") else tf.reduce_sum(loss) if reduction == 2 else loss


@_op("mse_loss")
def _mse(a: Any, b: Any, reduction: int = 1) -> Any:
    return _reduced(tf.math.squared_difference(*common(a, b)), reduction)


@_op("l1_loss")
def _l1(a: Any, b: Any, reduction: int = 1) -> Any:
    return _reduced(tf.abs(_subtract(a, b, 1)), reduction)


@_op("smooth_l1_loss", "huber_loss")
def _smooth_l1(a: Any, b: Any, reduction: int = 1, beta: float = 1.0) -> Any:
    gap = tf.abs(_subtract(a, b, 1))
    return _reduced(tf.where(gap < beta, 0.5 * gap * gap / beta, gap - 0.5 * beta), reduction)


@_op("nll_loss_forward", "nll_loss2d_forward", "nll_loss_nd", "nll_loss", "nll_loss2d")
def _nll(x: Any, target: Any, weight: Any, reduction: int = 1, ignored: int = -100) -> Any:
    at = 1 if len(x.shape) > 1 else 0
    kept = target != ignored
    safe = tf.where(kept, target, tf.zeros_like(target))
    picked = tf.squeeze(_gather(x, at, tf.expand_dims(safe, at)), at)
    each = tf.cast(kept, x.dtype) if weight is None else tf.gather(weight, safe) * tf.cast(kept, x.dtype)
    loss, total = -picked * each, tf.reduce_sum(each)
    if reduction == 1:
        loss = tf.reduce_sum(loss) / total
    return (tf.reduce_sum(loss) if reduction == 2 else loss), total


for _name in ("nll_loss", "nll_loss_nd", "nll_loss2d"):
    TABLE[f"aten.{_name}"] = lambda x, target, weight=None, reduction=1, ignored=-100: _nll(
        x, target, weight, reduction, ignored
    )[0]


@_op("cross_entropy_loss")
def _cross_entropy(
    x: Any, target: Any, weight: Any = None, reduction: int = 1, ignored: int = -100, smoothing: float = 0.0
) -> Any:
    at = 1 if len(x.shape) > 1 else 0
    logs = tf.nn.log_softmax(x, at)
    if target.dtype.is_floating:
        target = target * (1 - smoothing) + smoothing / x.shape[at]
        weighed = logs if weight is None else logs * _channels(weight, len(x.shape))
        loss = -tf.reduce_sum(weighed * target, at)
        return _reduced(loss, reduction)
    plain = _nll(logs, target, weight, reduction, ignored)[0]
    if not smoothing:
        return plain
    kept = target != ignored
    weighed = logs if weight is None else logs * _channels(weight, len(x.shape))
    spread = tf.where(kept, -tf.reduce_sum(weighed, at), 0.0)
    if reduction == 1:
        safe = tf.where(kept, target, 0)
        each = tf.cast(kept, x.dtype) if weight is None else tf.gather(weight, safe) * tf.cast(kept, x.dtype)
        spread = tf.reduce_sum(spread) / tf.reduce_sum(each)
    elif reduction == 2:
        spread = tf.reduce_sum(spread)
    return (1 - smoothing) * plain + smoothing / x.shape[at] * spread


@_op("binary_cross_entropy_with_logits")
def _binary(x: Any, target: Any, weight: Any = None, pos_weight: Any = None, reduction: int = 1) -> Any:
    loss = (1 - target) * x + (1 if pos_weight is None else 1 + (pos_weight - 1) * target) * tf.nn.softplus(-x)
    return _reduced(loss if weight is None else loss * weight, reduction)


@_op("kl_div")
def _kl(x: Any, target: Any, reduction: int = 1, log_target: bool = False) -> Any:
    loss = tf.exp(target) * (target - x) if log_target else tf.math.xlogy(target, target) - target * x
    return _reduced(loss, reduction)


@_op("_ctc_loss", "ctc_loss")
def _ctc(
    logs: Any, targets: Any, lengths: Any, target_lengths: Any, blank: int = 0, zero_infinity: bool = False, **_: Any
) -> Any:
    """Connectionist temporal classification. logs: (T, B, C) log-probabilities; targets: (B, S) or all in a row."""
    lengths, target_lengths = (tf.cast(tf.convert_to_tensor(one), tf.int32) for one in (lengths, target_lengths))
    targets = tf.cast(targets, tf.int32)
    if len(targets.shape) == 1:
        targets = tf.RaggedTensor.from_row_lengths(targets, target_lengths).to_tensor()
    loss = tf.nn.ctc_loss(targets, logs, target_lengths, lengths, logits_time_major=True, blank_index=blank)
    return loss, logs


def _plain_ctc(
    logs: Any, targets: Any, lengths: Any, target_lengths: Any, blank: int = 0, reduction: int = 1, zero: bool = False
) -> Any:
    loss, _ = _ctc(logs, targets, lengths, target_lengths, blank)
    loss = tf.where(tf.math.is_finite(loss), loss, tf.zeros_like(loss)) if zero else loss
    if reduction == 1:
        loss = loss / tf.cast(tf.maximum(tf.cast(target_lengths, tf.int64), 1), loss.dtype)
    return _reduced(loss, reduction)


TABLE["aten.ctc_loss"] = _plain_ctc
