"""How ``from_pretrained(quantization_config=…)`` asks for fewer bits, in the ecosystem's spellings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from enfold.errors import EnfoldError, nearest

if TYPE_CHECKING:
    from enfold.checkpoints import BitsAndBytes

__all__ = ["BitsAndBytesConfig", "TorchAoConfig", "quantization", "quantize"]

_INT8 = ("int8_dynamic_activation_int8_weight", "int8")


class TorchAoConfig:
    """Asks for linear layers in eight bits, on processors; see ``enfold.nn.int8.Int8Linear``.

    Args:
        quant_type: "int8_dynamic_activation_int8_weight", or "int8" for short.
        modules_to_not_convert: names, or parts of dotted names, of layers that stay as they are.
        include_input_output_embeddings: the layer that scores words too, though it shares its weight with the table of
            words, which stays; a quarter of what a small model reads for each word is this layer.
        options: accepted.

    Raises:
        EnfoldError: another type.

    Example:
        >>> TorchAoConfig("int8").quant_type
        'int8_dynamic_activation_int8_weight'
    """

    quant_method = "torchao"

    def __init__(
        self,
        quant_type: str = _INT8[0],
        modules_to_not_convert: list[str] | None = None,
        include_input_output_embeddings: bool = False,
        **options: Any,
    ) -> None:
        if quant_type not in _INT8:
            raise EnfoldError(f"quant_type {quant_type!r}{nearest(str(quant_type), _INT8)}; there is {_INT8[0]}")
        self.quant_type, self.modules_to_not_convert = _INT8[0], modules_to_not_convert
        self.include_input_output_embeddings = include_input_output_embeddings

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as JSON can hold them."""
        return {"quant_method": self.quant_method, **vars(self)}


