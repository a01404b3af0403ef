"""Upkeep that an administrator starts from a page: the check and the collection, one at a time, in the background."""

from __future__ import annotations

import dataclasses
import threading
import time
from typing import TYPE_CHECKING

from enfold.hubserver.errors import HubServerError
from enfold.log import get_logger

if TYPE_CHECKING:
    from enfold.hubserver.hub import Hub
    from enfold.hubserver.maintenance import Checked, Collected

__all__ = ["Done", "Upkeep"]

_log = get_logger(__name__)

WORKS = ("check", "audit", "count", "collect")


@dataclasses.dataclass
class Done:
    """What came of a work.

    Args:
        work: "check" (everything against its hash), "audit" (the log), "collect" (throw away what nothing refers to) or
            "count" (only say what that would be).
        begun: in seconds since 1970.
        ended: the same; None while it is under way.
        said: what it found, a line each.
        good: whether all is well.
    """

    work: str
    begun: float
    ended: float | None = None
    said: list[str] = dataclasses.field(default_factory=list)
    good: bool = True


class Upkeep:
    """What is done, and was done since the server started.

    Args:
        hub: the Hub.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._lock = threading.Lock()
        self.done: dict[str, Done] = {}

    @property
    def running(self) -> Done | None:
        """What is under way."""
        return next((done for done in self.done.values() if done.ended is None), None)

    def start(self, work: str) -> Done:
        """Begin a work; 409 while another is under way."""
        if work not in WORKS:
            raise HubServerError(400, f"there is no work {work!r}: expected one of {', '.join(WORKS)}")
        with self._lock:
            if self.running is not None:
                raise HubServerError(409, f"{self.running.work} is under way: wait for its end")
            done = self.done[work] = Done(work, time.time())
        threading.Thread(target=self._run, args=(done,), name=f"upkeep-{work}", daemon=True).start()
        return done

    def _run(self, done: Done) -> None:
        from enfold.hubserver.maintenance import check, collect

        try:
            if done.work == "check":
                found = check(self._hub)
                counts = (
                    f"{found.commits} commits, {found.trees} folders, {found.contents} contents, {found.xorbs} xorbs"
                )
                done.said, done.good = [f"{counts} were read.", *found.problems[:100]], not found.problems
            elif done.work == "audit":
                problem = self._hub.audit.verify()
                done.said, done.good = [problem or "Every row follows from the one before it."], problem is None
            else:
                gone = collect(self._hub, dry_run=done.work == "count")
                done.said = [f"{_counted(gone)}: {gone.bytes:,} bytes."]
        except Exception as error:
            _log.exception("the work %s failed", done.work)
            done.said, done.good = [f"It failed: {type(error).__name__}; the log says why."], False
        finally:
            done.ended = time.time()


def _counted(found: Checked | Collected) -> str:
    return f"{found.commits} commits, {found.trees} folders, {found.contents} contents, {found.xorbs} xorbs"
