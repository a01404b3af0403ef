"""Gemma 3's configuration, of its text part."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from enfold.transformers.config import PretrainedConfig
from enfold.transformers.configs.gemma2 import Gemma2Config

__all__ = ["Gemma3TextConfig"]

LOCAL, GLOBAL = "sliding_attention", "full_attention"


class Gemma3TextConfig(Gemma2Config):
    """The numbers of Gemma 3's text part; the defaults are those of google/gemma-3-4b.

    Layers of both kinds have rotary numbers of their own: ``rope_parameters`` (v5) is kind → numbers, and
    ``rope_theta``, ``rope_scaling`` (of the layers that see everything) and ``rope_local_base_freq`` (v4) read it.

    Args:
        sliding_window_pattern: every so many layers one sees everything; v4's way of saying ``layer_types``.

    Example:
        >>> config = Gemma3TextConfig(num_hidden_layers=2, sliding_window_pattern=2, rope_local_base_freq=5e3)
        >>> config.layer_types, config.rope_theta, config.rope_parameters["sliding_attention"]["rope_theta"]
        (['sliding_attention', 'full_attention'], 1000000.0, 5000.0)
    """

    model_type = "gemma3_text"
    default_theta = 1000000.0
    default_local_theta = 10000.0

    vocab_size: int = 262208
    max_position_embeddings: int = 131072
    final_logit_softcapping: float | None = None
    attn_logit_softcapping: float | None = None
    use_bidirectional_attention: bool | None = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        theta, local = kwargs.pop("rope_theta", None), kwargs.pop("rope_local_base_freq", None)
        scaling, given = kwargs.pop("rope_scaling", None), kwargs.pop("rope_parameters", None) or {}
        self.__dict__["period"] = kwargs.pop("sliding_window_pattern", None) or 6
        rope = {kind: dict(given.get(kind) or {}) for kind in (LOCAL, GLOBAL)}
        if not any(kind in given for kind in rope):
            rope[GLOBAL].update(given)
        rope[GLOBAL].update(scaling or {})
        for kind, base in ((GLOBAL, theta or self.default_theta), (LOCAL, local or self.default_local_theta)):
            rope[kind].setdefault("rope_theta", base)
            rope[kind]["rope_type"] = rope[kind].get("rope_type", rope[kind].pop("type", None)) or "default"
        PretrainedConfig.__init__(self, *args, rope_parameters=rope, **kwargs)

    def complete(self) -> None:
        """Fill in what each layer looks at, and halve a window that reaches to both sides."""
        super().complete()
        if self.use_bidirectional_attention and self.sliding_window is not None:
            self.sliding_window = self.sliding_window // 2 + 1

    @property
    def rope_theta(self) -> float:
        """Base of the wavelengths in layers that see everything."""
        return self.rope_parameters[GLOBAL]["rope_theta"]

    @rope_theta.setter
    def rope_theta(self, theta: float) -> None:
        self.rope_parameters[GLOBAL]["rope_theta"] = theta

    @property
    def rope_local_base_freq(self) -> float:
        """Base of the wavelengths in layers with a window."""
        return self.rope_parameters[LOCAL]["rope_theta"]

    @rope_local_base_freq.setter
    def rope_local_base_freq(self, theta: float) -> None:
        self.rope_parameters[LOCAL]["rope_theta"] = theta

    @property
    def rope_scaling(self) -> dict[str, Any] | None:
        """How layers that see everything reach beyond the trained length, or None."""
        rest = {name: value for name, value in self.rope_parameters[GLOBAL].items() if name != "rope_theta"}
        return None if rest["rope_type"] == "default" else rest

    @rope_scaling.setter
    def rope_scaling(self, scaling: Mapping[str, Any] | None) -> None:
        rest = dict(scaling or {})
        rest["rope_type"] = rest.get("rope_type", rest.pop("type", None)) or "default"
        self.rope_parameters[GLOBAL] = {"rope_theta": self.rope_theta, **rest}

    def to_dict(self) -> dict[str, Any]:
        """Return everything as a dictionary that JSON can hold, with both spellings of the rotary numbers."""
        state = {**super().to_dict(), "rope_local_base_freq": self.rope_local_base_freq}
        if self.use_bidirectional_attention and self.sliding_window is not None:
            state["sliding_window"] = (self.sliding_window - 1) * 2  # what was read, to be halved again
        return state
