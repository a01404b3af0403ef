"""What a repository says about itself: the front matter of its README, and the model's configuration."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import yaml

__all__ = ["CardError", "facts_of_config", "read_card", "split_card", "tags_of"]

_FRONT = re.compile(r"\A\ufeff?\s*---[ \t]*\r?\n(.*?)(?:\r?\n)?---[ \t]*(?:\r?\n|\Z)", re.DOTALL)
_MAX_FRONT, _MAX_DEPTH = 256_000, 32


class CardError(ValueError):
    """The front matter of a card cannot be read."""


_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


#: what PyYAML raises where a tag does not fit its value, such as ``!!timestamp x``, and what JSON does not have
_TAG_ERRORS = (ValueError, OverflowError, AttributeError, TypeError, KeyError, IndexError)


def _check_shape(front: str) -> None:
    """Refuse aliases (nested ones expand to gigabytes once written as JSON) and deep nesting (the loader recurses)."""
    depth = 0
    for event in yaml.parse(front, Loader=_LOADER):
        if isinstance(event, yaml.AliasEvent):
            raise CardError("aliases (*name) are not allowed in a card's metadata")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _MAX_DEPTH:
            raise CardError(f"the metadata is nested deeper than {_MAX_DEPTH} levels")


def split_card(text: str) -> tuple[str | None, str]:
    """Return a card's front matter (None without one) and its body."""
    found = _FRONT.match(text)
    return (found.group(1), text[found.end() :]) if found else (None, text)


def read_card(text: str) -> dict[str, Any]:
    """Return the metadata of a card, in types that JSON has.

    Raises:
        CardError: it is not YAML, or not a mapping.

    Example:
        >>> read_card("---\\nlicense: mit\\n---\\n# Hello")
        {'license': 'mit'}
    """
    front, _ = split_card(text)
    if front is None:
        return {}
    if len(front) > _MAX_FRONT:
        raise CardError(f"the metadata is longer than {_MAX_FRONT} characters")
    try:
        _check_shape(front)
        value = yaml.load(front, Loader=_LOADER)
    except (yaml.YAMLError, *_TAG_ERRORS) as error:
        if isinstance(error, CardError):
            raise
        raise CardError(f"the metadata is not valid YAML: {error}") from None
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise CardError(f"the metadata must be a mapping of names to values, not a {type(value).__name__}")
    try:
        result: dict[str, Any] = json.loads(json.dumps(value, default=str))
    except _TAG_ERRORS as error:
        raise CardError(f"the metadata has a name or a value that JSON does not: {error}") from None
    for name, kinds in (("license", str), ("tags", list), ("pipeline_tag", str), ("library_name", str)):
        if result.get(name) is not None and not isinstance(result[name], (kinds, list) if name == "license" else kinds):
            raise CardError(f'"{name}" must be a {"list" if kinds is list else "string"}')
    return result


def facts_of_config(text: bytes) -> dict[str, Any]:
    """Return what ``config.json`` tells of a model: its type, its classes, and the task that these are for."""
    try:
        config = json.loads(text)
    except ValueError:
        return {}
    if not isinstance(config, dict):
        return {}
    architectures = [name for name in config.get("architectures") or [] if isinstance(name, str)]
    facts: dict[str, Any] = {"config": {"architectures": architectures}} if architectures else {}
    if isinstance(config.get("model_type"), str):
        facts.setdefault("config", {})["model_type"] = config["model_type"]
        facts["library_name"] = "transformers"
    task = next((task for suffix, task in _TASKS.items() for name in architectures if name.endswith(suffix)), None)
    if task:
        facts["pipeline_tag"] = task
    return facts


_TASKS = {
    "ForSequenceClassification": "text-classification",
    "ForTokenClassification": "token-classification",
    "ForQuestionAnswering": "question-answering",
    "ForMaskedLM": "fill-mask",
    "ForCausalLM": "text-generation",
    "LMHeadModel": "text-generation",
    "ForImageClassification": "image-classification",
    "ForObjectDetection": "object-detection",
    "ForCTC": "automatic-speech-recognition",
    "ForSpeechSeq2Seq": "automatic-speech-recognition",
}

# Fields of a card that become tags, with the prefix that the Hub's filters use for them.
_PREFIXES = {
    "language": "",
    "license": "license:",
    "datasets": "dataset:",
    "base_model": "base_model:",
    "task_categories": "task_categories:",
    "task_ids": "task_ids:",
    "size_categories": "size_categories:",
    "multilinguality": "multilinguality:",
    "source_datasets": "source_datasets:",
    "annotations_creators": "annotations_creators:",
    "language_creators": "language_creators:",
    "benchmark": "benchmark:",
}


def tags_of(kind: str, card: Mapping[str, Any], facts: Mapping[str, Any]) -> list[str]:
    """Return a repository's tags: its library and task, the card's tags, and the card's fields with their prefixes."""
    tags: list[str] = []

    def add(value: Any, prefix: str = "") -> None:
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, (str, int, float)) and not isinstance(item, bool) and str(item):
                tags.append(f"{prefix}{item}")

    if kind == "models":
        add(card.get("library_name") or facts.get("library_name"))
        add(facts.get("config", {}).get("model_type"))
        add(card.get("pipeline_tag") or facts.get("pipeline_tag"))
    add(card.get("tags"))
    for field, prefix in _PREFIXES.items():
        add(card.get(field), "language:" if field == "language" and kind == "datasets" else prefix)
    if kind == "spaces":
        add(card.get("models"), "model:")
    return list(dict.fromkeys(tags))
