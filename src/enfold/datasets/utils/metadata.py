"""The configurations that a dataset's card lists, as programs read and write them."""

from __future__ import annotations

from typing import Any, ClassVar

from ..card import configs_of
from ..features.features import Features

__all__ = ["MetadataConfigs"]


class MetadataConfigs(dict[str, dict[str, Any]]):
    """The arguments of each configuration of a dataset, by name, as its card holds them under ``configs``.

    Example:
        >>> card = {"configs": [{"config_name": "en", "data_dir": "en", "default": True}]}
        >>> configs = MetadataConfigs.from_dataset_card_data(card)
        >>> configs, configs.get_default_config_name()
        ({'en': {'data_dir': 'en', 'default': True}}, 'en')
    """

    FIELD_NAME: ClassVar[str] = "configs"

    @classmethod
    def from_dataset_card_data(cls, dataset_card_data: Any) -> MetadataConfigs:
        """Return what the header of a card says: a dict, or a ``DatasetCardData``.

        Raises:
            ValueError: it says no list of configurations with names, or several of them are the default.
        """
        if not isinstance(dataset_card_data.get(cls.FIELD_NAME) or [], list):
            raise ValueError(f"{cls.FIELD_NAME} in a card is a list, one entry for each configuration")
        made = cls()
        for name, entry in configs_of(dataset_card_data).items():
            made[name] = {key: value for key, value in entry.items() if key != "config_name"}
            if isinstance(entry.get("features"), list):
                made[name]["features"] = Features.from_yaml_list(entry["features"])
        made.get_default_config_name()
        return made

    def to_dataset_card_data(self, dataset_card_data: Any) -> None:
        """Put the configurations into the header of a card, beside those that are there."""
        if not self:
            return
        whole = {**MetadataConfigs.from_dataset_card_data(dataset_card_data), **self}
        entries = []
        for name, values in whole.items():
            entry = {"config_name": name} | values
            if isinstance(values.get("features"), Features):
                entry["features"] = values["features"].to_yaml_list()
            entries.append(entry)
        dataset_card_data[self.FIELD_NAME] = entries

    def get_default_config_name(self) -> str | None:
        """Return the configuration that is meant where none is named: the only one, or the one that says so.

        Raises:
            ValueError: several say so.
        """
        marked = [name for name, values in self.items() if len(self) == 1 or name == "default" or values.get("default")]
        if len(marked) > 1:
            raise ValueError(f"only one configuration can be the default, not {marked}")
        return marked[0] if marked else None
