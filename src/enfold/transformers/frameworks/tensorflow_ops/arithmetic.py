"""Sums, products, comparisons, truth, and choosing between values, in TensorFlow."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from enfold.transformers.frameworks.operations import Table
from enfold.transformers.frameworks.tensorflow_ops.values import cast, common, floating, is_tensor

__all__ = ["OPS", "add", "maximum", "minimum", "subtract"]

OPS = Table()


def _on_reals(**functions: Callable[..., Any]) -> None:
    OPS.add(**{name: lambda x, function=function: function(floating(x)) for name, function in functions.items()})


def _on_numbers(**functions: Callable[..., Any]) -> None:
    for name, function in functions.items():
        OPS.add(**{name: lambda x, function=function: function(tf.convert_to_tensor(x))})


def _on_two(**functions: Callable[..., Any]) -> None:
    OPS.add(**{name: lambda a, b, function=function: function(*common(a, b)) for name, function in functions.items()})


def _on_truth(**functions: tuple[Callable[..., Any], Callable[..., Any]]) -> None:
    for name, (on_truth, on_bits) in functions.items():

        def bits(a: Any, b: Any, on_truth: Any = on_truth, on_bits: Any = on_bits) -> Any:
            a, b = common(a, b)
            return on_truth(a, b) if a.dtype == tf.bool else on_bits(a, b)

        OPS.op(f"bitwise_{name}", f"__{name}__")(bits)
        OPS.op(f"logical_{name}")(lambda a, b, on_truth=on_truth: on_truth(cast(a, tf.bool), cast(b, tf.bool)))


_on_reals(
    exp=tf.exp,
    exp2=lambda x: tf.exp(x * math.log(2.0)),
    expm1=tf.math.expm1,
    log=tf.math.log,
    log2=lambda x: tf.math.log(x) / math.log(2.0),
    log10=lambda x: tf.math.log(x) / math.log(10.0),
    log1p=tf.math.log1p,
    sqrt=tf.sqrt,
    rsqrt=tf.math.rsqrt,
    reciprocal=tf.math.reciprocal,
    sin=tf.sin,
    cos=tf.cos,
    tan=tf.tan,
    asin=tf.asin,
    acos=tf.acos,
    atan=tf.atan,
    sinh=tf.sinh,
    cosh=tf.cosh,
    erf=tf.math.erf,
    isnan=tf.math.is_nan,
    isinf=tf.math.is_inf,
)
_on_numbers(
    neg=tf.negative,
    abs=tf.abs,
    sign=tf.sign,
    floor=tf.floor,
    ceil=tf.math.ceil,
    round=tf.round,
    trunc=lambda x: tf.sign(x) * tf.floor(tf.abs(x)),
    square=tf.square,
)
_on_two(
    floor_divide=tf.math.floordiv,
    remainder=tf.math.floormod,
    fmod=tf.truncatemod,
    eq=tf.equal,
    ne=tf.not_equal,
    lt=tf.less,
    le=tf.less_equal,
    gt=tf.greater,
    ge=tf.greater_equal,
)
_on_truth(
    **{
        "and": (tf.logical_and, tf.bitwise.bitwise_and),
        "or": (tf.logical_or, tf.bitwise.bitwise_or),
        "xor": (tf.math.logical_xor, tf.bitwise.bitwise_xor),
    }
)
OPS.add(
    lift=lambda x, **_: x,
    positive=lambda x, **_: x,
    logical_not=lambda x: tf.logical_not(cast(x, tf.bool)),
    bitwise_not=lambda x: tf.logical_not(x) if x.dtype == tf.bool else tf.bitwise.invert(x),
)


@OPS.op("add")
def add(a: Any, b: Any, alpha: Any = 1) -> Any:
    """Return a + alpha · b."""
    a, b = common(a, b)
    return a + b if alpha == 1 else a + b * tf.cast(alpha, b.dtype)


@OPS.op("sub")
def subtract(a: Any, b: Any, alpha: Any = 1) -> Any:
    """Return a - alpha · b."""
    a, b = common(a, b)
    return a - b if alpha == 1 else a - b * tf.cast(alpha, b.dtype)


@OPS.op("rsub")
def _rsub(a: Any, b: Any, alpha: Any = 1) -> Any:
    return subtract(b, a, alpha)


@OPS.op("mul")
def _mul(a: Any, b: Any) -> Any:
    a, b = common(a, b)
    return tf.logical_and(a, b) if a.dtype == tf.bool else a * b


@OPS.op("div", "true_divide")
def _div(a: Any, b: Any, rounding_mode: str | None = None) -> Any:
    a, b = common(a, b)
    if rounding_mode == "floor":
        return tf.math.floordiv(a, b)
    if rounding_mode == "trunc":
        return tf.truncatediv(a, b) if a.dtype.is_integer else OPS["aten.trunc"](a / b)
    return floating(a) / floating(b)


@OPS.op("pow")
def _pow(a: Any, b: Any) -> Any:
    if not is_tensor(b) and b == 2:
        return a * a
    return tf.pow(*common(a, b))


@OPS.op("maximum")
def maximum(a: Any, b: Any) -> Any:
    """Return the greater of two, in torch's type for both."""
    return tf.maximum(*common(a, b))


@OPS.op("minimum")
def minimum(a: Any, b: Any) -> Any:
    """Return the smaller of two, in torch's type for both."""
    return tf.minimum(*common(a, b))


@OPS.op("clamp", "clip", "clamp_min")
def _clamp(x: Any, min: Any = None, max: Any = None) -> Any:
    x = x if min is None else maximum(x, min)
    return x if max is None else minimum(x, max)


@OPS.op("clamp_max")
def _clamp_max(x: Any, max: Any) -> Any:
    return _clamp(x, None, max)


@OPS.op("where")
def _where(condition: Any, a: Any, b: Any) -> Any:
    return tf.where(cast(condition, tf.bool), *common(a, b))


@OPS.op("masked_fill")
def _masked_fill(x: Any, mask: Any, value: Any) -> Any:
    x = tf.convert_to_tensor(x)
    return tf.where(cast(mask, tf.bool), tf.cast(value, x.dtype), x)


@OPS.op("addcmul")
def _addcmul(x: Any, a: Any, b: Any, value: Any = 1) -> Any:
    return add(x, _mul(a, b), value)


@OPS.op("lerp")
def _lerp(a: Any, b: Any, weight: Any) -> Any:
    return a + (b - a) * tf.cast(weight, a.dtype)
