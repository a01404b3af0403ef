"""How the numbers of a graph are kept: their type, and how weights or whole layers are rounded."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from enfold.errors import EnfoldError, nearest

__all__ = ["OVConfig", "OVQuantizationConfig", "OVWeightQuantizationConfig", "QuantizationError", "quantization_of"]


class QuantizationError(EnfoldError, ValueError):
    """There is no such way of rounding."""


# What weights become → its bits.
DTYPES = {"int8": 8, "int4": 4, "nf4": 4, "cb4": 4, "mxfp4": 4}
FALLBACKS = ("error", "ignore", "adjust")


@dataclass
class OVWeightQuantizationConfig:
    """Weights in eight or four bits, inputs as they are.

    Args:
        bits: 8 or 4; ``dtype`` decides where both are given.
        sym: round around zero; otherwise between the least and the greatest weight of a group.
        group_size: how many weights of a row share a step; -1 for whole rows, which is how eight bits go; 128 by
            default for four, or the largest smaller power of two that divides every layer's rows.
        ratio: the share of layers that four bits compress, those that suffer least; the rest are in eight.
        all_layers: compress embeddings and the last layer in four bits too.
        sensitivity_metric: how suffering is measured, by nncf's names.
        ignored_scope: ``{"names": […], "types": […], "patterns": […]}`` of layers that stay.
        dataset: inputs of the graph that activation-aware rounding looks at: a list of dictionaries.
        num_samples: how many of them, at most.
        quant_method: ``"default"`` or ``"awq"``, which needs ``dataset``.
        scale_estimation, gptq, lora_correction: nncf's further methods, which need ``dataset``.
        backup_precision: of the layers that four bits do not compress: ``"none"``, ``"int8_sym"``, ``"int8_asym"``.
        dtype: what the bits mean: ``"int8"``, ``"int4"``, or four bits as ``"nf4"`` (quantiles of a normal
            distribution), ``"cb4"`` (16 numbers of eight bits) or ``"mxfp4"`` (floats, 32 to a power of two).
        group_size_fallback: what happens where rows are no multiple of ``group_size``: ``"error"``, ``"ignore"`` leaves
            the layer, ``"adjust"`` takes a size that fits.
        statistics_path: a folder in which nncf keeps what it measured, for the next time.

    Raises:
        QuantizationError: for other numbers of bits or types, or a method without data.

    Example:
        >>> OVWeightQuantizationConfig(bits=4, group_size=64).mode
        'int4_asym'
    """

    bits: int = 8
    sym: bool = False
    group_size: int | None = None
    tokenizer: Any = None
    dataset: Any = None
    ratio: float = 1.0
    all_layers: bool | None = None
    sensitivity_metric: str | None = None
    ignored_scope: dict[str, Any] | None = None
    num_samples: int | None = None
    quant_method: str = "default"
    scale_estimation: bool | None = None
    gptq: bool | None = None
    lora_correction: bool | None = None
    backup_precision: str | None = None
    dtype: str | None = None
    group_size_fallback: str | None = None
    statistics_path: str | None = None

    def __post_init__(self) -> None:
        if self.dtype is not None:
            if self.dtype not in DTYPES:
                raise QuantizationError(
                    f"dtype={self.dtype!r}{nearest(str(self.dtype), DTYPES)}; there are {', '.join(DTYPES)}"
                )
            self.bits = DTYPES[self.dtype]
        if self.group_size_fallback not in (None, *FALLBACKS):
            near = nearest(str(self.group_size_fallback), FALLBACKS)
            raise QuantizationError(
                f"group_size_fallback={self.group_size_fallback!r}{near}; there are {', '.join(FALLBACKS)}"
            )
        if self.bits not in (4, 8):
            raise QuantizationError(f"bits={self.bits}: weights are compressed to 8 or 4 bits")
        if not 0 <= self.ratio <= 1:
            raise QuantizationError(f"ratio={self.ratio}: the share of layers in four bits is between 0 and 1")
        if self.bits == 8:
            odd = {"ratio": self.ratio != 1, "group_size": self.group_size not in (None, -1)}
            if any(odd.values()):
                names = ", ".join(name for name, given in odd.items() if given)
                raise QuantizationError(f"{names} is for bits=4: eight bits go by whole rows, in every layer")
        if str(self.quant_method) not in ("default", "awq"):
            raise QuantizationError(
                f"quant_method={self.quant_method!r}{nearest(str(self.quant_method), ['default', 'awq'])}; "
                "there are 'default' and 'awq'"
            )
        wanting = [name for name in ("scale_estimation", "gptq", "lora_correction") if getattr(self, name)]
        wanting += ["quant_method='awq'"] if self.quant_method == "awq" else []
        if wanting and self.dataset is None:
            raise QuantizationError(f"{', '.join(wanting)} looks at inputs: pass dataset=[{{name: array}}, …]")

    @property
    def mode(self) -> str:
        """The name that nncf gives to this kind of rounding."""
        if self.dtype in (None, "int4", "int8"):
            return f"int{self.bits}_{'sym' if self.sym else 'asym'}"
        return str(self.dtype)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields, without data."""
        fields = asdict(self)
        fields["dataset"] = fields["tokenizer"] = None
        return fields


