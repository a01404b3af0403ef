"""How ``from_pretrained(quantization_config=…)`` asks for fewer bits, in the ecosystem's spellings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from enfold.errors import EnfoldError, nearest

__all__ = ["BitsAndBytesConfig", "TorchAoConfig", "layers_to_keep"]

_INT8 = ("int8_dynamic_activation_int8_weight", "int8")


class TorchAoConfig:
    """Asks for linear layers in eight bits, on processors; see ``enfold.nn.int8.Int8Linear``.

    Args:
        quant_type: "int8_dynamic_activation_int8_weight", or "int8" for short.
        modules_to_not_convert: names, or parts of dotted names, of layers that stay as they are.
        options: accepted.

    Raises:
        EnfoldError: another type.

    Example:
        >>> TorchAoConfig("int8").quant_type
        'int8_dynamic_activation_int8_weight'
    """

    quant_method = "torchao"

    def __init__(
        self, quant_type: str = _INT8[0], modules_to_not_convert: list[str] | None = None, **options: Any
    ) -> None:
        if quant_type not in _INT8:
            raise EnfoldError(f"quant_type {quant_type!r}{nearest(str(quant_type), _INT8)}; there is {_INT8[0]}")
        self.quant_type, self.modules_to_not_convert = _INT8[0], modules_to_not_convert

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as JSON can hold them."""
        return {"quant_method": self.quant_method, **vars(self)}


class BitsAndBytesConfig:
    """The same in bitsandbytes' spelling: ``load_in_8bit=True``.

    Args:
        load_in_8bit: eight bits.
        load_in_4bit: refused: there are no layers in four bits.
        llm_int8_skip_modules: names, or parts of dotted names, of layers that stay as they are.
        options: accepted.
    """

    quant_method = "bitsandbytes"

    def __init__(
        self,
        load_in_8bit: bool = False,
        load_in_4bit: bool = False,
        llm_int8_skip_modules: list[str] | None = None,
        **options: Any,
    ) -> None:
        if load_in_4bit:
            raise EnfoldError("load_in_4bit: there are no layers in four bits here; load_in_8bit=True has eight")
        self.load_in_8bit, self.modules_to_not_convert = load_in_8bit, llm_int8_skip_modules


def layers_to_keep(config: Any) -> list[str] | None:
    """Return the layers that stay as they are, or None when a configuration asks for nothing.

    Args:
        config: a ``TorchAoConfig``, a ``BitsAndBytesConfig``, a dictionary of either's settings, or None.

    Raises:
        EnfoldError: another kind of configuration.
    """
    if isinstance(config, Mapping):
        settings = dict(config)
        method = settings.pop("quant_method", "bitsandbytes" if "load_in_8bit" in settings else "torchao")
        kinds: dict[str, Any] = {"torchao": TorchAoConfig, "bitsandbytes": BitsAndBytesConfig}
        if method not in kinds:
            raise EnfoldError(f"quant_method {method!r}{nearest(str(method), kinds)}; there are {', '.join(kinds)}")
        config = kinds[method](**settings)
    if config is None or getattr(config, "load_in_8bit", True) is False:
        return None
    if not isinstance(config, TorchAoConfig | BitsAndBytesConfig):
        raise EnfoldError(f"quantization_config is TorchAoConfig('int8') or its like, not {type(config).__name__}")
    return list(config.modules_to_not_convert or ())
