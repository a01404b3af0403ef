"""Calls about Spaces that run: their state, their secrets and variables, and starting and stopping them."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import time
from typing import Any

from enfold.hub.api_base import Caller, Token
from enfold.hub.types import parse_datetime

__all__ = ["SpaceCalls", "SpaceHardware", "SpaceRuntime", "SpaceSecret", "SpaceStage", "SpaceStorage", "SpaceVariable"]

_STAGES = (
    "NO_APP_FILE CONFIG_ERROR BUILDING BUILD_ERROR RUNNING RUNNING_BUILDING RUNTIME_ERROR DELETING STOPPED PAUSED "
    "APP_STARTING RUNNING_APP_STARTING"
).split()
_MACHINES = (
    "cpu-basic cpu-upgrade zero-a10g t4-small t4-medium l4x1 l4x4 l40sx1 l40sx4 l40sx8 a10g-small a10g-large "
    "a10g-largex2 a10g-largex4 a100-large a100x4 a100x8 rtx-pro-6000 rtx-pro-6000x2 rtx-pro-6000x4 rtx-pro-6000x8"
).split()

SpaceStage = enum.Enum("SpaceStage", {name: name for name in _STAGES}, type=str)  # type: ignore[misc]
SpaceHardware = enum.Enum(  # type: ignore[misc]
    "SpaceHardware", {name.upper().replace("-", "_"): name for name in _MACHINES}, type=str
)
SpaceStorage = enum.Enum(  # type: ignore[misc]
    "SpaceStorage", {name.upper(): name for name in ("small", "medium", "large")}, type=str
)
for _kind, _doc in (
    (SpaceStage, "What a Space is doing."),
    (SpaceHardware, "The machine that a Space runs on."),
    (SpaceStorage, "How much a Space may keep."),
):
    _kind.__doc__ = _doc

_ENDED = ("RUNNING", "STOPPED", "PAUSED", "BUILD_ERROR", "RUNTIME_ERROR", "CONFIG_ERROR", "NO_APP_FILE")


class SpaceRuntime:
    """What a Space is doing: ``stage``, ``hardware``, ``requested_hardware``, ``sleep_time``, ``storage``, ``raw``."""

    def __init__(self, data: dict[str, Any]) -> None:
        machine = data.get("hardware") or {}
        self.stage: str = data["stage"]
        self.hardware: str | None = machine.get("current")
        self.requested_hardware: str | None = machine.get("requested")
        self.sleep_time: int | None = data.get("gcTimeout")
        self.storage: Any = data.get("storage")
        self.dev_mode: bool = bool(data.get("devMode"))
        self.hot_reloading: Any = data.get("hotReloading")
        self.volumes: Any = data.get("volumes")
        self.raw = data

    def __repr__(self) -> str:
        return f"SpaceRuntime(stage={self.stage!r}, hardware={self.hardware!r})"


@dataclasses.dataclass
class SpaceVariable:
    """A variable in the environment of a Space, which everybody who sees the Space sees."""

    key: str
    value: str
    description: str | None
    updated_at: datetime.datetime | None


@dataclasses.dataclass
class SpaceSecret:
    """A secret in the environment of a Space; its value is never told."""

    key: str
    description: str | None
    updated_at: datetime.datetime | None


class SpaceCalls(Caller):
    """Calls about Spaces that run."""

    def _space(self, method: str, repo_id: str, what: str, token: Token, **options: Any) -> Any:
        return self._send(method, f"{self._api(repo_id, 'space')}/{what}", token, **options).json()

    def get_space_runtime(self, repo_id: str, *, token: Token = None) -> SpaceRuntime:
        """Return what a Space is doing."""
        return SpaceRuntime(self._space("GET", repo_id, "runtime", token))

    def wait_for_space(
        self, repo_id: str, *, timeout: float | None = None, poll_interval: float = 5.0, token: Token = None
    ) -> SpaceRuntime:
        """Return what a Space is doing once it runs, stopped or failed.

        Raises:
            TimeoutError: it did none of these in ``timeout`` seconds.
        """
        until = time.monotonic() + timeout if timeout is not None else None
        while True:
            found = self.get_space_runtime(repo_id, token=token)
            if found.stage in _ENDED:
                return found
            if until is not None and time.monotonic() >= until:
                raise TimeoutError(f"{repo_id} is still {found.stage} after {timeout:g} s")
            time.sleep(poll_interval)

    def pause_space(self, repo_id: str, *, token: Token = None) -> SpaceRuntime:
        """Stop a Space until its owner starts it again."""
        return SpaceRuntime(self._space("POST", repo_id, "pause", token))

    def restart_space(self, repo_id: str, *, token: Token = None, factory_reboot: bool = False) -> SpaceRuntime:
        """Start a Space again; ``factory_reboot`` also forgets what was installed for it."""
        params = {"factory": "true"} if factory_reboot else None
        return SpaceRuntime(self._space("POST", repo_id, "restart", token, params=params))

    def request_space_hardware(
        self, repo_id: str, hardware: str, *, token: Token = None, sleep_time: int | None = None
    ) -> SpaceRuntime:
        """Ask for another machine, on a Hub that has several."""
        body: dict[str, Any] = {"flavor": str(getattr(hardware, "value", hardware))}
        if sleep_time is not None:
            body["sleepTimeSeconds"] = sleep_time
        return SpaceRuntime(self._space("POST", repo_id, "hardware", token, json=body))

    def set_space_sleep_time(self, repo_id: str, sleep_time: int, *, token: Token = None) -> SpaceRuntime:
        """Have a Space stop after so many seconds without a visitor; -1 for never."""
        return SpaceRuntime(self._space("POST", repo_id, "sleeptime", token, json={"seconds": sleep_time}))

    def get_space_variables(self, repo_id: str, *, token: Token = None) -> dict[str, SpaceVariable]:
        """Return a Space's variables by their names."""
        return _variables(self._space("GET", repo_id, "variables", token))

    def add_space_variable(
        self, repo_id: str, key: str, value: str, *, description: str | None = None, token: Token = None
    ) -> dict[str, SpaceVariable]:
        """Set a variable of a Space and return all of them."""
        body = {"key": key, "value": value, **({"description": description} if description is not None else {})}
        return _variables(self._space("POST", repo_id, "variables", token, json=body))

    def delete_space_variable(self, repo_id: str, key: str, *, token: Token = None) -> dict[str, SpaceVariable]:
        """Delete a variable of a Space and return the others."""
        return _variables(self._space("DELETE", repo_id, "variables", token, json={"key": key}))

    def get_space_secrets(self, repo_id: str, *, token: Token = None) -> dict[str, SpaceSecret]:
        """Return a Space's secrets by their names, without their values."""
        found = self._space("GET", repo_id, "secrets", token)
        return {
            key: SpaceSecret(key, item.get("description"), parse_datetime(item.get("updatedAt")))
            for key, item in found.items()
        }

    def add_space_secret(
        self, repo_id: str, key: str, value: str, *, description: str | None = None, token: Token = None
    ) -> None:
        """Set a secret of a Space."""
        body = {"key": key, "value": value, **({"description": description} if description is not None else {})}
        self._send("POST", f"{self._api(repo_id, 'space')}/secrets", token, json=body)

    def delete_space_secret(self, repo_id: str, key: str, *, token: Token = None) -> None:
        """Delete a secret of a Space."""
        self._send("DELETE", f"{self._api(repo_id, 'space')}/secrets", token, json={"key": key})


def _variables(found: dict[str, Any]) -> dict[str, SpaceVariable]:
    return {
        key: SpaceVariable(key, item["value"], item.get("description"), parse_datetime(item.get("updatedAt")))
        for key, item in found.items()
    }
