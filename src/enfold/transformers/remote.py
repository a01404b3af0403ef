"""Classes that a repository brings along: named by ``auto_map``, run only when asked for, and said what is run.

The code imports the ecosystem's names; they resolve to enfold in its modules alone, whatever else the process imports.
"""

from __future__ import annotations

import ast
import builtins
import hashlib
import importlib
import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from types import ModuleType
from typing import Any

from enfold.addresses import LIBRARIES, locate
from enfold.errors import EnfoldError
from enfold.log import get_logger

__all__ = ["RemoteCodeError", "modules_of", "remote_class"]

logger = get_logger(__name__)
_PREFIX = "enfold_remote_"
_folders: dict[str, str] = {}  # package → where its files are


class RemoteCodeError(EnfoldError, ValueError):
    """A repository's code was not asked to run, or is not what ``auto_map`` says."""


def remote_class(
    entry: Any,
    auto: str,
    source: Any,
    trust: bool | None,
    code_revision: str | None = None,
    table: str = "auto_map",
    **where: Any,
) -> Any:
    """Return the class that an ``auto_map`` names.

    Args:
        entry: ``"module.Class"`` or ``"owner/name--module.Class"``; of a pair (slow, fast) the last that is there.
        auto: the auto class that asks, for messages.
        source: the folder or repository that holds the ``auto_map``.
        trust: run its code.
        code_revision: branch, tag or commit of the code, where it is in another repository.
        table: where the entry stands, for messages.
        where: what ``find_file`` takes.

    Raises:
        RemoteCodeError: ``trust`` is not True, the entry is malformed, or the module has no such class.
    """
    if isinstance(entry, list | tuple):
        entry = next((one for one in reversed(entry) if one), None)
    place, _, path = str(entry).rpartition("--")
    stem, _, name = path.rpartition(".")
    if not all(part.isidentifier() for part in (*stem.split("."), name)):
        raise RemoteCodeError(
            f"{source}: {table}[{auto!r}] is 'module.Class' or 'owner/name--module.Class', not {entry!r}"
        )
    home = place or str(source)
    if trust is not True:
        raise RemoteCodeError(
            f"{source} brings code of its own for {auto} ({path}, in {home}). Nobody has looked at it for you, and "
            "it is run only with trust_remote_code=True: read it first, and pin what you read with revision=…"
        )
    if place and place != str(source):
        where = {name: value for name, value in where.items() if name != "subfolder"}
        where["revision"] = code_revision
    files = modules_of(home, stem, **where)
    package = _announce(home, files)
    module = importlib.import_module(f"{package}.{stem}")
    if not hasattr(module, name):
        raise RemoteCodeError(f"{home}: {stem}.py has no {name}, which {table}[{auto!r}] names")
    return getattr(module, name)


def modules_of(home: str, stem: str, **where: Any) -> dict[str, str]:
    """Return module → path of a module and of all modules that it imports from beside itself.

    Args:
        home: the folder or repository.
        stem: the module's dotted name.
        where: what ``find_file`` takes.
    """
    from enfold.hub.fetch import find_file

    found: dict[str, str] = {}
    waiting = [stem]
    while waiting:
        module = waiting.pop()
        if module in found:
            continue
        path = find_file(home, module.replace(".", "/") + ".py", required=module == stem, **where)
        if path is None:
            continue
        found[module] = path
        with open(path, encoding="utf-8") as file:
            tree = ast.parse(file.read(), path)
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.level == 1:
                waiting.extend([node.module] if node.module else [alias.name for alias in node.names])
    return found


def _announce(home: str, files: dict[str, str]) -> str:
    """Make the files a package, say which they are, and return its name: one for each content."""
    hashes: dict[str, str] = {}
    for module, path in sorted(files.items()):
        with open(path, "rb") as file:
            hashes[module] = hashlib.sha256(file.read()).hexdigest()
    first = next(iter(files))
    folder = os.path.dirname(os.path.abspath(files[first]))
    for _ in range(first.count(".")):
        folder = os.path.dirname(folder)
    package = _PREFIX + hashlib.sha256(repr((folder, hashes)).encode()).hexdigest()[:16]
    if package not in sys.modules:
        before, _, after = folder.partition(f"{os.sep}snapshots{os.sep}")
        commit = f"commit {after.split(os.sep)[0]}" if after else f"the folder {before}"
        listed = ", ".join(f"{module.replace('.', '/')}.py (sha256 {digest})" for module, digest in hashes.items())
        logger.warning("running code of %s, %s: %s", home, commit, listed)
        _folders[package] = folder
        if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
            sys.meta_path.insert(0, _Finder())
        made = sys.modules[package] = ModuleType(package, f"Code of {home}.")
        made.__path__ = [folder]
    return package


class _Finder:
    """Finds the modules of the packages made here."""

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: Any = None) -> ModuleSpec | None:
        """Return the spec of one of our packages' modules."""
        package, _, rest = name.partition(".")
        if package not in _folders:
            return None
        file = os.path.join(_folders[package], *rest.split("."))
        if os.path.isdir(file):
            spec = ModuleSpec(name, None, is_package=True)
            spec.submodule_search_locations = [file]
            return spec
        file += ".py"
        return spec_from_file_location(name, file, loader=_Loader(name, file)) if os.path.isfile(file) else None


class _Loader(SourceFileLoader):
    """Runs a module whose imports of the ecosystem's names are answered by enfold."""

    def exec_module(self, module: ModuleType) -> None:
        """Run the module."""
        module.__dict__["__builtins__"] = {**vars(builtins), "__import__": _import}
        super().exec_module(module)

    def set_data(self, path: str, data: Any, *, _mode: int = 0o666) -> None:
        """Write no compiled files beside the repository's own."""


def _import(name: str, names: Any = None, local: Any = None, fromlist: Any = (), level: int = 0) -> Any:
    """Import as ``import`` does, with enfold in the place of the ecosystem."""
    if level or name.partition(".")[0] not in LIBRARIES:
        return builtins.__import__(name, names, local, fromlist, level)
    home = locate(name)
    if home is None:
        raise ModuleNotFoundError(f"No module named {name!r} in enfold", name=name)
    module = importlib.import_module(home)
    if not fromlist:
        return importlib.import_module(LIBRARIES[name.partition(".")[0]])
    for wanted in fromlist:
        if wanted != "*" and not hasattr(module, wanted):
            below = locate(f"{name}.{wanted}")
            if below is not None:
                importlib.import_module(below)
    return module
