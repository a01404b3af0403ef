"""The part of a configuration that says how rotary embeddings turn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from enfold.transformers.config import PretrainedConfig

__all__ = ["RopeConfig"]


class RopeConfig(PretrainedConfig):
    """A configuration with rotary embeddings, whose numbers go by three names.

    ``rope_parameters`` (v5) holds ``rope_theta``, ``rope_type`` and what the type needs; ``rope_theta``,
    ``rope_scaling`` and ``partial_rotary_factor`` (v4) read and write the same dictionary, and all are saved: every
    reader finds its own.
    """

    default_theta: ClassVar[float] = 10000.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        theta, scaling = kwargs.pop("rope_theta", None), kwargs.pop("rope_scaling", None)
        share = kwargs.pop("partial_rotary_factor", None)
        rope = {**(scaling or {}), **(kwargs.pop("rope_parameters", None) or {})}
        rope.setdefault("rope_theta", self.default_theta if theta is None else theta)
        if share is not None:
            rope.setdefault("partial_rotary_factor", share)
        rope["rope_type"] = rope.get("rope_type", rope.pop("type", None)) or "default"
        rope.pop("type", None)
        super().__init__(*args, rope_parameters=rope, **kwargs)

    def complete(self) -> None:
        """Fill in the size of a head and the number of key heads, where the family has them, and a trained length."""
        follow = {
            "head_dim": lambda: self.hidden_size // self.num_attention_heads,
            "num_key_value_heads": lambda: self.num_attention_heads,
        }
        for name in follow.keys() & self.declared().keys():
            if getattr(self, name) is None:
                setattr(self, name, follow[name]())
        rope = self.rope_parameters
        if rope.get("rope_type") in ("llama3", "longrope", "yarn"):
            trained = getattr(self, "original_max_position_embeddings", None)
            if trained is not None:
                rope["original_max_position_embeddings"] = trained
            rope.setdefault("original_max_position_embeddings", self.max_position_embeddings)

    @property
    def rope_theta(self) -> float:
        """Base of the wavelengths."""
        return self.rope_parameters["rope_theta"]

    @rope_theta.setter
    def rope_theta(self, theta: float) -> None:
        self.rope_parameters["rope_theta"] = theta

    @property
    def partial_rotary_factor(self) -> float:
        """The share of a head that is rotated."""
        return self.rope_parameters.get("partial_rotary_factor", 1.0)

    @partial_rotary_factor.setter
    def partial_rotary_factor(self, share: float) -> None:
        self.rope_parameters["partial_rotary_factor"] = share

    @property
    def rope_scaling(self) -> dict[str, Any] | None:
        """How positions beyond the trained length are reached, or None."""
        skipped = ("rope_theta", "partial_rotary_factor")
        rest = {name: value for name, value in self.rope_parameters.items() if name not in skipped}
        return None if rest.get("rope_type", "default") == "default" else rest

    @rope_scaling.setter
    def rope_scaling(self, scaling: Mapping[str, Any] | None) -> None:
        rope = {"rope_theta": self.rope_theta, **(scaling or {})}
        rope["rope_type"] = rope.get("rope_type", rope.pop("type", None)) or "default"
        self.rope_parameters = rope

    def to_dict(self) -> dict[str, Any]:
        """Return everything as a dictionary that JSON can hold, with both spellings of the rotary numbers."""
        share = {"partial_rotary_factor": self.partial_rotary_factor} if self.partial_rotary_factor != 1.0 else {}
        return {**super().to_dict(), "rope_theta": self.rope_theta, "rope_scaling": self.rope_scaling, **share}
