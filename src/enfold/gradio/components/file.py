"""Files: to give, to fetch, and to pick from the server's own folders."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from enfold.gradio.components.base import Common, Component, Placed, common
from enfold.gradio.components.buttons import button_icon
from enfold.gradio.components.schemas import FILE, FILES, defined, sample
from enfold.gradio.events import Event
from enfold.gradio.files import FileData, cached, file_types_problem, is_url, keep_bytes, received, served

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["DownloadButton", "File", "FileExplorer", "NamedString", "UploadButton"]

Count = Literal["single", "multiple", "directory"]


class NamedString(str):
    """A path that also answers to ``.name``, as open files do."""

    @property
    def name(self) -> str:
        return str(self)


class _Given(Component):
    """What the components that take files share."""

    has_files = True

    def _check(self) -> None:
        if self.file_count not in {"single", "multiple", "directory"}:
            raise ValueError(f"file_count must be 'single', 'multiple' or 'directory', not {self.file_count!r}")
        if self.type not in {"filepath", "binary", "file"}:
            raise ValueError(f"type must be 'filepath' or 'binary', not {self.type!r}")
        if isinstance(self.file_types, str):
            raise ValueError(f"file_types must be a list, such as [{self.file_types!r}]")

    def preprocess(self, payload: Any) -> Any:
        if payload is None:
            return None
        if self.file_count == "single":
            return self._one(payload[0] if isinstance(payload, list) else payload)
        return [self._one(each) for each in (payload if isinstance(payload, list) else [payload])]

    def _one(self, payload: Any) -> Any:
        path = received(payload, self.refuse)
        if path is None:
            return None
        problem = file_types_problem(path, self.file_types)
        if problem:
            raise self.refuse(problem)
        return Path(path).read_bytes() if self.type == "binary" else NamedString(path)

    def postprocess(self, value: Any) -> Any:
        if value is None:
            return None
        if isinstance(value, (list, tuple)):
            return [_described(each) for each in value]
        return _described(value)

    def api_info(self) -> dict[str, Any]:
        return FILE if self.file_count == "single" else FILES

    def example_payload(self) -> Any:
        one = sample("sample_file.pdf")
        return one if self.file_count == "single" else [one]


def _described(value: Any) -> FileData:
    if isinstance(value, FileData):
        return value
    if isinstance(value, bytes):
        path = keep_bytes(value, "file")
        return served(path, orig_name=Path(path).name, size=len(value))
    name = getattr(value, "name", value)  # open files
    if is_url(name):
        fetched = received({"path": str(name), "meta": {"_type": "gradio.FileData"}})
        assert fetched is not None
        return served(fetched, orig_name=Path(fetched).name, size=os.path.getsize(fetched))
    entry = cached(name, orig_name=Path(name).name)
    entry["size"] = os.path.getsize(entry["path"])
    return entry


class File(_Given):
    """Files to give, or to fetch; the function receives and returns paths.

    Args:
        value: a path or a list of them to begin with, or a function that gives one.
        file_count: "single", "multiple" or "directory" (all files of a folder).
        file_types: what may be given: "image", "audio", "video", "text", or endings such as ".json".
        type: what the function receives: a "filepath", or the contents as bytes ("binary").
        height: of the list, in pixels or any CSS length.
        allow_reordering: whether files can be put into another order.
        common: see :class:`~enfold.gradio.components.base.Common`.
    """

    type_name = "file"
    COMMON: ClassVar[Mapping[str, Any]] = common("info")
    change = Event("always_last")
    select = Event()
    clear = Event()
    upload = Event()
    delete = Event()
    download = Event()

    def __init__(
        self,
        value: str | Sequence[str] | Callable[[], Any] | None = None,
        *,
        file_count: Count = "single",
        file_types: list[str] | None = None,
        type: Literal["filepath", "binary"] = "filepath",
        height: int | str | float | None = None,
        allow_reordering: bool = False,
        **common: Unpack[Common],
    ) -> None:
        self._check()
        self._settle()


_BUTTON: dict[str, Any] = {
    name: Component.COMMON[name]
    for name in ("scale", "visible", "elem_id", "elem_classes", "render", "key", "preserved_by_key", "every", "inputs")
} | {"min_width": None}


class UploadButton(_Given):
    """A button that asks for files; ``upload`` happens when they have arrived.

    Args:
        label: its text.
        value: files it begins with, or a function that gives them.
        variant, size, icon: as for :class:`~enfold.gradio.Button`.
        type, file_count, file_types: as for :class:`File`.
        interactive: whether it can be pressed.
        common: see :class:`~enfold.gradio.components.base.Placed`.
    """

    type_name = "uploadbutton"
    COMMON: ClassVar[Mapping[str, Any]] = _BUTTON
    change = Event("always_last")
    click = Event()
    upload = Event()

    def __init__(
        self,
        label: str = "Upload a File",
        value: Any = None,
        *,
        variant: Literal["primary", "secondary", "stop"] = "secondary",
        size: Literal["sm", "md", "lg"] = "lg",
        icon: str | Path | None = None,
        type: Literal["filepath", "binary"] = "filepath",
        file_count: Count = "single",
        file_types: list[str] | None = None,
        interactive: bool = True,
        **common: Unpack[Placed],
    ) -> None:
        self._check()
        self.icon = button_icon(icon)
        self._settle()


class DownloadButton(Component):
    """A button that hands a file over.

    Args:
        label: its text.
        value: the path or address of the file, or a function that gives one.
        variant, size, icon: as for :class:`~enfold.gradio.Button`.
        interactive: whether it can be pressed.
        common: see :class:`~enfold.gradio.components.base.Placed`.
    """

    type_name = "downloadbutton"
    has_files = True
    COMMON: ClassVar[Mapping[str, Any]] = _BUTTON
    change = Event("always_last")
    click = Event()

    def __init__(
        self,
        label: str = "Download",
        value: str | Path | Callable[[], Any] | None = None,
        *,
        variant: Literal["primary", "secondary", "stop"] = "secondary",
        size: Literal["sm", "md", "lg"] = "lg",
        icon: str | Path | None = None,
        interactive: bool = True,
        **common: Unpack[Placed],
    ) -> None:
        self.icon = button_icon(icon)
        self._settle()

    def preprocess(self, payload: Any) -> Any:
        path = received(payload, self.refuse)
        return None if path is None else NamedString(path)

    def postprocess(self, value: Any) -> Any:
        return None if value is None else cached(value, orig_name=Path(str(value)).name)

    def api_info(self) -> dict[str, Any]:
        return FILE

    def example_payload(self) -> Any:
        return sample("sample_file.pdf")


class FileExplorer(Component):
    """The server's files below a folder, to pick from; the function receives absolute paths.

    Args:
        glob: names of files that are shown, as in the shell.
        value: paths that begin picked, or a function that gives them.
        file_count: whether one ("single") or several ("multiple") can be picked.
        root_dir: the folder; nothing outside of it is ever listed.
        ignore_glob: names that are left out.
        height, max_height, min_height: in pixels, or any CSS length.
        common: see :class:`~enfold.gradio.components.base.Common`.
    """

    type_name = "fileexplorer"
    COMMON: ClassVar[Mapping[str, Any]] = common("info")
    EXTRA: ClassVar[Mapping[str, Any]] = {"server_fns": ["ls"]}
    change = Event("always_last")
    input = Event()
    select = Event()

    def __init__(
        self,
        glob: str = "**/*",
        *,
        value: str | list[str] | Callable[[], Any] | None = None,
        file_count: Literal["single", "multiple"] = "multiple",
        root_dir: str | Path = ".",
        ignore_glob: str | None = None,
        height: int | str | None = None,
        max_height: int | str | None = 500,
        min_height: int | str | None = None,
        **common: Unpack[Common],
    ) -> None:
        self.root_dir = os.path.abspath(root_dir)
        self._settle()

    def preprocess(self, payload: Any) -> Any:
        if payload is None:
            return None
        if not isinstance(payload, list):
            raise self.refuse("a list of paths is expected, each a list of names")
        paths = [self._inside(names) for names in payload]
        if self.file_count == "multiple":
            return paths
        if len(paths) > 1:
            raise self.refuse(f"one file is expected, {len(paths)} were picked")
        return paths[0] if paths else None

    def postprocess(self, value: Any) -> Any:
        if value is None:
            return None
        files = [value] if isinstance(value, (str, Path)) else value
        return [self._parts(str(path)) for path in files]

    def _parts(self, path: str) -> list[str]:
        return os.path.relpath(path, self.root_dir).split(os.sep) if os.path.isabs(path) else path.split(os.sep)

    def _inside(self, names: Any) -> str:
        # Each part is one name: nothing climbs, starts anew or names a drive, and links that lead out are refused.
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise self.refuse("a path is a list of names")
        if any(name in {"", ".", ".."} or set(name) & {"/", "\\", "\0", ":"} for name in names):
            raise self.refuse("a path must stay inside its folder")
        path = os.path.join(self.root_dir, *names)
        real, root = os.path.realpath(path), os.path.realpath(self.root_dir)
        if os.path.commonpath([real, root]) != root:
            raise self.refuse("a path must stay inside its folder")
        return path

    def ls(self, subdirectory: list[str] | None = None) -> list[dict[str, Any]]:
        """List a folder: folders first, then the files whose names fit; the page calls it when a folder opens."""
        here = self._inside(subdirectory or [])
        folders, files = [], []
        try:
            entries = sorted(os.scandir(here), key=lambda entry: entry.name)
        except OSError:
            return []
        for entry in entries:
            fits = fnmatch.fnmatch(entry.path, self.glob)
            if self.ignore_glob and fnmatch.fnmatch(entry.path, self.ignore_glob):
                continue
            if entry.is_dir():
                folders.append({"name": entry.name, "type": "folder", "valid": fits})
            elif fits:
                files.append({"name": entry.name, "type": "file", "valid": True})
        return folders + files

    SERVER: ClassVar[tuple[str, ...]] = ("ls",)

    def api_info(self) -> dict[str, Any]:
        inner = {"items": {"type": "string"}, "type": "array"}
        return defined({"items": inner, "title": "FileExplorerData", "type": "array"})

    def example_payload(self) -> Any:
        return [["gradio", "app.py"]]