@dataclass
class OVQuantizationConfig:
    """Weights and inputs of layers in eight bits, with steps found on calibration data.

    Args:
        bits: 8.
        sym: round inputs around zero.
        num_samples: how much of the calibration data is looked at.
        model_type: ``"transformer"`` keeps what suffers in attention as it is; None treats all layers alike.
        fast_bias_correction: correct biases by one pass.
        smooth_quant_alpha: how much of the inputs' range weights take over, 0 to 1; None leaves it to nncf.
        ignored_scope: see ``OVWeightQuantizationConfig``.
        dataset: calibration data, for ``from_pretrained``; ``OVQuantizer.quantize`` takes it as an argument.

    Raises:
        QuantizationError: for other numbers of bits.
    """

    bits: int = 8
    sym: bool = False
    num_samples: int | None = 300
    model_type: str | None = "transformer"
    fast_bias_correction: bool = True
    smooth_quant_alpha: float | None = None
    ignored_scope: dict[str, Any] | None = None
    dataset: Any = None

    def __post_init__(self) -> None:
        if self.bits != 8:
            raise QuantizationError(f"bits={self.bits}: inputs are rounded to 8 bits; OVWeightQuantizationConfig has 4")

    def to_dict(self) -> dict[str, Any]:
        """Return the fields, without data."""
        return {**asdict(self), "dataset": None}


def quantization_of(given: Any, load_in_8bit: bool | None = None) -> Any:
    """Return the configuration that a dictionary, a number of bits or ``load_in_8bit`` stands for, or None."""
    if given is None:
        return OVWeightQuantizationConfig(bits=8) if load_in_8bit else None
    if load_in_8bit:
        raise QuantizationError("load_in_8bit and quantization_config both say how to round: pass one of them")
    if isinstance(given, dict):
        kind = OVQuantizationConfig if "fast_bias_correction" in given else OVWeightQuantizationConfig
        known = list(kind.__dataclass_fields__)
        for name in given:
            if name not in known:
                raise QuantizationError(f"{kind.__name__} has no {name!r}{nearest(name, known)}")
        return kind(**given)
    if not isinstance(given, OVWeightQuantizationConfig | OVQuantizationConfig):
        raise QuantizationError(f"a quantization_config is an OVWeightQuantizationConfig or a dict, not {given!r}")
    return given


class OVConfig:
    """What ``openvino_config.json`` says about a folder.

    Args:
        dtype: of the weights: ``"fp32"``, ``"fp16"``, or what ``quantization_config`` makes of them.
        quantization_config: an ``OVWeightQuantizationConfig``, an ``OVQuantizationConfig``, a dictionary, or None.

    Example:
        >>> OVConfig(quantization_config={"bits": 4}).dtype
        'int4'
    """

    FILE = "openvino_config.json"

    def __init__(self, dtype: str | None = None, quantization_config: Any = None, **other: Any) -> None:
        self.quantization_config = quantization_of(quantization_config)
        how = self.quantization_config
        own = None if how is None else getattr(how, "dtype", None) or f"int{how.bits}"
        self.dtype = own or dtype or "fp32"
        if own is None and self.dtype not in ("fp32", "fp16"):
            raise QuantizationError(f"dtype={dtype!r}{nearest(str(dtype), ['fp32', 'fp16'])}; there are fp32 and fp16")
        self.other = other

    @classmethod
    def named(cls, word: str | None, ratio: float | None = None) -> OVConfig | None:
        """Return the configuration of ``"fp16"`` or a ``dtype`` of weights; None for None and ``"fp32"``."""
        if word is None or word == "fp32":
            return None
        if word == "fp16":
            return cls("fp16")
        if word not in DTYPES:
            known = ["fp32", "fp16", *DTYPES]
            raise QuantizationError(f"no weights are {word!r}{nearest(word, known)}; there are {', '.join(known)}")
        return cls(quantization_config=OVWeightQuantizationConfig(dtype=word, ratio=1.0 if ratio is None else ratio))

    def to_dict(self) -> dict[str, Any]:
        """Return what the file holds."""
        quantization = self.quantization_config
        return {
            **self.other,
            "dtype": self.dtype,
            "quantization_config": None if quantization is None else quantization.to_dict(),
        }

    def save_pretrained(self, folder: str | os.PathLike[str]) -> None:
        """Write ``openvino_config.json``."""
        Path(folder, self.FILE).write_text(json.dumps(self.to_dict(), indent=2, sort_keys=True) + "\n", "utf-8")

    @classmethod
    def from_pretrained(cls, folder: str | os.PathLike[str]) -> OVConfig:
        """Read ``openvino_config.json``; fields of other programs are kept."""
        stored = json.loads(Path(folder, cls.FILE).read_text("utf-8"))
        quantization = stored.pop("quantization_config", None)
        kind = OVQuantizationConfig if "fast_bias_correction" in (quantization or {}) else OVWeightQuantizationConfig
        known = {k: v for k, v in (quantization or {}).items() if k in kind.__dataclass_fields__ and v is not None}
        stored.pop("optimum_version", None)
        return cls(stored.pop("dtype", None), quantization_config=known or None, **stored)
