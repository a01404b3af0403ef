"""Configurations made of configurations: a model of several parts."""

from __future__ import annotations

from typing import Any

from enfold.transformers.config import PretrainedConfig

__all__ = ["CompositeConfig"]


class CompositeConfig(PretrainedConfig):
    """A configuration whose ``sub_configs`` (field → class) are configurations of their own.

    A part is given as a configuration, as a dictionary, or not at all, which takes its defaults. ``<part>_dict``, which
    old files hold beside a part, is read over it.
    """

    def complete(self) -> None:
        """Turn dictionaries into configurations."""
        for name, kind in self.sub_configs.items():
            given = getattr(self, name, None)
            over = self.__dict__.pop(f"{name}_dict", None)
            if isinstance(given, PretrainedConfig) and not over:
                part = given
            else:
                values = given.to_dict() if isinstance(given, PretrainedConfig) else dict(given or {})
                part = kind(**{**values, **(over or {})})
            setattr(self, name, part)

    def get_text_config(self, decoder: bool | None = None, encoder: bool | None = None) -> PretrainedConfig:
        """Return the configuration of the text part."""
        return self.__dict__.get("text_config", self)

    @classmethod
    def from_text_vision_configs(cls, text_config: Any, vision_config: Any, **kwargs: Any) -> Any:
        """Put two configurations together (v4 spelling)."""
        return cls(text_config=text_config.to_dict(), vision_config=vision_config.to_dict(), **kwargs)
