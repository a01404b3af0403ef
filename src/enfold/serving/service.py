"""What a server serves: models by name, who may ask, how much, and what was counted."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from enfold.errors import EnfoldError, nearest
from enfold.serving.errors import NotServed
from enfold.serving.keys import Keys
from enfold.serving.limits import Limits
from enfold.serving.metrics import Metrics

__all__ = ["Served", "Service"]

T = TypeVar("T")


class Served(Protocol):
    """Something that is served under a name.

    Attributes:
        name: that clients call it by.
        kind: what it does: ``"text"``, ``"embedding"``, ``"rerank"``, ``"transcription"`` …
        about: further facts for ``/v1/models``, such as ``max_model_len`` and ``parent``.
    """

    name: str
    kind: str
    about: dict[str, Any]

    def start(self) -> None:
        """Begin to work; called once, when the server starts."""

    def stop(self) -> None:
        """Let go of everything; called once, when the server has answered its last request."""

    def gauges(self) -> dict[str, float]:
        """Return what it holds now, metric → number; each metric carries the model's name as its label."""


@dataclass
class Service:
    """The one thing that all routes share.

    Args:
        models: name → what is served. The first of a kind answers requests that name none.
        keys: who may ask; everybody by default.
        limits: how much is accepted.
        metrics: what is counted.
        page: whether the root shows a page to chat with.
        endings: called when the server is about to stop, so that streams without an end find one.
    """

    models: dict[str, Served] = field(default_factory=dict)
    keys: Keys = field(default_factory=Keys)
    limits: Limits = field(default_factory=Limits)
    metrics: Metrics = field(default_factory=Metrics)
    page: bool = True
    endings: list[Callable[[], None]] = field(default_factory=list)
    created: int = field(default_factory=lambda: int(time.time()))

    def add(self, *models: Served) -> None:
        """Serve models.

        Raises:
            EnfoldError: for a name that is taken.
        """
        for model in models:
            if model.name in self.models:
                raise EnfoldError(f"two models are to be served as {model.name!r}; give one another name")
            self.models[model.name] = model

    def end(self) -> None:
        """Let go of streams that have no end of their own; called before the server stops."""
        for ending in self.endings:
            ending()

    def find(self, name: str | None, kind: str, as_type: type[T] | None = None) -> Any:
        """Return the model of a name that does what is asked for; the first that does where no name is given.

        Raises:
            NotServed: 404, with the nearest name that is.
        """
        able = [model for model in self.models.values() if model.kind == kind]
        if not able:
            raise NotServed(f"this server has no model for {kind}; it serves {self._told(self.models.values())}")
        if not name:
            return able[0]
        model = self.models.get(name)
        if model is None:
            names = [known.name for known in able]
            raise NotServed(f"no model {name!r} is served{nearest(name, names)} (served: {self._told(able)})")
        if model.kind != kind:
            raise NotServed(f"{name!r} is served for {model.kind}, not for {kind} (served for it: {self._told(able)})")
        return model

    @staticmethod
    def _told(models: Iterable[Served]) -> str:
        return ", ".join(model.name for model in models) or "nothing"
