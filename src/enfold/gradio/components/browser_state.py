"""BrowserState: a value that stays in the visitor's browser."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any, ClassVar

from enfold.gradio.components.base import Component
from enfold.gradio.components.schemas import ANY_JSON
from enfold.gradio.encoding import plain
from enfold.gradio.events import Event

__all__ = ["BrowserState"]


class BrowserState(Component):
    """A JSON value kept in the visitor's browser, also when the page is closed.

    Args:
        default_value: what a new visitor begins with.
        storage_key: the name it is kept under; one of its own when None, new with every start of the server.
        secret: what it is encrypted with there; one of its own when None. It keeps the value from being read by
            chance, not from a visitor who looks for it.
        render: False to place it later.
    """

    type_name = "browserstate"
    COMMON: ClassVar[Mapping[str, Any]] = {}
    change = Event("always_last")
    HIDDEN: ClassVar[frozenset[str]] = Component.HIDDEN | {"default_value", "value"}

    def __init__(
        self,
        default_value: Any = None,
        *,
        storage_key: str | None = None,
        secret: str | None = None,
        render: bool = True,
    ) -> None:
        self.default_value = plain(default_value)
        self.storage_key = storage_key or secrets.token_urlsafe(12)
        self.secret = secret or secrets.token_urlsafe(12)
        self._settle()

    def props(self) -> dict[str, Any]:
        made = super().props()
        return made if self.default_value is None else {**made, "default_value": self.default_value}

    def preprocess(self, payload: Any) -> Any:
        return self.default_value if payload is None else payload

    def postprocess(self, value: Any) -> Any:
        return plain(value)

    def api_info(self) -> dict[str, Any]:
        return {**ANY_JSON, "description": "any json-serializable value"}

    def example_payload(self) -> Any:
        return "test"
