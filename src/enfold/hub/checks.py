"""Small helpers that programs of the ecosystem take from `huggingface_hub.utils`."""

from __future__ import annotations

import functools
import importlib.util
import inspect
from collections.abc import Callable
from typing import IO, Any, TypeVar

from enfold import progress
from enfold.hub.validation import validate_repo_id

__all__ = [
    "are_progress_bars_disabled",
    "is_jinja_available",
    "send_telemetry",
    "validate_hf_hub_args",
    "yaml_dump",
]

F = TypeVar("F", bound=Callable[..., Any])


def validate_hf_hub_args(function: F) -> F:
    """Have a function check its ``repo_id`` (also ``from_id`` and ``to_id``) before it runs.

    Raises:
        HFValidationError: from the function: an id is not written as the Hub needs it.
    """
    signature = inspect.signature(function)

    @functools.wraps(function)
    def checked(*args: Any, **options: Any) -> Any:
        given = signature.bind_partial(*args, **options).arguments
        for name in ("repo_id", "from_id", "to_id"):
            if isinstance(given.get(name), str):
                validate_repo_id(given[name])
        return function(*args, **options)

    return checked  # type: ignore[return-value]


def yaml_dump(data: Any, stream: IO[str] | None = None, **options: Any) -> str | None:
    """Write YAML as cards have it: in the order given, with all characters as they are."""
    import yaml

    found: str | None = yaml.dump(data, stream, **{"sort_keys": False, "allow_unicode": True, **options})
    return found


def send_telemetry(
    topic: str, *, library_name: str | None = None, library_version: str | None = None, user_agent: Any = None
) -> None:
    """Send nothing to anybody: programs call this, and enfold reports no use."""


def are_progress_bars_disabled(name: str | None = None) -> bool:
    """Say whether progress bars are not shown."""
    return progress.disabled()


def is_jinja_available() -> bool:
    """Say whether Jinja is installed."""
    return importlib.util.find_spec("jinja2") is not None
