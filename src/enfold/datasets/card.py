"""The YAML header of a dataset's card: its configurations, their files, and what is known about them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

__all__ = ["configs_of", "infos_form", "infos_of", "join_card", "split_card"]

_HEADER = re.compile(r"\A\ufeff?---[ \t]*\r?\n(.*?\r?\n)?---[ \t]*(?:\r?\n|\Z)", re.DOTALL)


def split_card(text: str) -> tuple[dict[str, Any], str]:
    """Return the header of a card as a dict, and the text behind it.

    Raises:
        ValueError: the header is no YAML mapping.

    Example:
        >>> split_card("---\\nlicense: mit\\n---\\n# Title\\n")
        ({'license': 'mit'}, '# Title\\n')
    """
    import yaml

    found = _HEADER.match(text)
    if not found:
        return {}, text
    try:
        header = yaml.safe_load(found[1] or "") or {}
    except yaml.YAMLError as error:
        raise ValueError(f"the card's header is no YAML: {error}") from error
    if not isinstance(header, dict):
        raise ValueError("the card's header is no YAML mapping")
    return header, text[found.end() :]


def join_card(header: Mapping[str, Any], body: str) -> str:
    """Return the text of a card; the inverse of :func:`split_card`."""
    import yaml

    return f"---\n{yaml.safe_dump(dict(header), sort_keys=False, allow_unicode=True)}---\n{body}"


def configs_of(header: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the configurations that a header lists, by name.

    Raises:
        ValueError: an entry without a name.
    """
    out = {}
    for entry in header.get("configs") or []:
        if not isinstance(entry, Mapping) or not entry.get("config_name"):
            raise ValueError(f"a configuration in the card has no config_name: {entry}")
        out[str(entry["config_name"])] = dict(entry)
    return out


def infos_of(header: Any) -> dict[str, dict[str, Any]]:
    """Return what a header says under ``dataset_info``, by configuration."""
    entries = header.get("dataset_info")
    if isinstance(entries, Mapping):
        entries = [entries]
    return {
        str(entry.get("config_name", "default")): dict(entry) for entry in entries or [] if isinstance(entry, Mapping)
    }


def infos_form(infos: Mapping[str, Mapping[str, Any]]) -> Any:
    """Return what stands under ``dataset_info`` for configurations by name; the inverse of :func:`infos_of`."""
    forms = [{"config_name": name} | dict(form) for name, form in infos.items()]
    if len(forms) != 1:
        return forms
    if forms[0]["config_name"] == "default":
        del forms[0]["config_name"]
    return forms[0]
