"""The part of a configuration that says which feature maps a backbone returns."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from enfold.errors import EnfoldError, nearest
from enfold.transformers.config import ConfigError, PretrainedConfig

__all__ = ["BackboneConfig", "sub_config"]


class BackboneConfig(PretrainedConfig):
    """A configuration with named stages, some of which are returned as feature maps.

    ``out_features`` (names) and ``out_indices`` (places among ``stage_names``) say the same; setting one sets both,
    and the last stage is returned where neither was set.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        features, indices = kwargs.pop("out_features", None), kwargs.pop("out_indices", None)
        kwargs.pop("stage_names", None)
        super().__init__(*args, **kwargs)
        self.stage_names = ["stem", *(f"stage{place}" for place in range(1, self.stages() + 1))]
        if features is not None and indices is not None and self._places(features) != self._indices(indices):
            raise EnfoldError(f"out_features {features} and out_indices {indices} are not the same stages")
        if features is None and indices is not None:
            self.out_indices = indices
        else:
            self.out_features = features

    def stages(self) -> int:
        """Return the number of stages after the stem."""
        return self.num_hidden_layers

    @property
    def out_features(self) -> list[str]:
        """Names of the stages that are returned."""
        return [self.stage_names[place] for place in self._out_indices]

    @out_features.setter
    def out_features(self, names: Iterable[str] | None) -> None:
        self._out_indices = [len(self.stage_names) - 1] if names is None else self._places(names)

    @property
    def out_indices(self) -> list[int]:
        """Places of the stages that are returned."""
        return self._out_indices

    @out_indices.setter
    def out_indices(self, places: Iterable[int] | None) -> None:
        self._out_indices = [len(self.stage_names) - 1] if places is None else self._indices(places)

    def _places(self, names: Iterable[str]) -> list[int]:
        names = list(names)
        for name in names:
            if name not in self.stage_names:
                raise EnfoldError(f"out_features has {name!r}{nearest(name, self.stage_names)}; the stages are "
                                  f"{', '.join(self.stage_names)}")  # fmt: skip
        return self._indices([self.stage_names.index(name) for name in names])

    def _indices(self, places: Iterable[int]) -> list[int]:
        count = len(self.stage_names)
        found = [place + count if place < 0 else place for place in places]
        if any(not 0 <= place < count for place in found) or found != sorted(set(found)):
            raise EnfoldError(f"out_indices are rising places below {count}, each once, not {list(places)}")
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return everything as a dictionary that JSON can hold."""
        return {**super().to_dict(), "out_features": self.out_features, "out_indices": list(self.out_indices)}


def sub_config(value: Any, **default: Any) -> Any:
    """Return a configuration for what a field holds: a configuration, a dictionary with ``model_type``, or None.

    Args:
        value: the field's value; None gives None, or a configuration of ``default``.
        default: ``model_type`` and fields.
    """
    from enfold.transformers.config import CONFIG_MAPPING

    if value is None and not default:
        return None
    if isinstance(value, PretrainedConfig):
        return value
    fields = dict(default if value is None else value)
    kind = fields.pop("model_type")
    if kind not in CONFIG_MAPPING:
        raise ConfigError(f"no backbone of model_type {kind!r} is known{nearest(kind, CONFIG_MAPPING)}")
    return CONFIG_MAPPING[kind](**fields)