class BitsAndBytesConfig:
    """Asks for linear layers in eight bits, or in four with weights as QLoRA stores them, in bitsandbytes' spelling.

    Args:
        load_in_8bit: eight bits.
        load_in_4bit: four bits; see ``enfold.nn.quantized.Linear4bit``.
        llm_int8_skip_modules: names, or parts of dotted names, of layers that stay as they are. The head of a language
            model always does in four bits.
        bnb_4bit_compute_dtype: type of the products of four-bit layers, also by name; single precision by default.
        bnb_4bit_quant_type: ``"nf4"`` or ``"fp4"``.
        bnb_4bit_use_double_quant: store scales in eight bits too.
        options: further settings of the ecosystem, accepted and shown again.

    Raises:
        EnfoldError: both, or an unknown type.

    Example:
        >>> BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_compute_dtype="bfloat16").to_dict()["bnb_4bit_compute_dtype"]
        'bfloat16'
    """

    quant_method = "bitsandbytes"

    def __init__(
        self,
        load_in_8bit: bool = False,
        load_in_4bit: bool = False,
        llm_int8_skip_modules: list[str] | None = None,
        bnb_4bit_compute_dtype: Any = None,
        bnb_4bit_quant_type: str = "fp4",
        bnb_4bit_use_double_quant: bool = False,
        **options: Any,
    ) -> None:
        if load_in_4bit and load_in_8bit:
            raise EnfoldError("load_in_4bit and load_in_8bit exclude each other: choose one")
        if bnb_4bit_quant_type not in _FOUR_BITS:
            hint = nearest(str(bnb_4bit_quant_type), _FOUR_BITS)
            raise EnfoldError(f"bnb_4bit_quant_type {bnb_4bit_quant_type!r}{hint}; there are {', '.join(_FOUR_BITS)}")
        self.load_in_8bit, self.load_in_4bit = load_in_8bit, load_in_4bit
        self.llm_int8_skip_modules = llm_int8_skip_modules
        name = str(bnb_4bit_compute_dtype or "float32").removeprefix("torch.")
        if name not in _FLOATS:
            raise EnfoldError(
                f"bnb_4bit_compute_dtype {name!r}{nearest(name, _FLOATS)}; there are {', '.join(_FLOATS)}"
            )
        self.bnb_4bit_compute_dtype = name
        self.bnb_4bit_quant_type, self.bnb_4bit_use_double_quant = bnb_4bit_quant_type, bnb_4bit_use_double_quant
        options.pop("quant_method", None)
        self.options = {"llm_int8_threshold": 6.0, "bnb_4bit_quant_storage": "uint8", **options}

    @property
    def modules_to_not_convert(self) -> list[str] | None:
        """The layers that stay as they are, in another spelling."""
        return self.llm_int8_skip_modules

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as JSON can hold them."""
        own = {name: value for name, value in vars(self).items() if name != "options"}
        shown = {name: str(value).removeprefix("torch.") if "dtype" in name else value for name, value in own.items()}
        return {"quant_method": self.quant_method, **self.options, **shown}


_FOUR_BITS = ("nf4", "fp4")
_FLOATS = ("float32", "bfloat16", "float16")


def quantization(config: Any) -> TorchAoConfig | BitsAndBytesConfig | None:
    """Return what a configuration asks for, or None for nothing.

    Args:
        config: a ``TorchAoConfig``, a ``BitsAndBytesConfig``, a dictionary of either's settings, or None.

    Raises:
        EnfoldError: another kind of configuration.
    """
    if isinstance(config, Mapping):
        settings = dict(config)
        method = settings.pop("quant_method", "bitsandbytes" if _BITS & set(settings) else "torchao")
        kinds: dict[str, Any] = {"torchao": TorchAoConfig, "bitsandbytes": BitsAndBytesConfig}
        if method not in kinds:
            raise EnfoldError(f"quant_method {method!r}{nearest(str(method), kinds)}; there are {', '.join(kinds)}")
        config = kinds[method](**settings)
    if config is None:
        return None
    if not isinstance(config, TorchAoConfig | BitsAndBytesConfig):
        raise EnfoldError(f"quantization_config is TorchAoConfig('int8') or its like, not {type(config).__name__}")
    asks = isinstance(config, TorchAoConfig) or config.load_in_8bit or config.load_in_4bit
    return config if asks else None


_BITS = {"load_in_8bit", "load_in_4bit"}


def as_stored(brought: Mapping[str, Any]) -> TorchAoConfig | BitsAndBytesConfig | None:
    """Return what a checkpoint in few bits asks for, so that its weights stay exactly what they are.

    Scales that were stored in eight bits are kept in full: stored so again, they would be others.
    """
    known = {name: value for name, value in brought.items() if not name.startswith("_load_in")}
    return quantization({**known, "bnb_4bit_use_double_quant": False})


def quantize(model: Any, config: TorchAoConfig | BitsAndBytesConfig, stored: BitsAndBytes | None = None) -> None:
    """Put layers of fewer bits into a model, in place, and note it where the ecosystem looks for it.

    Args:
        model: the model.
        config: how many bits.
        stored: the checkpoint that it comes from, where that is in few bits: the same layers, and the same codes.
    """
    import torch

    from enfold.nn.int8 import replaceable, to_int8
    from enfold.nn.quantized import Linear4bit, to_4bit

    kept = list(config.modules_to_not_convert or ())
    if stored is not None:
        kept += [name for name, _ in replaceable(model) if stored.name_of(name) is None]
    four = isinstance(config, BitsAndBytesConfig) and config.load_in_4bit
    if isinstance(config, BitsAndBytesConfig) and four:
        head = model.get_output_embeddings()
        kept += [name for name, module in model.named_modules() if module is head]
        dtype = getattr(torch, config.bnb_4bit_compute_dtype)
        nested = config.bnb_4bit_use_double_quant
        to_4bit(model, kept, kind=config.bnb_4bit_quant_type, nested=nested, compute_dtype=dtype)
        for name, layer in model.named_modules():
            found = None if stored is None or not isinstance(layer, Linear4bit) else stored.name_of(name)
            if stored is not None and found is not None:
                layer.store(stored.four_bits(f"{found}.weight"))
    else:
        shared: list[str] = []
        if getattr(config, "include_input_output_embeddings", False):
            head = model.get_output_embeddings()
            shared = [name for name, module in model.named_modules() if module is head]
            model.kept_apart.update(f"{name}.weight" for name in shared)
        to_int8(model, kept, shared)
    model.is_quantized, model.is_loaded_in_4bit, model.is_loaded_in_8bit = True, four, not four
    model.quantization_method = config.quant_method
