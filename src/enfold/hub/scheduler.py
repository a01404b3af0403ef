"""A folder that is committed every few minutes, while a program goes on writing into it."""

from __future__ import annotations

import atexit
import dataclasses
import io
import os
import threading
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO

from enfold.hub.commit import CommitOperationAdd, files_below
from enfold.hub.snapshot import filter_repo_objects
from enfold.log import get_logger

if TYPE_CHECKING:
    from enfold.hub.api import HfApi
    from enfold.hub.types import CommitInfo

__all__ = ["CommitScheduler"]

_log = get_logger(__name__)


class CommitScheduler:
    """Commit what changed in a folder every ``every`` minutes, and once more when the program ends.

    Files are expected to grow: of a file that is being written, what is there when the commit begins is committed.
    Hold :attr:`lock` while several files change together. A subclass may make other commits by :meth:`push_to_hub`.

    Args:
        repo_id: the repository, made when it is not there.
        folder_path: the folder, made when it is not there.
        every: minutes between commits (5).
        path_in_repo: the folder's place in the repository; the root by default.
        repo_type: "model" (the default), "dataset" or "space".
        revision: the branch; "main" by default.
        private: if the repository is made now, make it private.
        token: a token that may write.
        allow_patterns: shell patterns; only files that match one are committed.
        ignore_patterns: files that match one are not.
        squash_history: make the branch's history one commit after each.
        hf_api: the Hub to use.

    Raises:
        ValueError: the folder is a file, or ``every`` is not positive.

    Example:
        >>> with CommitScheduler(repo_id="me/log", folder_path="log", every=10) as scheduler:  # doctest: +SKIP
        ...     with scheduler.lock:
        ...         (scheduler.folder_path / "a.jsonl").open("a").write("…")
    """

    def __init__(
        self,
        *,
        repo_id: str,
        folder_path: str | os.PathLike[str],
        every: float = 5,
        path_in_repo: str | None = None,
        repo_type: str | None = None,
        revision: str | None = None,
        private: bool | None = None,
        token: str | None = None,
        allow_patterns: list[str] | str | None = None,
        ignore_patterns: list[str] | str | None = None,
        squash_history: bool = False,
        hf_api: HfApi | None = None,
    ) -> None:
        from enfold.hub.api import HfApi

        self.api = hf_api or HfApi(token=token)
        self.folder_path = Path(folder_path).expanduser().resolve()
        if self.folder_path.is_file():
            raise ValueError(f"folder_path is a folder; {str(folder_path)!r} is a file")
        if not every > 0:
            raise ValueError(f"every is a number of minutes above 0, not {every!r}")
        self.folder_path.mkdir(parents=True, exist_ok=True)
        self.path_in_repo, self.every = path_in_repo or "", every
        self.allow_patterns = allow_patterns
        given = [ignore_patterns] if isinstance(ignore_patterns, str) else list(ignore_patterns or [])
        self.ignore_patterns = [*given, "*.tmp", "**/*.tmp"]
        self.repo_id = self.api.create_repo(repo_id, private=private, repo_type=repo_type, exist_ok=True).repo_id
        self.repo_type, self.revision, self.token = repo_type, revision, token
        self.squash_history = squash_history
        #: file → the time of its last change that is committed
        self.last_uploaded: dict[Path, float] = {}
        self.lock = threading.Lock()
        self.last_future: Future[CommitInfo | None] | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="enfold-commits")
        self._thread.start()
        atexit.register(self._push)

    def _run(self) -> None:
        while not self._stopped.is_set():
            self.last_future = self.trigger()
            self._stopped.wait(self.every * 60)

    def trigger(self) -> Future[CommitInfo | None]:
        """Commit now, in the background; commits of one :class:`HfApi` wait for each other."""
        return self.api.run_as_future(self._push)

    def stop(self) -> None:
        """Make no further commits."""
        self._stopped.set()
        atexit.unregister(self._push)

    def _push(self) -> CommitInfo | None:
        if self._stopped.is_set():
            return None
        try:
            made = self.push_to_hub()
            if made is not None and self.squash_history:
                branch = self.revision or "main"
                self.api.super_squash_history(repo_id=self.repo_id, repo_type=self.repo_type, branch=branch)
            return made
        except Exception as error:
            _log.error("the scheduled commit to %s failed: %s", self.repo_id, error)
            raise

    def push_to_hub(self) -> CommitInfo | None:
        """Commit the files that changed since the last commit; None when there are none."""
        with self.lock:  # the folder as it is between two changes; the sizes, since files may grow meanwhile
            changed = [
                _Changed(name, path, found.st_size, found.st_mtime)
                for name, path in filter_repo_objects(
                    files_below(self.folder_path),
                    allow_patterns=self.allow_patterns,
                    ignore_patterns=self.ignore_patterns,
                    key=lambda item: item[0],
                )
                if self.last_uploaded.get(path) != (found := path.stat()).st_mtime
            ]
        if not changed:
            return None
        prefix = f"{self.path_in_repo.strip('/')}/" if self.path_in_repo.strip("/") else ""
        made = self.api.create_commit(
            repo_id=self.repo_id,
            repo_type=self.repo_type,
            operations=[CommitOperationAdd(prefix + item.name, item.content()) for item in changed],
            commit_message="Scheduled Commit",
            revision=self.revision,
        )
        self.last_uploaded.update({item.path: item.modified for item in changed})
        return made

    def __enter__(self) -> CommitScheduler:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.trigger().result()
        self.stop()


@dataclasses.dataclass(frozen=True)
class _Changed:
    name: str
    path: Path
    size: int
    modified: float

    def content(self) -> BinaryIO:
        """Return what the file had when it was listed, for reading."""
        return io.BufferedReader(_Beginning(self.path, self.size))


class _Beginning(io.FileIO):
    """The first ``size`` bytes of a file that may grow."""

    def __init__(self, path: Path, size: int) -> None:
        super().__init__(path, "rb")
        self._size = size

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)[: max(self._size - self.tell(), 0)]
        return super().readinto(view) or 0

    def readall(self) -> bytes:
        return self.read(max(self._size - self.tell(), 0)) or b""

    def seek(self, position: int, whence: int = os.SEEK_SET) -> int:
        if whence == os.SEEK_END:
            position, whence = self._size + position, os.SEEK_SET
        return super().seek(position, whence)
